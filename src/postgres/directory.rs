//! The copy of the directory: replaced as a whole, read by question.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::access::decision::RuleGroups;
use crate::access::identity::Known;
use crate::access::person::{Person, PersonId};
use crate::policy::facts::Account;

/// A permission set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionSet {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Longest role session, in seconds.
    pub session_seconds: i64,
}

/// Everything that one reading of the directory brought.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    /// People, and what they are known as.
    pub people: Vec<Known>,
    /// Groups: id and name.
    pub groups: Vec<(String, String)>,
    /// Memberships: group id and person.
    pub memberships: Vec<(String, PersonId)>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// Permission sets.
    pub permission_sets: Vec<PermissionSet>,
}

/// Replaces the copy, unless a newer one is there already.
///
/// # Errors
/// If the database refuses.
pub async fn replace(
    conn: &mut PgConnection,
    copy: &Copy,
    begun_at: DateTime<Utc>,
) -> anyhow::Result<()> {
    let newest = sqlx::query!(
        "insert into directory_copy (begun_at) values ($1)
         on conflict (single) do update set begun_at = excluded.begun_at where directory_copy.begun_at <= excluded.begun_at",
        begun_at
    )
    .execute(&mut *conn)
    .await?;
    if newest.rows_affected() == 0 {
        return Ok(());
    }
    let (mut ids, mut user_ids, mut user_names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut emails, mut names, mut enabled) = (Vec::new(), Vec::new(), Vec::new());
    for Known { person, known_as } in &copy.people {
        ids.push(person.id.as_str().to_owned());
        user_ids.push(person.user_id.clone());
        user_names.push(known_as.user_name.clone());
        emails.push(person.email.clone());
        names.push(person.name.clone());
        enabled.push(person.enabled);
    }
    sqlx::query!(
        "insert into people (id, user_id, user_name, email, name, enabled)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bool[])
         on conflict (id) do update set user_id = excluded.user_id, user_name = excluded.user_name,
             email = excluded.email, name = excluded.name, enabled = excluded.enabled",
        &ids,
        &user_ids,
        &user_names,
        &emails,
        &names,
        &enabled
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from people where id <> all($1)", &ids)
        .execute(&mut *conn)
        .await?;
    replace_external_ids(conn, copy).await?;

    let (group_ids, group_names): (Vec<_>, Vec<_>) = copy.groups.iter().cloned().unzip();
    sqlx::query!(
        "insert into groups (id, name) select * from unnest($1::text[], $2::text[])
         on conflict (id) do update set name = excluded.name",
        &group_ids,
        &group_names
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from groups where id <> all($1)", &group_ids)
        .execute(&mut *conn)
        .await?;

    let (of, members): (Vec<_>, Vec<_>) = copy
        .memberships
        .iter()
        .map(|(group, person)| (group.clone(), person.as_str().to_owned()))
        .unzip();
    sqlx::query!("delete from memberships")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "insert into memberships (group_id, person_id)
         select m.group_id, m.person_id from unnest($1::text[], $2::text[]) as m (group_id, person_id)
         join people on people.id = m.person_id join groups on groups.id = m.group_id
         on conflict do nothing",
        &of,
        &members
    )
    .execute(&mut *conn)
    .await?;
    replace_targets(conn, copy).await
}

async fn replace_external_ids(conn: &mut PgConnection, copy: &Copy) -> sqlx::Result<()> {
    let (mut issuers, mut ids, mut people) = (Vec::new(), Vec::new(), Vec::new());
    for Known { person, known_as } in &copy.people {
        for external in &known_as.external_ids {
            issuers.push(external.issuer.clone());
            ids.push(external.id.clone());
            people.push(person.id.as_str().to_owned());
        }
    }
    sqlx::query!("delete from external_ids")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "insert into external_ids (issuer, id, person_id)
         select * from unnest($1::text[], $2::text[], $3::text[]) on conflict do nothing",
        &issuers,
        &ids,
        &people
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn replace_targets(conn: &mut PgConnection, copy: &Copy) -> anyhow::Result<()> {
    let mut account_ids = Vec::new();
    for account in &copy.accounts {
        account_ids.push(account.id.clone());
        sqlx::query!(
            "insert into accounts (id, name, is_active, is_sensitive, organizational_units, tags)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (id) do update set name = excluded.name, is_active = excluded.is_active,
                 is_sensitive = excluded.is_sensitive, organizational_units = excluded.organizational_units,
                 tags = excluded.tags",
            account.id,
            account.name,
            account.is_active,
            account.is_sensitive,
            &account.organizational_units,
            serde_json::to_value(&account.tags)?
        )
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query!("delete from accounts where id <> all($1)", &account_ids)
        .execute(&mut *conn)
        .await?;

    let arns: Vec<_> = copy
        .permission_sets
        .iter()
        .map(|set| set.arn.clone())
        .collect();
    let names: Vec<_> = copy
        .permission_sets
        .iter()
        .map(|set| set.name.clone())
        .collect();
    let sessions: Vec<_> = copy
        .permission_sets
        .iter()
        .map(|set| set.session_seconds)
        .collect();
    sqlx::query!(
        "insert into permission_sets (arn, name, session_seconds)
         select * from unnest($1::text[], $2::text[], $3::bigint[])
         on conflict (arn) do update set name = excluded.name, session_seconds = excluded.session_seconds",
        &arns,
        &names,
        &sessions
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("delete from permission_sets where arn <> all($1)", &arns)
        .execute(conn)
        .await?;
    Ok(())
}

/// When the reading of the copy began.
///
/// # Errors
/// If the database refuses.
pub async fn copied_at(conn: &mut PgConnection) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!("select begun_at from directory_copy")
        .fetch_optional(conn)
        .await
}

/// The person with this id.
///
/// # Errors
/// If the database refuses.
pub async fn find_person(conn: &mut PgConnection, id: &PersonId) -> sqlx::Result<Option<Person>> {
    let row = sqlx::query!(
        "select id, user_id, email, name, enabled from people where id = $1",
        id.as_str()
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Person {
        id: PersonId::new(&row.id),
        user_id: row.user_id,
        email: row.email,
        name: row.name,
        enabled: row.enabled,
    }))
}

/// The person with this e-mail, whatever its case; none if two have it. Only for the demo's sign-in:
/// an e-mail is a label.
///
/// # Errors
/// If the database refuses.
pub async fn find_person_by_email(
    conn: &mut PgConnection,
    email: &str,
) -> sqlx::Result<Option<Person>> {
    let ids = sqlx::query_scalar!(
        "select id from people where lower(email) = lower($1) limit 2",
        email
    )
    .fetch_all(&mut *conn)
    .await?;
    match ids.as_slice() {
        [id] => find_person(conn, &PersonId::new(id)).await,
        _ => Ok(None),
    }
}

/// Everybody, by e-mail: the demo's list of people to sign in as.
///
/// # Errors
/// If the database refuses.
pub async fn list_people(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Person>> {
    let rows = sqlx::query!(
        "select id, user_id, email, name, enabled from people order by email limit $1",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Person {
            id: PersonId::new(&row.id),
            user_id: row.user_id,
            email: row.email,
            name: row.name,
            enabled: row.enabled,
        })
        .collect())
}

/// The groups of a person, by id, with their names.
///
/// # Errors
/// If the database refuses.
pub async fn groups_of(
    conn: &mut PgConnection,
    person: &PersonId,
) -> sqlx::Result<BTreeMap<String, String>> {
    let rows = sqlx::query!(
        "select groups.id, groups.name from memberships join groups on groups.id = group_id where person_id = $1",
        person.as_str()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// The names of everybody's groups, as far as memberships are copied: for the demo's list of people.
///
/// # Errors
/// If the database refuses.
pub async fn group_names(
    conn: &mut PgConnection,
    people: &[Person],
) -> sqlx::Result<BTreeMap<PersonId, Vec<String>>> {
    let ids: Vec<String> = people
        .iter()
        .map(|person| person.id.as_str().to_owned())
        .collect();
    let rows = sqlx::query!(
        "select person_id, name from memberships join groups on groups.id = group_id
         where person_id = any($1) order by name",
        &ids
    )
    .fetch_all(conn)
    .await?;
    let mut names: BTreeMap<PersonId, Vec<String>> = BTreeMap::new();
    for row in rows {
        names
            .entry(PersonId::new(&row.person_id))
            .or_default()
            .push(row.name);
    }
    Ok(names)
}

/// Group ids by name; a name that two groups have is left out, because it means neither.
///
/// # Errors
/// If the database refuses.
pub async fn group_ids(
    conn: &mut PgConnection,
    names: &[String],
) -> sqlx::Result<BTreeMap<String, String>> {
    let rows = sqlx::query!(
        r#"select name, min(id) as "id!" from groups where name = any($1) group by name having count(*) = 1"#,
        names
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.id)).collect())
}

/// Who could agree to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approvers {
    /// How many.
    pub count: usize,
    /// How many of them have an e-mail address.
    pub with_email: usize,
    /// The names of some, in order.
    pub names: Vec<String>,
}

/// Who could agree to a request of `requester` under a rule with these groups: enabled people other
/// than the requester.
///
/// # Errors
/// If the database refuses.
pub async fn find_approvers(
    conn: &mut PgConnection,
    groups: &RuleGroups,
    requester: &PersonId,
) -> sqlx::Result<Approvers> {
    let groups: Vec<String> = groups.approving().cloned().collect();
    let row = sqlx::query!(
        r#"select count(*) as "count!", count(*) filter (where email <> '') as "with_email!",
                  coalesce((array_agg(name order by name, id))[1:5], '{}') as "names!"
           from people
           where enabled and id <> $2
             and exists (select from memberships where person_id = people.id and group_id = any($1))"#,
        &groups,
        requester.as_str()
    )
    .fetch_one(conn)
    .await?;
    Ok(Approvers {
        count: usize::try_from(row.count).unwrap_or(0),
        with_email: usize::try_from(row.with_email).unwrap_or(0),
        names: row.names,
    })
}

/// The account with this id.
///
/// # Errors
/// If the database refuses or its tags make no sense.
pub async fn find_account(conn: &mut PgConnection, id: &str) -> anyhow::Result<Option<Account>> {
    Ok(select_accounts(conn, Some(id)).await?.pop())
}

/// Every account, by name.
///
/// # Errors
/// If the database refuses or the tags of one make no sense.
pub async fn list_accounts(conn: &mut PgConnection) -> anyhow::Result<Vec<Account>> {
    select_accounts(conn, None).await
}

async fn select_accounts(
    conn: &mut PgConnection,
    id: Option<&str>,
) -> anyhow::Result<Vec<Account>> {
    let rows = sqlx::query!(
        "select id, name, is_active, is_sensitive, organizational_units, tags from accounts
         where ($1::text is null or id = $1) order by name, id",
        id
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Account {
                tags: serde_json::from_value(row.tags)
                    .with_context(|| format!("read the tags of account {}", row.id))?,
                id: row.id,
                name: row.name,
                is_active: row.is_active,
                is_sensitive: row.is_sensitive,
                organizational_units: row.organizational_units,
            })
        })
        .collect()
}

