//! The web: every route in one list, and the layers around them.
//!
//! GET handlers read through `postgres`; POST handlers parse, call exactly one act of the `broker`,
//! and render or redirect. Nothing here decides who may do what.

mod api;
mod body;
mod by_hand;
mod client;
pub mod error;
mod error_context;
mod export;
mod form;
mod guard;
mod health;
pub mod live;
pub mod metrics;
mod page;
mod pages;
pub mod session;
mod trace;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use ipnet::IpNet;
use tower_http::catch_panic::CatchPanicLayer;

use self::live::Live;
use crate::access::portal::AccessPortal;
use crate::broker::Broker;
use crate::engine::Engine;
use crate::live_grants::LastSeen;
use crate::metrics::Metrics;
use crate::preflight::Warnings;

/// What handlers work with.
#[derive(Clone, Debug)]
pub struct Web(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: Broker,
    engine: Arc<Engine>,
    metrics: Metrics,
    warnings: Warnings,
    live_grants: LastSeen,
    setup: Setup,
    live: Live,
}

/// How this service meets the world.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where people reach it.
    pub public_url: PublicUrl,
    /// Where they reach AWS.
    pub portal: AccessPortal,
    /// There is a sign-in without a password.
    pub is_demo: bool,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// `/metrics` stands beside the pages.
    pub has_metrics: bool,
}

/// Where people reach this service: scheme, host and port, without a path.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct PublicUrl {
    origin: String,
}

impl PublicUrl {
    /// Takes an origin such as `https://curfew.example.com`.
    ///
    /// # Errors
    /// If it is not `http` or `https` with a host and nothing behind it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: axum::http::Uri = text
            .parse()
            .map_err(|error| format!("{text:?} is not a URL: {error}"))?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| ["http", "https"].contains(scheme));
        match (scheme, uri.authority(), uri.path(), uri.query()) {
            (Some(scheme), Some(authority), "/" | "", None) => Ok(Self {
                origin: format!("{scheme}://{authority}"),
            }),
            _ => Err(format!(
                "{text:?} must be http(s)://host[:port] and nothing behind it"
            )),
        }
    }

    /// As browsers write it in `Origin`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Cookies are `Secure` then.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Nobody on another machine is meant.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let authority = self.origin.split_once("://").map_or("", |(_, rest)| rest);
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
            _ => authority,
        };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        host == "localhost" || address.is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Web {
    /// The web of this service. Only a demo has the sign-in without a password.
    #[must_use]
    pub fn new(
        broker: Broker,
        engine: Arc<Engine>,
        metrics: Metrics,
        (warnings, live_grants): (Warnings, LastSeen),
        setup: Setup,
    ) -> Self {
        Self(Arc::new(Inner {
            broker,
            engine,
            metrics,
            warnings,
            live_grants,
            setup,
            live: Live::default(),
        }))
    }

    /// The pages that are watched live.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.0.live
    }

    fn broker(&self) -> &Broker {
        &self.0.broker
    }
}

/// Every route.
pub fn router(web: Web) -> Router {
    let setup = web.0.setup.clone();
    let mut people = Router::new()
        // for whoever asks
        .route("/", get(pages::home::show))
        .route(
            "/requests",
            get(pages::requests::list).post(pages::new_request::submit),
        )
        .route("/requests/new", get(pages::new_request::show))
        .route("/requests/{id}", get(pages::request::show))
        .route("/requests/{id}/live", get(live::watch))
        .route("/requests/{id}/cancel", post(pages::acts::cancel))
        .route("/requests/{id}/end", post(pages::acts::end))
        // for approvers
        .route("/approvals", get(pages::approvals::show))
        .route("/requests/{id}/approve", post(pages::acts::approve))
        .route("/requests/{id}/deny", post(pages::acts::deny))
        // for auditors
        .route("/audit", get(pages::audit::list))
        .route(
            "/audit/export",
            get(export::download).head(export::describe),
        )
        // for administrators
        .route("/requests/{id}/close", post(pages::acts::close))
        .route("/operations", get(pages::operations::show))
        .route("/operations/recovery", get(pages::recovery::show))
        .route(
            "/operations/recovery/confirm",
            post(pages::recovery::confirm),
        )
        .route(
            "/operations/recovery/findings/{id}/keep",
            post(pages::recovery::keep),
        )
        .route(
            "/operations/recovery/findings/{id}/remove",
            post(pages::recovery::remove),
        )
        .route("/operations/pause", post(pages::switches::pause))
        .route("/operations/resume", post(pages::switches::resume))
        .route(
            "/operations/end-everything",
            get(pages::switches::ask).post(pages::switches::end_everything),
        )
        // for everybody
        .route("/policy", get(pages::policy::show))
        .route("/login", get(pages::login::show))
        .route("/logout", post(pages::login::sign_out))
        .route("/sessions", get(pages::sessions::list))
        .route("/sessions/{id}/end", post(pages::sessions::end))
        .route("/sessions/end-others", post(pages::sessions::end_others));
    if setup.is_demo {
        let sign_in = post(pages::login::sign_in_demo).get(pages::login::show);
        people = people.route("/login/demo", sign_in);
    }
    let programs = Router::new()
        .route("/api/v1/requests", get(api::list).post(api::submit))
        .route("/api/v1/requests/{id}", get(api::show))
        .route("/api/v1/requests/{id}/{act}", post(api::act))
        .route("/api/v1/audit", get(api::audit))
        .route("/api/v1/operations/pause", post(api::pause))
        .route("/api/v1/operations/resume", post(api::resume))
        .route(
            "/api/v1/operations/end-everything",
            post(api::end_everything),
        );
    let with_session = people
        .merge(programs)
        .fallback(error::no_such_page)
        .layer(axum::middleware::from_fn_with_state(
            web.clone(),
            error_context::remember,
        ))
        .layer(session::layer(&web))
        .layer(axum::middleware::from_fn_with_state(
            web.clone(),
            guard::same_origin,
        ))
        .layer(axum::middleware::from_fn_with_state(
            web.clone(),
            guard::one_cookie,
        ));
    let mut without_session = Router::new()
        .route("/static/app.css", get(page::style_sheet))
        .route("/static/app.js", get(page::script))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready));
    if setup.has_metrics {
        without_session = without_session.route("/metrics", get(metrics::show));
    }
    with_session
        .merge(without_session)
        .layer(axum::middleware::from_fn(body::read_whole))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(axum::middleware::from_fn_with_state(
            web.clone(),
            error::render,
        ))
        .layer(axum::middleware::from_fn_with_state(
            web.clone(),
            guard::headers,
        ))
        .layer(axum::middleware::from_fn_with_state(
            web.clone(),
            trace::trace,
        ))
        .with_state(web)
}
