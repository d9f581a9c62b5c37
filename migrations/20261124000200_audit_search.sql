-- Searching the audit log by person, account, type and rule, and what the operations page looks for.
-- The log itself is only added to: nothing in it is rewritten, names are kept beside it.

create table audit_names (
    kind text not null,
    id   text not null,
    name text not null,
    constraint audit_names_kind check (kind in ('person', 'account')),
    constraint audit_names_not_empty check (name <> '')
);
comment on table audit_names is
    'Every name that an actor or an account of the log ever had, kept when people leave the directory and when names change. Derived from the log, and no part of its proof.';
comment on column audit_names.name is 'Of a person the e-mail and the name, each in a row of its own.';
-- The hash, because a name may be longer than an index entry; two names with one hash lose a search, not an event.
create unique index audit_names_once on audit_names (kind, id, hashtextextended(name, 0));

insert into audit_names (kind, id, name)
select kind, id, name
from (select 'person' as kind, actor_id as id, convert_from(canonical, 'utf8')::json #>> '{actor,email}' as name
      from audit_events
      union
      select 'account', account_id, convert_from(canonical, 'utf8')::json #>> '{target,account_name}'
      from audit_events
      union
      select 'person', requester_id, requester_name from requests
      union
      select 'person', approver_id, approver_name from decisions
      union
      select 'person', id, name from people where id in (select actor_id from audit_events)) known
where id is not null and name <> ''
on conflict do nothing;

create index audit_events_account on audit_events (account_id, seq) where account_id is not null;
-- By pattern, so that a beginning such as grant. finds its events whatever the collation.
create index audit_events_type on audit_events (type text_pattern_ops, seq);

create index operations_gone_wrong on operations (resolved_at) where status in ('failed', 'refused', 'lost');
create index operations_unfinished on operations (number) where status in ('intended', 'in_progress', 'stuck');
