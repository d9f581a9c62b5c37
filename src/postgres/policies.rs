//! Policies by version, and the one in force.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::policy::Policy;
use crate::policy::facts::InForce;

/// The policy in force, with its groups as pinned and as the directory's copy has them now. One that
/// this version can't read (an older or newer one wrote it) is none: requests are refused then, and
/// endings go on (protocol C4).
///
/// # Errors
/// If the database refuses.
pub async fn find_in_force(conn: &mut PgConnection) -> anyhow::Result<Option<InForce>> {
    let row = sqlx::query!(
        "select version, source, groups from policy_in_force join policies using (version)"
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let pinned = serde_json::from_value::<BTreeMap<String, String>>(row.groups)
        .map_err(|error| error.to_string());
    let (policy, pinned) = match (parsed(&row.version, &row.source), pinned) {
        (Ok(policy), Ok(pinned)) => (policy, pinned),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(
                policy.version = row.version,
                error,
                "the policy in force can't be read; nothing can be asked for"
            );
            return Ok(None);
        }
    };
    let names: Vec<String> = pinned.keys().cloned().collect();
    let current = super::directory::group_ids(conn, &names).await?;
    Ok(Some(InForce {
        version: row.version,
        policy,
        pinned,
        current,
    }))
}

/// The policy that was parsed last. A version is the hash of its source, so it never goes stale.
static PARSED: Mutex<Option<(String, Arc<Policy>)>> = Mutex::new(None);

fn parsed(version: &str, source: &str) -> Result<Arc<Policy>, String> {
    let mut cached = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, policy)) = cached.as_ref().filter(|(of, _)| of == version) {
        return Ok(policy.clone());
    }
    let policy = Arc::new(Policy::parse(source)?);
    *cached = Some((version.to_owned(), policy.clone()));
    Ok(policy)
}

/// The version in force.
///
/// # Errors
/// If the database refuses.
pub async fn version_in_force(conn: &mut PgConnection) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select version from policy_in_force")
        .fetch_optional(conn)
        .await
}

/// Since when the policy in force is in force.
///
/// # Errors
/// If the database refuses.
pub async fn in_force_since(conn: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select activated_at from policy_in_force")
        .fetch_optional(conn)
        .await
}

/// The version in force, kept until the transaction ends.
///
/// # Errors
/// If the database refuses.
pub async fn lock_version_in_force(conn: &mut PgConnection) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select version from policy_in_force for update")
        .fetch_optional(conn)
        .await
}

/// Puts a policy into force, if `replaces` is still the one that is.
///
/// # Errors
/// If the database refuses.
pub async fn activate(
    conn: &mut PgConnection,
    version: &str,
    source: &str,
    groups: &BTreeMap<String, String>,
    replaces: Option<&str>,
    now: DateTime<Utc>,
) -> anyhow::Result<bool> {
    sqlx::query!(
        "insert into policies (version, source, first_seen_at) values ($1, $2, $3) on conflict do nothing",
        version,
        source,
        now
    )
    .execute(&mut *conn)
    .await?;
    let groups = serde_json::to_value(groups)?;
    let result = match replaces {
        None => {
            sqlx::query!(
                "insert into policy_in_force (version, groups, activated_at) values ($1, $2, $3) on conflict do nothing",
                version,
                groups,
                now
            )
            .execute(conn)
            .await?
        }
        Some(replaces) => {
            sqlx::query!(
                "update policy_in_force set version = $1, groups = $2, activated_at = $3 where version = $4",
                version,
                groups,
                now,
                replaces
            )
            .execute(conn)
            .await?
        }
    };
    Ok(result.rows_affected() == 1)
}
