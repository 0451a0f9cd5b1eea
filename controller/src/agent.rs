//! The agent: one model turn after another, until it concludes or must stop.
//!
//! [`run`] is the whole of it: it writes the session's first entry, its last, and every step before
//! it is taken. What it needs are peers behind traits ([`AgentDeps`]); what it decides on is frozen
//! in its first entry ([`SessionInput`]), so that a later version can rebuild the session from its
//! rows. Nothing here knows Docker, Postgres or Kubernetes.
//!
//! * [`prompt`] and [`tools`]: what the model is told; [`present`]: what it sees of a result, inside of a
//!   [`fence`]; [`compact`]: which old results leave the conversation;
//! * [`transcript`]: entries → conversation; [`state`]: entries → where the session stands; [`step`]: from
//!   there to what is next; `claim`: what follows from the agent's word; [`frozen`]: what it is bound to. All of it
//!   pure;
//! * `driver`, `turn` and `act`: the loop, which takes these steps; `execute`: one command; [`mod@resume`]: what
//!   comes before the first step of a session that an earlier controller left; [`orders`], [`notes`] and `stand_by`:
//!   what people order meanwhile; [`verify`] and `prove`: looking for itself whether the fault is gone;
//! * [`budget`]: what may still be spent; [`summary`]: short summaries, off the critical path.

mod act;
pub mod budget;
mod claim;
pub mod compact;
mod driver;
pub mod end;
mod execute;
pub mod fence;
pub mod frozen;
pub mod input;
pub mod notes;
pub mod orders;
pub mod present;
pub mod progress;
pub mod prompt;
mod prove;
pub mod resume;
pub mod sandboxes;
mod stand_by;
pub mod state;
pub mod step;
pub mod summary;
pub mod tools;
pub mod trail;
pub mod transcript;
mod turn;
pub mod verify;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use budget::Budgets;
pub use end::{Findings, SessionEnd};
pub use input::{DockerAccess, IncidentBrief, Recurring, SessionInput, SubjectBrief};
pub use orders::{Aftermath, Brake, Orders, StillRuns};
pub use progress::{LastCheck, Progress, ProgressLine, RunningCommand};
pub use resume::{Left, NotResumable};
pub use sandboxes::{SandboxSource, Wanted};
pub use summary::Summariser;
pub use trail::{Trail, TrailError};
pub use verify::{Proving, Verifier};

use crate::model::Model;
use crate::redact::Redactor;
use driver::Course;
use frozen::Frozen;
use state::State;

/// The peers of one session.
pub struct AgentDeps {
    /// The session's writer. Its `record` commits before it returns.
    pub recorder: Arc<dyn Trail>,
    /// The model that works.
    pub model: Arc<dyn Model>,
    /// The small model for summaries, if there is one.
    pub summariser: Option<Summariser>,
    /// Where the container comes from. It is asked for while the first turn runs, and awaited
    /// before the first command.
    pub sandbox: Arc<dyn SandboxSource>,
    /// What masks secrets in what comes in.
    pub redactor: Redactor,
    /// Where the session's progress goes.
    pub progress: watch::Sender<Progress>,
    /// What people order meanwhile.
    pub orders: Orders,
    /// What sees whether the system is well again.
    pub verifier: Arc<dyn Verifier>,
}

/// Runs a session from its first entry to its last.
///
/// It ends by itself at the wall time of its budgets, and soon (a kill of the running command away)
/// after `cancel`. Once the trail cannot be written nothing runs any more, and the end is
/// [`SessionEnd::Failed`] with the reason `AuditUnavailable`. Dropping the future stops the loop but
/// kills no command; the caller removes the container in every case.
pub async fn run(deps: AgentDeps, input: SessionInput, cancel: CancellationToken) -> SessionEnd {
    let mut input = input.masked(&deps.redactor);
    input.proving.provable |= deps.verifier.can_prove();
    let first = Frozen::first_entry(&input, &fence::Fence::new(deps.redactor.boundary()));
    match Frozen::read(&first) {
        Ok(frozen) => {
            let course = Course {
                session: input.session,
                frozen,
                first: Some(Box::new(first)),
                state: State::default(),
                summaries: HashMap::new(),
            };
            driver::run(deps, course, cancel).await
        }
        Err(error) => SessionEnd::Failed { reason: "NotResumable".to_owned(), message: error.to_string() },
    }
}

/// Goes on with a session that an earlier controller left, from wherever it stands to its last entry.
///
/// No command that is on record is started here: what became of it is asked, and said. A session whose last
/// entry stands has its end given back. `deps.recorder` must write behind the last entry, and `deps.progress`
/// begin with [`Left::progress`].
pub async fn resume(deps: AgentDeps, left: Left, cancel: CancellationToken) -> SessionEnd {
    driver::run(deps, left.course(), cancel).await
}
