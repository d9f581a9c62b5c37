//! Which person of the directory an account of the identity provider is. Pure.
//!
//! By the `ExternalId`, which the provisioner wrote and nobody is given a second time; only for people
//! who have none at all by their user name; by an e-mail never. An account is linked to its person once.
//! From then on it is that person or nobody: a name that was given out anew, a second account, or a
//! directory that says something else now are refused, until an administrator forgets the link.

use std::collections::BTreeSet;

use super::person::{Person, PersonId};

/// A person's id at whoever provisions the identity store (`identitystore` API, `ExternalId`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExternalId {
    /// Who gave it.
    pub issuer: String,
    /// The id there.
    pub id: String,
}

/// The names by which the directory knows a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAs {
    /// The user name; may be given to somebody else later.
    pub user_name: String,
    /// Ids that are never given out again.
    pub external_ids: BTreeSet<ExternalId>,
}

/// A person with those names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who.
    pub person: Person,
    /// Known as.
    pub known_as: KnownAs,
}

/// An account at a provider, as its verified token names it.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Which provider (`iss`).
    pub issuer: &'a str,
    /// Its own name of the account (`sub`), the same for ever.
    pub subject: &'a str,
    /// The claim that the provisioner writes as `ExternalId`.
    pub external_id: &'a str,
    /// The claim that may name people without any.
    pub user_name: Option<&'a str>,
}

/// By what an account was found to be a person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By an id that is never given out again.
    ExternalId(ExternalId),
    /// By the user name: the directory had no `ExternalId` of theirs.
    UserName(String),
}

impl Way {
    /// The word used in events.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ExternalId(_) => "external_id",
            Self::UserName(_) => "user_name",
        }
    }

    /// Does it still lead to somebody whom the directory knows by these names?
    #[must_use]
    pub fn leads_to(&self, known_as: &KnownAs) -> bool {
        match self {
            Self::ExternalId(id) => known_as.external_ids.contains(id),
            Self::UserName(name) => known_as.external_ids.is_empty() && *name == known_as.user_name,
        }
    }
}

/// An account that is a person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose.
    pub person: PersonId,
    /// The account's own name.
    pub subject: String,
    /// By what it was found the last time.
    pub way: Way,
}

/// What stands in the database about an account that signs in.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The link of this account, if it has one.
    pub linked: Option<Link>,
    /// The directory still knows the person of that link.
    pub linked_is_known: bool,
    /// Everybody with its `ExternalId` of the configured issuer.
    pub by_external_id: Vec<Known>,
    /// Everybody with exactly its user name.
    pub by_user_name: Vec<Known>,
    /// The links of all those with the same provider.
    pub links: Vec<Link>,
}

/// Somebody, and what to write down about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Who.
    pub person: Person,
    /// By what.
    pub way: Way,
    /// Whether the account had a link to them before.
    pub is_new: bool,
    /// The directory lost the person that it was linked to, and knows the same `ExternalId` as another.
    pub replaces: Option<PersonId>,
}

/// Why an account is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIdentified {
    /// The directory has nobody of that id or name.
    #[error("The company's directory in AWS does not know this account.")]
    Unknown,
    /// Several people have that id or name.
    #[error("The company's directory in AWS has several people for this account.")]
    Ambiguous,
    /// The person has `ExternalId`s, and nobody configured whose count.
    #[error("Curfew is not told which ids of the directory it may rely on (external_id_issuer).")]
    NoExternalIdIssuer,
    /// The name fits and the id does not: the name may have been given to somebody else.
    #[error("The directory knows somebody by this account's name, but by another id.")]
    ExternalIdDiffers,
    /// The account was linked to somebody else before.
    #[error("This account was somebody else's at its first sign-in here.")]
    LinkedToAnother,
    /// The person signed in with another account before.
    #[error("Another account has signed in here as the same person before.")]
    SecondAccount,
    /// The directory says that the person is disabled.
    #[error("The directory says that this account is disabled.")]
    Disabled,
}

impl NotIdentified {
    /// Stable code for pages and the audit log.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_person",
            Self::Ambiguous => "ambiguous_person",
            Self::NoExternalIdIssuer => "no_external_id_issuer",
            Self::ExternalIdDiffers => "external_id_differs",
            Self::LinkedToAnother => "linked_to_another",
            Self::SecondAccount => "second_account",
            Self::Disabled => "disabled",
        }
    }
}

