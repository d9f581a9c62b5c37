//! The state file: nothing that was answered is lost, and nothing unreadable is overwritten.

use super::*;

/// A folder of its own, gone when the test is over.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sandbox-{}-{name}", std::process::id()));
        _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state.json")
    }

    pub(super) fn open(&self, clock: &ManualClock) -> Stage {
        Stage::open(World::demo(), Some(self.file()), clock.clone(), |_| {})
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn an_operation_in_flight_survives_a_restart() {
    let folder = Folder::new("in-flight");
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let stage = folder.open(&clock);
    let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    drop(stage);

    clock.advance(TimeDelta::seconds(3));
    let stage = folder.open(&clock);
    assert_eq!(stage.creation(&id).await.0, "IN_PROGRESS");
    assert!(
        stage
            .create(PAYMENTS_PROD, ENGINEER)
            .await
            .unwrap_err()
            .starts_with("ConflictException")
    );
    drop(stage);

    clock.advance(TimeDelta::seconds(30));
    let stage = folder.open(&clock);
    assert_eq!(stage.listed(PAYMENTS_PROD).await, [ENGINEER]);
    assert_eq!(stage.creation(&id).await.0, "SUCCEEDED");
    assert_ne!(stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap(), id);
}

#[tokio::test]
async fn what_was_told_is_on_disk_even_if_the_clock_steps_back() {
    let folder = Folder::new("told");
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let stage = folder.open(&clock);
    let id = stage.create(PAYMENTS_PROD, ENGINEER).await.unwrap();
    stage.pass(5);
    assert_eq!(stage.creation(&id).await.0, "SUCCEEDED");
    drop(stage);

    clock.set(at("2026-11-24T11:00:00Z"));
    let stage = folder.open(&clock);
    assert_eq!(stage.creation(&id).await.0, "SUCCEEDED");
    assert_eq!(stage.sandbox.assignments().len(), 1);
}

#[tokio::test]
async fn a_hand_s_change_survives_a_restart_and_the_file_s_world_counts() {
    let folder = Folder::new("hands");
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let stage = folder.open(&clock);
    stage.sandbox.set_user_enabled("engineer", false).unwrap();
    drop(stage);
    let stage = Stage::open(World::bare(), Some(folder.file()), clock, |_| {});
    assert!(
        !stage
            .sandbox
            .world()
            .user_named("engineer")
            .unwrap()
            .enabled
    );
}

#[tokio::test]
async fn an_answer_waits_for_the_disk_and_fails_with_it() {
    let folder = Folder::new("disk");
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let stage = folder.open(&clock);
    std::fs::remove_dir_all(&folder.0).unwrap();
    assert!(
        stage
            .create(PAYMENTS_PROD, ENGINEER)
            .await
            .unwrap_err()
            .starts_with("InternalServerException")
    );
    // Not even a reader may learn of what is not on disk.
    assert!(
        stage
            .sso("ListPermissionSets", json!({}))
            .await
            .unwrap_err()
            .starts_with("InternalServerException")
    );
    std::fs::create_dir_all(&folder.0).unwrap();
    stage.sso("ListPermissionSets", json!({})).await.unwrap();
    assert!(folder.file().exists());
}

#[test]
fn a_file_that_can_t_be_read_is_named_and_left_alone() {
    let folder = Folder::new("unreadable");
    for (content, expected) in [
        ("{\"format\":7}", "format 7"),
        ("nonsense", "expected"),
        ("{\"format\":1,\"state\":{}}", "missing field"),
    ] {
        std::fs::write(folder.file(), content).unwrap();
        let clock = Clock::Manual(ManualClock::at(at("2026-11-24T12:00:00Z")));
        let error = Sandbox::open(
            Settings::default(),
            clock,
            World::demo(),
            Some(folder.file()),
        )
        .unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("state.json") && text.contains(expected),
            "{text}"
        );
        assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), content);
    }
}

#[test]
fn one_state_file_has_one_sandbox() {
    let folder = Folder::new("lock");
    let clock = ManualClock::at(at("2026-11-24T12:00:00Z"));
    let stage = folder.open(&clock);
    let second = Sandbox::open(
        Settings::default(),
        Clock::Manual(clock.clone()),
        World::demo(),
        Some(folder.file()),
    );
    assert!(format!("{:#}", second.unwrap_err()).contains("in use by another process"));
    drop(stage);
    folder.open(&clock);
}
