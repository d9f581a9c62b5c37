//! Everything that may go wrong, as a caller sees it: through the real SDK where the wire matters.

use aws_sdk_ssoadmin::error::SdkError;

use super::wire::Wire;
use super::*;

const CREATE: &str = "CreateAccountAssignment";
const DELETE: &str = "DeleteAccountAssignment";

/// How each of so many calls went.
async fn outcomes(stage: &Stage, account: &str, times: usize) -> Vec<bool> {
    let input = json!({"AccountId": account, "PermissionSetArn": set("production-admin")});
    let mut outcomes = Vec::new();
    for _ in 0..times {
        let answer = stage.sso("ListAccountAssignments", input.clone()).await;
        outcomes.push(answer.is_ok());
    }
    outcomes
}

#[tokio::test]
async fn a_reset_connection_is_a_reset_to_the_sdk() {
    let wire = Wire::new().await;
    for (fault, operations) in [(Fault::ResetBefore, 0), (Fault::ResetAfter, 1)] {
        wire.stage.sandbox.fail_next(CREATE, fault).unwrap();
        let error = wire.create(PAYMENTS_PROD).send().await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
        assert!(
            format!("{error:?}").contains("ConnectionReset"),
            "{error:?}"
        );
        assert_eq!(wire.stage.sandbox.operations().len(), operations);
    }
}

#[tokio::test]
async fn each_refusal_has_its_status_and_code() {
    let wire = Wire::new().await;
    for (fault, status, code) in [
        (Fault::Throttle, 400, "ThrottlingException"),
        (Fault::Conflict, 400, "ConflictException"),
        (Fault::Internal, 500, "InternalServerException"),
        (Fault::Unavailable, 503, "ServiceUnavailableException"),
        (Fault::AccessDenied, 400, "AccessDeniedException"),
    ] {
        wire.stage.sandbox.fail_next(CREATE, fault).unwrap();
        let (found, name, _) = wire.refusal(PAYMENTS_PROD).await;
        assert_eq!((found, name.as_str()), (status, code));
    }
    assert!(wire.stage.sandbox.operations().is_empty());
}

#[tokio::test]
async fn a_fault_may_wait_for_a_later_call() {
    let stage = Stage::new();
    let scripted = |nth| Scripted {
        operation: CREATE.to_owned(),
        nth,
        fault: Fault::Throttle,
    };
    stage.sandbox.fail(scripted(2)).unwrap();
    // That place is taken, so it is the one after.
    stage.sandbox.fail(scripted(2)).unwrap();
    let mut went_well = Vec::new();
    for account in [
        "111111111111",
        "222222222222",
        "222222222222",
        "333333333333",
    ] {
        went_well.push(stage.create(account, ENGINEER).await.is_ok());
    }
    assert_eq!(went_well, [true, false, false, true]);
}

#[tokio::test]
async fn a_rate_is_drawn_from_the_seed_whatever_comes_in_between() {
    let run = async |seed, with_others: bool| {
        let stage = Stage::with(World::demo(), |settings| settings.seed = seed);
        let rate = Rate {
            fault: Fault::Internal,
            per_mille: 250,
            operations: vec![],
        };
        stage.sandbox.set_rates(vec![rate]).unwrap();
        let mut found = Vec::new();
        for _ in 0..200 {
            if with_others {
                outcomes(&stage, DATA_PROD, 1).await;
            }
            found.extend(outcomes(&stage, PAYMENTS_PROD, 1).await);
        }
        found
    };
    let first = run(1, false).await;
    let failures = first.iter().filter(|went_well| !**went_well).count();
    assert!((25..=75).contains(&failures), "{failures} of 200 at 25 %");
    assert_eq!(first, run(1, true).await);
    assert_ne!(first, run(2, false).await);
}

#[tokio::test]
async fn a_window_hits_every_call_and_scripted_faults_wait_until_it_is_over() {
    let stage = Stage::new();
    let window = Window {
        fault: Fault::Unavailable,
        from_seconds: 60,
        seconds: 60,
        operations: vec![],
    };
    stage.sandbox.open_window(window).unwrap();
    assert_eq!(outcomes(&stage, PAYMENTS_PROD, 2).await, [true, true]);
    stage.pass(60);
    stage.sandbox.fail_next(CREATE, Fault::Conflict).unwrap();
    let refused = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap_err();
    assert!(
        refused.starts_with("ServiceUnavailableException"),
        "{refused}"
    );
    assert_eq!(outcomes(&stage, PAYMENTS_PROD, 2).await, [false, false]);
    stage.pass(60);
    assert_eq!(outcomes(&stage, PAYMENTS_PROD, 2).await, [true, true]);
    let refused = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap_err();
    assert!(refused.starts_with("ConflictException"), "{refused}");
}

