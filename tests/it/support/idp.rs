//! A small OpenID provider behind a real socket: it signs in whomever the story says, at once, and
//! misbehaves as the story says. It speaks the protocol by itself and uses nothing of Curfew's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::extract::{Form, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use curfew::clock::FixedClock;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::signing::{Key, Signed, base64url};

/// Curfew as this provider knows it.
pub(crate) const CLIENT_ID: &str = "0oacurfew";

/// Its secret there. What HTTP Basic must encode is in it.
pub(crate) const CLIENT_SECRET: &str = "s3cret: %+/";

/// How an endpoint answers instead of doing its work.
#[derive(Clone, Debug)]
pub(crate) enum Instead {
    Status(u16),
    Redirect(String),
    Bytes(usize),
    Document(Value),
    Silence(Duration),
}

/// What is changed of a token before it is signed.
type Spoil = Box<dyn Fn(&mut Draft) + Send>;

/// A token that is about to be signed.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    pub(crate) signed: Signed,
}

/// The provider. It is gone with this value.
pub(crate) struct Idp {
    /// Its name and address.
    pub(crate) issuer: String,
    world: Arc<World>,
    server: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

struct World {
    issuer: String,
    clock: FixedClock,
    inner: Mutex<Inner>,
}

/// What the story can set.
pub(crate) struct Inner {
    /// Whoever is sent here is signed in as: claims of the ID token, `sub` among them.
    pub(crate) claims: Value,
    /// What is only said at the userinfo endpoint (a "thin" ID token).
    pub(crate) userinfo: Value,
    /// The context that was asked for is given.
    pub(crate) gives_acr: bool,
    /// When the person last proved who they are; none: just now.
    pub(crate) auth_time: Option<i64>,
    /// The answer to the browser says whose it is (RFC 9207).
    pub(crate) says_iss: bool,
    /// How clients prove who they are: this key (`private_key_jwt`), or the secret.
    pub(crate) client_key: Option<Value>,
    /// What is done to an ID token before it is signed.
    pub(crate) spoil: Option<Spoil>,
    /// What was asked for at the last `/authorize`.
    pub(crate) asked: BTreeMap<String, String>,
    /// What is different in the metadata.
    pub(crate) metadata: Value,
    keys: Vec<Key>,
    published: Vec<Value>,
    codes: BTreeMap<String, BTreeMap<String, String>>,
    tokens: BTreeMap<String, Value>,
    instead: BTreeMap<String, Instead>,
    counts: BTreeMap<String, usize>,
    made: usize,
}

impl Inner {
    /// A name that was not there before.
    fn fresh(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-{}", self.made)
    }
}

impl Idp {
    /// Starts one that signs with RSA, as most do.
    pub(crate) async fn start(clock: &FixedClock) -> Self {
        Self::with_key(clock, Key::rsa("key-1")).await
    }

    /// Starts one that signs with this key.
    pub(crate) async fn with_key(clock: &FixedClock, key: Key) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let world = Arc::new(World {
            issuer: issuer.clone(),
            clock: clock.clone(),
            inner: Mutex::new(Inner {
                claims: json!({"sub": "00u-nobody"}),
                userinfo: json!({}),
                gives_acr: true,
                auth_time: None,
                says_iss: true,
                client_key: None,
                spoil: None,
                asked: BTreeMap::new(),
                metadata: json!({}),
                published: vec![key.public()],
                keys: vec![key],
                codes: BTreeMap::new(),
                tokens: BTreeMap::new(),
                instead: BTreeMap::new(),
                counts: BTreeMap::new(),
                made: 0,
            }),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .route("/logout", get(end_session))
            .layer(from_fn_with_state(world.clone(), counted))
            .with_state(world.clone());
        let server = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "it ends with this value")]
        let task = tokio::spawn({
            let server = server.clone();
            async move {
                tokio::select! {
                    ended = axum::serve(listener, router).into_future() => ended.unwrap(),
                    () = server.cancelled() => {}
                }
            }
        });
        Self {
            issuer,
            world,
            server,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What the story can set.
    pub(crate) fn set(&self) -> MutexGuard<'_, Inner> {
        self.world.inner.lock().unwrap()
    }

    /// Whoever is sent here from now on is this person of the demo's world: `sub` is `00u-` and the
    /// name, and the user name the whole address. Passkey, unless the story says otherwise.
    pub(crate) fn is(&self, name: &str) {
        self.set().claims = json!({
            "sub": format!("00u-{name}"),
            "preferred_username": format!("{name}@example.com"),
            "sid": format!("session-of-{name}"),
            "amr": ["mfa", "hwk", "pop"],
        });
    }

    /// The endpoint (`/keys`) answers so instead.
    pub(crate) fn answers(&self, path: &str, instead: Instead) {
        self.set().instead.insert(path.to_owned(), instead);
    }

    /// All endpoints do their work again.
    pub(crate) fn recovers(&self) {
        self.set().instead.clear();
    }

