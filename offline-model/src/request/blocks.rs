//! The messages and their content blocks, each looked at by itself.

use super::place::Place;
use super::{Block, Message, Role};
use crate::answer::signature;
use crate::error::ApiError;

/// Reads all messages.
pub(super) fn messages(root: &Place<'_>) -> Result<Vec<Message>, ApiError> {
    let list = root.required("messages")?.list()?;
    if list.is_empty() {
        return Err(ApiError::invalid("messages: at least one message is required"));
    }
    let end = list.len() - 1;
    list.iter().enumerate().map(|(index, place)| message(place, index == end)).collect()
}

fn message(place: &Place<'_>, is_last: bool) -> Result<Message, ApiError> {
    place.only(&["role", "content"])?;
    let role = match place.required("role")?.one_of(&["user", "assistant"])? {
        "user" => Role::User,
        _ => Role::Assistant,
    };
    let content = place.required("content")?;
    let blocks = match content.value.as_str() {
        Some("") => Vec::new(),
        Some(text) => vec![Block::Text(words(text)?)],
        None => content.list()?.iter().map(|block_place| block(block_place, role)).collect::<Result<_, _>>()?,
    };
    if blocks.is_empty() && !(is_last && role == Role::Assistant) {
        return Err(
            place.refuse("all messages must have non-empty content except for the optional final assistant message")
        );
    }
    Ok(Message { role, blocks })
}

/// The API takes neither an empty text block nor one that is only white space.
fn words(text: &str) -> Result<String, ApiError> {
    if text.is_empty() {
        return Err(ApiError::invalid("messages: text content blocks must be non-empty"));
    }
    if text.trim().is_empty() {
        return Err(ApiError::invalid("messages: text content blocks must contain non-whitespace text"));
    }
    Ok(text.to_owned())
}

fn block(place: &Place<'_>, role: Role) -> Result<Block, ApiError> {
    let kind = place.required("type")?.text()?;
    let inner = place.tagged(kind);
    let belongs_to = match kind {
        "text" => role,
        "tool_result" => Role::User,
        "tool_use" | "thinking" | "redacted_thinking" => Role::Assistant,
        other => {
            return Err(place.refuse(format!(
                "Input tag '{other}' found using 'type' does not match any of the expected tags: \
                 'text', 'thinking', 'redacted_thinking', 'tool_use', 'tool_result'"
            )));
        }
    };
    if belongs_to != role {
        return Err(place.refuse(format!("`{kind}` blocks can only be in `{}` messages", belongs_to.as_str())));
    }
    match kind {
        "text" => text(&inner, role),
        "thinking" => thinking(&inner),
        "redacted_thinking" => {
            inner.only(&["type", "data"])?;
            inner.required("data")?.text()?;
            Ok(Block::Thinking)
        }
        "tool_use" => tool_use(&inner),
        _ => tool_result(&inner),
    }
}

fn text(place: &Place<'_>, role: Role) -> Result<Block, ApiError> {
    place.only(&["type", "text", "cache_control", "citations"])?;
    place.cache_control()?;
    if let Some(citations) = place.optional("citations")
        && role == Role::User
        && !citations.list()?.is_empty()
    {
        return Err(citations.refuse("citations are not permitted in `user` messages"));
    }
    Ok(Block::Text(words(place.required("text")?.text()?)?))
}

/// A thinking block comes back exactly as it went out, or the real API refuses it.
fn thinking(place: &Place<'_>) -> Result<Block, ApiError> {
    place.only(&["type", "thinking", "signature"])?;
    let text = place.required("thinking")?.text()?;
    let signed = place.required("signature")?;
    if signed.text()? != signature(text) {
        return Err(place.refuse("Invalid `signature` in `thinking` block"));
    }
    Ok(Block::Thinking)
}

fn tool_use(place: &Place<'_>) -> Result<Block, ApiError> {
    place.only(&["type", "id", "name", "input", "cache_control", "caller", "toolset_name"])?;
    place.cache_control()?;
    let id = identifier(&place.required("id")?)?;
    let name = place.required("name")?.text()?;
    if !is_tool_name(name) {
        return Err(place.required("name")?.refuse("String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"));
    }
    let input = place.required("input")?;
    if !input.value.is_object() {
        return Err(input.refuse("Input should be an object"));
    }
    Ok(Block::ToolUse { id, name: name.to_owned() })
}

fn tool_result(place: &Place<'_>) -> Result<Block, ApiError> {
    place.only(&["type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"])?;
    place.cache_control()?;
    let tool_use_id = identifier(&place.required("tool_use_id")?)?;
    let is_error = match place.optional("is_error") {
        Some(flag) => flag.boolean()?,
        None => false,
    };
    let text = match place.optional("content") {
        None => String::new(),
        Some(content) => match content.value.as_str() {
            Some(text) => text.to_owned(),
            None => parts(&content)?,
        },
    };
    if is_error && text.is_empty() {
        return Err(place.refuse("content cannot be empty if `is_error` is true"));
    }
    Ok(Block::ToolResult { tool_use_id, text, is_error })
}

/// The text blocks of a result, joined.
fn parts(content: &Place<'_>) -> Result<String, ApiError> {
    let mut texts = Vec::new();
    for part in content.list()? {
        let kind = part.required("type")?.text()?;
        if kind != "text" {
            return Err(part.refuse(format!(
                "Input tag '{kind}' found using 'type' does not match any of the expected tags: 'text'"
            )));
        }
        let inner = part.tagged(kind);
        inner.only(&["type", "text", "cache_control", "citations"])?;
        inner.cache_control()?;
        texts.push(words(inner.required("text")?.text()?)?);
    }
    Ok(texts.join("\n"))
}

fn identifier(place: &Place<'_>) -> Result<String, ApiError> {
    let id = place.text()?;
    let fits = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits { Ok(id.to_owned()) } else { Err(place.refuse("String should match pattern '^[a-zA-Z0-9_-]+$'")) }
}

/// Whether a tool may be called so.
pub(super) fn is_tool_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
