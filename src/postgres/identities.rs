//! Which account of an identity provider is which person: what `access::identity` judges by, and what
//! it found.

use std::collections::BTreeSet;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::access::identity::{Account, ExternalId, Found, Known, KnownAs, Link, Way};
use crate::access::person::{Person, PersonId};

/// Most people that are looked at for one account: two are one too many already.
const MOST: i64 = 2;

/// Everything that is there about an account, for `external_issuer` as configured.
///
/// # Errors
/// If the database refuses.
pub async fn find(
    conn: &mut PgConnection,
    account: &Account<'_>,
    external_issuer: Option<&str>,
) -> anyhow::Result<Found> {
    let linked = list_links(conn, account.issuer, Some(account.subject), &[])
        .await?
        .pop();
    let linked_is_known = match &linked {
        Some(link) => super::directory::find_person(conn, &link.person)
            .await?
            .is_some(),
        None => false,
    };
    let by_external_id = match external_issuer {
        Some(issuer) => people_by_external_id(conn, issuer, account.external_id).await?,
        None => Vec::new(),
    };
    let by_user_name = match account.user_name {
        Some(name) => people_by_user_name(conn, name).await?,
        None => Vec::new(),
    };
    let people: Vec<String> = by_external_id
        .iter()
        .chain(&by_user_name)
        .map(|known| known.person.id.as_str().to_owned())
        .collect();
    Ok(Found {
        linked,
        linked_is_known,
        links: list_links(conn, account.issuer, None, &people).await?,
        by_external_id,
        by_user_name,
    })
}

/// Everybody with this `ExternalId`: one person, unless the directory is at odds with itself.
///
/// # Errors
/// If the database refuses.
pub async fn people_by_external_id(
    conn: &mut PgConnection,
    issuer: &str,
    id: &str,
) -> sqlx::Result<Vec<Known>> {
    let ids = sqlx::query_scalar!(
        "select person_id from external_ids where issuer = $1 and id = $2 order by person_id limit $3",
        issuer,
        id,
        MOST
    )
    .fetch_all(&mut *conn)
    .await?;
    known(conn, &ids).await
}

async fn people_by_user_name(conn: &mut PgConnection, name: &str) -> sqlx::Result<Vec<Known>> {
    let ids = sqlx::query_scalar!(
        "select id from people where user_name = $1 order by id limit $2",
        name,
        MOST
    )
    .fetch_all(&mut *conn)
    .await?;
    known(conn, &ids).await
}

async fn known(conn: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<Known>> {
    let rows = sqlx::query!(
        r#"select people.id, user_id, user_name, email, name, enabled,
                  coalesce(array_agg(external_ids.issuer order by external_ids.issuer, external_ids.id)
                           filter (where external_ids.id is not null), '{}') as "issuers!",
                  coalesce(array_agg(external_ids.id order by external_ids.issuer, external_ids.id)
                           filter (where external_ids.id is not null), '{}') as "external_ids!"
           from people left join external_ids on person_id = people.id
           where people.id = any($1) group by people.id order by people.id"#,
        ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Known {
            person: Person {
                id: PersonId::new(&row.id),
                user_id: row.user_id,
                email: row.email,
                name: row.name,
                enabled: row.enabled,
            },
            known_as: KnownAs {
                user_name: row.user_name,
                external_ids: row
                    .issuers
                    .into_iter()
                    .zip(row.external_ids)
                    .map(|(issuer, id)| ExternalId { issuer, id })
                    .collect::<BTreeSet<_>>(),
            },
        })
        .collect())
}

/// The links of this account, or, without one, of these people.
async fn list_links(
    conn: &mut PgConnection,
    issuer: &str,
    subject: Option<&str>,
    people: &[String],
) -> anyhow::Result<Vec<Link>> {
    let rows = sqlx::query!(
        "select person_id, subject, external_issuer, external_id, user_name from identities
         where issuer = $1 and (subject = $2 or ($2::text is null and person_id = any($3)))",
        issuer,
        subject,
        people
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Link {
                person: PersonId::new(&row.person_id),
                subject: row.subject,
                way: way(row.external_issuer, row.external_id, row.user_name)?,
            })
        })
        .collect()
}

fn way(
    issuer: Option<String>,
    id: Option<String>,
    user_name: Option<String>,
) -> anyhow::Result<Way> {
    match (issuer, id, user_name) {
        (Some(issuer), Some(id), _) => Ok(Way::ExternalId(ExternalId { issuer, id })),
        (_, _, Some(name)) => Ok(Way::UserName(name)),
        _ => None.context("a link says neither by which id nor by which name it was made"),
    }
}

/// By what a person was found when they last signed in; none if they never did.
///
/// # Errors
/// If the database refuses.
pub async fn find_newest_way(
    conn: &mut PgConnection,
    person: &PersonId,
) -> anyhow::Result<Option<Way>> {
    let row = sqlx::query!(
        "select external_issuer, external_id, user_name from identities
         where person_id = $1 order by verified_at desc limit 1",
        person.as_str()
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| way(row.external_issuer, row.external_id, row.user_name))
        .transpose()
}

/// Two sign-ins of one account, or as one person, are one after the other until the transaction ends:
/// the second sees the link that the first made.
///
/// # Errors
/// If the database refuses.
pub async fn lock(conn: &mut PgConnection, issuer: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('identities ' || $1, 0))",
        issuer
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes that an account is this person, found by `way` now.
///
/// # Errors
/// If the person has another account of the same provider, or the database refuses.
pub async fn save(
    conn: &mut PgConnection,
    account: &Account<'_>,
    person: &PersonId,
    way: &Way,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (external_issuer, external_id, user_name) = match way {
        Way::ExternalId(ExternalId { issuer, id }) => (Some(issuer), Some(id), None),
        Way::UserName(name) => (None, None, Some(name)),
    };
    sqlx::query!(
        "insert into identities
             (issuer, subject, person_id, external_issuer, external_id, user_name, linked_at, verified_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7)
         on conflict (issuer, subject) do update set
             linked_at = case when identities.person_id = excluded.person_id
                              then identities.linked_at else excluded.linked_at end,
             person_id = excluded.person_id, external_issuer = excluded.external_issuer,
             external_id = excluded.external_id, user_name = excluded.user_name,
             verified_at = excluded.verified_at",
        account.issuer,
        account.subject,
        person.as_str(),
        external_issuer,
        external_id,
        user_name,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets every link of a person: issuers and subjects of those there were.
///
/// # Errors
/// If the database refuses.
pub async fn forget(
    conn: &mut PgConnection,
    person: &PersonId,
) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "delete from identities where person_id = $1 returning issuer, subject",
        person.as_str()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.issuer, row.subject))
        .collect())
}
