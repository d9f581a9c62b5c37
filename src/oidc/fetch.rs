//! One question to a provider: bounded in time and length, never redirected, and over TLS.
//!
//! Where a question goes is partly what a document on the net says, so the limits hold whatever it
//! says. A provider on this machine (a try, a test) may be asked without TLS, and only by an issuer
//! that is itself on this machine: nobody else's document leads to what listens here.

use std::time::Duration;

use openidconnect::http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL};
use openidconnect::http::{HeaderMap, Request, Response};
use openidconnect::url::{Host, Url};
use serde::de::DeserializeOwned;

/// How long an answer may take, to its last byte.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Longest answer.
const BODY_BYTES: usize = 256 * 1024;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    client: reqwest::Client,
    is_local: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0} is not asked: only https is")]
    NotAllowed(String),
    #[error("{0} could not be asked")]
    Request(String, #[source] reqwest::Error),
    #[error("{0} answers more than {BODY_BYTES} bytes")]
    TooLong(String),
    #[error("{0} answers {1}")]
    Status(String, reqwest::StatusCode),
    #[error("what {0} answers is not what was asked for")]
    Malformed(String, #[source] serde_json::Error),
}

/// Does this lead to this machine itself?
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl Fetch {
    /// Asks what belongs to this issuer.
    pub(super) fn new(issuer: &Url, patience: Duration) -> anyhow::Result<Self> {
        let is_local = is_loopback(issuer);
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(patience)
            .timeout(patience);
        if is_local {
            builder = builder.no_proxy();
        }
        let client = builder.build()?;
        Ok(Self { client, is_local })
    }

    /// May this be asked, and may a browser be sent there?
    pub(super) fn allows(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => url.has_host(),
            "http" => self.is_local && is_loopback(url),
            _ => false,
        }
    }

    /// Sends what `openidconnect` wants to send.
    pub(super) async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, FetchError> {
        let to = request.uri().to_string();
        if !Url::parse(&to).is_ok_and(|url| self.allows(&url)) {
            return Err(FetchError::NotAllowed(to));
        }
        let failed = |error: reqwest::Error| FetchError::Request(to.clone(), error.without_url());
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut answer = self.client.execute(request).await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > BODY_BYTES {
                return Err(FetchError::TooLong(to));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// A JSON document, and how long its sender thinks it will be good.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        url: &Url,
        bearer: Option<&str>,
    ) -> Result<(T, Option<Duration>), FetchError> {
        let mut request = Request::new(Vec::new());
        let unfit = || FetchError::NotAllowed(url.to_string());
        *request.uri_mut() = url.as_str().parse().map_err(|_| unfit())?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, "application/json".parse().map_err(|_| unfit())?);
        if let Some(bearer) = bearer {
            let value = format!("Bearer {bearer}").parse().map_err(|_| unfit())?;
            headers.insert(AUTHORIZATION, value);
        }
        let answer = self.send(request).await?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(url.to_string(), answer.status()));
        }
        let lifetime = max_age(answer.headers());
        let document = serde_json::from_slice(answer.body())
            .map_err(|error| FetchError::Malformed(url.to_string(), error))?;
        Ok((document, lifetime))
    }
}

/// RFC 9111 §5.2.2.1.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let said = headers.get(CACHE_CONTROL)?.to_str().ok()?;
    let seconds = said.split(',').find_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        let is_it = name.eq_ignore_ascii_case("max-age");
        is_it
            .then(|| value.trim_matches('"').parse().ok())
            .flatten()
    });
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_is_asked_and_this_machine_only_by_an_issuer_on_it() {
        let fetch = |issuer: &str| Fetch::new(&Url::parse(issuer).unwrap(), PATIENCE).unwrap();
        let (far, here) = (fetch("https://id.example.com"), fetch("http://127.0.0.1:9"));
        for (url, by_far, by_here) in [
            ("https://id.example.com/keys", true, true),
            ("http://id.example.com/keys", false, false),
            ("http://localhost:8080/keys", false, true),
            ("http://[::1]/keys", false, true),
            ("http://127.8.8.8/keys", false, true),
            ("http://169.254.169.254/latest", false, false),
            ("http://localhost.example.com/", false, false),
            ("file:///etc/passwd", false, false),
            ("data:application/json,{}", false, false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(
                (far.allows(&url), here.allows(&url)),
                (by_far, by_here),
                "{url}"
            );
        }
    }

    #[test]
    fn a_lifetime_is_found_among_other_directives() {
        for (said, seconds) in [
            ("max-age=300", Some(300)),
            ("public, Max-Age=\"60\" , must-revalidate", Some(60)),
            ("no-store", None),
            ("s-maxage=9", None),
            ("max-age=-1", None),
            ("max-age=", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, said.parse().unwrap());
            assert_eq!(
                max_age(&headers),
                seconds.map(Duration::from_secs),
                "{said}"
            );
        }
    }
}
