//! What a chapter of a demo does to the containers of its Subject, and how that is taken back.
//!
//! An [`Action`](crds::fault::Action) says what is wanted; [`plan()`] makes of it what exactly is to be done, to which
//! containers, and how it is undone. A [`Plan`] is written down before anything is done, so whoever leads next finds out
//! what came of it ([`Faults::outcome`]) and takes it back ([`Faults::undo`]), whatever became of the controller that
//! did it.
//!
//! Signals, stops and starts are calls of the engine, and the container's own state says afterwards whether they
//! arrived. Commands, requests and changes of the network run in a helper container with a name made from the
//! [`Key`]: there can be only one of that name, so they run once, and their end can be read for as long as the helper
//! stands. Helpers stand until [`Faults::sweep`] is told that nobody asks for them any more.
//!
//! * `key`: which action of which entering; `view`: what is known of a project's containers;
//! * `plan`: what is to be done; `resolve`: to which container; `decide`: the way from an action to it;
//!   `says`: in words;
//! * `job`: what a helper of our own image is told to do, and `work` what it does there;
//! * `fake`: an engine for tests.
//!
//! The real part is [`crate::sandbox::docker::DockerProvider`].

use async_trait::async_trait;

mod decide;
pub mod fake;
pub mod job;
pub mod key;
pub mod plan;
mod resolve;
mod says;
pub mod view;
pub mod work;

pub use decide::{check, plan};
pub use key::{Key, Phase};
pub use plan::{Plan, Resolved, Undo, Verb};
pub use says::says;
pub use view::{ContainerView, ProjectView};

/// Why an action cannot be done as it is written, or not to this project as it is now: a sentence that says where and
/// what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mistake(pub String);

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The engine does not answer, or this controller does not lead any more. Nothing is known of what came of it: ask
    /// for the outcome later, and act again only if it was not begun.
    #[error("the Docker engine is unavailable: {0}")]
    Unavailable(String),
    /// It did not work, and will not by being tried again. Nothing was changed, or the sentence says what.
    #[error("{0}")]
    Failed(String),
}

/// What is said of an action that is done: `answered 200 (20 times)`, the last words of a command, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// One line, fit to be printed.
    pub words: String,
}

/// What came of an action that may have been begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; a detached `run` is as soon as it runs.
    Done(Done),
    /// It did not work.
    Failed(String),
    /// It was not begun, or so little of it that it can be begun again without harm.
    NotBegun,
    /// It is being done. Ask again: it has a time limit, which is kept by whoever asks.
    Running,
    /// It may have been done, and cannot be done again without harm. In words.
    Unknown(String),
}

/// Does things to projects, and takes them back. Every call is bounded in time.
#[async_trait]
pub trait Faults: Send + Sync {
    /// What there is of a compose project.
    async fn look(&self, project: &str) -> Result<ProjectView, Error>;

    /// Does it, once, to its end (a detached `run`: until it runs). Called again with the same key it goes on with the
    /// helper that stands already. After [`Error::Unavailable`], and after a crash, ask [`Faults::outcome`] first.
    async fn act(&self, key: &Key, plan: &Plan) -> Result<Done, Error>;

    /// What came of it. Nothing is begun here.
    async fn outcome(&self, key: &Key, plan: &Plan) -> Result<Outcome, Error>;

    /// Takes it back, whether or not it was begun. What is back already, or has gone, is fine. A container that was
    /// made anew meanwhile is found by its service.
    async fn undo(&self, key: &Key, plan: &Plan) -> Result<(), Error>;

    /// Removes this installation's helpers but for those of `keep`; those of one project if it is said. Returns how many
    /// went. Keep what is begun and has no end on record, and what is done and is still to be undone: a detached `run`
    /// goes on for as long as it is kept.
    async fn sweep(&self, project: Option<&str>, keep: &[Key]) -> Result<usize, Error>;
}
