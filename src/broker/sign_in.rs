//! Signing in. How somebody proved who they are is the edge's business (`http`, `oidc`); here an account
//! becomes a person, and that becomes a record.
//!
//! Who: whoever the provider vouches for and the directory knows. Changes: an account that signs in for
//! the first time is linked to its person, for good. Events: `session.started`, perhaps with
//! `identity.linked`; or `session.refused`.

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use super::{ActError, Broker, Kind, Refused};
use crate::access::id::SessionId;
use crate::access::identity::{Account, Identified, identify};
use crate::access::person::{Actor, Assurance, Channel, PersonId, SignedInPerson};
use crate::audit::event::{Event, EventType};
use crate::postgres::change::Change;
use crate::postgres::identities;
use crate::postgres::sign_ins::StepUp;

/// Who somebody is, as their provider proved it a moment ago.
#[derive(Clone, Debug)]
pub struct Proved<'a> {
    /// Their account.
    pub account: Account<'a>,
    /// Whose `ExternalId`s count, as configured.
    pub external_issuer: Option<&'a str>,
    /// How strongly.
    pub assurance: Assurance,
    /// The methods behind that.
    pub amr: Vec<String>,
    /// The class of it.
    pub acr: Option<String>,
    /// When.
    pub auth_time: Option<DateTime<Utc>>,
    /// From which address.
    pub ip: Option<IpAddr>,
}

/// Somebody who is signed in from now on.
#[derive(Clone, Debug)]
pub struct Started {
    /// Who.
    pub by: SignedInPerson,
    /// The name of their session.
    pub session: SessionId,
    /// When it began.
    pub at: DateTime<Utc>,
}

impl Broker {
    /// Records that somebody signed in without a provider, as a demo lets them; `replaces` is the session
    /// that this browser had. The new one may be used once this is committed.
    ///
    /// # Errors
    /// If they are disabled, or the database refuses.
    pub async fn sign_in(
        &self,
        by: &SignedInPerson,
        replaces: Option<SessionId>,
    ) -> Result<Started, ActError> {
        if !by.person.enabled {
            let refused = Refused::new(
                Kind::Forbidden,
                "disabled",
                "The directory says that this account is disabled.",
            );
            return Err(self
                .refuse(by, EventType::SessionRefused, None, refused)
                .await?
                .into());
        }
        let change = Change::begin(&self.db, Actor::System).await?;
        start(change, by.clone(), replaces).await
    }

    /// Signs in the person whose account this is, and links it to them if that has not been done. Whoever
    /// steps up must be who they were.
    ///
    /// # Errors
    /// Why it is nobody (or somebody else), or what broke. Nothing is changed then.
    pub async fn sign_in_by_proof(
        &self,
        proved: &Proved<'_>,
        step_up: Option<&StepUp>,
        replaces: Option<SessionId>,
    ) -> Result<Started, ActError> {
        let account = &proved.account;
        let mut change = Change::begin(&self.db, Actor::System).await?;
        identities::lock(change.conn(), account.issuer).await?;
        let found = identities::find(change.conn(), account, proved.external_issuer).await?;
        let judged = identify(account, proved.external_issuer, &found)
            .map_err(|why| Refused::new(Kind::Forbidden, why.code(), why.to_string()))
            .and_then(|identified| same_as_before(identified, account, step_up));
        let identified = match judged {
            Ok(identified) => identified,
            Err(refused) => {
                drop(change);
                self.refuse_account(proved, refused.code).await?;
                return Err(refused.into());
            }
        };
        let now = change.now().await?;
        identities::save(
            change.conn(),
            account,
            &identified.person.id,
            &identified.way,
            now,
        )
        .await?;
        if identified.is_new {
            change.record(linked(account, &identified));
        }
        let by = SignedInPerson {
            person: identified.person,
            assurance: proved.assurance,
            amr: proved.amr.clone(),
            acr: proved.acr.clone(),
            auth_time: proved.auth_time,
            channel: Channel::Web,
            ip: proved.ip,
        };
        start(change, by, replaces).await
    }

    /// Records that a sign-in failed: how long the name was, never the name itself.
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn refuse_sign_in(
        &self,
        ip: Option<IpAddr>,
        code: &'static str,
        length: usize,
    ) -> anyhow::Result<()> {
        let length = i64::try_from(length).unwrap_or(i64::MAX).min(1 << 31);
        let event = Event::new(EventType::SessionRefused)
            .with("code", code)
            .with("length", length);
        self.refuse_stranger(ip, event).await
    }

    /// The same of an account that a provider vouched for: an administrator must be able to find it there.
    async fn refuse_account(&self, proved: &Proved<'_>, code: &'static str) -> anyhow::Result<()> {
        let event = Event::new(EventType::SessionRefused)
            .with("code", code)
            .with("issuer", proved.account.issuer)
            .with("subject", proved.account.subject);
        self.refuse_stranger(proved.ip, event).await
    }

    async fn refuse_stranger(&self, ip: Option<IpAddr>, event: Event) -> anyhow::Result<()> {
        let key = ip.map_or_else(|| "stranger".to_owned(), |ip| format!("stranger {ip}"));
        self.record_refusal(&key, Actor::Stranger { ip }, event)
            .await
    }
}

/// Whoever steps up proves more about themself, and never becomes somebody else by it.
fn same_as_before(
    identified: Identified,
    account: &Account<'_>,
    step_up: Option<&StepUp>,
) -> Result<Identified, Refused> {
    let is_same =
        step_up.is_none_or(|of| of.person == identified.person.id && of.subject == account.subject);
    if is_same {
        Ok(identified)
    } else {
        let text =
            "You proved to be somebody else than who is signed in here, so nothing was changed.";
        Err(Refused::new(Kind::Forbidden, "step_up_as_another", text))
    }
}

fn linked(account: &Account<'_>, identified: &Identified) -> Event {
    Event::new(EventType::IdentityLinked)
        .with("person", identified.person.id.as_str())
        .with("issuer", account.issuer)
        .with("subject", account.subject)
        .with("by", identified.way.as_str())
        .with(
            "instead_of",
            identified.replaces.as_ref().map(PersonId::as_str),
        )
}

async fn start(
    mut change: Change,
    by: SignedInPerson,
    replaces: Option<SessionId>,
) -> Result<Started, ActError> {
    let at = change.now().await?;
    let session = SessionId::new(at);
    change.caused_by(Actor::Person(Box::new(by.clone())));
    change.record(
        Event::new(EventType::SessionStarted)
            .with("session", session.to_string())
            .with("assurance", by.assurance.as_str())
            .with("instead_of", replaces.map(|session| session.to_string())),
    );
    change.commit().await?;
    Ok(Started { by, session, at })
}
