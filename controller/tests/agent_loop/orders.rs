//! What people order while a session runs: notes, a halt, the end.

use std::sync::Arc;
use std::time::Duration;

use controller::agent::fence::Fence;
use controller::agent::frozen::Frozen;
use controller::agent::state::State;
use controller::agent::step::{Step as Next, next};
use controller::agent::{SessionEnd, StillRuns};
use controller::audit::entry::NoteEntry;
use controller::audit::{AuditStore as _, CallOutcome, ControlEntry, ControlEvent, EntryBody, FakeStore};
use controller::halt::Halt;
use controller::model::fake::{FakeModel, Step, calls, message};
use controller::model::{ModelRequest, StopReason};
use controller::sandbox::CommandResult;
use controller::sandbox::fake::FakeCall;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::rig::{Rig, conclude, conclusion, reason, shell};

fn note(number: i64, text: &str) -> NoteEntry {
    NoteEntry { number, author: Some("jane".to_owned()), text: text.to_owned(), at: None }
}

fn halt() -> Halt {
    Halt { reason: Some("wrong cluster".to_owned()), ..Halt::default() }
}

/// How often a text stands in a conversation.
fn count(request: &ModelRequest, text: &str) -> usize {
    request.messages.iter().map(|message| message.to_string().matches(text).count()).sum()
}

/// A rig whose command `hear` makes somebody write the next note.
fn hearing() -> Rig {
    let notes = tokio::sync::watch::Sender::new(Vec::new());
    let heard = notes.clone();
    let mut rig = Rig::with(move |command| {
        if command.command == "hear" {
            heard.send_modify(|notes| notes.push(note(i64::try_from(notes.len()).unwrap() + 1, "Look at the disk.")));
        }
        CommandResult::exited(0, &command.command, "")
    });
    rig.notes = notes;
    rig
}

#[tokio::test]
async fn a_note_is_on_record_and_heard_once_behind_the_results() {
    let rig = hearing();
    let (end, model) = rig.play([shell("a", "hear"), shell("b", "two"), conclude("c")]).await;
    assert_eq!(reason(&end), "Concluded:Concluded");
    let kinds = rig.kinds();
    let at = kinds.iter().position(|kind| kind == "note").unwrap();
    assert_eq!((kinds[at - 1].as_str(), kinds[at + 1].as_str()), ("tool_result", "turn"), "{kinds:?}");
    let requests = model.requests();
    let blocks: Vec<_> =
        requests[1].messages[2]["content"].as_array().unwrap().iter().map(|block| block["type"].clone()).collect();
    assert_eq!(blocks, ["tool_result", "text"]);
    assert_eq!(requests.iter().map(|request| count(request, "[note 1 from jane]")).collect::<Vec<_>>(), [0, 1, 1]);
    assert!(requests[0].system.contains("[note N from"), "the model knows what a note is");
}

#[tokio::test]
async fn a_note_that_comes_before_the_conclusion_holds_it_back_once() {
    let rig = hearing();
    let both = calls(&[("a", "shell", json!({"command": "hear", "reasoning": "r"})), ("b", "conclude", conclusion())]);
    let (end, model) = rig.play([both, conclude("c")]).await;
    assert_eq!(reason(&end), "Concluded:Concluded");
    let refused = rig.results()[1].clone();
    assert!(refused.contains("not run: a person wrote to you meanwhile"), "{refused}");
    assert_eq!(count(&model.requests()[1], "| Look at the disk."), 1);
}

/// A controller that dies behind any entry: the next one knows from the entries which notes were heard.
#[tokio::test]
async fn a_resumed_session_hears_no_note_twice_and_misses_none() {
    let rig = hearing();
    rig.play([shell("a", "hear"), shell("b", "hear"), conclude("c")]).await;
    let entries = rig.store.all(&rig.session);
    for cut in 1..entries.len() {
        let resumed = Rig { store: FakeStore::new(), notes: rig.notes.clone(), ..Rig::new() };
        let store = Arc::new(resumed.store.clone());
        resumed.begin().await;
        for entry in &entries[..cut] {
            store.append(&resumed.session, entry.seq, entry.at, &entry.body).await.unwrap();
        }
        let model = Arc::new(FakeModel::new((0..6).map(|i| conclude(&format!("end-{i}")))));
        resumed.go_on(store, model).await;
        let bodies = resumed.bodies();
        let numbers: Vec<_> = bodies
            .iter()
            .filter_map(|body| if let EntryBody::Note(note) = body { Some(note.number) } else { None })
            .collect();
        // A session that had concluded by then has no turn in which it could hear anything.
        let concluded = entries[..cut].iter().any(|entry| matches!(entry.body, EntryBody::Conclusion(_)));
        assert!(numbers == [1, 2] || (concluded && numbers.is_empty()), "cut behind {cut}: {numbers:?}");
    }
}

