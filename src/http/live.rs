//! Live pages: `GET /requests/{id}/live` says that a request changed, as server-sent events, whichever
//! replica changed it.
//!
//! A stream carries no content. Whoever hears that something changed reads the page again, which checks
//! the reader anew. Notifications only wake: at each wake, and every few seconds without one, the stream
//! asks the database for the newest event, and whether this session may still see the request. While it
//! waits it holds no connection.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_sessions::Session;

use super::Web;
use super::error::Error;
use super::form::{RequestPath, Search};
use super::session::{self, SignedIn};
use super::view::Whole;
use crate::access::id::RequestId;
use crate::access::person::PersonId;
use crate::postgres::audit;

/// Most streams of one process.
const MOST_STREAMS: usize = 500;

/// Most streams of one person, so that nobody takes the places of all others.
const MOST_OF_ONE: usize = 10;

/// Most streams that look at the same time, so that a crowd of them leaves connections to the pages.
const MOST_LOOKS: usize = 4;

/// Notices that wait for a slow stream; one that falls further behind looks all the same.
const MOST_NOTICES: usize = 256;

/// How long a stream lives. The browser opens the next one by itself.
const LASTS: Duration = Duration::from_mins(5);

/// A look that takes so long hangs, and would keep the others from looking.
const LOOK_HANGS: Duration = Duration::from_secs(10);

/// How soon the browser opens the next one.
const REOPENED_AFTER: Duration = Duration::from_secs(2);

/// What may have changed.
#[derive(Clone, Copy, Debug)]
pub enum Notice {
    /// This request.
    Request(RequestId),
    /// Anything: nobody listened for a while.
    Anything,
}

/// The streams of one process: who wakes them, how many there may be, and their common end.
#[derive(Clone, Debug)]
pub struct Live {
    notices: broadcast::Sender<Notice>,
    places: Arc<Semaphore>,
    held: Held,
    looks: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            notices: broadcast::Sender::new(MOST_NOTICES),
            places: Arc::new(Semaphore::new(MOST_STREAMS)),
            held: Held::default(),
            looks: Arc::new(Semaphore::new(MOST_LOOKS)),
            stop: CancellationToken::new(),
        }
    }
}

impl Live {
    /// Wakes the streams that this concerns.
    pub fn wake(&self, notice: Notice) {
        // Without a stream there is nobody to tell.
        let _nobody = self.notices.send(notice);
    }

    /// Every notice from now on, for whoever keeps something up to date by them.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Ends every stream, so that a stop does not wait for them.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// Streams are ended, because the service stops.
    pub(super) fn has_ended(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// A place for one more stream of this person, if there is one.
    fn place(&self, person: &PersonId) -> Option<Place> {
        let of_all = self.places.clone().try_acquire_owned().ok()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(person.clone()).or_default();
        if *count >= MOST_OF_ONE {
            return None;
        }
        *count += 1;
        Some(Place {
            person: person.clone(),
            held: self.held.clone(),
            _of_all: of_all,
        })
    }

    /// How many streams are open.
    pub(super) fn count(&self) -> usize {
        MOST_STREAMS.saturating_sub(self.places.available_permits())
    }
}

/// How many streams everybody holds who holds any.
type Held = Arc<Mutex<HashMap<PersonId, usize>>>;

/// The place of one stream, free again when this is dropped.
struct Place {
    person: PersonId,
    held: Held,
    _of_all: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.person);
            }
        }
    }
}

/// What a page has seen already.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    /// Number of the newest event on it.
    after: i64,
}

/// `GET /requests/{id}/live`
pub(super) async fn watch(
    State(web): State<Web>,
    session: Session,
    SignedIn(by): SignedIn,
    RequestPath(id): RequestPath,
    Search(seen): Search<Seen>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    Whole::load(&web, &by.person.id, id).await?;
    let live = &web.0.live;
    let Some(place) = live.place(&by.person.id) else {
        let text = "Too many pages are watched live just now. Read the page again instead.";
        return Err(Error::status(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_streams",
            text,
        ));
    };
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let watch = Watch {
        notices: live.notices.subscribe(),
        until: Instant::now() + LASTS,
        seen: last.unwrap_or(seen.after),
        is_open: false,
        session,
        id,
        _place: place,
        web: web.clone(),
    };
    // Proxies that collect answers would hold the news back.
    let unbuffered = [(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    )];
    Ok((unbuffered, Sse::new(stream::unfold(watch, Watch::next))).into_response())
}

/// One stream.
struct Watch {
    web: Web,
    session: Session,
    id: RequestId,
    /// Number of the newest event that was announced.
    seen: i64,
    is_open: bool,
    until: Instant,
    notices: broadcast::Receiver<Notice>,
    _place: Place,
}

/// Why a stream looks.
enum Wake {
    /// It is new.
    Opened,
    /// It was told to.
    Noticed,
    /// Nothing was heard for a while.
    Quiet,
}

impl Watch {
    /// The next thing to say; none ends the stream.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            let wake = self.wake().await?;
            let newest = self.look().await?;
            let event = Event::default().data(newest.to_string());
            let event = match wake {
                _ if newest > self.seen => event.event("changed").id(newest.to_string()),
                // It keeps the connection alive, and tells each end that the other is there.
                Wake::Opened => event.event("still").retry(REOPENED_AFTER),
                Wake::Quiet => event.event("still"),
                Wake::Noticed => continue,
            };
            self.seen = self.seen.max(newest);
            return Some((Ok(event), self));
        }
    }

    /// Waits for a reason to look; none if the stream's time is over.
    async fn wake(&mut self) -> Option<Wake> {
        if !std::mem::replace(&mut self.is_open, true) {
            return Some(Wake::Opened);
        }
        let noticed = async {
            loop {
                match self.notices.recv().await {
                    Ok(Notice::Request(id)) if id != self.id => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = self.web.0.live.stop.cancelled() => None,
            () = tokio::time::sleep_until(self.until) => None,
            () = noticed => Some(Wake::Noticed),
            () = tokio::time::sleep(self.web.broker().settings.look_every) => Some(Wake::Quiet),
        }
    }

    /// The number of the request's newest event; none if this session may not see it any more, or
    /// nobody can say.
    async fn look(&self) -> Option<i64> {
        let _turn = self.web.0.live.looks.acquire().await.ok()?;
        let looked = async {
            let Some(person) = session::reload(&self.web, &self.session).await? else {
                return Ok(None);
            };
            // Whoever may not see it gets "not found".
            Whole::load(&self.web, &person.id, self.id).await?;
            let mut conn = self.web.broker().db.conn().await?;
            let newest = audit::list_of_request(&mut conn, self.id.0, false, i64::MAX, 1).await?;
            Ok::<_, Error>(newest.first().map(|event| event.seq))
        };
        match tokio::time::timeout(LOOK_HANGS, looked).await {
            Ok(Ok(newest)) => newest,
            Ok(Err(Error::Refused(_))) => None,
            error => {
                tracing::debug!(?error, "a live stream ends: nobody can say what changed");
                None
            }
        }
    }
}
