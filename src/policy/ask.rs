//! What somebody asks for: as typed, and cleaned. Everything that is wrong with the form is said at
//! once, each with its field, a stable code and what to change.

use super::Rule;
use super::check::REASON_MAX_CHARS;
use super::facts::Facts;
use crate::access::text;

/// Longest ticket.
const TICKET_MAX_CHARS: usize = 64;

/// What somebody asks for, as it came in.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Name of the rule.
    pub rule: String,
    /// Id of the account.
    pub account: String,
    /// Minutes, as typed.
    pub minutes: String,
    /// Why.
    pub reason: String,
    /// Reference in a tracker; empty means none.
    pub ticket: String,
}

/// An ask that has the right form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WellFormed {
    /// Minutes.
    pub minutes: u32,
    /// Why, cleaned.
    pub reason: String,
    /// Ticket, cleaned.
    pub ticket: Option<String>,
}

/// What is wrong with one field of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Name of the field.
    pub field: &'static str,
    /// Stable code.
    pub code: &'static str,
    /// What to change.
    pub text: String,
}

/// What somebody hears who names no rule that they may use: there is nothing to hold the rest of the
/// form against, but what is empty can be said.
pub(super) fn unknown_rule(ask: &Ask) -> Vec<FieldError> {
    let text = if ask.rule.is_empty() {
        "Choose what you need."
    } else {
        "There is no such rule that you may use. Choose one of the list."
    };
    let mut errors = vec![FieldError {
        field: "rule",
        code: "unknown_rule",
        text: text.to_owned(),
    }];
    for (field, typed, code, text) in [
        (
            "account",
            &ask.account,
            "unknown_account",
            "Choose an account.",
        ),
        (
            "minutes",
            &ask.minutes,
            "minutes_invalid",
            "Say for how many minutes.",
        ),
        (
            "reason",
            &ask.reason,
            "reason_too_short",
            "Say why; the approver and the auditor read it.",
        ),
    ] {
        if typed.trim().is_empty() {
            errors.push(FieldError {
                field,
                code,
                text: text.to_owned(),
            });
        }
    }
    errors
}

/// Cleans the form, or says everything that is wrong with it.
///
/// # Errors
/// What is wrong, field by field.
pub(super) fn well_formed(
    rule: &Rule,
    ask: &Ask,
    facts: &Facts<'_>,
) -> Result<WellFormed, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut say = |field, code, text: String| errors.push(FieldError { field, code, text });
    match facts.account {
        None if ask.account.is_empty() => say(
            "account",
            "unknown_account",
            "Choose an account.".to_owned(),
        ),
        Some(account) if !rule.reaches(account) => {
            say(
                "account",
                "account_outside_rule",
                format!(
                    "The rule {} does not reach this account. Choose one of the list.",
                    rule.name
                ),
            );
        }
        Some(account) if !account.is_active => {
            say(
                "account",
                "account_closed",
                "This account is suspended or closed.".to_owned(),
            );
        }
        Some(_) => {}
        None => say(
            "account",
            "unknown_account",
            "There is no such account. Choose one of the list.".to_owned(),
        ),
    }
    if !facts.permission_set_exists {
        say(
            "rule",
            "permission_set_missing",
            format!(
                "The permission set {} does not exist (any more). Ask your administrators.",
                rule.permission_set
            ),
        );
    }
    let minutes = ask
        .minutes
        .trim()
        .parse::<u32>()
        .ok()
        .filter(|minutes| (1..=rule.max_minutes).contains(minutes));
    if minutes.is_none() {
        let is_number = ask.minutes.trim().parse::<f64>().is_ok();
        let code = if is_number {
            "minutes_out_of_range"
        } else {
            "minutes_invalid"
        };
        say(
            "minutes",
            code,
            format!(
                "Minutes must be a whole number from 1 to {}.",
                rule.max_minutes
            ),
        );
    }
    let reason = match text::clean(&ask.reason) {
        Err(forbidden) => {
            say(
                "reason",
                "forbidden_character",
                format!("In the reason {forbidden}."),
            );
            None
        }
        Ok(reason) => {
            let length = reason.chars().count();
            if length < rule.reason_min_chars as usize {
                say(
                    "reason",
                    "reason_too_short",
                    format!(
                        "Say why in at least {} characters; the approver and the auditor read it.",
                        rule.reason_min_chars
                    ),
                );
            } else if length > REASON_MAX_CHARS as usize {
                say(
                    "reason",
                    "reason_too_long",
                    format!("The reason has {length} characters; {REASON_MAX_CHARS} are the most."),
                );
            }
            Some(reason)
        }
    };
    let ticket = match ticket(rule, &ask.ticket) {
        Ok(ticket) => ticket,
        Err((code, text)) => {
            say("ticket", code, text);
            None
        }
    };
    match (minutes, reason) {
        (Some(minutes), Some(reason)) if errors.is_empty() => Ok(WellFormed {
            minutes,
            reason,
            ticket,
        }),
        _ => Err(errors),
    }
}

fn ticket(rule: &Rule, typed: &str) -> Result<Option<String>, (&'static str, String)> {
    let ticket = text::clean(typed)
        .map_err(|forbidden| ("forbidden_character", format!("In the ticket {forbidden}.")))?;
    let required = rule.ticket.as_ref().is_some_and(|ticket| ticket.required);
    if ticket.is_empty() {
        return if required {
            Err(("ticket_required", "This rule needs a ticket.".to_owned()))
        } else {
            Ok(None)
        };
    }
    if ticket.chars().count() > TICKET_MAX_CHARS || ticket.contains('\n') {
        return Err((
            "ticket_malformed",
            format!("A ticket is one line of at most {TICKET_MAX_CHARS} characters."),
        ));
    }
    // Whatever the pattern: `\d` also means the digits of other scripts, and a tracker does not.
    if let Some(other) = ticket.chars().find(|char| !matches!(char, ' '..='~')) {
        return Err((
            "ticket_malformed",
            format!(
                "A ticket has only plain (ASCII) letters, digits and signs, and {other} (U+{:04X}) is none.",
                u32::from(other)
            ),
        ));
    }
    if let Some(pattern) = rule
        .ticket
        .as_ref()
        .and_then(|ticket| ticket.pattern.as_deref())
    {
        // A pattern that does not compile never comes into force (`check`); refuse all the same.
        if !regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(&ticket)) {
            return Err((
                "ticket_malformed",
                format!("The ticket does not look like {pattern}."),
            ));
        }
    }
    Ok(Some(ticket))
}
