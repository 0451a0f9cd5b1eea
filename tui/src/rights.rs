//! What may be done: what the API server would refuse is not offered.

use serde::{Deserialize, Serialize};

/// Something that needs a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Right {
    /// Cancel, retry, note.
    PatchIncidents,
    /// Turning a demo's pages.
    PatchChapters,
    /// Reading sessions through the controller's pod.
    PortForward,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PatchIncidents, Self::PatchChapters, Self::PortForward];

    /// Whether it changes something.
    #[must_use]
    pub fn changes(self) -> bool {
        self != Self::PortForward
    }
}

/// What is known of the person's rights. What is not known yet counts as granted: the API server has the last word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Nothing may be changed, whatever the API server says.
    pub read_only: bool,
    denied: Vec<Right>,
}

impl Rights {
    /// None is denied.
    #[must_use]
    pub fn new(read_only: bool) -> Self {
        Self { read_only, denied: Vec::new() }
    }

    /// Notes what the API server said.
    pub fn set(&mut self, right: Right, granted: bool) {
        self.denied.retain(|denied| *denied != right);
        if !granted {
            self.denied.push(right);
        }
    }

    /// Whether it may be done.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        !(self.denied.contains(&right) || self.read_only && right.changes())
    }

    /// Whether anything may be changed: `rw` or `ro` in the header.
    #[must_use]
    pub fn writable(&self) -> bool {
        Right::ALL.into_iter().any(|right| right.changes() && self.may(right))
    }
}
