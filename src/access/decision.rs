//! Decisions: who may decide, and when enough have agreed (promise P1).
//!
//! Pure. Membership comes in as evidence that was read live; nothing here looks anything up.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::identity::{KnownAs, Way};
use super::person::{Assurance, Demand, PersonId};
use super::request::{Named, Request};

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Agreed.
    Yes,
    /// Denied; the first no decides.
    No,
}

impl Verdict {
    /// The word used in tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// One approver's yes or no.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Who decided.
    pub approver: Named,
    /// What.
    pub verdict: Verdict,
    /// What they wrote with it.
    pub comment: Option<String>,
    /// Where it came in.
    pub channel: String,
    /// How they had signed in.
    pub assurance: Assurance,
    /// When they had last proved who they are, if the provider said.
    pub auth_time: Option<DateTime<Utc>>,
    /// The group through which they qualified.
    pub group_id: String,
    /// When.
    pub decided_at: DateTime<Utc>,
}

/// What the identity store said of somebody a moment ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The person exists and is not disabled.
    pub enabled: bool,
    /// Those of the groups asked about that the person is a member of, by id.
    pub groups: BTreeSet<String>,
    /// What it knows them as.
    pub known_as: KnownAs,
    /// By what they were found when they last signed in; none in a demo, where nobody proves anything.
    pub signed_in_as: Option<Way>,
}

impl Standing {
    /// Is this still the person who signed in? A name may have been given to somebody else since.
    #[must_use]
    pub fn is_who_signed_in(&self) -> bool {
        self.signed_in_as
            .as_ref()
            .is_none_or(|way| way.leads_to(&self.known_as))
    }
}

/// What the identity store said of several people at once.
pub type Evidence = BTreeMap<PersonId, Standing>;

/// Why somebody can't decide on this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotQualified {
    /// Nobody decides on their own request.
    #[error("You can't decide on your own request. Somebody of the approvers' group has to.")]
    SelfApproval,
    /// Not in a group that approves under this rule, or only through the group that asks.
    #[error("You are not among the approvers of this rule (any more).")]
    NotAnApprover,
    /// The directory says the person is disabled or gone.
    #[error("The directory says that your account is disabled.")]
    Disabled,
    /// The directory's entry is not the one that signed in.
    #[error(
        "The directory's entry for you is no longer the one that you signed in as. Ask your administrators."
    )]
    NotWhoSignedIn,
}

impl NotQualified {
    /// Stable code for the API and the audit log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::SelfApproval => "self_approval",
            Self::NotAnApprover => "not_an_approver",
            Self::Disabled => "disabled",
            Self::NotWhoSignedIn => "identity_changed",
        }
    }
}

/// The groups of a rule, resolved to ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleGroups {
    /// Who may ask.
    pub requesters: BTreeSet<String>,
    /// Who may agree.
    pub approvers: BTreeSet<String>,
}

impl RuleGroups {
    /// The groups whose members may agree: one that also lets people ask does not count.
    pub fn approving(&self) -> impl Iterator<Item = &String> {
        self.approvers.difference(&self.requesters)
    }
}

/// The group through which this person may approve the request, or why not. Only a group that is
/// not among those that let people ask counts.
///
/// # Errors
/// Why the person doesn't qualify.
pub fn qualifying_group(
    request: &Request,
    person: &PersonId,
    standing: &Standing,
    groups: &RuleGroups,
) -> Result<String, NotQualified> {
    if *person == request.requester.id {
        return Err(NotQualified::SelfApproval);
    }
    if !standing.enabled {
        return Err(NotQualified::Disabled);
    }
    if !standing.is_who_signed_in() {
        return Err(NotQualified::NotWhoSignedIn);
    }
    groups
        .approving()
        .find(|group| standing.groups.contains(*group))
        .cloned()
        .ok_or(NotQualified::NotAnApprover)
}

