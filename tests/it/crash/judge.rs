//! What must hold, asked from outside: of AWS over its own interface, and of the rows by SQL.

use std::collections::BTreeMap;

use curfew::sandbox::OperationKind;

use super::world::World;
use crate::support::check;

/// Promise P3 at this moment: where "ended" or "failed" is said and nothing else is wanted, nothing is.
pub(super) async fn words(world: &mut World) {
    let over = world
        .look(
            "select distinct a.account_id || ' ' || a.user_id from assignments a join grants g on g.assignment_id = a.id
             group by a.id having bool_and(g.status in ('ended', 'failed'))",
        )
        .await;
    for row in world.sandbox.assignments() {
        let tuple = format!("{} {}", row.account_id, row.principal_id);
        assert!(
            !over.contains(&tuple),
            "{tuple} is there and said to be over\n{}",
            ledger(world).await
        );
    }
}

/// At the end of a life: everything is over, nothing is left, nothing is lost, and each step was once.
pub(super) async fn everything(world: &mut World) {
    // A request that a thawed process made after all is nobody's.
    for id in world
        .look("select id::text from requests where status = 'pending'")
        .await
    {
        world.acts("engineer", "cancel", &id, &["pending"]).await;
    }
    world
        .until("nothing is left", async |world| {
            let left = world
                .look(
                    "select 'the request ' || id from requests where is_open
                     union all select 'the grant ' || id || ' ' || status from grants where status not in ('ended', 'failed')
                     union all select 'the assignment ' || id from assignments where owned_since is not null
                     union all select 'the operation ' || id || ' ' || status from operations where status in ('intended', 'in_progress', 'stuck')",
                )
                .await;
            if left.is_empty() { Ok(Some(())) } else { Err(left.join(", ")) }
        })
        .await;
    words(world).await;
    let there = world.sandbox.assignments();
    assert!(
        there.is_empty(),
        "left in AWS: {there:?}\n{}",
        ledger(world).await
    );
    let lost = world
        .look(
            "select 'the request ' || r.id from requests r left join grants g on g.request_id = r.id
             where (r.status = 'approved') <> (g.id is not null)",
        )
        .await;
    assert!(lost.is_empty(), "approved and given nothing: {lost:?}");
    steps_were_once(world).await;
    every_operation_is_known(world).await;
    check::the_log_is_whole(&world.db).await;
}

/// Each row's events, by type: what must be there is, once, and nothing is twice.
async fn steps_were_once(world: &mut World) {
    let events = world
        .look(
            "select type || ' ' || coalesce(case when type like 'grant.%' then grant_id end, request_id)
             from audit_events where type like 'grant.%' or type like 'request.%' and type <> 'request.refused'",
        )
        .await;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &events {
        *counts.entry(event).or_default() += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    let owed = world
        .look(
            "select 'request.created ' || id from requests
             union all select 'request.' || status || ' ' || id from requests
             union all select 'grant.scheduled ' || id from grants
             union all select 'grant.provisioning_started ' || id from grants where provisioning_at is not null
             union all select 'grant.activated ' || id from grants where active_at is not null
             union all select 'grant.end_started ' || id from grants where ending_at is not null
             union all select 'grant.' || status || ' ' || id from grants
             union all select 'grant.end_overdue ' || id from grants where overdue_at is not null",
        )
        .await;
    let missing: Vec<_> = owed
        .iter()
        .filter(|event| !counts.contains_key(event.as_str()))
        .collect();
    assert!(missing.is_empty(), "never recorded: {missing:?}");
    assert_eq!(
        owed.len(),
        counts.len(),
        "recorded of nothing: {counts:?}, rows: {owed:?}"
    );
}

/// No access came about without a row that was committed before.
async fn every_operation_is_known(world: &mut World) {
    let creates = world.sandbox.operations();
    let creates = creates
        .iter()
        .filter(|operation| operation.kind == OperationKind::Create);
    let intents = world
        .look("select id::text from operations where kind = 'create'")
        .await;
    assert!(
        creates.count() <= intents.len(),
        "AWS knows of more creates than the ledger"
    );
}

/// The ledger, for whoever must explain what went wrong.
pub(super) async fn ledger(world: &mut World) -> String {
    let rows = world
        .look(
            "select format('operation %s %s %s intended %s resolved %s %s', id, kind, status, intended_at, resolved_at, detail)
             from operations
             union all (select format('event %s %s %s', time, type, grant_id) from audit_events order by seq desc limit 40)
             union all select format('grant %s %s %s', id, status, end_reason) from grants where status not in ('ended', 'failed')
             union all select format('assignment %s %s', id, row_to_json(assignments)) from assignments",
        )
        .await;
    format!("{}\n{:?}", rows.join("\n"), world.sandbox.assignments())
}
