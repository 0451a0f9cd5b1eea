//! Invariants: what has to hold of a Subject, in CEL over what its probes read; and what a screen shows of it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::incident::Severity;

/// Something that has to hold. Expressions see `probes`, and inside of `forEach` also `key` and `item`; `over` gives
/// names to what is watched over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invariant {
    /// Its name.
    #[x_kube(validation = Rule::new("self.matches('^[a-z][a-z0-9_]*$')").message("an invariant's name has lower-case letters, digits and '_', and begins with a letter"))]
    #[validate(length(min = 1, max = 63))]
    pub name: String,
    /// What it is about, for people and for the agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 1024))]
    pub description: String,
    /// A list or a map: the invariant has to hold of each element. Of a map `key` is the key and `item` the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 2048))]
    pub for_each: Option<String>,
    /// What tells the elements of a list apart: a string over `item`. The element itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 2048))]
    pub key: Option<String>,
    /// Values that are watched over time: a name for use in `violated` and `message`, and what is sampled.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub over: BTreeMap<String, Series>,
    /// Whether it is violated: a truth value.
    #[validate(length(min = 1, max = 4096))]
    pub violated: String,
    /// What is said then: text with CEL in `{{ }}`. The invariant's name and key if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 2048))]
    pub message: String,
    /// For how long it has to be violated without a break before it counts. `0s` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ns|us|ms|s|m|h))+$') && duration(self) >= duration('0s') && duration(self) <= duration('24h')").message("grace is a duration between 0s and 24h, such as 10s"))]
    pub grace: Option<Duration>,
    /// That of the Incident that it opens.
    #[serde(default)]
    pub severity: Severity,
}

/// A value that is watched over time. In CEL its name is a map: `first`, `last`, `min`, `max`, `mean` (numbers),
/// `changes` (how often it became another), `rate` (a second, of a counter, which may begin anew at 0), `increase`
/// (the same in all), `held` (seconds since it became what it is), `samples` and `span` (seconds between the first and
/// the last). With fewer than two samples the invariant is unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// A number, a truth value or a string, in CEL over `probes`, `key` and `item`. Sampled with each round of a probe
    /// that it names; what cannot be evaluated is no sample.
    #[validate(length(min = 1, max = 2048))]
    pub value: String,
    /// How far back.
    // A rule in CEL would cost the API server more than it allows for what may stand in a map in a list; the controller
    // says which window is too short or too long.
    #[schemars(with = "String", regex(pattern = r"^([0-9]+(ms|s|m|h))+$"))]
    #[validate(length(min = 2, max = 32))]
    pub window: Duration,
}

/// What a screen shows of the Subject.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Display {
    /// Groups of rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 16))]
    pub groups: Vec<DisplayGroup>,
    /// The one number that says how much the system does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

/// Rows of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisplayGroup {
    /// Above the rows.
    #[validate(length(min = 1, max = 63))]
    pub title: String,
    /// A list or a map: a row for each element, as in an invariant. One row if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 2048))]
    pub for_each: Option<String>,
    /// As in an invariant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 2048))]
    pub key: Option<String>,
    /// The row's name: text with CEL in `{{ }}`. Its key if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 512))]
    pub label: String,
    /// CEL that says `ok`, `warn`, `bad` or `unknown`. What cannot be evaluated is `unknown`.
    #[validate(length(min = 1, max = 2048))]
    pub state: String,
    /// What else is said: text with CEL in `{{ }}`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 1024))]
    pub text: String,
}

/// The gauge of a screen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Beside the number.
    #[validate(length(min = 1, max = 63))]
    pub label: String,
    /// The number, in CEL over `probes`, and over `rate` of `counter` if that is there.
    #[validate(length(min = 1, max = 2048))]
    pub value: String,
    /// A counter whose rate over the last ten seconds `value` may use as `rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 2048))]
    pub counter: Option<String>,
    /// Behind the number, such as `/s`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[validate(length(max = 16))]
    pub unit: String,
}

/// How an invariant, or one key of it, stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum InvariantState {
    /// It holds.
    Ok,
    /// Nobody can say: a reading is missing or stale, or the expression failed.
    #[default]
    Unknown,
    /// It is violated, and its grace is not over.
    Pending,
    /// It is violated.
    Violated,
}

impl InvariantState {
    /// As the API has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Unknown => "Unknown",
            Self::Pending => "Pending",
            Self::Violated => "Violated",
        }
    }
}
