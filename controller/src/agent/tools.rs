//! The two tools, and what a call of them must look like.

use std::time::Duration;

use serde_json::{Value, json};

use super::Budgets;
use crate::audit::entry::Outcome;
use crate::model::INVALID_JSON;

/// The longest command that is accepted, in bytes.
const LONGEST_COMMAND: usize = 256 << 10;

/// The tools' definitions, as the API takes them.
#[must_use]
pub fn definitions(budgets: &Budgets) -> Value {
    let (usual, most) = (budgets.command_timeout_seconds, budgets.command_timeout_cap_seconds);
    json!([
        {
            "name": "shell",
            "description": format!(
                "Runs a command with `bash -c` in your container and gives its exit code, standard output and \
                 standard error. Each call is a new shell: the working directory and variables do not carry over, \
                 files do. There is no terminal and no standard input. The command ends when its main process ends; \
                 after its time limit ({usual} s unless you ask for another, at most {most} s) its whole process \
                 group is killed. Several calls in one message run one after another, in order."
            ),
            "input_schema": {
                "type": "object",
                "properties": {
                    "command": {"type": "string", "description": "Text for `bash -c`; may have several lines."},
                    "reasoning": {
                        "type": "string",
                        "description": "Why you run it and what you expect, in a sentence. It is kept on record."
                    },
                    "timeout_seconds": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": most,
                        "description": "Time limit of this command in seconds."
                    }
                },
                "required": ["command", "reasoning"]
            }
        },
        {
            "name": "conclude",
            "description":
                "Ends your work on this incident. Call it when the fault is repaired and you have seen that the system \
                 works again, or when you can do no more. Calls before it in the same message run first, calls after \
                 it do not run.",
            "input_schema": {
                "type": "object",
                "properties": {
                    "outcome": {
                        "type": "string",
                        "enum": ["resolved", "unresolved"],
                        "description": "`resolved` only if you verified it after your last change."
                    },
                    "root_cause": {"type": "string", "description": "What was wrong and why, as far as you know."},
                    "summary": {"type": "string", "description": "What happened, what you did, and how you verified it."},
                    "evidence": {
                        "type": "array",
                        "items": {"type": "integer"},
                        "description": "Numbers of the entries that show it, as in `[entry 12]`."
                    },
                    "follow_up": {"type": "string", "description": "What a person should do next, if anything."}
                },
                "required": ["outcome", "root_cause", "summary", "evidence"]
            }
        }
    ])
}

/// A call of the model, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Run a command.
    Shell(ShellCall),
    /// End the work.
    Conclude(ConcludeCall),
    /// It cannot be done as it stands; the text tells the model what would be right.
    Invalid(String),
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellCall {
    /// Text for `bash -c`.
    pub command: String,
    /// Why.
    pub reasoning: Option<String>,
    /// Its limit.
    pub timeout: Duration,
    /// What the model is told about its limit, if it did not get what it asked for.
    pub note: Option<String>,
}

/// A conclusion, before its evidence is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcludeCall {
    /// What the agent claims.
    pub outcome: Outcome,
    /// The root cause.
    pub root_cause: String,
    /// What happened.
    pub summary: String,
    /// Entry numbers, unchecked.
    pub evidence: Vec<i64>,
    /// What to do next.
    pub follow_up: Option<String>,
}

/// Reads a call.
#[must_use]
pub fn read(tool: &str, input: &Value, budgets: &Budgets) -> Call {
    let call = if input.get(INVALID_JSON).is_some() && input.as_object().is_some_and(|input| input.len() == 1) {
        Err("the input of this call was not valid JSON; send the call again with a valid JSON object".to_owned())
    } else {
        match tool {
            "shell" => shell(input, budgets).map(Call::Shell),
            "conclude" => conclude(input).map(Call::Conclude),
            _ => Err(format!("there is no tool {tool:?}; the tools are `shell` and `conclude`")),
        }
    };
    call.unwrap_or_else(Call::Invalid)
}

fn shell(input: &Value, budgets: &Budgets) -> Result<ShellCall, String> {
    let command = required(input, "command", "the text for `bash -c`")?;
    if command.contains('\0') {
        return Err("`command` holds a NUL character, which no command line can; write it as an escape, for example \
                    with printf '\\0'"
            .to_owned());
    }
    if command.len() > LONGEST_COMMAND {
        return Err(format!("`command` is longer than {} KiB; write files in several commands", LONGEST_COMMAND >> 10));
    }
    let (timeout, note) = timeout(input, budgets)?;
    Ok(ShellCall { command, reasoning: optional(input, "reasoning")?, timeout, note })
}

