//! A provider that lies, is careless, is slow, or is not the one that it says it is: nothing of it is
//! believed, and none of it costs more than a few questions.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use curfew::access::person::Assurance;
use curfew::clock::{Clock, FixedClock};
use curfew::oidc::{
    AccessTokenSettings, AccessTokens, Algorithm, AssuranceMap, BearerIdentity, Client,
    ClientAuthentication, ClientSettings, Demand, Disbelief, Issuer, IssuerUrl, Pending, Proof,
    Returned,
};
use serde_json::{Value, json};

use crate::support::idp::{CLIENT_ID, CLIENT_SECRET, Draft, Idp, Instead};
use crate::support::signing::{Key, Signed};

const BACK: &str = "https://curfew.example.com/auth/callback";
const API: &str = "api://curfew";
const ANY: Demand = Demand {
    assurance: Assurance::Any,
    max_age: None,
};

struct Story {
    idp: Idp,
    clock: FixedClock,
    issuer: Issuer,
    client: Client,
    api: AccessTokens,
}

fn settings(issuer: Issuer, authentication: ClientAuthentication) -> ClientSettings {
    ClientSettings {
        issuer,
        client_id: CLIENT_ID.to_owned(),
        authentication,
        redirect_uri: BACK.to_owned(),
        scopes: vec!["openid".to_owned(), "profile".to_owned()],
        user_name_claim: "preferred_username".to_owned(),
        external_id_claim: "sub".to_owned(),
        external_id_issuer: None,
        assurance: AssuranceMap::default(),
        logout_token_without_typ: false,
    }
}

impl Story {
    async fn start() -> Self {
        let clock = FixedClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let idp = Idp::start(&clock).await;
        idp.is("engineer");
        Self::with(idp, clock, Algorithm::RS256)
    }

    fn with(idp: Idp, clock: FixedClock, algorithm: Algorithm) -> Self {
        let issuer = Issuer::with_patience(
            IssuerUrl::new(idp.issuer.clone()).unwrap(),
            vec![algorithm],
            Clock::Fixed(clock.clone()),
            Duration::from_secs(3),
        )
        .unwrap();
        let secret = ClientAuthentication::Secret(CLIENT_SECRET.into());
        let api = AccessTokens::new(AccessTokenSettings {
            issuer: issuer.clone(),
            audience: API.to_owned(),
            person_claim: "uid".to_owned(),
            external_id_issuer: None,
            assurance: AssuranceMap::default(),
        });
        Self {
            client: Client::new(settings(issuer.clone(), secret)).unwrap(),
            api,
            idp,
            clock,
            issuer,
        }
    }

    /// To the provider and back, as a browser goes.
    async fn goes(&self, demand: Demand) -> (Pending, Returned) {
        let (url, pending) = self.client.begin(demand).await.unwrap();
        let back = self.idp.visited(url.as_str()).await;
        let said = |name: &str| {
            let mut pairs = back.query_pairs();
            let found = pairs.find(|(at, _)| at == name);
            found.map(|(_, value)| value.into_owned())
        };
        let returned = Returned {
            code: said("code").unwrap().into(),
            iss: said("iss"),
        };
        (pending, returned)
    }

    async fn tries(&self, demand: Demand) -> Result<Proof, Disbelief> {
        let (pending, returned) = self.goes(demand).await;
        self.client
            .finish(&pending, &returned, self.clock.now())
            .await
    }

    async fn signs_in(&self) -> Result<Proof, Disbelief> {
        self.tries(ANY).await
    }

    async fn code(&self) -> &'static str {
        code(self.signs_in().await)
    }

    fn spoil(&self, how: impl Fn(&mut Draft) + Send + 'static) {
        self.idp.set().spoil = Some(Box::new(how));
    }

    async fn bearer(&self, token: &str) -> &'static str {
        let token = token.to_owned().into();
        code(self.api.verify(&token, self.clock.now()).await)
    }

    async fn logout(&self, token: &str) -> &'static str {
        code(self.client.logout_token(token, self.clock.now()).await)
    }
}

/// What an access token of Okta's says of a person.
fn person() -> Value {
    json!({"sub": "engineer@example.com", "uid": "00u-engineer", "cid": "0oacli", "scp": ["requests:read"]})
}

fn code<T>(tried: Result<T, Disbelief>) -> &'static str {
    tried.map_or_else(|why| why.code(), |_| "believed")
}

