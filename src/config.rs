//! `curfew.toml` and the environment: what `serve` and `migrate` are told (every key is in
//! `docs/install.md`).
//!
//! Here it is read and judged; nothing is connected to. An unknown key is an error that names it, a
//! wrong value one that names key and source, and a secret may be a file that others can't read.

mod error;
mod identity;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use chrono::TimeDelta;
use config::{Environment, File, FileFormat};
use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use self::error::described;
use self::identity::{ApiSection, OidcSection, SessionsSection, has_client_secret};
use crate::access::portal::AccessPortal;
use crate::directory::Roles;
use crate::http::PublicUrl;
use crate::settings::{SessionLimits, Settings};

/// The file that is read if no other is named and it exists.
pub const USUAL_FILE: &str = "curfew.toml";

/// Largest secret file. A URL is much shorter.
const SECRET_BYTES: u64 = 64 * 1024;

/// How long AWS accepts a signature. A lost create is waited for as long (protocol S4).
pub const SIGNATURE_SECONDS: u32 = 900;

/// See the module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where people reach Curfew.
    pub public_url: PublicUrl,
    /// Where it listens.
    #[serde(default = "loopback")]
    pub listen: SocketAddr,
    /// Where metrics are served; none serves them beside the pages.
    pub metrics_listen: Option<SocketAddr>,
    /// Whose `X-Forwarded-For` counts.
    #[serde(default, deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The policy file.
    #[serde(default = "usual_policy")]
    pub policy_file: PathBuf,
    /// Where this replica keeps what must be at hand without the database.
    #[serde(default)]
    pub state_dir: PathBuf,
    /// See [`Database`].
    #[serde(default)]
    pub database: Database,
    #[serde(default)]
    roles: RolesSection,
    /// See [`Aws`].
    #[serde(default)]
    pub aws: Aws,
    #[serde(default)]
    engine: EngineSection,
    oidc: Option<OidcSection>,
    #[serde(default)]
    sessions: SessionsSection,
    #[serde(default)]
    api: ApiSection,
}

/// The two roles of the database, and how many connections pages and acts may use.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    url: Option<SecretString>,
    url_file: Option<PathBuf>,
    migrate_url: Option<SecretString>,
    migrate_url_file: Option<PathBuf>,
    /// Connections of pages and acts; the engine has its own.
    pub connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            url_file: None,
            migrate_url: None,
            migrate_url_file: None,
            connections: 20,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RolesSection {
    auditor_groups: BTreeSet<String>,
    administrator_groups: BTreeSet<String>,
}

/// What concerns AWS beside the SDK's own chain (region, credentials, endpoints).
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// Start URL of the access portal, where it is not the one of the identity store.
    pub access_portal_url: Option<String>,
    calls_per_second: u32,
    outstanding: usize,
}

impl Default for Aws {
    fn default() -> Self {
        let standard = Settings::default();
        Self {
            access_portal_url: None,
            calls_per_second: standard.calls_per_second,
            outstanding: standard.outstanding,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EngineSection {
    activate_within_minutes: u32,
    settle_seconds: u32,
    confirm_gap_seconds: u32,
    standing_gap_seconds: u32,
}

impl Default for EngineSection {
    fn default() -> Self {
        Self {
            activate_within_minutes: 15,
            settle_seconds: SIGNATURE_SECONDS,
            confirm_gap_seconds: 30,
            standing_gap_seconds: 60,
        }
    }
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 8080).into()
}

fn usual_policy() -> PathBuf {
    "policy.toml".into()
}

/// The folder that systemd made for the service (the first, if it made several), or the usual one.
fn usual_state_dir(variables: &HashMap<String, String>) -> PathBuf {
    let made = variables.get("STATE_DIRECTORY").map(String::as_str);
    let first = made.unwrap_or_default().split(':').next();
    first
        .filter(|folder| !folder.is_empty())
        .unwrap_or("/var/lib/curfew")
        .into()
}

/// Addresses (10.0.0.7) and ranges of them (10.0.0.0/8).
fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
            serde::de::Error::custom(format!(
                "{text:?} is neither an address (10.0.0.7) nor a range of them (10.0.0.0/8)"
            ))
        })
    };
    Vec::<String>::deserialize(from)?
        .iter()
        .map(network)
        .collect()
}

