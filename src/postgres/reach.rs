//! Whom groups reach, and whom a word means: questions about many people at once.

use sqlx::PgConnection;

use crate::access::person::{Person, PersonId};

/// The enabled people in some groups: how many, and the first of them by e-mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// How many different people.
    pub count: usize,
    /// Name and e-mail of the first ones.
    pub first: Vec<(String, String)>,
}

/// For each list of groups, whom it reaches. Names are read only of as many as `names` says.
///
/// # Errors
/// If the database refuses.
pub async fn reached(
    conn: &mut PgConnection,
    lists: &[Vec<String>],
    names: i64,
) -> anyhow::Result<Vec<Reached>> {
    let (mut sides, mut groups) = (Vec::new(), Vec::new());
    for (side, list) in (0_i32..).zip(lists) {
        for group in list {
            sides.push(side);
            groups.push(group.clone());
        }
    }
    let mut reached = vec![Reached::default(); lists.len()];
    let rows = sqlx::query!(
        r#"select side as "side!", count(distinct people.id) as "count!"
           from unnest($1::int[], $2::text[]) as of (side, group_id)
           join memberships using (group_id) join people on people.id = person_id
           where enabled group by side"#,
        &sides,
        &groups
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in rows {
        reached[usize::try_from(row.side)?].count = usize::try_from(row.count)?;
    }
    if names == 0 {
        return Ok(reached);
    }
    let rows = sqlx::query!(
        r#"select side as "side!", name, email
           from (select side, name, email, row_number() over (partition by side order by email, id) as place
                 from (select distinct side, person_id from unnest($1::int[], $2::text[]) as of (side, group_id)
                       join memberships using (group_id)) members
                 join people on people.id = person_id
                 where enabled) people
           where place <= $3 order by side, place"#,
        &sides,
        &groups,
        names
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        reached[usize::try_from(row.side)?]
            .first
            .push((row.name, row.email));
    }
    Ok(reached)
}

/// The people whose id, e-mail or name is exactly this, whatever its case; if there are none, those
/// with it somewhere in e-mail or name.
///
/// # Errors
/// If the database refuses.
pub async fn find_people(
    conn: &mut PgConnection,
    word: &str,
    limit: i64,
) -> sqlx::Result<Vec<Person>> {
    let id = PersonId::new(word);
    let rows = sqlx::query!(
        r#"select id, user_id, email, name, enabled,
                  (id = $2 or lower($1) in (lower(email), lower(name))) as "is_exact!"
           from people
           where id = $2 or strpos(lower(email), lower($1)) > 0 or strpos(lower(name), lower($1)) > 0
           order by 6 desc, email, id limit $3"#,
        word,
        id.as_str(),
        limit
    )
    .fetch_all(conn)
    .await?;
    let is_exact = rows.first().is_some_and(|row| row.is_exact);
    Ok(rows
        .into_iter()
        .filter(|row| row.is_exact || !is_exact)
        .map(|row| Person {
            id: PersonId::new(&row.id),
            user_id: row.user_id,
            email: row.email,
            name: row.name,
            enabled: row.enabled,
        })
        .collect())
}
