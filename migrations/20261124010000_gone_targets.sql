-- What can't be confirmed gone because its person, permission set or account is itself gone or closed (protocol G2):
-- the assignment remembers what live looks said, and an administrator may close the grant, which then is over without
-- ever having been called ended.

alter table assignments
    add column target_looked_at timestamptz,
    add column target_gone text,
    add column target_gone_first_at timestamptz,
    add column target_gone_last_at timestamptz,
    add constraint assignments_target_gone check (
        (target_gone is null and target_gone_first_at is null and target_gone_last_at is null)
        or (target_gone in ('person', 'permission_set', 'account') and target_gone_first_at <= target_gone_last_at)
    );
comment on column assignments.target_looked_at is
    'When somebody last asked, live, whether the person, the permission set and the account still exist. Asked only of what keeps failing.';
comment on column assignments.target_gone is
    'Which of them is gone or closed, by an unbroken run of live looks; ten minutes of it confirm that.';
create index assignments_failing on assignments (target_looked_at) where owned_since is not null and failures > 0;
create index assignments_owned on assignments (id) where owned_since is not null;

alter table grants
    add column closed_at timestamptz,
    drop constraint grants_status,
    add constraint grants_status check (
        (status = 'scheduled' and provisioning_at is null and sent_at is null and active_at is null
            and ending_at is null and ended_at is null and end_reason is null)
        or (status = 'provisioning' and provisioning_at is not null and ends_at is not null and active_at is null
            and ending_at is null and ended_at is null and end_reason is null)
        or (status = 'active' and active_at is not null and ends_at is not null
            and ending_at is null and ended_at is null and end_reason is null)
        or (status = 'ending' and ends_at is not null and ending_at is not null and ended_at is null and end_reason is not null)
        or (status = 'ended' and active_at is not null and ending_at is not null and ended_at is not null and end_reason is not null)
        or (status = 'failed' and active_at is null and ended_at is not null and end_reason is not null)
        or (status = 'closed_unconfirmed' and ends_at is not null and ending_at is not null and ended_at is null
            and end_reason is not null)
    ),
    add constraint grants_closed check ((status = 'closed_unconfirmed') = (closed_at is not null));
comment on column grants.closed_at is
    'When an administrator closed it although nobody could confirm that the access is gone. Its assignment stays ours.';
create index grants_overdue on grants (overdue_at) where status = 'ending' and overdue_at is not null;