/// The person that an account is. `external_issuer` is whose ids count, as configured.
///
/// # Errors
/// Why it is nobody.
pub fn identify(
    account: &Account<'_>,
    external_issuer: Option<&str>,
    found: &Found,
) -> Result<Identified, NotIdentified> {
    let (known, way) = match (&found.by_external_id[..], external_issuer) {
        ([one], Some(issuer)) => {
            let id = ExternalId {
                issuer: issuer.to_owned(),
                id: account.external_id.to_owned(),
            };
            (one, Way::ExternalId(id))
        }
        ([_, _, ..], _) => return Err(NotIdentified::Ambiguous),
        _ => by_user_name(account, external_issuer, found)?,
    };
    let person = &known.person;
    let mut replaces = None;
    match &found.linked {
        Some(link) if link.person != person.id => {
            if found.linked_is_known || !matches!(way, Way::ExternalId(_)) {
                return Err(NotIdentified::LinkedToAnother);
            }
            replaces = Some(link.person.clone());
        }
        // Somebody had an id that is never given out again, and has none now.
        Some(Link {
            way: Way::ExternalId(_),
            ..
        }) if matches!(way, Way::UserName(_)) => {
            return Err(NotIdentified::ExternalIdDiffers);
        }
        _ => {}
    }
    let is_anothers = |link: &Link| link.person == person.id && link.subject != account.subject;
    if found.links.iter().any(is_anothers) {
        return Err(NotIdentified::SecondAccount);
    }
    if !person.enabled {
        return Err(NotIdentified::Disabled);
    }
    Ok(Identified {
        person: person.clone(),
        way,
        is_new: found.linked.is_none() || replaces.is_some(),
        replaces,
    })
}

