//! What can be wrong with the configuration of sign-in and API tokens, and what it says then.

use crate::config::tests::{LEAST, Secret, read, wrong};

use super::*;

const OIDC: &str = "[oidc]\nissuer = 'https://example.okta.com'\nclient_id = '0oa1'\n";

fn client(text: &str) -> anyhow::Result<Option<Client>> {
    let config = read(&format!("{LEAST}{text}"), &[])?;
    config.oidc(&Clock::Postgres)
}

#[test]
fn without_the_sections_nobody_signs_in_and_no_token_is_taken() {
    let config = read(LEAST, &[]).unwrap();
    assert!(config.oidc(&Clock::Postgres).unwrap().is_none());
    assert!(config.api_issuers(&Clock::Postgres).unwrap().is_empty());
    let sessions = config.settings().sessions;
    assert_eq!(sessions.idle.num_minutes(), 30);
    assert_eq!(sessions.absolute.num_hours(), 8);
}

#[test]
fn the_least_section_has_the_defaults_of_the_manual() {
    let config = read(&format!("{LEAST}{OIDC}"), &[]).unwrap();
    let oidc = config.oidc.as_ref().unwrap();
    assert_eq!(oidc.scopes, ["openid", "profile", "email"]);
    assert_eq!(oidc.algorithms, ["RS256"]);
    assert_eq!(
        (
            oidc.external_id_claim.as_str(),
            oidc.user_name_claim.as_str()
        ),
        ("sub", "preferred_username")
    );
    assert_eq!(oidc.assurance(), AssuranceMap::default());
    assert!(!oidc.logout_token_without_typ);
    let client = config.oidc(&Clock::Postgres).unwrap().unwrap();
    assert_eq!(client.issuer().as_str(), "https://example.okta.com");
    assert_eq!(client.external_id_issuer(), None);
}

#[test]
fn all_of_it_can_come_from_the_environment_but_the_issuers_of_the_api() {
    let config = read(
        LEAST,
        &[
            (
                "CURFEW__OIDC__ISSUER",
                "https://example.okta.com/oauth2/aus1",
            ),
            ("CURFEW__OIDC__CLIENT_ID", "0oa1"),
            ("CURFEW__OIDC__SCOPES", "openid,groups"),
            ("CURFEW__OIDC__ALGORITHMS", "RS256,ES256"),
            ("CURFEW__OIDC__ASSURANCE__MFA_AMR", "mfa,otp"),
            ("CURFEW__OIDC__ASSURANCE__ASK_MFA", ""),
            ("CURFEW__SESSIONS__IDLE_MINUTES", "5"),
        ],
    )
    .unwrap();
    let oidc = config.oidc.as_ref().unwrap();
    assert_eq!(oidc.scopes, ["openid", "groups"]);
    assert_eq!(oidc.algorithms, ["RS256", "ES256"]);
    assert_eq!(oidc.assurance().mfa_amr.len(), 2);
    assert_eq!(oidc.assurance().ask_mfa, None);
    assert_eq!(config.settings().sessions.idle.num_minutes(), 5);
}

#[test]
fn what_is_wrong_is_named_with_its_key() {
    let api = "[[api.issuers]]\nissuer = 'https://example.okta.com/oauth2/a'\naudience = 'api://curfew'\nperson_claim = 'uid'\n";
    for (text, named) in [
        ("[oidc]\nclient_id = 'a'".to_owned(), "issuer"),
        (
            "[oidc]\nissuer = 'https://a.example.com'".to_owned(),
            "client_id",
        ),
        (
            OIDC.replace("https://example.okta.com", "example.okta.com"),
            "oidc.issuer",
        ),
        (OIDC.replace("https:", "http:"), "oidc.issuer"),
        (OIDC.replace("0oa1", " "), "oidc.client_id"),
        (format!("{OIDC}secret = 'x'"), "secret"),
        (format!("{OIDC}algorithms = []"), "oidc.algorithms"),
        (format!("{OIDC}algorithms = ['HS256']"), "oidc.algorithms"),
        (format!("{OIDC}algorithms = ['none']"), "oidc.algorithms"),
        (
            format!("{OIDC}external_id_issuer = ''"),
            "oidc.external_id_issuer",
        ),
        (format!("{OIDC}[oidc.assurance]\nmfa = ['mfa']"), "mfa"),
        (
            "[sessions]\nidle_minutes = 0".to_owned(),
            "sessions.idle_minutes is 0",
        ),
        (
            "[sessions]\nabsolute_hours = 169".to_owned(),
            "sessions.absolute_hours is 169",
        ),
        (
            "[sessions]\nidle_minutes = 61\nabsolute_hours = 1".to_owned(),
            "sessions.idle_minutes",
        ),
        (format!("{api}{api}"), "twice"),
        (api.replace("uid", ""), "api.issuers.person_claim"),
        (api.replace("https:", "http:"), "api.issuers.issuer"),
        (
            format!("{api}algorithms = ['HS256']"),
            "api.issuers.algorithms",
        ),
        (
            format!("{OIDC}{}", api.replace("api://curfew", "0oa1")),
            "oidc.client_id",
        ),
        (format!("{api}scope = 'a'"), "scope"),
    ] {
        let said = wrong(&text, &[]);
        assert!(said.contains(named), "{text}: {said}");
    }
}

