//! Cancelled sessions, lost containers, engines that are away, commands that never end.

use std::sync::Arc;
use std::time::Duration;

use controller::audit::{CallOutcome, EntryBody};
use controller::model::fake::{FakeModel, Step, calls, says};
use controller::sandbox::fake::FakeCall;
use controller::sandbox::{CapturedStream, CommandEnd, CommandResult, SandboxError};
use serde_json::json;

use crate::rig::{Rig, conclude, reason, shell};

fn outcomes(rig: &Rig) -> Vec<CallOutcome> {
    let outcome = |body| if let EntryBody::ToolResult(result) = body { Some(result.outcome) } else { None };
    rig.bodies().into_iter().filter_map(outcome).collect()
}

#[tokio::test]
async fn a_cancelled_command_is_killed_and_recorded() {
    let mut rig = Rig::new();
    rig.provider = rig.provider.clone().with_delay(Duration::from_secs(30));
    let cancel = rig.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    let begun = tokio::time::Instant::now();
    let (end, _) = rig.play([shell("a", "sleep 100"), conclude("b")]).await;
    assert_eq!(reason(&end), "Cancelled:Cancelled");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(rig.provider.calls().contains(&FakeCall::Kill(4)), "{:?}", rig.provider.calls());
    assert_eq!(outcomes(&rig), [CallOutcome::Cancelled]);
    assert_eq!(rig.kinds()[5..], ["control:cancelled", "control:sealed"]);
}

#[tokio::test]
async fn a_cancelled_call_to_the_model_ends_at_once() {
    let rig = Rig::new();
    let cancel = rig.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cancel.cancel();
    });
    let begun = tokio::time::Instant::now();
    let (end, _) = rig.play([Step::Wait(Duration::from_mins(5)), conclude("b")]).await;
    assert_eq!(reason(&end), "Cancelled:Cancelled");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn cancelled_before_it_began() {
    let rig = Rig::new();
    rig.cancel.cancel();
    let (end, _) = rig.play([shell("a", "x")]).await;
    assert_eq!(reason(&end), "Cancelled:Cancelled");
    assert_eq!(rig.provider.commands(), Vec::<String>::new());
}

#[tokio::test]
async fn cancelled_while_the_store_is_away() {
    let mut rig = Rig::new();
    rig.patience = Duration::from_mins(50);
    let recorder_store = rig.store.clone();
    let cancel = rig.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        recorder_store.make_unavailable("gone");
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    });
    let begun = tokio::time::Instant::now();
    let (end, _) = rig.play([Step::Wait(Duration::from_millis(100)), shell("a", "x")]).await;
    assert_eq!(reason(&end), "Cancelled:Cancelled");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(rig.provider.commands(), Vec::<String>::new());
}

#[tokio::test]
async fn a_lost_container_is_replaced_and_the_model_told() {
    let mut rig = Rig::new();
    rig.provider = rig.provider.clone().with_delay(Duration::from_millis(200));
    let provider = rig.provider.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        provider.lose_all("somebody removed it");
    });
    let two = calls(&[
        ("a", "shell", json!({"command": "one", "reasoning": "r"})),
        ("b", "shell", json!({"command": "two", "reasoning": "r"})),
    ]);
    let (end, model) = rig.play([two, shell("c", "three"), conclude("d")]).await;
    assert_eq!(end.phase(), "Concluded");
    assert_eq!(rig.provider.commands(), ["one", "three"]);
    assert!(matches!(
        &outcomes(&rig)[..],
        [
            CallOutcome::Unknown { .. },
            CallOutcome::NotStarted { .. },
            CallOutcome::Exited { .. },
            CallOutcome::Accepted
        ]
    ));
    let told = model.requests()[1].messages[2]["content"].clone();
    assert_eq!(told[0]["is_error"], true);
    assert_eq!(told[1]["tool_use_id"], "b");
    assert!(told[2]["text"].as_str().unwrap().contains("replaced by a fresh one"), "{told}");
    assert!(rig.kinds().contains(&"control:sandbox_lost".to_owned()));
}

#[tokio::test]
async fn containers_that_are_lost_again_and_again_end_the_session() {
    let mut rig = Rig::new();
    rig.provider = rig.provider.clone().with_delay(Duration::from_millis(200));
    let provider = rig.provider.clone();
    let losing = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(70)).await;
            provider.lose_all("again");
        }
    });
    let (end, _) = rig.play((0..9).map(|n| shell(&format!("c{n}"), "x"))).await;
    losing.abort();
    assert_eq!(reason(&end), "Failed:SandboxLost");
}

#[tokio::test]
async fn an_engine_that_is_away_is_waited_for() {
    let rig = Rig::new();
    rig.provider.fail_create(Some(SandboxError::EngineUnavailable { reason: "no socket".into() }));
    let provider = rig.provider.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        provider.fail_create(None);
    });
    let (end, _) = rig.play([shell("a", "x"), conclude("b")]).await;
    assert_eq!(end.phase(), "Concluded");
    assert_eq!(rig.provider.commands(), ["x"]);
}

#[tokio::test]
async fn an_engine_that_refuses_fails_the_session() {
    let rig = Rig::new();
    rig.provider.fail_create(Some(SandboxError::Refused("no such runtime".into())));
    let (end, _) = rig.play([shell("a", "x"), conclude("b")]).await;
    assert_eq!(reason(&end), "Failed:EngineRefused");
    assert!(end.message().contains("no such runtime"));
}

#[tokio::test]
async fn what_a_command_prints_is_bounded_for_the_model_and_kept_on_record() {
    let rig = Rig::with(|_| CommandResult {
        end: CommandEnd::TimedOut,
        duration: Duration::from_mins(2),
        stdout: CapturedStream { head: vec![0xff; 1 << 20], tail: b"rest of a line\nend\0".to_vec(), total: 1 << 30 },
        stderr: CapturedStream::default(),
    });
    let (end, _) = rig.play([shell("a", "yes"), conclude("b")]).await;
    assert_eq!(end.phase(), "Concluded");
    let shown = &rig.results()[0];
    assert!(shown.contains("killed by Operator after the limit of 120 s"));
    assert!(
        shown.contains("bytes left out") && shown.contains("\nend\\0\n</data-") && shown.len() < 60_000,
        "{}",
        shown.len()
    );
    let kept = rig
        .bodies()
        .into_iter()
        .find_map(|body| if let EntryBody::ToolResult(result) = body { result.stdout } else { None });
    assert_eq!(kept.unwrap().bytes, 1 << 30);
}

#[tokio::test]
async fn summaries_come_beside_the_loop_and_never_delay_it() {
    let mut rig = Rig::with(|_| CommandResult::exited(0, &"long ".repeat(100), ""));
    rig.summariser =
        Some(Arc::new(FakeModel::new([Step::Wait(Duration::from_millis(300)), says("Redis is\nread-only.")])));
    let begun = tokio::time::Instant::now();
    let (end, _) = rig.play([shell("a", "x"), conclude("b")]).await;
    assert_eq!(end.phase(), "Concluded");
    assert!(begun.elapsed() < Duration::from_millis(250), "{:?}", begun.elapsed());
    assert_eq!(rig.store.summary(&rig.session, 5), None);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(rig.store.summary(&rig.session, 5).as_deref(), Some("Redis is read-only."));
}
