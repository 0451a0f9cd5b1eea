//! What must hold between messages: who speaks first, and every call answered at once.

use std::collections::HashSet;

use super::{Block, Message, Role};
use crate::error::ApiError;

/// A run of messages of one role. The API documents that consecutive messages of the same role
/// are combined into one turn, so the rules hold for the runs.
struct Run<'a> {
    role: Role,
    /// The index of its first message, which is what errors name.
    index: usize,
    blocks: Vec<&'a Block>,
}

/// Checks the conversation as a whole.
pub(super) fn check(messages: &[Message], has_tools: bool) -> Result<(), ApiError> {
    let runs = runs(messages);
    if runs.first().is_none_or(|run| run.role != Role::User) {
        return Err(ApiError::invalid("messages: first message must use the \"user\" role"));
    }
    unique_ids(messages)?;
    if !has_tools && uses_tools(messages) {
        return Err(ApiError::invalid("Requests which include `tool_use` or `tool_result` blocks must define tools"));
    }
    for (position, run) in runs.iter().enumerate() {
        match run.role {
            Role::Assistant => answered(run, runs.get(position + 1))?,
            Role::User => asked_for(run, position.checked_sub(1).and_then(|p| runs.get(p)))?,
        }
    }
    no_trailing_space(&runs)
}

fn runs(messages: &[Message]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.role == message.role => run.blocks.extend(&message.blocks),
            _ => runs.push(Run { role: message.role, index, blocks: message.blocks.iter().collect() }),
        }
    }
    runs
}

fn uses_tools(messages: &[Message]) -> bool {
    messages
        .iter()
        .flat_map(|m| &m.blocks)
        .any(|block| matches!(block, Block::ToolUse { .. } | Block::ToolResult { .. }))
}

fn unique_ids(messages: &[Message]) -> Result<(), ApiError> {
    let mut called = HashSet::new();
    let mut answered = HashSet::new();
    for block in messages.iter().flat_map(|m| &m.blocks) {
        match block {
            Block::ToolUse { id, .. } if !called.insert(id) => {
                return Err(ApiError::invalid(format!(
                    "messages: `tool_use` ids must be unique, but {id} is there twice"
                )));
            }
            Block::ToolResult { tool_use_id, .. } if !answered.insert(tool_use_id) => {
                return Err(ApiError::invalid(format!(
                    "messages: each tool_use must have a single result. Found multiple \
                     `tool_result` blocks with id: {tool_use_id}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every call has its result in the next run, before anything else there.
fn answered(run: &Run<'_>, next: Option<&Run<'_>>) -> Result<(), ApiError> {
    let leading: HashSet<&str> = next.map(|next| leading_results(next).collect()).unwrap_or_default();
    let missing: Vec<&str> = run
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::ToolUse { id, .. } => Some(id.as_str()),
            _ => None,
        })
        .filter(|id| !leading.contains(id))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: \
         {}. Each `tool_use` block must have a corresponding `tool_result` block at the beginning \
         of the next message.",
        run.index,
        missing.join(", ")
    )))
}

/// Every result answers a call of the run right before.
fn asked_for(run: &Run<'_>, before: Option<&Run<'_>>) -> Result<(), ApiError> {
    let asked: HashSet<&str> = before
        .into_iter()
        .flat_map(|before| &before.blocks)
        .filter_map(|block| match block {
            Block::ToolUse { id, .. } => Some(id.as_str()),
            _ => None,
        })
        .collect();
    for block in &run.blocks {
        if let Block::ToolResult { tool_use_id, .. } = block
            && !asked.contains(tool_use_id.as_str())
        {
            return Err(ApiError::invalid(format!(
                "messages.{}: unexpected `tool_use_id` found in `tool_result` blocks: \
                 {tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` \
                 block in the previous message.",
                run.index
            )));
        }
    }
    // A result after a text is not among the leading ones, so `answered` has named it already.
    Ok(())
}

fn leading_results<'a>(run: &'a Run<'_>) -> impl Iterator<Item = &'a str> {
    run.blocks.iter().map_while(|block| match block {
        Block::ToolResult { tool_use_id, .. } => Some(tool_use_id.as_str()),
        _ => None,
    })
}

fn no_trailing_space(runs: &[Run<'_>]) -> Result<(), ApiError> {
    let Some(run) = runs.last().filter(|run| run.role == Role::Assistant) else {
        return Ok(());
    };
    match run.blocks.last() {
        Some(Block::Text(text)) if text.ends_with(char::is_whitespace) => {
            Err(ApiError::invalid("messages: final assistant content cannot end with trailing whitespace"))
        }
        _ => Ok(()),
    }
}