/// How many of the decisions are a yes of somebody who still qualifies, each person once.
#[must_use]
pub fn valid_approvals(
    request: &Request,
    decisions: &[Decision],
    evidence: &Evidence,
    groups: &RuleGroups,
    demand: Demand,
) -> usize {
    let is_proved = |decision: &Decision| {
        let (how, when) = (decision.assurance, decision.auth_time);
        demand.check(how, when, decision.decided_at).is_ok()
    };
    decisions
        .iter()
        .filter(|decision| decision.verdict == Verdict::Yes && is_proved(decision))
        .filter(|decision| {
            evidence.get(&decision.approver.id).is_some_and(|standing| {
                qualifying_group(request, &decision.approver.id, standing, groups).is_ok()
            })
        })
        .map(|decision| &decision.approver.id)
        .collect::<BTreeSet<_>>()
        .len()
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{at, pending};
    use super::*;

    fn groups() -> RuleGroups {
        RuleGroups {
            requesters: ["g-engineers".to_owned()].into(),
            approvers: ["g-approvers".to_owned()].into(),
        }
    }

    fn standing(groups: &[&str]) -> Standing {
        Standing {
            enabled: true,
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Standing::default()
        }
    }

    fn demand() -> Demand {
        Demand {
            assurance: Assurance::Mfa,
            max_age_minutes: Some(10),
        }
    }

    fn yes(person: &str) -> Decision {
        Decision {
            approver: Named {
                id: PersonId::new(person),
                email: String::new(),
                name: String::new(),
            },
            verdict: Verdict::Yes,
            comment: None,
            channel: "web".into(),
            assurance: Assurance::PhishingResistant,
            auth_time: Some(at(0)),
            group_id: "g-approvers".into(),
            decided_at: at(1),
        }
    }

    #[test]
    fn only_an_enabled_member_of_an_approving_group_who_did_not_ask_qualifies() {
        let request = pending();
        let check = |person: &str, standing: &Standing| {
            qualifying_group(&request, &PersonId::new(person), standing, &groups())
        };
        assert_eq!(
            check("approver", &standing(&["g-approvers"])).as_deref(),
            Ok("g-approvers")
        );
        assert_eq!(
            check("both", &standing(&["g-approvers", "g-engineers"])).as_deref(),
            Ok("g-approvers")
        );
        assert_eq!(
            check("engineer", &standing(&["g-approvers"])),
            Err(NotQualified::SelfApproval)
        );
        assert_eq!(
            check("other", &standing(&["g-engineers"])),
            Err(NotQualified::NotAnApprover)
        );
        let disabled = Standing {
            enabled: false,
            ..standing(&["g-approvers"])
        };
        assert_eq!(check("approver", &disabled), Err(NotQualified::Disabled));
        let of_another = Standing {
            signed_in_as: Some(Way::UserName("approver".to_owned())),
            ..standing(&["g-approvers"])
        };
        assert_eq!(
            check("approver", &of_another),
            Err(NotQualified::NotWhoSignedIn)
        );
    }

    #[test]
    fn a_group_that_asks_never_approves_even_if_it_stands_on_both_sides() {
        let both = RuleGroups {
            requesters: groups().requesters,
            approvers: groups().requesters,
        };
        let found = qualifying_group(
            &pending(),
            &PersonId::new("x"),
            &standing(&["g-engineers"]),
            &both,
        );
        assert_eq!(found, Err(NotQualified::NotAnApprover));
    }

    #[test]
    fn a_yes_counts_once_and_only_while_its_giver_qualifies() {
        let request = pending();
        let mut evidence: Evidence = [
            ("a", &["g-approvers"][..]),
            ("b", &["g-approvers"]),
            ("engineer", &["g-approvers"]),
        ]
        .map(|(person, groups)| (PersonId::new(person), standing(groups)))
        .into();
        let decisions = [
            yes("a"),
            yes("a"),
            yes("b"),
            yes("engineer"),
            yes("nobody-knows"),
        ];
        assert_eq!(
            valid_approvals(&request, &decisions, &evidence, &groups(), demand()),
            2
        );
        evidence.insert(PersonId::new("b"), standing(&[]));
        assert_eq!(
            valid_approvals(&request, &decisions, &evidence, &groups(), demand()),
            1
        );
        for void in [
            Decision {
                verdict: Verdict::No,
                ..yes("a")
            },
            Decision {
                assurance: Assurance::Any,
                ..yes("a")
            },
            Decision {
                decided_at: at(601),
                ..yes("a")
            },
            Decision {
                auth_time: None,
                ..yes("a")
            },
        ] {
            assert_eq!(
                valid_approvals(&request, &[void], &evidence, &groups(), demand()),
                0
            );
        }
    }
}
