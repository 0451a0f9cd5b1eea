//! Sessions: one run of the agent on one attempt of one Incident.
//!
//! A session is a task, not a long reconcile: [`engine`] starts, observes and cancels tasks keyed by
//! (Incident UID, attempt); [`task`] is one of them from its row to the removal of its container,
//! [`adopt`] one that an earlier controller began, `resume` how it is gone on with;
//! [`queue`] says who may start; [`spend`] what models may cost a day; [`sweep`] removes what an earlier
//! controller left on the engine.

pub mod adopt;
pub mod engine;
pub mod id;
pub mod ledger;
pub mod queue;
mod resume;
mod source;
pub mod spend;
pub mod sweep;
pub mod task;
pub mod view;

pub use engine::{Engine, SessionKey};
pub use id::SessionId;
pub use view::SessionView;
