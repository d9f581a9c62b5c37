-- People see their own sessions and end them: when each began, from where, in which browser.
--
-- Sessions that are open stay open: nobody is signed out by an upgrade. They get an id, so that they
-- can be ended like any other; when and where they began is not known. The default of `id` is for
-- them, and for a replica of the version before this one, which goes on signing people in without it.

alter table sessions
    add column id         uuid not null default gen_random_uuid(),
    add column began_at   timestamptz,
    add column ip         text,
    add column user_agent text,
    add constraint sessions_id unique (id),
    add constraint sessions_user_agent check (length(user_agent) <= 300);
comment on column sessions.id is 'A name to speak of the session by, in addresses and events. It opens nothing: the cookie does.';
comment on column sessions.user_agent is 'As the browser wrote it when the session began, cleaned and cut.';
