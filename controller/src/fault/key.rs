//! Which action of which entering: what its helper is called.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::audit::proof::hex;

/// An action that is done once. All but the epoch make the name of its helper, together with the installation: whoever
/// leads next finds the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// `namespace/name` of the Subject.
    pub subject: String,
    /// The compose project.
    pub project: String,
    /// The demo.
    pub demo: String,
    /// The chapter's name.
    pub chapter: String,
    /// Which time: the value of `spec.entered`, or of `spec.reset` for what is done at a reset.
    pub entered: i64,
    /// For what.
    pub phase: Phase,
    /// The action's place in its list.
    pub index: usize,
    /// The epoch of the controller that put it on record.
    pub epoch: i64,
}

/// For what an action is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// One of the chapter's actions.
    Act,
    /// One of what is done at a reset.
    Restore,
}

impl Key {
    /// 16 hexadecimal digits that are this key's, and no other's in any installation.
    #[must_use]
    pub fn hash(&self, installation: &str) -> String {
        let phase = match self.phase {
            Phase::Act => "act",
            Phase::Restore => "restore",
        };
        let parts = [installation, &self.subject, &self.project, &self.demo, &self.chapter, phase];
        let hash = Sha256::digest(format!("{}\n{}\n{}", parts.join("\n"), self.entered, self.index));
        hex::encode(&hash[..8])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, chapter, entered, phase, index, .. } = self;
        let phase = if *phase == Phase::Act { "actions" } else { "restore" };
        write!(f, "{subject} {chapter} #{entered} {phase}[{index}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_all_that_makes_it_another_action_and_not_of_who_does_it() {
        let key = Key {
            subject: "default/shop".into(),
            project: "shop".into(),
            demo: "shop".into(),
            chapter: "chaos".into(),
            entered: 2,
            phase: Phase::Act,
            index: 1,
            epoch: 7,
        };
        let name = key.hash("test");
        assert_eq!((name.len(), key.to_string().as_str()), (16, "default/shop chaos #2 actions[1]"));
        assert_eq!(Key { epoch: 8, ..key.clone() }.hash("test"), name, "who leads next finds it");
        let others = [
            Key { entered: 3, ..key.clone() },
            Key { phase: Phase::Restore, ..key.clone() },
            Key { index: 0, ..key.clone() },
            Key { chapter: "load".into(), ..key.clone() },
            Key { subject: "other/shop".into(), ..key.clone() },
        ];
        assert!(others.iter().all(|other| other.hash("test") != name) && key.hash("other") != name);
    }
}
