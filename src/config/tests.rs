//! What can be wrong with a configuration, and what it says then.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

pub(super) const LEAST: &str = "public_url = 'https://curfew.example.com'\n";

pub(super) fn read(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read(
        Some(Path::new("/etc/curfew/curfew.toml")),
        text,
        variables.collect(),
    )
}

pub(super) fn wrong(text: &str, variables: &[(&str, &str)]) -> String {
    format!(
        "{:#}",
        read(&format!("{LEAST}{text}"), variables).unwrap_err()
    )
}

/// A file of its own for a test, and gone with it.
pub(super) struct Secret(pub(super) PathBuf);

impl Secret {
    pub(super) fn new(name: &str, text: &str, mode: u32) -> Self {
        let file = std::env::temp_dir().join(format!("curfew-{name}-{}", std::process::id()));
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        Self(file)
    }

    fn named(&self) -> String {
        format!("[database]\nurl_file = {:?}\n", self.0)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn the_least_configuration_has_the_defaults_of_the_protocol() {
    let config = read(LEAST, &[]).unwrap();
    let (settings, standard) = (config.settings(), Settings::default());
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.policy_file, Path::new("/etc/curfew/policy.toml"));
    assert_eq!(settings.timing.settle, standard.timing.settle);
    assert_eq!(settings.timing.confirm_gap, standard.timing.confirm_gap);
    assert_eq!(settings.timing.standing_gap, standard.timing.standing_gap);
    assert_eq!(settings.activate_within, standard.activate_within);
    assert_eq!(settings.calls_per_second, 8);
}

#[test]
fn the_state_has_the_folder_that_is_named_or_systemd_s_or_the_usual_one() {
    let folder = |text: &str, variables: &[(&str, &str)]| {
        let read = read(&format!("{LEAST}{text}"), variables);
        read.unwrap().state_dir.display().to_string()
    };
    let systemd = [("STATE_DIRECTORY", "/var/lib/private/curfew:/var/lib/more")];
    assert_eq!(folder("", &[]), "/var/lib/curfew");
    assert_eq!(folder("", &[("STATE_DIRECTORY", "")]), "/var/lib/curfew");
    assert_eq!(folder("", &systemd), "/var/lib/private/curfew");
    assert_eq!(folder("state_dir = '/srv/a'", &systemd), "/srv/a");
    assert_eq!(folder("state_dir = 'state'", &[]), "/etc/curfew/state");
    let named = [("CURFEW__STATE_DIR", "/srv/b")];
    assert_eq!(folder("state_dir = '/srv/a'", &named), "/srv/b");
}

#[test]
fn a_wrong_key_is_named_wherever_it_stands() {
    for (text, variables, named) in [
        ("databse = 1", &[][..], "databse"),
        ("[database]\nconections = 1", &[], "database"),
        ("[engine]\nsettle = 1", &[], "`settle`"),
        ("", &[("CURFEW__ENGINE__SETTLE", "1")], "`settle`"),
        ("", &[("CURFEW__FOO", "1")], "`foo`"),
    ] {
        let said = wrong(text, variables);
        assert!(
            said.contains("unknown field") && said.contains(named),
            "{said}"
        );
    }
}

#[test]
fn a_wrong_value_is_named_with_its_key_and_where_it_came_from() {
    let said = wrong("[database]\nconnections = 'many'", &[]);
    assert!(said.contains("database.connections"), "{said}");
    let said = wrong("", &[("CURFEW__DATABASE__CONNECTIONS", "many")]);
    assert!(
        said.contains("database.connections") && said.contains("environment"),
        "{said}"
    );
    for (text, named) in [
        ("listen = 'everywhere'", "listen"),
        ("trusted_proxies = ['10.0.0.0/99']", "10.0.0.0/99"),
        ("[database]\nconnections = 1", "database.connections is 1"),
        ("[aws]\ncalls_per_second = 21", "aws.calls_per_second is 21"),
        ("[aws]\noutstanding = 16", "aws.outstanding is 16"),
        (
            "[aws]\naccess_portal_url = 'javascript:x'",
            "aws.access_portal_url",
        ),
        ("[engine]\nsettle_seconds = 0", "engine.settle_seconds is 0"),
        ("x = = 1", "line 2"),
    ] {
        let said = wrong(text, &[]);
        assert!(said.contains(named), "{said}");
        assert!(
            said.contains("curfew.toml") || !text.contains("= ="),
            "{said}"
        );
    }
}

#[test]
fn the_environment_wins_and_lists_are_separated_by_commas() {
    let text = format!("{LEAST}[roles]\nauditor_groups = ['x']\n[database]\nurl_file = 'secret'");
    let config = read(
        &text,
        &[
            ("CURFEW__PUBLIC_URL", "https://other.example.com"),
            ("CURFEW__TRUSTED_PROXIES", "10.0.0.7,2001:db8::/32"),
            ("CURFEW__ROLES__AUDITOR_GROUPS", "auditors,security"),
            ("DATABASE_URL", "postgres://curfew@localhost/other"),
        ],
    )
    .unwrap();
    assert_eq!(config.public_url.origin(), "https://other.example.com");
    assert_eq!(config.trusted_proxies.len(), 2);
    assert!(
        config
            .roles()
            .auditor_groups
            .iter()
            .eq(["auditors", "security"])
    );
    assert_eq!(
        config.database.runtime().unwrap().get_database(),
        Some("other")
    );
}

#[test]
fn without_tls_only_a_loopback_host_is_taken() {
    for (url, is_taken) in [
        ("http://localhost:8080", true),
        ("http://127.0.0.1", true),
        ("http://[::1]:8080", true),
        ("http://curfew.example.com", false),
        ("http://localhost.example.com", false),
        ("http://10.0.0.7:8080", false),
        ("https://curfew.example.com", true),
        ("https://curfew.example.com/path", false),
        ("curfew.example.com", false),
    ] {
        let read = read(&format!("public_url = '{url}'"), &[]);
        assert_eq!(read.is_ok(), is_taken, "{url}: {read:?}");
    }
}

#[test]
fn a_database_elsewhere_is_reached_with_its_certificate_checked_or_not_at_all() {
    for (url, is_taken) in [
        ("postgres://curfew@localhost/curfew", true),
        ("postgres://curfew@127.0.0.1/curfew", true),
        ("postgres://curfew@[::1]/curfew", true),
        (
            "postgres://curfew@localhost/curfew?host=/var/run/postgresql",
            true,
        ),
        ("postgres://curfew@db.example.com/curfew", false),
        (
            "postgres://curfew@db.example.com/curfew?sslmode=require",
            false,
        ),
        (
            "postgres://curfew@db.example.com/curfew?sslmode=verify-ca",
            false,
        ),
        (
            "postgres://curfew@db.example.com/curfew?sslmode=verify-full",
            true,
        ),
    ] {
        let config = read(LEAST, &[("DATABASE_URL", url)]).unwrap();
        assert_eq!(config.database.runtime().is_ok(), is_taken, "{url}");
    }
}

#[test]
fn no_error_shows_a_password() {
    let config = read(LEAST, &[("DATABASE_URL", "postgres//curfew:geheim@h")]).unwrap();
    let said = format!("{:#}", config.database.runtime().unwrap_err());
    assert!(
        !said.contains("geheim") && said.contains("postgres://"),
        "{said}"
    );
    assert!(!format!("{config:?}").contains("geheim"));
    let elsewhere = read(
        LEAST,
        &[("DATABASE_URL", "postgres://curfew:geheim@db.example.com/x")],
    );
    let said = format!("{:#}", elsewhere.unwrap().database.runtime().unwrap_err());
    assert!(
        !said.contains("geheim") && said.contains("verify-full"),
        "{said}"
    );
}

#[test]
fn a_password_in_the_wrong_place_is_not_shown_either() {
    let url = "postgres://curfew:geheim@db.example.com/x";
    for (text, variables) in [
        (String::new(), vec![("CURFEW__DATABASE", url)]),
        (format!("database = '{url}'"), vec![]),
        (
            format!("[database]\nurl = \"{url}\nconnections = 2"),
            vec![],
        ),
        (format!("[database]\nconnections = '{url}'"), vec![]),
        (String::new(), vec![("CURFEW__ENGINE__SETTLE_SECONDS", url)]),
    ] {
        let said = wrong(&text, &variables);
        assert!(!said.contains("geheim"), "{said}");
        assert!(
            said.contains("must be") || said.contains("line 3"),
            "{said}"
        );
    }
}

#[test]
fn a_configuration_file_with_a_password_is_a_secret_too() {
    let with = format!("{LEAST}[database]\nurl = 'postgres://curfew:geheim@localhost/x'\n");
    let without = format!("{LEAST}[database]\nurl = 'postgres://curfew@localhost/x?host=/run'\n");
    for (name, text, mode, is_taken) in [
        ("config-1", &with, 0o644, false),
        ("config-2", &with, 0o640, true),
        ("config-3", &without, 0o644, true),
    ] {
        let file = Secret::new(name, text, mode);
        let loaded = Config::load(Some(&file.0));
        assert_eq!(loaded.is_ok(), is_taken, "{name}: {loaded:?}");
    }
}

#[test]
fn a_secret_is_read_from_a_file_that_only_its_owner_and_group_can_read() {
    let url = "postgres://curfew@localhost/of_file\n";
    let good = Secret::new("good-secret", url, 0o640);
    let config = read(&format!("{LEAST}{}", good.named()), &[]).unwrap();
    assert_eq!(
        config.database.runtime().unwrap().get_database(),
        Some("of_file")
    );
    for mode in [0o644, 0o604, 0o602] {
        let open = Secret::new(&format!("open-secret-{mode}"), url, mode);
        let config = read(&format!("{LEAST}{}", open.named()), &[]).unwrap();
        let said = format!("{:#}", config.database.runtime().unwrap_err());
        assert!(
            said.contains("chmod o-rwx") && said.contains(&format!("{mode:04o}")),
            "{said}"
        );
    }
}

#[test]
fn a_secret_file_that_is_missing_empty_or_no_file_is_named() {
    let empty = Secret::new("empty-secret", "\n", 0o600);
    let folder = std::env::temp_dir().join(format!("curfew-secret-folder-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    for (file, why) in [
        (PathBuf::from("/nowhere/secret"), "look at /nowhere/secret"),
        (empty.0.clone(), "is empty"),
        (folder.clone(), "is not a file"),
    ] {
        let text = format!("{LEAST}[database]\nmigrate_url_file = {file:?}\n");
        let said = format!(
            "{:#}",
            read(&text, &[]).unwrap().database.owner().unwrap_err()
        );
        assert!(
            said.contains(why) && said.contains("database.migrate_url_file"),
            "{said}"
        );
    }
    std::fs::remove_dir(folder).unwrap();
}

#[test]
fn a_url_and_its_file_are_not_both_taken_and_none_says_what_to_set() {
    let both = "[database]\nurl = 'postgres://localhost/x'\nurl_file = 'y'";
    let said = |config: Config| format!("{:#}", config.database.runtime().unwrap_err());
    assert!(said(read(&format!("{LEAST}{both}"), &[]).unwrap()).contains("both set"));
    assert!(said(read(LEAST, &[]).unwrap()).contains("DATABASE_URL"));
}
