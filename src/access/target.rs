//! What can be had: a permission set in an account.

use serde::Serialize;

/// What a request is for. One kind today; account access manager would be the second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Target {
    /// A permission set of Identity Center in one account.
    PermissionSet {
        /// Twelve digits.
        account_id: String,
        /// A label, as it was when the request was made.
        account_name: String,
        /// The permission set's ARN.
        permission_set_arn: String,
        /// Its name: what people and the console know it by.
        permission_set: String,
    },
}

impl Target {
    /// The account's id.
    #[must_use]
    pub fn account_id(&self) -> &str {
        let Self::PermissionSet { account_id, .. } = self;
        account_id
    }

    /// The account's name when the request was made.
    #[must_use]
    pub fn account_name(&self) -> &str {
        let Self::PermissionSet { account_name, .. } = self;
        account_name
    }

    /// The permission set's ARN.
    #[must_use]
    pub fn permission_set_arn(&self) -> &str {
        let Self::PermissionSet {
            permission_set_arn, ..
        } = self;
        permission_set_arn
    }

    /// The permission set's name.
    #[must_use]
    pub fn permission_set(&self) -> &str {
        let Self::PermissionSet { permission_set, .. } = self;
        permission_set
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let account = account_in_words(self.account_name(), self.account_id());
        write!(f, "{} in {account}", self.permission_set())
    }
}

/// An account in a sentence: its name with its id beside, or the id alone if it has no name.
#[must_use]
pub fn account_in_words(name: &str, id: &str) -> String {
    match name.trim() {
        "" => id.to_owned(),
        name => format!("{name} ({id})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_a_name_is_its_id() {
        assert_eq!(
            account_in_words("payments-prod", "111111111111"),
            "payments-prod (111111111111)"
        );
        assert_eq!(account_in_words(" ", "111111111111"), "111111111111");
    }
}