#[tokio::test]
async fn what_holds_is_believed() {
    let story = Story::start().await;
    let proof = story.signs_in().await.unwrap();
    assert_eq!(proof.issuer, story.idp.issuer);
    assert_eq!(proof.subject, "00u-engineer");
    assert_eq!(proof.external_id, "00u-engineer");
    assert_eq!(proof.user_name.as_deref(), Some("engineer@example.com"));
    assert_eq!(proof.session.as_deref(), Some("session-of-engineer"));
    assert_eq!(proof.amr, ["mfa", "hwk", "pop"]);
    assert_eq!(proof.assurance, Assurance::PhishingResistant);
    assert_eq!(proof.auth_time, Some(story.clock.now()));
    assert_eq!(story.idp.count("/userinfo"), 0, "nothing was missing");
    let asked = story.idp.set().asked.clone();
    assert_eq!(asked["scope"], "openid profile");
    assert!(asked["state"].len() >= 43 && asked["nonce"].len() >= 43);
    assert!(!asked.contains_key("acr_values") && !asked.contains_key("max_age"));
    let out = story
        .client
        .sign_out_url(&proof.id_token, "https://curfew.example.com/login");
    let back = story.idp.visited(out.await.unwrap().as_str()).await;
    assert_eq!(back.as_str(), "https://curfew.example.com/login");
}

#[tokio::test]
async fn a_client_proves_itself_by_its_key_and_another_key_is_refused() {
    let story = Story::start().await;
    let (ours, other) = (Key::ec("client-key"), Key::ec("client-key"));
    story.idp.set().client_key = Some(ours.public());
    for (key, expected) in [(&ours, "believed"), (&other, "client_refused")] {
        let by_key = ClientAuthentication::PrivateKey {
            pem: key.pem().into(),
            kid: Some(key.kid.clone()),
            algorithm: Algorithm::ES256,
        };
        let client = Client::new(settings(story.issuer.clone(), by_key)).unwrap();
        let (pending, returned) = story.goes(ANY).await;
        let tried = client.finish(&pending, &returned, story.clock.now()).await;
        assert_eq!(code(tried), expected);
    }
    let by_key = ClientAuthentication::PrivateKey {
        pem: "no key".into(),
        kid: None,
        algorithm: Algorithm::RS256,
    };
    Client::new(settings(story.issuer.clone(), by_key)).unwrap_err();
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let story = Story::start().await;
    for wrong in [
        ClientAuthentication::Secret("guessed".into()),
        ClientAuthentication::None,
    ] {
        let client = Client::new(settings(story.issuer.clone(), wrong)).unwrap();
        let (pending, returned) = story.goes(ANY).await;
        let tried = client.finish(&pending, &returned, story.clock.now()).await;
        assert_eq!(code(tried), "client_refused");
    }
}

