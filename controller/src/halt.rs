//! The halt of a whole installation: every running command ends, nothing begins, until somebody resumes it.
//!
//! It is a ConfigMap beside the controller, `INSTALLATION-halt`. So who may halt is for the cluster's own RBAC to say,
//! the API server's audit log knows who did, no write to Postgres has to come first, and where there is no `operator` at hand
//! `kubectl` can do it. [`watch`] is the controller's side, [`order`] that of the command line. Each halt that the
//! leading controller sees is a row of the table `halts`.

pub mod order;
pub mod watch;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};

use crate::printable::short_line;

/// Characters of a reason that are kept.
const LONGEST: usize = 300;

/// A halt of the whole installation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Halt {
    /// Who says that they did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Halt {
    /// What an installation's ConfigMap says; none at all is no halt. What is neither clearly yes nor clearly no is a
    /// halt: whoever wrote it wanted something, and stopping is what can be undone.
    #[must_use]
    pub fn read(object: Option<&ConfigMap>) -> Option<Self> {
        let data = object?.data.clone().unwrap_or_default();
        let says = data.get(KEY)?.trim().to_ascii_lowercase();
        if matches!(says.as_str(), "false" | "no" | "off" | "0") {
            return None;
        }
        let text = |key: &str| data.get(key).map(|text| short_line(text, LONGEST)).filter(|text| !text.is_empty());
        Some(Self { by: text("by"), reason: text("reason"), since: text("since").and_then(|text| text.parse().ok()) })
    }

    /// In words: `the installation is halted by jane: REASON`.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = "the installation is halted".to_owned();
        if let Some(by) = &self.by {
            text = format!("{text} by {by}");
        }
        match &self.reason {
            Some(reason) => format!("{text}: {reason}"),
            None => text,
        }
    }
}

/// The key under which stands whether it is halted.
const KEY: &str = "halted";

/// The name of an installation's ConfigMap.
#[must_use]
pub fn object(installation: &str) -> String {
    format!("{installation}-halt")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Option<Halt> {
        let object: ConfigMap = serde_saphyr::from_str(yaml).unwrap();
        Halt::read(Some(&object))
    }

    #[test]
    fn what_is_not_clearly_no_is_a_halt() {
        assert_eq!(Halt::read(None), None);
        assert_eq!(read("data: {}"), None, "nothing is said");
        for no in ["false", "False", " no ", "off", "0"] {
            assert_eq!(read(&format!("data: {{halted: '{no}'}}")), None, "{no}");
        }
        for yes in ["true", "yes", "ture", ""] {
            assert!(read(&format!("data: {{halted: '{yes}'}}")).is_some(), "{yes}");
        }
    }

    #[test]
    fn says_who_and_why_in_one_line() {
        let halt = read("data: {halted: 'true', by: jane, reason: \"wrong\\ncluster\", since: '2026-01-28T20:54:48Z'}");
        let halt = halt.unwrap();
        assert_eq!(halt.sentence(), "the installation is halted by jane: wrong cluster");
        assert_eq!(halt.since.unwrap().to_string(), "2026-01-28T20:54:48Z");
        assert_eq!(Halt::default().sentence(), "the installation is halted");
    }
}
