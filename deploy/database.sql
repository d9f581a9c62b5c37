-- Curfew's database and its two roles, once, by a superuser or a managed Postgres's master user (14 or later):
--
--   psql --no-psqlrc --set=ON_ERROR_STOP=1 --dbname="host=… user=… dbname=postgres sslmode=verify-full" --file=deploy/database.sql
--
-- Both roles are born without a password and so can't sign in by one yet: set them with \password in psql, which
-- hashes on your side, so that neither the server's log nor a history file sees them.
--
-- curfew_owner owns the tables; only `curfew migrate` uses it. curfew is what `curfew serve` runs as: it owns nothing, can
-- change no table's shape, and can add to the audit log but never change it. `curfew migrate` gives it its rights.

create role curfew_owner login;
create role curfew login;

-- Whoever is no superuser may make somebody else the owner only as a member of them, for that moment.
grant curfew_owner to current_user;
create database curfew owner curfew_owner template template0 encoding 'UTF8';
\connect curfew
-- Before Postgres 15, everybody may create in the schema public.
revoke all on schema public from public;
grant usage, create on schema public to curfew_owner;
-- By default everybody may connect to a new database and make temporary tables in it.
grant connect on database curfew to curfew;
revoke all on database curfew from public;
revoke curfew_owner from current_user;
