//! A session that is gone on with behind any of its entries is the one that it would have been.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use controller::agent::verify::Verdict;
use controller::agent::verify::fake::{FakeVerifier, holds, unknown, violated};
use controller::agent::{Budgets, Findings, Left, Recurring, SessionEnd};
use controller::audit::entry::{ChangeEntry, ControlEntry};
use controller::audit::testing::database;
use controller::audit::{AuditStore, CallOutcome, ControlEvent, EntryBody, StoredEntry};
use controller::model::fake::{FakeModel, Step, calls, message, says};
use controller::model::{ErrorKind, ModelError, Price, Pricing, StopReason};
use controller::sandbox::SandboxError;
use controller::sandbox::fake::FakeCall;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::crash::{DyingStore, Fuse, Moment, World, check_proof};
use crate::rebuild::steps;
use crate::rig::{Rig, conclude, conclusion, reason, shell};

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn thinking(text: &str) -> Value {
    json!({"type": "thinking", "thinking": text, "signature": "c2ln"})
}

fn call(id: &str, tool: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": tool, "input": input})
}

fn command(id: &str, text: &str) -> Value {
    call(id, "shell", &json!({"command": text, "reasoning": "r"}))
}

fn answer(stop: StopReason, content: &[Value]) -> Step {
    Step::Answer(Box::new(message(stop, content)))
}

/// Everything that a good day has: words, three calls in a turn of which one cannot run, a nudge, a cut, a pause, a
/// conclusion whose evidence does not all exist, and a call behind it.
fn whole() -> Vec<Step> {
    let mut last = conclusion();
    last["evidence"] = json!([3, 999]);
    vec![
        answer(
            StopReason::ToolUse,
            &[
                thinking("hm"),
                text("I look."),
                command("a", "one"),
                call("b", "nonsense", &json!({})),
                command("c", "two"),
            ],
        ),
        says("done?"),
        answer(StopReason::MaxTokens, &[text("I was"), command("d", "three"), command("e", "cut off")]),
        answer(StopReason::MaxTokens, &[text("and then")]),
        answer(StopReason::PauseTurn, &[text("wait")]),
        answer(StopReason::ToolUse, &[command("f", "four"), call("g", "conclude", &last), command("h", "late")]),
    ]
}

type Change = fn(&mut Rig);

/// Scripts, and how the session is changed for them.
fn courses() -> Vec<(&'static str, Vec<Step>, Change)> {
    let mut refusal = message(StopReason::Refusal, &[text("no"), command("a", "x")]);
    refusal.stop_details = json!({"category": "cyber", "explanation": "odd"});
    let last = calls(&[("c", "shell", json!({"command": "late", "reasoning": "r"})), ("d", "conclude", conclusion())]);
    let too_large = Step::Fail(ModelError::new(ErrorKind::TooLarge, "prompt is too long"));
    let broke = || Step::Fail(ModelError::new(ErrorKind::Billing, "no credit"));
    vec![
        ("a good day", whole(), |_| {}),
        ("a budget", vec![shell("a", "one"), shell("b", "two"), last], |rig| rig.input.budgets.turns = 2),
        ("findings in words", vec![shell("a", "one"), says("It is Redis.")], |rig| rig.input.budgets.turns = 1),
        ("no findings", vec![shell("a", "one"), broke()], |rig| rig.input.budgets.turns = 1),
        ("nothing left for findings", vec![], |rig| {
            rig.input.budgets = Budgets { tokens: Some(10), ..Budgets::default() };
        }),
        ("a refusal", vec![shell("a", "one"), Step::Answer(Box::new(refusal))], |_| {}),
        ("a full window", vec![shell("a", "one"), too_large], |_| {}),
        ("a failure", vec![shell("a", "one"), broke()], |_| {}),
        ("no conclusion", vec![shell("a", "one"), says("done"), says("really")], |_| {}),
        ("an unknown price", vec![shell("a", "one"), conclude("b")], |rig| {
            rig.input.pricing = Pricing { known: false, price: Price::new(10.0, 50.0, 12.5, 1.0) };
        }),
        ("a proof", vec![shell("a", "one"), conclude("b")], |rig| seen(rig, vec![holds()])),
        (
            "a word that is refuted, and a better one",
            vec![conclude("a"), shell("b", "two"), conclude("c"), shell("d", "three"), conclude("e")],
            |rig| seen(rig, vec![node_down(), node_down(), holds()]),
        ),
        ("refuted to the end", vec![shell("a", "one"), conclude("b"), conclude("c"), conclude("d")], |rig| {
            seen(rig, vec![node_down(); 3]);
        }),
        ("nobody can say", vec![shell("a", "one"), conclude("b")], |rig| seen(rig, vec![unknown("silence")])),
        ("a proof in the last message", vec![shell("a", "one"), conclude("b")], |rig| {
            rig.input.budgets.turns = 1;
            seen(rig, vec![holds()]);
        }),
        ("too often", vec![], |rig| {
            let findings = Findings { root_cause: None, summary: "twice before".into(), follow_up: None };
            rig.input.recurring = Some(Recurring { message: "again and again".into(), findings });
        }),
        ("no container", vec![shell("a", "one"), conclude("b")], |rig| {
            rig.provider.fail_create(Some(SandboxError::Refused("no such runtime".into())));
        }),
    ]
}

