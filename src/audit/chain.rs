//! The chain: canonical bytes (RFC 8785), hashes (SHA-256), and the verifier that needs nothing but
//! an export.
//!
//! An event's hash covers everything of it but the hash itself, the hash of the event before it
//! included, so that a changed, dropped or moved event shows. What a chain alone can't show is a cut
//! at its end or a rewrite from some point on: for that the verifier takes an earlier head.

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::event::{self, Event, Place};
use crate::access::person::Actor;

/// `prev_hash` of the first event.
pub const START: [u8; 32] = [0; 32];

/// Largest whole number that every JSON reader keeps exactly.
const LARGEST: i64 = (1 << 53) - 1;

/// The fields of an event, all of them always there (absent things are `null`).
const FIELDS: [&str; 11] = [
    "seq",
    "id",
    "time",
    "type",
    "actor",
    "request_id",
    "grant_id",
    "target",
    "data",
    "prev_hash",
    "hash",
];

/// An event in its place: ready to be stored and exported as it is.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The canonical bytes of the whole event.
    pub canonical: Vec<u8>,
    /// Its hash.
    pub hash: [u8; 32],
}

/// Puts an event into its place.
///
/// # Errors
/// If a value can't be canonicalised exactly (a float, too large a number): a defect of the caller.
pub fn seal(event: &Event, actor: &Actor, place: &Place) -> Result<Sealed, String> {
    let mut body = event::body(event, actor, place);
    exact(&body)?;
    let hash: [u8; 32] = Sha256::digest(canonical(&body)?).into();
    body.insert("hash".to_owned(), Value::String(hex::encode(hash)));
    Ok(Sealed {
        canonical: canonical(&body)?,
        hash,
    })
}

fn canonical(body: &Map<String, Value>) -> Result<Vec<u8>, String> {
    serde_json_canonicalizer::to_vec(body).map_err(|error| error.to_string())
}

/// Only values that mean the same to every reader (protocol A1).
fn exact(body: &Map<String, Value>) -> Result<(), String> {
    fn check(value: &Value) -> Result<(), String> {
        match value {
            Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
            Value::Number(number) => match number.as_i64() {
                Some(whole) if whole.abs() <= LARGEST => Ok(()),
                _ => Err(format!(
                    "the number {number} is not a whole number within ±(2^53-1)"
                )),
            },
            Value::Array(values) => values.iter().try_for_each(check),
            Value::Object(object) => exact(object),
        }
    }
    for key in body.keys() {
        if !key.is_ascii() {
            return Err(format!("the key {key:?} is not ASCII"));
        }
        // Some readers, `serde_json` among them, give such keys a meaning of their own.
        if key.starts_with('$') {
            return Err(format!("the key {key:?} begins with a dollar sign"));
        }
    }
    body.values().try_for_each(check)
}

/// A point of the log: how long it is, and the hash of its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the last event; 0 before the first.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Head {
    /// Before the first event.
    pub const START: Self = Self {
        seq: 0,
        hash: START,
    };
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, hex::encode(self.hash))
    }
}

impl std::str::FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (seq, hash) = text
            .split_once(':')
            .ok_or("a checkpoint has the form SEQ:HASH")?;
        // One spelling only, as `docs/verify.py` takes it: no sign, no zero in front, no upper case.
        let is_number = (1..=16).contains(&seq.len())
            && !seq.starts_with('0')
            && seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = seq
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or("SEQ is not a number from 1, of at most 16 digits")?;
        let mut bytes = [0; 32];
        if hash.bytes().any(|byte| byte.is_ascii_uppercase())
            || hex::decode_to_slice(hash, &mut bytes).is_err()
        {
            return Err("HASH is not 64 lower-case hexadecimal digits".to_owned());
        }
        Ok(Self { seq, hash: bytes })
    }
}

/// One event that is sound by itself: canonical, complete, with the hash of its content.
struct Sound {
    head: Head,
    prev_hash: String,
    begins_log: bool,
}

