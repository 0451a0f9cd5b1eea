//! What keys do.

use serde_json::json;

use super::{incident, opened, with};
use crate::act::Act;
use crate::feed::{FeedEvent, Format, Link, Object, Place, Request};
use crate::msg::Cmd;
use crate::overlay::Overlay;
use crate::testing::Bench;
use crate::testing::session::{self, SESSION, last, link, news, page, record, thought};

fn requests(bench: &mut Bench) -> Vec<Request> {
    let cmds = bench.cmds().into_iter();
    cmds.filter_map(|cmd| if let Cmd::Feed(request) = cmd { Some(request) } else { None }).collect()
}

#[test]
fn opening_asks_for_the_end_and_then_follows() {
    let mut bench = opened(incident("Running", &json!({})));
    let session = || SESSION.to_owned();
    let first = requests(&mut bench);
    assert!(first.contains(&Request::Session { session: session() }), "{first:?}");
    let end = Request::Page { session: session(), place: Place::Before(i64::MAX), limit: 400 };
    assert_eq!(first.iter().filter(|request| **request == end).count(), 1, "{first:?}");
    assert!(first.contains(&Request::Sessions { namespace: "shop".into(), name: "inc-7f3a".into() }), "{first:?}");
    bench.feed(vec![last(session::running())]);
    assert_eq!(requests(&mut bench), [Request::Follow { session: session(), after: 12 }]);
    bench.feed(vec![news(vec![thought(13, 60_000, "x")])]);
    assert!(requests(&mut bench).is_empty());
}

#[test]
fn a_cut_connection_doubles_nothing() {
    let mut bench = with("Running", session::running());
    bench.feed(vec![link(Link::Lost { reason: "away".into() })]);
    bench.feed(vec![link(Link::Live), news(session::running()), news(vec![thought(13, 60_000, "once")])]);
    bench.feed(vec![news(vec![thought(13, 60_000, "once")])]);
    let shown = bench.screen((200, 50));
    assert_eq!(shown.matches("once").count(), 1, "{shown}");
    assert_eq!(shown.matches("docker logs").count(), 1, "{shown}");
}

#[test]
fn the_end_asks_for_the_record() {
    let mut bench = with("Running", session::running());
    requests(&mut bench);
    let rest = session::ended().split_off(12);
    bench.feed(vec![news(rest)]);
    assert_eq!(requests(&mut bench), [Request::Session { session: SESSION.to_owned() }]);
    let shown = bench.screen((120, 36));
    assert!(shown.contains("Resolved after 01:34"), "{shown}");
}

#[test]
fn scrolling_back_pauses_and_g_follows() {
    let mut bench = with("Running", session::running());
    bench.screen((80, 24));
    bench.keys("k");
    assert!(bench.screen((80, 24)).contains("PAUSED at step 10"));
    bench.feed(vec![news(vec![thought(13, 60_000, "a"), thought(14, 60_000, "b")])]);
    assert!(bench.screen((80, 24)).contains("2 new"));
    bench.keys("G");
    assert!(bench.screen((80, 24)).contains("FOLLOW"));
    // At the end, going on is following.
    bench.keys("k j j");
    assert!(bench.screen((80, 24)).contains("FOLLOW"));
    bench.keys("g g");
    assert!(bench.screen((80, 24)).contains("PAUSED at step 1 "));
}

#[test]
fn commands_and_failures_are_found() {
    let mut bench = with("Running", session::running());
    bench.screen((80, 24));
    let at = |bench: &mut Bench| {
        let shown = bench.screen((80, 24));
        let line = shown.lines().find(|line| line.starts_with('▌')).unwrap().to_owned();
        line[3..].split_whitespace().find(|word| word.parse::<u32>().is_ok()).unwrap().to_owned()
    };
    bench.keys("g g ]");
    assert_eq!(at(&mut bench), "4");
    bench.keys("] ]");
    assert_eq!(at(&mut bench), "8");
    bench.keys("{");
    assert_eq!(at(&mut bench), "6");
    bench.keys("[");
    assert_eq!(at(&mut bench), "4");
    bench.keys("[");
    assert!(bench.screen((80, 24)).contains("no further command above"));
    bench.keys("/");
    bench.types("heartbeats");
    bench.keys("enter");
    assert!(bench.screen((80, 24)).contains("no further match below"));
    bench.keys("N");
    assert_eq!(at(&mut bench), "3");
    bench.keys("esc");
    assert!(!bench.screen((80, 24)).contains("/heartbeats"));
}

#[test]
fn copying() {
    let mut bench = with("Running", session::running());
    bench.screen((120, 36));
    bench.cmds();
    bench.keys("g g ] c");
    let copied = bench.cmds();
    assert_eq!(copied, [Cmd::Copy("docker ps -a --filter label=com.docker.compose.project=tikv".into())]);
    bench.keys("C");
    let copied = bench.cmds();
    assert!(matches!(copied.as_slice(), [Cmd::Copy(text)] if text.starts_with("NAMES")), "{copied:?}");
    // Of what is not all here, the whole is fetched first.
    bench.keys("] ] C");
    let place = Place::After(8);
    assert_eq!(requests(&mut bench), [Request::Page { session: SESSION.into(), place, limit: 1 }]);
    bench.feed(vec![page(Place::After(8), vec![session::running()[8].clone()])]);
    let copied = bench.cmds();
    assert!(matches!(copied.as_slice(), [Cmd::Copy(text)] if text.lines().count() == 1_205), "{copied:?}");
    // If that fails, what is here has to do.
    bench.keys("C");
    bench.feed(vec![link(Link::Lost { reason: "away".into() })]);
    assert!(bench.cmds().iter().any(|cmd| matches!(cmd, Cmd::Copy(text) if text.contains("not shown here"))));
}