#[tokio::test]
async fn an_operation_fails_with_each_known_text_with_and_without_its_effect() {
    for (name, _) in FAILURES {
        for (operation, takes_effect) in [
            (CREATE, true),
            (CREATE, false),
            (DELETE, true),
            (DELETE, false),
        ] {
            let stage = Stage::new();
            let (account, admin) = ("payments-prod", "production-admin");
            if operation == DELETE {
                let sandbox = &stage.sandbox;
                sandbox
                    .add_assignment(account, admin, PrincipalType::User, "engineer")
                    .unwrap();
            }
            let fault = Fault::AsyncFailed {
                reason: name.to_owned(),
                takes_effect,
            };
            stage.sandbox.fail_next(operation, fault).unwrap();
            if operation == CREATE {
                stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
            } else {
                stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
            }
            stage.pass(5);
            let OperationStatus::Failed(reason) = &stage.sandbox.operations()[0].status else {
                panic!("{name} did not fail");
            };
            assert!(!reason.contains(['{', '}']) && reason != name, "{reason}");
            let is_there = !stage.sandbox.assignments().is_empty();
            assert_eq!(is_there, (operation == CREATE) == takes_effect, "{name}");
        }
    }
}

#[tokio::test]
async fn a_delete_may_be_accepted_during_a_create_and_end_before_or_after_it() {
    for (create_millis, is_there) in [(2000, false), (8000, true)] {
        let stage = Stage::with(World::demo(), |settings| {
            settings.accepts_delete_during_create = true;
        });
        let slow = Fault::Slow {
            millis: create_millis,
        };
        stage.sandbox.fail_next(CREATE, slow).unwrap();
        stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
        // Only of the same assignment, and only in this order.
        assert!(stage.delete(PAYMENTS_PROD, APPROVER2).await.is_err());
        assert!(stage.create(PAYMENTS_PROD, ENGINEER).await.is_err());
        let id = stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
        stage.pass(60);
        assert_eq!(!stage.sandbox.assignments().is_empty(), is_there);
        let expected = if is_there { "FAILED" } else { "SUCCEEDED" };
        assert_eq!(stage.deletion(&id).await.0, expected);
    }
}

#[tokio::test]
async fn a_request_id_expires_whether_or_not_its_operation_has_ended() {
    let stage = Stage::with(World::demo(), |settings| settings.request_id_seconds = 3);
    let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    let asked = async || {
        let input = json!({"AccountAssignmentCreationRequestId": id});
        let one = stage
            .sso("DescribeAccountAssignmentCreationStatus", input)
            .await;
        let all = stage
            .sso("ListAccountAssignmentCreationStatus", json!({}))
            .await;
        let all = all.unwrap()["AccountAssignmentsCreationStatus"].clone();
        (one.is_ok(), all.as_array().unwrap().len())
    };
    stage.pass(2);
    assert_eq!(asked().await, (true, 1));
    stage.pass(1);
    assert_eq!(asked().await, (false, 0));
    stage.pass(2);
    assert_eq!(stage.sandbox.assignments().len(), 1, "it has its effect");
}

#[tokio::test]
async fn listings_may_be_of_any_age_and_contradict_each_other() {
    let stage = Stage::with(World::demo(), |settings| {
        settings.list_lag_millis = 0..=10_000;
        settings.operation_millis = 0..=0;
    });
    stage.pass(60);
    let seen = async || {
        let mut seen = Vec::new();
        for _ in 0..40 {
            seen.push(!stage.listed(PAYMENTS_PROD).await.is_empty());
        }
        seen
    };
    stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    // Absent although it is there …
    let after_create = seen().await;
    assert!(after_create.contains(&false) && after_create.contains(&true));
    stage.pass(60);
    assert!(!seen().await.contains(&false));
    stage.delete(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    // … and there although it is gone, more than once in turn.
    let after_delete = seen().await;
    let turns = after_delete.windows(2).filter(|pair| pair[0] != pair[1]);
    assert!(turns.count() > 2, "{after_delete:?}");
    stage.pass(60);
    assert!(!seen().await.contains(&true));
}

#[tokio::test]
async fn answers_are_held_back_most_of_them_briefly() {
    let wire = Wire::new().await;
    wire.stage
        .sandbox
        .set_settings(|settings| settings.latency_millis = 40..=40);
    let began = std::time::Instant::now();
    wire.create(PAYMENTS_PROD).send().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(40));

    let stage = Stage::with(World::demo(), |settings| {
        settings.latency_millis = 0..=10_000;
    });
    let inner = stage.sandbox.0.lock();
    let mut millis: Vec<u128> = (0..1000)
        .map(|nth| {
            let draw = super::super::faults::Draw {
                nth,
                ..Default::default()
            };
            inner.latency(&draw).as_millis()
        })
        .collect();
    millis.sort_unstable();
    assert!(millis[500] < 100, "the median is {}", millis[500]);
    assert!(millis[995] > 5000, "the tail is {}", millis[995]);
}