fn seen(rig: &mut Rig, verdicts: Vec<Verdict>) {
    rig.verifier = Arc::new(FakeVerifier::new(verdicts));
}

fn node_down() -> Verdict {
    violated("node_down", "n2", "node n2 answers nothing")
}

/// What must be the same, whatever happened to controllers on the way.
struct Expected {
    end: String,
    story: Vec<Value>,
    asked: Vec<(u32, Value)>,
}

async fn without_crash(script: &[Step], change: impl Fn(&mut Rig)) -> (Expected, usize) {
    let world = World::new(script.to_vec(), change);
    let end = world.controller(None).await.unwrap();
    check_proof(&world.rig.bodies(), "no crash");
    let expected = Expected { end: reason(&end), story: world.story(), asked: world.asked("no crash") };
    (expected, world.rig.bodies().len())
}

/// Plays a script with controllers that die at these moments, and checks it against the course without that.
async fn with_crashes(script: &[Step], change: impl Fn(&mut Rig), moments: &[Moment], expected: &Expected, what: &str) {
    let what = format!("{what}, {moments:?}");
    let world = World::new(script.to_vec(), change);
    let mut end = None;
    for moment in moments {
        if end.is_none() {
            end = world.controller(Some(*moment)).await;
        }
    }
    let end = match end {
        Some(end) => end,
        None => world.controller(None).await.unwrap(),
    };
    assert_eq!(reason(&end), expected.end, "{what}");
    world.check_commands(&what);
    check_proof(&world.rig.bodies(), &what);
    let never_sent = world.never_sent();
    assert!(never_sent.len() <= moments.len(), "{what}: {never_sent:?}");
    let (story, asked) = (world.story(), world.asked(&what));
    assert_eq!(story.len(), expected.story.len(), "{what}: {story:#?}");
    for (entry, expected) in story.iter().zip(&expected.story) {
        assert_eq!(without(entry, &never_sent), without(expected, &never_sent), "{what}");
    }
    assert_eq!(asked.len(), expected.asked.len(), "{what}");
    for ((room, request), (expected_room, expected)) in asked.iter().zip(&expected.asked) {
        let (request, expected) = (without(request, &never_sent), without(expected, &never_sent));
        assert_eq!(request.to_string(), expected.to_string(), "{what}");
        assert_eq!(room, expected_room, "{what}");
    }
}

