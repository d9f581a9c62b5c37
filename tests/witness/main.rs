//! An outside witness: `src/aws` against moto, an AWS that other people wrote.
//!
//! The sandbox is our own idea of AWS; a mistake that product and sandbox share shows only here.
//! `.ci/moto.py` starts a pinned moto, fills it, and runs this. Without its `CURFEW_MOTO_ENDPOINT`
//! every test is skipped, and says so. What is known to be unlike AWS is listed in `differences`.
//!
//! Tests run side by side on one moto: each that changes something has a person of its own.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod differences;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use aws_config::Region;
use aws_sdk_ssoadmin::config::{Credentials, SharedCredentialsProvider};
use chrono::{DateTime, Utc};
use curfew::access::assignment::{Assignment, OperationKind};
use curfew::access::decision::Standing;
use curfew::access::id::AssignmentId;
use curfew::access::person::{Person, PersonId};
use curfew::aws::answer::{Answer, Outcome, Progress, Refusal};
use curfew::aws::identity_center::IdentityCenter;
use curfew::aws::permit::Permit;
use curfew::aws::rehearse::{self, Example};
use curfew::aws::{self, Aws, Instance, directory, management};
use curfew::clock::{Clock, FixedClock};
use curfew::policy::facts::Account;
use curfew::postgres::directory::Copy;

use crate::differences::Difference;

/// People of the group `crowd`, each assigned `read-only` in `payments-prod`.
const CROWD: usize = 230;

/// An id that nobody has.
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// Curfew's view of moto.
struct Moto {
    aws: Aws,
    instance: Instance,
    copy: Copy,
    clock: FixedClock,
}

impl Moto {
    /// None if there is no moto to ask.
    async fn meet() -> Option<Self> {
        let Some(endpoint) = std::env::var_os("CURFEW_MOTO_ENDPOINT") else {
            // Not by `println!`, which a test that passes keeps to itself.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: CURFEW_MOTO_ENDPOINT is not set; .ci/moto.py sets it"
            );
            return None;
        };
        let config = aws::loader(Duration::from_secs(30))
            .endpoint_url(endpoint.into_string().unwrap())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "test", "test", None, None, "test",
            )))
            .load()
            .await;
        let aws = Aws::new(&config);
        let instance = aws.instance().await.unwrap();
        let groups = ["engineers", "production-approvers", "crowd"].map(str::to_owned);
        let copy = directory::read(&aws, &instance, &groups.into())
            .await
            .unwrap();
        Some(Self {
            aws,
            instance,
            copy,
            clock: FixedClock::at(DateTime::UNIX_EPOCH),
        })
    }

    fn identity_center(&self) -> IdentityCenter {
        self.aws.identity_center(&self.instance)
    }

    fn permit(&self) -> Permit {
        Permit::start(&Clock::Fixed(self.clock.clone()), Duration::from_secs(5))
    }

    fn person(&self, name: &str) -> &Person {
        let email = format!("{name}@example.com");
        let mut people = self.copy.people.iter().map(|known| &known.person);
        people.find(|person| person.email == email).unwrap()
    }

    fn group(&self, name: &str) -> String {
        let mut groups = self.copy.groups.iter();
        groups.find(|(_, found)| found == name).unwrap().0.clone()
    }

    fn account(&self, name: &str) -> &Account {
        let mut accounts = self.copy.accounts.iter();
        accounts.find(|account| account.name == name).unwrap()
    }

    fn permission_set(&self, name: &str) -> String {
        let mut sets = self.copy.permission_sets.iter();
        sets.find(|set| set.name == name).unwrap().arn.clone()
    }

    /// A person's access to `payments-prod`.
    fn access(&self, user_id: &str, permission_set: &str) -> Assignment {
        Assignment {
            id: AssignmentId::new(DateTime::UNIX_EPOCH),
            principal_id: PersonId::new(user_id),
            user_id: user_id.to_owned(),
            account_id: self.account("payments-prod").id.clone(),
            permission_set_arn: self.permission_set(permission_set),
            owned_since: None,
            revision: 0,
            sight: None,
            failures: 0,
            retry_at: None,
            target_gone: None,
        }
    }

    fn access_of(&self, name: &str, permission_set: &str) -> Assignment {
        self.access(&self.person(name).user_id, permission_set)
    }
}

