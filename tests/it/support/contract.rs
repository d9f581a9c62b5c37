//! The API's document as a judge: every answer of every story must be one that it describes.
//!
//! Of JSON Schema only what the document uses; a keyword that is new here stops the test.

use std::sync::LazyLock;

use axum::http::{Method, header};
use serde_json::{Map, Value};

use super::people::Answer;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| curfew::http::openapi::document("sid").unwrap());

/// The path of the document that an address belongs to; none if there is no such route.
pub(crate) fn template(path: &str) -> Option<&'static String> {
    let parts: Vec<&str> = path.split('/').collect();
    let mut paths = DOCUMENT["paths"].as_object().unwrap().keys();
    paths.find(|template| {
        let of_template: Vec<&str> = template.split('/').collect();
        of_template.len() == parts.len()
            && of_template
                .iter()
                .zip(&parts)
                .all(|(of_template, part)| of_template == part || of_template.starts_with('{'))
    })
}

/// Fails unless the document describes this answer.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let Some(template) = template(path) else {
        return;
    };
    // A HEAD is answered as the GET would be, without the body.
    let name = method.as_str().to_lowercase();
    let Some(operation) = DOCUMENT["paths"][template].get(&name) else {
        return;
    };
    let about = format!("{method} {template} → {}: {}", answer.status, answer.text());
    let described = operation["responses"]
        .get(answer.status.as_str())
        .unwrap_or_else(|| panic!("no such status in the document: {about}"));
    for (name, _) in described["headers"].as_object().into_iter().flatten() {
        assert!(
            answer.headers.contains_key(name.as_str()),
            "no header {name}: {about}"
        );
    }
    let kind = answer.headers[header::CONTENT_TYPE].to_str().unwrap();
    let schema = described["content"]
        .get(kind)
        .unwrap_or_else(|| panic!("{kind} is not in the document: {about}"));
    if let Err(why) = fits(&answer.json(), &schema["schema"]) {
        panic!("not as the document says, {why}: {about}");
    }
}

/// Says where a value is not what the schema allows.
pub(crate) fn fits(value: &Value, schema: &Value) -> Result<(), String> {
    let keywords = schema.as_object().ok_or("a schema is an object")?;
    for (keyword, says) in keywords {
        let holds = match keyword.as_str() {
            "$ref" => {
                let pointer = says.as_str().unwrap().trim_start_matches('#');
                let target = DOCUMENT.pointer(pointer);
                fits(value, target.ok_or("a reference leads nowhere")?)?;
                true
            }
            "allOf" => {
                for part in says.as_array().unwrap() {
                    fits(value, part)?;
                }
                true
            }
            "oneOf" => {
                let parts = says.as_array().unwrap().iter();
                parts.filter(|part| fits(value, part).is_ok()).count() == 1
            }
            "type" => match says {
                Value::Array(types) => types.iter().any(|one| is_of(value, one)),
                one => is_of(value, one),
            },
            "enum" => says.as_array().unwrap().contains(value),
            "const" => says == value,
            "required" => {
                let names = says.as_array().unwrap().iter();
                let mut missing = names.filter(|name| value.get(name.as_str().unwrap()).is_none());
                if let Some(name) = missing.next() {
                    return Err(format!("{name} is missing"));
                }
                true
            }
            "properties" => {
                properties(value, says.as_object().unwrap(), keywords)?;
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    fits(item, says)?;
                }
                true
            }
            "minimum" => value
                .as_i64()
                .is_none_or(|number| number >= says.as_i64().unwrap()),
            "maximum" => value
                .as_i64()
                .is_none_or(|number| number <= says.as_i64().unwrap()),
            "pattern" => {
                let pattern = regex::Regex::new(says.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "format" => match says.as_str().unwrap() {
                "date-time" => value
                    .as_str()
                    .is_none_or(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
                "uuid" => value
                    .as_str()
                    .is_none_or(|text| uuid::Uuid::parse_str(text).is_ok()),
                "int32" | "int64" => true,
                other => return Err(format!("the format {other} is not known here")),
            },
            // What is not described is refused in any case.
            "additionalProperties" => says == false,
            "description" | "default" | "example" => true,
            other => return Err(format!("the keyword {other} is not known here")),
        };
        if !holds {
            return Err(format!("{value} is not {keyword} {says}"));
        }
    }
    Ok(())
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// What is there must be described, unless this is only a part of a description.
fn properties(
    value: &Value,
    described: &Map<String, Value>,
    keywords: &Map<String, Value>,
) -> Result<(), String> {
    for (name, value) in value.as_object().into_iter().flatten() {
        match described.get(name) {
            Some(schema) => fits(value, schema).map_err(|why| format!("{name}: {why}"))?,
            None if keywords.contains_key("type") => {
                return Err(format!("{name} is not described"));
            }
            None => {}
        }
    }
    Ok(())
}
