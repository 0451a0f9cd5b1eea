//! Whether the system is healthy again, as something other than the agent sees it.
//!
//! The agent's word is not enough: what it says is checked on fresh readings. Where these come from the loop does not
//! know; it asks a [`Verifier`], and puts on record what that says.

pub mod fake;

use std::time::Duration;

use async_trait::async_trait;
use crds::incident::Violated;
use serde::{Deserialize, Serialize};

/// What looks at the system for one session.
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Whether there is anything that can prove: a Subject without invariants has none.
    fn can_prove(&self) -> bool;

    /// Watches readings that begin from now on, through the stabilization window (the caller has the agent's container
    /// paused). Ends early at a violation. Bounded by itself: readings that do not come are [`Verdict::Unknown`].
    ///
    /// May be dropped at any moment, and asked again.
    async fn verify(&self, request: &Verification) -> Verdict;

    /// Resolves once all invariants hold again, of those that did not when this was called; never where nothing can be
    /// said. Used to tell the agent, once.
    ///
    /// May be dropped at any moment, and called again.
    async fn healed(&self);
}

/// What is asked of a [`Verifier`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Which time it is in this session, from 1.
    pub attempt: u32,
    /// For how long all invariants have to hold.
    pub stabilization: Duration,
    /// What was violated when the Incident was opened: each has to be there and hold. A key that vanished is violated.
    pub must: Vec<Violated>,
}

/// What a [`Verifier`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All invariants held, seen fresh, from the beginning of the window to its end.
    Holds {
        /// How long that was.
        window: Duration,
        /// How many rounds of readings were seen in it.
        seen: u64,
    },
    /// Something is violated, whether it was when the Incident was opened or not.
    Violated {
        /// What. Not empty.
        what: Vec<Finding>,
    },
    /// Nobody can say: readings did not come, or cannot be judged.
    Unknown {
        /// What of, and why. Not empty.
        why: Vec<Finding>,
    },
}

/// What was seen of an invariant, or of one key of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The invariant; empty where it is about none of them (the observer is gone).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub invariant: String,
    /// The key; empty for an invariant without `forEach`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What is violated, or why nobody can say.
    pub message: String,
}

/// Looks at nothing: for a Subject without invariants.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoInvariants;

#[async_trait]
impl Verifier for NoInvariants {
    fn can_prove(&self) -> bool {
        false
    }

    async fn verify(&self, _request: &Verification) -> Verdict {
        let message = "the Subject has no invariants that could be looked at".to_owned();
        Verdict::Unknown { why: vec![Finding { message, ..Finding::default() }] }
    }

    async fn healed(&self) {
        std::future::pending().await
    }
}