/// The `RequestId` of what was accepted and done.
#[track_caller]
fn done_at_once(answer: Answer) -> String {
    let Answer::Accepted { aws_id, outcome } = answer else {
        panic!("not accepted: {answer:?}");
    };
    Difference::OperationsAreDoneAtOnce.shows(outcome == Some(Outcome::Succeeded));
    aws_id
}

#[tokio::test]
async fn the_directory_is_read_completely() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let Copy {
        people,
        groups,
        memberships,
        accounts,
        permission_sets,
    } = &moto.copy;
    let ids: BTreeSet<&PersonId> = people.iter().map(|known| &known.person.id).collect();
    assert_eq!((people.len(), ids.len()), (CROWD + 2, CROWD + 2));
    assert_eq!(groups.len(), 3);
    assert_eq!(memberships.len(), CROWD + 2);
    let engineer = moto.person("engineer");
    assert_eq!(engineer.name, "Engineer");
    assert!(memberships.contains(&(moto.group("engineers"), engineer.id.clone())));
    let seconds = |name| {
        let mut sets = permission_sets.iter();
        sets.find(|set| set.name == name).unwrap().session_seconds
    };
    assert_eq!(
        (seconds("production-admin"), seconds("read-only")),
        (3600, 28_800)
    );
    assert_eq!(accounts.len(), 3);
    let production = moto.account("payments-prod");
    assert_eq!(production.tags["env"], "prod");
    assert!(production.is_active && !production.is_sensitive);
    assert!(
        moto.account("master").is_sensitive,
        "the management account"
    );

    Difference::PathsAreMissing.shows(production.organizational_units.is_empty());
    let set = moto.permission_set("read-only");
    Difference::PermissionSetsAreNamedAfterTheInstance
        .shows(set.starts_with("arn:aws:sso:::instance/ssoins-"));
}

#[tokio::test]
async fn a_person_s_standing_is_read_live() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let (engineers, approvers) = (moto.group("engineers"), moto.group("production-approvers"));
    let asked: BTreeSet<String> = [engineers.clone(), approvers].into();
    let engineer = &moto.person("engineer").user_id;
    let standing = directory::standing(&moto.aws, &moto.instance, engineer, &asked).await;
    let mut copied = moto.copy.people.iter();
    let copied = copied.find(|known| known.person.user_id == *engineer);
    let expected = Standing {
        enabled: true,
        groups: [engineers].into(),
        known_as: copied.unwrap().known_as.clone(),
        signed_in_as: None,
    };
    assert_eq!(standing.unwrap(), expected);
    let nobody = directory::standing(&moto.aws, &moto.instance, NOBODY, &asked).await;
    assert_eq!(nobody.unwrap(), Standing::default());

    let described = moto
        .aws
        .identity_store
        .describe_user()
        .identity_store_id(&moto.instance.identity_store_id)
        .user_id(engineer)
        .send()
        .await
        .unwrap();
    Difference::UserStatusIsMissing.shows(described.user_status.is_none());
}

#[tokio::test]
async fn access_is_given_seen_and_taken_away() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let (center, access) = (
        moto.identity_center(),
        moto.access_of("engineer", "production-admin"),
    );
    assert!(!center.is_assigned(&access).await.unwrap());
    let created = done_at_once(center.create(&access, moto.permit()).await);
    assert!(center.is_assigned(&access).await.unwrap());
    let progress = center
        .progress(OperationKind::Create, &created)
        .await
        .unwrap();
    assert_eq!(progress, Progress::Done(Outcome::Succeeded));
    let other = moto.access_of("approver", "production-admin");
    assert!(center.is_create_of(&created, &access).await.unwrap());
    assert!(!center.is_create_of(&created, &other).await.unwrap());
    assert!(!center.is_assigned(&other).await.unwrap());
    let provisioned = management::provisioned(&moto.aws, &moto.instance).await;
    Difference::CreatesDoNotProvision.shows(provisioned.unwrap().is_empty());

    let deleted = done_at_once(center.delete(&access, moto.permit()).await);
    assert!(!center.is_assigned(&access).await.unwrap());
    let progress = center
        .progress(OperationKind::Delete, &deleted)
        .await
        .unwrap();
    assert_eq!(progress, Progress::Done(Outcome::Succeeded));
    let forgotten = center
        .progress(OperationKind::Create, &created)
        .await
        .unwrap();
    Difference::DeletesHaveTheCreatesId
        .shows(deleted == created && forgotten == Progress::Forgotten);
}

