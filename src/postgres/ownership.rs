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

/// What `runtime_role.sql` grants, in the same order: privileges, and the tables that need them.
const RIGHTS: [(&str, &str); 5] = [
    (
        "select insert update delete",
        "people groups memberships accounts permission_sets directory_copy sessions refusals replicas findings",
    ),
    (
        "select insert update",
        "policy_in_force requests assignments grants operations recoveries end_orders",
    ),
    ("select update", "lease audit_head pause"),
    (
        "select insert",
        "installation policies decisions audit_events audit_names",
    ),
    ("select", "_sqlx_migrations"),
];

/// What the service must do and may not: `update on grants`.
///
/// # Errors
/// If the database refuses.
pub async fn lacks(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let (mut privileges, mut tables) = (Vec::new(), Vec::new());
    for (granted, on) in RIGHTS {
        for table in on.split(' ') {
            for privilege in granted.split(' ') {
                privileges.push(privilege.to_owned());
                tables.push(table.to_owned());
            }
        }
    }
    sqlx::query_scalar!(
        r#"select privilege || ' on ' || "table" as "lack!"
           from unnest($1::text[], $2::text[]) as needed (privilege, "table")
           where not coalesce(has_table_privilege(to_regclass("table"), privilege), false)"#,
        &privileges,
        &tables
    )
    .fetch_all(conn)
    .await
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
    /// It returns only once it is on a standby's too.
    pub waits_for_standby: bool,
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
                  current_setting('synchronous_standby_names') <> ''
                      and current_setting('synchronous_commit') in ('on', 'remote_apply') as "waits_for_standby!""#
    )
    .fetch_one(conn)
    .await
}
