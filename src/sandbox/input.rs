//! One call's input: reading its fields, and refusing what AWS's own model would refuse.
//!
//! The SDK checks neither required fields nor patterns, so this is where a broker that sends
//! nonsense finds out. Fields that no operation here knows are ignored, as AWS does.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::Settings;
use super::faults::{Draw, PlannedFailure};
use super::refusal::Refusal;
use super::server::Service;

/// A constraint of the service's model.
pub(super) struct Pattern {
    /// As AWS's message words it.
    rule: &'static str,
    holds: fn(&str) -> bool,
}

pub(super) const ANY: Pattern = Pattern {
    rule: "Member must have length greater than or equal to 1",
    holds: |text| !text.is_empty(),
};
pub(super) const ACCOUNT_ID: Pattern = Pattern {
    rule: r"Member must satisfy regular expression pattern: \d{12}",
    holds: is_account_id,
};
pub(super) const INSTANCE_ARN: Pattern = Pattern {
    rule: "Member must satisfy regular expression pattern: arn:aws(-[a-z]{1,5}){0,3}:sso:::instance/(sso)?ins-[a-zA-Z0-9-.]{16}",
    holds: |text| {
        text.strip_prefix("arn:aws:sso:::instance/")
            .is_some_and(is_instance_id)
    },
};
pub(super) const PERMISSION_SET_ARN: Pattern = Pattern {
    rule: "Member must satisfy regular expression pattern: \
           arn:aws(-[a-z]{1,5}){0,3}:sso:::permissionSet/(sso)?ins-[a-zA-Z0-9-.]{16}/ps-[a-zA-Z0-9-./]{16}",
    holds: is_permission_set_arn,
};
pub(super) const PRINCIPAL_ID: Pattern = Pattern {
    rule: "Member must satisfy regular expression pattern: \
           ([0-9a-f]{10}-|)[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}",
    holds: is_principal_id,
};
pub(super) const REQUEST_ID: Pattern = Pattern {
    rule: r"Member must satisfy regular expression pattern: \b[0-9a-f]{8}\b-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-\b[0-9a-f]{12}\b",
    holds: |text| is_uuid(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase()),
};
pub(super) const PRINCIPAL_TYPE: Pattern = Pattern {
    rule: "Member must satisfy enum value set: [GROUP, USER]",
    holds: |text| ["USER", "GROUP"].contains(&text),
};
pub(super) const TARGET_TYPE: Pattern = Pattern {
    rule: "Member must satisfy enum value set: [AWS_ACCOUNT]",
    holds: |text| text == "AWS_ACCOUNT",
};
pub(super) const STATUS: Pattern = Pattern {
    rule: "Member must satisfy enum value set: [IN_PROGRESS, FAILED, SUCCEEDED]",
    holds: |text| ["IN_PROGRESS", "FAILED", "SUCCEEDED"].contains(&text),
};
pub(super) const PROVISIONING: Pattern = Pattern {
    rule: "Member must satisfy enum value set: [LATEST_PERMISSION_SET_PROVISIONED, LATEST_PERMISSION_SET_NOT_PROVISIONED]",
    holds: |text| {
        [
            "LATEST_PERMISSION_SET_PROVISIONED",
            "LATEST_PERMISSION_SET_NOT_PROVISIONED",
        ]
        .contains(&text)
    },
};
pub(super) const IDENTITY_STORE_ID: Pattern = Pattern {
    rule: "Member must satisfy regular expression pattern: d-[0-9a-f]{10}",
    holds: |text| is_identity_store_id(after_slash(text)),
};
/// The id of a user or group, which may be given as an ARN.
pub(super) const RESOURCE_ID: Pattern = Pattern {
    rule: PRINCIPAL_ID.rule,
    holds: |text| {
        is_principal_id(after_slash(text))
            && (text.starts_with("arn:aws:identitystore:::") || !text.contains('/'))
    },
};

/// The part behind the last slash: an id that may have been given as an ARN.
pub(super) fn after_slash(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_instance_id(text: &str) -> bool {
    let rest = text
        .strip_prefix("ssoins-")
        .or_else(|| text.strip_prefix("ins-"));
    rest.is_some_and(|rest| {
        rest.len() == 16
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    })
}

fn is_permission_set_arn(text: &str) -> bool {
    let Some((instance, set)) = text
        .strip_prefix("arn:aws:sso:::permissionSet/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    let set_is_well_formed = set.strip_prefix("ps-").is_some_and(|rest| {
        rest.len() == 16
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-./".contains(&byte))
    });
    is_instance_id(instance) && set_is_well_formed
}

