//! The Incidents screen.

use crossterm::event::KeyCode;
use insta::assert_snapshot;
use serde_json::json;

use super::{LOOKS, sizes};
use crate::act::Act;
use crate::ask::Target;
use crate::feed::{FeedEvent, Kind, Link, Object, Request, Source};
use crate::msg::{Cmd, Done, Msg};
use crate::rights::Right;
use crate::settings::Scope;
use crate::testing::{Bench, incident, incidents, with_status};
use crate::theme::ThemeName;

const ALL: Target = Target::Incidents { filter: String::new() };

/// A few of all phases.
fn some() -> Vec<Object> {
    vec![
        incident(
            "inc-7f3a",
            "tikv",
            &json!({
                "spec": {"title": "store_up violated on tikv1", "notes": [{"text": "mind the backup", "author": "jane"}]},
                "metadata": {"labels": {"team": "store"}},
                "status": {
                    "phase": "Running", "attempt": 1, "sessionId": "2026-01-28T11-58-54-19c2", "model": "offline-tikv",
                    "commands": 7, "turns": 5, "cost": "$0.31", "message": "$ docker start tikv-tikv1-1", "notesHeard": 1,
                    "startedAt": "2026-01-28T11:58:54Z",
                    "conditions": [
                        {"type": "Accepted", "status": "True", "reason": "Valid", "message": "it can be worked on", "lastTransitionTime": "2026-01-28T11:58:48Z"},
                    ],
                    "recentEntries": [
                        {"seq": 11, "kind": "reasoning", "at": "2026-01-28T12:00:52Z", "text": "Store 1 missed heartbeats; is the container gone or wedged?"},
                        {"seq": 12, "kind": "tool_call", "at": "2026-01-28T12:00:58Z", "text": "docker start tikv-tikv1-1"},
                    ],
                },
            }),
        ),
        incident(
            "inc-7e90",
            "ratelimiter",
            &json!({
                "metadata": {"creationTimestamp": "2026-01-28T11:42:30Z"},
                "spec": {"severity": "warning"},
                "status": {"phase": "Escalated", "attempt": 1, "commands": 12, "cost": "$0.90", "message": "budget: 12 of 12 turns",
                    "followUp": "Look at node2: its clock is an hour late.", "finishedAt": "2026-01-28T11:50:00Z", "startedAt": "2026-01-28T11:42:31Z"},
            }),
        ),
        incident(
            "inc-7e11",
            "tikv",
            &json!({
                "metadata": {"creationTimestamp": "2026-01-28T10:59:00Z"},
                "status": {"phase": "Resolved", "attempt": 2, "commands": 31, "cost": "$2.00", "message": "all invariants held for 15s",
                    "rootCause": "The container tikv1 was killed by the kernel: its limit of memory was too low for the load of 漢字 compaction",
                    "summary": "Raised nothing, started the container, and watched the region's leaders come back.",
                    "startedAt": "2026-01-28T10:59:06Z", "finishedAt": "2026-01-28T11:02:11Z"},
            }),
        ),
        with_status(
            "inc-7c05",
            "etcd",
            "error",
            &json!({"phase": "Pending", "queuePosition": 2, "message": "place 2 in the queue: 4 of 4 sessions run"}),
        ),
        with_status(
            "inc-7b77",
            "etcd",
            "info",
            &json!({"phase": "Cancelled", "attempt": 1, "commands": 0, "cost": "$0.00", "message": "cancelled by jane"}),
        ),
        with_status(
            "inc-7a00-with-a-very-long-name-indeed",
            "tikv",
            "error",
            &json!({"phase": "Verifying", "attempt": 1, "commands": 4, "cost": "unknown", "message": "invariants must hold for 15s, seen fresh"}),
        ),
        with_status(
            "inc-79ff",
            "etcd",
            "critical",
            &json!({"phase": "Failed", "attempt": 1, "message": "\u{1b}]0;evil\u{7}the engine\u{202e} is gone\u{1b}[2J"}),
        ),
    ]
}

fn bench() -> Bench {
    Bench::new(&ALL).listed(some())
}

