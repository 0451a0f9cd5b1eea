//! Whatever comes in whatever order: nothing panics, and what is shown is harmless.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use serde_json::json;

use crate::ask::{SessionTarget, Target};
use crate::feed::{Entry, FeedEvent, Kind, Link, Object, Place, Source, SubjectKey};
use crate::msg::{Done, Msg};
use crate::rights::Right;
use crate::testing::{Bench, chapter, incident, now, render, subject};
use crate::text::is_dropped;
use crate::theme::ThemeName;

fn hostile() -> impl Strategy<Value = String> {
    "(\\PC|[\u{1b}\u{9b}\u{9d}\u{7}\\[\\];m0-9\u{202e}\u{200b}漢\n\t]){0,30}"
}

fn link() -> impl Strategy<Value = Link> {
    prop_oneof![
        Just(Link::Connecting),
        Just(Link::Live),
        Just(Link::Ended),
        hostile().prop_map(|reason| Link::Lost { reason }),
        hostile().prop_map(|reason| Link::Forbidden { reason }),
        hostile().prop_map(|reason| Link::Missing { reason }),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn object() -> impl Strategy<Value = Object> {
    let phases = ["Pending", "Running", "Verifying", "Resolved", "Concluded", "Escalated", "Failed", "Cancelled"];
    let states = ["Ok", "Unknown", "Pending", "Violated"];
    prop_oneof![
        (0u8..12, hostile(), prop::sample::select(phases.to_vec())).prop_map(|(n, text, phase)| incident(
            &format!("inc-{n}"),
            "tikv",
            &json!({"spec": {"title": text}, "status": {"phase": phase, "message": text, "rootCause": text, "cost": text, "sessionId": format!("s-{n}"), "attempt": 1}})
        )),
        (0u8..4, hostile(), prop::sample::select(states.to_vec())).prop_map(|(n, text, state)| subject(
            &format!("subject-{n}"),
            &json!({"status": {"violated": text, "openIncident": text, "invariants": [{"name": text, "state": state, "severity": "error", "message": text, "keys": [{"key": text, "state": state, "message": text}], "total": 1}]}})
        )),
        (0i64..6, hostile()).prop_map(|(n, text)| chapter("tikv", n, "t", &json!({"spec": {"title": text, "narration": text, "waiting": text, "entered": n}}))),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let kinds = [
        "incident",
        "turn",
        "reasoning",
        "tool_call",
        "tool_result",
        "change",
        "conclusion",
        "verification",
        "note",
        "control",
        "news",
    ];
    (1i64..40, prop::sample::select(kinds.to_vec()), hostile()).prop_map(|(seq, kind, text)| Entry {
        seq,
        at: now(),
        kind: kind.to_owned(),
        data: json!({"turn": 1, "text": text, "command": text, "reasoning": text, "call": seq - 1, "toolUseId": "t", "content": text,
            "outcome": {"kind": "exited", "code": 1}, "message": text, "event": "sealed", "tool": "shell", "input": {}, "durationMs": 3}),
        summary: None,
    })
}

fn event() -> impl Strategy<Value = FeedEvent> {
    prop_oneof![
        6 => object().prop_map(|object| FeedEvent::Applied { object }),
        1 => kind().prop_map(|of| FeedEvent::Listing { of }),
        1 => kind().prop_map(|of| FeedEvent::Listed { of }),
        1 => (kind(), 0u8..12).prop_map(|(of, n)| FeedEvent::Deleted { of, uid: format!("uid-inc-{n}") }),
        1 => (kind(), link()).prop_map(|(kind, link)| FeedEvent::Link { source: Source::Kind(kind), link }),
        1 => (0u8..3, link()).prop_map(|(n, link)| FeedEvent::Link { source: Source::Session(format!("s-{n}")), link }),
        3 => (0u8..3, prop::collection::vec(entry(), 0..6), any::<bool>())
            .prop_map(|(n, entries, paged)| FeedEvent::Entries { session: format!("s-{n}"), entries, answers: paged.then_some(Place::Before(i64::MAX)) }),
        1 => (0u8..4, hostile()).prop_map(|(n, text)| FeedEvent::Observations {
            subject: SubjectKey { namespace: "shop".to_owned(), name: format!("subject-{n}") },
            document: json!({"subject": text, "display": {"groups": [{"title": text, "rows": [{"label": text, "state": text, "text": text}]}], "workload": {"label": text, "value": 3.5, "unit": text}}}),
        }),
        1 => (prop::sample::select(Right::ALL.to_vec()), any::<bool>()).prop_map(|(right, granted)| FeedEvent::Right { right, granted }),
    ]
}

fn key() -> impl Strategy<Value = KeyEvent> {
    let codes = [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::Backspace,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::PageDown,
        KeyCode::PageUp,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Delete,
    ];
    prop_oneof![
        3 => prop::sample::select("jkgGsSxrnydcpT[]NCo/?:- 12345zfbhlaY0lq".chars().collect::<Vec<_>>()).prop_map(|c| KeyCode::Char(c).into()),
        2 => prop::sample::select(codes.to_vec()).prop_map(KeyEvent::from),
        1 => any::<char>().prop_map(|c| KeyCode::Char(c).into()),
        1 => prop::sample::select("dufblrw".chars().collect::<Vec<_>>()).prop_map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)),
    ]
}

fn message() -> impl Strategy<Value = Msg> {
    prop_oneof![
        6 => key().prop_map(Msg::Key),
        4 => prop::collection::vec(event(), 0..8).prop_map(Msg::Feed),
        2 => (1u16..=300, 1u16..=100).prop_map(|(width, height)| Msg::Resize(width, height)),
        1 => (0i64..100_000).prop_map(|seconds| Msg::Clock(now() + jiff::SignedDuration::from_secs(seconds))),
        1 => hostile().prop_map(Msg::Paste),
        1 => hostile().prop_map(|text| Msg::Done(Done::Bad(text))),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        hostile().prop_map(|filter| Target::Incidents { filter }),
        Just(Target::Subjects),
        Just(Target::Session(SessionTarget::Id("s-1".to_owned()))),
        Just(Target::Session(SessionTarget::Incident { uid: "uid-inc-1".into() })),
        Just(Target::Demo("tikv".to_owned())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn nothing_panics_and_all_is_harmless(target in target(), messages in prop::collection::vec(message(), 1..60), ascii: bool) {
        let mut bench = Bench::with(&target, ThemeName::Ansi, ascii);
        for message in messages {
            bench.msg(message);
            let size = bench.model.size;
            let screen = render(&bench.model, size);
            prop_assert!(!screen.replace('\n', "").chars().any(is_dropped), "{screen:?}");
            let _ = bench.model.tick();
            let _ = bench.cmds();
        }
    }

    #[test]
    fn any_size_can_be_drawn(target in target(), objects in prop::collection::vec(object(), 0..12), width in 1u16..=300, height in 1u16..=100, keys in prop::collection::vec(key(), 0..6)) {
        let mut bench = Bench::new(&target).listed(objects);
        for key in keys {
            bench.msg(Msg::Key(key));
        }
        // A frame may come before the message that the size has changed.
        let _ = render(&bench.model, (width, height));
        let _ = bench.screen((width, height));
        let _ = render(&bench.model, (300, 100));
    }
}
