#!/bin/sh
# Run once, by the Postgres image, on the empty database of compose.yaml: the database and roles of database.sql, and
# their passwords, taken from the URLs that migrate and serve connect with, so that each password stands in one file.
set -eu

password_in() {
    password=$(sed -n 's|^postgres://[^:@/]*:\([0-9a-zA-Z._~-]\{16,\}\)@.*|\1|p' "$1")
    [ -n "$password" ] || {
        echo "$1 is not postgres://role:password@… with 16 or more letters and digits. Put it right (deploy/make-secrets makes one) and" >&2
        echo "start over: docker compose down --volumes, since the half-made database would be taken for a whole one" >&2
        exit 1
    }
    printf %s "$password"
}
owner=$(password_in /run/secrets/migrate_url)
runtime=$(password_in /run/secrets/database_url)

as_superuser() { psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres "$@"; }
as_superuser --file=/etc/curfew/database.sql
# Standard input, because arguments show in the list of processes; and should a statement fail, it is not logged.
as_superuser <<SQL
set log_statement = 'none';
set log_min_error_statement = 'panic';
alter role curfew_owner password '$owner';
alter role curfew password '$runtime';
SQL
