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

/// An unsafe request with a session cookie must come from our own pages: `Sec-Fetch-Site` is
/// `same-origin`, or is absent and `Origin` is ours. Everything else is 403. A request with a bearer
/// token uses no cookie and is not concerned.
pub(super) async fn same_origin(State(web): State<Web>, request: Request, next: Next) -> Response {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let headers = request.headers();
    let is_concerned = !is_safe
        && !headers.contains_key(header::AUTHORIZATION)
        && has_cookie(headers, cookie_name(&web.0));
    if is_concerned && !is_same_origin(headers, web.0.public_url.origin()) {
        let text = "This did not come from one of Curfew's own pages, so nothing was done. Open Curfew and do it there.";
        return Error::status(StatusCode::FORBIDDEN, "cross_site", text).into_response();
    }
    next.run(request).await
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

fn has_cookie(headers: &HeaderMap, name: &str) -> bool {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|cookies| {
            cookies.split(';').any(|cookie| {
                cookie
                    .trim()
                    .split_once('=')
                    .is_some_and(|(key, _)| key == name)
            })
        })
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
    if web.0.public_url.is_https() {
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
    fn the_cookie_is_found_among_others_and_not_by_a_part_of_its_name() {
        let cookies = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::try_from(text).unwrap());
            has_cookie(&headers, "sid")
        };
        assert!(cookies("sid=1") && cookies("a=b; sid=1") && cookies("a=b;sid="));
        assert!(!cookies("xsid=1; sidx=2") && !cookies("sid"));
    }
}
