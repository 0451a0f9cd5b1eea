//! A session to look at: a store of `TiKV` is down, and an agent brings it back.

use audit_client::{EntryBody, SessionRecord, story};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::feed::{Entry, FeedEvent, Link, Place, Source};

/// The session's id.
pub const SESSION: &str = "2026-01-28T12-00-52-3a0219c2";

/// When it began.
#[must_use]
pub fn began() -> Timestamp {
    "2026-01-28T12:00:52Z".parse().unwrap()
}

/// An entry so many milliseconds after the start.
#[must_use]
pub fn entry(seq: i64, ms: i64, kind: &str, data: Value) -> Entry {
    Entry { seq, at: began() + SignedDuration::from_millis(ms), kind: kind.to_owned(), data, summary: None }
}

/// A command.
#[must_use]
pub fn call(seq: i64, ms: i64, command: &str, why: &str) -> Entry {
    let input = json!({"command": command, "reasoning": why});
    let id = format!("toolu_{seq}");
    let data = json!({"turn": 1, "toolUseId": id, "tool": "shell", "input": input, "command": command,
        "reasoning": why, "timeoutMs": 120_000});
    entry(seq, ms, "tool_call", data)
}

/// What came of it.
#[must_use]
pub fn result(seq: i64, ms: i64, call: i64, code: i64, took: i64, out: &str, err: &str) -> Entry {
    let stream = |text: &str| json!({"bytes": text.len(), "head": {"text": text}});
    let data = json!({"turn": 1, "call": call, "toolUseId": format!("toolu_{call}"),
        "outcome": {"type": "exited", "code": code}, "durationMs": took, "stdout": stream(out),
        "stderr": stream(err), "content": "", "isError": code != 0});
    entry(seq, ms, "tool_result", data)
}

/// A thought.
#[must_use]
pub fn thought(seq: i64, ms: i64, text: &str) -> Entry {
    entry(seq, ms, "reasoning", json!({"turn": 1, "text": text}))
}

/// Something that Operator did.
#[must_use]
pub fn control(seq: i64, ms: i64, event: &str, message: &str) -> Entry {
    entry(seq, ms, "control", json!({"event": event, "message": message}))
}

/// The end.
#[must_use]
pub fn sealed(seq: i64, ms: i64, phase: &str, message: &str) -> Entry {
    let details = json!({"phase": phase, "reason": phase});
    entry(seq, ms, "control", json!({"event": "sealed", "message": message, "details": details}))
}

/// A session that runs: its last command has no result yet.
#[must_use]
pub fn running() -> Vec<Entry> {
    let stores: String = (0..1204).fold("\"state_name\": \"Disconnected\"\n".to_owned(), |all, n| {
        all + &format!("\"store\": {n}, \"address\": \"tikv{n}:20160\"\n")
    });
    let names = "NAMES            STATUS\ntikv-tikv0-1     Up 2 hours\ntikv-tikv1-1     Exited (137) 20 seconds ago\ntikv-pd0-1       Up 2 hours\n";
    let title = json!({"title": "store-up violated on tikv1", "description": "tikv1: down for 5 s (grace 10 s)"});
    vec![
        entry(
            1,
            0,
            "incident",
            json!({"incident": title, "subject": {"name": "tikv"}, "model": "offline", "system": "", "user": "",
                "tools": [], "prices": {}, "budgets": {}, "operator": "0.1.0"}),
        ),
        control(2, 10, "started", "container operator-agent-3a0219c2 of image operator-agent:dev"),
        thought(3, 800, "Store 1 missed heartbeats; is the container gone or wedged?"),
        call(4, 6_000, "docker ps -a --filter label=com.docker.compose.project=tikv", "see which containers are there"),
        result(5, 6_400, 4, 0, 412, names, ""),
        call(6, 11_000, "docker logs tikv-tikv1-1 --since 5m", "read the container's last words"),
        result(7, 12_100, 6, 1, 1_090, "", "Error: No such container: tikv-tikv1-1\n"),
        call(8, 17_000, "curl -s http://pd0:2379/pd/api/v1/stores", "ask the placement driver what it sees"),
        result(9, 17_600, 8, 0, 604, &stores, ""),
        thought(
            10,
            30_000,
            "The store is down and its data is there: the container was killed. Starting it again keeps the data, and a new one would not.\nI start it and look at the store's state.",
        ),
        call(11, 41_000, "docker start tikv-tikv1-1", "bring the store back"),
        entry(
            12,
            41_200,
            "change",
            json!({"step": "begun", "action": "container.start", "summary": "docker start tikv-tikv1-1",
                "target": {"kind": "container", "id": "77", "name": "tikv-tikv1-1", "service": "tikv1"},
                "call": {"method": "POST", "path": "/containers/77/start"}}),
        ),
    ]
}