/// The same without the results of calls that a dead controller put on record and did not send.
fn without(value: &Value, never_sent: &[String]) -> Value {
    let is_one = |value: &Value| {
        let id = value.get("tool_use_id").or_else(|| value.get("toolUseId")).and_then(Value::as_str);
        id.is_some_and(|id| never_sent.iter().any(|never| never == id))
    };
    match value {
        Value::Object(all) if is_one(value) && (value["type"] == "tool_result" || value.get("outcome").is_some()) => {
            let keep =
                |(key, _): &(&String, &Value)| matches!(key.as_str(), "tool_use_id" | "toolUseId" | "turn" | "call");
            Value::Object(all.iter().filter(keep).map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        Value::Object(all) => {
            Value::Object(all.iter().map(|(key, value)| (key.clone(), without(value, never_sent))).collect())
        }
        Value::Array(all) => all.iter().map(|value| without(value, never_sent)).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn a_controller_may_die_at_any_moment() {
    for (name, script, change) in courses() {
        let (expected, rows) = without_crash(&script, change).await;
        let rows_of = (1..=rows).flat_map(|row| [Moment::BeforeRow(row), Moment::AfterRow(row)]);
        let others = (1..=6).flat_map(|nth| [Moment::InCommand(nth), Moment::InCall(nth), Moment::InCheck(nth)]);
        for moment in rows_of.chain(others) {
            with_crashes(&script, change, &[moment], &expected, name).await;
        }
    }
}

#[tokio::test]
async fn and_its_successor_too() {
    let script = whole();
    let (expected, rows) = without_crash(&script, |_| {}).await;
    for first in (1..=rows).step_by(2) {
        for second in 1..=5 {
            let moments = [Moment::AfterRow(first), Moment::AfterRow(second), Moment::BeforeRow(second)];
            with_crashes(&script, |_| {}, &moments, &expected, "one after another").await;
        }
    }
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let moment = prop_oneof![
        4 => (1usize..60).prop_map(Moment::BeforeRow),
        4 => (1usize..60).prop_map(Moment::AfterRow),
        2 => (1usize..8).prop_map(Moment::InCommand),
        1 => (1usize..8).prop_map(Moment::InCall),
        1 => (1usize..4).prop_map(Moment::InCheck),
    ];
    proptest::collection::vec(moment, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_model_says_and_whenever_controllers_die(mut script in steps(), moments in moments()) {
        // Entry 1 stands in every course; which later ones do depends on how often it was resumed.
        let mut last = conclusion();
        last["evidence"] = json!([1]);
        script.pop();
        script.push(calls(&[("end", "conclude", last)]));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (expected, _) = without_crash(&script, |_| {}).await;
            with_crashes(&script, |_| {}, &moments, &expected, "a random course").await;
        });
    }

    /// The same where the agent's word is checked: nothing is resolved unproven, and no check is lost or made twice over.
    #[test]
    fn whatever_is_seen_of_the_system_and_whenever_controllers_die(
        mut script in steps(),
        moments in moments(),
        verdicts in proptest::collection::vec(0..3, 0..4),
    ) {
        let mut last = conclusion();
        last["evidence"] = json!([1]);
        script.pop();
        script.extend((0..4).map(|nth| calls(&[(&format!("end_{nth}"), "conclude", last.clone())])));
        let verdict = |which: i32| match which {
            0 => holds(),
            1 => node_down(),
            _ => unknown("silence"),
        };
        let verdicts: Vec<Verdict> = verdicts.into_iter().map(verdict).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (expected, _) = without_crash(&script, |rig| seen(rig, verdicts.clone())).await;
            with_crashes(&script, |rig| seen(rig, verdicts.clone()), &moments, &expected, "a random course").await;
        });
    }

    /// Any rows at all can be looked at, in any selection: rebuilding never panics, and what others wrote in between
    /// changes nothing of what the model is sent.
    #[test]
    fn rebuilding_never_panics(script in steps(), keep in proptest::collection::vec(any::<bool>(), 64), end in 0usize..64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rig = Rig::new();
        runtime.block_on(rig.play(script));
        let stored = runtime.block_on(rig.store.stored(&rig.session, 0, 500)).unwrap();
        let some: Vec<StoredEntry> =
            stored.iter().zip(keep.iter().cycle()).filter(|(_, keep)| **keep).map(|(entry, _)| entry.clone()).collect();
        drop(Left::read(&rig.session, &some));
        let prefix = &stored[..end.min(stored.len())];
        let Some(left) = Left::read(&rig.session, prefix).unwrap() else { return Ok(()) };
        let mixed: Vec<StoredEntry> = prefix.iter().flat_map(between).collect();
        let other = Left::read(&rig.session, &mixed).unwrap().unwrap();
        prop_assert_eq!(left.state().transcript.messages(), other.state().transcript.messages());
        prop_assert_eq!(left.next_step(), other.next_step());
    }
}

/// An entry, and behind it what the loop does not write itself.
fn between(entry: &StoredEntry) -> Vec<StoredEntry> {
    let other = |kind: &str, data: Value| StoredEntry { kind: kind.to_owned(), data, ..entry.clone() };
    vec![
        entry.clone(),
        other("note", json!({"text": "a person's words"})),
        other("verification", json!({"healthy": true})),
        other("of_a_newer_version", json!({"details": {"x": 1}})),
        other("control", json!({"event": "unheard_of", "message": "m", "details": {"y": 2}})),
        other("control", json!({"event": "resumed", "message": "m"})),
        other(
            "change",
            json!({"step": "completed", "change": 1, "outcome": {"type": "succeeded", "status": 200}, "durationMs": 1}),
        ),
    ]
}

/// The world of a session whose first command is under way: the controller dies in it.
async fn dies_in_the_first_command(script: Vec<Step>, change: impl FnOnce(&mut Rig)) -> World {
    let world = World::new(script, change);
    assert_eq!(world.controller(Some(Moment::InCommand(1))).await, None);
    world
}

fn resumed(rig: &Rig) -> Vec<ControlEntry> {
    let resumed = |body| match body {
        EntryBody::Control(control) if control.event == ControlEvent::Resumed => Some(control),
        _ => None,
    };
    rig.bodies().into_iter().filter_map(resumed).collect()
}

#[tokio::test]
async fn what_was_found_is_on_record() {
    let world = dies_in_the_first_command(vec![shell("a", "one"), conclude("b")], |_| {}).await;
    let end = world.controller(None).await.unwrap();
    assert_eq!(reason(&end), "Concluded:Concluded");
    let said = resumed(&world.rig);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0].details["underWay"], "command");
    assert_eq!(said[0].details["call"], 4);
    assert_eq!(said[1].details["container"], "kept");
    assert!(world.rig.provider.calls().contains(&FakeCall::Recover(4)));

    let world = World::new(vec![shell("a", "one"), conclude("b")], |_| {});
    world.controller(Some(Moment::InCall(2))).await;
    world.controller(None).await.unwrap();
    let said = resumed(&world.rig);
    assert_eq!(said[0].details["underWay"], "model");
    assert_eq!(said[0].details["maxTokens"], 16_000);
    assert!(said[0].details["inputTokens"].as_u64() > Some(0));

    let world = World::new(vec![shell("a", "one"), conclude("b")], |rig| seen(rig, vec![holds()]));
    assert_eq!(world.controller(Some(Moment::InCheck(1))).await, None);
    assert_eq!(reason(&world.controller(None).await.unwrap()), "Resolved:Resolved");
    let said = resumed(&world.rig);
    assert_eq!((&said[0].details["underWay"], &said[0].details["attempt"]), (&json!("verification"), &json!(1)));
    assert_eq!(said[1].details["container"], "kept");
    let checks = world.rig.kinds().iter().filter(|kind| *kind == "verification").count();
    assert_eq!(checks, 2, "it begins anew under the same entry");
}

