//! Pictures of every state at four sizes, and the player.

use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::turn::{Play, Player};
use super::*;
use crate::act::Act;
use crate::feed::Entry;
use crate::feed::Object;
use crate::testing::{self, Bench, SIZES};
use crate::theme::ThemeName;

const AT: &str = "2026-01-28T12:00:00Z";

fn chapter(order: i64, title: &str, status: &Value) -> Object {
    let name = format!("limiter-{order}");
    let chapter = json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "DemoChapter",
        "metadata": {"name": name, "namespace": "demo", "uid": name, "generation": 1},
        "spec": {
            "demo": "limiter", "order": order, "title": title, "subjectRef": {"name": "limiter"},
            "narration": "Three nodes count in one store. Something will break, and nobody will touch the keyboard: {{model}} finds out what it is.\n\nIt knows nothing of these pages.",
            "waiting": "an Incident opens", "entered": status["entered"].as_i64().unwrap_or(0), "reset": 0,
        },
        "status": status,
    });
    Object::Chapter(std::sync::Arc::new(serde_json::from_value(chapter).unwrap()))
}

fn entered(state: &str, more: &Value) -> Value {
    let mut status = json!({"state": state, "entered": 1, "reset": 0, "enteredAt": AT, "model": "offline-auto"});
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        status[key] = value;
    }
    status
}

fn system(state: &str) -> Object {
    let subject = json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "Subject",
        "metadata": {"name": "limiter", "namespace": "demo", "uid": "subject"},
        "spec": {"where": {"docker": {"project": "limiter"}}},
        "status": {"invariants": [
            {"name": "node_down", "state": state, "severity": "error", "since": "2026-01-28T12:00:46Z", "message": "",
             "keys": [{"key": "node2", "state": state, "message": "node2 does not answer; its container is exited, exit code 137"}], "total": 3},
            {"name": "over_limit", "state": "Ok", "severity": "error", "since": AT, "total": 3},
            {"name": "high_latency", "state": "Unknown", "severity": "warning", "since": "2026-01-28T12:00:31Z", "total": 1},
        ]},
    });
    Object::Subject(std::sync::Arc::new(serde_json::from_value(subject).unwrap()))
}

fn incident(phase: &str) -> Object {
    testing::incident(
        "limiter-node-down-1",
        "limiter",
        &json!({
            "metadata": {"namespace": "demo", "creationTimestamp": "2026-01-28T12:00:51Z"},
            "spec": {"title": "node_down: node2 does not answer", "severity": "error"},
            "status": {"phase": phase, "sessionId": "2026-01-28T12-00-51-dedee910", "attempt": 1, "turns": 4, "commands": 3, "cost": "$0.00"},
        }),
    )
}

fn observed(bad: bool, value: f64, at: &str) -> FeedEvent {
    let state = if bad { "bad" } else { "ok" };
    let text = if bad { "no answer" } else { "p99 3 ms" };
    FeedEvent::Observations {
        subject: SubjectKey { namespace: "demo".into(), name: "limiter".into() },
        document: json!({"at": at, "display": {
            "groups": [
                {"title": "Nodes", "rows": [
                    {"key": "node1", "label": "node1", "state": "ok", "text": "p99 3 ms"},
                    {"key": "node2", "label": "node2", "state": state, "text": text},
                    {"key": "node3", "label": "node3", "state": "ok", "text": "p99 2 ms"},
                ]},
                {"title": "Store", "rows": [{"key": "", "label": "store", "state": "warn", "text": "slow"}]},
            ],
            "workload": {"label": "Checks answered", "value": value, "unit": "/s"},
        }}),
    }
}

