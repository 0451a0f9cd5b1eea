//! Whatever comes, in whatever order: nothing panics, and heights are what is drawn.

use std::collections::VecDeque;

use proptest::prelude::*;
use serde_json::json;

use super::super::digest::Digest;
use super::super::layout::{Folds, Layout};
use super::super::rows::{Canvas, Shown, rows};
use super::super::transcript::{Keep, START, Transcript};
use super::with;
use crate::feed::{Entry, FeedEvent, Kind, Link};
use crate::msg::Msg;
use crate::settings::Settings;
use crate::testing::session::{self, entry, last, link, news};
use crate::theme::ThemeName;

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,80}",
        "(\\PC|[\n\t\r\u{1b}\u{9b}\u{7}\u{202e}\\[\\];m0-9]){0,60}",
        Just("x\n".repeat(100)),
        Just("漢".repeat(20_000)),
        Just(String::new()),
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (0..12u8, 1..60i64, 0..60i64, any_text(), any_text(), 0..200i64).prop_map(|(kind, seq, other, one, two, ms)| {
        let mut made = match kind {
            0 => session::thought(seq, ms, &one),
            1 | 2 => session::call(seq, ms, &one, &two),
            3 | 4 => session::result(seq, ms, other, i64::from(one.len() > 20), ms, &one, &two),
            5 => session::control(seq, ms, "error", &one),
            6 => entry(
                seq,
                ms,
                "change",
                json!({"step": "begun", "action": "x", "summary": one,
                "target": {"kind": "container", "id": "", "name": two}, "call": {}}),
            ),
            7 => entry(
                seq,
                ms,
                "change",
                json!({"step": "completed", "change": other, "durationMs": ms,
                "outcome": {"type": "failed", "status": 500, "message": one}}),
            ),
            8 => entry(
                seq,
                ms,
                "verification",
                json!({"step": "begun", "attempt": 1, "attempts": 3, "stabilizationMs": ms}),
            ),
            9 => entry(
                seq,
                ms,
                "verification",
                json!({"step": "ended", "attempt": 1, "verdict": "violated",
                "findings": [{"invariant": one, "key": two, "message": one}]}),
            ),
            10 => entry(seq, ms, &one, json!({"what": two})),
            _ => entry(seq, ms, "note", json!({"number": 1, "author": one, "text": two})),
        };
        made.summary = (ms % 7 == 0).then_some(two);
        made
    })
}

fn any_message() -> impl Strategy<Value = Msg> {
    let keys = "jkgGTt[]{}nNcCodxrm<>/:yq? ".chars().collect::<Vec<_>>();
    let key = prop::sample::select(keys).prop_map(|c| key(crossterm::event::KeyCode::Char(c)));
    let named = prop::sample::select(vec![
        crossterm::event::KeyCode::Enter,
        crossterm::event::KeyCode::Esc,
        crossterm::event::KeyCode::Tab,
        crossterm::event::KeyCode::Up,
        crossterm::event::KeyCode::PageDown,
        crossterm::event::KeyCode::PageUp,
        crossterm::event::KeyCode::Home,
        crossterm::event::KeyCode::End,
    ]);
    let feed = prop_oneof![
        prop::collection::vec(any_entry(), 0..6).prop_map(|entries| last(sorted(entries))),
        prop::collection::vec(any_entry(), 0..6).prop_map(|entries| news(sorted(entries))),
        Just(link(Link::Live)),
        Just(link(Link::Lost { reason: "x".into() })),
        Just(link(Link::Forbidden { reason: "x".into() })),
        Just(link(Link::Ended)),
        Just(FeedEvent::Deleted { of: Kind::Incidents, uid: "uid-inc-7f3a".into() }),
    ];
    prop_oneof![
        4 => key,
        2 => named.prop_map(key_of),
        3 => feed.prop_map(|event| Msg::Feed(vec![event])),
        1 => (1..300u16, 1..100u16).prop_map(|(width, height)| Msg::Resize(width, height)),
    ]
}

fn key(code: crossterm::event::KeyCode) -> Msg {
    Msg::Key(code.into())
}

fn key_of(code: crossterm::event::KeyCode) -> Msg {
    key(code)
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| entry.seq);
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(messages in prop::collection::vec(any_message(), 1..60)) {
        let mut bench = with("Running", session::running());
        for message in messages {
            let size = if let Msg::Resize(width, height) = message { (width, height) } else { bench.model.size };
            bench.msg(message);
            bench.screen(size);
            bench.model.end = None;
        }
    }

    #[test]
    fn heights_are_what_is_drawn(entries in prop::collection::vec(any_entry(), 0..50), width in 1..250usize, open: bool) {
        let mut numbered = entries;
        (1..).zip(&mut numbered).for_each(|(seq, entry)| entry.seq = seq);
        let settings = Settings::new(ThemeName::Ansi, false);
        let (mut transcript, mut layout, mut folds) = (Transcript::default(), Layout::default(), Folds::default());
        transcript.jump(START);
        transcript.page(START, numbered);
        if open {
            folds.turn();
        }
        let canvas =
            Canvas { settings: &settings, width, digits: 2, now: session::began(), over: false, search: None };
        layout.settle(&transcript, &folds, &canvas);
        let mut drawn = 0;
        for (index, step) in layout.steps().iter().enumerate() {
            let open = layout.is_open(step.seq);
            let lines = rows(Shown { step, entries: transcript.entries(), open, selected: true }, &canvas);
            prop_assert_eq!(layout.span(index), (drawn, drawn + lines.len()));
            prop_assert!(!lines.is_empty());
            if width >= 60 {
                for line in &lines {
                    prop_assert!(line.width() <= width, "{} of {width}: {line:?}", line.width());
                }
            }
            drawn += lines.len();
        }
        prop_assert_eq!(layout.rows(), drawn);
        // Measured once, not again.
        let measured = layout.measured();
        prop_assume!(!transcript.entries().is_empty());
        transcript.written(vec![session::thought(1_000, 1, "not the next")], Keep::Last);
        layout.settle(&transcript, &folds, &canvas);
        prop_assert_eq!(layout.measured(), measured);
        let digests: VecDeque<Digest> = transcript.entries().clone();
        prop_assert!(digests.iter().all(|digest| digest.size() < 200_000));
    }
}
