//! People, how strongly they signed in, and who caused an event.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A person of the identity store: the immutable `UserId` in its normal form.
///
/// Identity Center writes the same person as `UUID` or as `10hex-UUID`
/// (`identitystore` API, `UserId`); both become the bare UUID in lower case, so that ids can be
/// compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(String);

impl PersonId {
    /// Takes the `UserId` as any AWS answer writes it.
    #[must_use]
    pub fn new(user_id: &str) -> Self {
        const UUID_LENGTH: usize = 36;
        let lower = user_id.trim().to_ascii_lowercase();
        let prefix = lower.len().checked_sub(UUID_LENGTH + 1).filter(|&at| {
            at == 10
                && lower.is_char_boundary(at)
                && lower.as_bytes()[at] == b'-'
                && lower[..at].bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        Self(prefix.map_or(lower.clone(), |at| lower[at + 1..].to_owned()))
    }

    /// The normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PersonId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A person as the directory's copy knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub id: PersonId,
    /// The `UserId` exactly as the identity store writes it, for AWS calls.
    pub user_id: String,
    /// A label; never an identity.
    pub email: String,
    /// What to call them.
    pub name: String,
    /// False once the identity store says `DISABLED`.
    pub enabled: bool,
}

/// How strongly somebody proved who they are when they signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// Signed in somehow.
    Any,
    /// With a second factor.
    Mfa,
    /// With something that can't be phished (passkey, smart card).
    PhishingResistant,
}

impl Assurance {
    /// The word used in policy, tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Mfa => "mfa",
            Self::PhishingResistant => "phishing_resistant",
        }
    }

    /// The word as people read it.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Any => "any sign-in",
            Self::Mfa => "a second factor",
            Self::PhishingResistant => "a phishing-resistant sign-in (passkey or security key)",
        }
    }
}

impl std::str::FromStr for Assurance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => Ok(Self::Any),
            "mfa" => Ok(Self::Mfa),
            "phishing_resistant" => Ok(Self::PhishingResistant),
            other => Err(format!(
                "{other:?} is not one of any, mfa, phishing_resistant"
            )),
        }
    }
}

/// What a sign-in must have proved, and how lately, for an act to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// How strongly.
    pub assurance: Assurance,
    /// At most so many minutes ago.
    pub max_age_minutes: Option<u32>,
}

impl Demand {
    /// Does a sign-in of this strength and time meet it? One whose time nobody knows is old.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(
        self,
        assurance: Assurance,
        auth_time: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<(), Unproved> {
        let oldest = self
            .max_age_minutes
            .map(|minutes| now - TimeDelta::minutes(minutes.into()));
        if assurance < self.assurance {
            Err(Unproved::TooWeak(self))
        } else if oldest.is_some_and(|oldest| auth_time.is_none_or(|at| at < oldest)) {
            Err(Unproved::TooOld(self))
        } else {
            Ok(())
        }
    }

    /// What has to be proved, for people to read.
    #[must_use]
    pub fn in_words(self) -> String {
        let how = self.assurance.in_words();
        match self.max_age_minutes {
            None => how.to_owned(),
            Some(1) => format!("{how}, proved within the last minute"),
            Some(minutes) => format!("{how}, proved within the last {minutes} minutes"),
        }
    }
}

/// How a sign-in falls short of a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// It was not strong enough.
    #[error("This rule needs {}. Prove it, then send this again.", .0.in_words())]
    TooWeak(Demand),
    /// It was too long ago.
    #[error("This rule needs {}; your sign-in is older. Prove it once more, then send this again.", .0.in_words())]
    TooOld(Demand),
}

impl Unproved {
    /// Stable code for the API and the audit log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooWeak(_) => "assurance_too_weak",
            Self::TooOld(_) => "sign_in_too_old",
        }
    }

    /// What would do.
    #[must_use]
    pub fn demand(self) -> Demand {
        match self {
            Self::TooWeak(demand) | Self::TooOld(demand) => demand,
        }
    }
}

/// Where an act came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The pages.
    Web,
    /// `/api/v1`.
    Api,
}

