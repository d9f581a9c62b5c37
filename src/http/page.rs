//! Pages: the frame around each, and how a template becomes an answer.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::Web;
use super::error::{Error, Problem};
use super::error_context::Typed;
use super::step_up::StepUp;
use crate::access::person::{Person, SignedInPerson};
use crate::access::text::time_in_words;
use crate::audit::event::timestamp;
use crate::postgres::pause::{self, Pause};
use crate::postgres::requests;

/// What the frame of every page shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// Who is signed in; none on the sign-in page and on errors.
    pub(super) person: Option<PersonInFrame>,
    /// There is a sign-in without a password.
    pub(super) is_demo: bool,
    /// No new access is given, and whoever is signed in is told so.
    pub(super) paused: Option<PauseInFrame>,
}

/// A pause in the frame.
#[derive(Clone, Debug)]
pub(super) struct PauseInFrame(pub(super) Pause);

impl PauseInFrame {
    pub(super) fn since(&self) -> String {
        time_in_words(self.0.since)
    }

    pub(super) fn machine(&self) -> String {
        timestamp(self.0.since)
    }

    pub(super) fn by(&self) -> &str {
        &self.0.by
    }

    /// Why: not in the frame, for it may be about somebody.
    pub(super) fn comment(&self) -> &str {
        &self.0.comment
    }
}

/// Somebody in the frame.
#[derive(Clone, Debug)]
pub(super) struct PersonInFrame {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) is_auditor: bool,
    pub(super) is_administrator: bool,
    /// Requests that wait for their decision.
    pub(super) waiting: usize,
}

/// More waiting requests than this are not counted one by one.
const MOST_COUNTED: i64 = 100;

impl Layout {
    /// The frame for somebody who is signed in.
    pub(super) async fn of(web: &Web, by: &SignedInPerson) -> Result<Self, Error> {
        Self::of_person(web, &by.person).await
    }

    /// See [`Layout::of`].
    pub(super) async fn of_person(web: &Web, person: &Person) -> Result<Self, Error> {
        let broker = web.broker();
        let mut conn = broker.db.conn().await?;
        let standings = broker.standings(&mut conn, &person.id).await?;
        let rules = broker.approvable_rules(&mut conn, &person.id).await?;
        let now = broker.db.clock.now(&mut conn).await?;
        let waiting =
            requests::count_waiting_for(&mut conn, &person.id, &rules, now, MOST_COUNTED).await?;
        Ok(Self {
            person: Some(PersonInFrame {
                name: person.name.clone(),
                email: person.email.clone(),
                is_auditor: standings.is_auditor,
                is_administrator: standings.is_administrator,
                waiting,
            }),
            is_demo: web.0.setup.is_demo,
            paused: pause::find(&mut conn).await?.map(PauseInFrame),
        })
    }

    /// May whoever looks work the buttons of operations?
    pub(super) fn operates(&self) -> bool {
        self.person
            .as_ref()
            .is_some_and(|person| person.is_administrator)
    }

    /// The frame without anybody.
    pub(super) fn signed_out(web: &Web) -> Self {
        Self {
            person: None,
            is_demo: web.0.setup.is_demo,
            paused: None,
        }
    }
}

/// A template as an answer.
pub(super) fn render(status: StatusCode, page: &impl Template) -> Result<Response, Error> {
    let html = page
        .render()
        .map_err(|error| Error::Internal(error.into()))?;
    Ok((status, Html(html)).into_response())
}

/// An error as a page.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage<'a> {
    layout: Layout,
    status: StatusCode,
    title: &'static str,
    text: &'a str,
    /// What to do about it, where the text does not say.
    hint: Option<&'static str>,
    /// What is wrong with fields that the person may not see any more.
    details: Vec<&'a str>,
    /// The request that it was about.
    back: Option<String>,
    /// Text that would be lost otherwise.
    typed: Option<&'a Typed>,
    /// The command that does by hand what can't be done here just now.
    by_hand: Option<&'a str>,
    /// What would have to be proved first, and how.
    step_up: Option<&'a StepUp>,
}

impl<'a> ErrorPage<'a> {
    /// The page of an error at this address.
    pub(super) fn of(
        layout: Layout,
        problem: &'a Problem,
        path: &str,
        typed: Option<&'a Typed>,
    ) -> Self {
        let status = problem.status;
        Self {
            title: match (typed, &problem.demand) {
                (Some(_), _) => "You are signed out",
                (None, Some(_)) => "Prove more first",
                (None, None) => title(status),
            },
            text: typed.map_or(problem.text.as_str(), |_| {
                "Your session ended before this arrived, so nothing was done. Here is what you wrote."
            }),
            hint: hint(status, path),
            details: problem
                .fields
                .iter()
                .map(|(.., text)| text.as_str())
                .filter(|text| *text != problem.text)
                .collect(),
            back: way_back(path).filter(|_| status != StatusCode::NOT_FOUND && typed.is_none()),
            layout,
            status,
            typed,
            by_hand: problem.by_hand.as_deref(),
            step_up: problem.step_up.as_ref(),
        }
    }

