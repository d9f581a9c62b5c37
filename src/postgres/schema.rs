//! How a database's schema stands to the one that this program was built for. `serve` never migrates:
//! it says what stands in the way, and what to do.

use sqlx::PgConnection;

use super::MIGRATOR;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The very same.
    Current,
    /// Nothing of Curfew is there yet.
    Missing,
    /// Migrations of ours are missing.
    Behind {
        /// Newest migration of the database.
        database: i64,
        /// Newest one of this program.
        program: i64,
    },
    /// A newer program migrated it.
    Ahead {
        /// Newest migration of the database.
        database: i64,
        /// Newest one of this program.
        program: i64,
    },
    /// A migration was begun and not finished.
    HalfDone(i64),
    /// A migration is not the one that this program has under the same number.
    Changed(i64),
}

/// A migration as the database remembers it.
#[derive(Clone, Debug)]
pub struct Applied {
    version: i64,
    success: bool,
    checksum: Vec<u8>,
}

impl Schema {
    /// What stands in the way, and what to do; none if nothing does.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Current => None,
            Self::Missing => Some(
                "the database holds no schema of Curfew yet: run `curfew migrate` first".to_owned(),
            ),
            Self::Behind { database, program } => Some(format!(
                "the database is at the schema {database} and this program needs {program}: run `curfew migrate` of this version first"
            )),
            Self::Ahead { database, program } => Some(format!(
                "the database was migrated to the schema {database} by a newer Curfew; this one knows {program} and must not guess: start the newer version here"
            )),
            Self::HalfDone(version) => Some(format!(
                "the migration {version} was begun in this database and not finished: restore the backup from before it and run `curfew migrate` again (replicas that still run go on ending access)"
            )),
            Self::Changed(version) => Some(format!(
                "the migration {version} of this database is not the one of this program: it was made by another build. Use the program that made it, or an official one on a database of its own"
            )),
        }
    }
}

/// Compares what was applied with what this program has.
#[must_use]
pub fn compare(applied: &[Applied]) -> Schema {
    let ours: Vec<(i64, &[u8])> = MIGRATOR
        .iter()
        .map(|migration| (migration.version, &*migration.checksum))
        .collect();
    let newest = |versions: &mut dyn Iterator<Item = i64>| versions.max().unwrap_or(0);
    let database = newest(&mut applied.iter().map(|one| one.version));
    let program = newest(&mut ours.iter().map(|(version, _)| *version));
    if let Some(half) = applied.iter().find(|one| !one.success) {
        return Schema::HalfDone(half.version);
    }
    for (version, checksum) in &ours {
        match applied.iter().find(|one| one.version == *version) {
            Some(one) if one.checksum != *checksum => return Schema::Changed(*version),
            Some(_) => {}
            None if applied.is_empty() => return Schema::Missing,
            None => return Schema::Behind { database, program },
        }
    }
    if applied.len() > ours.len() {
        return Schema::Ahead { database, program };
    }
    Schema::Current
}

/// How this database's schema stands.
///
/// # Errors
/// If the database refuses.
pub async fn find(conn: &mut PgConnection) -> sqlx::Result<Schema> {
    let exists =
        sqlx::query_scalar!(r#"select to_regclass('_sqlx_migrations') is not null as "exists!""#)
            .fetch_one(&mut *conn)
            .await?;
    if !exists {
        return Ok(Schema::Missing);
    }
    // The migrator makes its table by itself, so that the macros can't know it.
    let rows: Vec<(i64, bool, Vec<u8>)> = read_applied(conn).await?;
    let applied: Vec<Applied> = rows
        .into_iter()
        .map(|(version, success, checksum)| Applied {
            version,
            success,
            checksum,
        })
        .collect();
    Ok(compare(&applied))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the table is made by the migrator and not by a migration, so that the checked macros can't know it"
)]
async fn read_applied(conn: &mut PgConnection) -> sqlx::Result<Vec<(i64, bool, Vec<u8>)>> {
    sqlx::query_as("select version, success, checksum from _sqlx_migrations order by version")
        .fetch_all(conn)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Applied> {
        MIGRATOR
            .iter()
            .map(|migration| Applied {
                version: migration.version,
                success: true,
                checksum: migration.checksum.to_vec(),
            })
            .collect()
    }

    #[test]
    fn a_schema_is_current_only_if_every_migration_is_ours_finished_and_none_is_more() {
        assert_eq!(compare(&all()), Schema::Current);
        assert_eq!(Schema::Current.problem(), None);
        let newest = all().last().unwrap().version;
        let mut half = all();
        half.last_mut().unwrap().success = false;
        let mut other = all();
        other[0].checksum[0] ^= 1;
        let mut behind = all();
        behind.pop();
        let mut ahead = all();
        ahead.push(Applied {
            version: newest + 1,
            success: true,
            checksum: Vec::new(),
        });
        for (applied, expected, what_to_do) in [
            (half, Schema::HalfDone(newest), "restore the backup"),
            (other, Schema::Changed(all()[0].version), "another build"),
            (Vec::new(), Schema::Missing, "run `curfew migrate` first"),
            (
                behind.clone(),
                Schema::Behind {
                    database: behind.last().unwrap().version,
                    program: newest,
                },
                "run `curfew migrate` of this version",
            ),
            (
                ahead,
                Schema::Ahead {
                    database: newest + 1,
                    program: newest,
                },
                "start the newer version",
            ),
        ] {
            let found = compare(&applied);
            assert_eq!(found, expected);
            assert!(found.problem().unwrap().contains(what_to_do));
        }
    }
}