    /// Every endpoint is down.
    pub(crate) fn is_down(&self) {
        for path in [
            "/.well-known/openid-configuration",
            "/keys",
            "/token",
            "/userinfo",
        ] {
            self.answers(path, Instead::Status(503));
        }
    }

    /// Nothing listens any more.
    pub(crate) fn stops(&self) {
        self.server.cancel();
    }

    /// How often an endpoint was asked.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.set().counts.get(path).copied().unwrap_or_default()
    }

    /// Signs with a new key from now on. Both are published.
    pub(crate) fn rolls_over(&self) {
        let mut inner = self.set();
        let kid = inner.fresh("rolled-key");
        let key = match inner.keys.last().unwrap().algorithm() {
            "RS256" => Key::rsa(&kid),
            _ => Key::ec(&kid),
        };
        inner.published.push(key.public());
        inner.keys.push(key);
    }

    /// Publishes exactly these keys.
    pub(crate) fn publishes(&self, keys: Vec<Value>) {
        self.set().published = keys;
    }

    /// What it publishes of its present key.
    pub(crate) fn public_key(&self) -> Value {
        self.set().keys.last().unwrap().public()
    }

    /// Follows a browser that is sent here, to where it is sent back to.
    pub(crate) async fn visited(&self, url: &str) -> Url {
        let answer = browser().get(url).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        assert_eq!(status, 303, "{text}");
        headers[header::LOCATION].to_str().unwrap().parse().unwrap()
    }

    /// A token of this provider: `exp` in an hour, unless the claims say otherwise.
    pub(crate) fn token(&self, typ: Option<&str>, claims: &Value) -> String {
        let draft = self.draft(typ, claims);
        self.signed(&draft)
    }

    /// The same before it is signed.
    pub(crate) fn draft(&self, typ: Option<&str>, claims: &Value) -> Draft {
        self.world.draft(&self.set(), typ, claims)
    }

    /// A draft that is signed by the present key.
    pub(crate) fn signed(&self, draft: &Draft) -> String {
        let inner = self.set();
        let key = inner.keys.last().unwrap();
        key.sign(&draft.header, &draft.claims, draft.signed)
    }

    /// An access token for the API `audience` with these claims.
    pub(crate) fn access_token(&self, audience: &str, claims: &Value) -> String {
        let mut all = json!({"aud": audience});
        extend(&mut all, claims);
        self.token(Some("at+jwt"), &all)
    }

    /// A logout token for Curfew with these claims (`sub`, `sid`).
    pub(crate) fn logout_token(&self, claims: &Value) -> String {
        let jti = self.set().fresh("logout");
        let mut all = json!({
            "aud": CLIENT_ID,
            "jti": jti,
            "exp": self.world.clock.now().timestamp() + 120,
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        extend(&mut all, claims);
        self.token(Some("logout+jwt"), &all)
    }
}

fn browser() -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(20))
        .redirect(reqwest::redirect::Policy::none());
    builder.build().unwrap()
}

/// Puts these members into an object.
fn extend(into: &mut Value, more: &Value) {
    let more = more.as_object().unwrap().clone();
    into.as_object_mut().unwrap().extend(more);
}

/// The same; null takes one out.
fn merge(into: &mut Value, more: &Value) {
    extend(into, more);
    into.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
}

impl World {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn draft(&self, inner: &Inner, typ: Option<&str>, claims: &Value) -> Draft {
        let key = inner.keys.last().unwrap();
        let now = self.clock.now().timestamp();
        let mut all = json!({"iss": self.issuer, "iat": now, "exp": now + 3600});
        merge(&mut all, claims);
        let mut header = json!({"alg": key.algorithm(), "kid": key.kid});
        if let Some(typ) = typ {
            header["typ"] = typ.into();
        }
        Draft {
            header,
            claims: all,
            signed: Signed::Well,
        }
    }
}

type Words = BTreeMap<String, String>;
type Shared = State<Arc<World>>;

/// Counts, and answers instead of the endpoint if the story says so.
async fn counted(State(world): Shared, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let instead = {
        let mut inner = world.inner();
        *inner.counts.entry(path.clone()).or_default() += 1;
        inner.instead.get(&path).cloned()
    };
    match instead {
        None => next.run(request).await,
        Some(Instead::Status(code)) => StatusCode::from_u16(code).unwrap().into_response(),
        Some(Instead::Redirect(to)) => {
            (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
        }
        Some(Instead::Bytes(count)) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (kind, Body::from(vec![b' '; count])).into_response()
        }
        Some(Instead::Document(document)) => Json(document).into_response(),
        Some(Instead::Silence(time)) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
    }
}

async fn discovery(State(world): Shared) -> Json<Value> {
    let inner = world.inner();
    let at = |path: &str| format!("{}{path}", world.issuer);
    let mut document = json!({
        "issuer": world.issuer,
        "jwks_uri": at("/keys"),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "end_session_endpoint": at("/logout"),
        "authorization_response_iss_parameter_supported": inner.says_iss,
        "code_challenge_methods_supported": ["S256"],
        "id_token_signing_alg_values_supported": [inner.keys[0].algorithm()],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt", "none"],
        "backchannel_logout_supported": true,
    });
    merge(&mut document, &inner.metadata);
    Json(document)
}

