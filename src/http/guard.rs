//! What every request and every answer goes through: the same-origin rule and the security headers.

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Web;
use super::error::Error;
use super::session::cookie_name;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Leaves one cookie of a request: the session's, by its exact name as the browser sent it. Whoever
/// reads cookies behind this decodes and trims names, so that `%73id` would be a second way to say
/// `sid`, and a neighbouring host could set one that only looks like `__Host-sid`. A request with a
/// bearer token uses no cookie.
pub(super) async fn one_cookie(
    State(web): State<Web>,
    mut request: Request,
    next: Next,
) -> Response {
    let name = cookie_name(&web.0);
    let headers = request.headers_mut();
    let mut found: Vec<String> = if has_bearer(headers) {
        Vec::new()
    } else {
        values_of(headers, name)
    };
    headers.remove(header::COOKIE);
    found.dedup();
    if found.len() > 1 {
        let text =
            "The browser sent two sessions at once. Clear this site's cookies and sign in again.";
        return Error::status(StatusCode::BAD_REQUEST, "two_sessions", text).into_response();
    }
    if let Some(cookie) = found
        .pop()
        .and_then(|value| HeaderValue::from_str(&format!("{name}={value}")).ok())
    {
        headers.insert(header::COOKIE, cookie);
    }
    next.run(request).await
}

/// An unsafe request with a session cookie must come from our own pages: `Sec-Fetch-Site` is
/// `same-origin`, or is absent and `Origin` is ours. One that a browser says to come from another site
/// is refused even without a cookie: signing somebody in as somebody else is an attack too.
pub(super) async fn same_origin(State(web): State<Web>, request: Request, next: Next) -> Response {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let headers = request.headers();
    let is_ours = is_same_origin(headers, web.0.setup.public_url.origin());
    let comes_from_elsewhere = headers
        .get_all(SEC_FETCH_SITE)
        .iter()
        .any(|site| site != "same-origin" && site != "none");
    let is_refused = !is_safe
        && !has_bearer(headers)
        && !is_ours
        && (headers.contains_key(header::COOKIE) || comes_from_elsewhere);
    if is_refused {
        let text = "This did not come from one of Curfew's own pages, so nothing was done. Open Curfew and do it there.";
        return Error::status(StatusCode::FORBIDDEN, "cross_site", text).into_response();
    }
    next.run(request).await
}

fn has_bearer(headers: &HeaderMap) -> bool {
    let scheme = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().get(..7));
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
}

fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    // More than one value is nothing that a browser sends.
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        (values.next(), values.next().is_some())
    };
    match (one(SEC_FETCH_SITE), one(header::ORIGIN)) {
        ((Some(site), false), (_, false)) => site == "same-origin",
        ((None, _), (Some(from), false)) => from.as_bytes() == origin.as_bytes(),
        _ => false,
    }
}

/// The values of every cookie with exactly this name.
fn values_of(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim_start_matches(' ').split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
        .collect()
}

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                   connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; \
                   object-src 'none'; frame-ancestors 'none'";

/// Headers of every answer.
pub(super) async fn headers(State(web): State<Web>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // `no-referrer` would make Chromium send `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=()",
        ),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if web.0.setup.public_url.is_https() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        );
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://curfew.example.com";

    fn check(pairs: &[(&str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        is_same_origin(&headers, OURS)
    }

    #[test]
    fn only_our_own_pages_pass() {
        for (headers, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", OURS)], true),
            (&[("origin", OURS)], true),
            (&[], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", OURS)], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://evil.example.com")], false),
            (&[("origin", "http://curfew.example.com")], false),
            (&[("origin", "https://curfew.example.com:8443")], false),
            (
                &[("origin", OURS), ("origin", "https://evil.example.com")],
                false,
            ),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
        ] {
            assert_eq!(check(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_cookie_counts_only_under_its_exact_name() {
        let values = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::try_from(text).unwrap());
            values_of(&headers, "sid")
        };
        assert_eq!(values("sid=1"), ["1"]);
        assert_eq!(values("a=b; sid=1;sid=2"), ["1", "2"]);
        for other in [
            "%73id=1",
            "s%69d=1",
            "sid =1",
            "SID=1",
            "xsid=1; sidx=2",
            "sid",
            "\"sid\"=1",
        ] {
            assert!(values(other).is_empty(), "{other}");
        }
    }
}
