-- Everything that Curfew knows, in its first shape.
--
-- Conventions: a table with one row has the column `single`; instants end in `_at`; constraints are
-- named by hand because code maps them to sentences; every state has a CHECK, so that a row that
-- makes no sense is refused here too, not only in the code.

-- ── Which world this database belongs to ────────────────────────────────────────────────────────

create table installation (
    single            boolean primary key default true,
    kind              text not null,
    instance_arn      text not null,
    identity_store_id text not null,
    created_at        timestamptz not null,
    constraint installation_single check (single),
    constraint installation_kind check (kind in ('demo', 'production'))
);
comment on table installation is
    'Written by the first start; every later start and every take-over of the lease compares it with what Identity Center says, so that a demo never touches a real organisation.';

-- ── A copy of the directory: people, groups, accounts, permission sets ──────────────────────────

create table people (
    id        text primary key,
    user_id   text not null,
    user_name text not null,
    email     text not null,
    name      text not null,
    enabled   boolean not null
);
comment on column people.id is 'UserId of the identity store in its normal form: the bare UUID in lower case.';
comment on column people.user_id is 'UserId exactly as the identity store writes it; this form goes into AWS calls.';
comment on column people.email is 'A label, never an identity.';
create index people_email on people (lower(email));

create table groups (
    id   text primary key,
    name text not null
);
create index groups_name on groups (name);

create table memberships (
    group_id  text not null references groups (id) on delete cascade,
    person_id text not null references people (id) on delete cascade,
    primary key (group_id, person_id)
);
create index memberships_person on memberships (person_id);

create table accounts (
    id                   text primary key,
    name                 text not null,
    is_active            boolean not null,
    is_sensitive         boolean not null,
    organizational_units text[] not null,
    tags                 jsonb not null,
    constraint accounts_id check (id ~ '^\d{12}$')
);
comment on column accounts.is_sensitive is
    'The management account or the account that Curfew runs in: a rule reaches it only by id and with sensitive_account = true.';
comment on column accounts.organizational_units is 'Ids from the root down to the direct parent.';

create table permission_sets (
    arn             text primary key,
    name            text not null,
    session_seconds bigint not null,
    constraint permission_sets_session check (session_seconds > 0)
);
create index permission_sets_name on permission_sets (name);

create table directory_copy (
    single     boolean primary key default true,
    begun_at timestamptz not null,
    constraint directory_copy_single check (single)
);
comment on column directory_copy.begun_at is 'When the reading of the copy began: the copy is at least this old.';

-- ── Policy ──────────────────────────────────────────────────────────────────────────────────────

create table policies (
    version       text primary key,
    source        text not null,
    first_seen_at timestamptz not null
);
comment on column policies.version is 'SHA-256 of the source, lower-case hex.';

create table policy_in_force (
    single         boolean primary key default true,
    version      text not null references policies (version),
    groups       jsonb not null,
    activated_at timestamptz not null,
    constraint policy_in_force_single check (single)
);
comment on column policy_in_force.groups is
    'Group name to GroupId as resolved when the policy was activated. A name that resolves to another id later suspends the rules that use it.';

-- ── Requests and decisions ──────────────────────────────────────────────────────────────────────

create table requests (
    id                 uuid primary key,
    requester_id       text not null,
    requester_email    text not null,
    requester_name     text not null,
    rule               text not null,
    policy_version     text not null references policies (version),
    account_id         text not null,
    account_name       text not null,
    permission_set_arn text not null,
    permission_set     text not null,
    minutes            integer not null,
    granted_seconds    bigint not null,
    reason             text not null,
    ticket             text,
    approvals_required integer not null,
    channel            text not null,
    assurance          text not null,
    status             text not null,
    is_open            boolean not null,
    created_at         timestamptz not null,
    lapses_at          timestamptz not null,
    closed_at          timestamptz,
    constraint requests_minutes check (minutes > 0),
    constraint requests_granted check (granted_seconds > 0),
    constraint requests_reason_not_empty check (reason <> ''),
    constraint requests_approvals check (approvals_required >= 0),
    constraint requests_assurance check (assurance in ('any', 'mfa', 'phishing_resistant')),
    constraint requests_status check (
        (status = 'pending' and is_open and closed_at is null)
        or (status = 'approved' and closed_at is not null)
        or (status in ('denied', 'cancelled', 'lapsed') and not is_open and closed_at is not null)
    )
);
comment on column requests.is_open is
    'Pending, or approved with a grant that has not reached its end: the same person may not ask for the same again meanwhile.';
comment on column requests.granted_seconds is 'What the minutes are worth: 60 seconds each, except in a demo with --minute.';
comment on column requests.closed_at is 'When the status left pending.';
create unique index requests_one_open on requests (requester_id, rule, account_id) where is_open;
create index requests_pending on requests (lapses_at) where status = 'pending';
create index requests_by_requester on requests (requester_id, id desc);
create index requests_by_rule on requests (rule, id desc);
create index requests_open_of_person on requests (requester_id) where is_open;

