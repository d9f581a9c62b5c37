//! From what somebody typed to what the log is asked for: names become ids first, because events bear
//! names only inside their bytes.

use sqlx::PgConnection;

use super::filter::{Filter, Wrong};
use crate::access::person::PersonId;
use crate::postgres::audit::{NameOf, Selection, list_named};
use crate::postgres::requests::list_of_rule;

/// Most people or accounts that one word may mean.
const MOST_NAMED: usize = 50;

/// A rule with so few requests is looked up by them: the log need not be read through for the few
/// events of a rare one. Those of a common one are met soon enough on the way.
const FEW: i64 = 1000;

/// What to ask the log for.
///
/// # Errors
/// If a name means too many; or the database refuses.
pub async fn selection(
    conn: &mut PgConnection,
    filter: &Filter,
) -> sqlx::Result<Result<Selection, Wrong>> {
    let people = match &filter.person {
        Some(typed) => named(
            conn,
            "person",
            NameOf::Person,
            typed,
            PersonId::new(typed).as_str(),
        )
        .await?
        .map(Some),
        None => Ok(None),
    };
    let accounts = match &filter.account {
        Some(typed) => named(conn, "account", NameOf::Account, typed, typed)
            .await?
            .map(Some),
        None => Ok(None),
    };
    let (mut rule, mut requests) = (filter.rule.clone(), filter.request.map(|id| vec![id]));
    if let (Some(name), None) = (&rule, &requests) {
        let under_rule = list_of_rule(conn, name, FEW + 1).await?;
        if i64::try_from(under_rule.len()).is_ok_and(|count| count <= FEW) {
            (rule, requests) = (None, Some(under_rule));
        }
    }
    Ok(match (people, accounts) {
        (Err(wrong), _) | (_, Err(wrong)) => Err(wrong),
        (Ok(people), Ok(accounts)) => Ok(Selection {
            people,
            accounts,
            rule,
            kind: filter.kind.as_deref().map(pattern),
            from: filter.from,
            until: filter.until,
            requests,
        }),
    })
}

/// The ids that a name means, and itself, which may be one.
async fn named(
    conn: &mut PgConnection,
    field: &'static str,
    of: NameOf,
    typed: &str,
    id: &str,
) -> sqlx::Result<Result<Vec<String>, Wrong>> {
    let mut ids = list_named(conn, of, typed, MOST_NAMED).await?;
    if ids.len() > MOST_NAMED {
        let text = format!("{typed} means more than {MOST_NAMED}; write more of the name.");
        return Ok(Err(Wrong { field, text }));
    }
    ids.push(id.to_owned());
    Ok(Ok(ids))
}

/// A type, or the beginning of some, as a pattern of SQL: in `like`, an underscore means anything.
fn pattern(kind: &str) -> String {
    let exact = kind.replace('_', "\\_");
    if kind.ends_with('.') {
        format!("{exact}%")
    } else {
        exact
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_stands_for_itself() {
        assert_eq!(pattern("grant.end_started"), "grant.end\\_started");
        assert_eq!(pattern("grant."), "grant.%");
    }
}
