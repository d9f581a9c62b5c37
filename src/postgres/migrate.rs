//! Bringing the schema up to date, as its owner, and giving the runtime role what it needs and no
//! more: it owns nothing, and may only add to and read the audit log (protocol A3).

use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::MIGRATOR;
use super::schema::{self, Schema};

/// Migrates as the owner. `runtime_role` is granted what the service does; `None` if the service
/// runs as the owner.
///
/// # Errors
/// If the database can't be reached, or a migration or grant fails.
pub async fn migrate(owner: &PgConnectOptions, runtime_role: Option<&str>) -> anyhow::Result<()> {
    let mut conn = PgConnection::connect_with(owner)
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
