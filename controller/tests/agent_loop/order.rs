//! Row, then command, then result, whatever the store does.

use std::sync::{Arc, Mutex};

use controller::agent::SessionEnd;
use controller::audit::fake::Fault;
use controller::audit::{CallOutcome, EntryBody, Outcome};
use controller::model::fake::{Step, calls};
use controller::sandbox::CommandResult;
use controller::sandbox::fake::FakeCall;
use serde_json::json;

use crate::rig::{Rig, conclude, conclusion, reason, shell};

fn script() -> Vec<Step> {
    let three = [
        ("a", "shell", json!({"command": "one", "reasoning": "r"})),
        ("b", "shell", json!({"command": "two", "reasoning": "r"})),
        ("c", "shell", json!({"command": "three", "reasoning": "r"})),
    ];
    vec![calls(&three), shell("d", "four"), conclude("e")]
}

/// A rig whose sandbox notes, for each command, whether its row and only its row stood there.
fn watching() -> (Rig, Arc<Mutex<Vec<String>>>) {
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let (store, session) = (Arc::new(Mutex::new(None)), "2026-01-28T20-54-48-3a029c12".to_owned().into());
    let rig = Rig::with({
        let (wrong, store) = (wrong.clone(), store.clone());
        move |command| {
            let store: controller::audit::FakeStore = store.lock().unwrap().clone().unwrap();
            let last = store.all(&session).pop().unwrap();
            let right =
                matches!(&last.body, EntryBody::ToolCall(call) if call.command.as_deref() == Some(&command.command));
            if !right || last.seq != command.seq {
                wrong.lock().unwrap().push(format!("{} ran after {last:?}", command.command));
            }
            CommandResult::exited(0, &command.command, "")
        }
    });
    *store.lock().unwrap() = Some(rig.store.clone());
    (rig, wrong)
}

#[tokio::test]
async fn three_calls_of_a_turn_run_in_order_and_three_results_go_back() {
    let (rig, wrong) = watching();
    let (end, model) = rig.play(script()).await;
    let SessionEnd::Concluded(conclusion) = end else { panic!("{end:?}") };
    assert_eq!((conclusion.outcome, conclusion.evidence), (Outcome::Resolved, vec![5]));
    assert_eq!(rig.provider.commands(), ["one", "two", "three", "four"]);
    assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new());
    assert_eq!(
        rig.kinds(),
        [
            "incident",
            "turn",
            "control:started",
            "tool_call",
            "tool_result",
            "tool_call",
            "tool_result",
            "tool_call",
            "tool_result",
            "turn",
            "tool_call",
            "tool_result",
            "turn",
            "tool_call",
            "conclusion",
            "tool_result",
            "control:sealed",
        ]
    );
    assert_eq!(rig.provider.calls().last(), Some(&FakeCall::Close), "nothing is changed after the last entry");
    let second = &model.requests()[1].messages;
    assert_eq!(second.len(), 3);
    assert_eq!(second[1]["content"][0]["id"], "a");
    let results = second[2]["content"].as_array().unwrap();
    let ids: Vec<_> =
        results.iter().map(|block| (block["type"].as_str().unwrap(), block["tool_use_id"].as_str().unwrap())).collect();
    assert_eq!(ids, [("tool_result", "a"), ("tool_result", "b"), ("tool_result", "c")]);
    assert!(results[1]["content"].as_str().unwrap().contains("stdout (3 bytes):\n<data-"));
}

#[tokio::test]
async fn no_command_runs_unrecorded_wherever_the_store_fails() {
    for fault in [Fault::Unavailable, Fault::Refused, Fault::CommittedButUnanswered] {
        for nth in 1..=17 {
            if nth == 17 && fault != Fault::Refused {
                continue; // The last entry waits for the store as long as the wall time.
            }
            let (rig, wrong) = watching();
            let mut count = 0;
            // From this append on the store takes nothing more.
            rig.store.fail_when(move |_| {
                count += 1;
                (count >= nth).then_some(fault)
            });
            let (end, _) = rig.play(script()).await;
            assert_eq!(reason(&end), "Failed:AuditUnavailable", "append {nth}, {fault:?}");
            assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new(), "append {nth}, {fault:?}");
            let recorded: Vec<String> = rig
                .bodies()
                .into_iter()
                .filter_map(|body| if let EntryBody::ToolCall(call) = body { call.command } else { None })
                .collect();
            let ran = rig.provider.commands();
            assert!(recorded.starts_with(&ran), "append {nth}, {fault:?}: {ran:?} ran, {recorded:?} is on record");
        }
    }
}

