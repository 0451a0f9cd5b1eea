//! The schema: made by `operator migrate`, only looked at by everything else.

use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::{Connection as _, PgConnection};

use super::connection;
use crate::audit::AuditError;
use crate::audit::proof::vault::VaultError;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The URL or a role's name is not one.
    #[error("{0}")]
    Setting(String),
    /// The database did not answer within the limit.
    #[error("no database at {place} after {waited:?}")]
    NoDatabase {
        /// Host, port and name.
        place: String,
        /// How long was waited.
        waited: Duration,
        /// The last answer.
        #[source]
        source: sqlx::Error,
    },
    /// The database is not UTF-8, so that it cannot hold every text.
    #[error("the database's encoding is {0}, and the audit store needs UTF8")]
    Encoding(String),
    /// A migration failed.
    #[error("the schema could not be brought up to date")]
    Schema(#[source] Box<sqlx::migrate::MigrateError>),
    /// The roles could not be set up.
    #[error("the roles could not be set up")]
    Roles(#[source] sqlx::Error),
    /// The signing key could not be made part of the trail.
    #[error("the signing key could not be made part of the trail")]
    Keys(#[source] sqlx::Error),
    /// The trail's key is gone.
    #[error(
        "the trail is signed with the key {id}, and it is not in {place}: restore it from a backup; if it is lost for good, --replace-lost-key begins anew with another one, which the trail says"
    )]
    LostKey {
        /// The key's name.
        id: String,
        /// Where it was looked for.
        place: String,
    },
    /// The private key cannot be read or kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The trail refused.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl MigrateError {
    /// A static name for metrics and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Setting(_) => "migrate_setting",
            Self::NoDatabase { .. } => "migrate_no_database",
            Self::Encoding(_) => "migrate_encoding",
            Self::Schema(_) => "migrate_schema",
            Self::Roles(_) => "migrate_roles",
            Self::Keys(_) => "migrate_keys",
            Self::LostKey { .. } => "migrate_lost_key",
            Self::Vault(error) => error.category(),
            Self::Audit(error) => error.category(),
        }
    }
}

/// The roles of the store. Roles belong to the whole server, so that two installations on one
/// server need names of their own.
#[derive(Clone, Debug)]
pub struct Roles {
    /// The role that the controller logs in with: appends and reads.
    pub controller: String,
    /// Its password; without one, a new role cannot log in with a password and an old one keeps its own.
    pub controller_password: Option<secrecy::SecretString>,
    /// A role for people, to be granted: reads.
    pub reader: String,
    /// The role that prunes, and can do nothing else.
    pub pruner: String,
    /// Its password, as the controller's.
    pub pruner_password: Option<secrecy::SecretString>,
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            controller: "operator_controller".to_owned(),
            controller_password: None,
            reader: "operator_reader".to_owned(),
            pruner: "operator_pruner".to_owned(),
            pruner_password: None,
        }
    }
}

/// What [`migrate`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Versions that were applied now, oldest first.
    pub applied: Vec<i64>,
    /// The version that the schema has.
    pub version: i64,
    /// The installation's name.
    pub installation: String,
}

/// Brings the schema and the roles up to date. Doing it twice, or twice at once, is fine.
///
/// Waits up to `wait` for the database, and calls `waiting` with a sentence about once every five
/// seconds meanwhile.
///
/// # Errors
/// [`MigrateError`].
pub async fn migrate(
    url: &str,
    roles: &Roles,
    wait: Duration,
    mut waiting: impl FnMut(&str),
) -> Result<Migration, MigrateError> {
    check_name(&roles.controller).map_err(MigrateError::Setting)?;
    check_name(&roles.reader).map_err(MigrateError::Setting)?;
    check_name(&roles.pruner).map_err(MigrateError::Setting)?;
    // Migrations and their lock may take their time: no limit of a statement here.
    let options =
        connection::options(url, Duration::from_mins(10)).map_err(|e| MigrateError::Setting(e.to_string()))?;
    let mut database = connection::open(&options, wait, &mut waiting).await?;

    let schema = |error: sqlx::Error| MigrateError::Schema(Box::new(error.into()));
    let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .fetch_one(&mut database)
        .await
        .map_err(schema)?;
    if encoding != "UTF8" {
        return Err(MigrateError::Encoding(encoding));
    }
    let before = versions(&mut database).await;
    MIGRATIONS.run(&mut database).await.map_err(|error| MigrateError::Schema(Box::new(error)))?;
    let after = versions(&mut database).await;
    grant(&mut database, roles).await.map_err(MigrateError::Roles)?;
    let installation =
        sqlx::query_scalar("SELECT id FROM installation").fetch_one(&mut database).await.map_err(schema)?;
    // The work is committed; a goodbye that fails changes nothing.
    let _ = database.close().await;
    Ok(Migration {
        version: after.last().copied().unwrap_or_default(),
        applied: after.into_iter().filter(|version| !before.contains(version)).collect(),
        installation,
    })
}

