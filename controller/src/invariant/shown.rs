//! What a screen shows of a Subject: the rows of its display and its workload.

use kube::core::cel::cel::objects::Key;
use kube::core::cel::cel::{Context, Value};
use serde::Serialize;

use super::compiled::{Gauge, Group, Rows};
use super::judge::Judge;
use super::{each, series, template};
use crate::cel;

/// Rows of all groups together.
const MOST_ROWS: usize = 500;

/// What a screen shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// Groups of rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ShownGroup>,
    /// The one number that says how much the system does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<ShownWorkload>,
}

/// Rows of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownGroup {
    /// Above the rows.
    pub title: String,
    /// The rows, in the order of their keys.
    pub rows: Vec<Row>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its key; empty for a group without `forEach`.
    pub key: String,
    /// Its name.
    pub label: String,
    /// `ok`, `warn`, `bad` or `unknown`.
    pub state: &'static str,
    /// What else is said.
    pub text: String,
}

/// The one number.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownWorkload {
    /// Beside it.
    pub label: String,
    /// It; absent while nobody can say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Behind it.
    pub unit: String,
}

impl Judge {
    /// What a screen shows now.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let screen = &self.compiled.screen;
        if screen.groups.is_empty() && screen.workload.is_none() {
            return Shown::default();
        }
        self.with_probes(|context| {
            let mut room = MOST_ROWS;
            let group = |group: &Group| {
                let mut rows = self.rows(group, context);
                rows.truncate(room);
                room -= rows.len();
                ShownGroup { title: group.title.clone(), rows }
            };
            Shown {
                groups: screen.groups.iter().map(group).collect(),
                workload: screen.workload.as_ref().map(|gauge| self.workload(gauge, context)),
            }
        })
    }

    fn rows(&self, group: &Group, context: &Context<'_>) -> Vec<Row> {
        let unknown = |text: String| vec![Row { label: group.title.clone(), state: "unknown", text, ..Row::default() }];
        let rows = match &group.body {
            Ok(rows) => rows,
            Err(why) => return unknown(why.clone()),
        };
        if let Some(why) = self.readings.missing(&self.compiled.probes, &rows.reads, self.now) {
            return unknown(why);
        }
        match rows.each.elements(context) {
            Err(why) => unknown(why),
            Ok(elements) => elements.into_iter().map(|(key, item)| row(rows, group, key, item, context)).collect(),
        }
    }

    fn workload(&self, gauge: &Gauge, context: &Context<'_>) -> ShownWorkload {
        let value = || {
            let (value, counter) = gauge.body.as_ref().ok()?;
            if self.readings.missing(&self.compiled.probes, &gauge.reads, self.now).is_some() {
                return None;
            }
            let mut scope = context.new_inner_scope();
            if counter.is_some() {
                let Value::Map(samples) = self.counter.value(self.now)? else { return None };
                scope.add_variable_from_value("rate", samples.map.get(&Key::from("rate"))?.clone());
            }
            series::number(&cel::evaluate(value, &scope).ok()?)
        };
        ShownWorkload { label: gauge.label.clone(), value: value(), unit: gauge.unit.clone() }
    }
}

fn row(rows: &Rows, group: &Group, key: String, item: Value, context: &Context<'_>) -> Row {
    let mut scope = context.new_inner_scope();
    if rows.each.is_many() {
        scope.add_variable_from_value("key", key.clone());
        scope.add_variable_from_value("item", item);
    }
    let mut failed = None;
    let state = match cel::evaluate(&rows.state, &scope) {
        Ok(Value::String(word)) => match word.as_str() {
            "ok" => "ok",
            "warn" => "warn",
            "bad" => "bad",
            "unknown" => "unknown",
            _ => {
                failed = Some(format!("state gives {word:?}, and not ok, warn, bad or unknown"));
                "unknown"
            }
        },
        Ok(other) => {
            failed = Some(format!("state gives {}, and not ok, warn, bad or unknown", each::kind(&other)));
            "unknown"
        }
        Err(why) => {
            failed = Some(why);
            "unknown"
        }
    };
    let label = if rows.label.is_empty() {
        if key.is_empty() { group.title.clone() } else { key.clone() }
    } else {
        rows.label.fill(&scope).unwrap_or_else(|_| key.clone())
    };
    // A text that cannot be made says why, where the state does not.
    let text = rows.text.fill(&scope).unwrap_or_else(|why| failed.take().unwrap_or(why));
    let text = if text.is_empty() { failed.unwrap_or_default() } else { text };
    Row { key, label: template::short(&label), state, text }
}