#[tokio::test]
async fn a_container_that_is_gone_is_replaced_and_the_model_told() {
    // In the middle of a command, whose outcome nobody knows any more.
    let script = || {
        vec![
            calls(&[
                ("a", "shell", json!({"command": "one", "reasoning": "r"})),
                ("b", "shell", json!({"command": "two", "reasoning": "r"})),
            ]),
            shell("c", "three"),
            conclude("d"),
        ]
    };
    let world = dies_in_the_first_command(script(), |_| {}).await;
    world.rig.provider.lose_all("somebody removed it");
    let end = world.controller(None).await.unwrap();
    assert_eq!(reason(&end), "Concluded:Concluded");
    world.check_commands("a container that is gone");
    assert_eq!(world.rig.provider.commands(), ["one", "three"]);
    let told = world.asked("gone")[1].1[4][2]["content"].to_string();
    assert!(told.contains("outcome unknown") && told.contains("replaced by a fresh one"), "{told}");
    assert!(told.contains("Check what the interrupted command did"), "{told}");
    assert!(world.rig.kinds().contains(&"control:sandbox_lost".to_owned()));

    // Between two turns: nothing is unknown, but the container is another one.
    let world = World::new(vec![shell("a", "one"), shell("b", "two"), conclude("c")], |_| {});
    assert_eq!(world.controller(Some(Moment::InCall(2))).await, None);
    world.rig.provider.lose_all("somebody removed it");
    let end = world.controller(None).await.unwrap();
    assert_eq!(reason(&end), "Concluded:Concluded");
    assert_eq!(world.rig.provider.commands(), ["one", "two"]);
    assert_eq!(world.rig.provider.calls().iter().filter(|call| matches!(call, FakeCall::Create(_))).count(), 2);
    let told = world.rig.bodies().into_iter().find_map(|body| match body {
        EntryBody::Control(control) if control.event == ControlEvent::SandboxLost => Some(control),
        _ => None,
    });
    let tell = told.unwrap().details["tell"].as_str().unwrap().to_owned();
    assert!(tell.contains("replaced by a fresh one") && !tell.contains("interrupted"), "{tell}");
}

