//! What a chapter waits for: an expression over the Subject, its Incidents and what its probes read. Pure.
//!
//! What cannot be judged has not come: an expression that reads what is not there yet fails, and is judged again.

use std::sync::Arc;

use crds::{Incident, Subject};
use kube::ResourceExt;
use kube::core::cel::cel::{Program, Value};
use serde::Serialize;

use super::record::Record;
use crate::cel;
use crate::printable::short_line;

/// What an expression finds.
const VARIABLES: [&str; 4] = ["subject", "incident", "incidents", "probes"];
/// So many Incidents are shown, the newest.
const MOST_INCIDENTS: usize = 50;

/// Whether what is waited for has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It has.
    Come,
    /// It has not.
    NotYet,
    /// Nobody can say, for this reason.
    Unknown(String),
}

/// What an expression is judged over.
#[derive(Clone, Debug)]
pub struct Scope {
    subject: Value,
    incidents: Vec<Value>,
    probes: Value,
}

/// Compiles an expression. An error is a sentence with line and column.
pub fn compile(expression: &str) -> Result<Program, String> {
    let program = cel::compile(expression)?;
    match cel::variables(&program).into_iter().find(|name| !VARIABLES.contains(&name.as_str())) {
        Some(other) => Err(format!("there is no `{other}` here; there are {}", VARIABLES.join(", "))),
        None => Ok(program),
    }
}

impl Scope {
    /// Over a Subject, its Incidents of the demo, and what its probes read.
    #[must_use]
    pub fn new(subject: Option<&Subject>, incidents: &[Arc<Incident>], probes: Value) -> Self {
        let newest = incidents.iter().take(MOST_INCIDENTS);
        Self {
            subject: subject.map_or(Value::Null, value),
            incidents: newest.map(|incident| value(&**incident)).collect(),
            probes,
        }
    }

    /// Judges an expression.
    #[must_use]
    pub fn judge(&self, expression: &str) -> Judgement {
        let program = match compile(expression) {
            Ok(program) => program,
            Err(why) => return Judgement::Unknown(why),
        };
        let mut context = cel::context();
        context.add_variable_from_value("subject", self.subject.clone());
        context.add_variable_from_value("incident", self.incidents.first().cloned().unwrap_or(Value::Null));
        context.add_variable_from_value("incidents", Value::List(Arc::new(self.incidents.clone())));
        context.add_variable_from_value("probes", self.probes.clone());
        match cel::evaluate(&program, &context) {
            Ok(Value::Bool(true)) => Judgement::Come,
            Ok(Value::Bool(false)) => Judgement::NotYet,
            Ok(other) => {
                let other = short_line(&cel::to_json(&other).to_string(), 100);
                Judgement::Unknown(format!("waitFor gives {other}, and not true or false"))
            }
            Err(why) => Judgement::Unknown(why),
        }
    }
}

/// As the API has it, but for what only machines read.
fn value<K: ResourceExt + Serialize + Clone>(object: &K) -> Value {
    let mut object = object.clone();
    object.managed_fields_mut().clear();
    serde_json::to_value(&object).map_or(Value::Null, |json| cel::to_cel(&json))
}

/// The demo's Incidents, the newest first.
#[must_use]
pub fn of_demo(incidents: &[Arc<Incident>], record: &Record) -> Vec<Arc<Incident>> {
    let counts = |incident: &&Arc<Incident>| created(incident).is_some_and(|created| record.counts(created));
    let mut own: Vec<Arc<Incident>> = incidents.iter().filter(counts).cloned().collect();
    own.sort_by_key(|incident| std::cmp::Reverse((created(incident), incident.name_any())));
    own
}

/// When an Incident was created.
#[must_use]
pub fn created(incident: &Incident) -> Option<jiff::Timestamp> {
    incident.creation_timestamp().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(name: &str, phase: &str) -> Arc<Incident> {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\n\
             metadata: {{name: {name}, namespace: ns, creationTimestamp: '2026-01-28T20:54:48Z'}}\n\
             spec: {{title: t, subjectRef: {{name: s}}}}\nstatus: {{phase: {phase}, cost: '$0.10', commands: 5}}"
        );
        Arc::new(serde_saphyr::from_str(&yaml).unwrap())
    }

    fn subject(healthy: &str) -> Subject {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {{name: s, namespace: ns}}\n\
             spec: {{where: {{docker: {{project: shop}}}}}}\n\
             status: {{openIncidents: 1, conditions: [{{type: Healthy, status: '{healthy}', reason: R, message: '', \
             lastTransitionTime: '2026-01-28T20:54:48Z'}}]}}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    #[test]
    fn what_is_not_there_yet_has_not_come() {
        let nothing = Scope::new(None, &[], Value::Null);
        assert_eq!(nothing.judge("incident != null"), Judgement::NotYet);
        for early in
            ["incident.status.phase == 'Resolved'", "probes.load.value > 50.0", "incidents[0].spec.title == 't'"]
        {
            assert_ne!(nothing.judge(early), Judgement::Come, "{early}");
        }
        assert!(matches!(nothing.judge("incidents[0].spec.title == 't'"), Judgement::Unknown(_)));
        assert!(matches!(nothing.judge("1"), Judgement::Unknown(why) if why.contains("not true or false")));
        assert_eq!(nothing.judge("incident != null && incident.status.phase == 'Resolved'"), Judgement::NotYet);
    }

    #[test]
    fn it_is_judged_over_the_subject_its_incidents_and_its_probes() {
        let probes = cel::to_cel(&serde_json::json!({"load": {"ok": true, "value": {"rate": 50.0}}}));
        let scope = Scope::new(Some(&subject("True")), &[incident("b", "Resolved"), incident("a", "Failed")], probes);
        for come in [
            "subject.status.conditions.exists(c, c.type == 'Healthy' && c.status == 'True')",
            "subject.status.openIncidents == 1",
            "incident.metadata.name == 'b' && incident.status.phase == 'Resolved'",
            "incidents.size() == 2 && incidents[1].status.commands == 5",
            "probes.load.ok && probes.load.value.rate >= 50",
        ] {
            assert_eq!(scope.judge(come), Judgement::Come, "{come}");
        }
        assert_eq!(scope.judge("probes.load.value.rate == 50"), Judgement::NotYet, "a fraction is no whole number");
    }

    #[test]
    fn names_that_nobody_knows_are_refused_before_they_are_judged() {
        assert!(compile("incidents.exists(i, i.spec.title == 'x')").is_ok());
        assert_eq!(
            compile("subjet.status").unwrap_err(),
            "there is no `subjet` here; there are subject, incident, incidents, probes"
        );
        assert!(compile("subject..x").unwrap_err().starts_with("1:"));
    }
}