#[test]
fn exporting() {
    let mut bench = with("Resolved", session::ended());
    bench.cmds();
    bench.keys("o");
    assert!(bench.screen((120, 36)).contains(&format!("export to: {SESSION}.md")));
    bench.keys("enter");
    let (session, path) = (SESSION.to_owned(), format!("{SESSION}.md"));
    assert_eq!(requests(&mut bench), [Request::Export { session, path, format: Format::Markdown }]);
    bench.keys("o backspace backspace");
    bench.types("txt");
    bench.keys("enter");
    assert!(bench.screen((120, 36)).contains("end the name with .md"));
    bench.keys("backspace backspace backspace");
    bench.types("jsonl");
    bench.keys("enter");
    assert!(matches!(requests(&mut bench).as_slice(), [Request::Export { format: Format::JsonLines, .. }]));
}

#[test]
fn cancelling_retrying_and_notes() {
    let mut bench = with("Running", session::running());
    bench.cmds();
    bench.keys("x");
    let shown = bench.screen((120, 36));
    assert!(shown.contains("PATCH /apis/operator.dev/v1alpha1/namespaces/shop/incidents/inc-7f3a"), "{shown}");
    assert!(shown.contains(r#"{"spec":{"cancel":1}}"#), "{shown}");
    bench.keys("enter");
    assert!(requests(&mut bench).is_empty(), "no is the default");
    bench.keys("x y");
    assert!(matches!(requests(&mut bench).as_slice(), [Request::Act(Act::Cancel { attempt: 1, .. })]));
    bench.keys("r");
    assert!(bench.screen((120, 36)).contains("cancel it first"));
    bench.keys("m");
    bench.types("Mind the leaders.");
    bench.keys("enter");
    assert!(bench.screen((120, 36)).contains("Mind the"));
    bench.keys("y");
    let asked = requests(&mut bench);
    assert!(matches!(asked.as_slice(), [Request::Act(Act::Note { text, .. })] if text == "Mind the leaders."));
    let mut over = with("Resolved", session::ended());
    over.cmds();
    over.keys("x");
    assert!(over.screen((120, 36)).contains("there is nothing to cancel"));
    over.keys("r y");
    assert!(matches!(requests(&mut over).as_slice(), [Request::Act(Act::Retry { attempt: 2, .. })]));
}

#[test]
fn attempts() {
    let other = "2026-01-28T11-00-00-00000001";
    let mut bench = with("Running", session::running());
    let object = incident("Running", &json!({"attempt": 2}));
    bench.feed(vec![FeedEvent::Applied { object }]);
    requests(&mut bench);
    let records = vec![record(2, SESSION, false), record(1, other, true)];
    bench.feed(vec![
        FeedEvent::Session { session: SESSION.into(), record: record(2, SESSION, false) },
        FeedEvent::Sessions { namespace: "shop".into(), name: "inc-7f3a".into(), records },
    ]);
    let shown = bench.screen((120, 36));
    assert!(shown.contains("3a0219c2 (attempt 2 of 2)"), "{shown}");
    bench.keys("<");
    let asked = requests(&mut bench);
    assert!(asked.contains(&Request::Unfollow { session: SESSION.into() }), "{asked:?}");
    assert!(asked.contains(&Request::Session { session: other.into() }), "{asked:?}");
    let earlier =
        FeedEvent::Entries { session: other.into(), entries: session::ended(), answers: Some(Place::Before(i64::MAX)) };
    bench.feed(vec![FeedEvent::Session { session: other.into(), record: record(1, other, true) }, earlier]);
    let shown = bench.screen((120, 36));
    assert!(shown.contains("00000001 (attempt 1 of 2)") && shown.contains("attempt 2 is there"), "{shown}");
    bench.keys("<");
    assert!(bench.screen((120, 36)).contains("there is no attempt before"));
    bench.keys(">");
    let shown = bench.screen((120, 36));
    assert!(shown.contains("3a0219c2 (attempt 2 of 2)"), "{shown}");
}

#[test]
fn leaving_lets_the_session_go() {
    let mut bench = with("Running", session::running());
    bench.cmds();
    bench.keys("- :");
    bench.types("incidents");
    bench.keys("enter :");
    bench.types("subjects");
    bench.keys("enter");
    assert!(requests(&mut bench).contains(&Request::Unfollow { session: SESSION.into() }));
}

#[test]
fn rights_that_come_back_bring_the_entries() {
    let line = json!({"seq": 3, "kind": "reasoning", "at": "2026-01-28T12:00:55Z", "text": "in short"});
    let mut bench = opened(incident("Running", &json!({"recentEntries": [line]})));
    bench.feed(vec![link(Link::Forbidden { reason: "you may not".into() })]);
    assert!(bench.screen((120, 36)).contains("in short"));
    let Object::Incident(_) = incident("Running", &json!({})) else { return };
    bench.cmds();
    bench.feed(vec![link(Link::Live)]);
    assert!(requests(&mut bench).iter().any(|request| matches!(request, Request::Page { .. })));
    bench.feed(vec![last(session::running())]);
    let shown = bench.screen((120, 36));
    assert!(!shown.contains("in short") && shown.contains("docker start"), "{shown}");
}

#[test]
fn the_pager_holds_the_step() {
    let mut bench = with("Running", session::running());
    bench.keys("g g ] ] enter");
    let Some(Overlay::Pager(pager)) = &bench.model.overlay else { panic!("no pager") };
    let text = pager.text();
    for part in
        ["$ docker logs tikv-tikv1-1", "why: read the container's last words", "exit 1 in 1.1s", "No such container"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}
