//! People who act: a browser with its cookie, through the real router.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::app::ORIGIN;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} is not JSON: {}", self.status, self.text()))
    }

    /// Fails with what came back unless it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// The stable code of a refusal.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.json()["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {}", self.text()))
            .to_owned()
    }
}

/// Sends a request as it is. What the API answers must be what its document says.
pub(crate) async fn send(router: &Router, request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let answer = Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    };
    super::contract::check(&method, &path, &answer);
    answer
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Person {
    router: Router,
    pub(crate) cookie: String,
}

impl Person {
    /// The same browser at another replica.
    pub(crate) fn on(self, router: Router) -> Self {
        Self { router, ..self }
    }

    pub(crate) async fn sign_in(router: &Router, name: &str, assurance: Option<&str>) -> Self {
        let answer = Self::log_in(router, name, assurance).await.expect(303);
        Self::with_cookie_of(router, &answer)
    }

    /// Whoever this cookie signs in.
    pub(crate) fn with_cookie(router: &Router, cookie: String) -> Self {
        let router = router.clone();
        Self { router, cookie }
    }

    /// Nobody, if this person may not or can't sign in just now.
    pub(crate) async fn try_sign_in(router: &Router, name: &str) -> Option<Self> {
        let answer = Self::log_in(router, name, None).await;
        (answer.status.as_u16() == 303).then(|| Self::with_cookie_of(router, &answer))
    }

    async fn log_in(router: &Router, name: &str, assurance: Option<&str>) -> Answer {
        let assurance =
            assurance.map_or_else(String::new, |assurance| format!("&assurance={assurance}"));
        let form = format!("email={name}%40example.com{assurance}");
        let request = Request::post("/login/demo")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        send(router, request).await
    }

    fn with_cookie_of(router: &Router, answer: &Answer) -> Self {
        let cookie = answer.headers[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        Self {
            router: router.clone(),
            cookie,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path)
            .header(header::COOKIE, &self.cookie)
            .body(Body::empty())
            .unwrap();
        send(&self.router, request).await
    }

    pub(crate) async fn post(&self, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path)
            .header(header::COOKIE, &self.cookie)
            .header(header::ORIGIN, ORIGIN)
            .header(header::CONTENT_TYPE, kind)
            .body(body.into())
            .unwrap();
        send(&self.router, request).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, "application/json", body.to_string()).await
    }

    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = serde_urlencoded::to_string(fields).unwrap();
        self.post(path, "application/x-www-form-urlencoded", body)
            .await
    }

    /// Asks by the API.
    pub(crate) async fn ask(&self, rule: &str, account: &str, minutes: u32) -> Answer {
        let ask = json!({"rule": rule, "account": account, "minutes": minutes, "reason": "restart the payment workers"});
        self.post_json("/api/v1/requests", &ask).await
    }

    /// Asks for `production-admin` in `payments-prod`, and gives the request's id.
    pub(crate) async fn asks(&self, minutes: u32) -> String {
        let made = self
            .ask("production-admin", "111111111111", minutes)
            .await
            .expect(201);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn act(&self, id: &str, act: &str) -> Answer {
        self.post_json(&format!("/api/v1/requests/{id}/{act}"), &json!({}))
            .await
    }

    pub(crate) async fn see(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/requests/{id}"))
            .await
            .expect(200)
            .json()
    }

    /// The status of the grant, as the API says it.
    pub(crate) async fn grant_status(&self, id: &str) -> String {
        self.see(id).await["grant"]["status"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    }
}