#[tokio::test]
async fn every_id_token_that_is_not_as_it_must_be_is_refused_with_its_code() {
    let story = Story::start().await;
    let now = story.clock.now().timestamp();
    let claim = |name: &'static str, value: Value| {
        move |draft: &mut Draft| {
            draft.claims.as_object_mut().unwrap().remove(name);
            if !value.is_null() {
                draft.claims[name] = value.clone();
            }
        }
    };
    for (name, value, expected) in [
        ("iss", json!("https://evil.example.com"), "wrong_issuer"),
        (
            "iss",
            json!(format!("{}/", story.idp.issuer)),
            "wrong_issuer",
        ),
        ("iss", json!([story.idp.issuer]), "wrong_issuer"),
        ("iss", Value::Null, "claim_missing"),
        ("aud", json!("another-client"), "wrong_audience"),
        (
            "aud",
            json!([CLIENT_ID, "another-client"]),
            "wrong_audience",
        ),
        ("aud", json!([CLIENT_ID]), "believed"),
        ("aud", Value::Null, "claim_missing"),
        ("aud", json!([]), "wrong_audience"),
        ("azp", json!("another-client"), "wrong_audience"),
        ("azp", json!(CLIENT_ID), "believed"),
        ("exp", json!(now - 60), "token_expired"),
        ("exp", json!(now - 59), "believed"),
        ("exp", Value::Null, "claim_missing"),
        ("exp", json!("tomorrow"), "malformed_claim"),
        ("exp", json!(1e300), "malformed_claim"),
        ("iat", json!(now + 61), "token_not_yet_valid"),
        ("iat", json!(now - 661), "token_too_old"),
        ("iat", json!(1_799_999_998.5), "believed"),
        ("iat", Value::Null, "claim_missing"),
        ("nbf", json!(now + 61), "token_not_yet_valid"),
        ("nonce", json!("of-another-sign-in"), "wrong_nonce"),
        ("nonce", json!(""), "wrong_nonce"),
        ("nonce", Value::Null, "wrong_nonce"),
        ("at_hash", json!("bm90IGl0"), "wrong_at_hash"),
        ("at_hash", Value::Null, "believed"),
        ("auth_time", json!(now + 61), "malformed_claim"),
        ("sub", Value::Null, "claim_missing"),
        ("sub", json!(""), "claim_missing"),
        ("sub", json!(7), "malformed_token_response"),
        ("sub", json!("x".repeat(257)), "malformed_claim"),
        ("sid", json!("x".repeat(257)), "malformed_claim"),
        (
            "preferred_username",
            json!("x".repeat(257)),
            "malformed_claim",
        ),
        ("amr", json!([1]), "malformed_token_response"),
        ("events", json!({}), "wrong_type"),
    ] {
        story.spoil(claim(name, value.clone()));
        let found = story.code().await;
        // What makes no sense may be noticed by the protocol's crate before it is by ours.
        let is_expected =
            found == expected || found == "malformed_token_response" && expected != "believed";
        assert!(is_expected, "{name} {value}: {found}, not {expected}");
    }
}

#[tokio::test]
async fn every_header_and_signature_that_is_not_as_it_must_be_is_refused_with_its_code() {
    let story = Story::start().await;
    for (name, value, signed, expected) in [
        ("alg", json!("none"), Signed::Not, "algorithm_not_allowed"),
        ("alg", json!("None"), Signed::Not, "algorithm_not_allowed"),
        (
            "alg",
            json!("HS256"),
            Signed::WithThePublicKey,
            "algorithm_not_allowed",
        ),
        ("alg", json!("PS256"), Signed::Well, "algorithm_not_allowed"),
        ("alg", json!("RS256"), Signed::Not, "bad_signature"),
        ("alg", json!("RS256"), Signed::ByAnother, "bad_signature"),
        ("kid", json!("key-9"), Signed::Well, "unknown_key"),
        (
            "kid",
            json!("https://evil.example.com/keys"),
            Signed::Well,
            "unknown_key",
        ),
        (
            "kid",
            json!("../../etc/passwd"),
            Signed::Well,
            "unknown_key",
        ),
        ("kid", json!("x".repeat(257)), Signed::Well, "no_key_id"),
        ("kid", json!(""), Signed::Well, "no_key_id"),
        ("kid", Value::Null, Signed::Well, "no_key_id"),
        (
            "jku",
            json!("https://evil.example.com/keys"),
            Signed::ByAnother,
            "bad_signature",
        ),
        ("crit", json!(["exp"]), Signed::Well, "critical_header"),
        ("typ", json!("at+jwt"), Signed::Well, "wrong_type"),
        ("typ", json!("logout+jwt"), Signed::Well, "wrong_type"),
        (
            "typ",
            json!("application/secevent+jwt"),
            Signed::Well,
            "wrong_type",
        ),
        ("typ", json!("JWT"), Signed::Well, "believed"),
    ] {
        let shown = format!("{name} {value} {signed:?}");
        let of_token = value.clone();
        story.spoil(move |draft| {
            draft.header[name] = of_token.clone();
            draft.signed = signed;
        });
        let found = story.code().await;
        let is_expected =
            found == expected || found == "malformed_token_response" && expected != "believed";
        assert!(is_expected, "{shown}: {found}, not {expected}");
    }
    let asked = story.idp.count("/keys");
    assert!(asked <= 2, "the keys were fetched {asked} times");
}

