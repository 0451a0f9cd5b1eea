//! A request as the server understands it, and the way there from JSON.
//!
//! Everything is checked by hand on the JSON value instead of by a derived deserializer, because
//! the point is the sentence that comes back: it names the place the way the real API does.

mod blocks;
mod order;
mod place;
mod settings;

use serde_json::Value;

use crate::cache;
use crate::error::ApiError;
use place::Place;

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The client: a person's words and the results of tools.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One content block, as far as a script can see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Block {
    /// Plain words.
    Text(String),
    /// Thinking, redacted or not: only its place matters here.
    Thinking,
    /// A call of a tool.
    ToolUse {
        /// Its id, to be answered by a result.
        id: String,
        /// The tool.
        name: String,
    },
    /// The answer to a call.
    ToolResult {
        /// Whose answer this is.
        tool_use_id: String,
        /// Its text, blocks joined by line breaks.
        text: String,
        /// Whether the client called it an error.
        is_error: bool,
    },
}

/// One message of the request, at its own index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// Who speaks.
    pub(crate) role: Role,
    /// What is said.
    pub(crate) blocks: Vec<Block>,
}

/// What the client asked about thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// Thinking may be sent.
    Shown,
    /// Thinking blocks come with a signature and no text.
    Omitted,
    /// No thinking blocks.
    Disabled,
}

/// Which of the two endpoints a body is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
}

/// The versions of the API whose rules differ where this server looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiVersion {
    /// `2023-06-01` and before: sampling parameters are taken.
    V2023,
    /// `2026-10-21`: they are refused.
    V2026,
}

/// A request that passed every check.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) model: String,
    /// Zero for `count_tokens`, which has none.
    pub(crate) max_tokens: u64,
    pub(crate) stream: bool,
    pub(crate) system: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) thinking: Thinking,
    pub(crate) stop_sequences: Vec<String>,
    /// `tool_choice: none`: the client wants no tool call.
    pub(crate) tools_forbidden: bool,
    /// The blocks in the order in which a prompt cache sees them.
    pub(crate) segments: Vec<cache::Segment>,
    /// A hash of the conversation without its cache marks, which move from turn to turn.
    pub(crate) state: u64,
}

/// Reads and checks a body.
pub(crate) fn parse(body: &Value, endpoint: Endpoint, version: ApiVersion) -> Result<Request, ApiError> {
    let root = Place::root(body);
    let known = settings::top_level(endpoint, version);
    root.object()?;
    root.only(&known)?;
    let model = root.required("model")?.text()?.to_owned();
    if model.is_empty() {
        return Err(ApiError::invalid("model: String should have at least 1 character"));
    }
    let max_tokens = match endpoint {
        Endpoint::Messages => root.required("max_tokens")?.integer_from(1)?,
        Endpoint::CountTokens => 0,
    };
    let stream = match root.optional("stream") {
        Some(place) => place.boolean()?,
        None => false,
    };
    let system = settings::system(&root)?;
    let tools = settings::tools(&root)?;
    let tools_forbidden = settings::tool_choice(&root, &tools)?;
    let thinking = settings::thinking(&root, max_tokens, endpoint)?;
    let stop_sequences = settings::stop_sequences(&root)?;
    settings::others(&root)?;
    let messages = blocks::messages(&root)?;
    order::check(&messages, !tools.is_empty())?;
    let segments = cache::segments(body);
    settings::cache_marks(&segments)?;
    let state = cache::state(&model, &segments);
    Ok(Request {
        model,
        max_tokens,
        stream,
        system,
        messages,
        thinking,
        stop_sequences,
        tools_forbidden,
        segments,
        state,
    })
}
