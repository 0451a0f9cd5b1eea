//! Alerts in: what others see becomes Incidents of the Subjects that it is about.
//!
//! [`http`] takes requests (who may, how large, how many), [`payload`] and [`generic`] read them (pure), [`matching`] says
//! whose an alert is, [`decide`] what becomes of it and [`words`] what an Incident says of it (pure, like what the monitor
//! does with an invariant: the cooldown, the rate and the words are the same), [`desk`] does it, and answers once it
//! stands at the API server. [`kubernetes`] is the cluster as far as that needs it.
//!
//! Every replica takes alerts, whether it leads or not: what is opened has a name that all of them make the same.

pub mod decide;
pub mod desk;
pub mod generic;
pub mod http;
pub mod kubernetes;
pub mod matching;
pub mod payload;
pub mod words;

use std::collections::BTreeMap;

use crds::Severity;
use jiff::Timestamp;

/// The label of a notice of ours. What carries it and comes back as an alert would open an Incident about an Incident.
pub const OWN_LABEL: &str = "operator_installation";

/// An alert, whoever sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Tells it from others.
    pub fingerprint: String,
    /// Its name, if it has one.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it says, in a line; may be empty.
    pub summary: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What else it says.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// Whether the sender said so; else it is when this was heard.
    pub since_is_said: bool,
    /// Since when it does not any more; none while it fires.
    pub ends_at: Option<Timestamp>,
    /// Where it came from; may be empty.
    pub url: String,
}
