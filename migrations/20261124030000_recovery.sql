-- A database that lost committed transactions (an asynchronous failover, an old backup): what is known
-- of the loss, and what was found in Identity Center that the ledger can't explain (protocol D2, D3).

create table recoveries (
    id              uuid primary key,
    begun_at        timestamptz not null,
    remembered_seq  bigint not null,
    remembered_hash bytea not null,
    found_seq       bigint not null,
    swept_at        timestamptz,
    confirmed_at    timestamptz,
    constraint recoveries_hash check (length(remembered_hash) = 32)
);
comment on table recoveries is
    'While one is not confirmed no access is given: deletes go on, Identity Center is swept, and an administrator decides about what is found.';
comment on column recoveries.remembered_seq is 'The last event that a process had seen and that this database does not contain.';
comment on column recoveries.found_seq is 'The last event of this database when the loss was noticed.';
comment on column recoveries.swept_at is 'When the last complete round of the sweep began.';
create unique index recoveries_one_open on recoveries ((true)) where confirmed_at is null;

create table findings (
    id                 uuid primary key,
    recovery_id        uuid not null references recoveries (id),
    principal_id       text not null,
    user_id            text not null,
    account_id         text not null,
    permission_set_arn text not null,
    first_seen_at      timestamptz not null,
    last_seen_at       timestamptz not null,
    reported_at        timestamptz,
    decision           text,
    decided_at         timestamptz,
    constraint findings_tuple unique (recovery_id, principal_id, account_id, permission_set_arn),
    constraint findings_decision check (
        (decision is null and decided_at is null) or (decision in ('keep', 'remove') and decided_at is not null)
    )
);
comment on table findings is
    'Assignments of guarded permission sets that the ledger does not own. Two sightings with a gap make a finding; kept ones are standing, removed ones became the ledger''s to delete.';

-- What a process remembers of the loss may be a create whose intent, grant included, is gone.
alter table operations drop constraint operations_kind;
alter table operations add constraint operations_kind check (
    kind = 'create' or (kind = 'delete' and grant_id is null)
);