impl Config {
    /// Reads the file (or, if none is named, the usual one, if it exists) and this process's environment.
    ///
    /// # Errors
    /// If the file can't be read, a key is unknown, or a value is wrong.
    pub fn load(named: Option<&Path>) -> anyhow::Result<Self> {
        let usual = Path::new(USUAL_FILE);
        let file = named.or_else(|| usual.exists().then_some(usual));
        let text = match file {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("read the configuration file {}", file.display()))?,
            None => String::new(),
        };
        let read = Self::read(file, &text, std::env::vars().collect())?;
        if let Some(file) = file.filter(|_| has_password(&text)) {
            closed_to_others(file)
                .context("the configuration file holds a database's password, so it is a secret; or move the URL to a file of its own (database.url_file)")?;
        }
        if let Some(file) = file.filter(|_| has_client_secret(&text)) {
            closed_to_others(file)
                .context("the configuration file holds a client's secret, so it is a secret; or move that to a file of its own (oidc.client_secret_file)")?;
        }
        Ok(read)
    }

    /// Reads this text of `file` and these variables.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn read(
        file: Option<&Path>,
        text: &str,
        variables: HashMap<String, String>,
    ) -> anyhow::Result<Self> {
        let url_of = |name: &str| variables.get(name).filter(|url| !url.is_empty()).cloned();
        let state_dir = usual_state_dir(&variables);
        let (url, migrate_url) = (url_of("DATABASE_URL"), url_of("MIGRATE_DATABASE_URL"));
        let mut environment = Environment::with_prefix("CURFEW")
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true)
            .list_separator(",")
            .with_list_parse_key("trusted_proxies")
            .with_list_parse_key("roles.auditor_groups")
            .with_list_parse_key("roles.administrator_groups");
        for key in identity::LISTS {
            environment = environment.with_list_parse_key(key);
        }
        let environment = environment.source(Some(variables));
        let of_file = file.map_or_else(
            || format!("the environment (there is no {USUAL_FILE} here, and none was named with --config)"),
            |file| format!("{} and the environment", file.display()),
        );
        let mut read: Self = config::Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .add_source(environment)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| anyhow::anyhow!(described(&error)))
            .with_context(|| format!("read the configuration from {of_file}"))?;
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        read.policy_file = folder.join(&read.policy_file);
        read.state_dir = if read.state_dir.as_os_str().is_empty() {
            state_dir
        } else {
            folder.join(&read.state_dir)
        };
        let database = &mut read.database;
        let mut secret_files = vec![&mut database.url_file, &mut database.migrate_url_file];
        if let Some(oidc) = &mut read.oidc {
            secret_files.extend([&mut oidc.client_secret_file, &mut oidc.private_key_file]);
        }
        for named in secret_files.into_iter().flatten() {
            *named = folder.join(&named);
        }
        // What the environment says stands for whatever the file says about the same.
        if let Some(url) = url {
            (database.url, database.url_file) = (Some(url.into()), None);
        }
        if let Some(url) = migrate_url {
            (database.migrate_url, database.migrate_url_file) = (Some(url.into()), None);
        }
        read.judge()?;
        Ok(read)
    }

    fn judge(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.public_url.is_https() || self.public_url.is_loopback(),
            "public_url is {}: without TLS anybody on the way could take over sessions. Use https, or http with a loopback host such as http://localhost:8080 for tries",
            self.public_url.origin()
        );
        for (key, value, least, most) in [
            ("database.connections", self.database.connections, 2, 1000),
            ("aws.calls_per_second", self.aws.calls_per_second, 1, 20),
            (
                "engine.activate_within_minutes",
                self.engine.activate_within_minutes,
                1,
                24 * 60,
            ),
            (
                "engine.settle_seconds",
                self.engine.settle_seconds,
                1,
                24 * 3600,
            ),
            (
                "engine.confirm_gap_seconds",
                self.engine.confirm_gap_seconds,
                1,
                3600,
            ),
            (
                "engine.standing_gap_seconds",
                self.engine.standing_gap_seconds,
                1,
                3600,
            ),
        ] {
            anyhow::ensure!(
                (least..=most).contains(&value),
                "{key} is {value}; it must be from {least} to {most}"
            );
        }
        anyhow::ensure!(
            (1..=15).contains(&self.aws.outstanding),
            "aws.outstanding is {}; it must be from 1 to 15: Identity Center takes no more at a time",
            self.aws.outstanding
        );
        if let Some(portal) = &self.aws.access_portal_url {
            AccessPortal::new(Some(portal), "", None)
                .map_err(|why| anyhow::anyhow!("aws.access_portal_url: {why}"))?;
        }
        self.judge_identity()
    }

    /// Who may read and operate Curfew.
    #[must_use]
    pub fn roles(&self) -> Roles {
        Roles {
            auditor_groups: self.roles.auditor_groups.clone(),
            administrator_groups: self.roles.administrator_groups.clone(),
        }
    }

    /// The waits and limits, with what is configured in place of the defaults.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        let engine = &self.engine;
        settings.activate_within = TimeDelta::minutes(engine.activate_within_minutes.into());
        settings.calls_per_second = self.aws.calls_per_second;
        settings.outstanding = self.aws.outstanding;
        settings.sessions = SessionLimits {
            idle: TimeDelta::minutes(self.sessions.idle_minutes.into()),
            absolute: TimeDelta::hours(self.sessions.absolute_hours.into()),
        };
        settings.timing.settle = TimeDelta::seconds(engine.settle_seconds.into());
        settings.timing.confirm_gap = TimeDelta::seconds(engine.confirm_gap_seconds.into());
        settings.timing.standing_gap = TimeDelta::seconds(engine.standing_gap_seconds.into());
        settings
    }
}

