//! Pages and their tokens, the same for every listing.
//!
//! A token names the last item that was shown, so a listing stays complete while things are added
//! and removed between its pages. It is bound to the operation and to the rest of the input;
//! anything else that is sent as a token is refused.

use serde_json::{Map, Value, json};

use super::ids;
use super::input::Input;
use super::refusal::Refusal;
use super::server::Service;

/// Answers one page of `items` under `member`. Each item comes with a key that is unique and never
/// changes; keys give the order.
pub(super) fn page(
    input: &Input<'_>,
    member: &str,
    mut items: Vec<(String, Value)>,
) -> Result<Value, Refusal> {
    let most = if input.service == Service::Organizations {
        20
    } else {
        100
    };
    let count = input
        .fields
        .count("MaxResults", most)?
        .min(input.settings.page_items.max(1));
    items.sort_by(|one, other| one.0.cmp(&other.0));
    if let Some(token) = input.fields.optional("NextToken", &super::input::ANY)? {
        let after = read_token(input, token).ok_or_else(|| input.service.invalid_token())?;
        items.retain(|(key, _)| *key > after);
    }
    let token = (items.len() > count).then(|| write_token(input, &items[count - 1].0));
    items.truncate(count);
    let mut answer = Map::from_iter([(
        member.to_owned(),
        items.into_iter().map(|(_, item)| item).collect(),
    )]);
    if let Some(token) = token {
        answer.insert("NextToken".to_owned(), json!(token));
    }
    Ok(Value::Object(answer))
}

/// What a token is bound to: the operation and every field that chooses what is listed.
fn scope(input: &Input<'_>) -> String {
    let rest: Map<String, Value> = input
        .fields
        .map
        .iter()
        .filter(|(name, _)| !["NextToken", "MaxResults"].contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    format!("{} {}", input.operation, Value::Object(rest))
}

fn write_token(input: &Input<'_>, key: &str) -> String {
    format!(
        "{}{}",
        ids::check(&["page", &scope(input), key]),
        hex::encode(key)
    )
}

fn read_token(input: &Input<'_>, token: &str) -> Option<String> {
    let (check, key) = token.split_at_checked(16)?;
    let key = String::from_utf8(hex::decode(key).ok()?).ok()?;
    (check == ids::check(&["page", &scope(input), &key])).then_some(key)
}