#[tokio::test]
async fn notes_from_before_the_beginning_are_not_told_again() {
    let mut rig = hearing();
    rig.input.incident.notes = vec![note(1, "Since yesterday.")];
    rig.notes.send_replace(vec![note(1, "Since yesterday.")]);
    let (_, model) = rig.play([shell("a", "hear"), conclude("b")]).await;
    let requests = model.requests();
    assert_eq!((count(&requests[0], "Since yesterday."), count(&requests[1], "Since yesterday.")), (1, 1));
    assert_eq!(count(&requests[1], "[note 2 from jane]"), 1);
}

#[tokio::test]
async fn a_halt_kills_the_command_holds_the_next_turn_back_and_is_told() {
    let mut rig = Rig::new();
    rig.provider = rig.provider.clone().with_delay(Duration::from_secs(30));
    let halted = rig.halt.clone();
    let calls_until_then = rig.provider.clone();
    tokio::spawn(async move {
        while calls_until_then.commands().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        halted.send_replace(Some(halt()));
        tokio::time::sleep(Duration::from_millis(300)).await;
        halted.send_replace(None);
    });
    let (end, model) = rig.play([shell("a", "long"), conclude("b")]).await;
    assert_eq!(reason(&end), "Concluded:Concluded");
    assert!(rig.provider.calls().contains(&FakeCall::Kill(4)), "{:?}", rig.provider.calls());
    let result = rig.results()[0].clone();
    assert!(result.contains("note: killed, because the installation is halted: wrong cluster"), "{result}");
    let kinds = rig.kinds();
    let at = kinds.iter().position(|kind| kind == "control:halted").unwrap();
    assert_eq!(kinds[at - 1..=at + 2], ["tool_result", "control:halted", "control:released", "turn"]);
    assert_eq!(count(&model.requests()[1], "Operator stood still for 0 s"), 1);
}

#[tokio::test]
async fn a_command_that_a_halt_cannot_end_loses_its_container() {
    let mut rig = Rig::new();
    rig.provider = rig.provider.clone().with_delay(Duration::from_secs(30));
    rig.provider.ignore_kills();
    let halted = rig.halt.clone();
    let seen = rig.provider.clone();
    tokio::spawn(async move {
        while seen.commands().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        halted.send_replace(Some(halt()));
        while !seen.calls().iter().any(|call| matches!(call, FakeCall::KillAll(_))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        halted.send_replace(None);
    });
    let (end, _) = rig.play([shell("a", "stubborn"), conclude("b")]).await;
    assert_eq!(reason(&end), "Concluded:Concluded");
    assert!(rig.results()[0].contains("its container was killed"), "{:?}", rig.results());
    assert!(rig.kinds().contains(&"control:sandbox_lost".to_owned()));
}

#[tokio::test]
async fn nothing_begins_in_a_halt_and_a_cancellation_still_ends_it() {
    let rig = Rig::new();
    rig.halt.send_replace(Some(halt()));
    let cancel = rig.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    });
    let (end, model) = rig.play([conclude("a")]).await;
    assert_eq!(reason(&end), "Cancelled:Cancelled");
    assert!(model.requests().is_empty(), "no turn");
    assert_eq!(rig.kinds(), ["incident", "control:halted", "control:cancelled", "control:sealed"]);
}

fn control(event: ControlEvent, details: Value) -> EntryBody {
    EntryBody::Control(ControlEntry { event, message: String::new(), details })
}

