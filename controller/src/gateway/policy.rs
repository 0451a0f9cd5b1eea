//! What a session may do through its gateway. Given to the gateway when it is started, and fixed.

use serde::{Deserialize, Serialize};

/// Whether the agent may change anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// It may repair.
    #[default]
    Act,
    /// It may only look: every change is refused.
    Observe,
}

/// What a session may do through its gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// The compose project: what carries its label is the subject's.
    pub project: String,
    /// Whether it may change anything.
    #[serde(default)]
    pub mode: Mode,
    /// Whether containers that would give the host away are open to exec, cp and start.
    #[serde(default)]
    pub trust_host_access: bool,
    /// Whether volumes may be removed.
    #[serde(default)]
    pub destructive: bool,
}