fn timeout(input: &Value, budgets: &Budgets) -> Result<(Duration, Option<String>), String> {
    let cap = budgets.command_timeout_cap_seconds.max(1);
    let usual = Duration::from_secs(budgets.command_timeout_seconds.clamp(1, cap));
    let asked = match input.get("timeout_seconds") {
        None | Some(Value::Null) => return Ok((usual, None)),
        Some(value) => value.as_f64().filter(|seconds| seconds.is_finite()),
    };
    let asked = asked.ok_or_else(|| format!("`timeout_seconds` must be a number of seconds from 1 to {cap}"))?;
    let most = Duration::from_secs(cap);
    let wish = Duration::try_from_secs_f64(asked.max(0.0)).unwrap_or(Duration::MAX);
    let given = wish.clamp(Duration::from_secs(1), most);
    let changed = given != wish;
    let note = changed.then(|| format!("timeout_seconds must be from 1 to {cap}: the limit was {} s", given.as_secs()));
    Ok((given, note))
}

fn conclude(input: &Value) -> Result<ConcludeCall, String> {
    let outcome = match input.get("outcome").and_then(Value::as_str) {
        Some("resolved") => Outcome::Resolved,
        Some("unresolved") => Outcome::Unresolved,
        _ => return Err("`outcome` must be \"resolved\" or \"unresolved\"".to_owned()),
    };
    let evidence = match input.get("evidence") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(numbers)) => numbers.iter().map(entry_number).collect(),
        Some(_) => None,
    };
    Ok(ConcludeCall {
        outcome,
        root_cause: required(input, "root_cause", "what was wrong")?,
        summary: required(input, "summary", "what happened and what you did")?,
        evidence: evidence.ok_or("`evidence` must be a list of entry numbers, for example [3, 12]")?,
        follow_up: optional(input, "follow_up")?.filter(|text| !text.trim().is_empty()),
    })
}

/// An entry's number: a number, or text like `12` or `entry 12`.
fn entry_number(value: &Value) -> Option<i64> {
    let text =
        |text: &str| text.trim_start_matches(|c: char| !c.is_ascii_digit()).trim_end_matches(']').trim().parse().ok();
    value.as_i64().or_else(|| value.as_str().and_then(text))
}

fn required(input: &Value, key: &str, what: &str) -> Result<String, String> {
    match input.get(key) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(format!("`{key}` is empty; it must hold {what}")),
        Some(Value::Null) | None => Err(format!("`{key}` is missing; it must hold {what}")),
        Some(_) => Err(format!("`{key}` must be a string: {what}")),
    }
}

fn optional(input: &Value, key: &str) -> Result<Option<String>, String> {
    match input.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{key}` must be a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(tool: &str, input: &Value) -> String {
        match read(tool, input, &Budgets::default()) {
            Call::Invalid(reason) => reason,
            call => panic!("{call:?}"),
        }
    }

    #[test]
    fn says_what_would_be_right() {
        assert!(refused("bash", &json!({})).contains("the tools are `shell` and `conclude`"));
        assert!(refused("shell", &json!({INVALID_JSON: "{\"com"})).contains("not valid JSON"));
        assert!(refused("shell", &json!({})).contains("`command` is missing"));
        assert!(refused("shell", &json!({"command": ["ls"]})).contains("must be a string"));
        assert!(refused("shell", &json!({"command": " \n"})).contains("is empty"));
        assert!(refused("shell", &json!({"command": "a\0b"})).contains("NUL"));
        assert!(refused("shell", &json!({"command": "x".repeat(LONGEST_COMMAND + 1)})).contains("256 KiB"));
        assert!(refused("shell", &json!({"command": "ls", "timeout_seconds": "soon"})).contains("from 1 to 600"));
        assert!(refused("shell", &json!({"command": "ls", "reasoning": 3})).contains("`reasoning`"));
        assert!(refused("conclude", &json!({"outcome": "fixed"})).contains("`outcome`"));
        let vague = json!({"outcome": "resolved", "root_cause": "r", "summary": "s", "evidence": "all"});
        assert!(refused("conclude", &vague).contains("`evidence`"));
    }

    #[test]
    fn limits_are_kept_and_told() {
        let limit = |seconds: Value| match read(
            "shell",
            &json!({"command": "ls", "timeout_seconds": seconds}),
            &Budgets::default(),
        ) {
            Call::Shell(call) => (call.timeout.as_secs(), call.note.is_some()),
            call => panic!("{call:?}"),
        };
        assert_eq!(limit(Value::Null), (120, false));
        assert_eq!(limit(json!(5)), (5, false));
        assert_eq!(limit(json!(0)), (1, true));
        assert_eq!(limit(json!(-3)), (1, true));
        assert_eq!(limit(json!(1e300)), (600, true));
    }

    #[test]
    fn reads_entry_numbers_as_models_write_them() {
        let input =
            json!({"outcome": "unresolved", "root_cause": "r", "summary": "s", "evidence": [3, "12", "[entry 14]"]});
        let Call::Conclude(call) = read("conclude", &input, &Budgets::default()) else { panic!() };
        assert_eq!(call.evidence, [3, 12, 14]);
    }
}
