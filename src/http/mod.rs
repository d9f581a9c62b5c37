//! The web: the routes (`routes`: one table), and the layers around them.
//!
//! GET handlers read through `postgres`; POST handlers parse, call exactly one act of the `broker`,
//! and render or redirect. Who may reach which is in the table, and asked before every handler (`gate`).

mod api;
mod body;
mod by_hand;
mod client;
pub mod error;
mod error_context;
mod export;
mod form;
mod gate;
mod guard;
mod health;
pub mod live;
pub mod metrics;
pub mod openapi;
mod page;
mod pages;
pub mod routes;
pub mod session;
mod step_up;
mod trace;
mod view;

use std::sync::Arc;

use axum::Router;
use ipnet::IpNet;
use tower_http::catch_panic::CatchPanicLayer;

use self::live::Live;
use crate::access::portal::AccessPortal;
use crate::broker::Broker;
use crate::engine::Engine;
use crate::live_grants::LastSeen;
use crate::metrics::Metrics;
use crate::oidc::Client;
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
    /// Where people sign in; none lets nobody in but a demo's people.
    pub oidc: Option<Client>,
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

/// The routes, with the layers around them.
pub fn router(web: Web) -> Router {
    let with_session = routes::with_session(&web)
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
    with_session
        .merge(routes::without_session(&web))
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
