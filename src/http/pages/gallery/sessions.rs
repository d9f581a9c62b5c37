//! Samples of one's own sessions.

use chrono::TimeDelta;
use serde_json::json;

use super::super::samples::at;
use super::{Rendered, layout, render};
use crate::access::id::SessionId;
use crate::http::pages::sessions::{Line, Page};
use crate::postgres::sessions::Open;

fn open(seconds: i64, user_agent: &str) -> Open {
    Open {
        id: SessionId::new(at(seconds)),
        data: json!({"person": {"id": "x", "assurance": "phishing_resistant", "amr": ["hwk"]}}),
        expires_at: at(seconds) + TimeDelta::hours(8),
        began_at: Some(at(seconds)),
        ip: Some("2001:db8::17".into()),
        user_agent: Some(user_agent.into()),
    }
}

pub(super) fn samples() -> Vec<Rendered> {
    let this = open(
        60,
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
    );
    let id = Some(this.id);
    let old = Open {
        data: json!({}),
        began_at: None,
        ip: None,
        user_agent: None,
        ..open(0, "")
    };
    let several = [this, open(30, "<b>curl</b>/8"), old];
    let alone = open(60, "Mozilla/5.0 (iPhone) Version/19.0 Safari/605.1.15");
    let this = Some(alone.id);
    let page = |sessions: Vec<Line>, has_more| {
        render(&Page {
            layout: layout(0),
            sessions,
            has_more,
        })
    };
    vec![
        (
            "sessions",
            page(several.map(|open| Line::of(open, id)).into(), true),
        ),
        ("sessions-alone", page(vec![Line::of(alone, this)], false)),
    ]
}