#[tokio::test]
async fn a_supervisor_of_another_version_is_replaced_and_that_is_said() {
    let world = World::new(vec![shell("a", "one"), shell("b", "two"), conclude("c")], |_| {});
    assert_eq!(world.controller(Some(Moment::InCall(2))).await, None);
    // The provider gives such a container up, and makes another one when it is asked again.
    let provider = world.rig.provider.clone();
    provider.lose_all("its supervisor speaks another version");
    let why = "the supervisor speaks version 9 for session s; wanted are version 1 and s".to_owned();
    provider.fail_create(Some(SandboxError::Lost { reason: why }));
    let healed = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        provider.fail_create(None);
    });
    let end = world.controller(None).await.unwrap();
    healed.await.unwrap();
    assert_eq!(reason(&end), "Concluded:Concluded");
    assert_eq!(world.rig.provider.commands(), ["one", "two"]);
    let said = world.rig.bodies().into_iter().any(|body| {
        matches!(body, EntryBody::Control(control)
            if control.event == ControlEvent::SandboxLost && control.message.contains("speaks version 9"))
    });
    assert!(said, "{:?}", world.rig.kinds());
}

#[tokio::test]
async fn a_command_that_still_runs_is_waited_for() {
    let mut rig = Rig::new();
    rig.provider = rig.provider.clone().with_delay(Duration::from_millis(300));
    let store: Arc<dyn AuditStore> = Arc::new(rig.store.clone());
    let model = || Arc::new(FakeModel::new([shell("a", "one"), conclude("b")]));
    let begun = tokio::time::timeout(Duration::from_millis(100), rig.go_on(store.clone(), model())).await;
    assert!(begun.is_err(), "the command is under way");
    let (end, progress) = rig.go_on(store, Arc::new(FakeModel::new([conclude("b")]))).await;
    assert_eq!(reason(&end), "Concluded:Concluded");
    assert_eq!(rig.provider.commands(), ["one"]);
    assert!(rig.results()[0].contains("stdout (4 bytes):\n<data-"), "{:?}", rig.results());
    assert_eq!((progress.turns, progress.commands, progress.input_tokens, progress.output_tokens), (2, 1, 200, 20));
    assert!(progress.recent.len() > 5 && progress.cost_known);
}

#[tokio::test]
async fn a_session_that_was_cancelled_meanwhile_does_nothing_more() {
    let world = dies_in_the_first_command(vec![shell("a", "one"), shell("b", "two"), conclude("c")], |_| {}).await;
    world.rig.cancel.cancel();
    let end = world.controller(None).await.unwrap();
    assert_eq!(reason(&end), "Cancelled:Cancelled");
    assert_eq!(world.rig.provider.commands(), ["one"]);
    let kinds = world.rig.kinds();
    assert_eq!(
        kinds[4..],
        ["control:resumed", "control:resumed", "tool_result", "control:cancelled", "control:sealed"]
    );
    // Cancelled before anything of it was done again.
    let world = World::new(whole(), |_| {});
    world.controller(Some(Moment::AfterRow(2))).await;
    world.rig.cancel.cancel();
    world.controller(None).await.unwrap();
    assert_eq!(world.rig.kinds()[2..], ["control:resumed", "control:cancelled", "control:sealed"]);
    assert_eq!(world.rig.provider.commands(), Vec::<String>::new());
}

#[tokio::test]
async fn a_sealed_session_is_left_as_it_is() {
    for (name, script, change) in courses() {
        let world = World::new(script, change);
        let end = world.controller(None).await.unwrap();
        let rows = world.rig.bodies().len();
        assert_eq!(world.controller(None).await, Some(end), "{name}");
        assert_eq!(world.rig.bodies().len(), rows, "{name}");
    }
}