impl Sound {
    /// Takes an event in its exported bytes without the line break.
    fn read(line: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
        let Value::Object(mut object) = value else {
            return Err("not a JSON object".to_owned());
        };
        exact(&object)?;
        // Canonical bytes have one spelling: this also finds duplicate keys and extra spaces.
        if canonical(&object)? != line {
            return Err("not in canonical form (RFC 8785)".to_owned());
        }
        if let Some(missing) = FIELDS.iter().find(|&&field| !object.contains_key(field)) {
            return Err(format!("{missing} is missing"));
        }
        if let Some(unknown) = object.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(format!("{unknown:?} is not a field of an event"));
        }
        let Some(Value::String(hash)) = object.remove("hash") else {
            return Err("hash is not a string".to_owned());
        };
        let computed: [u8; 32] = Sha256::digest(canonical(&object)?).into();
        if hash != hex::encode(computed) {
            return Err("hash does not match the content: the event was changed".to_owned());
        }
        let seq = object.get("seq").and_then(Value::as_i64);
        let prev_hash = object.get("prev_hash").and_then(Value::as_str);
        Ok(Self {
            head: Head {
                seq: seq.ok_or("seq is not a number")?,
                hash: computed,
            },
            prev_hash: prev_hash.ok_or("prev_hash is not a string")?.to_owned(),
            begins_log: object["type"] == "log.started" && object["data"]["format"] == 1,
        })
    }

    /// May it be the event right after this one?
    fn follows(&self, head: Head) -> Result<(), String> {
        if self.prev_hash != hex::encode(head.hash) {
            return Err("prev_hash is not the hash of the event before it".to_owned());
        }
        if self.head.seq == 1 && !self.begins_log {
            return Err("the first event is not log.started, format 1".to_owned());
        }
        Ok(())
    }
}

/// Follows a log event by event.
#[derive(Debug)]
pub struct Verifier {
    head: Head,
    /// Events may be left out in between.
    is_selection: bool,
}

impl Verifier {
    /// From the start, or from a point that is trusted already.
    #[must_use]
    pub fn from(head: Head) -> Self {
        Self {
            head,
            is_selection: false,
        }
    }

    /// Of a filtered export: each event by itself and in order, and a chain wherever two are
    /// neighbours. That an event was dropped can't be seen (protocol A4).
    #[must_use]
    pub fn of_selection() -> Self {
        Self {
            head: Head::START,
            is_selection: true,
        }
    }

    /// The last event that was good.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Takes the next event, in its exported bytes without the line break.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn next(&mut self, line: &[u8]) -> Result<(), String> {
        let event = Sound::read(line)?;
        let (seq, expected) = (event.head.seq, self.head.seq + 1);
        if self.is_selection && seq < expected {
            return Err(format!(
                "seq is {seq} where at least {expected} was expected: an event is doubled or moved"
            ));
        }
        if !self.is_selection && seq != expected {
            return Err(format!(
                "seq is {seq} where {expected} was expected: an event is missing, doubled or moved"
            ));
        }
        if seq == expected {
            event.follows(self.head)?;
        }
        self.head = event.head;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::id::EventId;
    use crate::access::request::tests::at;
    use crate::audit::event::EventType;

    fn log(length: i64) -> Vec<Vec<u8>> {
        let mut prev_hash = START;
        (1..=length)
            .map(|seq| {
                let kind = if seq == 1 {
                    EventType::LogStarted
                } else {
                    EventType::RequestCreated
                };
                let event = Event::new(kind)
                    .with("reason", "ünïcode \u{1F600} \"quoted\"\n")
                    .with("n", seq)
                    .with("format", 1);
                let place = Place {
                    seq,
                    id: EventId::new(at(seq)),
                    time: at(seq),
                    prev_hash,
                };
                let sealed = seal(&event, &Actor::System, &place).unwrap();
                prev_hash = sealed.hash;
                sealed.canonical
            })
            .collect()
    }

    fn verify(lines: &[Vec<u8>]) -> Result<Head, (usize, String)> {
        let mut verifier = Verifier::from(Head::START);
        for (index, line) in lines.iter().enumerate() {
            verifier.next(line).map_err(|why| (index + 1, why))?;
        }
        Ok(verifier.head())
    }

    #[test]
    fn an_untouched_log_verifies_to_its_head() {
        assert_eq!(verify(&log(5)).unwrap().seq, 5);
    }

    #[test]
    fn every_single_changed_byte_is_found_at_its_event() {
        let good = log(3);
        for at in 0..good[1].len() {
            let mut lines = good.clone();
            lines[1][at] ^= 1;
            assert_eq!(verify(&lines).unwrap_err().0, 2, "byte {at}");
        }
    }

    /// A first event, changed, with a hash that fits.
    fn forged(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
        let mut body: Map<String, Value> = serde_json::from_slice(&log(1)[0]).unwrap();
        body.remove("hash");
        change(&mut body);
        let hash = hex::encode(Sha256::digest(canonical(&body).unwrap()));
        body.insert("hash".to_owned(), hash.into());
        canonical(&body).unwrap()
    }

    fn refusal(change: impl FnOnce(&mut Map<String, Value>)) -> String {
        verify(&[forged(change)]).unwrap_err().1
    }

    #[test]
    fn an_event_has_all_its_fields_and_no_other() {
        assert!(verify(&[forged(|_| ())]).is_ok());
        for field in FIELDS.into_iter().filter(|&field| field != "hash") {
            assert_eq!(
                refusal(|body| drop(body.remove(field))),
                format!("{field} is missing")
            );
        }
        let extra = refusal(|body| drop(body.insert("note".to_owned(), Value::Null)));
        assert_eq!(extra, "\"note\" is not a field of an event");
    }

