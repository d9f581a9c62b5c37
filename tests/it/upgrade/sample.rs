//! A sample of a schema: a first line that says what Identity Center had, then a line for each row.
//!
//! Rows are JSON as Postgres makes it of its own rows and reads it back, so that a sample needs
//! neither the program that wrote it nor any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use aws_sdk_ssoadmin::types::{PrincipalType as AwsPrincipalType, TargetType};
use chrono::{DateTime, TimeDelta, Utc};
use curfew::postgres::MIGRATOR;
use curfew::sandbox::{Assignment, OperationKind, OperationStatus, PrincipalType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::past::ACCOUNTS;
use crate::support::TestApp;
use crate::support::app::world_with_accounts;
use crate::support::database::Database;

/// Account, permission set's ARN, person.
pub(super) type Tuple = (String, String, String);

/// Every table but the migrator's own, and a partitioned one as a whole.
const TABLES: &str = "
    select relname::text from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
      and relname <> '_sqlx_migrations' order by relname";

/// The table whose bytes are text.
const EVENTS: &str = "audit_events";

/// From the last heartbeat of the old version to the first of the new one.
const DOWN: TimeDelta = TimeDelta::seconds(7);

pub(super) fn folder() -> PathBuf {
    PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("tests/it/upgrade")
}

/// What is assigned in the sandbox.
pub(super) fn present(app: &TestApp) -> BTreeSet<Tuple> {
    let assignments = app.sandbox.assignments().into_iter();
    assignments.map(tuple).collect()
}

fn tuple(of: Assignment) -> Tuple {
    (of.account_id, of.permission_set_arn, of.principal_id)
}

/// What Identity Center had, and what else no table says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Outside {
    at: DateTime<Utc>,
    cookie: String,
    by_hand: BTreeSet<Tuple>,
    present: BTreeSet<Tuple>,
    under_way: Vec<UnderWay>,
}

/// An operation that Identity Center works on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct UnderWay {
    is_create: bool,
    aws_id: String,
    tuple: Tuple,
}

/// A row and the table that it is of.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    table: String,
    row: Value,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) version: i64,
    pub(super) cookie: String,
    outside: Outside,
    rows: Vec<Stored>,
}