#[test]
fn the_wall_time_stands_still_in_a_halt() {
    let begin: Timestamp = "2026-01-28T20:54:48Z".parse().unwrap();
    let at = |second: i64| begin + second.seconds();
    let rig = Rig::new();
    let first = Frozen::first_entry(&rig.input, &Fence::new("boundary"));
    let frozen = Frozen::read(&first).unwrap();
    let mut state = State::default();
    state.take(1, at(0), &EntryBody::Incident(first));
    state.take(2, at(10), &control(ControlEvent::Halted, json!(null)));
    assert_eq!(state.wall_time(at(500)), Duration::from_secs(10));
    state.take(3, at(1000), &control(ControlEvent::Released, json!({"seconds": 990, "replace": false})));
    assert_eq!(state.wall_time(at(1005)), Duration::from_secs(15));
    assert!(matches!(next(&state, &frozen, false), Next::Ask { .. }));
    // After a long one the container is another, and that counts as nobody's fault.
    for lost in 0..5 {
        state.take(4, at(1010), &control(ControlEvent::Halted, json!(null)));
        state.take(5, at(2000), &control(ControlEvent::Released, json!({"replace": true})));
        assert!(matches!(next(&state, &frozen, false), Next::SayLost { .. }), "{lost}");
        state.take(6, at(2001), &control(ControlEvent::SandboxLost, json!({})));
        assert!(matches!(next(&state, &frozen, false), Next::Ask { .. }), "{lost}");
    }
}

#[tokio::test]
async fn a_cancelled_session_says_what_it_found_and_what_still_runs() {
    let rig = Rig::new();
    let runs = StillRuns { entry: 7, container: "web".into(), command: "docker exec web x".into(), pid: Some(9) };
    rig.brake.leave(runs);
    let cancel = rig.cancel.clone();
    let words = Step::Answer(Box::new(message(
        StopReason::ToolUse,
        &[
            json!({"type": "text", "text": "It is the disk."}),
            json!({"type": "tool_use", "id": "a", "name": "shell", "input": {"command": "df", "reasoning": "r"}}),
        ],
    )));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    });
    let (end, _) = rig.play([words, Step::Wait(Duration::from_mins(1)), conclude("b")]).await;
    let SessionEnd::Cancelled { message, findings: Some(findings) } = &end else { panic!("{end:?}") };
    assert_eq!(
        message,
        "cancelled after 1 turns and 1 commands; still running in the subject: `docker exec web x` (pid 9, change 7)"
    );
    assert!(findings.summary.contains("The agent's last words: It is the disk."), "{findings:?}");
    let entry = rig.bodies().into_iter().find_map(|body| match body {
        EntryBody::Control(control) if control.event == ControlEvent::Cancelled => Some(control),
        _ => None,
    });
    let details = entry.unwrap().details;
    assert_eq!((&details["stillRuns"][0]["pid"], &details["changes"]), (&json!(9), &json!(0)));
    // A controller that finds only this much comes to the same end.
    assert!(details["findings"]["summary"].as_str().unwrap().contains("It is the disk."));
    let calls = rig.provider.calls();
    let killed = calls.iter().position(|call| matches!(call, FakeCall::KillAll(_))).unwrap();
    assert!(calls[killed..].contains(&FakeCall::Close), "killed before the gateway is waited for: {calls:?}");
}

#[tokio::test]
async fn a_cancelled_command_ends_though_the_store_is_away() {
    let mut rig = Rig::new();
    rig.provider = rig.provider.clone().with_delay(Duration::from_secs(30));
    let (cancel, store, seen) = (rig.cancel.clone(), rig.store.clone(), rig.provider.clone());
    tokio::spawn(async move {
        while seen.commands().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        store.make_unavailable("no route to host");
        cancel.cancel();
    });
    let (end, _) = rig.play([shell("a", "long"), conclude("b")]).await;
    assert_eq!(reason(&end), "Cancelled:Cancelled");
    assert!(end.message().contains("the trail could not be closed"), "{}", end.message());
    let calls = rig.provider.calls();
    assert!(calls.contains(&FakeCall::Kill(4)) && calls.iter().any(|call| matches!(call, FakeCall::KillAll(_))));
    rig.store.heal();
    assert!(
        !rig.bodies()
            .iter()
            .any(|body| matches!(body, EntryBody::ToolResult(r) if r.outcome == CallOutcome::Cancelled))
    );
}
