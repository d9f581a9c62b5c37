//! One throw-away server per test process, one database per test, made from a migrated template.
//!
//! The service connects as the runtime role, as in production: what that role may not do, fails here.

use std::sync::atomic::{AtomicU32, Ordering};

use curfew::postgres::migrate::migrate;
use curfew::private_postgres::{Cluster, SUPERUSER, throwaway};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::OnceCell;

/// The server, or why there is none: kept, so that thirty tests do not try to start thirty.
static SERVER: OnceCell<Result<Cluster, String>> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

const TEMPLATE: &str = "template_curfew";
pub(crate) const OWNER: &str = "curfew_owner";
pub(crate) const RUNTIME: &str = "curfew";

async fn server() -> &'static Cluster {
    let started = SERVER
        .get_or_init(|| async { start().await.map_err(|error| format!("{error:#}")) })
        .await;
    started
        .as_ref()
        .unwrap_or_else(|why| panic!("there is no Postgres for the tests: {why}"))
}

async fn start() -> anyhow::Result<Cluster> {
    let cluster = throwaway().await?;
    let mut conn = PgConnection::connect_with(&cluster.options("postgres", SUPERUSER)).await?;
    for statement in [
        "create role curfew_owner login",
        "create role curfew login",
        "create database template_curfew owner curfew_owner",
    ] {
        sqlx::raw_sql(statement).execute(&mut conn).await?;
    }
    migrate(&cluster.options(TEMPLATE, OWNER), Some(RUNTIME)).await?;
    conn.close().await?;
    Ok(cluster)
}

/// A fresh database.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) runtime: PgConnectOptions,
    pub(crate) owner: PgConnectOptions,
    pub(crate) superuser: PgConnectOptions,
    pub(crate) url: String,
    pub(crate) owner_url: String,
    /// It goes with its server, and not by itself.
    goes_with_server: bool,
}

impl Database {
    /// Migrated, and empty otherwise.
    pub(crate) async fn create() -> Self {
        Self::from(TEMPLATE).await
    }

    /// With nothing in it at all, and its owner for everything.
    pub(crate) async fn empty() -> Self {
        let empty = Self::unmigrated().await;
        Self {
            url: empty.owner_url.clone(),
            ..empty
        }
    }

    /// With nothing in it at all.
    pub(crate) async fn unmigrated() -> Self {
        Self::from("template0").await
    }

    async fn from(template: &str) -> Self {
        let server = server().await;
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let sql =
            format!("create database {name} template {template} strategy file_copy owner {OWNER}");
        run_as_superuser(server, sql).await;
        Self {
            runtime: server.options(&name, RUNTIME),
            owner: server.options(&name, OWNER),
            superuser: server.options(&name, SUPERUSER),
            url: server.url(&name, RUNTIME),
            owner_url: server.url(&name, OWNER),
            name,
            goes_with_server: false,
        }
    }

    /// One on a server that a story has for itself: how a role connects, and the same as text. Its name
    /// here tells it from those of other servers.
    pub(crate) fn of(
        options: impl Fn(&str) -> PgConnectOptions,
        url: impl Fn(&str) -> String,
        name: &str,
    ) -> Self {
        Self {
            name: format!("{name}_{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            runtime: options(RUNTIME),
            owner: options(OWNER),
            superuser: options(SUPERUSER),
            url: url(RUNTIME),
            owner_url: url(OWNER),
            goes_with_server: true,
        }
    }

    /// `curfew migrate`, as an operator runs it.
    pub(crate) async fn migrate(&self) {
        migrate(&self.owner, Some(RUNTIME)).await.unwrap();
    }

    /// Runs a statement as the owner.
    pub(crate) async fn run(&self, sql: impl Into<String>) {
        let mut conn = PgConnection::connect_with(&self.owner).await.unwrap();
        let sql = sqlx::AssertSqlSafe(sql.into());
        sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }

    /// What the runtime role may do with each table that it may do anything with.
    pub(crate) async fn privileges_of_the_service(&self) -> Vec<(String, String)> {
        let mut conn = PgConnection::connect_with(&self.owner).await.unwrap();
        let rows = sqlx::query!(
            r#"select table_name::text as "table!", string_agg(privilege_type, ', ' order by privilege_type) as "may!"
               from information_schema.role_table_grants where grantee = $1 group by table_name"#,
            RUNTIME as _
        )
        .fetch_all(&mut conn)
        .await
        .unwrap();
        conn.close().await.unwrap();
        let mut privileges: Vec<_> = rows.into_iter().map(|row| (row.table, row.may)).collect();
        privileges.sort();
        privileges
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn drop(self) {
        if self.goes_with_server {
            return;
        }
        run_as_superuser(
            server().await,
            format!("drop database {} with (force)", self.name),
        )
        .await;
    }
}

async fn run_as_superuser(server: &Cluster, sql: String) {
    let mut conn = PgConnection::connect_with(&server.options("postgres", SUPERUSER))
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
}
