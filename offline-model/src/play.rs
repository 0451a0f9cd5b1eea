//! Choosing the rule that answers, and filling it with what was caught.

use serde_json::Value;

use crate::attempts::Attempts;
use crate::conversation::View;
use crate::error::{ApiError, kind_of};
use crate::request::Request;
use crate::script::{Answer, Captures, Fault, Rule, Script, StopReason, Usage, render, render_json};
use crate::summary;

/// What is to be said, before the request's limits are laid on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) thinking: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) stop_reason: Option<StopReason>,
    pub(crate) usage: Usage,
}

/// What goes wrong on purpose.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// An error instead of the answer.
    Error(ApiError),
    /// An error event after so many events.
    ErrorAfter(usize, ApiError),
    /// The connection breaks after so many events.
    Cut(usize),
    /// The last call's input is not JSON.
    BrokenJson,
}

/// What a script does about a request.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    /// The rule that answers, for logs.
    pub(crate) rule: String,
    /// What it says.
    pub(crate) draft: Draft,
    /// What goes wrong on purpose.
    pub(crate) trouble: Trouble,
    /// The delay that the script wants.
    pub(crate) delay_ms: Option<u64>,
}

/// Plays a script for a request.
pub(crate) fn play(name: &str, script: &Script, request: &Request, attempts: &mut Attempts) -> Result<Play, ApiError> {
    let view = View::new(&request.system, &request.messages);
    let used = uses(script, &view);
    for (index, rule) in script.rules.iter().enumerate() {
        let so_far = used.get(index).copied().unwrap_or(0);
        let Some(captures) = rule.matches(&view, so_far) else {
            continue;
        };
        let trouble = trouble(&rule.answer, |times| attempts.take(request.state, index, times));
        if matches!(trouble, Trouble::None) && !rule.answer.has_content() {
            // The fault was all that this rule had, and it is used up.
            continue;
        }
        return Ok(Play {
            rule: rule.name.value.clone(),
            draft: draft(rule, &captures, request)?,
            trouble,
            // The default of the whole script is the server's to weigh against its own.
            delay_ms: rule.answer.delay_ms,
        });
    }
    Ok(no_rule(name))
}

/// Plays the built-in summary.
pub(crate) fn summarize(request: &Request) -> Play {
    let view = View::new(&request.system, &request.messages);
    Play {
        rule: summary::NAME.to_owned(),
        draft: Draft { text: Some(summary::line(view.last_user_text().unwrap_or_default())), ..Draft::default() },
        trouble: Trouble::None,
        delay_ms: None,
    }
}

fn no_rule(name: &str) -> Play {
    Play {
        rule: String::new(),
        draft: Draft {
            text: Some(format!("The offline script {name} has no rule for what happened here.")),
            ..Draft::default()
        },
        trouble: Trouble::None,
        delay_ms: None,
    }
}

/// How often each rule has answered in this conversation.
///
/// Nothing is stored for it: each earlier answer was given to a prefix of this conversation, so
/// the same rules, asked again about each prefix, say which of them it was. Faults are left out,
/// for a conversation that went on holds an answer, not a fault.
fn uses(script: &Script, view: &View<'_>) -> Vec<u32> {
    let mut used = vec![0; script.rules.len()];
    if script.rules.iter().all(|rule| rule.when.uses.is_none()) {
        return used;
    }
    for past in view.history() {
        let fired = script
            .rules
            .iter()
            .zip(&mut used)
            .find(|(rule, count)| rule.answer.has_content() && rule.matches(&past, **count).is_some());
        if let Some((_, count)) = fired {
            *count += 1;
        }
    }
    used
}

fn trouble(answer: &Answer, mut take: impl FnMut(Option<u32>) -> bool) -> Trouble {
    if let Some(fault) = &answer.error {
        if !take(fault.times) {
            return Trouble::None;
        }
        let error = api_error(fault);
        return match fault.after_events {
            Some(events) => Trouble::ErrorAfter(events, error),
            None => Trouble::Error(error),
        };
    }
    if answer.cut_after_events.is_none() && !answer.invalid_tool_json || !take(answer.times) {
        return Trouble::None;
    }
    match answer.cut_after_events {
        Some(events) => Trouble::Cut(events),
        None => Trouble::BrokenJson,
    }
}

fn api_error(fault: &Fault) -> ApiError {
    ApiError {
        status: fault.status,
        kind: fault.kind.clone().unwrap_or_else(|| kind_of(fault.status).to_owned()),
        message: fault.message.clone().unwrap_or_else(|| "The offline script asked for this error.".to_owned()),
        retry_after: fault.retry_after,
    }
}

fn draft(rule: &Rule, captures: &Captures, request: &Request) -> Result<Draft, ApiError> {
    let answer = &rule.answer;
    let name = &rule.name.value;
    let uncaught = |what: String| {
        ApiError::script(format!("rule \"{name}\" uses {{{{{what}}}}}, but the group of that name caught nothing"))
    };
    if request.tools_forbidden && !answer.tools.is_empty() {
        return Err(ApiError::script(format!("rule \"{name}\" calls a tool, but the request says tool_choice none")));
    }
    let text = |text: &Option<String>| text.as_ref().map(|text| render(text, captures).map_err(uncaught)).transpose();
    let calls = answer
        .tools
        .iter()
        .map(|call| {
            let input = render_json(&call.input, captures).map_err(uncaught)?;
            Ok((call.name.clone(), input))
        })
        .collect::<Result<_, ApiError>>()?;
    Ok(Draft {
        thinking: text(&answer.thinking)?,
        text: text(&answer.text)?,
        calls,
        stop_reason: answer.stop_reason,
        usage: answer.usage,
    })
}
