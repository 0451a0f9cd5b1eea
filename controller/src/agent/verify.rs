//! Whether the system is healthy again, as something other than the agent sees it.
//!
//! The agent's word is not enough: what it says is checked on fresh readings. Where these come from the loop does not
//! know; it asks a [`Verifier`], and puts on record what that says. How it asks stands in the session's first entry
//! ([`Proving`]).

pub mod fake;

use std::time::Duration;

use async_trait::async_trait;
use crds::incident::Violated;
use serde::{Deserialize, Serialize};

pub use crate::audit::entry::Finding;

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

    /// Resolves once all invariants hold, on readings that are not stale. Asked only of a session whose Incident was
    /// opened because one did not, to tell the agent once that it is over.
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

/// How it is proven that the Incident of a session is over. Frozen in its first entry, so that a later controller asks
/// for the same, whatever became of the Subject meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Proving {
    /// Whether there is anything that can prove it.
    pub provable: bool,
    /// For how long all invariants have to hold, in milliseconds.
    pub stabilization_ms: u64,
    /// How often the agent may say that the fault is gone.
    pub attempts: u32,
    /// What was violated when the Incident was opened.
    pub must: Vec<Violated>,
}

impl Default for Proving {
    fn default() -> Self {
        Self { provable: false, stabilization_ms: 15_000, attempts: 3, must: Vec::new() }
    }
}

impl Proving {
    /// For how long all invariants have to hold.
    #[must_use]
    pub fn stabilization(&self) -> Duration {
        Duration::from_millis(self.stabilization_ms)
    }

    /// How long all checks of a session may take together, with the wait for readings.
    #[must_use]
    pub fn longest(&self) -> Duration {
        if self.provable { (self.stabilization() + PATIENCE) * self.attempts } else { Duration::ZERO }
    }
}

/// How long readings are waited for, besides the time for which the invariants have to hold.
pub const PATIENCE: Duration = Duration::from_mins(1);

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
        std::future::pending::<()>().await;
    }
}