/// The versions that are applied; none when there is no table of them yet.
async fn versions(database: &mut PgConnection) -> Vec<i64> {
    let applied = sqlx::query_as::<_, Applied>(SELECT_APPLIED).fetch_all(database).await;
    applied.unwrap_or_default().into_iter().map(|(version, _)| version).collect()
}

/// A role's name that needs no thought: lower case letters, digits, underscores.
///
/// # Errors
/// A sentence, when `name` is another.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain && (1..=63).contains(&name.len()) && !name.as_bytes()[0].is_ascii_digit() && !name.starts_with("pg_") {
        Ok(())
    } else {
        Err(format!(
            "{name:?} is no name for a role: up to 63 lower case letters, digits and underscores, beginning with a letter"
        ))
    }
}

/// Makes the roles and gives them what they may do. The names and the password travel as parameters
/// into settings of the transaction, and into the statements by `format`: the server's log shows
/// neither.
async fn grant(database: &mut PgConnection, roles: &Roles) -> Result<(), sqlx::Error> {
    use secrecy::ExposeSecret as _;
    let password = |password: Option<&secrecy::SecretString>| {
        password.map(|password| password.expose_secret().to_owned()).unwrap_or_default()
    };
    let mut transaction = database.begin().await?;
    sqlx::query(
        "SELECT set_config('operator.controller', $1, true), set_config('operator.password', $2, true), \
                set_config('operator.reader', $3, true), set_config('operator.pruner', $4, true), \
                set_config('operator.pruner_password', $5, true), pg_advisory_xact_lock(hashtextextended('operator.roles', 0))",
    )
    .bind(&roles.controller)
    .bind(password(roles.controller_password.as_ref()))
    .bind(&roles.reader)
    .bind(&roles.pruner)
    .bind(password(roles.pruner_password.as_ref()))
    .execute(&mut *transaction)
    .await?;
    sqlx::raw_sql(include_str!("roles.sql")).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Version and checksum of an applied migration.
pub(super) type Applied = (i64, Vec<u8>);

/// All of them, in order.
pub(super) const SELECT_APPLIED: &str = "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";

/// Compares what is applied with what this binary brings.
pub(super) fn check(applied: &[Applied]) -> Result<(), AuditError> {
    let known: Vec<(i64, &[u8])> = MIGRATIONS.iter().map(|m| (m.version, &*m.checksum)).collect();
    if let Some((newer, _)) = applied.iter().find(|(version, _)| known.iter().all(|(v, _)| v != version)) {
        return Err(AuditError::Schema(format!(
            "the audit store's schema (version {newer}) is newer than this operator knows: run the operator that brought it, or a later one"
        )));
    }
    for (version, checksum) in known {
        match applied.iter().find(|(v, _)| *v == version) {
            None => {
                return Err(AuditError::Schema(format!(
                    "the audit store's schema lacks version {version}: run `operator migrate` with this version of operator"
                )));
            }
            Some((_, found)) if found != checksum => {
                return Err(AuditError::Schema(format!(
                    "version {version} of the audit store's schema is not the one that this operator brings: it was made by a build of another source"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Applied> {
        MIGRATIONS.iter().map(|m| (m.version, m.checksum.to_vec())).collect()
    }

    #[test]
    fn the_schema_is_older_newer_or_right() {
        assert!(check(&all()).is_ok());
        assert!(check(&[]).unwrap_err().to_string().contains("operator migrate"));
        let mut newer = all();
        newer.push((9999, vec![]));
        assert!(check(&newer).unwrap_err().to_string().contains("newer"));
        let mut other = all();
        other[0].1 = vec![1];
        assert!(check(&other).unwrap_err().to_string().contains("another source"));
    }

    #[test]
    fn names_of_roles_are_plain() {
        assert!(check_name("operator_controller").is_ok());
        for bad in ["", "pg_x", "1a", "A", "a b", "a\"b", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
