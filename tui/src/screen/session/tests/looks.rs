//! Pictures of every state at every size.

use serde_json::json;

use super::{incident, opened, with};
use crate::ask::{SessionTarget, Target};
use crate::feed::{FeedEvent, Kind, Link, Place, Source};
use crate::testing::session::{self, SESSION, last, link, news, page, thought};
use crate::testing::{Bench, SIZES};
use crate::theme::ThemeName;

fn picture(name: &str, bench: &mut Bench) {
    for (width, height) in SIZES {
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), bench.screen((width, height)));
    }
}

#[test]
fn running() {
    picture("running", &mut with("Running", session::running()));
}

#[test]
fn ended() {
    picture("ended", &mut with("Resolved", session::ended()));
}

#[test]
fn escalated_and_folds_open() {
    let mut entries = session::running();
    entries.push(session::control(13, 60_000, "budget", "12 of 12 turns are used up"));
    entries.push(session::sealed(14, 61_000, "Escalated", "the budget is used up; a person is needed"));
    let mut bench = with("Escalated", entries);
    bench.keys("T");
    picture("escalated_open", &mut bench);
}

#[test]
fn paused() {
    let mut bench = with("Running", session::running());
    bench.screen((120, 36));
    bench.keys("k k k tab");
    bench.feed(vec![news(vec![thought(13, 62_000, "It is up again."), thought(14, 63_000, "Now I wait.")])]);
    picture("paused", &mut bench);
}

#[test]
fn searched() {
    let mut bench = with("Running", session::running());
    bench.keys("g g / ");
    bench.types("tikv1");
    bench.keys("enter n");
    picture("searched", &mut bench);
}

#[test]
fn read_in_the_pager() {
    let mut bench = with("Running", session::running());
    bench.screen((120, 36));
    bench.keys("g g ] ] ] enter");
    // All of the output is not in memory: it is fetched.
    let whole = session::running().into_iter().find(|entry| entry.seq == 9).unwrap();
    bench.feed(vec![page(Place::After(8), vec![whole])]);
    picture("pager", &mut bench);
}

#[test]
fn stale() {
    let mut bench = with("Running", session::running());
    bench.feed(vec![link(Link::Lost {
        reason: "the port-forward to the audit API broke: lost connection to pod".into(),
    })]);
    bench.later(75);
    picture("stale", &mut bench);
}

#[test]
fn forbidden() {
    let lines =
        [("reasoning", "Store 1 missed heartbeats; is the container gone or wedged?"), ("tool_call", "docker ps -a")];
    let recent: Vec<_> = (3..)
        .zip(lines)
        .map(|(seq, (kind, text))| json!({"seq": seq, "kind": kind, "at": "2026-01-28T12:00:55Z", "text": text}))
        .collect();
    let mut bench = opened(incident("Running", &json!({"recentEntries": recent})));
    let reason =
        "you may not port-forward to pods (create and get on pods/portforward) in the namespace \"operator-system\"";
    bench.feed(vec![link(Link::Forbidden { reason: reason.into() })]);
    picture("forbidden", &mut bench);
}

#[test]
fn forbidden_without_a_status() {
    let mut bench = Bench::new(&Target::Session(SessionTarget::Id(SESSION.to_owned()))).listed(Vec::new());
    bench.feed(vec![link(Link::Forbidden { reason: "you may not port-forward to pods".into() })]);
    picture("forbidden_bare", &mut bench);
}

#[test]
fn empty_loading_and_queued() {
    let mut bench = opened(incident("Running", &json!({})));
    let mut all = bench.screen((80, 24));
    bench.feed(vec![last(Vec::new()), link(Link::Live)]);
    all.push_str(&bench.screen((80, 24)));
    let queued = json!({"sessionId": null, "queuePosition": 3, "message": "4 of 4 sessions run"});
    all.push_str(&opened(incident("Pending", &queued)).screen((80, 24)));
    let mut named = Bench::new(&Target::Session(SessionTarget::Id("inc-none".to_owned())));
    all.push_str(&named.screen((80, 24)));
    let mut named = named.listed(Vec::new());
    all.push_str(&named.screen((80, 24)));
    insta::assert_snapshot!(all);
}

#[test]
fn deleted() {
    let mut bench = with("Running", session::running());
    bench.feed(vec![FeedEvent::Deleted { of: Kind::Incidents, uid: "uid-inc-7f3a".to_owned() }]);
    picture("deleted", &mut bench);
    bench.keys("x");
    assert!(bench.screen((120, 36)).contains("was deleted: it cannot be changed"));
}

#[test]
fn hostile() {
    let mut bench = with("Running", session::hostile());
    bench.keys("T");
    let all = bench.screen((120, 130));
    insta::assert_snapshot!(all);
    assert!(!all.chars().any(|c| c.is_control() && c != '\n'), "{all}");
    picture("hostile", &mut bench);
}

#[test]
fn wide_characters() {
    let mut entries = session::running();
    entries.truncate(3);
    let command = "echo 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字";
    let printed =
        "漢字かな交じり文 e\u{301}e\u{301} 👩\u{200d}🚀 ok\n한국어 텍스트 | column\nالعربية | column\n".repeat(2);
    entries.push(session::call(4, 5_000, command, "見る"));
    entries.push(session::result(5, 6_000, 4, 2, 900, &printed, "\u{1b}[31mпровал\u{1b}[0m\n"));
    picture("wide", &mut with("Running", entries));
}

#[test]
fn ascii_and_without_colours() {
    let uid = "uid-inc-7f3a".into();
    let target = Target::Session(SessionTarget::Incident { uid });
    let mut bench = Bench::with(&target, ThemeName::Mono, true).listed(vec![incident("Running", &json!({}))]);
    bench.feed(vec![last(session::running()), link(Link::Live)]);
    let all = bench.screen((120, 36));
    assert!(all.is_ascii(), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn the_watch_is_lost_too() {
    let mut bench = with("Running", session::running());
    let source = Source::Kind(Kind::Incidents);
    bench.feed(vec![FeedEvent::Link { source, link: Link::Lost { reason: "the API server is away".into() } }]);
    bench.later(5);
    assert!(bench.screen((120, 36)).contains("STALE ○ 5s"));
}
