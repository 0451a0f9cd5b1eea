//! What a session's course depends on, as its first entry says it.
//!
//! A session goes on under the controller that finds it, which may be of a later version with other
//! defaults. So the loop takes nothing from the defaults once the first entry stands: prompt, tools,
//! prices and budgets are read from there, by a session that began a moment ago as by one that is
//! resumed.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fence::Fence;
use super::present::Cut;
use super::verify::Proving;
use super::{Budgets, Recurring, SessionInput, prompt, tools};
use crate::audit::entry::{IncidentEntry, Settings};
use crate::model::{Pricing, thinking_for};

/// What the loop is bound to.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// The model that plays.
    pub model: String,
    /// The system prompt.
    pub system: Arc<str>,
    /// The tools' definitions.
    pub tools: Arc<Value>,
    /// How the model is to think.
    pub thinking: Option<Value>,
    /// Limits.
    pub budgets: Budgets,
    /// The model's price.
    pub pricing: Pricing,
    /// How much of a result the model sees.
    pub cut: Cut,
    /// How it is proven that the Incident is over.
    pub proving: Proving,
    /// Why no agent is asked, if none is.
    pub recurring: Option<Recurring>,
}

/// A first entry that does not say what a session needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session's first entry cannot be gone on from: its {what} cannot be read: {reason}")]
pub struct Unreadable {
    what: &'static str,
    reason: String,
}

impl Unreadable {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        "first_entry_unreadable"
    }
}

impl Frozen {
    /// What a first entry says.
    ///
    /// # Errors
    /// [`Unreadable`] when a later version wrote it in a shape that is not known here.
    pub fn read(entry: &IncidentEntry) -> Result<Self, Unreadable> {
        let settings = entry.settings.as_ref();
        Ok(Self {
            model: entry.model.clone(),
            system: entry.system.as_str().into(),
            tools: Arc::new(entry.tools.clone()),
            // An entry without settings is of a version that always asked so.
            thinking: match settings {
                None => thinking_for(&entry.model),
                Some(settings) => Some(settings.thinking.clone()).filter(|thinking| !thinking.is_null()),
            },
            budgets: part("budgets", &entry.budgets)?,
            pricing: part("prices", &entry.prices)?,
            cut: match settings.map(|settings| &settings.cut) {
                None | Some(Value::Null) => Cut::default(),
                Some(cut) => part("settings.cut", cut)?,
            },
            proving: match settings.map(|settings| &settings.proving) {
                None | Some(Value::Null) => Proving::default(),
                Some(proving) => part("settings.proving", proving)?,
            },
            recurring: match settings.map(|settings| &settings.recurring) {
                None | Some(Value::Null) => None,
                Some(recurring) => Some(part("settings.recurring", recurring)?),
            },
        })
    }

    /// The first entry of a new session. What comes from outside stands in `fence`.
    #[must_use]
    pub fn first_entry(input: &SessionInput, fence: &Fence) -> IncidentEntry {
        let cut = Cut::default();
        IncidentEntry {
            incident: json(&input.incident),
            subject: json(&input.subject),
            model: input.model.clone(),
            system: prompt::system(input, cut, fence),
            user: prompt::first_message(input, fence),
            tools: tools::definitions(&input.budgets),
            prices: json(&input.pricing),
            budgets: json(&input.budgets),
            operator: input.operator_version.clone(),
            settings: Some(Box::new(Settings {
                thinking: thinking_for(&input.model).unwrap_or(Value::Null),
                cut: json(&cut),
                sandbox: input.sandbox.clone(),
                proving: json(&input.proving),
                recurring: json(&input.recurring),
            })),
        }
    }
}

fn part<T: DeserializeOwned>(what: &'static str, value: &Value) -> Result<T, Unreadable> {
    T::deserialize(value).map_err(|error| Unreadable { what, reason: error.to_string() })
}

/// Any value of ours as JSON; what cannot be (there is nothing of that kind here) is null.
pub(super) fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