/// The same without the protocol's crate in front: what is ours refuses by itself.
#[tokio::test]
async fn an_access_token_with_a_wrong_header_or_claim_is_refused_with_its_code() {
    let story = Story::start().await;
    let now = story.clock.now().timestamp();
    let person = person();
    assert_eq!(
        story.bearer(&story.idp.access_token(API, &person)).await,
        "believed"
    );
    for (name, value, expected) in [
        ("aud", json!("api://other"), "wrong_audience"),
        ("aud", json!(["api://other", API]), "believed"),
        ("aud", Value::Null, "claim_missing"),
        ("iss", json!("https://evil.example.com"), "wrong_issuer"),
        ("iss", json!([story.idp.issuer]), "wrong_issuer"),
        ("exp", json!(now - 60), "token_expired"),
        ("exp", json!("soon"), "malformed_claim"),
        ("exp", Value::Null, "claim_missing"),
        ("iat", json!(now + 61), "token_not_yet_valid"),
        ("iat", Value::Null, "claim_missing"),
        ("nbf", json!(now + 61), "token_not_yet_valid"),
        ("auth_time", json!(now + 61), "malformed_claim"),
        ("events", json!({}), "wrong_type"),
        ("nonce", json!("n"), "wrong_type"),
        ("sub", Value::Null, "claim_missing"),
        ("uid", json!(7), "malformed_claim"),
        ("uid", json!("x".repeat(257)), "malformed_claim"),
        ("amr", json!([1]), "malformed_claim"),
        ("scp", json!({"a": 1}), "malformed_claim"),
    ] {
        let mut draft = story.idp.draft(Some("at+jwt"), &person);
        draft.claims["aud"] = API.into();
        draft.claims[name] = value.clone();
        let found = story.bearer(&story.idp.signed(&draft)).await;
        assert_eq!(found, expected, "{name} {value}");
    }
    for (name, value, signed, expected) in [
        ("alg", json!("none"), Signed::Not, "algorithm_not_allowed"),
        (
            "alg",
            json!("HS256"),
            Signed::WithThePublicKey,
            "algorithm_not_allowed",
        ),
        ("alg", json!("RS256"), Signed::ByAnother, "bad_signature"),
        ("kid", Value::Null, Signed::Well, "no_key_id"),
        ("crit", json!([]), Signed::Well, "critical_header"),
        ("typ", Value::Null, Signed::Well, "believed"),
        ("typ", json!("JWT"), Signed::Well, "believed"),
        ("typ", json!("application/at+jwt"), Signed::Well, "believed"),
        ("typ", json!("dpop+jwt"), Signed::Well, "wrong_type"),
        (
            "typ",
            json!("global-token-revocation+jwt"),
            Signed::Well,
            "wrong_type",
        ),
    ] {
        let mut draft = story.idp.draft(None, &person);
        draft.claims["aud"] = API.into();
        draft.header[name] = value.clone();
        draft.signed = signed;
        let found = story.bearer(&story.idp.signed(&draft)).await;
        assert_eq!(found, expected, "{name} {value} {signed:?}");
    }
    for (token, expected) in [
        (String::new(), "malformed_token"),
        ("a.b.c".to_owned(), "malformed_token"),
        ("x".repeat(20_000), "malformed_token"),
        ("e30.e30.".to_owned(), "malformed_token"),
    ] {
        assert_eq!(story.bearer(&token).await, expected);
    }
}

#[tokio::test]
async fn a_machine_is_never_taken_for_a_person() {
    let story = Story::start().await;
    let machine = |client: &str| BearerIdentity::Machine {
        client: client.to_owned(),
    };
    for (claims, expected) in [
        (person(), BearerIdentity::Person("00u-engineer".to_owned())),
        (json!({"sub": "0oacli", "cid": "0oacli"}), machine("0oacli")),
        (
            json!({"sub": "0oacli", "cid": "0oacli", "uid": "00u-engineer"}),
            machine("0oacli"),
        ),
        (
            json!({"sub": "svc", "client_id": "svc", "uid": "00u-x"}),
            machine("svc"),
        ),
        (
            json!({"sub": "engineer@example.com"}),
            machine("engineer@example.com"),
        ),
        (
            json!({"sub": "a", "cid": "0oacli", "uid": ""}),
            machine("0oacli"),
        ),
    ] {
        let token = story.idp.access_token(API, &claims).into();
        let bearer = story.api.verify(&token, story.clock.now()).await.unwrap();
        assert_eq!(bearer.identity, expected, "{claims}");
    }
}

