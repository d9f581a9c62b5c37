//! What is wrong with a configuration, in words without the values: one may be a password in the wrong
//! place, and errors end in logs.

use config::ConfigError;

/// The words.
pub(super) fn described(error: &ConfigError) -> String {
    match error {
        ConfigError::FileParse { cause, .. } => without_excerpt(&cause.to_string()),
        ConfigError::Type {
            origin,
            expected,
            key,
            ..
        } => place(
            &format!("it must be {expected}"),
            key.as_ref(),
            origin.as_ref(),
        ),
        ConfigError::At { error, origin, key } => {
            place(&described(error), key.as_ref(), origin.as_ref())
        }
        ConfigError::Message(text) => without_values(text),
        other => other.to_string(),
    }
}

fn place(what: &str, key: Option<&String>, origin: Option<&String>) -> String {
    let key = key
        .map(|key| format!(" for key `{key}`"))
        .unwrap_or_default();
    let origin = origin
        .map(|origin| format!(" in {origin}"))
        .unwrap_or_default();
    format!("{what}{key}{origin}")
}

/// TOML's errors show the lines in question; their place and the last words are enough.
fn without_excerpt(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains('|'));
    lines.collect::<Vec<_>>().join(": ")
}

/// A value of the wrong kind is quoted in the middle of such a text.
fn without_values(text: &str) -> String {
    let found = ["invalid type: ", "invalid value: "]
        .iter()
        .find(|start| text.starts_with(**start));
    match (found, text.rsplit_once(", expected ")) {
        (Some(_), Some((_, expected))) => format!("it must be {expected}"),
        _ => text.to_owned(),
    }
}
