//! Is the request signed, and is the signature young enough?
//!
//! The age is what a broker's safety rests on: a request that was held up somewhere for longer than
//! this can't take effect any more. The signature's bytes are not looked at.

use axum::http::HeaderMap;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::refusal::Refusal;

const FORM: &str = "%Y%m%dT%H%M%SZ";
/// How far ahead of AWS's clock a signature may be.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// When the request was signed, if it is signed and young enough.
pub(super) fn check(
    headers: &HeaderMap,
    now: DateTime<Utc>,
    settle_seconds: u64,
) -> Result<DateTime<Utc>, Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(authorization) = header("authorization") else {
        return Err(Refusal::new(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )
        .status(403));
    };
    let signed_at = header("x-amz-date")
        .and_then(|date| NaiveDateTime::parse_from_str(date, FORM).ok())
        .map(|date| date.and_utc());
    let (Some(signed_at), true) = (signed_at, authorization.starts_with("AWS4-")) else {
        return Err(Refusal::new(
            "IncompleteSignatureException",
            "Authorization header requires a Signature Version 4 and an 'X-Amz-Date' header.",
        ));
    };
    check_age(signed_at, now, settle_seconds)?;
    Ok(signed_at)
}

/// Is a signature of then young enough?
pub(super) fn check_age(
    signed_at: DateTime<Utc>,
    now: DateTime<Utc>,
    settle_seconds: u64,
) -> Result<(), Refusal> {
    let settle = TimeDelta::seconds(
        i64::try_from(settle_seconds)
            .unwrap_or(i64::MAX)
            .min(86_400 * 365),
    );
    let (signed, current) = (signed_at.format(FORM), now.format(FORM));
    if now - signed_at > settle {
        let earliest = (now - settle).format(FORM);
        let allowed = words(settle);
        return Err(refusal(format!(
            "Signature expired: {signed} is now earlier than {earliest} ({current} - {allowed}.)"
        )));
    }
    if signed_at - now > AHEAD {
        let latest = (now + AHEAD).format(FORM);
        let allowed = words(AHEAD);
        return Err(refusal(format!(
            "Signature not yet current: {signed} is still later than {latest} ({current} + {allowed}.)"
        )));
    }
    Ok(())
}

fn refusal(message: String) -> Refusal {
    Refusal::new("InvalidSignatureException", message)
}

fn words(time: TimeDelta) -> String {
    match time.num_seconds() {
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} sec"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: DateTime<Utc>, date: &str) -> Result<DateTime<Utc>, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIASANDBOX".parse().unwrap(),
        );
        headers.insert("x-amz-date", date.parse().unwrap());
        check(&headers, now, 900)
    }

    #[test]
    fn a_signature_lives_fifteen_minutes_and_may_be_five_ahead() {
        let now = "2026-11-24T12:00:00.250Z".parse::<DateTime<Utc>>().unwrap();
        assert!(at(now, "20261124T120000Z").is_ok());
        assert!(at(now, "20261124T114501Z").is_ok());
        assert!(at(now, "20261124T120500Z").is_ok());
        let expired = at(now, "20261124T114500Z").unwrap_err();
        assert_eq!(expired.code, "InvalidSignatureException");
        assert_eq!(
            expired.message,
            "Signature expired: 20261124T114500Z is now earlier than 20261124T114500Z (20261124T120000Z - 15 min.)"
        );
        assert!(
            at(now, "20261124T120501Z")
                .unwrap_err()
                .message
                .starts_with("Signature not yet current")
        );
        assert_eq!(
            at(now, "yesterday").unwrap_err().code,
            "IncompleteSignatureException"
        );
    }

    #[test]
    fn an_unsigned_request_is_refused() {
        let refusal = check(&HeaderMap::new(), DateTime::UNIX_EPOCH, 900).unwrap_err();
        assert_eq!(
            (refusal.status, refusal.code),
            (403, "MissingAuthenticationTokenException")
        );
    }
}