#[tokio::test]
async fn the_defaults_of_a_later_version_do_not_matter() {
    let rig = Rig::new();
    let store: Arc<dyn AuditStore> = Arc::new(rig.store.clone());
    let wait = Step::Wait(Duration::from_hours(1));
    let model = Arc::new(FakeModel::new([shell("a", "one"), wait]));
    let begun = tokio::time::timeout(Duration::from_millis(100), rig.go_on(store.clone(), model.clone())).await;
    assert!(begun.is_err());
    let mut later = Rig { store: rig.store.clone(), provider: rig.provider.clone(), ..Rig::new() };
    later.input.budgets.max_tokens = 7;
    later.input.budgets.turns = 1;
    later.input.model = "another".to_owned();
    later.input.subject.name = "another".to_owned();
    let again = Arc::new(FakeModel::new([conclude("b")]));
    let (end, _) = later.go_on(store, again.clone()).await;
    assert_eq!(reason(&end), "Concluded:Concluded");
    assert_eq!(again.requests()[0], model.requests()[1]);
}

#[tokio::test]
async fn wall_time_goes_on_and_no_clock_can_stop_it_or_overdraw_it() {
    let rig = Rig::new();
    let (_, _) = rig.play([shell("a", "one"), conclude("b")]).await;
    let stored = rig.store.stored(&rig.session, 0, 500).await.unwrap();
    let wall_time = |seconds: &[i64], now: i64| {
        let mut entries = stored[..seconds.len()].to_vec();
        let at = |second: i64| jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
        for (entry, second) in entries.iter_mut().zip(seconds) {
            entry.at = at(*second);
        }
        Left::read(&rig.session, &entries).unwrap().unwrap().state().wall_time(at(now)).as_secs()
    };
    assert_eq!(wall_time(&[0, 10, 20], 50), 50);
    assert_eq!(wall_time(&[0, 10, 20], -1000), 20, "the clock was set back since");
    assert_eq!(wall_time(&[0, 10, -500, -490], -480), 30, "it was set back meanwhile");
}