create table decisions (
    request_id   uuid not null references requests (id),
    approver_id  text not null,
    approver_email text not null,
    approver_name  text not null,
    verdict      text not null,
    comment      text,
    channel      text not null,
    assurance    text not null,
    group_id     text not null,
    decided_at   timestamptz not null,
    primary key (request_id, approver_id),
    constraint decisions_verdict check (verdict in ('yes', 'no')),
    constraint decisions_assurance check (assurance in ('any', 'mfa', 'phishing_resistant'))
);
comment on column decisions.group_id is 'The group through which the approver qualified.';
create index decisions_approver on decisions (approver_id);

-- ── The ledger: assignments, grants, operations ─────────────────────────────────────────────────

create table assignments (
    id                 uuid primary key,
    principal_id       text not null,
    user_id            text not null,
    account_id         text not null,
    permission_set_arn text not null,
    owned_since        timestamptz,
    revision           bigint not null default 0,
    seen_present       boolean,
    seen_first_at      timestamptz,
    seen_last_at       timestamptz,
    failures           integer not null default 0,
    last_error         text,
    retry_at           timestamptz,
    next_at            timestamptz,
    constraint assignments_tuple unique (principal_id, account_id, permission_set_arn),
    constraint assignments_sight check (
        (seen_present is null and seen_first_at is null and seen_last_at is null)
        or (seen_present is not null and seen_first_at <= seen_last_at)
    )
);
comment on column assignments.owned_since is
    'Set by the commit that intends a create, cleared when Identity Center confirmed that the assignment is gone: in between it is ours and will be deleted.';
comment on column assignments.revision is
    'Counts operations opened and resolved. A listing counts only if it is unchanged since the listing began.';
comment on column assignments.seen_first_at is
    'When the first and the last complete listing of the current unbroken run with the same answer began.';
comment on column assignments.next_at is 'When the engine looks next; derived, and never the only reason to look.';
create index assignments_due on assignments (next_at) where next_at is not null;

create table grants (
    id              uuid primary key,
    request_id      uuid not null references requests (id),
    assignment_id   uuid not null references assignments (id),
    status          text not null,
    granted_seconds bigint not null,
    session_seconds bigint not null,
    start_at        timestamptz not null,
    activate_by     timestamptz not null,
    provisioning_at timestamptz,
    sent_at         timestamptz,
    ends_at         timestamptz,
    active_at       timestamptz,
    ending_at       timestamptz,
    ended_at        timestamptz,
    end_reason      text,
    overdue_at      timestamptz,
    constraint grants_request unique (request_id),
    constraint grants_granted check (granted_seconds > 0),
    constraint grants_end_reason check (end_reason in ('due', 'requester', 'approver', 'administrator', 'signal',
        'removed_outside', 'already_assigned', 'no_longer_allowed', 'provisioning_failed')),
    constraint grants_status check (
        (status = 'scheduled' and provisioning_at is null and sent_at is null and active_at is null
            and ending_at is null and ended_at is null and end_reason is null)
        or (status = 'provisioning' and provisioning_at is not null and ends_at is not null and active_at is null
            and ending_at is null and ended_at is null and end_reason is null)
        or (status = 'active' and active_at is not null and ends_at is not null
            and ending_at is null and ended_at is null and end_reason is null)
        or (status = 'ending' and ends_at is not null and ending_at is not null and ended_at is null and end_reason is not null)
        or (status = 'ended' and active_at is not null and ending_at is not null and ended_at is not null and end_reason is not null)
        or (status = 'failed' and active_at is null and ended_at is not null and end_reason is not null)
    )
);
comment on column grants.sent_at is 'Commit time of this grant''s first create intent; null if nothing was ever sent for it.';
comment on column grants.ends_at is 'Provisional from the first intent on; activation may only make it earlier.';
comment on column grants.session_seconds is 'Longest role session of the permission set when the request was approved.';
create index grants_live on grants (assignment_id) where status in ('scheduled', 'provisioning', 'active', 'ending');
create index grants_due on grants (ends_at) where status in ('provisioning', 'active');

create table operations (
    id               uuid primary key,
    number           bigint generated always as identity,
    assignment_id    uuid not null references assignments (id),
    account_id       text not null,
    grant_id         uuid references grants (id),
    kind             text not null,
    status           text not null,
    intended_at      timestamptz not null,
    answer_by        timestamptz not null,
    unresolved_until timestamptz not null,
    aws_id           text,
    accepted_at      timestamptz,
    looks            integer not null default 0,
    next_look_at     timestamptz,
    resolved_at      timestamptz,
    detail           text,
    constraint operations_kind check ((kind = 'create' and grant_id is not null) or (kind = 'delete' and grant_id is null)),
    constraint operations_status check (
        (status = 'intended' and aws_id is null and resolved_at is null)
        or (status in ('in_progress', 'stuck') and aws_id is not null and accepted_at is not null
            and next_look_at is not null and resolved_at is null)
        or (status in ('succeeded', 'failed', 'refused', 'lost', 'expired') and resolved_at is not null)
    )
);
comment on table operations is
    'Every attempt to create or delete, committed before it is sent. intended and in_progress are open; stuck was accepted long ago and never finished; lost is an attempt whose answer is unknown, expired one that is known never to have arrived.';
