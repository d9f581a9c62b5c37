//! Which account somebody means: by its twelve digits, its name, or a part of either. Pure.
//!
//! What was typed is plain text, never a pattern. Where it could mean several accounts, nothing here
//! picks one: access to the wrong account is worse than one more question.

/// Longest text that is looked for: a name of 255 characters with its id behind.
pub(super) const MOST_TYPED: usize = 300;

/// An account that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccountOffer {
    pub(super) id: String,
    /// May be empty.
    pub(super) name: String,
    /// Which of the offered rules reach it, by their places.
    pub(super) rules: Vec<usize>,
}

impl AccountOffer {
    /// As it stands in the field: the name with the id behind, or the id alone.
    pub(super) fn label(&self) -> String {
        if self.name.is_empty() {
            return self.id.clone();
        }
        format!("{} ({})", self.name, self.id)
    }

    /// The rules, for the script that filters the list.
    pub(super) fn places(&self) -> String {
        let places: Vec<String> = self.rules.iter().map(ToString::to_string).collect();
        places.join(" ")
    }
}

/// Is it an account's id? Then there is nothing to find out.
pub(super) fn is_id(typed: &str) -> bool {
    let typed = typed.trim();
    typed.len() == 12 && typed.bytes().all(|byte| byte.is_ascii_digit())
}

/// The accounts that a typed text could mean: those with exactly this id, name or label, whatever the
/// case; or else those in whose label it occurs.
pub(super) fn matching<'a>(
    accounts: impl Iterator<Item = &'a AccountOffer>,
    typed: &str,
) -> Vec<&'a AccountOffer> {
    let typed = typed.trim().to_lowercase();
    // Nothing at all would be the name of every account that has none.
    if typed.is_empty() || typed.chars().count() > MOST_TYPED {
        return Vec::new();
    }
    let (mut exactly, mut partly) = (Vec::new(), Vec::new());
    for account in accounts {
        let label = account.label().to_lowercase();
        if account.id == typed || account.name.to_lowercase() == typed || label == typed {
            exactly.push(account);
        } else if label.contains(&typed) {
            partly.push(account);
        }
    }
    if exactly.is_empty() { partly } else { exactly }
}

/// The one account that is meant, if it is certain: the only match, or the match that was chosen. What
/// was chosen before the text was changed counts no more.
pub(super) fn meant<'a>(found: &[&'a AccountOffer], choice: &str) -> Option<&'a AccountOffer> {
    match found {
        [only] => Some(only),
        several => several.iter().copied().find(|one| one.id == choice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str, name: &str) -> AccountOffer {
        AccountOffer {
            id: id.into(),
            name: name.into(),
            rules: vec![0],
        }
    }

    fn accounts() -> Vec<AccountOffer> {
        vec![
            account("111111111111", "payments-prod"),
            account("222222222222", "payments"),
            account("333333333333", "data-prod"),
            account("444444444444", ""),
            account("555555555555", "דוחות ייצור"),
            account("666666666666", "100% .* \\d+ _x_"),
            account("777777777777", &"x".repeat(255)),
            account("888888888888", "Prod"),
            account("999999999999", "PROD"),
        ]
    }

    fn found(typed: &str) -> Vec<String> {
        let accounts = accounts();
        matching(accounts.iter(), typed)
            .into_iter()
            .map(|account| account.id[..1].to_owned())
            .collect()
    }

    #[test]
    fn an_exact_id_name_or_label_means_one_account_even_where_others_contain_it() {
        for (typed, expected) in [
            ("111111111111", "1"),
            ("  payments  ", "2"),
            ("payments-prod (111111111111)", "1"),
            ("PAYMENTS-PROD", "1"),
            ("444444444444", "4"),
            ("דוחות ייצור", "5"),
        ] {
            assert_eq!(found(typed), [expected], "{typed}");
        }
    }

    #[test]
    fn a_part_of_a_name_or_an_id_finds_all_that_have_it() {
        assert_eq!(found("pay"), ["1", "2"]);
        assert_eq!(found("ata-p"), ["3"]);
        assert_eq!(found("3333"), ["3"]);
        assert_eq!(found("ייצור"), ["5"]);
        assert_eq!(found(&"x".repeat(200)), ["7"]);
    }

    #[test]
    fn a_name_of_the_longest_kind_is_found_with_its_id_behind() {
        assert_eq!(found(&format!("{} (777777777777)", "x".repeat(255))), ["7"]);
    }

    #[test]
    fn names_that_differ_only_in_case_are_told_apart_by_a_choice() {
        let accounts = accounts();
        let found = matching(accounts.iter(), "prod");
        assert_eq!(found.len(), 2);
        assert_eq!(meant(&found, ""), None);
        assert_eq!(meant(&found, "999999999999").unwrap().name, "PROD");
    }

    #[test]
    fn signs_of_patterns_are_plain_text() {
        for (typed, expected) in [("%", 1), (".*", 1), ("_x_", 1), ("\\d", 1), ("^", 0)] {
            assert_eq!(found(typed).len(), expected, "{typed}");
        }
    }

    #[test]
    fn nothing_typed_means_nothing_not_the_account_without_a_name() {
        assert!(found("").is_empty() && found("   ").is_empty());
        assert_eq!(meant(&[], "444444444444"), None);
    }

    #[test]
    fn what_matches_nothing_or_is_too_long_means_nothing() {
        assert!(found("no such account").is_empty());
        assert!(found("000000000000").is_empty() && found("payments\0").is_empty());
        assert!(found(&"x".repeat(301)).is_empty());
    }

    #[test]
    fn a_choice_counts_only_while_the_text_could_still_mean_it() {
        let accounts = accounts();
        let pay = matching(accounts.iter(), "pay");
        assert_eq!(meant(&pay, "222222222222").unwrap().name, "payments");
        assert_eq!(meant(&pay, "333333333333"), None);
        let data = matching(accounts.iter(), "data");
        assert_eq!(meant(&data, "222222222222").unwrap().name, "data-prod");
    }

    #[test]
    fn a_name_that_imitates_another_account_s_label_is_never_taken_for_it() {
        let mut accounts = accounts();
        accounts.push(account("000000000001", "payments-prod (111111111111)"));
        let found = matching(accounts.iter(), "payments-prod (111111111111)");
        assert_eq!(found.len(), 2);
        assert_eq!(meant(&found, ""), None);
    }
}
