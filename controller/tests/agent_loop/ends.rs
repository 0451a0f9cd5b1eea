//! How a session ends: every stop reason, every error of the model, every budget.

use std::time::Duration;

use controller::agent::{Budgets, SessionEnd};
use controller::audit::EntryBody;
use controller::model::fake::{Step, calls, message, says};
use controller::model::{ErrorKind, ModelError, Price, PriceTable, Pricing, StopReason};
use controller::money::NanoDollars;
use serde_json::{Value, json};

use crate::rig::{Rig, conclude, conclusion, reason, shell};

fn stops(reason: StopReason, content: &[Value]) -> Step {
    Step::Answer(Box::new(message(reason, content)))
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn call(id: &str, command: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "shell", "input": {"command": command, "reasoning": "r"}})
}

#[tokio::test]
async fn every_stop_reason_has_its_answer() {
    let cases: Vec<(&str, Vec<Step>, &str, &[&str])> = vec![
        ("tool_use", vec![shell("a", "x"), conclude("b")], "Concluded:Concluded", &["x"]),
        ("end_turn twice", vec![says("done"), says("really")], "Escalated:NoConclusion", &[]),
        ("end_turn once", vec![says("done"), conclude("a")], "Concluded:Concluded", &[]),
        (
            "work forgives a nudge",
            vec![says("1"), shell("a", "x"), says("2"), conclude("b")],
            "Concluded:Concluded",
            &["x"],
        ),
        (
            "end_turn with a call",
            vec![stops(StopReason::EndTurn, &[call("a", "x")]), conclude("b")],
            "Concluded:Concluded",
            &["x"],
        ),
        ("empty message", vec![stops(StopReason::EndTurn, &[]), conclude("b")], "Concluded:Concluded", &[]),
        (
            "stop_sequence",
            vec![stops(StopReason::StopSequence, &[text("t")]), conclude("a")],
            "Concluded:Concluded",
            &[],
        ),
        (
            "unknown",
            vec![stops(StopReason::Other("tired".into()), &[text("t")]), conclude("a")],
            "Concluded:Concluded",
            &[],
        ),
        ("missing", vec![stops(StopReason::Missing, &[call("a", "x")]), conclude("b")], "Concluded:Concluded", &["x"]),
        ("pause_turn", vec![stops(StopReason::PauseTurn, &[text("wait")]), conclude("a")], "Concluded:Concluded", &[]),
        (
            "pause_turn for ever",
            vec![stops(StopReason::PauseTurn, &[text("wait")]); 9],
            "Escalated:PausedTooOften",
            &[],
        ),
        ("refusal", vec![stops(StopReason::Refusal, &[text("no"), call("a", "x")])], "Escalated:ModelRefused", &[]),
        ("window", vec![stops(StopReason::ContextWindow, &[call("a", "x")])], "Escalated:ContextWindow", &[]),
        ("max_tokens", vec![stops(StopReason::MaxTokens, &[text("I")]), conclude("a")], "Concluded:Concluded", &[]),
        ("max_tokens for ever", vec![stops(StopReason::MaxTokens, &[text("I")]); 5], "Escalated:OutputLimit", &[]),
        (
            "max_tokens in the last call",
            vec![stops(StopReason::MaxTokens, &[call("a", "x"), call("b", "rm -rf /var/tmp")]), conclude("c")],
            "Concluded:Concluded",
            &["x"],
        ),
    ];
    for (name, steps, end, commands) in cases {
        let rig = Rig::new();
        let (ended, model) = rig.play(steps).await;
        assert_eq!(reason(&ended), end, "{name}");
        assert_eq!(rig.provider.commands(), commands, "{name}");
        assert_eq!(rig.kinds().last().unwrap(), "control:sealed", "{name}");
        for request in model.requests() {
            let roles: Vec<_> = request.messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
            assert_eq!(roles[0], "user", "{name}");
            if !name.starts_with("pause_turn") {
                assert_eq!(*roles.last().unwrap(), "user", "{name}");
                assert!(roles.windows(2).all(|pair| pair[0] != pair[1]), "{name}: {roles:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_cut_call_is_told_to_the_model() {
    let rig = Rig::new();
    let (_, model) = rig.play([stops(StopReason::MaxTokens, &[call("a", "rm -rf /v")]), conclude("b")]).await;
    let told = model.requests()[1].messages[2].to_string();
    assert!(told.contains("cut off at 16000 tokens"), "{told}");
}

#[tokio::test]
async fn a_refusal_says_why() {
    let rig = Rig::new();
    let mut refusal = message(StopReason::Refusal, &[]);
    refusal.stop_details = json!({"type": "refusal", "category": "cyber", "explanation": "This\nlooks odd."});
    let (end, _) = rig.play([Step::Answer(Box::new(refusal))]).await;
    assert_eq!(end.message(), "the model refused to go on (category cyber): This looks odd.");
}

#[tokio::test]
async fn every_error_of_the_model_has_its_end() {
    let kinds = [
        (ErrorKind::Authentication, "ModelAuthentication"),
        (ErrorKind::Billing, "ModelBilling"),
        (ErrorKind::Permission, "ModelPermission"),
        (ErrorKind::NotFound, "ModelNotFound"),
        (ErrorKind::InvalidRequest, "ModelInvalidRequest"),
        (ErrorKind::TooLarge, "ModelRequestTooLarge"),
        (ErrorKind::RateLimited, "ModelRateLimited"),
        (ErrorKind::Overloaded, "ModelOverloaded"),
        (ErrorKind::Server, "ModelServerError"),
        (ErrorKind::Network, "ModelUnreachable"),
        (ErrorKind::Stream, "ModelStreamBroken"),
    ];
    for (kind, category) in kinds {
        let rig = Rig::new();
        let (end, _) = rig.play([Step::Fail(ModelError::new(kind, "because"))]).await;
        assert_eq!(reason(&end), format!("Failed:{category}"));
        assert!(end.message().contains("because"), "{end:?}");
        assert_eq!(rig.kinds(), ["incident", "control:error", "control:sealed"]);
    }
    let rig = Rig::new();
    let (end, _) =
        rig.play([shell("a", "x"), Step::Fail(ModelError::new(ErrorKind::TooLarge, "prompt is too long"))]).await;
    assert_eq!(reason(&end), "Escalated:ContextWindow");
}

#[tokio::test]
async fn retries_are_on_record() {
    let rig = Rig::new();
    let (end, _) = rig.play([Step::Retry(ModelError::new(ErrorKind::Overloaded, "busy")), conclude("a")]).await;
    assert_eq!(end.phase(), "Concluded");
    assert_eq!(rig.kinds()[1], "control:error");
}

#[tokio::test]
async fn the_turn_budget_ends_with_findings() {
    let mut rig = Rig::new();
    rig.input.budgets.turns = 2;
    let last = calls(&[("c", "shell", json!({"command": "late", "reasoning": "r"})), ("d", "conclude", conclusion())]);
    let (end, model) = rig.play([shell("a", "one"), shell("b", "two"), last]).await;
    let SessionEnd::Escalated { reason, findings, .. } = &end else { panic!("{end:?}") };
    assert_eq!(reason, "TurnBudget");
    assert_eq!(findings.as_ref().unwrap().summary, "made it a master");
    assert_eq!(rig.provider.commands(), ["one", "two"]);
    let told = model.requests()[2].messages.last().unwrap().to_string();
    assert!(told.contains("tool_result") && told.contains("last message"), "{told}");
}

#[tokio::test]
async fn findings_in_words_count_too() {
    let mut rig = Rig::new();
    rig.input.budgets.turns = 1;
    let (end, _) = rig.play([shell("a", "one"), says("It is Redis.")]).await;
    let SessionEnd::Escalated { findings: Some(findings), .. } = &end else { panic!("{end:?}") };
    assert_eq!(findings.summary, "It is Redis.");
}

#[tokio::test]
async fn the_wall_time_ends_a_command_and_the_session() {
    let mut rig = Rig::new();
    rig.input.budgets.wall_time_seconds = 2;
    let wait = Step::Wait(Duration::from_millis(300));
    let (end, _) = rig.play([wait, shell("a", "one"), Step::Wait(Duration::from_secs(500)), conclude("b")]).await;
    assert_eq!(reason(&end), "Escalated:WallTimeBudget");
    assert!(rig.results()[0].contains("the limit was 1 s"), "{:?}", rig.results());
}

#[tokio::test]
async fn money_is_reserved_before_it_is_spent() {
    let mut rig = Rig::new();
    rig.input.pricing = PriceTable::default().of("claude-opus-5-5");
    rig.input.budgets.cost = Some(NanoDollars::from_dollars(0.4));
    let spends = |id: &str, output: u64| {
        let mut answer = message(StopReason::ToolUse, &[call(id, "x")]);
        answer.usage = controller::model::Usage::from_api(json!({"input_tokens": 4000, "output_tokens": output}));
        Step::Answer(Box::new(answer))
    };
    let (end, model) = rig.play([spends("a", 8000), conclude("b")]).await;
    assert_eq!(reason(&end), "Escalated:CostBudget");
    let spent: NanoDollars = rig
        .bodies()
        .iter()
        .filter_map(|body| if let EntryBody::Turn(turn) = body { Some(turn.cost) } else { None })
        .sum();
    assert!(spent <= NanoDollars::from_dollars(0.4), "{spent}");
    let room: Vec<u32> = model.requests().iter().map(|request| request.max_tokens).collect();
    assert_eq!(room, [8_000, 4_096]);
}

#[tokio::test]
async fn the_token_budget_holds() {
    let mut rig = Rig::new();
    rig.input.budgets = Budgets { tokens: Some(30_000), ..Budgets::default() };
    let big = |id: &str| {
        let mut answer = message(StopReason::ToolUse, &[call(id, "x")]);
        answer.usage = controller::model::Usage::from_api(json!({"input_tokens": 9000, "output_tokens": 500}));
        Step::Answer(Box::new(answer))
    };
    let (end, _) = rig.play([big("a"), conclude("b")]).await;
    assert_eq!(reason(&end), "Escalated:TokenBudget");
}

#[tokio::test]
async fn an_unknown_price_is_said() {
    let mut rig = Rig::new();
    rig.input.pricing = Pricing { known: false, price: Price::new(10.0, 50.0, 12.5, 1.0) };
    let (end, _) = rig.play([conclude("a")]).await;
    assert_eq!(end.phase(), "Concluded");
    assert_eq!(rig.kinds()[1], "control:budget");
}
