//! Bringing the schema up to date, as its owner, and giving the runtime role what it needs and no
//! more: it owns nothing, and may only add to and read the audit log (protocol A3).

use std::time::Duration;

use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::MIGRATOR;
use super::schema::{self, Schema};

/// How long a migration waits for a lock. Whoever wants the same table waits behind it meanwhile.
const LOCK_WITHIN: &str = "3s";

/// How often it tries, and how long it lets others go first in between.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// Postgres' code for a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Migrates as the owner. `runtime_role` is granted what the service does; `None` if the service
/// runs as the owner.
///
/// # Errors
/// If the database can't be reached, something holds a lock for too long (a backup, say), or a
/// migration or grant fails.
pub async fn migrate(owner: &PgConnectOptions, runtime_role: Option<&str>) -> anyhow::Result<()> {
    for _ in 1..TRIES {
        match attempt(owner, runtime_role).await {
            Err(error) if is_locked(&error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "something else uses a table that a migration changes; trying again"
                );
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            done => return done,
        }
    }
    attempt(owner, runtime_role).await.context(
        "if a table stays locked, look for a backup or a long query that runs, and migrate after it",
    )
}

fn is_locked(error: &anyhow::Error) -> bool {
    let codes = error.chain().filter_map(|cause| {
        let error = cause.downcast_ref::<sqlx::Error>()?;
        error.as_database_error()?.code()
    });
    codes.into_iter().any(|code| code == LOCK_NOT_AVAILABLE)
}

async fn attempt(owner: &PgConnectOptions, runtime_role: Option<&str>) -> anyhow::Result<()> {
    let patient = owner.clone().options([("lock_timeout", LOCK_WITHIN)]);
    let mut conn = PgConnection::connect_with(&patient)
        .await
        .context("connect as the owner of the database")?;
    match schema::find(&mut conn).await? {
        Schema::Current | Schema::Missing | Schema::Behind { .. } => {}
        other => anyhow::bail!(
            "nothing was changed: {}",
            other.problem().unwrap_or_default()
        ),
    }
    MIGRATOR
        .run(&mut conn)
        .await
        .context("migrate the database")?;
    if let Some(role) = runtime_role {
        sqlx::query!("select set_config('curfew.runtime_role', $1, false)", role)
            .fetch_one(&mut conn)
            .await?;
        sqlx::raw_sql(include_str!("runtime_role.sql"))
            .execute(&mut conn)
            .await
            .context("grant the runtime role its rights")?;
    }
    conn.close().await?;
    Ok(())
}

/// Is there nothing in this database yet?
///
/// # Errors
/// If the database refuses.
pub async fn is_empty(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"with theirs as (select oid from pg_catalog.pg_namespace
                          where nspname not in ('pg_catalog', 'information_schema') and nspname not like 'pg\_%')
           select not exists (select from pg_catalog.pg_class where relnamespace in (select oid from theirs))
              and not exists (select from pg_catalog.pg_proc where pronamespace in (select oid from theirs))
              and not exists (select from pg_catalog.pg_type where typnamespace in (select oid from theirs)) as "empty!""#
    )
    .fetch_one(conn)
    .await
}

/// Has this database ever been migrated?
///
/// # Errors
/// If the database refuses.
pub async fn is_migrated(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select to_regclass('installation') is not null as "migrated!""#)
        .fetch_one(conn)
        .await
}
