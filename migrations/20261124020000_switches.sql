-- Two switches for the bad day: no new access, and the end of everything.

create table pause (
    single    boolean primary key default true,
    paused_at timestamptz,
    by_whom   text,
    comment   text,
    constraint pause_single check (single),
    constraint pause_whole check (
        (paused_at is null and by_whom is null and comment is null)
        or (paused_at is not null and by_whom <> '' and comment <> '')
    )
);
comment on table pause is
    'While paused_at is set no request is taken, nobody can say yes, and the engine neither creates nor joins. Whoever commits the intent of a create holds the row for share: a pause that was committed before is seen, a later one waits.';
comment on column pause.by_whom is 'An e-mail, or an operator at the shell: for people to read. The audit log says it exactly.';
insert into pause (single) values (true);

create table end_orders (
    id           uuid primary key,
    ordered_at   timestamptz not null,
    by_whom      text not null,
    comment      text not null,
    ends_started bigint not null default 0,
    done_at      timestamptz,
    constraint end_orders_whole check (by_whom <> '' and comment <> '' and ends_started >= 0),
    constraint end_orders_done check (done_at >= ordered_at)
);
comment on table end_orders is
    'Everything that was approved until ordered_at shall end. An order is a row before the first end, so that neither a crash nor one odd grant leaves the rest alive: whoever finds an order open goes on with it.';
comment on column end_orders.ends_started is 'How many ends began by this order, counted in the transaction of each.';
create index end_orders_open on end_orders (ordered_at) where done_at is null;
