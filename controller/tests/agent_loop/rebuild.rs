//! The conversation that is rebuilt from the rows is the one that was sent.

use std::sync::Arc;

use controller::agent::transcript::Transcript;
use controller::audit::{EntryBody, EntryKind};
use controller::model::StopReason;
use controller::model::fake::{Step, message};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::rig::{Rig, conclude};

/// What a random model does in a turn.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let block = prop_oneof![
        "[ -~]{0,20}".prop_map(|text| json!({"type": "text", "text": text})),
        "[a-z]{0,8}".prop_map(|text| json!({"type": "thinking", "thinking": text, "signature": "c2ln"})),
        Just(json!({"type": "thinking", "thinking": "cut", "signature": ""})),
        Just(json!({"type": "redacted_thinking", "data": "eA=="})),
        Just(json!({"type": "brand_new", "z": 1, "a": [1.5, null]})),
        "[a-z]{1,8}".prop_map(
            |name| json!({"type": "tool_use", "id": "", "name": "shell", "input": {"command": name, "reasoning": "r"}})
        ),
        Just(json!({"type": "tool_use", "id": "", "name": "nonsense", "input": {"b": 1, "a": 2}})),
        Just(json!({"type": "tool_use", "id": "", "name": "shell", "input": {"invalid_json": "{"}})),
    ];
    let reason = prop_oneof![
        4 => Just(StopReason::ToolUse),
        1 => Just(StopReason::EndTurn),
        1 => Just(StopReason::MaxTokens),
        1 => Just(StopReason::PauseTurn),
    ];
    let turn = (proptest::collection::vec(block, 0..5), reason);
    proptest::collection::vec(turn, 0..8).prop_map(|turns| {
        let mut id = 0;
        let mut name = |mut block: Value| {
            if block["type"] == "tool_use" {
                id += 1;
                block["id"] = json!(format!("call_{id}"));
            }
            block
        };
        turns
            .into_iter()
            .map(|(blocks, reason)| {
                let blocks: Vec<Value> = blocks.into_iter().map(&mut name).collect();
                Step::Answer(Box::new(message(reason, &blocks)))
            })
            .chain([conclude("end")])
            .collect()
    })
}

/// Checks a conversation as the API does: results answer exactly the calls of the message before,
/// first in their message.
fn check(messages: &[Arc<Value>]) {
    for (index, message) in messages.iter().enumerate() {
        let blocks = message["content"].as_array().unwrap();
        assert!(!blocks.is_empty());
        let ids = |blocks: &[Value], kind: &str, key: &str| -> Vec<String> {
            blocks
                .iter()
                .filter(|block| block["type"] == kind)
                .map(|block| block[key].as_str().unwrap().to_owned())
                .collect()
        };
        if message["role"] == "user" {
            let results = ids(blocks, "tool_result", "tool_use_id");
            let first = blocks.iter().position(|block| block["type"] == "text").unwrap_or(blocks.len());
            assert!(first >= results.len(), "text stands before a result: {message}");
            let called = index
                .checked_sub(1)
                .map(|before| ids(messages[before]["content"].as_array().unwrap(), "tool_use", "id"));
            assert_eq!(results, called.unwrap_or_default());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn live_and_rebuilt_are_the_same(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rig = Rig::new();
        let (_, model) = runtime.block_on(rig.play(steps));
        let bodies = rig.bodies();
        let rows: Vec<(i64, &EntryBody)> = (1..).zip(bodies.iter()).collect();
        let turns: Vec<usize> = rows.iter().enumerate().filter(|(_, (_, body))| body.kind() == EntryKind::Turn).map(|(at, _)| at).collect();
        for (request, at) in model.requests().iter().zip(turns) {
            // All rows before the turn are what the call that gave it was made from.
            let rebuilt = Transcript::rebuild(rows[..at].iter().copied());
            prop_assert_eq!(serde_json::to_string(&rebuilt.messages()).unwrap(), serde_json::to_string(&request.messages).unwrap());
            check(&request.messages);
        }
        // Any prefix can be rebuilt, and going on from it is the same as never having stopped.
        for cut in 0..rows.len() {
            let mut transcript = Transcript::rebuild(rows[..cut].iter().copied());
            for (seq, body) in &rows[cut..] {
                transcript.take(*seq, body);
            }
            prop_assert_eq!(&transcript, &rig.rebuilt());
        }
    }
}

#[tokio::test]
async fn a_message_goes_back_byte_for_byte() {
    let rig = Rig::new();
    let content = [
        json!({"type": "thinking", "thinking": "hm", "signature": "c2ln", "new_field": {"z": 1, "a": 2}}),
        json!({"type": "tool_use", "id": "a", "name": "shell", "input": {"reasoning": "r", "command": "x"}, "caller": {"type": "direct"}}),
    ];
    let (_, model) = rig.play([Step::Answer(Box::new(message(StopReason::ToolUse, &content))), conclude("b")]).await;
    let sent = serde_json::to_string(&model.requests()[1].messages[1]["content"]).unwrap();
    assert_eq!(sent, serde_json::to_string(&content).unwrap());
}
