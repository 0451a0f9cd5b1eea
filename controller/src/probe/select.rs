//! `select`: what is kept of a reading's value, in CEL.
//!
//! CEL has no limit and cannot be interrupted. So it runs on a thread of its own: an expression that takes for ever costs
//! its own probe its readings, and nobody else's.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::cel::cel::Program;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::answer::{Answer, Failure, Read, Stage};
use super::mistake::Mistake;
use crate::cel;

/// The longest expression.
const LONGEST: usize = 4096;
/// What an expression finds.
const VARIABLES: [&str; 3] = ["value", "status", "target"];

/// The expressions of a probe.
pub(super) struct Select {
    programs: Arc<Vec<(String, Program)>>,
    /// One evaluation of a probe at a time: what never ends is not started again and again.
    free: Arc<Semaphore>,
}

impl Select {
    /// Compiles them; none, if the whole value is kept.
    pub(super) fn new(select: &BTreeMap<String, String>, path: &str) -> Result<Option<Self>, Mistake> {
        if select.is_empty() {
            return Ok(None);
        }
        let programs = select.iter().map(|(name, expression)| {
            let program = compile(expression)
                .map_err(|message| Mistake::new(format!("{path}.select.{name}"), message))?;
            Ok((name.clone(), program))
        });
        let programs = Arc::new(programs.collect::<Result<_, _>>()?);
        Ok(Some(Self { programs, free: Arc::new(Semaphore::new(1)) }))
    }

    /// Whether some expression looks at the target.
    pub(super) fn uses_target(&self) -> bool {
        self.programs.iter().any(|(_, program)| cel::variables(program).contains("target"))
    }

    /// Puts what is selected into the value's place. What cannot be evaluated is missing there, and said.
    pub(super) async fn apply(&self, answer: Answer, target: &str, stage: &Stage) -> Read {
        stage.set("evaluating select");
        let failed = |status| move |error: &str| Failure { error: error.into(), status, value: None };
        let failed = failed(answer.status);
        let free = self.free.clone().acquire_owned().await.map_err(|_| failed("the observer ends"))?;
        let (programs, target) = (self.programs.clone(), target.to_owned());
        let selected = tokio::task::spawn_blocking(move || {
            let selected = selected(&programs, answer, &target);
            drop(free);
            selected
        });
        selected.await.map_err(|_| failed("select could not be evaluated"))
    }
}

fn compile(expression: &str) -> Result<Program, String> {
    if expression.len() > LONGEST {
        return Err(format!("the expression is longer than {LONGEST} bytes"));
    }
    let program = cel::compile(expression)?;
    match cel::variables(&program).iter().find(|name| !VARIABLES.contains(&name.as_str())) {
        Some(name) => Err(format!("{name} is not known: there are {}", VARIABLES.join(", "))),
        None => Ok(program),
    }
}

fn selected(programs: &[(String, Program)], answer: Answer, target: &str) -> Answer {
    let mut context = cel::context();
    let value = answer.value.unwrap_or_default();
    context.add_variable_from_value("value", cel::to_cel(&value));
    drop(value);
    context.add_variable_from_value("status", answer.status.unwrap_or_default());
    context.add_variable_from_value("target", target.to_owned());
    let (mut selected, mut errors) = (Map::new(), answer.error.into_iter().collect::<Vec<_>>());
    for (name, program) in programs {
        match cel::evaluate(program, &context) {
            Ok(value) => {
                selected.insert(name.clone(), cel::to_json(&value));
            }
            Err(error) => errors.push(format!("select.{name}: {error}")),
        }
    }
    let error = (!errors.is_empty()).then(|| errors.join("; "));
    Answer { status: answer.status, value: Some(Value::Object(selected)), error, place: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn select(of: &[(&str, &str)]) -> Result<Option<Select>, Mistake> {
        let of = of.iter().map(|(name, expression)| ((*name).to_owned(), (*expression).to_owned())).collect();
        Select::new(&of, "probes[3]")
    }

    #[tokio::test]
    async fn what_is_selected_takes_the_value_s_place() {
        let select = select(&[
            ("leader", "value.leader == target"),
            ("n", "value.list.filter(x, x > 1).size()"),
            ("ok", "status == 200"),
            ("sum", "value.list.sum()"),
        ]);
        let value = json!({"leader": "a", "list": [1, 2, 3], "big": "x".repeat(10_000)});
        let answer = Answer { status: Some(200), value: Some(value), ..Answer::default() };
        let selected = select.unwrap().unwrap().apply(answer, "a", &Stage::new()).await.unwrap();
        assert_eq!(selected.value, Some(json!({"leader": true, "n": 2, "ok": true, "sum": 6})));
        assert_eq!((selected.status, selected.error), (Some(200), None));
    }

    #[tokio::test]
    async fn what_cannot_be_evaluated_is_missing_and_said() {
        let select = select(&[("a", "value.a"), ("b", "value.b")]).unwrap().unwrap();
        let answer = Answer { value: Some(json!({"a": 1})), ..Answer::default() };
        let selected = select.apply(answer, "", &Stage::new()).await.unwrap();
        assert_eq!(selected.value, Some(json!({"a": 1})));
        assert_eq!(selected.error.as_deref(), Some("select.b: No such key: b"));
    }

    #[test]
    fn mistakes_name_their_place() {
        let said = |expression: &str| select(&[("x", expression)]).err().unwrap().to_string();
        assert_eq!(said("valu.a"), "probes[3].select.x: valu is not known: there are value, status, target");
        assert!(said("value.").starts_with("probes[3].select.x: 1:"), "{}", said("value."));
        assert!(said(&"1+".repeat(3000)).contains("longer than 4096 bytes"));
        assert!(select(&[]).unwrap().is_none());
    }

    #[test]
    fn the_target_in_an_expression_is_seen() {
        assert!(select(&[("a", "value[target]")]).unwrap().unwrap().uses_target());
        assert!(!select(&[("a", "value.target")]).unwrap().unwrap().uses_target());
    }
}
