//! `max_tokens` and stop sequences: an answer is cut where a real one would end.

use super::OutBlock;
use crate::request::Request;
use crate::script::StopReason;
use crate::tokens;

/// What is left of an answer, and why it ends there.
pub(super) struct Limited {
    pub(super) blocks: Vec<OutBlock>,
    pub(super) stop_reason: StopReason,
    pub(super) stop_sequence: Option<String>,
}

/// Lays the request's limits on the blocks.
pub(super) fn apply(blocks: Vec<OutBlock>, request: &Request) -> Limited {
    let mut kept = Vec::new();
    let mut left = request.max_tokens;
    let mut calls = false;
    for block in blocks {
        let (block, stopped_by) = stop(block, &request.stop_sequences);
        let cost = block.tokens();
        if cost > left {
            kept.extend(shorten(block, left));
            return ended(kept, StopReason::MaxTokens, None);
        }
        left -= cost;
        calls |= matches!(block, OutBlock::ToolUse { .. });
        if !matches!(&block, OutBlock::Text(text) if text.trim().is_empty()) {
            kept.push(block);
        }
        if stopped_by.is_some() {
            return ended(kept, StopReason::StopSequence, stopped_by);
        }
    }
    let reason = if calls { StopReason::ToolUse } else { StopReason::EndTurn };
    ended(kept, reason, None)
}

fn ended(blocks: Vec<OutBlock>, stop_reason: StopReason, by: Option<String>) -> Limited {
    Limited { blocks, stop_reason, stop_sequence: by }
}

/// Cuts a text before the first stop sequence in it.
fn stop(block: OutBlock, sequences: &[String]) -> (OutBlock, Option<String>) {
    let OutBlock::Text(text) = block else {
        return (block, None);
    };
    let first =
        sequences.iter().filter_map(|word| text.find(word.as_str()).map(|at| (at, word))).min_by_key(|(at, _)| *at);
    match first {
        Some((at, word)) => (OutBlock::Text(text[..at].to_owned()), Some(word.clone())),
        None => (OutBlock::Text(text), None),
    }
}

/// What fits of a block. A call that does not fit is left out: half an input is no input, and a
/// script that wants a broken one has `invalid_tool_json`.
fn shorten(block: OutBlock, left: u64) -> Option<OutBlock> {
    match block {
        OutBlock::Text(text) => {
            let kept: String = text.chars().take(tokens::chars_in(left)).collect();
            (!kept.trim().is_empty()).then_some(OutBlock::Text(kept))
        }
        OutBlock::Thinking { .. } | OutBlock::ToolUse { .. } => None,
    }
}