#[tokio::test]
async fn scopes_are_a_list_or_words_and_none_is_none() {
    let story = Story::start().await;
    for (claims, expected) in [
        (json!({"scp": ["a:b", "c:d"]}), vec!["a:b", "c:d"]),
        (json!({"scope": "a:b c:d"}), vec!["a:b", "c:d"]),
        (json!({"scp": "a:b"}), vec!["a:b"]),
        (json!({}), vec![]),
        // The list counts where both are there.
        (json!({"scp": [], "scope": "a:b"}), vec![]),
    ] {
        let mut all = person();
        all.as_object_mut().unwrap().remove("scp");
        all.as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        let token = story.idp.access_token(API, &all).into();
        let bearer = story.api.verify(&token, story.clock.now()).await.unwrap();
        assert!(
            bearer.scopes.iter().eq(expected),
            "{claims}: {:?}",
            bearer.scopes
        );
    }
}

#[tokio::test]
async fn a_logout_token_that_is_not_one_ends_nothing() {
    let story = Story::start().await;
    let now = story.clock.now().timestamp();
    let event = "http://schemas.openid.net/event/backchannel-logout";
    for (claims, expected) in [
        (json!({"sub": "00u-engineer", "sid": "s"}), "believed"),
        (json!({"sub": "00u-engineer"}), "believed"),
        (json!({"sid": "s"}), "believed"),
        (json!({}), "claim_missing"),
        (json!({"sid": "s", "jti": null}), "claim_missing"),
        (json!({"sid": "s", "nonce": "n"}), "wrong_type"),
        (json!({"sid": "s", "events": null}), "wrong_type"),
        (
            json!({"sid": "s", "events": {"https://other": {}}}),
            "wrong_type",
        ),
        (json!({"sid": "s", "events": {event: true}}), "wrong_type"),
        (json!({"sid": "s", "aud": "other"}), "wrong_audience"),
        (
            json!({"sid": "s", "iss": "https://evil.example.com"}),
            "wrong_issuer",
        ),
        (json!({"sid": "s", "exp": now - 60}), "token_expired"),
        (json!({"sid": "s", "exp": null}), "claim_missing"),
        (json!({"sid": "s", "iat": now + 61}), "token_not_yet_valid"),
        (json!({"sid": "x".repeat(257)}), "malformed_claim"),
    ] {
        let token = story.idp.logout_token(&claims);
        assert_eq!(story.logout(&token).await, expected, "{claims}");
    }
}

#[tokio::test]
async fn logout_tokens_without_a_type_are_taken_only_where_the_configuration_says_so() {
    let story = Story::start().await;
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let claims = json!({"aud": CLIENT_ID, "sid": "s", "jti": "1", "events": event});
    let mut lenient = settings(
        story.issuer.clone(),
        ClientAuthentication::Secret(CLIENT_SECRET.into()),
    );
    lenient.logout_token_without_typ = true;
    let lenient = Client::new(lenient).unwrap();
    for (typ, strictly, leniently) in [
        (Some("logout+jwt"), "believed", "believed"),
        (None, "wrong_type", "believed"),
        (Some("JWT"), "wrong_type", "believed"),
        (Some("at+jwt"), "wrong_type", "wrong_type"),
    ] {
        let token = story.idp.token(typ, &claims);
        assert_eq!(story.logout(&token).await, strictly, "{typ:?}");
        let tried = lenient.logout_token(&token, story.clock.now()).await;
        assert_eq!(code(tried), leniently, "{typ:?}");
    }
}

#[tokio::test]
async fn no_token_is_good_for_what_another_is_for() {
    let story = Story::start().await;
    let id_token = story.signs_in().await.unwrap().id_token;
    let id_token = secrecy::ExposeSecret::expose_secret(&id_token).to_owned();
    let access = story.idp.access_token(API, &person());
    let logout = story.idp.logout_token(&json!({"sub": "00u-engineer"}));
    assert_eq!(story.bearer(&access).await, "believed");
    assert_eq!(story.logout(&logout).await, "believed");
    // By its audience …
    assert_eq!(story.bearer(&id_token).await, "wrong_audience");
    assert_eq!(story.bearer(&logout).await, "wrong_audience");
    assert_eq!(story.logout(&access).await, "wrong_audience");
    // … and by its type, where somebody made API and client the same.
    let everywhere = json!([CLIENT_ID, API]);
    let mut as_access = person();
    as_access["aud"] = everywhere.clone();
    as_access["nonce"] = "n".into();
    assert_eq!(
        story.bearer(&story.idp.token(None, &as_access)).await,
        "wrong_type"
    );
    let wide = story
        .idp
        .logout_token(&json!({"sub": "00u-engineer", "aud": everywhere}));
    assert_eq!(story.bearer(&wide).await, "wrong_type");
    assert_eq!(story.logout(&id_token).await, "wrong_type");
    let wide = story.idp.access_token(CLIENT_ID, &person());
    assert_eq!(story.logout(&wide).await, "wrong_type");
    for typ in ["logout+jwt", "at+jwt"] {
        story.spoil(move |draft| draft.header["typ"] = typ.into());
        assert_eq!(story.code().await, "wrong_type", "{typ} as ID token");
    }
}

