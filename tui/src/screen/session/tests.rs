//! How sessions look and answer to keys. The pictures are in `snapshots/`.

mod keys;
mod looks;
mod paging;
mod random;

use serde_json::{Value, json};

use crate::ask::{SessionTarget, Target};
use crate::feed::{Entry, FeedEvent, Link, Object};
use crate::testing::session::{SESSION, last, link, record};
use crate::testing::{self, Bench};

/// The Incident whose session it is.
fn incident(phase: &str, more: &Value) -> Object {
    let mut status = json!({"phase": phase, "attempt": 1, "sessionId": SESSION, "cost": "$0.31",
        "startedAt": "2026-01-28T12:00:52Z", "commands": 4, "message": "the agent is at work"});
    for (key, value) in more.as_object().into_iter().flatten() {
        status[key] = value.clone();
    }
    testing::with_status("inc-7f3a", "tikv", "critical", &status)
}

/// The screen of the Incident's session, of which nothing has come yet.
fn opened(incident: Object) -> Bench {
    let uid = "uid-inc-7f3a".into();
    Bench::new(&Target::Session(SessionTarget::Incident { uid })).listed(vec![incident])
}

/// The screen with these entries, live.
fn with(phase: &str, entries: Vec<Entry>) -> Bench {
    let mut bench = opened(incident(phase, &json!({})));
    bench.screen((120, 36));
    bench.feed(vec![
        FeedEvent::Session { session: SESSION.to_owned(), record: record(1, SESSION, phase != "Running") },
        last(entries),
        link(if phase == "Running" { Link::Live } else { Link::Ended }),
    ]);
    bench.later(34);
    bench
}
