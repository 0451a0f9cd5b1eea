//! Sessions: one run of the agent on one attempt of one Incident.
//!
//! A session is a task, not a long reconcile: [`engine`] starts, observes and cancels tasks keyed by
//! (Incident UID, attempt); [`task`] is one of them from its row to the removal of its container,
//! [`adopt`] one that an earlier controller began, `resume` how it is gone on with; [`brake`] stops it from outside,
//! [`earlier`] tells it what earlier attempts left, [`recurrence`] that the same fault was there before;
//! [`queue`] says who may start and [`dispatch`] keeps it in order; [`spend`] what models may cost a day; [`sweep`]
//! removes what an earlier controller left on the engine.

pub mod adopt;
pub mod brake;
pub mod dispatch;
pub mod earlier;
pub mod engine;
pub mod execs;
pub mod ledger;
pub mod queue;
pub mod recurrence;
mod resume;
mod source;
pub mod spend;
pub mod sweep;
pub mod task;
pub mod view;

pub use audit_client::session::SessionId;
pub use engine::{Engine, SessionKey};
pub use view::SessionView;
