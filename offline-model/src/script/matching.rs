//! Whether a rule's conditions hold, and what its patterns caught.

use std::collections::HashMap;

use regex::Regex;

use super::model::{Rule, When};
use super::pattern::Patterns;
use crate::conversation::{ResultText, View};

/// What the named groups caught.
pub(crate) type Captures = HashMap<String, String>;

impl Rule {
    /// What was caught, when every condition holds. `used` is how often this rule has answered in
    /// this conversation.
    pub(crate) fn matches(&self, view: &View<'_>, used: u32) -> Option<Captures> {
        let when = &self.when;
        let counts = when.turn.is_none_or(|range| range.has(view.turns()))
            && when.uses.is_none_or(|uses| used < uses)
            && when.last_tool.as_deref().is_none_or(|tool| view.last_tool() == Some(tool));
        if !counts {
            return None;
        }
        results_match(when, view)
    }
}

fn results_match(when: &When, view: &View<'_>) -> Option<Captures> {
    let newest = view.newest_results();
    let all = view.all_results();
    if let Some(wanted) = when.is_error
        && newest.iter().any(|result| result.is_error) != wanted
    {
        return None;
    }
    if found_in_any(&when.not_result, &newest) || found_in_any(&when.not_any_result, &all) {
        return None;
    }
    let mut captures = Captures::new();
    let mut one_text = |patterns: &Patterns, text: &dyn Fn() -> String| {
        if patterns.0.is_empty() {
            return true;
        }
        let text = text();
        patterns.0.iter().all(|regex| catch(regex, &text, &mut captures))
    };
    let holds = one_text(&when.system, &|| view.system.to_owned())
        && one_text(&when.user, &|| view.user_text())
        && one_text(&when.newest_user, &|| view.newest_user_text())
        && when
            .any_result
            .0
            .iter()
            .all(|regex| catch_in(regex, all.iter().rev(), &mut captures))
        // Last, so that what the newest result says wins over an older one of the same name.
        && when
            .result
            .0
            .iter()
            .all(|regex| catch_in(regex, newest.iter(), &mut captures));
    holds.then_some(captures)
}

fn found_in_any(patterns: &Patterns, results: &[ResultText<'_>]) -> bool {
    patterns.0.iter().any(|regex| results.iter().any(|result| regex.is_match(result.text)))
}

fn catch_in<'a>(regex: &Regex, mut results: impl Iterator<Item = &'a ResultText<'a>>, captures: &mut Captures) -> bool {
    results.any(|result| catch(regex, result.text, captures))
}

fn catch(regex: &Regex, text: &str, captures: &mut Captures) -> bool {
    let Some(found) = regex.captures(text) else {
        return false;
    };
    for name in regex.capture_names().flatten() {
        if let Some(value) = found.name(name) {
            captures.insert(name.to_owned(), value.as_str().to_owned());
        }
    }
    true
}