fn is_identity_store_id(text: &str) -> bool {
    text.strip_prefix("d-")
        .is_some_and(|rest| rest.len() == 10 && is_lower_hex(rest))
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

pub(super) fn is_principal_id(text: &str) -> bool {
    is_uuid(text)
        || text.split_once('-').is_some_and(|(prefix, rest)| {
            prefix.len() == 10 && is_lower_hex(prefix) && is_uuid(rest)
        })
}

/// A call as a handler sees it: authenticated, counted, decoded.
pub(super) struct Input<'a> {
    pub(super) service: Service,
    pub(super) operation: &'static str,
    pub(super) now: DateTime<Utc>,
    pub(super) settings: &'a Settings,
    /// How the operation that this call starts will fail, if a fault says so.
    pub(super) planned_failure: Option<PlannedFailure>,
    /// How long it will take, if a fault says so.
    pub(super) planned_millis: Option<u64>,
    pub(super) draw: Draw,
    pub(super) fields: Fields<'a>,
}

/// An object in the input.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) service: Service,
    pub(super) map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// A string that must be there.
    pub(super) fn required(&self, name: &str, pattern: &Pattern) -> Result<&'a str, Refusal> {
        self.optional(name, pattern)?
            .ok_or_else(|| self.missing(name))
    }

    /// A string that may be absent.
    pub(super) fn optional(
        &self,
        name: &str,
        pattern: &Pattern,
    ) -> Result<Option<&'a str>, Refusal> {
        let Some(text) = self.member(name, "a string", Value::as_str)? else {
            return Ok(None);
        };
        if (pattern.holds)(text) {
            Ok(Some(text))
        } else {
            Err(self.violates(name, text, pattern.rule))
        }
    }

    /// A nested object that may be absent.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        Ok(self
            .member(name, "an object", Value::as_object)?
            .map(|map| Self {
                service: self.service,
                map,
            }))
    }

    /// A nested object that must be there.
    pub(super) fn required_object(&self, name: &str) -> Result<Self, Refusal> {
        self.object(name)?.ok_or_else(|| self.missing(name))
    }

    /// A list that may be absent.
    pub(super) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, Refusal> {
        Ok(self
            .member(name, "a list", Value::as_array)?
            .map(Vec::as_slice))
    }

    /// A whole number between 1 and `most`, or `most`.
    pub(super) fn count(&self, name: &str, most: usize) -> Result<usize, Refusal> {
        let Some(number) = self.member(name, "an integer", Value::as_i64)? else {
            return Ok(most);
        };
        usize::try_from(number)
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| {
                let bound = if number < 1 {
                    "greater than or equal to 1".to_owned()
                } else {
                    format!("less than or equal to {most}")
                };
                self.violates(
                    name,
                    &number.to_string(),
                    &format!("Member must have value {bound}"),
                )
            })
    }

    pub(super) fn violates(&self, name: &str, value: &str, rule: &str) -> Refusal {
        let name = lower_camel(name);
        self.service.invalid(format!("1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {rule}"))
    }

    fn missing(&self, name: &str) -> Refusal {
        let name = lower_camel(name);
        self.service.invalid(format!("1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"))
    }

    fn member<T>(
        &self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| Refusal::unreadable(format!("{name} must be {kind}"))),
        }
    }
}

fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked_as_the_model_says() {
        let holds = |pattern: &Pattern, text: &str| (pattern.holds)(text);
        assert!(
            holds(&ACCOUNT_ID, "111111111111")
                && !holds(&ACCOUNT_ID, "11111111111")
                && !holds(&ACCOUNT_ID, "abc")
        );
        assert!(holds(
            &INSTANCE_ARN,
            "arn:aws:sso:::instance/ssoins-5a4db0c1d2e3f405"
        ));
        assert!(!holds(
            &INSTANCE_ARN,
            "arn:aws:sso:::instance/ssoins-5a4db0c1d2e3f40"
        ));
        let set = "arn:aws:sso:::permissionSet/ssoins-5a4db0c1d2e3f405/ps-3000000000000001";
        assert!(holds(&PERMISSION_SET_ARN, set));
        assert!(!holds(
            &PERMISSION_SET_ARN,
            &set.replace("permissionSet", "instance")
        ));
        assert!(holds(
            &PRINCIPAL_ID,
            "9067a1b2c3-10000000-0000-4000-8000-000000000004"
        ));
        assert!(holds(&PRINCIPAL_ID, "10000000-0000-4000-8000-00000000000A"));
        assert!(
            !holds(&PRINCIPAL_ID, "engineer@example.com")
                && !holds(
                    &PRINCIPAL_ID,
                    "9067A1B2C3-10000000-0000-4000-8000-000000000004"
                )
        );
        assert!(holds(
            &RESOURCE_ID,
            "arn:aws:identitystore:::user/10000000-0000-4000-8000-000000000001"
        ));
        assert!(!holds(
            &RESOURCE_ID,
            "x/10000000-0000-4000-8000-000000000001"
        ));
        assert!(!holds(&REQUEST_ID, "10000000-0000-4000-8000-00000000000A"));
    }
}
