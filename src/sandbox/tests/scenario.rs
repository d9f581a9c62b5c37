//! Scenario files: the documented sample, what is refused, and what happens when.

use super::*;

fn play(stage: &Stage, text: &str) -> anyhow::Result<()> {
    stage.sandbox.play(Scenario::parse(text)?)
}

#[test]
fn the_documented_sample_can_be_played() {
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let path = PathBuf::from(root).join("docs/sandbox-scenario.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let scenario = Scenario::parse(&text).unwrap();
    assert!(
        !scenario.faults.is_empty()
            && !scenario.rates.is_empty()
            && !scenario.windows.is_empty()
            && !scenario.edits.is_empty(),
        "the sample shows everything"
    );
    Stage::new().sandbox.play(scenario).unwrap();
}

#[test]
fn what_can_t_be_is_refused_by_its_name() {
    for (text, named) in [
        ("[settings]\nspeed = 3", "speed"),
        ("seeds = 3", "seeds"),
        ("[[rate]]\nfault = 'explode'\nper_mille = 3", "explode"),
        (
            "[[rate]]\nfault = 'throttle'\nper_mille = 3000",
            "per_mille",
        ),
        (
            "[[fault]]\noperation = 'Nonsense'\nfault = 'throttle'",
            "Nonsense",
        ),
        (
            "[[fault]]\noperation = 'ListUsers'\nfault = { slow = { millis = 3 } }",
            "ListUsers",
        ),
        (
            "[[fault]]\noperation = 'ListUsers'\nnth = 0\nfault = 'throttle'",
            "nth",
        ),
        (
            "[[fault]]\noperation = 'ListUsers'\nfault = { slow = { seconds = 3 } }",
            "seconds",
        ),
        ("[[window]]\nfault = 'throttle'\nminutes = 3", "minutes"),
        (
            "[[edit]]\nat_seconds = 3\nedit = { explode = { user = 'x' } }",
            "explode",
        ),
        (
            "[settings.operation_millis]\nstart = 9\nend = 3",
            "operation_millis",
        ),
    ] {
        let error = play(&Stage::new(), text).unwrap_err();
        assert!(format!("{error:#}").contains(named), "{text}: {error:#}");
    }
}

#[tokio::test]
async fn edits_happen_at_their_times_though_nobody_asked_in_between() {
    let stage = Stage::new();
    let text = "
        [[edit]]
        at_seconds = 20
        edit = { delete_user = { user = 'engineer' } }
        [[edit]]
        at_seconds = 10
        edit = { add_assignment = { account = 'payments-prod', permission_set = 'production-admin', principal = 'approver' } }
        [[edit]]
        at_seconds = 30
        edit = { set_user_enabled = { user = 'engineer', enabled = false } }
        [[edit]]
        at_seconds = 40
        edit = { set_account_state = { account = 'payments-prod', state = 'SUSPENDED' } }
    ";
    play(&stage, text).unwrap();
    stage.pass(9);
    assert!(stage.listed(PAYMENTS_PROD).await.is_empty());
    stage.pass(1);
    assert_eq!(stage.listed(PAYMENTS_PROD).await.len(), 1);
    stage.pass(8);
    // Ends at 23 s, when the person is gone. The edit at 30 s names nobody and is left out.
    let id = stage.create(DATA_PROD, ENGINEER).await.unwrap();
    stage.pass(60);
    assert_eq!(stage.creation(&id).await.0, "FAILED");
    assert!(stage.create(PAYMENTS_PROD, APPROVER2).await.is_err());
}

#[tokio::test]
async fn a_scenario_sets_the_seed_and_scripts_the_faults() {
    let stage = Stage::new();
    let text = "
        [settings]
        seed = 7
        operation_millis = { start = 1000, end = 1000 }
        calls_per_second = 0
        [[fault]]
        operation = 'CreateAccountAssignment'
        nth = 2
        fault = { async_failed = { reason = 'internal', takes_effect = true } }
    ";
    play(&stage, text).unwrap();
    let first = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    let second = stage.create(DATA_PROD, ENGINEER).await.unwrap();
    stage.pass(1);
    assert_eq!(stage.creation(&first).await.0, "SUCCEEDED");
    assert_eq!(stage.creation(&second).await.0, "FAILED");
    assert_eq!(stage.sandbox.assignments().len(), 2);
    assert_eq!(stage.sandbox.0.lock().settings.seed, 7);
}