fn by_user_name<'a>(
    account: &Account<'_>,
    external_issuer: Option<&str>,
    found: &'a Found,
) -> Result<(&'a Known, Way), NotIdentified> {
    let name = account.user_name.filter(|name| !name.is_empty());
    match (name, &found.by_user_name[..]) {
        (None, _) | (_, []) => Err(NotIdentified::Unknown),
        (Some(name), [one]) if one.known_as.external_ids.is_empty() => {
            Ok((one, Way::UserName(name.to_owned())))
        }
        (Some(_), [_]) if external_issuer.is_none() => Err(NotIdentified::NoExternalIdIssuer),
        (Some(_), [_]) => Err(NotIdentified::ExternalIdDiffers),
        (Some(_), [_, _, ..]) => Err(NotIdentified::Ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCIM: &str = "https://scim.aws.example/11";

    fn known(id: &str, user_name: &str, external: &[(&str, &str)]) -> Known {
        Known {
            person: Person {
                id: PersonId::new(id),
                user_id: id.to_owned(),
                email: "Ada@Example.com".to_owned(),
                name: "Ada".to_owned(),
                enabled: true,
            },
            known_as: KnownAs {
                user_name: user_name.to_owned(),
                external_ids: external
                    .iter()
                    .map(|(issuer, id)| external_id(issuer, id))
                    .collect(),
            },
        }
    }

    fn external_id(issuer: &str, id: &str) -> ExternalId {
        ExternalId {
            issuer: issuer.to_owned(),
            id: id.to_owned(),
        }
    }

    fn link(subject: &str, person: &str, way: Way) -> Link {
        Link {
            person: PersonId::new(person),
            subject: subject.to_owned(),
            way,
        }
    }

    fn by_id(id: &str) -> Way {
        Way::ExternalId(external_id(SCIM, id))
    }

    fn by_name(name: &str) -> Way {
        Way::UserName(name.to_owned())
    }

    /// What the database would find for an account in this directory, with these links.
    fn found(
        account: &Account<'_>,
        issuer: Option<&str>,
        directory: &[Known],
        links: &[Link],
    ) -> Found {
        let linked = links.iter().find(|link| link.subject == account.subject);
        let all = |is: &dyn Fn(&Known) -> bool| -> Vec<Known> {
            directory
                .iter()
                .filter(|known| is(known))
                .cloned()
                .collect()
        };
        Found {
            linked: linked.cloned(),
            linked_is_known: directory
                .iter()
                .any(|known| linked.is_some_and(|link| link.person == known.person.id)),
            by_external_id: issuer.map_or_else(Vec::new, |issuer| {
                let id = external_id(issuer, account.external_id);
                all(&|known| known.known_as.external_ids.contains(&id))
            }),
            by_user_name: all(&|known| {
                Some(known.known_as.user_name.as_str()) == account.user_name
            }),
            links: links.to_vec(),
        }
    }

    fn judge(
        (subject, user_name): (&str, Option<&str>),
        issuer: Option<&str>,
        directory: &[Known],
        links: &[Link],
    ) -> Result<(String, &'static str, bool), &'static str> {
        let account = Account {
            issuer: "https://idp.example",
            subject,
            external_id: subject,
            user_name,
        };
        let found = found(&account, issuer, directory, links);
        identify(&account, issuer, &found)
            .map(|of| (of.person.id.to_string(), of.way.as_str(), of.is_new))
            .map_err(NotIdentified::code)
    }

    #[test]
    fn an_account_is_the_same_person_or_nobody() {
        let ada = || known("p-ada", "ada", &[(SCIM, "00u-ada")]);
        let bare = || known("p-bo", "bo", &[]);
        let disabled = |mut known: Known| {
            known.person.enabled = false;
            known
        };
        let yes = |id: &str, way, is_new| Ok((id.to_owned(), way, is_new));
        let some = Some(SCIM);
        #[expect(
            clippy::type_complexity,
            reason = "a table: its columns are its only use"
        )]
        let cases: &[(&str, _, Option<&str>, Vec<Known>, Vec<Link>, _)] = &[
            // ── found ──
            (
                "by id",
                ("00u-ada", Some("ada")),
                some,
                vec![ada(), bare()],
                vec![],
                yes("p-ada", "external_id", true),
            ),
            (
                "by id, whatever the name is now",
                ("00u-ada", Some("ada.l")),
                some,
                vec![ada()],
                vec![],
                yes("p-ada", "external_id", true),
            ),
            (
                "by id, without a name",
                ("00u-ada", None),
                some,
                vec![ada()],
                vec![],
                yes("p-ada", "external_id", true),
            ),
            (
                "again",
                ("00u-ada", None),
                some,
                vec![ada()],
                vec![link("00u-ada", "p-ada", by_id("00u-ada"))],
                yes("p-ada", "external_id", false),
            ),
            (
                "the id beats somebody else's name",
                ("00u-ada", Some("bo")),
                some,
                vec![ada(), bare()],
                vec![],
                yes("p-ada", "external_id", true),
            ),
            (
                "by name, of whom has no id",
                ("00u-bo", Some("bo")),
                some,
                vec![ada(), bare()],
                vec![],
                yes("p-bo", "user_name", true),
            ),
            (
                "by name, without an issuer of ids",
                ("00u-bo", Some("bo")),
                None,
                vec![bare()],
                vec![],
                yes("p-bo", "user_name", true),
            ),
            (
                "by name, again",
                ("00u-bo", Some("bo")),
                some,
                vec![bare()],
                vec![link("00u-bo", "p-bo", by_name("bo"))],
                yes("p-bo", "user_name", false),
            ),
            (
                "by name, renamed on both sides",
                ("00u-bo", Some("bob")),
                some,
                vec![known("p-bo", "bob", &[])],
                vec![link("00u-bo", "p-bo", by_name("bo"))],
                yes("p-bo", "user_name", false),
            ),
            (
                "linked by name, and given an id since",
                ("00u-bo", Some("bo")),
                some,
                vec![known("p-bo", "bo", &[(SCIM, "00u-bo")])],
                vec![link("00u-bo", "p-bo", by_name("bo"))],
                yes("p-bo", "external_id", false),
            ),
            (
                "made anew in the directory with the same id",
                ("00u-ada", None),
                some,
                vec![known("p-new", "ada", &[(SCIM, "00u-ada")])],
                vec![link("00u-ada", "p-gone", by_id("00u-ada"))],
                yes("p-new", "external_id", true),
            ),
            // ── unknown ──
            (
                "nobody",
                ("00u-x", Some("x")),
                some,
                vec![ada(), bare()],
                vec![],
                Err("unknown_person"),
            ),
            (
                "no name, and an id of nobody",
                ("00u-x", None),
                some,
                vec![ada(), bare()],
                vec![],
                Err("unknown_person"),
            ),
            (
                "an empty name",
                ("00u-x", Some("")),
                some,
                vec![known("p-e", "", &[])],
                vec![],
                Err("unknown_person"),
            ),
            (
                "the name in another case",
                ("00u-bo", Some("Bo")),
                some,
                vec![bare()],
                vec![],
                Err("unknown_person"),
            ),
            (
                "the e-mail as a name",
                ("00u-bo", Some("ada@example.com")),
                some,
                vec![bare()],
                vec![],
                Err("unknown_person"),
            ),
            (
                "the e-mail of somebody in the very case",
                ("00u-bo", Some("Ada@Example.com")),
                some,
                vec![bare()],
                vec![],
                Err("unknown_person"),
            ),
            (
                "linked by name, and renamed on one side",
                ("00u-bo", Some("bo")),
                some,
                vec![known("p-bo", "bob", &[])],
                vec![link("00u-bo", "p-bo", by_name("bo"))],
                Err("unknown_person"),
            ),
            // ── not believed ──
            (
                "a name whose person has another id",
                ("00u-eve", Some("ada")),
                some,
                vec![ada()],
                vec![],
                Err("external_id_differs"),
            ),
            (
                "an id of another issuer",
                ("00u-ada", Some("ada")),
                Some("https://scim.aws.example/22"),
                vec![ada()],
                vec![],
                Err("external_id_differs"),
            ),
            (
                "ids, and no issuer configured",
                ("00u-ada", Some("ada")),
                None,
                vec![ada()],
                vec![],
                Err("no_external_id_issuer"),
            ),
            (
                "linked by id, and the id is gone",
                ("00u-ada", Some("ada")),
                some,
                vec![known("p-ada", "ada", &[])],
                vec![link("00u-ada", "p-ada", by_id("00u-ada"))],
                Err("external_id_differs"),
            ),
            (
                "linked by id, and the person has another",
                ("00u-ada", Some("ada")),
                some,
                vec![known("p-ada", "ada", &[(SCIM, "00u-eve")])],
                vec![link("00u-ada", "p-ada", by_id("00u-ada"))],
                Err("external_id_differs"),
            ),
            (
                "two with the id",
                ("00u-ada", None),
                some,
                vec![ada(), known("p-2", "b", &[(SCIM, "00u-ada")])],
                vec![],
                Err("ambiguous_person"),
            ),
            (
                "two with the name",
                ("00u-bo", Some("bo")),
                some,
                vec![bare(), known("p-2", "bo", &[])],
                vec![],
                Err("ambiguous_person"),
            ),
            // ── linked once ──
            (
                "the name was given to somebody new while the old entry stands",
                ("00u-new", Some("bo")),
                some,
                vec![bare()],
                vec![link("00u-bo", "p-bo", by_name("bo"))],
                Err("second_account"),
            ),
            (
                "a second account with the same id claim",
                ("00u-ada", None),
                some,
                vec![ada()],
                vec![link("other", "p-ada", by_id("00u-ada"))],
                Err("second_account"),
            ),
            (
                "the account is somebody else by name now",
                ("00u-bo", Some("cy")),
                some,
                vec![bare(), known("p-cy", "cy", &[])],
                vec![link("00u-bo", "p-bo", by_name("bo"))],
                Err("linked_to_another"),
            ),
            (
                "the account is somebody else by id now",
                ("00u-ada", None),
                some,
                vec![ada(), bare()],
                vec![link("00u-ada", "p-bo", by_name("bo"))],
                Err("linked_to_another"),
            ),
            (
                "made anew in the directory with nothing but the name",
                ("00u-bo", Some("bo")),
                some,
                vec![known("p-new", "bo", &[])],
                vec![link("00u-bo", "p-gone", by_name("bo"))],
                Err("linked_to_another"),
            ),
            (
                "a new person of a recycled name",
                ("00u-new", Some("bo")),
                some,
                vec![known("p-new", "bo", &[])],
                vec![link("00u-bo", "p-bo", by_name("bo"))],
                yes("p-new", "user_name", true),
            ),
            // ── disabled ──
            (
                "disabled",
                ("00u-ada", None),
                some,
                vec![disabled(ada())],
                vec![],
                Err("disabled"),
            ),
            (
                "disabled, by name",
                ("00u-bo", Some("bo")),
                some,
                vec![disabled(bare())],
                vec![link("00u-bo", "p-bo", by_name("bo"))],
                Err("disabled"),
            ),
        ];
        for (what, account, issuer, directory, links, expected) in cases {
            assert_eq!(
                judge(*account, *issuer, directory, links),
                *expected,
                "{what}"
            );
        }
    }

    #[test]
    fn a_link_holds_only_while_the_directory_says_the_same() {
        let names = |user_name: &str, ids: &[(&str, &str)]| known("p", user_name, ids).known_as;
        for (way, now, expected) in [
            (by_id("a"), names("x", &[(SCIM, "a")]), true),
            (
                by_id("a"),
                names("renamed", &[(SCIM, "a"), ("other", "b")]),
                true,
            ),
            (by_id("a"), names("x", &[(SCIM, "b")]), false),
            (by_id("a"), names("x", &[("other", "a")]), false),
            (by_id("a"), names("x", &[]), false),
            (by_name("x"), names("x", &[]), true),
            (by_name("x"), names("X", &[]), false),
            (by_name("x"), names("y", &[]), false),
            (by_name("x"), names("x", &[(SCIM, "a")]), false),
        ] {
            assert_eq!(way.leads_to(&now), expected, "{way:?} {now:?}");
        }
    }
}
