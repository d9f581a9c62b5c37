//! The lives: what people, AWS and time do while a process falls. Each ends with nothing left.

use curfew::sandbox::Fault;

use super::world::{ACCOUNTS, World};

/// See [`live`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    EndedByHand,
    WhileActive,
    TakeOver,
    Stop,
    Due,
    LostCreate,
    LostDelete,
    Hurry,
    Overdue,
    Jump,
    Join,
    Crowd,
    Disabled,
    NotAllowed,
    Paused,
    Cancel,
    Lapse,
    Refused,
    EndOfAll,
    Unanswered,
    Doubtful,
}

const ACCOUNT: &str = "111111111111";

/// Longer than a life.
const LONG: u32 = 900;

/// What may be ended.
const LIVE: &[&str] = &["scheduled", "provisioning", "active"];

/// Lives it.
pub(super) async fn live(world: &mut World, life: Life) {
    match life {
        Life::EndedByHand | Life::TakeOver => {
            let id = active(world).await;
            ends(world, &id).await;
        }
        Life::WhileActive => {
            let id = active(world).await;
            world.until_fallen().await;
            ends(world, &id).await;
        }
        Life::Stop => {
            let id = active(world).await;
            world.stop().await;
            world.until_fallen().await;
            ends(world, &id).await;
        }
        Life::Due => {
            let id = approved(world, 2).await;
            world
                .until_stands(&id, &["active", "ending", "ended"])
                .await;
            world.until_stands(&id, &["ended"]).await;
        }
        Life::LostCreate => {
            fails(world, "CreateAccountAssignment", Fault::LoseAnswerAfter);
            let id = active(world).await;
            ends(world, &id).await;
        }
        Life::LostDelete => {
            let id = active(world).await;
            fails(world, "DeleteAccountAssignment", Fault::LoseAnswerBefore);
            ends(world, &id).await;
        }
        Life::Hurry => {
            let id = active(world).await;
            fails(world, "DeleteAccountAssignment", Fault::Conflict);
            fails(world, "DeleteAccountAssignment", Fault::Conflict);
            world.acts("engineer", "end", &id, LIVE).await;
            world.acts("engineer", "end", &id, &["ending"]).await;
            world.until_stands(&id, &["ended"]).await;
        }
        Life::Overdue => {
            let id = active(world).await;
            fails(world, "DeleteAccountAssignment", Fault::Conflict);
            fails(world, "DeleteAccountAssignment", Fault::Conflict);
            world.acts("engineer", "end", &id, LIVE).await;
            set_clock_forward(world, 125).await;
            world.until_stands(&id, &["ended"]).await;
        }
        Life::Jump => {
            let id = active(world).await;
            set_clock_forward(world, 90).await;
            world.until_fallen().await;
            ends(world, &id).await;
        }
        Life::Join => {
            let first = active(world).await;
            let second = world.asks("unasked", ACCOUNT, LONG).await;
            world.until_stands(&second, &["active"]).await;
            world.acts("engineer", "end", &first, LIVE).await;
            ends(world, &second).await;
            world.until_stands(&first, &["ended"]).await;
        }
        Life::Crowd => crowd(world).await,
        Life::Disabled => {
            let id = active(world).await;
            world.sandbox.set_user_enabled("engineer", false).unwrap();
            world.until_stands(&id, &["ended"]).await;
            world.sandbox.set_user_enabled("engineer", true).unwrap();
            world.comes_back("engineer").await;
        }
        Life::NotAllowed => {
            // So that there is a moment between the yes and the check.
            fails(world, "ListAccountAssignments", Fault::Internal);
            fails(world, "ListAccountAssignments", Fault::Internal);
            let id = approved(world, LONG).await;
            let group = "production-approvers";
            world.sandbox.remove_member(group, "approver").unwrap();
            world.until_stands(&id, &["failed"]).await;
            world.sandbox.add_member(group, "approver").unwrap();
        }
        Life::EndOfAll => {
            let id = active(world).await;
            let other = world.asks("unasked", "333333333333", LONG).await;
            world.until_stands(&other, &["active"]).await;
            world.ends_everything(&id, LIVE).await;
            for id in [&id, &other] {
                world.until_stands(id, &["ended"]).await;
            }
        }
        Life::Doubtful => {
            let id = active(world).await;
            fails(world, "DeleteAccountAssignment", Fault::Conflict);
            world.acts("engineer", "end", &id, LIVE).await;
            world
                .until("what can't be ended is doubted", async |world| {
                    if world.sandbox.waiting_faults().is_empty() {
                        fails(world, "DeleteAccountAssignment", Fault::Conflict);
                    }
                    Ok(world.has_fallen().then_some(()))
                })
                .await;
            world.acts("engineer", "end", &id, &["ending"]).await;
            world.until_stands(&id, &["ended"]).await;
        }
        Life::Unanswered => {
            world.add_another().await;
            for _ in 0..4 {
                fails(world, "ListAccountAssignments", Fault::Internal);
            }
            let id = active(world).await;
            ends(world, &id).await;
            world.take_another_away();
        }
        Life::Paused => {
            let id = active(world).await;
            world
                .switches(
                    "pause",
                    "select 'paused' from pause where paused_at is not null",
                )
                .await;
            ends(world, &id).await;
            world
                .switches(
                    "resume",
                    "select 'going on' from pause where paused_at is null",
                )
                .await;
        }
        Life::Cancel => {
            let id = world.asks("asked", ACCOUNT, LONG).await;
            world.acts("engineer", "cancel", &id, &["pending"]).await;
            world.until_stands(&id, &["cancelled"]).await;
        }
        Life::Lapse => {
            let id = world.asks("unanswered", ACCOUNT, LONG).await;
            world.until_stands(&id, &["lapsed"]).await;
        }
        Life::Refused => {
            world
                .until("a refusal is recorded", async |world| {
                    let ask = serde_json::json!({"rule": "asked", "account": ACCOUNT, "minutes": 0, "reason": "too short"});
                    Ok(world.post("engineer", "/requests", &ask).await.map(drop))
                })
                .await;
        }
    }
}