#[test]
fn the_secret_comes_from_one_place_that_others_can_t_read() {
    let good = Secret::new("client-secret", "geheim\n", 0o600);
    let open = Secret::new("open-client-secret", "geheim\n", 0o644);
    let no_key = Secret::new("no-key", "geheim\n", 0o600);
    let file = |key: &str, secret: &Secret| format!("{OIDC}{key} = {:?}\n", secret.0);
    assert!(
        client(&file("client_secret_file", &good))
            .unwrap()
            .is_some()
    );
    for (text, named) in [
        (file("client_secret_file", &open), "chmod o-rwx"),
        (file("private_key_file", &no_key), "PEM"),
        (
            format!(
                "{}client_secret = 'geheim'\n",
                file("client_secret_file", &good)
            ),
            "both set",
        ),
        (
            format!(
                "{}private_key_file = {:?}\n",
                file("client_secret_file", &good),
                good.0
            ),
            "both set",
        ),
        (
            format!(
                "{}private_key_algorithm = 'HS256'\n",
                file("private_key_file", &no_key)
            ),
            "oidc.private_key_algorithm",
        ),
    ] {
        let said = format!("{:#}", client(&text).unwrap_err());
        assert!(
            said.contains(named) && !said.contains("geheim"),
            "{text}: {said}"
        );
    }
}

#[test]
fn a_configuration_file_with_a_client_s_secret_is_a_secret_too() {
    for (line, mode, is_taken) in [
        ("client_secret = 'geheim'", 0o644, false),
        ("client_secret='geheim'", 0o644, false),
        ("\"client_secret\" = 'geheim'", 0o644, false),
        ("client_secret = 'geheim'", 0o640, true),
        ("# client_secret_file = 'a'", 0o644, true),
    ] {
        let text = format!("{LEAST}{OIDC}{line}\n");
        let file = Secret::new("config-oidc", &text, mode);
        let loaded = Config::load(Some(&file.0));
        assert_eq!(loaded.is_ok(), is_taken, "{line}: {loaded:?}");
        assert!(!format!("{loaded:?}").contains("geheim"));
    }
}

#[test]
fn the_manual_has_every_key() {
    let root = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let manual = std::fs::read_to_string(format!("{root}/docs/install.md")).unwrap();
    for key in [
        "oidc.issuer",
        "oidc.client_id",
        "oidc.client_secret",
        "oidc.client_secret_file",
        "oidc.private_key_file",
        "oidc.private_key_id",
        "oidc.private_key_algorithm",
        "oidc.scopes",
        "oidc.algorithms",
        "oidc.external_id_issuer",
        "oidc.external_id_claim",
        "oidc.user_name_claim",
        "oidc.logout_token_without_typ",
        "oidc.assurance.mfa_amr",
        "oidc.assurance.mfa_acr",
        "oidc.assurance.phishing_resistant_amr",
        "oidc.assurance.phishing_resistant_acr",
        "oidc.assurance.ask_mfa",
        "oidc.assurance.ask_phishing_resistant",
        "sessions.idle_minutes",
        "sessions.absolute_hours",
        "issuer",
        "audience",
        "person_claim",
        "algorithms",
    ] {
        assert!(
            manual.contains(&format!("`{key}`")),
            "docs/install.md lacks {key}"
        );
    }
}