fn entries() -> Vec<Entry> {
    let mut seq = 0;
    let mut entry = |kind: &str, data: Value| {
        seq += 1;
        let at = format!("2026-01-28T12:00:{:02}Z", 50 + seq).parse().unwrap();
        Entry { seq, at, kind: kind.to_owned(), data, summary: None }
    };
    vec![
        entry("reasoning", json!({"turn": 1, "text": "Node 2 does not answer: is its container gone or wedged?"})),
        entry("tool_call", json!({"tool": "shell", "command": "docker ps --all"})),
        entry(
            "tool_result",
            json!({"call": 2, "outcome": {"type": "exited", "code": 0}, "durationMs": 412,
            "stdout": {"bytes": 10, "head": {"text": "limiter-node2-1  Exited (137)\nlimiter-node1-1  Up\nlimiter-node3-1  Up\n"}}}),
        ),
        entry("tool_call", json!({"tool": "shell", "command": "docker start limiter-node2-1"})),
        entry("change", json!({"step": "begun", "summary": "docker start limiter-node2-1"})),
        entry(
            "tool_result",
            json!({"call": 4, "outcome": {"type": "exited", "code": 1}, "durationMs": 1240,
            "stderr": {"bytes": 10, "head": {"text": "\u{1b}[2Jno such container\n"}}}),
        ),
        entry("conclusion", json!({"outcome": "resolved", "rootCause": "The container of node2 had been killed."})),
        entry("verification", json!({"step": "begun", "attempt": 1, "attempts": 3, "stabilizationMs": 15000})),
        entry(
            "verification",
            json!({"step": "ended", "attempt": 1, "verdict": "holds", "windowMs": 15000, "seen": 35}),
        ),
    ]
}

/// A demo whose third chapter is in this state.
fn bench(objects: Vec<Object>, theme: ThemeName, ascii: bool) -> Bench {
    let mut bench = Bench::with(&Target::Demo("limiter".into()), theme, ascii).listed(objects);
    let readings = (0..20_u32)
        .map(|second| observed(false, 86.0 + f64::from(second % 3), &format!("2026-01-28T11:59:{second:02}Z")));
    bench.feed(readings.collect());
    bench
}

fn pages(third: &Value) -> Vec<Object> {
    vec![
        chapter(10, "Welcome", &entered("Complete", &json!({"enteredAt": "2026-01-28T11:59:00Z"}))),
        chapter(20, "Health", &entered("Complete", &json!({"enteredAt": "2026-01-28T11:59:30Z"}))),
        chapter(30, "Chaos: a node is killed", third),
        chapter(40, "The agent at work", &json!({})),
    ]
}

fn killed(state: &str, action: &str, message: &str) -> Value {
    entered(
        state,
        &json!({"actions": [
        {"says": "kill one of the nodes", "state": action, "targets": ["node2"], "message": message, "at": "2026-01-28T12:00:40Z"}]}),
    )
}

fn pictures(name: &str, bench: &mut Bench) {
    for (width, height) in SIZES {
        let picture = bench.screen((width, height));
        assert_snapshot!(format!("{name}_{width}x{height}"), picture);
    }
}

#[test]
fn welcome() {
    let idle = [10, 20, 30].map(|order| {
        chapter(order, ["Welcome", "Health", "Chaos"][usize::try_from(order / 10 - 1).unwrap()], &json!({}))
    });
    let mut objects = idle.to_vec();
    objects.push(system("Ok"));
    pictures("welcome", &mut bench(objects, ThemeName::Ansi, false));
}

#[test]
fn countdown() {
    let mut objects = pages(&entered("Countdown", &json!({"actsAt": "2026-01-28T12:01:04Z"})));
    objects.push(system("Ok"));
    pictures("countdown", &mut bench(objects, ThemeName::Ansi, false));
}

#[test]
fn a_fault_is_injected_and_the_agent_works() {
    let mut objects = pages(&killed("Waiting", "Done", ""));
    objects.extend([system("Violated"), incident("Running")]);
    let mut bench = bench(objects, ThemeName::Ansi, false);
    bench.feed((41..60).map(|second| observed(true, 31.0, &format!("2026-01-28T12:00:{second}Z"))).collect());
    bench.feed(vec![FeedEvent::Entries {
        session: "2026-01-28T12-00-51-dedee910".into(),
        entries: entries(),
        answers: None,
    }]);
    pictures("agent", &mut bench);
    bench.keys("4 z");
    assert_snapshot!("agent_zoomed", bench.screen((120, 36)));
}

