//! Which world this database belongs to: written by the first start, compared ever after.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Demo or production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A demo with its sandbox.
    Demo,
    /// The real thing.
    Production,
}

impl Kind {
    /// The word used in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Production => "production",
        }
    }
}

/// A world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// `demo` or `production`.
    pub kind: String,
    /// ARN of the Identity Center instance.
    pub instance_arn: String,
    /// Id of its identity store.
    pub identity_store_id: String,
}

impl Installation {
    /// What is different about another world; none if it is the same.
    #[must_use]
    pub fn differs_from(&self, here: &Self) -> Option<String> {
        let words = |world: &Self| {
            let Self {
                kind,
                instance_arn,
                identity_store_id,
            } = world;
            format!("{kind} {instance_arn} ({identity_store_id})")
        };
        (self != here).then(|| {
            format!(
                "this database belongs to another world and nothing was sent to AWS.\n  database: {}\n  here:     {}",
                words(self),
                words(here)
            )
        })
    }
}

/// The world of this database, if it has one.
///
/// # Errors
/// If the database refuses.
pub async fn find(conn: &mut PgConnection) -> sqlx::Result<Option<Installation>> {
    sqlx::query_as!(
        Installation,
        "select kind, instance_arn, identity_store_id from installation"
    )
    .fetch_optional(conn)
    .await
}

/// Writes it, once.
///
/// # Errors
/// If there is one already, or the database refuses.
pub async fn insert(
    conn: &mut PgConnection,
    installation: &Installation,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into installation (kind, instance_arn, identity_store_id, created_at) values ($1, $2, $3, $4)",
        installation.kind,
        installation.instance_arn,
        installation.identity_store_id,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