comment on column operations.aws_id is 'RequestId of the asynchronous operation in Identity Center.';
comment on column operations.unresolved_until is
    'From then on AWS refuses the signature of this attempt, so that it can''t arrive any more.';
create unique index operations_one_open on operations (assignment_id) where status in ('intended', 'in_progress');
create index operations_of_assignment on operations (assignment_id, number desc);
create index operations_open on operations (account_id) where status in ('intended', 'in_progress');
create index operations_recent on operations (kind, number desc) where status = 'succeeded';
create index operations_aws_id on operations (aws_id) where aws_id is not null;

create table lease (
    single       boolean primary key default true,
    holder     uuid,
    renewed_at timestamptz,
    expires_at timestamptz,
    constraint lease_single check (single),
    constraint lease_held check ((holder is null) = (expires_at is null))
);
insert into lease (single) values (true);

-- ── Sessions of the browser ─────────────────────────────────────────────────────────────────────

create table sessions (
    id_hash    bytea primary key,
    person_id  text,
    data       jsonb not null,
    expires_at timestamptz not null
);
comment on column sessions.id_hash is 'SHA-256 of the cookie''s value: a copy of this table opens no session.';
create index sessions_person on sessions (person_id);
create index sessions_expiry on sessions (expires_at);

-- ── Refusals: recorded at a bounded rate per person, then counted ───────────────────────────────

create table refusals (
    key        text primary key,
    window_at  timestamptz not null,
    recorded   integer not null,
    suppressed integer not null
);
comment on table refusals is
    'Who is refused again and again fills a counter, not the audit log; the next recorded refusal says how many were only counted.';

-- ── The audit log ───────────────────────────────────────────────────────────────────────────────

create table audit_events (
    seq            bigint not null primary key,
    id             uuid not null,
    time           timestamptz not null,
    type           text not null,
    actor_id       text,
    request_id     uuid,
    grant_id       uuid,
    account_id     text,
    permission_set text,
    canonical      bytea not null,
    hash           bytea not null,
    constraint audit_events_seq check (seq >= 1),
    constraint audit_events_hash check (length(hash) = 32)
) partition by range (seq);
comment on column audit_events.canonical is 'RFC 8785 bytes of the whole event, exported as they are.';
create index audit_events_time on audit_events (time);
create index audit_events_request on audit_events (request_id, seq) where request_id is not null;
create index audit_events_actor on audit_events (actor_id, seq);

create table audit_head (
    single boolean primary key default true,
    seq  bigint not null,
    hash bytea not null,
    time timestamptz,
    constraint audit_head_single check (single)
);
comment on table audit_head is
    'Locked last in every transaction that changes something, so that seq order is commit order and a reader that follows seq misses nothing.';
insert into audit_head (seq, hash) values (0, decode(repeat('00', 32), 'hex'));

create function audit_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'audit events can only be added (% on %)', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;

create function audit_head_forward() returns trigger language plpgsql as $$
begin
    if tg_op <> 'UPDATE' or new.seq <= old.seq then
        raise exception 'the head of the audit log only moves forward (%)', tg_op
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;

create trigger audit_events_no_change before update or delete on audit_events
    for each row execute function audit_refuse();
create trigger audit_events_no_truncate before truncate on audit_events
    for each statement execute function audit_refuse();
create trigger audit_head_forward before insert or update or delete on audit_head
    for each row execute function audit_head_forward();
create trigger audit_head_no_truncate before truncate on audit_head
    for each statement execute function audit_refuse();

-- Ranges of ten million events; a retention cut detaches whole ranges. The default partition is a
-- safety net that no insert should reach. TRUNCATE triggers are not inherited, so each range has one.
do $$
declare
    part text;
begin
    for n in 0..9 loop
        part := format('audit_events_%s', n);
        execute format('create table %I partition of audit_events for values from (%s) to (%s)',
            part, n * 10000000::bigint, (n + 1) * 10000000::bigint);
        execute format('create trigger %I before truncate on %I for each statement execute function audit_refuse()',
            part || '_no_truncate', part);
    end loop;
    create table audit_events_rest partition of audit_events default;
    create trigger audit_events_rest_no_truncate before truncate on audit_events_rest
        for each statement execute function audit_refuse();
end
$$;