#[tokio::test]
async fn a_storm_of_unknown_keys_costs_one_question_in_thirty_seconds() {
    let story = Story::start().await;
    story.signs_in().await.unwrap();
    assert_eq!(story.idp.count("/keys"), 1);
    for round in 1..=3 {
        let tokens: Vec<String> = (0..200)
            .map(|n| {
                let mut draft = story.idp.draft(Some("at+jwt"), &person());
                draft.claims["aud"] = API.into();
                draft.header["kid"] = format!("storm-{round}-{n}").into();
                draft.signed = Signed::Not;
                story.idp.signed(&draft)
            })
            .collect();
        let all = tokens.iter().map(|token| story.bearer(token));
        for refused in futures_util::future::join_all(all).await {
            assert_eq!(refused, "unknown_key");
        }
        assert_eq!(story.idp.count("/keys"), 1 + round);
        story.clock.advance(TimeDelta::seconds(30));
    }
    assert_eq!(story.idp.count("/.well-known/openid-configuration"), 1);
    // And whoever has a good token never notices.
    assert_eq!(story.code().await, "believed");
}

#[tokio::test]
async fn a_new_key_is_taken_at_once_and_an_old_one_is_dropped_within_ten_minutes() {
    let story = Story::start().await;
    let before = story.idp.access_token(API, &person());
    assert_eq!(story.bearer(&before).await, "believed");
    story.idp.rolls_over();
    assert_eq!(story.code().await, "believed", "the new key");
    assert_eq!(
        story.bearer(&before).await,
        "believed",
        "the old one is still published"
    );
    let only_the_new = vec![story.idp.public_key()];
    story.idp.publishes(only_the_new);
    story.clock.advance(TimeDelta::minutes(10));
    assert_eq!(story.bearer(&before).await, "unknown_key");
    assert_eq!(story.code().await, "believed");
}

#[tokio::test]
async fn while_the_provider_is_down_the_keys_at_hand_go_on_and_sign_in_says_so() {
    let story = Story::start().await;
    let token = story.idp.access_token(API, &person());
    assert_eq!(story.bearer(&token).await, "believed");
    let (pending, returned) = story.goes(ANY).await;
    story.idp.is_down();
    story.clock.advance(TimeDelta::minutes(20));
    assert_eq!(story.bearer(&token).await, "believed");
    let tried = story.client.finish(&pending, &returned, story.clock.now());
    assert_eq!(code(tried.await), "provider_unavailable");
    // Nobody can say whether it has this key now.
    let mut draft = story.idp.draft(None, &person());
    draft.header["kid"] = "new".into();
    let new = story.idp.signed(&draft);
    assert_eq!(story.bearer(&new).await, "provider_unavailable");
    assert_eq!(story.bearer(&new).await, "provider_unavailable");
    story.clock.advance(TimeDelta::seconds(30));
    story.idp.recovers();
    assert_eq!(story.code().await, "believed");
    story.idp.stops();
    assert_eq!(story.bearer(&token).await, "believed");
}