impl Channel {
    /// The word used in tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Api => "api",
        }
    }
}

/// A person who is signed in and acts now.
#[derive(Clone, Debug)]
pub struct SignedInPerson {
    /// Who.
    pub person: Person,
    /// How they signed in.
    pub assurance: Assurance,
    /// The methods behind that, as the identity provider names them (RFC 8176).
    pub amr: Vec<String>,
    /// The class of the sign-in, as the identity provider names it (OIDC Core §2, `acr`).
    pub acr: Option<String>,
    /// When they last proved it to the identity provider, if that says (OIDC Core §2, `auth_time`).
    pub auth_time: Option<DateTime<Utc>>,
    /// Where the act came in.
    pub channel: Channel,
    /// From which address.
    pub ip: Option<IpAddr>,
}

impl SignedInPerson {
    /// Does their sign-in meet the demand?
    ///
    /// # Errors
    /// What is missing.
    pub fn prove(&self, demand: Demand, now: DateTime<Utc>) -> Result<(), Unproved> {
        demand.check(self.assurance, self.auth_time, now)
    }
}

/// Who caused an event.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Somebody who is signed in.
    Person(Box<SignedInPerson>),
    /// Somebody who is not (a failed sign-in).
    Stranger {
        /// From which address.
        ip: Option<IpAddr>,
    },
    /// Somebody at the shell of a machine that may use Curfew's database.
    Operator {
        /// The operating system's account and the machine.
        name: String,
    },
    /// Curfew itself.
    System,
}

impl Actor {
    /// By what the log's index finds whoever it was.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Person(by) => Some(by.person.id.as_str()),
            Self::Operator { name } => Some(name),
            Self::Stranger { .. } | Self::System => None,
        }
    }

    /// The person behind the act, if there is one.
    #[must_use]
    pub fn person(&self) -> Option<&SignedInPerson> {
        match self {
            Self::Person(person) => Some(person),
            Self::Stranger { .. } | Self::Operator { .. } | Self::System => None,
        }
    }

    /// Who it is, for people to read.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Person(by) => by.person.email.clone(),
            Self::Stranger { .. } => "somebody not signed in".to_owned(),
            Self::Operator { name } => format!("{name} at the shell"),
            Self::System => "Curfew".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_user_id_are_the_same_person() {
        let bare = "A1B2C3D4-0000-4000-8000-000000000001";
        assert_eq!(
            PersonId::new(bare),
            PersonId::new(&format!("906712ABCD-{bare}"))
        );
        assert_ne!(
            PersonId::new(bare),
            PersonId::new("a1b2c3d4-0000-4000-8000-000000000002")
        );
    }

    #[test]
    fn a_prefix_that_is_not_ten_hex_digits_stays_part_of_the_id() {
        for odd in [
            "zzzzzzzzzz-a1b2c3d4-0000-4000-8000-000000000001",
            "x",
            "",
            "ü-",
        ] {
            assert_eq!(PersonId::new(odd).as_str(), odd);
        }
    }

    #[test]
    fn a_demand_is_met_until_the_very_minute() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let demand = Demand {
            assurance: Assurance::Mfa,
            max_age_minutes: Some(5),
        };
        for (assurance, auth_time, expected) in [
            (Assurance::Mfa, Some(at(0)), Ok(())),
            (Assurance::PhishingResistant, Some(at(200)), Ok(())),
            (Assurance::Mfa, Some(at(-1)), Err("sign_in_too_old")),
            (Assurance::Mfa, None, Err("sign_in_too_old")),
            (Assurance::Any, Some(at(0)), Err("assurance_too_weak")),
        ] {
            let found = demand.check(assurance, auth_time, at(300));
            assert_eq!(found.map_err(Unproved::code), expected);
        }
        let ageless = Demand {
            max_age_minutes: None,
            ..demand
        };
        assert_eq!(ageless.check(Assurance::Mfa, None, at(300)), Ok(()));
    }

    #[test]
    fn stronger_sign_ins_compare_greater() {
        assert!(Assurance::PhishingResistant > Assurance::Mfa && Assurance::Mfa > Assurance::Any);
    }
}