#[test]
fn loading() {
    let mut bench = Bench::new(&ALL);
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn empty() {
    let mut bench = Bench::new(&ALL).listed(Vec::new());
    bench.model.settings.scope = Scope::Namespace("shop".to_owned());
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn rows() {
    assert_snapshot!(sizes(&mut bench()));
}

#[test]
fn a_title_that_is_cut_says_so() {
    let title = format!("a window holds {} units", "5077".repeat(20));
    let mut bench = Bench::new(&ALL).listed(vec![incident("inc-1", "shop", &json!({"spec": {"title": title}}))]);
    let screen = bench.screen((80, 24));
    let line = screen.lines().find(|line| line.contains("a window holds")).unwrap();
    assert!(line.trim_end_matches([' ', '"']).ends_with('…'), "{line}");
}

#[test]
fn rows_of_one_namespace() {
    let mut bench = bench();
    bench.model.settings.scope = Scope::Namespace("shop".to_owned());
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn other_looks() {
    for (name, theme, ascii) in LOOKS {
        let mut bench = Bench::with(&ALL, theme, ascii).listed(some());
        bench.keys("j space");
        assert_snapshot!(format!("looks_{name}"), sizes(&mut bench));
    }
}

#[test]
fn ascii_is_ascii() {
    let mut bench = Bench::with(&ALL, ThemeName::Ansi, true).listed(incidents(500));
    for keys in ["j space", "x", "esc ?", "esc /", "esc d"] {
        bench.keys(keys);
        let screen = bench.screen((120, 36));
        assert!(screen.is_ascii(), "{keys}: {screen}");
    }
}

#[test]
fn stale_then_live() {
    let mut bench = bench();
    let source = Source::Kind(Kind::Incidents);
    let lost = Link::Lost { reason: "The API server cannot be reached: connection refused".to_owned() };
    bench.feed(vec![FeedEvent::Link { source: source.clone(), link: lost.clone() }]);
    bench.later(20);
    bench.feed(vec![FeedEvent::Link { source: source.clone(), link: lost }]);
    bench.later(28);
    assert_snapshot!(sizes(&mut bench));
    // A watch that had to list again: nothing is doubled.
    let mut events = vec![FeedEvent::Listing { of: Kind::Incidents }];
    events.extend(some().into_iter().map(|object| FeedEvent::Applied { object }));
    events.push(FeedEvent::Listed { of: Kind::Incidents });
    events.push(FeedEvent::Link { source, link: Link::Live });
    bench.feed(events);
    let screen = bench.screen((120, 36));
    assert!(screen.contains("LIVE ●") && !screen.contains("STALE"), "{screen}");
    assert_eq!(screen.matches("inc-7e90").count(), 1, "{screen}");
}

#[test]
fn errors() {
    let source = Source::Kind(Kind::Incidents);
    for (name, link) in [
        ("missing", Link::Missing { reason: "The cluster does not know Incidents. Install the definitions: helm install operator-crds charts/operator-crds".to_owned() }),
        ("forbidden", Link::Forbidden { reason: "You may not list and watch incidents.operator.dev in all namespaces; one may be allowed: -n NAME, or :ns NAME".to_owned() }),
        ("lost", Link::Lost { reason: "The API server cannot be reached: tcp connect error: Connection refused (os error 111)".to_owned() }),
    ] {
        let mut bench = Bench::new(&ALL);
        bench.feed(vec![FeedEvent::Link { source: source.clone(), link }]);
        assert_snapshot!(format!("error_{name}"), sizes(&mut bench));
    }
}

#[test]
fn one_may_not_read_incidents_but_the_rest_works() {
    let mut bench = Bench::new(&ALL);
    let link = Link::Forbidden { reason: "You may not list and watch incidents.operator.dev".to_owned() };
    bench.feed(vec![
        FeedEvent::Link { source: Source::Kind(Kind::Incidents), link },
        FeedEvent::Applied { object: crate::testing::subject("tikv", &json!({})) },
        FeedEvent::Listed { of: Kind::Subjects },
        FeedEvent::Link { source: Source::Kind(Kind::Subjects), link: Link::Live },
    ]);
    bench.keys(":").types("subjects").keys("enter");
    let screen = bench.screen((80, 24));
    assert!(screen.contains("tikv") && screen.contains("LIVE"), "{screen}");
}

#[test]
fn confirm() {
    let mut bench = bench();
    bench.keys("x");
    assert_snapshot!(sizes(&mut bench));
    // No is the default.
    let _ = bench.cmds();
    bench.keys("enter");
    assert_eq!(bench.cmds(), []);
    bench.keys("x tab enter");
    let act = Act::Cancel {
        namespace: "shop".to_owned(),
        name: "inc-7a00-with-a-very-long-name-indeed".to_owned(),
        attempt: 1,
    };
    // The critical one is first.
    assert_ne!(bench.cmds(), [Cmd::Feed(Request::Act(act.clone()))]);
    bench.keys("j x y");
    assert_eq!(bench.cmds(), [Cmd::Feed(Request::Act(act))]);
}

#[test]
fn confirm_many() {
    let mut bench = Bench::new(&ALL).listed(incidents(100));
    bench.keys("space space space space x");
    assert_snapshot!(sizes(&mut bench));
    let _ = bench.cmds();
    bench.keys("y");
    assert_eq!(bench.cmds().len(), 4);
    assert!(bench.screen((80, 24)).contains("asking the API server"));
    for _ in 0..4 {
        bench.msg(Msg::Done(Done::Bad("could not cancel: you may not".to_owned())));
    }
    assert!(bench.screen((80, 24)).contains("✗ could not cancel"));
}

#[test]
fn a_note_is_told_after_it_was_shown() {
    let mut bench = bench();
    bench.keys("n").types("look at the disk").keys("enter");
    assert_snapshot!(bench.screen((120, 36)));
    let _ = bench.cmds();
    bench.keys("y");
    let cmds = bench.cmds();
    assert!(
        matches!(&cmds[..], [Cmd::Feed(Request::Act(Act::Note { text, first: false, .. }))] if text == "look at the disk"),
        "{cmds:?}"
    );
    // An empty one is none.
    bench.keys("n enter");
    assert!(bench.screen((80, 24)).contains("a note says something"));
}

#[test]
fn what_is_denied_is_not_offered() {
    let mut bench = bench();
    bench.feed(vec![FeedEvent::Right { right: Right::PatchIncidents, granted: false }]);
    bench.feed(vec![FeedEvent::Right { right: Right::PatchChapters, granted: false }]);
    bench.keys("x");
    let screen = bench.screen((120, 36));
    let footer = screen.lines().last().unwrap_or_default();
    assert!(!footer.contains("cancel") && screen.contains(" ro\n"), "{screen}");
}

#[test]
fn filters() {
    let mut bench = bench();
    bench.keys("/").types("tikv");
    assert_snapshot!("filter_typed", bench.screen((120, 36)));
    bench.keys("enter");
    assert!(bench.screen((120, 36)).contains("/tikv"));
    bench.keys("/").types(" (");
    assert_snapshot!("filter_wrong", bench.screen((80, 24)));
    bench.keys("esc");
    assert!(bench.screen((120, 36)).contains("3/7"), "what held before holds again");
    bench.keys("esc");
    assert!(!bench.screen((120, 36)).contains("/7"));
    bench.keys("/").types("nothing-is-called-so").keys("enter");
    assert_snapshot!("filter_leaves_none", sizes(&mut bench));
    bench.keys("/");
    for _ in 0..40 {
        bench.msg(Msg::Key(KeyCode::Backspace.into()));
    }
    assert!(bench.model.prompt.is_none() || bench.model.prompt.as_ref().is_some_and(|p| p.input.text().is_empty()));
}

#[test]
fn described_and_as_yaml() {
    let mut bench = bench();
    bench.keys("/").types("7f3a").keys("enter d");
    assert_snapshot!("described", bench.screen((120, 36)));
    bench.keys("q y");
    assert_snapshot!("yaml", bench.screen((120, 36)));
    bench.keys("/").types("cost").keys("enter");
    assert!(bench.screen((120, 36)).contains("cost: "));
}

#[test]
fn sorted_by_a_column() {
    let mut bench = bench();
    bench.keys("s s s S");
    assert_snapshot!(bench.screen((120, 36)));
}

#[test]
fn ten_thousand() {
    let mut bench = Bench::new(&ALL).listed(incidents(10_000));
    bench.keys("G");
    assert_snapshot!(bench.screen((120, 36)));
    let selected = |bench: &mut Bench| {
        let screen = bench.screen((120, 36));
        screen.lines().find(|line| line.starts_with('▌')).unwrap_or_default().to_owned()
    };
    let before = selected(&mut bench);
    // The cursor stays on its Incident while others come.
    bench.feed(vec![FeedEvent::Applied {
        object: incident("inc-new", "tikv", &json!({"status": {"phase": "Running"}})),
    }]);
    assert_eq!(selected(&mut bench), before);
    bench.keys("g g");
    assert!(selected(&mut bench).contains("CRIT"));
}

#[test]
fn a_deleted_one_leaves_its_row_to_the_next() {
    let mut bench = bench();
    bench.keys("j");
    bench.feed(vec![FeedEvent::Deleted {
        of: Kind::Incidents,
        uid: "uid-inc-7a00-with-a-very-long-name-indeed".to_owned(),
    }]);
    let screen = bench.screen((120, 36));
    let selected = screen.lines().find(|line| line.starts_with('▌')).unwrap_or_default();
    assert!(selected.contains("inc-7c05"), "{screen}");
}
