//! What a provider's words about a sign-in are worth: `acr` (OpenID Connect Core §2) and `amr`
//! (RFC 8176) become one of our three levels. Pure.
//!
//! Providers use these words as they like, so which ones count is configured. A word that is not
//! configured is worth nothing: unknown means `any`.

use std::collections::BTreeSet;

use crate::access::person::Assurance;

/// Which words count for what, and what to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssuranceMap {
    /// Methods that say that there was a second factor.
    pub mfa_amr: BTreeSet<String>,
    /// Contexts that say so.
    pub mfa_acr: BTreeSet<String>,
    /// Methods that can't be phished.
    pub phishing_resistant_amr: BTreeSet<String>,
    /// Contexts in which none could be.
    pub phishing_resistant_acr: BTreeSet<String>,
    /// What to send as `acr_values` for a second factor; none is asked for if it is not there.
    pub ask_mfa: Option<String>,
    /// The same for what can't be phished.
    pub ask_phishing_resistant: Option<String>,
}

/// Okta's words.
impl Default for AssuranceMap {
    fn default() -> Self {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            mfa_amr: set(&["mfa"]),
            mfa_acr: set(&["urn:okta:loa:2fa:any"]),
            phishing_resistant_amr: set(&["phr", "phrh", "pop"]),
            phishing_resistant_acr: set(&["phr", "phrh"]),
            ask_mfa: Some("urn:okta:loa:2fa:any".to_owned()),
            ask_phishing_resistant: Some("phr".to_owned()),
        }
    }
}

impl AssuranceMap {
    /// What this sign-in is worth: the most that either its context or one of its methods says.
    #[must_use]
    pub fn of(&self, acr: Option<&str>, amr: &[String]) -> Assurance {
        let says = |contexts: &BTreeSet<String>, methods: &BTreeSet<String>| {
            acr.is_some_and(|acr| contexts.contains(acr))
                || amr.iter().any(|method| methods.contains(method))
        };
        if says(&self.phishing_resistant_acr, &self.phishing_resistant_amr) {
            Assurance::PhishingResistant
        } else if says(&self.mfa_acr, &self.mfa_amr) {
            Assurance::Mfa
        } else {
            Assurance::Any
        }
    }

    /// What to ask the provider for.
    #[must_use]
    pub fn ask(&self, wanted: Assurance) -> Option<&str> {
        match wanted {
            Assurance::Any => None,
            Assurance::Mfa => self.ask_mfa.as_deref(),
            Assurance::PhishingResistant => self.ask_phishing_resistant.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_route_is_enough_and_what_is_unknown_is_worth_nothing() {
        use Assurance::{Any, Mfa, PhishingResistant};
        let map = AssuranceMap::default();
        for (acr, amr, worth) in [
            (None, &[][..], Any),
            (None, &["pwd"], Any),
            (Some("urn:okta:loa:1fa:any"), &["pwd"], Any),
            (None, &["pwd", "mfa"], Mfa),
            (Some("urn:okta:loa:2fa:any"), &[], Mfa),
            (Some("urn:okta:loa:2fa:any"), &["pop"], PhishingResistant),
            (Some("phr"), &[], PhishingResistant),
            (Some("phrh"), &["pwd"], PhishingResistant),
            (None, &["mfa", "hwk", "pop"], PhishingResistant),
            // Words of the wrong claim, of another spelling, and parts of words.
            (Some("mfa"), &[], Any),
            (None, &["urn:okta:loa:2fa:any"], Any),
            (Some("PHR"), &["MFA"], Any),
            (Some("phr phrh"), &["mfa "], Any),
            (Some(""), &[""], Any),
            // Hardware alone says nothing about phishing.
            (None, &["hwk"], Any),
        ] {
            let methods: Vec<String> = amr.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(map.of(acr, &methods), worth, "{acr:?} {amr:?}");
        }
    }

    #[test]
    fn a_map_of_nothing_is_worth_nothing() {
        let empty = AssuranceMap {
            mfa_amr: BTreeSet::new(),
            mfa_acr: BTreeSet::new(),
            phishing_resistant_amr: BTreeSet::new(),
            phishing_resistant_acr: BTreeSet::new(),
            ask_mfa: None,
            ask_phishing_resistant: None,
        };
        let methods = ["mfa".to_owned(), "phr".to_owned()];
        assert_eq!(empty.of(Some("phr"), &methods), Assurance::Any);
        assert_eq!(empty.ask(Assurance::PhishingResistant), None);
    }

    #[test]
    fn what_is_asked_for_counts_when_it_comes_back() {
        let map = AssuranceMap::default();
        for wanted in [Assurance::Mfa, Assurance::PhishingResistant] {
            assert_eq!(map.of(map.ask(wanted), &[]), wanted);
        }
        assert_eq!(map.ask(Assurance::Any), None);
    }
}
