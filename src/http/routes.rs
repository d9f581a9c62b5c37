//! Every route, in one table: its address, who may reach it, which scope a token needs for it, and the
//! handler. The router is built from the table, so that a handler without a line here can't be reached,
//! and `gate` keeps each line before the handler runs.
//!
//! A line says what a role may. Whether a request is one's own is the broker's to say (`relation`), and
//! what an administrator's act takes is asked once more there: not every act comes in by a route.

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};

use self::Scope::{AuditRead, GrantsEnd, RequestsDecide, RequestsRead, RequestsWrite};
use self::Who::{Administrator, Auditor, AuditorOrAdministrator, Everybody, SignedIn};
use super::pages::{
    acts, approvals, audit, auth, home, login, new_request, operations, policy, recovery, request,
    requests, sessions, switches,
};
use super::{Setup, Web, api, export, gate, health, live, metrics, openapi, page};
use crate::broker::role::Role;

/// Who may reach a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever reaches this service.
    Everybody,
    /// Whoever is signed in.
    SignedIn,
    /// Auditors.
    Auditor,
    /// Both: auditors look, administrators act.
    AuditorOrAdministrator,
    /// Administrators.
    Administrator,
}

impl Who {
    /// The roles of which one is needed; none if every person will do.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        match self {
            Everybody | SignedIn => &[],
            Auditor => &[Role::Auditor],
            AuditorOrAdministrator => &[Role::Auditor, Role::Administrator],
            Administrator => &[Role::Administrator],
        }
    }

    /// As people read it.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Everybody => "everybody",
            SignedIn => "signed in",
            Auditor => "auditor",
            AuditorOrAdministrator => "auditor or administrator",
            Administrator => "administrator",
        }
    }
}

/// What an API token may be used for. A route without a scope takes no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Reading requests.
    RequestsRead,
    /// Asking, and taking back what one asked for.
    RequestsWrite,
    /// Saying yes or no.
    RequestsDecide,
    /// Ending access.
    GrantsEnd,
    /// Reading the audit log.
    AuditRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [
        RequestsRead,
        RequestsWrite,
        RequestsDecide,
        GrantsEnd,
        AuditRead,
    ];

    /// Its name in a token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RequestsRead => "requests:read",
            RequestsWrite => "requests:write",
            RequestsDecide => "requests:decide",
            GrantsEnd => "grants:end",
            AuditRead => "audit:read",
        }
    }
}

/// Where a route is there at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Everywhere.
    Always,
    /// Under `demo`, and nowhere else.
    Demo,
    /// Where metrics have no address of their own.
    Metrics,
}

impl Presence {
    fn is_given(self, setup: &Setup) -> bool {
        match self {
            Self::Always => true,
            Self::Demo => setup.is_demo,
            Self::Metrics => setup.has_metrics,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The method. A GET is a HEAD too, unless that has its own line.
    pub method: Method,
    /// The address.
    pub path: &'static str,
    /// Who may.
    pub who: Who,
    /// What a token must be for.
    pub scope: Option<Scope>,
    /// Where it is there.
    pub presence: Presence,
}

/// A line with its handler.
struct Route {
    entry: Entry,
    handler: MethodRouter<Web>,
}

impl Route {
    fn new<H, T>(
        (filter, method): (MethodFilter, Method),
        path: &'static str,
        who: Who,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Web>,
        T: 'static,
    {
        Self {
            entry: Entry {
                method,
                path,
                who,
                scope: None,
                presence: Presence::Always,
            },
            handler: on(filter, handler),
        }
    }

    fn scope(mut self, scope: Scope) -> Self {
        self.entry.scope = Some(scope);
        self
    }

    fn only(mut self, presence: Presence) -> Self {
        self.entry.presence = presence;
        self
    }
}

fn get<H: Handler<T, Web>, T: 'static>(path: &'static str, who: Who, handler: H) -> Route {
    Route::new((MethodFilter::GET, Method::GET), path, who, handler)
}

fn head<H: Handler<T, Web>, T: 'static>(path: &'static str, who: Who, handler: H) -> Route {
    Route::new((MethodFilter::HEAD, Method::HEAD), path, who, handler)
}

fn post<H: Handler<T, Web>, T: 'static>(path: &'static str, who: Who, handler: H) -> Route {
    Route::new((MethodFilter::POST, Method::POST), path, who, handler)
}