    /// What the way back is called.
    fn back_words(&self) -> &'static str {
        match self.back.as_deref() {
            Some("/operations") => "Back to Operations",
            _ => "Back to the request",
        }
    }

    /// The answer.
    pub(super) fn answer(&self) -> Response {
        render(self.status, self)
            .unwrap_or_else(|_| (self.status, self.text.to_owned()).into_response())
    }

    /// Where to sign in and go on with what was typed.
    fn sign_in(&self) -> Option<String> {
        self.typed.map(|typed| login_url(&typed.next))
    }
}

/// What to do next, where the sentence of the error can't know it.
fn hint(status: StatusCode, path: &str) -> Option<&'static str> {
    match status {
        StatusCode::NOT_FOUND if path.starts_with("/requests/") => Some(
            "A request is shown to whoever made it, to those who may decide on it, and to auditors and \
             administrators. If somebody sent you this link, ask them who should open it, or sign in as \
             somebody else.",
        ),
        StatusCode::NOT_FOUND => Some(
            "Perhaps the address was cut off or mistyped. Everything that Curfew has for you starts at Home.",
        ),
        StatusCode::METHOD_NOT_ALLOWED => {
            Some("Go back, and use the buttons of the page that you came from.")
        }
        _ => None,
    }
}

/// What happened, in two or three words.
fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "That can't be read",
        StatusCode::UNAUTHORIZED => "Sign in first",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::METHOD_NOT_ALLOWED => "Not done this way",
        StatusCode::CONFLICT => "Not possible as things stand",
        StatusCode::PAYLOAD_TOO_LARGE => "Too much",
        StatusCode::UNPROCESSABLE_ENTITY => "Something has to be changed",
        StatusCode::SERVICE_UNAVAILABLE => "Not just now",
        _ if status.is_client_error() => "That does not work",
        _ => "Something went wrong",
    }
}

/// From an act on a request back to its page, and from a switch to where it is.
pub(super) fn way_back(path: &str) -> Option<String> {
    if path.starts_with("/operations/") {
        return Some("/operations".to_owned());
    }
    let (id, _act) = path.strip_prefix("/requests/")?.split_once('/')?;
    let id: uuid::Uuid = id.parse().ok()?;
    Some(format!("/requests/{id}"))
}

/// Where to sign in, and go on afterwards.
pub(super) fn login_url(next: &str) -> String {
    if next == "/" {
        return "/login".to_owned();
    }
    serde_urlencoded::to_string([("next", next)])
        .map_or_else(|_| "/login".to_owned(), |query| format!("/login?{query}"))
}

/// A path of ours to go on to; anything that a browser could take for another site is `/`.
pub(super) fn safe_next(next: Option<&str>) -> &str {
    next.filter(|next| {
        next.len() <= 2000
            && next.starts_with('/')
            && !next.starts_with("//")
            && !next.contains(['\\', '\r', '\n', '\t'])
            && next.bytes().all(|byte| byte.is_ascii_graphic())
    })
    .unwrap_or("/")
}

/// The style sheet.
pub(super) async fn style_sheet() -> Response {
    asset(
        "text/css; charset=utf-8",
        include_str!("../../static/app.css"),
    )
}

/// The script. Every page works without it.
pub(super) async fn script() -> Response {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("../../static/app.js"),
    )
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        ),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site_after_signing_in() {
        for bad in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/\t/evil",
            "evil",
            "",
            "/ä",
        ] {
            assert_eq!(safe_next(Some(bad)), "/", "{bad:?}");
        }
        assert_eq!(safe_next(Some("/requests/1?x=2")), "/requests/1?x=2");
        assert_eq!(safe_next(None), "/");
    }

    #[test]
    fn an_act_that_was_refused_leads_back_to_its_request_and_to_nothing_else() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(
            way_back(&format!("/requests/{id}/approve")),
            Some(format!("/requests/{id}"))
        );
        for other in [
            "/requests/new",
            "/requests",
            "/",
            "/requests/x/approve",
            "/requests//evil.example/x",
        ] {
            assert_eq!(way_back(other), None, "{other}");
        }
    }

    #[test]
    fn the_way_back_survives_the_address() {
        assert_eq!(login_url("/a?b=c&d=e"), "/login?next=%2Fa%3Fb%3Dc%26d%3De");
        assert_eq!(login_url("/"), "/login");
    }
}