#[tokio::test]
async fn an_answer_that_is_too_long_too_late_or_somewhere_else_is_none() {
    for instead in [
        Instead::Bytes(10 * 1024 * 1024),
        Instead::Silence(Duration::from_secs(30)),
        Instead::Redirect("/userinfo".to_owned()),
        Instead::Status(404),
        Instead::Document(json!({"keys": vec![json!({}); 51]})),
        Instead::Document(json!({"keys": "none"})),
    ] {
        let story = Story::start().await;
        let (pending, returned) = story.goes(ANY).await;
        story.idp.answers("/keys", instead.clone());
        let tried = story.client.finish(&pending, &returned, story.clock.now());
        assert_eq!(code(tried.await), "provider_unavailable", "{instead:?}");
        assert_eq!(story.idp.count("/userinfo"), 0, "a redirect was followed");
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_or_that_leads_off_the_safe_way_are_not_taken() {
    for (name, value) in [
        ("issuer", json!("https://evil.example.com")),
        ("issuer", json!("")),
        ("jwks_uri", json!("http://evil.example.com/keys")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("token_endpoint", json!("http://evil.example.com/token")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("end_session_endpoint", json!("http://169.254.169.254/")),
        ("userinfo_endpoint", json!("no address")),
        ("token_endpoint", Value::Null),
    ] {
        let story = Story::start().await;
        story.idp.set().metadata = json!({name: value});
        let checked = story.client.check().await;
        let has_finding = checked.as_ref().is_ok_and(|findings| !findings.is_empty());
        assert!(checked.is_err() || has_finding, "{name} {value}");
        if !value.is_null() {
            let began = story.client.begin(ANY).await;
            assert_eq!(code(began), "provider_unavailable", "{name} {value}");
        }
    }
}

#[tokio::test]
async fn a_check_says_what_the_provider_can_t_do() {
    let story = Story::start().await;
    assert!(story.client.check().await.unwrap().is_empty());
    for (name, value, said) in [
        ("code_challenge_methods_supported", json!(["plain"]), "S256"),
        (
            "token_endpoint_auth_methods_supported",
            json!(["none"]),
            "client_secret_basic",
        ),
        (
            "id_token_signing_alg_values_supported",
            json!(["HS256"]),
            "oidc.algorithms",
        ),
    ] {
        let story = Story::start().await;
        story.idp.set().metadata = json!({name: value});
        let findings = story.client.check().await.unwrap();
        assert!(
            findings.len() == 1 && findings[0].contains(said),
            "{findings:?}"
        );
    }
    let story = Story::start().await;
    story.idp.publishes(Vec::new());
    assert_eq!(code(story.client.check().await), "provider_unavailable");
}

#[tokio::test]
async fn a_code_is_good_once_and_only_for_whoever_began() {
    let story = Story::start().await;
    let (pending, returned) = story.goes(ANY).await;
    let tried = story.client.finish(&pending, &returned, story.clock.now());
    assert_eq!(code(tried.await), "believed");
    let again = story.client.finish(&pending, &returned, story.clock.now());
    assert_eq!(code(again.await), "code_refused");
    // The code of one browser with the verifier of another.
    let ((mine, _), (_, theirs)) = (story.goes(ANY).await, story.goes(ANY).await);
    let mixed = story.client.finish(&mine, &theirs, story.clock.now());
    assert_eq!(code(mixed.await), "code_refused");
}

#[tokio::test]
async fn a_browser_that_another_provider_sent_back_is_turned_away_before_the_code_is_used() {
    let story = Story::start().await;
    for iss in [None, Some("https://evil.example.com".to_owned())] {
        let (pending, mut returned) = story.goes(ANY).await;
        returned.iss = iss;
        let tried = story.client.finish(&pending, &returned, story.clock.now());
        assert_eq!(code(tried.await), "wrong_response_issuer");
    }
    assert_eq!(story.idp.count("/token"), 0);
    // Where the provider doesn't say whose answer it is, it need not; but it must not be another's.
    let story = Story::start().await;
    story.idp.set().says_iss = false;
    let (pending, mut returned) = story.goes(ANY).await;
    returned.iss = Some("https://evil.example.com".to_owned());
    let tried = story.client.finish(&pending, &returned, story.clock.now());
    assert_eq!(code(tried.await), "wrong_response_issuer");
    assert_eq!(story.code().await, "believed");
}

#[tokio::test]
async fn a_thin_id_token_is_filled_up_with_what_is_said_of_the_same_subject() {
    let story = Story::start().await;
    story.idp.set().claims = json!({"sub": "00u-engineer"});
    story.idp.set().userinfo = json!({"preferred_username": "engineer@example.com"});
    let proof = story.signs_in().await.unwrap();
    assert_eq!(proof.user_name.as_deref(), Some("engineer@example.com"));
    story.idp.set().userinfo =
        json!({"sub": "00u-admin", "preferred_username": "admin@example.com"});
    assert_eq!(story.code().await, "userinfo_of_another");
    // What is said there of the strength of the sign-in counts for nothing.
    story.idp.set().userinfo = json!({"amr": ["pop"], "acr": "phr"});
    let proof = story.signs_in().await.unwrap();
    assert_eq!((proof.assurance, proof.user_name), (Assurance::Any, None));
}

#[tokio::test]
async fn what_was_demanded_is_checked_when_they_come_back() {
    let story = Story::start().await;
    let now = story.clock.now().timestamp();
    let strong = Demand {
        assurance: Assurance::PhishingResistant,
        max_age: Some(TimeDelta::minutes(5)),
    };
    story.idp.set().claims = json!({"sub": "00u-engineer", "amr": ["pwd", "mfa"]});
    let proof = story.tries(strong).await.unwrap();
    assert_eq!(proof.assurance, Assurance::PhishingResistant);
    let asked = story.idp.set().asked.clone();
    assert_eq!(
        (asked["acr_values"].as_str(), asked["max_age"].as_str()),
        ("phr", "300")
    );
    // The provider ignores what it was asked for, or gives less.
    story.idp.set().gives_acr = false;
    assert_eq!(code(story.tries(strong).await), "assurance_not_given");
    let mfa = Demand {
        assurance: Assurance::Mfa,
        max_age: None,
    };
    assert_eq!(code(story.tries(mfa).await), "believed", "the amr says so");
    story.idp.set().claims = json!({"sub": "00u-engineer", "acr": "urn:okta:loa:1fa:any"});
    assert_eq!(code(story.tries(mfa).await), "assurance_not_given");
    // Or it remembers somebody from too long ago, and does not ask again.
    story.idp.set().gives_acr = true;
    story.idp.set().claims = json!({"sub": "00u-engineer"});
    for (auth_time, expected) in [
        (json!(now - 360), "believed"),
        (json!(now - 361), "sign_in_not_repeated"),
        (Value::Null, "claim_missing"),
    ] {
        story.spoil(move |draft| {
            draft.claims["auth_time"] = auth_time.clone();
        });
        assert_eq!(code(story.tries(strong).await), expected);
    }
    story.spoil(move |draft| draft.claims["auth_time"] = (now - 36_000).into());
    assert_eq!(
        code(story.tries(ANY).await),
        "believed",
        "nobody demanded an age"
    );
}

#[tokio::test]
async fn other_kinds_of_keys_work_as_well_and_only_where_they_are_configured() {
    let clock = FixedClock::at(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    for (algorithm, expected) in [
        (Algorithm::ES256, "believed"),
        (Algorithm::RS256, "algorithm_not_allowed"),
    ] {
        let idp = Idp::with_key(&clock, Key::ec("key-1")).await;
        idp.is("engineer");
        let story = Story::with(idp, clock.clone(), algorithm);
        assert_eq!(story.code().await, expected);
    }
}

#[tokio::test]
async fn keys_that_are_for_something_else_verify_nothing() {
    let story = Story::start().await;
    let good = story.idp.public_key();
    let short = json!({"n": good["n"].as_str().unwrap()[..170]});
    for (change, expected) in [
        (json!({}), "believed"),
        (json!({"use": "enc"}), "unfit_key"),
        (json!({"alg": "RS512"}), "unfit_key"),
        (json!({"kid": "other"}), "unknown_key"),
        (short, "unfit_key"),
    ] {
        let mut key = good.clone();
        key.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        story.idp.publishes(vec![key]);
        story.clock.advance(TimeDelta::minutes(11));
        let token = story.idp.access_token(API, &person());
        assert_eq!(story.bearer(&token).await, expected, "{change}");
    }
}

#[tokio::test]
async fn an_issuer_without_tls_on_another_machine_can_t_be_configured() {
    let clock = FixedClock::at(DateTime::UNIX_EPOCH);
    for (url, is_taken) in [
        ("https://example.okta.com", true),
        ("https://example.okta.com/oauth2/aus1", true),
        ("http://127.0.0.1:9000", true),
        ("http://example.okta.com", false),
        ("https://example.okta.com?x=1", false),
    ] {
        let clock = Clock::Fixed(clock.clone());
        let url = IssuerUrl::new(url.to_owned()).unwrap();
        let made = Issuer::new(url, vec![Algorithm::RS256], clock);
        assert_eq!(made.is_ok(), is_taken, "{made:?}");
    }
}
