//! Everything of a request that is not a message.

use std::collections::HashSet;

use super::place::Place;
use super::{ApiVersion, Endpoint, Thinking, blocks};
use crate::cache::{Segment, Ttl};
use crate::error::ApiError;

/// The fields that both endpoints take.
const SHARED: [&str; 9] =
    ["model", "messages", "system", "tools", "tool_choice", "thinking", "cache_control", "output_config", "speed"];
/// The fields that only `POST /v1/messages` takes.
const CREATE: [&str; 9] = [
    "max_tokens",
    "stream",
    "stop_sequences",
    "metadata",
    "service_tier",
    "inference_geo",
    "container",
    "diagnostics",
    "user_profile_id",
];
/// Taken until version 2026-10-21 of the API removed them.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "top_k"];
/// The API's own limit.
const MAX_MARKS: usize = 4;
/// The smallest budget of thinking that the API takes.
const MIN_THINKING: u64 = 1024;

/// The fields that a body may have.
pub(super) fn top_level(endpoint: Endpoint, version: ApiVersion) -> Vec<&'static str> {
    let mut known = SHARED.to_vec();
    if endpoint == Endpoint::Messages {
        known.extend(CREATE);
        if version == ApiVersion::V2023 {
            known.extend(SAMPLING);
        }
    }
    known
}

/// The system prompt's text.
pub(super) fn system(root: &Place<'_>) -> Result<String, ApiError> {
    let Some(system) = root.optional("system") else {
        return Ok(String::new());
    };
    if let Some(text) = system.value.as_str() {
        return Ok(text.to_owned());
    }
    let mut texts = Vec::new();
    for block in system.list()? {
        block.required("type")?.one_of(&["text"])?;
        block.only(&["type", "text", "cache_control", "citations"])?;
        block.cache_control()?;
        let text = block.required("text")?.text()?;
        if text.trim().is_empty() {
            return Err(system.refuse(if text.is_empty() {
                "text content blocks must be non-empty"
            } else {
                "text content blocks must contain non-whitespace text"
            }));
        }
        texts.push(text);
    }
    Ok(texts.join("\n"))
}

/// The names of the tools that the request offers.
pub(super) fn tools(root: &Place<'_>) -> Result<Vec<String>, ApiError> {
    let Some(tools) = root.optional("tools") else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    for tool in tools.list()? {
        let tool = tool.tagged("custom");
        tool.only(&[
            "type",
            "name",
            "description",
            "input_schema",
            "cache_control",
            "strict",
            "input_examples",
            "defer_loading",
            "eager_input_streaming",
            "allowed_callers",
        ])?;
        if let Some(kind) = tool.optional("type") {
            kind.one_of(&["custom"])?;
        }
        tool.cache_control()?;
        let place = tool.required("name")?;
        let name = place.text()?;
        if !blocks::is_tool_name(name) {
            return Err(place.refuse("String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"));
        }
        if !seen.insert(name) {
            return Err(ApiError::invalid("tools: Tool names must be unique."));
        }
        if let Some(description) = tool.optional("description") {
            description.text()?;
        }
        let schema = tool.required("input_schema")?;
        schema.object()?;
        schema.required("type")?.one_of(&["object"])?;
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Checks `tool_choice`; true when it forbids calls.
pub(super) fn tool_choice(root: &Place<'_>, tools: &[String]) -> Result<bool, ApiError> {
    let Some(choice) = root.optional("tool_choice") else {
        return Ok(false);
    };
    let kind = choice.required("type")?.one_of(&["auto", "any", "tool", "none"])?;
    match kind {
        "tool" => choice.only(&["type", "name", "disable_parallel_tool_use"])?,
        "none" => choice.only(&["type"])?,
        _ => choice.only(&["type", "disable_parallel_tool_use"])?,
    }
    if let Some(flag) = choice.optional("disable_parallel_tool_use") {
        flag.boolean()?;
    }
    if tools.is_empty() && kind != "none" {
        return Err(choice.refuse("tool_choice may only be specified while providing tools"));
    }
    if kind == "tool" {
        let name = choice.required("name")?.text()?;
        if !tools.iter().any(|tool| tool == name) {
            return Err(choice.refuse(format!("Tool '{name}' not found in provided tools")));
        }
    }
    Ok(kind == "none")
}

/// Checks `thinking` and says whether thinking may be sent.
pub(super) fn thinking(root: &Place<'_>, max_tokens: u64, endpoint: Endpoint) -> Result<Thinking, ApiError> {
    let Some(config) = root.optional("thinking") else {
        return Ok(Thinking::Shown);
    };
    let kind = config.required("type")?.one_of(&["enabled", "adaptive", "disabled", "between_tools"])?;
    match kind {
        "enabled" => config.only(&["type", "budget_tokens", "display"])?,
        "adaptive" => config.only(&["type", "display"])?,
        _ => config.only(&["type"])?,
    }
    if kind == "enabled" {
        let place = config.required("budget_tokens")?;
        let budget = place.integer_from(MIN_THINKING)?;
        if endpoint == Endpoint::Messages && budget >= max_tokens {
            return Err(ApiError::invalid("`max_tokens` must be greater than `thinking.budget_tokens`"));
        }
    }
    let display = match config.optional("display") {
        Some(display) => display.one_of(&["summarized", "omitted"])?,
        None => "summarized",
    };
    Ok(match (kind, display) {
        ("disabled", _) => Thinking::Disabled,
        (_, "omitted") => Thinking::Omitted,
        _ => Thinking::Shown,
    })
}

/// The words at which an answer stops.
pub(super) fn stop_sequences(root: &Place<'_>) -> Result<Vec<String>, ApiError> {
    let Some(list) = root.optional("stop_sequences") else {
        return Ok(Vec::new());
    };
    let mut words = Vec::new();
    for place in list.list()? {
        let word = place.text()?;
        if word.trim().is_empty() {
            return Err(list.refuse("each stop sequence must contain non-whitespace"));
        }
        words.push(word.to_owned());
    }
    Ok(words)
}

/// The fields whose content changes nothing here.
pub(super) fn others(root: &Place<'_>) -> Result<(), ApiError> {
    root.cache_control()?;
    if let Some(metadata) = root.optional("metadata") {
        metadata.only(&["user_id"])?;
    }
    if let Some(tier) = root.optional("service_tier") {
        tier.one_of(&["auto", "standard_only"])?;
    }
    if let Some(config) = root.optional("output_config") {
        config.only(&["effort", "format"])?;
        if let Some(effort) = config.optional("effort") {
            effort.one_of(&["low", "medium", "high", "xhigh", "max"])?;
        }
    }
    for key in SAMPLING {
        if let Some(place) = root.optional(key)
            && !place.value.is_number()
        {
            return Err(place.refuse("Input should be a valid number"));
        }
    }
    Ok(())
}

/// At most four marks, and none that lives longer behind one that lives shorter.
pub(super) fn cache_marks(segments: &[Segment]) -> Result<(), ApiError> {
    let found: usize = segments.iter().map(|segment| segment.marks).sum();
    if found > MAX_MARKS {
        return Err(ApiError::invalid(format!(
            "A maximum of {MAX_MARKS} blocks with cache_control may be provided. Found {found}."
        )));
    }
    let mut short_seen = false;
    for ttl in segments.iter().filter_map(|segment| segment.ttl) {
        match ttl {
            Ttl::Short => short_seen = true,
            Ttl::Long if short_seen => {
                return Err(ApiError::invalid(
                    "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block",
                ));
            }
            Ttl::Long => {}
        }
    }
    Ok(())
}
