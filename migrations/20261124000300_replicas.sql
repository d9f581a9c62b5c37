-- Which processes run on this database, so that two versions at once are seen and said.

create table replicas (
    id         uuid primary key,
    version    text not null,
    started_at timestamptz not null,
    seen_at    timestamptz not null
);
comment on table replicas is
    'Every process writes itself in every few seconds. Nothing is decided by this table: who may act is the lease''s to say.';
comment on column replicas.id is 'The id under which the process''s engine takes the lease.';
