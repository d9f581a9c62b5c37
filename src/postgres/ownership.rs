//! What the role that we are connected as could do to its own tables, and what a returned commit is
//! worth.

use sqlx::PgConnection;

/// Could this role rewrite the audit log, as its owner or a superuser can? (protocol A3)
///
/// # Errors
/// If the database refuses.
pub async fn owns_the_log(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let owns = sqlx::query_scalar!(
        r#"select pg_has_role(current_user, relowner, 'member') as "owns!"
           from pg_class where oid = to_regclass('audit_events')"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(owns.unwrap_or(false))
}

/// How a commit is kept, as far as the server's settings say (protocol D1).
#[derive(Clone, Debug)]
pub struct Durability {
    /// Version of the server.
    pub server: String,
    /// The role that we are.
    pub role: String,
    /// A returned commit is on this server's disk.
    pub is_durable: bool,
    /// It is on a standby's too.
    pub has_synchronous_standby: bool,
}

/// Asks the server.
///
/// # Errors
/// If the database refuses.
pub async fn durability(conn: &mut PgConnection) -> sqlx::Result<Durability> {
    sqlx::query_as!(
        Durability,
        r#"select current_setting('server_version') as "server!", current_user::text as "role!",
                  current_setting('fsync') = 'on' and current_setting('synchronous_commit') <> 'off' as "is_durable!",
                  current_setting('synchronous_standby_names') <> '' as "has_synchronous_standby!""#
    )
    .fetch_one(conn)
    .await
}