/// The same to its end.
#[must_use]
pub fn ended() -> Vec<Entry> {
    let mut all = running();
    all.extend([
        entry(
            13,
            42_900,
            "change",
            json!({"step": "completed", "change": 12, "durationMs": 1_700,
                "outcome": {"type": "succeeded", "status": 204}}),
        ),
        result(14, 43_000, 11, 0, 2_000, "tikv-tikv1-1\n", ""),
        entry(15, 50_000, "note", json!({"number": 1, "author": "jane", "text": "Mind the region leaders."})),
        entry(
            16,
            61_000,
            "conclusion",
            json!({"turn": 6, "outcome": "resolved", "evidence": [5, 9, 14],
                "rootCause": "The container of tikv1 was killed (exit 137), so store 1 was down.",
                "summary": "Started the container again; the store is up and its regions have leaders.",
                "followUp": "Find out who killed it: docker events has nothing before 12:00:40."}),
        ),
        entry(
            17,
            62_000,
            "verification",
            json!({"step": "begun", "attempt": 1, "attempts": 3, "stabilizationMs": 30_000}),
        ),
        entry(
            18,
            93_000,
            "verification",
            json!({"step": "ended", "attempt": 1, "verdict": "holds", "windowMs": 30_400, "seen": 31}),
        ),
        sealed(19, 94_000, "Resolved", "all invariants held for 30 s"),
    ]);
    all
}

/// A session with everything in it that has to be shown well, hostile output included.
#[must_use]
pub fn hostile() -> Vec<Entry> {
    let told = story::bodies().into_iter().chain(story::checks());
    (1..).zip(told).map(|(seq, (ms, body))| written(seq, ms, &body)).collect()
}

/// An entry of the controller's own shape.
#[must_use]
pub fn written(seq: i64, ms: i64, body: &EntryBody) -> Entry {
    let mut value = serde_json::to_value(body).unwrap();
    entry(seq, ms, body.kind().as_str(), value["data"].take())
}

/// The session's record.
#[must_use]
pub fn record(attempt: i64, id: &str, over: bool) -> Value {
    let mut record: SessionRecord = story::record();
    record.new.id = id.to_owned().into();
    record.new.attempt = attempt;
    record.new.incident_namespace = "shop".into();
    record.new.incident_name = "inc-7f3a".into();
    record.new.incident_uid = "uid-inc-7f3a".into();
    record.new.subject = "tikv".into();
    record.new.title = "store-up violated on tikv1".into();
    record.new.started_at = began();
    record.state.commands = 4;
    record.state.root_cause = over.then(|| "The container of tikv1 was killed (exit 137), so store 1 was down.".into());
    record.state.summary = None;
    record.state.phase = if over { "Resolved" } else { "Running" }.into();
    record.state.ended_at = over.then(|| began() + SignedDuration::from_secs(94));
    serde_json::to_value(record).unwrap()
}

/// The last entries, as they are asked for at first.
#[must_use]
pub fn last(entries: Vec<Entry>) -> FeedEvent {
    page(Place::Before(i64::MAX), entries)
}

/// A page that was asked for.
#[must_use]
pub fn page(place: Place, entries: Vec<Entry>) -> FeedEvent {
    FeedEvent::Entries { session: SESSION.to_owned(), entries, answers: Some(place) }
}

/// What was just written.
#[must_use]
pub fn news(entries: Vec<Entry>) -> FeedEvent {
    FeedEvent::Entries { session: SESSION.to_owned(), entries, answers: None }
}

/// How its connection stands.
#[must_use]
pub fn link(link: Link) -> FeedEvent {
    FeedEvent::Link { source: Source::Session(SESSION.to_owned()), link }
}