#[test]
fn without_colour_and_without_unicode() {
    let mut objects = pages(&killed("Waiting", "Done", ""));
    objects.extend([system("Violated"), incident("Verifying")]);
    let mut bench = bench(objects, ThemeName::Mono, true);
    bench.feed(vec![FeedEvent::Entries {
        session: "2026-01-28T12-00-51-dedee910".into(),
        entries: entries(),
        answers: None,
    }]);
    let picture = bench.screen((120, 36));
    assert!(picture.is_ascii(), "{picture}");
    assert_snapshot!("ascii", picture);
}

#[test]
fn an_action_that_failed_and_one_that_nobody_knows_of() {
    let mut objects = pages(&killed("Failed", "Failed", "the project has no container of node9"));
    objects.push(system("Ok"));
    assert_snapshot!("failed", bench(objects, ThemeName::Ansi, false).screen((120, 36)));
    let mut objects = pages(&killed("Waiting", "Unknown", "the controller ended in the middle of it"));
    objects.push(system("Ok"));
    assert_snapshot!("unknown", bench(objects, ThemeName::Ansi, false).screen((120, 36)));
}

#[test]
fn resetting_and_nothing_there() {
    let mut objects = pages(&entered("Resetting", &json!({})));
    objects.push(system("Ok"));
    assert_snapshot!("resetting", bench(objects, ThemeName::Ansi, false).screen((120, 36)));
    assert_snapshot!("no_demo", bench(vec![system("Ok")], ThemeName::Ansi, false).screen((120, 36)));
    let mut missing = bench(Vec::new(), ThemeName::Ansi, false);
    let link = Link::Missing { reason: "the cluster does not know DemoChapters".into() };
    missing.feed(vec![FeedEvent::Link { source: Source::Kind(Kind::Chapters), link }]);
    assert_snapshot!("no_kind", missing.screen((120, 36)));
}

fn acts(bench: &mut Bench) -> Vec<Act> {
    let acts = bench.cmds().into_iter().filter_map(|cmd| match cmd {
        crate::msg::Cmd::Feed(Request::Act(act)) => Some(act),
        _ => None,
    });
    acts.collect()
}

#[test]
fn space_turns_one_page_however_often_it_is_pressed() {
    let mut bench = bench(pages(&entered("Complete", &json!({}))), ThemeName::Ansi, false);
    bench.keys("space space space");
    let enter = |name: &str, entered| Act::Enter { namespace: "demo".into(), name: name.into(), entered };
    assert_eq!(acts(&mut bench), [enter("limiter-40", 1)]);
}

#[test]
fn space_waits_for_what_the_page_waits_for_and_n_does_not() {
    let mut bench = bench(pages(&entered("Waiting", &json!({}))), ThemeName::Ansi, false);
    bench.keys("space");
    assert_eq!(acts(&mut bench), []);
    assert!(bench.screen((120, 36)).contains("it waits until an Incident opens; N turns the page all the same"));
    bench.keys("N");
    assert_eq!(acts(&mut bench).len(), 1);
}

#[test]
fn back_is_the_page_before_and_a_reset_is_asked_for() {
    let mut bench = bench(pages(&entered("Complete", &json!({}))), ThemeName::Ansi, false);
    bench.keys("b");
    assert_eq!(acts(&mut bench), [Act::Enter { namespace: "demo".into(), name: "limiter-20".into(), entered: 2 }]);
    bench.keys("R");
    assert_eq!(acts(&mut bench), [], "it asks first");
    bench.keys("y");
    assert_eq!(acts(&mut bench), [Act::Reset { namespace: "demo".into(), name: "limiter-10".into(), reset: 1 }]);
}