/// The pages.
#[rustfmt::skip]
fn pages() -> Vec<Route> {
    vec![
        // for whoever asks and whoever agrees
        get("/", SignedIn, home::show),
        get("/requests", SignedIn, requests::list),
        post("/requests", SignedIn, new_request::submit),
        get("/requests/new", SignedIn, new_request::show),
        get("/requests/{id}", SignedIn, request::show),
        get("/requests/{id}/live", SignedIn, live::watch),
        post("/requests/{id}/approve", SignedIn, acts::approve),
        post("/requests/{id}/deny", SignedIn, acts::deny),
        post("/requests/{id}/cancel", SignedIn, acts::cancel),
        post("/requests/{id}/end", SignedIn, acts::end),
        get("/approvals", SignedIn, approvals::show),
        get("/policy", SignedIn, policy::show),

        // for auditors
        get("/audit", Auditor, audit::list),
        get("/audit/export", Auditor, export::download),
        head("/audit/export", Auditor, export::describe),

        // how Curfew is doing: auditors look, administrators act
        get("/operations", AuditorOrAdministrator, operations::show),
        get("/operations/recovery", AuditorOrAdministrator, recovery::show),
        post("/operations/recovery/confirm", Administrator, recovery::confirm),
        post("/operations/recovery/findings/{id}/keep", Administrator, recovery::keep),
        post("/operations/recovery/findings/{id}/remove", Administrator, recovery::remove),
        post("/operations/pause", Administrator, switches::pause),
        post("/operations/resume", Administrator, switches::resume),
        get("/operations/end-everything", Administrator, switches::ask),
        post("/operations/end-everything", Administrator, switches::end_everything),
        post("/requests/{id}/close", Administrator, acts::close),

        // signing in and out
        get("/login", Everybody, login::show),
        get("/login/demo", Everybody, login::show).only(Presence::Demo),
        post("/login/demo", Everybody, login::sign_in_demo).only(Presence::Demo),
        get("/login/start", Everybody, auth::start),
        get("/auth/callback", Everybody, auth::callback),
        post("/logout", Everybody, login::sign_out),
        get("/sessions", SignedIn, sessions::list),
        post("/sessions/{id}/end", SignedIn, sessions::end),
        post("/sessions/end-others", SignedIn, sessions::end_others),
    ]
}

/// The same acts for programs.
#[rustfmt::skip]
fn programs() -> Vec<Route> {
    vec![
        get("/api/v1/requests", SignedIn, api::list).scope(RequestsRead),
        post("/api/v1/requests", SignedIn, api::submit).scope(RequestsWrite),
        get("/api/v1/requests/{id}", SignedIn, api::show).scope(RequestsRead),
        post("/api/v1/requests/{id}/approve", SignedIn, api::approve).scope(RequestsDecide),
        post("/api/v1/requests/{id}/deny", SignedIn, api::deny).scope(RequestsDecide),
        post("/api/v1/requests/{id}/cancel", SignedIn, api::cancel).scope(RequestsWrite),
        post("/api/v1/requests/{id}/end", SignedIn, api::end).scope(GrantsEnd),
        post("/api/v1/requests/{id}/close", Administrator, api::close),

        get("/api/v1/audit", Auditor, api::audit::list).scope(AuditRead),

        post("/api/v1/operations/pause", Administrator, api::operations::pause),
        post("/api/v1/operations/resume", Administrator, api::operations::resume),
        post("/api/v1/operations/end-everything", Administrator, api::operations::end_everything),
        get("/api/v1/operations/recovery", AuditorOrAdministrator, api::recovery::show),
        post("/api/v1/operations/recovery/confirm", Administrator, api::recovery::confirm),
        post("/api/v1/operations/recovery/findings/{id}/keep", Administrator, api::recovery::keep),
        post("/api/v1/operations/recovery/findings/{id}/remove", Administrator, api::recovery::remove),
    ]
}

/// What has no session: nobody is asked who they are, and the database may be away.
#[rustfmt::skip]
fn machinery() -> Vec<Route> {
    vec![
        get("/api/v1/openapi.json", Everybody, openapi::show),
        post("/auth/backchannel-logout", Everybody, auth::backchannel_logout),
        get("/static/app.css", Everybody, page::style_sheet),
        get("/static/app.js", Everybody, page::script),
        get("/healthz", Everybody, health::alive),
        get("/readyz", Everybody, health::ready),
        get("/metrics", Everybody, metrics::show).only(Presence::Metrics),
    ]
}

/// The whole table, to be read.
#[must_use]
pub fn entries() -> Vec<Entry> {
    [pages(), programs(), machinery()]
        .into_iter()
        .flatten()
        .map(|route| route.entry)
        .collect()
}

/// Pages and API, which a session opens.
pub(super) fn with_session(web: &Web) -> Router<Web> {
    build(web, pages().into_iter().chain(programs()))
}

/// What has no session.
pub(super) fn without_session(web: &Web) -> Router<Web> {
    build(web, machinery().into_iter())
}

/// Puts the gate before each handler.
fn build(web: &Web, routes: impl Iterator<Item = Route>) -> Router<Web> {
    routes
        .filter(|route| route.entry.presence.is_given(&web.0.setup))
        .fold(Router::new(), |router, Route { entry, handler }| {
            let path = entry.path;
            let gate = axum::middleware::from_fn_with_state((web.clone(), entry), gate::pass);
            router.route(path, handler.route_layer(gate))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_stands_there_twice() {
        let mut lines: Vec<_> = entries()
            .iter()
            .map(|entry| format!("{} {}", entry.method, entry.path))
            .collect();
        let count = lines.len();
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), count);
    }

    #[test]
    fn only_the_api_takes_tokens_and_only_for_what_no_administrator_does() {
        for entry in entries() {
            let takes_tokens = entry.scope.is_some();
            assert!(
                !takes_tokens || entry.path.starts_with("/api/v1/"),
                "{}",
                entry.path
            );
            assert!(
                !takes_tokens || !entry.who.roles().contains(&Role::Administrator),
                "{}",
                entry.path
            );
        }
    }

    #[test]
    fn whatever_changes_something_is_no_auditor_s() {
        for entry in entries()
            .iter()
            .filter(|entry| entry.method == Method::POST)
        {
            assert!(
                !entry.who.roles().contains(&Role::Auditor),
                "{}",
                entry.path
            );
        }
    }
}