async fn keys(State(world): Shared) -> Response {
    let document = json!({"keys": world.inner().published});
    let lifetime = [(header::CACHE_CONTROL, "public, max-age=3600")];
    (lifetime, Json(document)).into_response()
}

/// Signs the person in at once and sends the browser back.
async fn authorize(State(world): Shared, Query(asked): Query<Words>) -> Response {
    let is = |name: &str, value: &str| asked.get(name).is_some_and(|is| is == value);
    let is_sound = is("response_type", "code")
        && is("client_id", CLIENT_ID)
        && is("code_challenge_method", "S256")
        && ["redirect_uri", "code_challenge", "state", "nonce", "scope"]
            .iter()
            .all(|name| asked.contains_key(*name));
    if !is_sound {
        return (StatusCode::BAD_REQUEST, format!("{asked:?}")).into_response();
    }
    let mut inner = world.inner();
    let code = inner.fresh("code");
    let mut back: Url = asked["redirect_uri"].parse().unwrap();
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &asked["state"]);
    if inner.says_iss {
        back.query_pairs_mut().append_pair("iss", &world.issuer);
    }
    inner.asked = asked.clone();
    inner.codes.insert(code, asked);
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, back.to_string())],
    )
        .into_response()
}

async fn token(State(world): Shared, headers: HeaderMap, Form(form): Form<Words>) -> Response {
    let refused =
        |code: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": code}))).into_response();
    let mut inner = world.inner();
    if !is_curfew(&inner, &headers, &form, &world) {
        return refused("invalid_client");
    }
    // A code is good once.
    let Some(asked) = form.get("code").and_then(|code| inner.codes.remove(code)) else {
        return refused("invalid_grant");
    };
    let verifier = form.get("code_verifier").map_or("", String::as_str);
    let challenge = base64url(digest(&SHA256, verifier.as_bytes()));
    if asked["code_challenge"] != challenge || form.get("redirect_uri") != asked.get("redirect_uri")
    {
        return refused("invalid_grant");
    }
    let access_token = inner.fresh("opaque");
    let now = world.clock.now().timestamp();
    let hash = digest(&SHA256, access_token.as_bytes());
    let mut claims = json!({
        "aud": CLIENT_ID,
        "nonce": asked["nonce"],
        "auth_time": inner.auth_time.unwrap_or(now),
        "at_hash": base64url(&hash.as_ref()[..16]),
    });
    if let Some(acr) = asked.get("acr_values").filter(|_| inner.gives_acr) {
        claims["acr"] = acr.as_str().into();
    }
    merge(&mut claims, &inner.claims);
    let mut draft = world.draft(&inner, None, &claims);
    if let Some(spoil) = &inner.spoil {
        spoil(&mut draft);
    }
    let key = inner.keys.last().unwrap();
    let id_token = key.sign(&draft.header, &draft.claims, draft.signed);
    let mut said = json!({"sub": inner.claims["sub"]});
    merge(&mut said, &inner.userinfo);
    inner.tokens.insert(access_token.clone(), said);
    Json(json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": 3600,
        "id_token": id_token,
    }))
    .into_response()
}

/// Is it Curfew that asks? By its key if it has one here, else by its secret.
fn is_curfew(inner: &Inner, headers: &HeaderMap, form: &Words, world: &World) -> bool {
    let Some(key) = &inner.client_key else {
        let encoded = |text: &str| {
            let form = serde_urlencoded::to_string([("", text)]).unwrap();
            form.trim_start_matches('=').to_owned()
        };
        let pair = format!("{}:{}", encoded(CLIENT_ID), encoded(CLIENT_SECRET));
        let expected = format!("Basic {}", BASE64_STANDARD.encode(pair));
        return headers
            .get(header::AUTHORIZATION)
            .is_some_and(|said| *said == *expected);
    };
    let key: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&key).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
    rules.set_audience(&[format!("{}/token", world.issuer)]);
    rules.set_issuer(&[CLIENT_ID]);
    rules.sub = Some(CLIENT_ID.to_owned());
    let assertion = form.get("client_assertion").map_or("", String::as_str);
    jsonwebtoken::decode::<Value>(assertion, &key, &rules).is_ok()
}

async fn userinfo(State(world): Shared, headers: HeaderMap) -> Response {
    let said = headers.get(header::AUTHORIZATION).map(|said| said.to_str());
    let token = said.and_then(|said| said.unwrap().strip_prefix("Bearer "));
    match token.and_then(|token| world.inner().tokens.get(token).cloned()) {
        Some(claims) => Json(claims).into_response(),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// The provider's own session is over; the browser goes back if it says to where.
async fn end_session(Query(asked): Query<Words>) -> Response {
    match (
        asked.get("id_token_hint"),
        asked.get("post_logout_redirect_uri"),
    ) {
        (Some(_), Some(to)) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, to.clone())]).into_response()
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}