#[tokio::test]
async fn somebody_on_the_last_page_is_seen_and_somebody_on_none_is_not() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let center = moto.identity_center();
    for name in ["crowd-0", "crowd-100", "crowd-229"] {
        let access = moto.access_of(name, "read-only");
        assert!(center.is_assigned(&access).await.unwrap(), "{name}");
    }
    let access = moto.access_of("engineer", "read-only");
    assert!(!center.is_assigned(&access).await.unwrap());
}

#[tokio::test]
async fn deleting_what_is_missing_is_no_success() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let access = moto.access_of("crowd-1", "production-admin");
    let answer = moto.identity_center().delete(&access, moto.permit()).await;
    Difference::DeleteOfTheMissingIsRefused.shows(matches!(
        answer,
        Answer::Refused {
            refusal: Refusal::Missing,
            ..
        }
    ));
}

#[tokio::test]
async fn what_a_delete_leaves_is_seen() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let (center, access) = (
        moto.identity_center(),
        moto.access_of("crowd-2", "production-admin"),
    );
    let first = done_at_once(center.create(&access, moto.permit()).await);
    let second = done_at_once(center.create(&access, moto.permit()).await);
    done_at_once(center.delete(&access, moto.permit()).await);
    let is_left = center.is_assigned(&access).await.unwrap();
    Difference::DuplicateCreatesAreRows.shows(first != second && is_left);
    done_at_once(center.delete(&access, moto.permit()).await);
    assert!(!center.is_assigned(&access).await.unwrap());
}

#[tokio::test]
async fn a_permit_that_is_over_lets_nothing_out() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let (center, access) = (
        moto.identity_center(),
        moto.access_of("crowd-3", "production-admin"),
    );
    let permit = moto.permit();
    moto.clock.advance(chrono::TimeDelta::seconds(6));
    let answer = center.create(&access, permit).await;
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
    assert!(!center.is_assigned(&access).await.unwrap());
}

#[tokio::test]
async fn an_operation_that_never_was_is_forgotten_and_no_success() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let center = moto.identity_center();
    for kind in [OperationKind::Create, OperationKind::Delete] {
        assert_eq!(
            center.progress(kind, NOBODY).await.unwrap(),
            Progress::Forgotten
        );
    }
    let access = moto.access_of("crowd-4", "production-admin");
    assert!(!center.is_create_of(NOBODY, &access).await.unwrap());
}

#[tokio::test]
async fn a_listing_that_fails_is_an_error_and_no_empty_listing() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let center = moto.identity_center();
    let recent = center.recent_creates(DateTime::<Utc>::UNIX_EPOCH).await;
    let creates = center.in_progress(OperationKind::Create).await;
    let deletes = center.in_progress(OperationKind::Delete).await;
    Difference::OperationsAreNotListed.shows([recent, creates, deletes].iter().all(Result::is_err));
    // So whoever rehearses the reads is told, and which one it is.
    let access = moto.access_of("engineer", "read-only");
    let example = Example {
        user_id: &access.user_id,
        groups: &BTreeSet::new(),
        account_id: &access.account_id,
        permission_set_arn: &access.permission_set_arn,
    };
    let error = rehearse::reads(&moto.aws, &moto.instance, &example).await;
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("list the operations in progress"), "{error}");
}

#[tokio::test]
async fn nobody_is_taken_for_somebody() {
    let Some(moto) = Moto::meet().await else {
        return;
    };
    let (center, access) = (
        moto.identity_center(),
        moto.access(NOBODY, "production-admin"),
    );
    let answer = center.create(&access, moto.permit()).await;
    Difference::AnyoneCanBeAssigned.shows(matches!(
        answer,
        Answer::Accepted {
            outcome: Some(Outcome::Succeeded),
            ..
        }
    ));
    done_at_once(center.delete(&access, moto.permit()).await);
    assert!(!center.is_assigned(&access).await.unwrap());
}