    #[test]
    fn a_log_begins_with_log_started_of_format_1() {
        for data in [
            Value::Null,
            "1".into(),
            serde_json::json!({}),
            serde_json::json!({"format": 2}),
            serde_json::json!({"format": true}),
            serde_json::json!({"format": "1"}),
        ] {
            let why = refusal(|body| drop(body.insert("data".to_owned(), data)));
            assert!(why.contains("log.started, format 1"), "{why}");
        }
        let why = refusal(|body| drop(body.insert("type".to_owned(), "log.ended".into())));
        assert!(why.contains("log.started, format 1"), "{why}");
    }

    #[test]
    fn keys_are_ascii_and_no_reader_s_own() {
        for key in ["ö", "$x"] {
            let why = refusal(|body| body["data"][key] = "1".into());
            assert!(why.contains(key), "{why}");
        }
        refusal(|body| body["data"] = serde_json::json!({"$serde_json::private::RawValue": "1"}));
    }

    #[test]
    fn dropped_doubled_and_moved_events_are_found() {
        let good = log(4);
        for order in [
            vec![0, 2, 3],
            vec![0, 1, 1, 2],
            vec![0, 2, 1, 3],
            vec![1, 2, 3],
        ] {
            let lines: Vec<_> = order.iter().map(|&at| good[at].clone()).collect();
            assert!(verify(&lines).is_err(), "{order:?}");
        }
    }

    #[test]
    fn of_a_selection_events_may_be_missing_but_none_changed_doubled_or_moved() {
        let good = log(5);
        let select = |order: &[usize]| {
            let mut verifier = Verifier::of_selection();
            order
                .iter()
                .try_for_each(|at| verifier.next(&good[*at]))
                .map(|()| verifier.head().seq)
        };
        for (order, head) in [(&[0, 1, 2][..], 3), (&[1, 3], 4), (&[4], 5), (&[], 0)] {
            assert_eq!(select(order), Ok(head));
        }
        for order in [&[1, 1][..], &[3, 1]] {
            assert!(select(order).unwrap_err().contains("doubled or moved"));
        }
        let mut changed = good[3].clone();
        changed[20] ^= 1;
        assert!(Verifier::of_selection().next(&changed).is_err());
        // Neighbours are still a chain.
        let mut verifier = Verifier::of_selection();
        verifier.next(&good[0]).unwrap();
        let why = verifier.next(&forged(|body| body["seq"] = 2.into()));
        assert!(why.unwrap_err().contains("prev_hash"));
    }

    #[test]
    fn a_consistent_rewrite_is_found_by_an_earlier_head() {
        let checkpoint = verify(&log(2)).unwrap();
        let rewritten = {
            let event = Event::new(EventType::RequestCreated);
            let place = Place {
                seq: 3,
                id: EventId::new(at(3)),
                time: at(3),
                prev_hash: [7; 32],
            };
            seal(&event, &Actor::System, &place).unwrap().canonical
        };
        assert!(
            Verifier::from(checkpoint)
                .next(&rewritten)
                .unwrap_err()
                .contains("prev_hash")
        );
    }

    #[test]
    fn numbers_that_readers_would_round_are_never_sealed() {
        let place = Place {
            seq: 1,
            id: EventId::new(at(1)),
            time: at(1),
            prev_hash: START,
        };
        for bad in [
            Value::from(1.5),
            Value::from(1_i64 << 53),
            Value::from(u64::MAX),
        ] {
            let event = Event::new(EventType::LogStarted).with("n", bad);
            assert!(seal(&event, &Actor::System, &place).is_err());
        }
    }

    #[test]
    fn a_checkpoint_is_read_back_as_it_was_written() {
        let head = verify(&log(2)).unwrap();
        assert_eq!(head.to_string().parse(), Ok(head));
    }

    #[test]
    fn a_checkpoint_has_one_spelling() {
        let hash = "0f".repeat(32);
        for good in ["1", "10", "9999999999999999"] {
            assert!(format!("{good}:{hash}").parse::<Head>().is_ok(), "{good}");
        }
        for seq in [
            "",
            "0",
            "01",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "١",
            "10000000000000000",
        ] {
            assert!(format!("{seq}:{hash}").parse::<Head>().is_err(), "{seq:?}");
        }
        for hash in [
            "",
            "xy",
            &hash[1..],
            &format!("{hash}0f"),
            &hash.to_uppercase(),
            &format!("{hash}\n"),
        ] {
            assert!(format!("5:{hash}").parse::<Head>().is_err(), "{hash:?}");
        }
        assert!("x".parse::<Head>().is_err());
    }
}