impl Database {
    /// The database as the service uses it: the runtime role.
    ///
    /// # Errors
    /// If it is not configured, its file can't be used, or the way to it is not safe.
    pub fn runtime(&self) -> anyhow::Result<PgConnectOptions> {
        let url = secret("database.url", self.url.as_ref(), self.url_file.as_deref())?;
        let url = url.context(
            "there is no database: set DATABASE_URL, database.url, or database.url_file to postgres://…",
        )?;
        options("database.url", &url)
    }

    /// The database as its owner, for `migrate`; none if it is not configured.
    ///
    /// # Errors
    /// See [`Database::runtime`].
    pub fn owner(&self) -> anyhow::Result<Option<PgConnectOptions>> {
        let key = "database.migrate_url";
        secret(
            key,
            self.migrate_url.as_ref(),
            self.migrate_url_file.as_deref(),
        )?
        .map(|url| options(key, &url))
        .transpose()
    }
}

fn secret(
    key: &str,
    given: Option<&SecretString>,
    file: Option<&Path>,
) -> anyhow::Result<Option<SecretString>> {
    match (given, file) {
        (Some(_), Some(_)) => anyhow::bail!("{key} and {key}_file are both set; keep one of them"),
        (Some(given), None) => Ok(Some(given.clone())),
        (None, Some(file)) => read_secret(file)
            .with_context(|| format!("read the secret file of {key}_file"))
            .map(Some),
        (None, None) => Ok(None),
    }
}

/// A secret's file, without the line break at its end. One that others can read is no secret.
fn read_secret(file: &Path) -> anyhow::Result<SecretString> {
    let shown = file.display();
    let about = closed_to_others(file)?;
    anyhow::ensure!(
        about.is_file() && about.len() <= SECRET_BYTES,
        "{shown} is not a file of at most {SECRET_BYTES} bytes"
    );
    let text = std::fs::read_to_string(file).with_context(|| format!("read {shown}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!text.is_empty(), "{shown} is empty");
    Ok(text.into())
}

/// A file that holds a secret, which others on this machine can't get at.
fn closed_to_others(file: &Path) -> anyhow::Result<std::fs::Metadata> {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = file.display();
    let about = std::fs::metadata(file).with_context(|| format!("look at {shown}"))?;
    let mode = about.permissions().mode() & 0o777;
    let of_others = mode & 0o007;
    anyhow::ensure!(
        of_others == 0,
        "{shown} has the mode {mode:04o}: others on this machine can get at it. Run: chmod o-rwx {shown}"
    );
    Ok(about)
}

/// Is there a URL with a password in this text? One in a comment counts too.
fn has_password(text: &str) -> bool {
    text.lines().any(|line| {
        let authority = line.split_once("://").map_or("", |(_, rest)| rest);
        let user = authority.split_once('@').map_or("", |(user, _)| user);
        user.contains(':') && !user.contains('/')
    })
}

/// A Postgres that is not on this host is reached by TLS with its certificate checked, or not at all.
fn options(key: &str, url: &SecretString) -> anyhow::Result<PgConnectOptions> {
    // The parser's own error may quote the URL, and with it the password.
    let options = PgConnectOptions::from_str(url.expose_secret()).map_err(|_| {
        anyhow::anyhow!(
            "{key} is not a URL such as postgres://curfew@host/curfew?sslmode=verify-full"
        )
    })?;
    let host = options.get_host();
    let is_here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    let is_checked = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
    anyhow::ensure!(
        is_here || is_checked,
        "{key} leads to {host}, which is not this host, without checking who answers: add sslmode=verify-full (and sslrootcert=… for your own authority)"
    );
    Ok(options)
}

#[cfg(test)]
mod tests;
