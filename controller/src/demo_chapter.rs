//! The reconciler of `DemoChapter`: pages of a demo, what is done when one is turned to, and the way back.
//!
//! The chapters of a demo are one thing, so a reconcile of one of them only wakes the demo's task ([`player`]), which
//! sees all of them ([`world`]), says which can be played ([`validate`], pure), decides the next step over what is on
//! record ([`plan`](mod@plan), pure), does it ([`apply`]), and writes what their statuses say ([`status`](mod@status),
//! pure). [`record`] is what is on record and what follows from it, [`store`] keeps it, `wait_for` judges what a chapter
//! waits for, `raised` says when one was raised, [`stage`] has the tasks, and [`scopes`] the controllers.
//!
//! Who works on an Incident sees none of this: not the chapters, not the record, not the helpers.

pub mod apply;
pub mod plan;
pub mod player;
pub mod raised;
pub mod record;
pub mod scopes;
pub mod stage;
pub mod status;
pub mod store;
#[cfg(test)]
mod tests;
pub mod validate;
pub mod wait_for;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use crds::{DemoChapter, names};
use jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::finalizer::{Event, finalizer};
use kube::{Resource, ResourceExt};

use crate::leader::NotLeading;
use record::DemoRef;
use stage::Stage;

/// A chapter looks again after this long, should an event be lost.
const LOOK_AGAIN: Duration = Duration::from_mins(5);
/// After this long a deleted demo's chapters go, and what it did is taken back later, from the record.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why a reconcile failed. It is tried again with a back-off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The finalizer could not be set or removed.
    #[error("the finalizer: {0}")]
    Finalizer(String),
    /// It is another controller's to reconcile.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// Not an error: what the demo did is not taken back yet.
    #[error("what the demo did is not taken back yet")]
    StillThere,
}

impl Error {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Finalizer(_) => "finalizer",
            Self::NotLeading(error) => error.category(),
            Self::StillThere => "still_there",
        }
    }
}

/// The demo of a chapter.
#[must_use]
pub fn demo_of(chapter: &DemoChapter) -> DemoRef {
    DemoRef { namespace: chapter.namespace().unwrap_or_default(), demo: chapter.spec.demo.clone() }
}

/// Reconciles one chapter.
pub async fn reconcile(chapter: Arc<DemoChapter>, stage: Arc<Stage>) -> Result<Action, Error> {
    if !stage.context.serves(chapter.meta()) {
        return Ok(Action::await_change());
    }
    stage.context.leadership.check()?;
    let held = chapter.finalizers().iter().any(|name| name == names::DEMO_FINALIZER);
    if held && chapter.meta().deletion_timestamp.is_none() {
        stage.wake(&demo_of(&chapter));
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    let api: Api<DemoChapter> = Api::namespaced(stage.context.client.clone(), &chapter.namespace().unwrap_or_default());
    finalizer(&api, names::DEMO_FINALIZER, chapter, |event| async {
        match event {
            Event::Apply(chapter) => {
                stage.wake(&demo_of(&chapter));
                Ok(Action::requeue(LOOK_AGAIN))
            }
            Event::Cleanup(chapter) => cleanup(&chapter, &stage).await,
        }
    })
    .await
    .or_else(|error| match error {
        kube::runtime::finalizer::Error::ApplyFailed(error) => Err(error),
        kube::runtime::finalizer::Error::CleanupFailed(Error::StillThere) => {
            Ok(Action::requeue(Duration::from_millis(500)))
        }
        error => Err(Error::Finalizer(crate::error::chain(&error))),
    })
}

/// Lets a deleted chapter go: at once if others of the demo stay, else once what the demo did is taken back. Never later
/// than its patience: the record has what is to be taken back, and needs no chapter for it.
async fn cleanup(chapter: &DemoChapter, stage: &Stage) -> Result<Action, Error> {
    let demo = demo_of(chapter);
    if !stage.is_gone(&demo) {
        stage.wake(&demo);
    }
    let stays = |other: &Arc<DemoChapter>| {
        demo_of(other) == demo && other.metadata.deletion_timestamp.is_none() && stage.context.serves(&other.metadata)
    };
    let last = !stage.chapters.state().iter().any(stays);
    if last && !stage.is_gone(&demo) {
        if waited(chapter) < PATIENCE {
            return Err(Error::StillThere);
        }
        let note = format!("what the demo did could not be taken back within {PATIENCE:?}; that goes on without it");
        stage.context.events.warning(chapter, "CleanupDeferred", "Delete", &note).await;
    }
    stage.context.leadership.check()?;
    Ok(Action::await_change())
}

fn waited(chapter: &DemoChapter) -> Duration {
    let since = chapter.metadata.deletion_timestamp.as_ref().map_or(Timestamp::now(), |time| time.0);
    Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default()
}

/// What to do after an error: the controller's stream reports it once, here only the time is set.
#[must_use]
pub fn error_policy(_: Arc<DemoChapter>, _: &Error, _: Arc<Stage>) -> Action {
    Action::requeue(Duration::from_secs(5))
}
