//! What the controller looks at itself: the containers of a project, which an observer has no way to.

use std::sync::Arc;

use crds::probe::Probe;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::MissedTickBehavior;

use super::keep::{Piece, Surveyed};
use super::lines::Heard;
use super::observers::{Observers, Survey};
use crate::probe::docker::{Containers, Looked};

/// One `docker` probe of a Subject.
pub(super) struct Own {
    /// The engine.
    pub(super) observers: Arc<dyn Observers>,
    /// How many look at once.
    pub(super) looking: Arc<Semaphore>,
    /// What stands on the engine.
    pub(super) survey: Surveyed,
    /// The compose project.
    pub(super) project: String,
    /// Where rounds go.
    pub(super) heard: mpsc::Sender<Piece>,
}

impl Own {
    /// Looks at its interval until it is dropped, or nobody hears it. A probe that cannot be run is never read, which is
    /// what its invariants then say.
    pub(super) async fn run(self, probe: Probe) {
        let containers = match Containers::new(&probe) {
            Ok(Some(containers)) => containers,
            Ok(None) => return,
            Err(mistake) => return tracing::info!(probe = probe.name, %mistake, "a probe cannot be run"),
        };
        let mut ticks = tokio::time::interval(containers.interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Of a project that is not there nothing is said: that it has no containers would be a finding.
            if self.is_project_gone() {
                continue;
            }
            let Looked { round, empty } = {
                // It is never closed.
                let _place = self.looking.acquire().await.ok();
                self.observers.containers(&self.project, &containers).await
            };
            if empty && !self.stays().await {
                continue;
            }
            if self.heard.send(Piece::Round(Heard::own(round))).await.is_err() {
                return;
            }
        }
    }

    /// Whether the project is still there after its last container went. `docker compose down` removes the containers
    /// first: what looks in between would take the end of a project for its death. So two further surveys have to know
    /// it: the first may have begun before. One that failed knows nothing, and the next look asks again.
    async fn stays(&self) -> bool {
        let mut survey = self.survey.clone();
        survey.mark_unchanged();
        for _ in 0..2 {
            if survey.changed().await.is_err() {
                return false;
            }
            let knows = |survey: &Survey| survey.projects.contains_key(&self.project);
            if !matches!(&*survey.borrow(), Some(Ok(survey)) if knows(survey)) {
                return false;
            }
        }
        true
    }

    fn is_project_gone(&self) -> bool {
        match &*self.survey.borrow() {
            Some(Ok(survey)) => !survey.projects.contains_key(&self.project),
            _ => false,
        }
    }
}
