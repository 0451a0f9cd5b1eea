//! A long conversation is made shorter, on record, and is rebuilt as it was sent.

use std::sync::Arc;

use controller::agent::budget::Budgets;
use controller::agent::compact::Window;
use controller::agent::state::State;
use controller::audit::AuditStore as _;
use controller::audit::entry::{ControlEvent, EntryBody};
use controller::model::fake::{FakeModel, Step, message, says};
use controller::model::{ModelRequest, StopReason, Usage};
use controller::sandbox::CommandResult;
use serde_json::{Value, json};

use crate::rig::{Rig, conclude, shell};

/// A script of commands whose answers count tokens as an API would: one for four bytes of what is sent.
fn script(turns: usize) -> Vec<Step> {
    (0..turns).map(|turn| shell(&format!("call_{turn}"), &format!("look {turn}"))).chain([conclude("end")]).collect()
}

fn long(command: &str) -> CommandResult {
    CommandResult::exited(0, &format!("{command} says\n{}", "some line of output\n".repeat(400)), "")
}

fn size(request: &ModelRequest) -> u64 {
    let messages: usize = request.messages.iter().map(|message| message.to_string().len()).sum();
    (messages + request.system.len() + request.tools.to_string().len()) as u64
}

/// Plays a fake whose usage says what was really sent.
struct Counting(FakeModel);

#[async_trait::async_trait]
impl controller::model::Model for Counting {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_event: controller::model::OnEvent<'_>,
        cancel: &tokio_util::sync::CancellationToken,
    ) -> Result<controller::model::ModelMessage, controller::model::ModelError> {
        let mut message = self.0.complete(request, on_event, cancel).await?;
        message.usage = Usage::from_api(json!({"input_tokens": size(request) / 4, "output_tokens": 20}));
        Ok(message)
    }
}

fn compacted(rig: &Rig) -> Vec<Value> {
    let details = |body| match body {
        EntryBody::Control(control) if control.event == ControlEvent::Compacted => Some(control.details),
        _ => None,
    };
    rig.bodies().into_iter().filter_map(details).collect()
}

fn rig(turns: usize) -> Rig {
    let mut rig = Rig::with(|command| long(&command.command));
    rig.input.budgets = Budgets { turns: 1000, window: Window::of(40_000, 0.65, 0.35), ..Budgets::default() };
    assert!(turns < 1000);
    rig
}

#[tokio::test]
async fn it_stays_within_its_window_and_is_rebuilt_byte_for_byte() {
    let turns = 40;
    let mut rig = rig(turns);
    rig.summariser = Some(Arc::new(FakeModel::new((0..500).map(|number| says(&format!("line {number}"))))));
    let model = Arc::new(Counting(FakeModel::new(script(turns))));
    let (end, _) = rig.run_with(model.clone()).await;
    assert_eq!(end.phase(), "Concluded", "{end:?}");
    let requests = model.0.requests();
    let most = requests.iter().map(|request| size(request) / 4).max().unwrap();
    assert!(most < 30_000, "{most}");
    let unbounded = 40 * 8_000 / 4;
    assert!(unbounded > 60_000);
    // Rarely, and in blocks.
    let events = compacted(&rig);
    assert!((2..=6).contains(&events.len()), "{}", events.len());
    let block = events[0]["replaced"].as_array().unwrap();
    assert!(block.len() >= 3, "{block:?}");
    let text = block[0]["text"].as_str().unwrap();
    assert!(text.contains("In short") && text.contains("/run/operator/output/"), "{text}");
    // What is not replaced is the same from request to request, so that the prompt cache goes on.
    let changes = requests
        .windows(2)
        .filter(|pair| !pair[1].messages.starts_with(&pair[0].messages[..pair[0].messages.len() - 1]))
        .count();
    assert!(changes <= events.len(), "{changes} changes of what was sent before");
    // The model's own messages are never touched.
    for request in &requests {
        for message in request.messages.iter().filter(|message| message["role"] == "assistant") {
            assert_eq!(message["content"][0]["type"], "tool_use");
        }
    }
    // Each request is what the rows before it lead to.
    let stored = rig.store.stored(&rig.session, 0, 10_000).await.unwrap();
    let mut turn = 0;
    for (index, entry) in stored.iter().enumerate() {
        if entry.kind == "turn" {
            let state = State::rebuild(&stored[..index]).unwrap();
            assert_eq!(state.transcript.messages(), requests[turn].messages, "turn {turn}");
            turn += 1;
        }
    }
    assert_eq!(turn, turns + 1);
}

