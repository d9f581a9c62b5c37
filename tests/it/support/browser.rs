//! A browser that nobody may have signed in with yet: it keeps the newest cookie, goes to the provider and
//! comes back.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};

use super::idp::Idp;
use super::people::{Answer, Person, send};

/// A browser.
pub(crate) struct Browser {
    router: Router,
    pub(crate) cookie: Option<String>,
}

impl Browser {
    pub(crate) fn new(router: &Router) -> Self {
        Self {
            router: router.clone(),
            cookie: None,
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let mut request = Request::get(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = send(&self.router, request.body(Body::empty()).unwrap()).await;
        self.keep_cookie(&answer);
        answer
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        if let Some(set) = answer.headers.get(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned());
        }
    }

    /// Starts a sign-in at this address, and gives the one at which it comes back from the provider.
    pub(crate) async fn sent(&mut self, idp: &Idp, start: &str) -> String {
        let there = self.get(start).await.expect(303);
        let back = idp
            .visited(there.headers[header::LOCATION].to_str().unwrap())
            .await;
        format!("{}?{}", back.path(), back.query().unwrap())
    }

    /// Starts a sign-in at this address, and comes back.
    pub(crate) async fn signs_in_at(&mut self, idp: &Idp, start: &str) -> Answer {
        let back = self.sent(idp, start).await;
        self.get(&back).await
    }

    /// The person of the demo's world with this name signs in.
    pub(crate) async fn signs_in(&mut self, idp: &Idp, name: &str) -> Person {
        idp.is(name);
        self.signs_in_at(idp, "/login/start").await.expect(303);
        self.person()
    }

    /// Whoever is signed in with it, for what follows.
    pub(crate) fn person(&self) -> Person {
        Person::with_cookie(&self.router, self.cookie.clone().unwrap())
    }
}