impl Sample {
    /// Every sample that there is, oldest first.
    pub(super) fn all() -> Vec<Self> {
        let files = std::fs::read_dir(folder()).unwrap();
        let mut samples: Vec<Self> = files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|is| is == "jsonl"))
            .map(|path| {
                let version = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
                Self::from_text(version, &std::fs::read_to_string(path).unwrap())
            })
            .collect();
        samples.sort_by_key(|sample| sample.version);
        samples
    }

    pub(super) fn from_text(version: i64, text: &str) -> Self {
        let (outside, rows) = text.split_once('\n').unwrap();
        let outside: Outside = serde_json::from_str(outside).unwrap();
        let rows = rows.lines().map(|line| serde_json::from_str(line).unwrap());
        Self {
            version,
            cookie: outside.cookie.clone(),
            outside,
            rows: rows.collect(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = serde_json::to_string(&self.outside).unwrap();
        for row in &self.rows {
            write!(text, "\n{}", serde_json::to_string(row).unwrap()).unwrap();
        }
        text + "\n"
    }

    /// What there is at this moment.
    pub(super) async fn of(app: &TestApp, version: i64, cookie: String) -> Self {
        let under_way = app
            .sandbox
            .operations()
            .into_iter()
            .filter(|operation| operation.status == OperationStatus::InProgress)
            .map(|operation| UnderWay {
                is_create: operation.kind == OperationKind::Create,
                aws_id: operation.request_id,
                tuple: tuple(operation.assignment),
            })
            .collect();
        let outside = Outside {
            at: app.now(),
            cookie: cookie.clone(),
            by_hand: app.by_hand.clone(),
            present: present(app),
            under_way,
        };
        let mut conn = PgConnection::connect_with(&app.database.owner)
            .await
            .unwrap();
        let mut rows = Vec::new();
        for table in strings(&mut conn, TABLES).await {
            let sql = format!(
                "select ({})::text from {table} stored order by 1",
                written(&table)
            );
            for row in strings(&mut conn, &sql).await {
                let (table, row) = (table.clone(), serde_json::from_str(&row).unwrap());
                rows.push(Stored { table, row });
            }
        }
        conn.close().await.unwrap();
        Self {
            version,
            cookie,
            outside,
            rows,
        }
    }

    /// A database of this schema with these rows.
    pub(super) async fn database(&self) -> Database {
        let database = Database::unmigrated().await;
        let mut owner = PgConnection::connect_with(&database.owner).await.unwrap();
        MIGRATOR.run_to(self.version, &mut owner).await.unwrap();
        let mut superuser = PgConnection::connect_with(&database.superuser)
            .await
            .unwrap();
        // Rows as they were, whatever order they come in: neither foreign keys nor triggers ask.
        let mut sql = "begin; set local session_replication_role = replica;".to_owned();
        for table in strings(&mut owner, TABLES).await {
            write!(sql, "delete from {table};").unwrap();
        }
        for Stored { table, row } in &self.rows {
            let row = read(table, row);
            write!(
                sql,
                "insert into {table} overriding system value select * from jsonb_populate_record(null::{table}, {row});"
            )
            .unwrap();
        }
        sql += "select setval(pg_get_serial_sequence('operations', 'number'), max(number)) from operations;
                commit";
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&mut superuser).await.unwrap();
        superuser.close().await.unwrap();
        owner.close().await.unwrap();
        database
    }

    /// The service on that database, in the world as it was; and, if they `arrived`, with the creates
    /// in Identity Center's hands of which the database knows only the intent.
    pub(super) async fn resume(&self, database: Database, arrived: bool) -> TestApp {
        let world = world_with_accounts(ACCOUNTS);
        let start = self.outside.at + DOWN;
        let mut app = Box::pin(TestApp::resume(database, world, start)).await;
        app.by_hand.clone_from(&self.outside.by_hand);
        app.sandbox
            .edit(|world| {
                world.assignments = self
                    .outside
                    .present
                    .iter()
                    .cloned()
                    .map(assignment)
                    .collect();
                Ok(())
            })
            .unwrap();
        for UnderWay {
            is_create,
            aws_id,
            tuple,
        } in &self.outside.under_way
        {
            let fresh = send(&app, *is_create, tuple).await;
            let sql = format!("update operations set aws_id = '{fresh}' where aws_id = '{aws_id}'");
            app.database.run(sql).await;
        }
        if arrived {
            let crossing = self.crossing();
            assert!(!crossing.is_empty());
            for tuple in crossing {
                send(&app, true, &tuple).await;
            }
        }
        app
    }

    /// Tuples of creates whose answer nobody recorded.
    fn crossing(&self) -> Vec<Tuple> {
        let ledger: BTreeMap<&str, &Value> = self
            .rows_of("assignments")
            .map(|row| (row["id"].as_str().unwrap(), row))
            .collect();
        self.rows_of("operations")
            .filter(|row| row["kind"] == "create" && row["status"] == "intended")
            .map(|row| {
                let of = ledger[row["assignment_id"].as_str().unwrap()];
                let text = |key: &str| of[key].as_str().unwrap().to_owned();
                (
                    text("account_id"),
                    text("permission_set_arn"),
                    text("user_id"),
                )
            })
            .collect()
    }

    fn rows_of(&self, table: &str) -> impl Iterator<Item = &Value> {
        self.rows
            .iter()
            .filter(move |stored| stored.table == table)
            .map(|stored| &stored.row)
    }

    /// A request in this state.
    pub(super) fn request_that(&self, status: &str) -> String {
        let mut requests = self.rows_of("requests");
        let found = requests.find(|row| row["status"] == status).unwrap();
        found["id"].as_str().unwrap().to_owned()
    }

    /// Fails if a state that the schema knows is missing.
    pub(super) fn has_every_state(&self) {
        for (table, states) in [
            ("requests", "pending approved denied cancelled lapsed"),
            (
                "grants",
                "scheduled provisioning active ending ended failed",
            ),
            (
                "operations",
                "intended in_progress stuck succeeded failed refused lost expired",
            ),
        ] {
            let found: BTreeSet<&str> = self
                .rows_of(table)
                .map(|row| row["status"].as_str().unwrap())
                .collect();
            let all: BTreeSet<&str> = states.split(' ').collect();
            assert_eq!(found, all, "{table}");
        }
        assert!(
            self.rows_of("grants")
                .any(|row| !row["overdue_at"].is_null())
        );
        assert_eq!(self.rows_of("end_orders").count(), 1);
        assert_eq!(self.outside.under_way.len(), 3, "stuck, creating, deleting");
    }
}

fn assignment((account_id, permission_set_arn, principal_id): Tuple) -> Assignment {
    Assignment {
        account_id,
        permission_set_arn,
        principal_type: PrincipalType::User,
        principal_id,
    }
}

/// Sends a create or delete as the old version did, and gives its `RequestId`.
async fn send(app: &TestApp, is_create: bool, (account, set, person): &Tuple) -> String {
    let directory = &app.app.broker.directory;
    let (client, instance) = (&directory.aws.sso_admin, &directory.instance.arn);
    let status = if is_create {
        let call = client
            .create_account_assignment()
            .instance_arn(instance)
            .target_id(account)
            .target_type(TargetType::AwsAccount)
            .permission_set_arn(set)
            .principal_type(AwsPrincipalType::User)
            .principal_id(person);
        call.send()
            .await
            .unwrap()
            .account_assignment_creation_status
    } else {
        let call = client
            .delete_account_assignment()
            .instance_arn(instance)
            .target_id(account)
            .target_type(TargetType::AwsAccount)
            .permission_set_arn(set)
            .principal_type(AwsPrincipalType::User)
            .principal_id(person);
        call.send()
            .await
            .unwrap()
            .account_assignment_deletion_status
    };
    status.unwrap().request_id.unwrap()
}

/// A row as it is written to a sample: as Postgres writes it, but events are legible.
fn written(table: &str) -> &'static str {
    if table == EVENTS {
        "to_jsonb(stored) || jsonb_build_object('canonical', convert_from(canonical, 'utf8'))"
    } else {
        "to_jsonb(stored)"
    }
}

/// The same row as SQL reads it back.
fn read(table: &str, row: &Value) -> String {
    let row = format!("$row${row}$row$::jsonb");
    if table == EVENTS {
        format!(
            "jsonb_set({row}, '{{canonical}}', to_jsonb(convert_to({row} ->> 'canonical', 'utf8')))"
        )
    } else {
        row
    }
}

/// The first column of what a query finds.
async fn strings(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    let rows = sqlx::raw_sql(sql).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
