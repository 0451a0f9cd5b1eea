//! What must hold in a script beyond its shape, so that it fails at the start and not in a demo.

use std::collections::HashSet;

use super::model::{Answer, Rule, Script, When};
use super::template;

/// A finding and its place.
pub(super) struct Wrong {
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) message: String,
}

/// Checks a whole script.
pub(super) fn script(script: &Script) -> Result<(), Wrong> {
    if script.rules.is_empty() {
        return Err(Wrong { line: 0, column: 0, message: "a script needs at least one rule".to_owned() });
    }
    let mut names = HashSet::new();
    for rule in &script.rules {
        if !names.insert(rule.name.value.as_str()) {
            return Err(wrong(rule, "another rule has this name"));
        }
        check_rule(rule).map_err(|message| wrong(rule, &message))?;
    }
    Ok(())
}

fn wrong(rule: &Rule, message: &str) -> Wrong {
    Wrong {
        line: rule.name.referenced.line(),
        column: rule.name.referenced.column(),
        message: format!("rule \"{}\": {message}", rule.name.value),
    }
}

fn check_rule(rule: &Rule) -> Result<(), String> {
    let name = &rule.name.value;
    // The name travels in a header.
    if name.is_empty() || !name.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Err("a name is made of plain ASCII characters".to_owned());
    }
    let answer = &rule.answer;
    let cuts = answer.cut_after_events.is_some() || answer.invalid_tool_json;
    if !answer.has_content() && answer.error.is_none() && !cuts {
        return Err("the answer is empty; give it text, thinking, tools, stop_reason or error".to_owned());
    }
    if answer.times.is_some() && !cuts {
        return Err("times counts for cut_after_events and invalid_tool_json; an error has its own".to_owned());
    }
    if answer.invalid_tool_json && answer.tools.is_empty() {
        return Err("invalid_tool_json needs a tool".to_owned());
    }
    if let Some(fault) = &answer.error
        && !(400..600).contains(&fault.status)
    {
        return Err(format!("{} is no error status (400 to 599)", fault.status));
    }
    if let Some(fault) = &answer.error
        && fault.retry_after.is_some_and(|s| !(0.0..=86_400.0).contains(&s))
    {
        return Err("retry_after is a number of seconds from 0 to 86400".to_owned());
    }
    for text in [&answer.text, &answer.thinking].into_iter().flatten() {
        if text.trim().is_empty() {
            return Err("text and thinking must not be empty: the API would refuse them when they come back".to_owned());
        }
    }
    for call in &answer.tools {
        if !call.input.is_object() {
            return Err(format!("the input of tool \"{}\" is not an object", call.name));
        }
        let fits = (1..=128).contains(&call.name.len())
            && call.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !fits {
            return Err(format!("\"{}\" is no name of a tool", call.name));
        }
    }
    check_placeholders(&rule.when, answer)
}

fn check_placeholders(when: &When, answer: &Answer) -> Result<(), String> {
    let caught: HashSet<&str> = [&when.user, &when.newest_user, &when.system, &when.result, &when.any_result]
        .into_iter()
        .flat_map(|patterns| &patterns.0)
        .flat_map(|regex| regex.capture_names().flatten())
        .collect();
    let texts = [&answer.text, &answer.thinking].into_iter().flatten();
    let asked = texts
        .flat_map(|text| template::names(text))
        .chain(answer.tools.iter().flat_map(|call| template::names_in(&call.input)));
    for name in asked {
        if !caught.contains(name.as_str()) {
            return Err(format!(
                "{{{{{name}}}}} is caught by no named group (?<{name}>...) of this rule's user, newest_user, system, result or any_result"
            ));
        }
    }
    Ok(())
}
