//! Requests that arrive after their sender gave up.

use super::keeping::Folder;
use super::*;

fn late(seconds: u64) -> Fault {
    Fault::DeliverLate {
        millis: seconds * 1000..=seconds * 1000,
    }
}

/// Sends a create or delete that is on its way for so long; there is no answer.
async fn send_late(stage: &Stage, operation: &str, seconds: u64) {
    stage.sandbox.fail_next(operation, late(seconds)).unwrap();
    let input = target(PAYMENTS_PROD, "production-admin", ENGINEER);
    stage.sso(operation, input).await.unwrap_err();
}

#[tokio::test]
async fn a_late_create_is_carried_out_when_it_arrives() {
    let stage = Stage::new();
    send_late(&stage, "CreateAccountAssignment", 30).await;
    stage.pass(29);
    assert!(stage.sandbox.operations().is_empty());
    assert_eq!(stage.sandbox.late(), 1);
    stage.pass(1);
    assert_eq!(stage.sandbox.operations().len(), 1);
    assert_eq!(stage.sandbox.late(), 0);
    assert!(
        stage.sandbox.assignments().is_empty(),
        "accepted, not in effect"
    );
    stage.pass(5);
    assert_eq!(stage.sandbox.assignments().len(), 1);
    let calls = stage.sandbox.calls();
    let told: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call.outcome,
                call.is_late,
                (call.at - calls[0].at).num_seconds(),
            )
        })
        .collect();
    assert_eq!(told, [("late", false, 0), ("ok", true, 30)]);
}

#[tokio::test]
async fn one_whose_signature_is_too_old_by_then_is_refused() {
    let stage = Stage::with(World::demo(), |settings| settings.settle_seconds = 20);
    send_late(&stage, "CreateAccountAssignment", 21).await;
    stage.pass(60);
    assert!(stage.sandbox.assignments().is_empty());
    let calls = stage.sandbox.calls();
    assert_eq!(calls[1].outcome, "InvalidSignatureException");
}

#[tokio::test]
async fn what_arrives_and_what_ends_happen_in_the_order_of_their_times() {
    let stage = Stage::new();
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    // Arrives a second after the create has ended, and takes away what it made.
    stage.pass(1);
    send_late(&stage, "DeleteAccountAssignment", 5).await;
    stage.pass(600);
    assert!(stage.sandbox.assignments().is_empty());
    let ends: Vec<_> = stage.sandbox.operations();
    assert_eq!((ends[1].created_at - ends[0].ends_at).num_seconds(), 1);
    assert_eq!(ends[1].status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn it_arrives_even_if_the_sandbox_was_restarted_meanwhile() {
    let folder = Folder::new("late");
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let stage = folder.open(&clock);
    send_late(&stage, "CreateAccountAssignment", 30).await;
    drop(stage);
    let stage = folder.open(&clock);
    assert_eq!(stage.sandbox.late(), 1);
    stage.pass(60);
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [ENGINEER]);
}

#[tokio::test]
async fn only_a_create_or_delete_can_be_late() {
    let stage = Stage::new();
    assert!(
        stage
            .sandbox
            .fail_next("ListAccountAssignments", late(1))
            .is_err()
    );
    let rate = Rate {
        fault: late(1),
        per_mille: 1000,
        operations: vec![],
    };
    stage.sandbox.set_rates(vec![rate]).unwrap();
    assert!(stage.listed(PAYMENTS_PROD).await.is_empty());
    assert!(stage.create(PAYMENTS_PROD, ENGINEER).await.is_err());
}
