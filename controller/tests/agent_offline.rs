//! The whole loop against the strict offline model over HTTP: what the real API would refuse is
//! refused there too.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

#[path = "agent_loop/rig.rs"]
#[allow(dead_code)]
mod rig;

use std::sync::Arc;
use std::time::{Duration, Instant};

use controller::agent::SessionEnd;
use controller::audit::EntryBody;
use controller::model::Anthropic;
use controller::model::anthropic::AnthropicOptions;
use offline_model::{Handle, Options, ScriptSet, Server};
use rig::{Rig, reason};
use serde_json::Value;

const THREE: &str = r#"
rules:
  - name: three
    when: {turn: 0}
    answer:
      thinking: I look at three things at once.
      text: Looking.
      tools:
        - {name: shell, input: {command: "echo one", reasoning: r}}
        - {name: shell, input: {command: "echo two", reasoning: r}}
        - {name: shell, input: {command: "echo three", reasoning: r}}
  - name: odd
    when: {turn: 1, result: ["echo three"]}
    answer:
      tools:
        - {name: teleport, input: {}}
        - {name: shell, input: {command: "echo four", reasoning: r}}
      invalid_tool_json: true
  - name: words
    when: {turn: 2}
    answer: {text: I think that was it.}
  - name: end
    answer:
      tools:
        - {name: conclude, input: {outcome: resolved, root_cause: c, summary: s, evidence: [6]}}
"#;

async fn serve(rules: &str) -> (Handle, Arc<Anthropic>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let scripts = ScriptSet::new().with("test", rules).unwrap();
    let server = Server::start(scripts, Options { cache_min_tokens: 1, ..Options::default() }).await.unwrap();
    let mut options = AnthropicOptions::new(server.url(), None);
    options.key = Some("sk-test".to_owned().into());
    options.retry.first_pause = Duration::from_millis(5);
    let model = Anthropic::new(options).unwrap();
    (server, Arc::new(model))
}

#[tokio::test]
async fn three_calls_run_in_order_and_three_results_go_back() {
    let (server, model) = serve(THREE).await;
    let rig = Rig::new();
    let (end, progress) = rig.run_with(model).await;
    let SessionEnd::Concluded(conclusion) = &end else { panic!("{end:?}") };
    assert_eq!(conclusion.evidence, [6]);
    assert_eq!(rig.provider.commands(), ["echo one", "echo two", "echo three"]);
    assert_eq!((progress.turns, progress.commands), (4, 3));
    assert!(progress.cached_tokens > 0, "{progress:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    let second: Value = requests[1].body.clone();
    let sent = second["messages"].as_array().unwrap();
    let results: Vec<&Value> =
        sent[2]["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_result").collect();
    assert_eq!(results.len(), 3);
    let recorded = rig
        .bodies()
        .into_iter()
        .find_map(|body| if let EntryBody::Turn(turn) = body { Some(turn) } else { None })
        .unwrap();
    assert_eq!(serde_json::to_string(&sent[1]).unwrap(), serde_json::to_string(&recorded.message).unwrap());
    server.shutdown().await;
}

#[tokio::test]
async fn faults_of_the_api_are_on_record_and_overcome() {
    let rules = r"
rules:
  - name: busy
    when: {turn: 0}
    answer: {error: {status: 529, times: 2}, tools: [{name: shell, input: {command: x, reasoning: r}}]}
  - name: cut
    when: {turn: 1}
    answer: {cut_after_events: 4, times: 1, tools: [{name: conclude, input: {outcome: unresolved, root_cause: c, summary: s, evidence: []}}]}
";
    let (_server, model) = serve(rules).await;
    let rig = Rig::new();
    let (end, _) = rig.run_with(model).await;
    // The script says that the fault is not gone: a person is needed.
    assert_eq!((end.phase(), end.reason()), ("Escalated", "Unresolved"));
    assert_eq!(rig.provider.commands(), ["x"]);
    assert_eq!(rig.kinds().iter().filter(|kind| *kind == "control:error").count(), 3);
}

#[tokio::test]
async fn a_wrong_key_and_a_refusal_end_with_their_reasons() {
    for (answer, expected) in [
        ("{error: {status: 401}}", "Failed:ModelAuthentication"),
        ("{error: {status: 404}}", "Failed:ModelNotFound"),
        ("{text: no, stop_reason: refusal}", "Escalated:ModelRefused"),
        ("{text: long, stop_reason: model_context_window_exceeded}", "Escalated:ContextWindow"),
    ] {
        let (_server, model) = serve(&format!("rules: [{{name: a, answer: {answer}}}]")).await;
        let rig = Rig::new();
        let (end, _) = rig.run_with(model).await;
        assert_eq!(reason(&end), expected);
    }
}

#[tokio::test]
async fn a_command_costs_little_when_the_model_answers_at_once() {
    let rules = r#"
rules:
  - name: work
    when: {turn: {max: 19}}
    answer: {tools: [{name: shell, input: {command: "echo x", reasoning: r}}]}
  - name: end
    answer: {tools: [{name: conclude, input: {outcome: resolved, root_cause: c, summary: s, evidence: []}}]}
"#;
    let (_server, model) = serve(rules).await;
    let rig = Rig::new();
    let begun = Instant::now();
    let (end, progress) = rig.run_with(model).await;
    let each = begun.elapsed() / 20;
    assert_eq!((end.phase(), progress.commands), ("Concluded", 20));
    println!("{each:?} a turn with one command, model server included");
    assert!(each < Duration::from_millis(100), "{each:?}");
}