#[tokio::test]
async fn what_one_message_asked_for_is_shortened_before_it_is_sent() {
    let rig = rig(1);
    let many: Vec<Value> = (0..25)
        .map(|id| json!({"type": "tool_use", "id": format!("c{id}"), "name": "shell", "input": {"command": format!("look {id}"), "reasoning": "r"}}))
        .collect();
    let first = Step::Answer(Box::new(message(StopReason::ToolUse, &many)));
    let model = Arc::new(Counting(FakeModel::new([first, conclude("end")])));
    rig.run_with(model.clone()).await;
    let requests = model.0.requests();
    assert!(size(&requests[1]) / 4 < 30_000, "{}", size(&requests[1]) / 4);
    let events = compacted(&rig);
    assert_eq!(events.len(), 1);
    let text = events[0]["replaced"][0]["text"].as_str().unwrap();
    assert!(text.contains("says") && text.contains("Its beginning and end"), "{text}");
}

#[tokio::test]
async fn near_the_end_of_a_budget_the_model_is_told_what_is_left() {
    let mut rig = Rig::new();
    rig.input.budgets.turns = 10;
    let (_, model) = rig.play((0..10).map(|turn| shell(&format!("c{turn}"), "x"))).await;
    let told = |request: &ModelRequest| {
        request.messages.iter().map(ToString::to_string).collect::<String>().matches("% of a budget is used").count()
    };
    let counts: Vec<usize> = model.requests().iter().map(told).collect();
    assert_eq!(counts[..10], [0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
}

#[tokio::test]
async fn output_has_a_budget() {
    let mut rig = Rig::with(|_| CommandResult::exited(0, &"x".repeat(6_000), ""));
    rig.input.budgets.output_bytes = Some(10_000);
    let (end, _) = rig.play([shell("a", "x"), shell("b", "x"), conclude("c")]).await;
    assert_eq!(crate::rig::reason(&end), "Escalated:OutputBudget");
    assert_eq!(rig.provider.commands().len(), 2);
}

#[tokio::test]
async fn a_day_without_money_ends_in_findings_or_none() {
    use controller::metrics::Metrics;
    use controller::model::{Price, PriceTable, price::PriceLine};
    use controller::money::NanoDollars;
    use controller::session::spend::{Spending, fake::FakeSpend};
    let spending = |dollars: f64| Spending {
        store: Arc::new(FakeSpend::default()),
        per_day: Some(NanoDollars::from_dollars(dollars)),
        // A dollar for a thousand tokens written, nothing for those read.
        prices: PriceTable(vec![PriceLine { model: "offline-".into(), price: Price::new(0.0, 1000.0, 0.0, 0.0) }]),
        metrics: Arc::new(Metrics::default()),
    };
    // Room for a turn of 16,000 tokens and, as it cost next to nothing, for the second; a day of $16.015 not for the third.
    let mut script: Vec<Step> = (0..4).map(|turn| shell(&format!("c{turn}"), "x")).collect();
    script[2] = conclude("end");
    let rig = Rig::new();
    let model = Arc::new(FakeModel::new(script));
    let (end, _) = rig.run_with(spending(16.015).meter(model.clone(), &rig.session)).await;
    assert_eq!(crate::rig::reason(&end), "Escalated:DailyBudget");
    // The last turn, which may write less, was made and gave the findings.
    assert_eq!((model.requests().len(), rig.provider.commands().len()), (3, 2));
    assert!(rig.kinds().contains(&"conclusion".to_owned()), "{:?}", rig.kinds());
    let rig = Rig::new();
    let model = Arc::new(FakeModel::new([conclude("end")]));
    let (end, _) = rig.run_with(spending(1.0).meter(model.clone(), &rig.session)).await;
    assert_eq!(crate::rig::reason(&end), "Escalated:DailyBudget");
    assert!(model.requests().is_empty() && end.message().contains("used up"), "{end:?}");
}
