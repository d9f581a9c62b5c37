//! Bodies are read whole, and in bounded time and space, before anything looks at the request.
//!
//! A refusal that goes out while the other side still writes is often lost with the connection: so what
//! is too much is read on for a while, thrown away, and then answered.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;

use super::error::Error;

/// Largest body that is taken. A reason of 100 kB still gets the sentence that says what is too long.
pub(super) const LIMIT: usize = 256 * 1024;

/// What is read at most, to be thrown away.
const DRAINED: usize = 16 * 1024 * 1024;

/// How long a body may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Reads the body, or answers.
pub(super) async fn read_whole(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match tokio::time::timeout(WITHIN, collect(body)).await {
        Ok(Ok(bytes)) => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
        Ok(Err(refused)) => refused.into_response(),
        Err(_) => {
            let text = "The body did not arrive in time. Try again.";
            Error::status(StatusCode::REQUEST_TIMEOUT, "too_slow", text).into_response()
        }
    }
}

async fn collect(body: Body) -> Result<Bytes, Error> {
    let mut stream = body.into_data_stream();
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(some) = stream.next().await {
        let some = some.map_err(|_| {
            Error::status(
                StatusCode::BAD_REQUEST,
                "unreadable",
                "The body could not be read to its end.",
            )
        })?;
        length = length.saturating_add(some.len());
        if length <= LIMIT {
            kept.extend_from_slice(&some);
        } else if length > DRAINED {
            break;
        }
    }
    if length > LIMIT {
        let text = "That is more than Curfew reads at once (256 kB).";
        return Err(Error::status(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            text,
        ));
    }
    Ok(kept.into())
}