/// The permission set of this name; none if two have it.
///
/// # Errors
/// If the database refuses.
pub async fn find_permission_set(
    conn: &mut PgConnection,
    name: &str,
) -> sqlx::Result<Option<PermissionSet>> {
    let mut sets = sqlx::query_as!(
        PermissionSet,
        "select arn, name, session_seconds from permission_sets where name = $1 limit 2",
        name
    )
    .fetch_all(conn)
    .await?;
    Ok(sets.pop().filter(|_| sets.is_empty()))
}

/// The names that a policy may use: groups and permission sets that exist exactly once.
///
/// # Errors
/// If the database refuses.
pub async fn names(conn: &mut PgConnection) -> sqlx::Result<(BTreeSet<String>, BTreeSet<String>)> {
    let groups = sqlx::query_scalar!("select name from groups group by name having count(*) = 1")
        .fetch_all(&mut *conn)
        .await?;
    let sets =
        sqlx::query_scalar!("select name from permission_sets group by name having count(*) = 1")
            .fetch_all(conn)
            .await?;
    Ok((groups.into_iter().collect(), sets.into_iter().collect()))
}

/// Every permission set of the copy, by name.
///
/// # Errors
/// If the database refuses.
pub async fn list_permission_sets(conn: &mut PgConnection) -> sqlx::Result<Vec<PermissionSet>> {
    sqlx::query_as!(
        PermissionSet,
        "select arn, name, session_seconds from permission_sets order by name, arn"
    )
    .fetch_all(conn)
    .await
}