#[tokio::test]
async fn a_store_that_hesitates_changes_nothing() {
    for nth in 1..=17 {
        for fault in [Fault::Unavailable, Fault::CommittedButUnanswered] {
            let (mut rig, wrong) = watching();
            rig.patience = std::time::Duration::from_mins(1);
            rig.store.fail_at(nth, fault);
            let (end, _) = rig.play(script()).await;
            assert_eq!(end.phase(), "Concluded", "append {nth}");
            assert_eq!(rig.provider.commands(), ["one", "two", "three", "four"], "append {nth}");
            assert_eq!(rig.kinds().len(), 17, "append {nth}");
            assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new(), "append {nth}");
        }
    }
}

#[tokio::test]
async fn conclude_ends_behind_the_calls_before_it() {
    let rig = Rig::new();
    let mixed = calls(&[
        ("a", "shell", json!({"command": "one", "reasoning": "r"})),
        ("b", "conclude", json!({"outcome": "perhaps"})),
        ("c", "conclude", conclusion()),
        ("d", "shell", json!({"command": "late", "reasoning": "r"})),
        ("e", "conclude", json!({"outcome": "unresolved", "root_cause": "x", "summary": "y", "evidence": []})),
    ]);
    let (end, _) = rig.play([mixed]).await;
    let SessionEnd::Concluded(conclusion) = end else { panic!("{end:?}") };
    assert_eq!(conclusion.outcome, Outcome::Resolved);
    assert_eq!(rig.provider.commands(), ["one"]);
    let outcomes: Vec<String> = rig
        .bodies()
        .into_iter()
        .filter_map(|body| match body {
            EntryBody::ToolResult(result) => Some(match result.outcome {
                CallOutcome::NotStarted { reason } => reason,
                other => format!("{other:?}"),
            }),
            _ => None,
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "Exited { code: 0 }",
            "`outcome` must be \"resolved\" or \"unresolved\"",
            "Accepted",
            "the session concluded",
            "the session concluded",
        ]
    );
}

#[tokio::test]
async fn evidence_that_does_not_exist_is_left_out_and_named() {
    let rig = Rig::new();
    let mut input = conclusion();
    input["evidence"] = json!([2, 2, 1, 99, -3]);
    let (end, _) = rig.play([calls(&[("a", "conclude", input)])]).await;
    let SessionEnd::Concluded(conclusion) = end else { panic!("{end:?}") };
    assert_eq!(conclusion.evidence, [1, 2]);
    let named = rig
        .bodies()
        .into_iter()
        .any(|body| matches!(body, EntryBody::Control(control) if control.message.contains("[99, -3]")));
    assert!(named);
}

#[tokio::test]
async fn calls_that_cannot_run_are_answered_and_recorded() {
    let rig = Rig::new();
    let bad = calls(&[
        ("a", "bash", json!({"command": "ls"})),
        ("b", "shell", json!({"cmd": "ls"})),
        ("c", "shell", json!({controller::model::INVALID_JSON: "{\"command\": \"rm"})),
        ("d", "shell", json!({"command": "slow", "reasoning": "r", "timeout_seconds": 9000})),
    ]);
    let (end, model) = rig.play([bad, conclude("e")]).await;
    assert_eq!(end.phase(), "Concluded");
    assert_eq!(rig.provider.commands(), ["slow"]);
    let second = &model.requests()[1].messages[2]["content"];
    let errors: Vec<bool> = second.as_array().unwrap().iter().map(|block| block["is_error"] == true).collect();
    assert_eq!(errors, [true, true, true, false]);
    let results = rig.results();
    assert!(results[0].contains("there is no tool \"bash\""), "{results:?}");
    assert!(results[1].contains("`command` is missing"), "{results:?}");
    assert!(results[2].contains("not valid JSON"), "{results:?}");
    assert!(results[3].contains("the limit was 600 s"), "{results:?}");
}