#[tokio::test]
async fn a_session_whose_wall_time_is_over_gets_its_last_turn() {
    let mut rig = Rig::new();
    rig.input.budgets.wall_time_seconds = 1;
    let store: Arc<dyn AuditStore> = Arc::new(rig.store.clone());
    let model = Arc::new(FakeModel::new([shell("a", "one"), Step::Wait(Duration::from_hours(1))]));
    let begun = tokio::time::timeout(Duration::from_millis(100), rig.go_on(store.clone(), model)).await;
    assert!(begun.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (end, _) = rig.go_on(store, Arc::new(FakeModel::new([says("It is Redis.")]))).await;
    let SessionEnd::Escalated { reason, findings: Some(findings), .. } = end else { panic!("{end:?}") };
    assert_eq!((reason.as_str(), findings.summary.as_str()), ("WallTimeBudget", "It is Redis."));
}

#[tokio::test]
async fn sessions_of_a_version_that_could_not_resume_are_gone_on_with() {
    let rig = Rig::new();
    let (_, _) = rig.play(whole()).await;
    let stored = rig.store.stored(&rig.session, 0, 500).await.unwrap();
    let old: Vec<StoredEntry> = stored
        .iter()
        .map(|entry| {
            let mut entry = entry.clone();
            if let Some(data) = entry.data.as_object_mut() {
                for new in ["settings", "maxTokens", "stopDetails"] {
                    data.remove(new);
                }
            }
            entry
        })
        .collect();
    for end in 1..stored.len() {
        let new = Left::read(&rig.session, &stored[..end]).unwrap().unwrap();
        let old = Left::read(&rig.session, &old[..end]).unwrap().unwrap();
        assert_eq!(old.next_step(), new.next_step(), "behind entry {end}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let rig = Rig::new();
    let (_, _) = rig.play([shell("a", "one"), conclude("b")]).await;
    let stored = rig.store.stored(&rig.session, 0, 500).await.unwrap();
    let broken = |at: usize, data: Value| {
        let mut entries = stored.clone();
        entries[at].data = data;
        Left::read(&rig.session, &entries).map(drop).unwrap_err().to_string()
    };
    let error = broken(1, json!({"of": "a newer version"}));
    assert!(error.contains("entry 2 (turn)"), "{error}");
    let mut first = stored[0].data.clone();
    first["budgets"] = json!({"turns": "many"});
    let error = broken(0, first);
    assert!(error.contains("its budgets cannot be read"), "{error}");
    let error = Left::read(&rig.session, &stored[1..]).map(drop).unwrap_err().to_string();
    assert!(error.contains("first entry"), "{error}");
}

#[tokio::test]
async fn changes_that_were_begun_are_known() {
    let rig = Rig::new();
    let (_, _) = rig.play([shell("a", "one"), conclude("b")]).await;
    let stored = rig.store.stored(&rig.session, 0, 4).await.unwrap();
    let change = json!({"step": "begun", "action": "container.restart", "summary": "docker restart a", "call": null,
        "target": {"kind": "container", "id": "1", "name": "a"}, "origin": {"boot": u64::MAX, "id": 3}});
    let begun = StoredEntry { seq: 5, kind: "change".into(), data: change, ..stored[3].clone() };
    assert!(matches!(begun.body(), Some(EntryBody::Change(ChangeEntry::Begun(_)))));
    let mut entries = stored.clone();
    entries.push(begun);
    let left = Left::read(&rig.session, &entries).unwrap().unwrap();
    let open: Vec<_> = left.state().open_changes().iter().map(|(seq, origin)| (*seq, origin.unwrap().id)).collect();
    assert_eq!(open, [(5, 3)]);
}

#[tokio::test]
async fn a_call_that_never_reached_the_container_is_not_sent_later() {
    let world = World::new(vec![shell("a", "one"), conclude("b")], |_| {});
    assert_eq!(world.controller(Some(Moment::AfterRow(4))).await, None);
    world.controller(None).await.unwrap();
    assert_eq!(world.rig.provider.commands(), Vec::<String>::new());
    let first = world.rig.bodies().into_iter().find_map(|body| match body {
        EntryBody::ToolResult(result) => Some(result.outcome),
        _ => None,
    });
    let told = "not started: the controller ended before it was sent".to_owned();
    assert_eq!(first, Some(CallOutcome::NotStarted { reason: told }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_a_real_postgres() {
    let script = || vec![shell("a", "one"), says("done?"), conclude("b")];
    let (expected, rows) = without_crash(&script(), |_| {}).await;
    for row in 1..=rows {
        let database = database().await;
        let fuse = Arc::new(Mutex::new(Fuse::default()));
        let rig = Rig::new();
        let dead = Fuse::burn(&fuse, Some(Moment::AfterRow(row)));
        let store: Arc<dyn AuditStore> = Arc::new(DyingStore { inner: Arc::new(database.store()), fuse: fuse.clone() });
        let model = Arc::new(FakeModel::new(script()));
        tokio::select! {
            biased;
            () = dead.cancelled() => {}
            _ = rig.go_on(store.clone(), model.clone()) => panic!("it did not die behind row {row}"),
        }
        Fuse::burn(&fuse, None);
        let turns = store.entries(&rig.session, 0, 100).await.unwrap();
        let turns = turns.iter().filter(|entry| matches!(entry.body, EntryBody::Turn(_))).count();
        let rest = FakeModel::new(script().into_iter().skip(turns));
        let (end, _) = rig.go_on(store.clone(), Arc::new(rest)).await;
        assert_eq!(reason(&end), expected.end, "row {row}");
        let entries = store.entries(&rig.session, 0, 100).await.unwrap();
        let numbers: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(numbers, (1..).take(entries.len()).collect::<Vec<_>>(), "row {row}");
        let is_resumed =
            |body: &EntryBody| matches!(body, EntryBody::Control(control) if control.event == ControlEvent::Resumed);
        let kinds: Vec<_> =
            entries.iter().filter(|entry| !is_resumed(&entry.body)).map(|entry| entry.body.kind().as_str()).collect();
        let wanted: Vec<_> = expected.story.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, wanted, "row {row}");
        // The command of the row behind which the first controller died was never sent.
        let sent = usize::from(!matches!(&entries[row - 1].body, EntryBody::ToolCall(call) if call.command.is_some()));
        assert_eq!(rig.provider.commands().len(), sent, "row {row}");
    }
}
