//! Lost answers, crashes between two steps, and messages that arrive late (protocol S4, G1).

use std::time::Duration;

use chrono::TimeDelta;
use curfew::access::assignment::Assignment;
use curfew::access::id::AssignmentId;
use curfew::access::person::PersonId;
use curfew::aws::answer::{Answer, Refusal};
use curfew::aws::permit::Permit;
use curfew::clock::Clock;
use curfew::sandbox::{Fault, PrincipalType};

use crate::support::TestApp;

const ACCOUNT: &str = "111111111111";
const SET: &str = "production-admin";

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_found_by_its_listing() {
    let app = TestApp::start().await;
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerAfter)
        .unwrap();
    let id = app.approved(5).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    assert_eq!(
        app.count_calls("CreateAccountAssignment"),
        1,
        "not sent again"
    );
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(app.status(&id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn a_create_that_never_arrived_is_sent_again_after_a_fresh_check() {
    let app = TestApp::start().await;
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerBefore)
        .unwrap();
    let id = app.approved(5).await;
    let checks = app.count_calls("IsMemberInGroups");
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    assert_eq!(app.count_calls("CreateAccountAssignment"), 2);
    assert_eq!(
        app.count_calls("IsMemberInGroups") - checks,
        4,
        "S1: two people, each attempt"
    );
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(app.status(&id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn while_a_lost_create_may_arrive_the_end_is_not_said() {
    let app = TestApp::start().await;
    // Lost for good: neither the listing of operations nor a look shows anything.
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerBefore)
        .unwrap();
    let id = app.approved(5).await;
    app.tick().await;
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    app.run_for(TimeDelta::seconds(5)).await;
    assert_eq!(
        app.status(&id).await,
        "ending",
        "S4: unresolved until AWS would refuse it"
    );
    app.run_for(TimeDelta::minutes(1)).await;
    assert_eq!(app.status(&id).await, "failed");
    app.finish().await;
}

#[tokio::test]
async fn a_delete_whose_answer_is_lost_is_sent_again_whether_it_arrived_or_not() {
    for fault in [Fault::LoseAnswerBefore, Fault::LoseAnswerAfter] {
        let app = TestApp::start().await;
        let id = app.approved(5).await;
        app.settle().await;
        app.sandbox
            .fail_next("DeleteAccountAssignment", fault)
            .unwrap();
        app.run_for(TimeDelta::minutes(6)).await;
        assert_eq!(app.status(&id).await, "ended");
        assert!(app.count_calls("DeleteAccountAssignment") >= 2);
        app.finish().await;
    }
}

#[tokio::test]
async fn answers_to_questions_may_get_lost_too() {
    let app = TestApp::start().await;
    for operation in [
        "ListAccountAssignments",
        "DescribeAccountAssignmentCreationStatus",
        "DescribeAccountAssignmentDeletionStatus",
        "DescribeUser",
        "IsMemberInGroups",
    ] {
        app.sandbox
            .fail_next(operation, Fault::LoseAnswerBefore)
            .unwrap();
        app.sandbox.fail_next(operation, Fault::Internal).unwrap();
    }
    let (engineer, approver) = (app.sign_in("engineer").await, app.sign_in("approver").await);
    let id = engineer.asks(5).await;
    // The directory's lost answers meet the approver first; then the check before the start.
    while approver.act(&id, "approve").await.status == 503 {}
    app.run_for(TimeDelta::minutes(1)).await;
    assert_eq!(app.status(&id).await, "active");
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(app.status(&id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn the_process_may_die_after_every_single_pass() {
    let mut app = TestApp::start().await;
    let id = app.approved(5).await;
    for _ in 0..40 {
        let pass = app.tick().await;
        app.crash_and_restart().await;
        let pause = pass
            .next_at
            .map_or(TimeDelta::seconds(1), |next| next - app.now());
        app.advance(pause.clamp(TimeDelta::zero(), TimeDelta::seconds(20)));
    }
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(app.status(&id).await, "ended");
    app.finish().await;
}

#[tokio::test]
async fn a_crash_with_an_answer_in_flight_leaves_nothing_behind() {
    for operation in ["CreateAccountAssignment", "DeleteAccountAssignment"] {
        for fault in [Fault::LoseAnswerBefore, Fault::LoseAnswerAfter] {
            let mut app = TestApp::start().await;
            let id = app.approved(5).await;
            app.sandbox.fail_next(operation, fault).unwrap();
            // The pass in which the call is made is the last of this process.
            while !app.sandbox.waiting_faults().is_empty() {
                let pass = app.tick().await;
                if let Some(next) = pass.next_at {
                    app.advance((next - app.now()).max(TimeDelta::milliseconds(50)));
                }
            }
            app.crash_and_restart().await;
            app.run_for(TimeDelta::minutes(8)).await;
            assert_eq!(app.status(&id).await, "ended");
            app.finish().await;
        }
    }
}

#[tokio::test]
async fn a_create_that_arrives_late_leaves_nothing_behind() {
    let app = TestApp::start().await;
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 100..=100);
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerBefore)
        .unwrap();
    let id = app.approved(5).await;
    let intended = app.now();
    app.tick().await;
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    app.run_for(TimeDelta::seconds(8)).await;
    assert!(app.now() < intended + may_arrive(&app));
    let said = app.status(&id).await;
    // Now it does.
    app.sandbox
        .add_assignment(ACCOUNT, SET, PrincipalType::User, "engineer")
        .unwrap();
    for _ in 0..60 {
        app.advance(TimeDelta::seconds(1));
        app.tick().await;
    }
    assert!(
        !app.is_assigned(ACCOUNT, SET, "engineer"),
        "access was left behind; the grant had been said to be {said:?}"
    );
    assert_eq!(said, "ending", "S4, G1: unresolved until it can't arrive");
    app.finish().await;
}

#[tokio::test]
async fn a_found_create_may_be_somebody_else_s_and_a_lost_one_of_ours_is_waited_for_all_the_same() {
    let app = TestApp::start().await;
    app.sandbox
        .set_settings(|settings| settings.operation_millis = 100..=100);
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerBefore)
        .unwrap();
    let id = app.approved(5).await;
    let intended = app.now();
    app.tick().await;
    assert!(app.sandbox.waiting_faults().is_empty(), "ours is lost");
    create_as_somebody(&app, ACCOUNT, SET, "engineer").await;
    app.run_for(TimeDelta::seconds(4)).await;
    assert_eq!(app.status(&id).await, "active");
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    app.run_for(TimeDelta::seconds(4)).await;
    assert!(!app.is_assigned(ACCOUNT, SET, "engineer"));
    assert!(app.now() < intended + may_arrive(&app));
    let said = app.status(&id).await;
    // Now ours arrives.
    app.sandbox
        .add_assignment(ACCOUNT, SET, PrincipalType::User, "engineer")
        .unwrap();
    app.run_for(TimeDelta::minutes(1)).await;
    assert!(
        !app.is_assigned(ACCOUNT, SET, "engineer"),
        "access was left behind; the grant had been said to be {said:?}"
    );
    assert_eq!(said, "ending", "S4, G1: unresolved until it can't arrive");
    assert_eq!(app.status(&id).await, "ended");
    app.finish().await;
}

/// Permit, call and signature leave a create so long to arrive.
fn may_arrive(app: &TestApp) -> TimeDelta {
    app.settings.timing.settle
        + TimeDelta::from_std(app.settings.permit + app.settings.call_timeout).unwrap()
}

#[tokio::test]
async fn an_expired_permit_sends_nothing_and_says_so() {
    let app = TestApp::start().await;
    let directory = &app.app.broker.directory;
    let world = app.sandbox.world();
    let user = world.user_named("engineer").unwrap().id.clone();
    let assignment = Assignment {
        id: AssignmentId::new(app.now()),
        principal_id: PersonId::new(&user),
        user_id: user,
        account_id: ACCOUNT.to_owned(),
        permission_set_arn: world.permission_set_named(SET).unwrap().arn.clone(),
        owned_since: None,
        revision: 0,
        sight: None,
        failures: 0,
        target_gone: None,
        retry_at: None,
    };
    let permit = Permit::start(&Clock::Fixed(app.clock.clone()), Duration::from_secs(3));
    app.advance(TimeDelta::seconds(4));
    let answer = directory
        .aws
        .identity_center(&directory.instance)
        .create(&assignment, permit)
        .await;
    assert!(
        matches!(
            answer,
            Answer::Refused {
                refusal: Refusal::NotSent,
                ..
            }
        ),
        "{answer:?}"
    );
    assert_eq!(app.count_calls("CreateAccountAssignment"), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_create_that_identity_center_forgets_still_comes_to_an_end() {
    let app = TestApp::start().await;
    let id = app.approved(5).await;
    app.tick().await;
    let mut conn = app.app.broker.db.conn().await.unwrap();
    sqlx::raw_sql("update operations set aws_id = '00000000-0000-4000-8000-00000000dead'")
        .execute(&mut *conn)
        .await
        .unwrap();
    drop(conn);
    app.sign_in("engineer")
        .await
        .act(&id, "end")
        .await
        .expect(200);
    let before = app.sandbox.calls().len();
    app.run_for(TimeDelta::minutes(2)).await;
    let calls = app.sandbox.calls().len() - before;
    assert_eq!(app.status(&id).await, "failed");
    assert!(calls < 150, "{calls} calls");
    app.finish().await;
}

#[tokio::test]
async fn another_tool_s_operations_are_not_taken_for_a_lost_one_of_ours() {
    let mut app = TestApp::start().await;
    others_work(&mut app).await;
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerBefore)
        .unwrap();
    let id = app.approved(5).await;
    app.settle().await;
    assert_eq!(app.status(&id).await, "active");
    assert_eq!(
        app.count_calls("CreateAccountAssignment"),
        6 + 2,
        "ours was lost, and sent again"
    );
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(app.status(&id).await, "ended");
    assert_eq!(app.sandbox.assignments().len(), 6, "theirs are still there");
    app.finish().await;
}

#[tokio::test]
async fn a_search_among_many_foreign_operations_comes_to_an_end_on_the_smallest_budget() {
    let mut app = TestApp::start().await;
    others_work(&mut app).await;
    app.settings.calls_per_second = 1;
    app.crash_and_restart().await;
    app.sandbox
        .fail_next("CreateAccountAssignment", Fault::LoseAnswerBefore)
        .unwrap();
    let id = app.approved(5).await;
    app.run_for(TimeDelta::minutes(3)).await;
    assert_eq!(app.status(&id).await, "active");
    let looks = app.count_calls("DescribeAccountAssignmentCreationStatus");
    assert!(looks <= 6 + 10, "{looks}: each of theirs is asked for once");
    app.run_for(TimeDelta::minutes(6)).await;
    assert_eq!(app.status(&id).await, "ended");
    app.finish().await;
}

/// Another tool of the organisation assigns people; six of its operations are in the list.
async fn others_work(app: &mut TestApp) {
    for user in ["engineer", "engineer2", "approver"] {
        for account in ["222222222222", "333333333333"] {
            let tuple = create_as_somebody(app, account, "read-only", user).await;
            app.by_hand.insert(tuple);
            app.advance(TimeDelta::seconds(3));
        }
    }
}

/// Somebody else's tool sends a create.
async fn create_as_somebody(
    app: &TestApp,
    account: &str,
    permission_set: &str,
    user: &str,
) -> (String, String, String) {
    use aws_sdk_ssoadmin::types::{PrincipalType as Principal, TargetType};
    let world = app.sandbox.world();
    let directory = &app.app.broker.directory;
    let set = world
        .permission_set_named(permission_set)
        .unwrap()
        .arn
        .clone();
    let user = world.user_named(user).unwrap().id.clone();
    let create = directory.aws.sso_admin.create_account_assignment();
    let made = create
        .instance_arn(&directory.instance.arn)
        .target_id(account)
        .target_type(TargetType::AwsAccount)
        .permission_set_arn(&set)
        .principal_type(Principal::User)
        .principal_id(&user);
    made.send().await.unwrap();
    (account.to_owned(), set, user)
}