/// A world with these objects.
fn world(objects: Vec<Object>) -> crate::world::World {
    let mut world = crate::world::World::default();
    for object in objects {
        world.apply(&FeedEvent::Applied { object }, testing::now());
    }
    world
}

#[test]
fn the_player_begins_at_the_beginning_turns_each_page_once_and_ends() {
    let mut player = Player::new(Duration::ZERO, Duration::from_mins(5));
    let now = testing::now();
    let enter = |order: i64, entered| {
        Play::Do(Act::Enter { namespace: "demo".into(), name: format!("limiter-{order}"), entered })
    };
    let play = |player: &mut Player, objects: Vec<Object>| player.play(&Stage::of(&world(objects), "limiter"), now);
    // Another one played it before.
    let left = pages(&entered("Left", &json!({})));
    assert_eq!(
        play(&mut player, left.clone()),
        Play::Do(Act::Reset { namespace: "demo".into(), name: "limiter-10".into(), reset: 1 })
    );
    assert_eq!(play(&mut player, left), Play::Wait, "until it is at its beginning");
    let idle = |entered: i64| json!({"state": "Idle", "entered": entered, "reset": 1});
    let back = |first: &Value| vec![chapter(10, "Welcome", first), chapter(20, "Health", &idle(0))];
    assert_eq!(play(&mut player, back(&idle(1))), enter(10, 2));
    assert_eq!(play(&mut player, back(&idle(1))), Play::Wait, "asked for already");
    let on = |state: &str| entered(state, &json!({"entered": 2, "reset": 1}));
    assert_eq!(play(&mut player, back(&on("Waiting"))), Play::Wait);
    assert_eq!(play(&mut player, back(&on("Complete"))), enter(20, 1));
    // For a moment two are open: the one that was entered last is.
    let second = |state: &str| {
        vec![
            chapter(10, "Welcome", &on("Complete")),
            chapter(20, "Health", &entered(state, &json!({"enteredAt": "2026-01-28T12:00:30Z", "reset": 1}))),
        ]
    };
    assert_eq!(play(&mut player, second("Waiting")), Play::Wait);
    let mut resolved = second("Complete");
    resolved.push(incident("Resolved"));
    assert_eq!(play(&mut player.clone(), resolved), Play::End(Ok(())));
    let mut escalated = second("Complete");
    escalated.push(incident("Escalated"));
    let Play::End(Err(why)) = play(&mut player.clone(), escalated) else { panic!("no end") };
    assert!(why.contains("Escalated"), "{why}");
    let Play::End(Err(why)) = play(&mut player.clone(), second("Failed")) else { panic!("no end") };
    assert!(why.contains("failed"), "{why}");
    let later = now.saturating_add(Duration::from_mins(6)).unwrap();
    let Play::End(Err(why)) = player.play(&Stage::of(&world(second("Waiting")), "limiter"), later) else {
        panic!("no end")
    };
    assert!(why.contains("limiter-20 was not over within 300 s"), "{why}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_comes_and_however_large_it_never_panics(
        width in 1_u16..300, height in 1_u16..100, keys in "[ bNRyn12345zfjk?q/:-]{0,20}",
        state in prop::sample::select(vec!["Idle", "Countdown", "Acting", "Waiting", "Complete", "Failed", "Left", "Resetting"]),
    ) {
        let mut objects = pages(&killed(state, "Done", ""));
        objects.extend([system("Violated"), incident("Running")]);
        let mut bench = bench(objects, ThemeName::Ansi, false);
        bench.feed(vec![FeedEvent::Entries { session: "2026-01-28T12-00-51-dedee910".into(), entries: entries(), answers: None }]);
        for key in keys.chars() {
            let key = if key == ' ' { "space".to_owned() } else { key.to_string() };
            bench.keys(&key);
        }
        let _ = bench.screen((width, height));
    }
}