/// Access that is approved.
async fn approved(world: &mut World, minutes: u32) -> String {
    let id = world.asks("asked", ACCOUNT, minutes).await;
    world.acts("approver", "approve", &id, &["pending"]).await;
    id
}

/// Access that is there.
async fn active(world: &mut World) -> String {
    let id = approved(world, LONG).await;
    world.until_stands(&id, &["active"]).await;
    id
}

/// Its end, by hand.
async fn ends(world: &mut World, id: &str) {
    world.acts("engineer", "end", id, LIVE).await;
    world.until_stands(id, &["ended"]).await;
}

fn fails(world: &mut World, operation: &str, fault: Fault) {
    world.sandbox.fail_next(operation, fault).unwrap();
}

async fn set_clock_forward(world: &mut World, seconds: u32) {
    let by = format!("update clock.ahead set by = by + interval '{seconds} seconds'");
    world.database.run(by).await;
}

/// So many operations at once that the engine asks for all of them together.
async fn crowd(world: &mut World) {
    for _ in 0..5 {
        world
            .sandbox
            .set_settings(|settings| settings.operation_millis = 2500..=2500);
        // The engine finds all of them in one pass.
        world
            .look("begin; select 'held' from lease for update")
            .await;
        let mut ids = Vec::new();
        for n in 0..ACCOUNTS {
            ids.push(
                world
                    .asks("unasked", &format!("44444444{n:04}"), LONG)
                    .await,
            );
        }
        world.look("commit").await;
        for id in &ids {
            world.until_stands(id, &["active"]).await;
        }
        world
            .sandbox
            .set_settings(|settings| settings.operation_millis = 100..=200);
        for id in &ids {
            world.acts("engineer", "end", id, LIVE).await;
        }
        for id in &ids {
            world.until_stands(id, &["ended"]).await;
        }
        if world.has_fallen() {
            return;
        }
    }
}
