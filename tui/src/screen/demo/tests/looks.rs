//! Pictures at four sizes.

use insta::assert_snapshot;
use serde_json::json;

use super::{at_work, bench, link, well};
use crate::feed::{FeedEvent, Kind, Link, Source};
use crate::rights::Right;
use crate::testing::demo::{at, idle, incident, key, killed, open, page, readings, system};
use crate::testing::session;
use crate::testing::{Bench, SIZES};
use crate::theme::ThemeName;

/// What a bench shows at all four sizes.
fn sizes(bench: &mut Bench) -> String {
    let screens = SIZES.iter().map(|size| format!("{}x{}\n{}", size.0, size.1, bench.screen(*size)));
    screens.collect::<Vec<_>>().join("\n")
}

#[test]
fn loading() {
    let mut bench = Bench::new(&crate::ask::Target::Demo("tikv".to_owned()));
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn welcome() {
    assert_snapshot!("before", sizes(&mut well(idle())));
    assert_snapshot!("welcome", sizes(&mut well(open(0, "Complete", &json!({})))));
}

#[test]
fn countdown() {
    let more = json!({"actsAt": at("12:01:04"), "actions": killed("Planned")});
    assert_snapshot!(sizes(&mut well(open(3, "Countdown", &more))));
}

#[test]
fn a_fault_is_injected() {
    let mut chapters = open(3, "Complete", &json!({"actions": killed("Done")}));
    chapters.push(system("Pending"));
    let mut bench = bench(ThemeName::Ansi, false, chapters);
    bench.feed(readings(true));
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn waiting() {
    let mut bench = well(open(4, "Waiting", &json!({})));
    bench.feed(vec![FeedEvent::Applied { object: system("Violated") }]);
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn the_agent_at_work() {
    assert_snapshot!(sizes(&mut at_work(ThemeName::Ansi, false)));
}

#[test]
fn each_panel_alone_on_a_small_screen() {
    let mut bench = at_work(ThemeName::Ansi, false);
    let mut screens = String::new();
    for key in ["1", "2", "3", "4", "5"] {
        bench.keys(key);
        screens.push_str(&bench.screen((80, 24)));
    }
    assert_snapshot!(screens);
}

#[test]
fn complete() {
    let mut bench = at_work(ThemeName::Ansi, false);
    let news = |object| FeedEvent::Applied { object };
    let over = json!({"finishedAt": at("12:01:00"), "message": "all invariants held for 30 s"});
    bench.feed(vec![news(incident("Resolved", &over)), news(system("Ok")), session::news(session::ended())]);
    bench.feed(open(7, "Complete", &json!({})).into_iter().map(news).collect());
    bench.feed(readings(false));
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn an_action_that_failed() {
    let mut actions = killed("Failed");
    actions[0]["message"] = json!("the project has no container of tikv1: docker compose up -d starts it");
    let more = json!({"actions": actions, "message": "kill tikv1: the project has no container of tikv1"});
    assert_snapshot!(sizes(&mut well(open(3, "Failed", &more))));
}

#[test]
fn an_action_that_nobody_knows_of() {
    let mut actions = killed("Unknown");
    actions[0]["message"] = json!("the controller ended in the middle of it");
    assert_snapshot!(sizes(&mut well(open(3, "Complete", &json!({"actions": actions})))));
}

#[test]
fn resetting() {
    let status = json!({"state": "Resetting", "entered": 1, "enteredAt": at("12:00:38"), "message": "waiting until the Subject is well: store_up"});
    let chapters = (0..8).map(|index| page(index, &status)).collect();
    assert_snapshot!(sizes(&mut well(chapters)));
}

#[test]
fn stale() {
    let mut bench = at_work(ThemeName::Ansi, false);
    let lost = |source: Source| FeedEvent::Link {
        source,
        link: Link::Lost { reason: "The API server cannot be reached: connection refused".to_owned() },
    };
    let sources =
        [Source::Kind(Kind::Chapters), Source::Observations(key()), Source::Session(session::SESSION.to_owned())];
    bench.feed(sources.into_iter().map(lost).collect());
    bench.later(75);
    assert_snapshot!(sizes(&mut bench));
}

#[test]
fn nothing_there() {
    assert_snapshot!("no_chapters", sizes(&mut bench(ThemeName::Ansi, false, vec![system("Ok")])));
    let other = crate::testing::chapter("etcd", 1, "Welcome", &json!({}));
    assert_snapshot!("no_such_demo", sizes(&mut bench(ThemeName::Ansi, false, vec![other])));
    for (name, stands) in [
        ("no_kind", Link::Missing { reason: "The cluster does not know DemoChapters. Install the definitions: helm install operator-crds charts/operator-crds".to_owned() }),
        ("forbidden", Link::Forbidden { reason: "You may not list and watch demochapters.operator.dev in the namespace shop".to_owned() }),
    ] {
        let mut bench = Bench::new(&crate::ask::Target::Demo("tikv".to_owned()));
        bench.feed(vec![link(Kind::Chapters, stands)]);
        assert_snapshot!(name, sizes(&mut bench));
    }
}

#[test]
fn who_may_only_watch() {
    let mut bench = well(open(1, "Complete", &json!({})));
    bench.feed(vec![FeedEvent::Right { right: Right::PatchChapters, granted: false }]);
    let screen = bench.screen((120, 36));
    assert_snapshot!(screen);
    bench.cmds();
    bench.keys("space N b R enter");
    assert_eq!(bench.cmds(), []);
}

#[test]
fn who_may_read_neither_sessions_nor_observations() {
    let mut chapters = open(5, "Waiting", &json!({}));
    let recent = json!([{"seq": 4, "kind": "tool_call", "at": at("12:00:58"), "text": "docker ps -a"}, {"seq": 5, "kind": "tool_result", "at": at("12:00:59"), "text": "exit 0"}]);
    chapters.extend([system("Violated"), incident("Running", &json!({"recentEntries": recent}))]);
    let mut bench = bench(ThemeName::Ansi, false, chapters);
    let no = || Link::Forbidden { reason: "You may not create pods/portforward in operator-system".to_owned() };
    bench.feed(vec![session::link(no()), FeedEvent::Link { source: Source::Observations(key()), link: no() }]);
    assert_snapshot!(bench.screen((120, 36)));
}

#[test]
fn zoomed_and_frozen() {
    let mut bench = at_work(ThemeName::Ansi, false);
    bench.keys("4 z");
    assert_snapshot!("zoomed", sizes(&mut bench));
    bench.keys("f");
    bench.feed(vec![session::news(session::ended())]);
    let screen = bench.screen((120, 36));
    assert!(screen.contains("FROZEN") && !screen.contains("proven"), "{screen}");
    bench.keys("f");
    assert!(bench.screen((120, 36)).contains("proven"));
    bench.keys("esc");
    assert!(bench.screen((120, 36)).contains("Monitor"), "esc leaves the zoom, and not the demo");
}

#[test]
fn without_colour_and_without_unicode() {
    assert_snapshot!("mono", sizes(&mut at_work(ThemeName::Mono, false)));
    let mut bench = at_work(ThemeName::Contrast, true);
    let screens = sizes(&mut bench);
    let foreign = screens.lines().find(|line| !line.is_ascii());
    assert_eq!(foreign, None);
    assert_snapshot!("ascii", screens);
}
