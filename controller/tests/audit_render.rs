//! How sessions look. The pictures are in `snapshots/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use controller::audit::render::style::Style;
use controller::audit::render::{Shown, json, markdown, table, text};
use controller::audit::testing::story;
use controller::audit::{EntryBody, StoredEntry, codec};
use jiff::{SignedDuration, Timestamp};

fn now() -> Timestamp {
    "2026-01-28T21:10:00Z".parse().unwrap()
}

fn shown() -> Shown {
    shown_of(story::bodies())
}

fn shown_of(bodies: Vec<(i64, EntryBody)>) -> Shown {
    let mut session = story::record();
    let entries: Vec<StoredEntry> = (1..)
        .zip(bodies)
        .map(|(seq, (ms, body))| {
            let at = session.new.started_at + SignedDuration::from_millis(ms);
            let bytes = codec::encode(&session.new.id, seq, at, &body).unwrap();
            codec::decode_any(&bytes, (seq == 6).then(|| "Redis is a replica of a host that is not there.".into()))
                .unwrap()
        })
        .collect();
    session.state.last_seq = 16;
    Shown { session, entries }
}

fn options(full: bool, colour: bool) -> text::Options {
    text::Options { full, style: Style { colour }, now: now() }
}

/// Nothing that a terminal obeys, but for colours of our own.
fn is_harmless(text: &str) -> bool {
    let without_colours = regex::Regex::new("\u{1b}\\[[0-9]+m").unwrap().replace_all(text, "").into_owned();
    !without_colours.chars().any(|c| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn a_session_as_text() {
    let picture = text::session(&shown(), options(false, false));
    assert!(is_harmless(&picture));
    insta::assert_snapshot!(picture);
}

#[test]
fn a_session_as_text_in_full_and_in_colours() {
    let picture = text::session(&shown(), options(true, true));
    assert!(is_harmless(&picture));
    assert!(picture.contains("line 20\n") && !picture.contains("--full shows all"));
    let plain = text::session(&shown(), options(true, false));
    assert!(!plain.contains('\u{1b}'));
    assert_eq!(regex::Regex::new("\u{1b}\\[[0-9]+m").unwrap().replace_all(&picture, ""), plain);
}

#[test]
fn a_session_as_markdown() {
    let picture = markdown::session(&shown(), false, now());
    assert!(is_harmless(&picture));
    insta::assert_snapshot!(picture);
    assert!(is_harmless(&markdown::session(&shown(), true, now())));
}

#[test]
fn what_the_invariants_said() {
    let shown = shown_of(story::checks());
    let (short, full) = (text::session(&shown, options(false, false)), text::session(&shown, options(true, false)));
    let page = markdown::session(&shown, false, now());
    for picture in [&short, &full, &page] {
        assert!(is_harmless(picture));
    }
    assert!(!short.contains("It is not gone.") && full.contains("It is not gone."), "{full}");
    let steps = |picture: &str, from: &str| picture[picture.find(from).unwrap()..].to_owned();
    insta::assert_snapshot!(format!("{}\n{}", steps(&short, "  +40"), steps(&page, "## Steps")));
}

#[test]
fn a_session_as_json_is_what_is_stored() {
    let shown = shown();
    let document = json::shown(std::slice::from_ref(&shown));
    assert!(is_harmless(&document));
    let value: serde_json::Value = serde_json::from_str(&document).unwrap();
    let entries: Vec<StoredEntry> = serde_json::from_value(value["sessions"][0]["entries"].clone()).unwrap();
    assert_eq!(entries, shown.entries);
    assert_eq!(value["sessions"][0]["session"]["incidentName"], "redis-readonly");
}

#[test]
fn a_listing() {
    let mut running = story::record();
    running.new.title =
        "漢字 and a title that is far too long to stand in a table of sessions on a terminal\n\u{1b}[2J".into();
    running.state.phase = "Running".into();
    running.state.ended_at = None;
    running.state.root_cause = None;
    let sessions = [running, story::record()];
    let options = table::Options { namespaces: false, wide: false, now: now(), style: Style::default() };
    let picture = table::sessions(&sessions, options);
    let wide = table::sessions(&sessions, table::Options { namespaces: true, wide: true, ..options });
    assert!(is_harmless(&picture) && is_harmless(&wide));
    insta::assert_snapshot!(format!("{picture}\n{wide}"));
}

#[test]
fn what_this_version_does_not_know_is_shown_as_it_stands() {
    let mut shown = shown();
    let data = serde_json::json!({"colour": "\u{1b}[2J", "n": 1});
    shown.entries = vec![StoredEntry { kind: "gossip".into(), data, ..shown.entries[0].clone() }];
    for picture in [text::session(&shown, options(false, false)), markdown::session(&shown, false, now())] {
        assert!(picture.contains("gossip") && picture.contains("colour"), "{picture}");
        assert!(is_harmless(&picture));
    }
}
