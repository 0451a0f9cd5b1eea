//! What a demo needs of the cluster and of the monitor: one trait, the real one, and a fake for tests.

mod kubernetes;

use std::sync::Arc;

use async_trait::async_trait;
use crds::demo_chapter::DemoChapterStatus;
use crds::{DemoChapter, Incident, Subject};
use jiff::Timestamp;
use kube::core::cel::cel::Value;

use super::record::DemoRef;
use super::validate::{Chapter, Scene};
use crate::status::{Urgency, Written};

pub use kubernetes::Kubernetes;

/// A demo as the cluster has it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its chapters that are not being deleted, in their order.
    pub chapters: Vec<Chapter>,
    /// Where it plays.
    pub scene: Scene,
    /// The Subject, if it is there.
    pub subject: Option<Arc<Subject>>,
    /// The Subject's Incidents.
    pub incidents: Vec<Arc<Incident>>,
    /// Whether the installation is halted.
    pub halted: bool,
    /// The model that plays.
    pub model: String,
}

impl Seen {
    /// Whether the Subject is well; nothing if nobody says.
    #[must_use]
    pub fn healthy(&self) -> Option<bool> {
        let status = self.subject.as_ref()?.status.as_ref()?;
        crds::condition::find(&status.conditions, "Healthy").map(|condition| condition.status == "True")
    }
}

/// The cluster, as far as a demo needs it. An error is a sentence, and the same is tried again.
#[async_trait]
pub trait World: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Whether this process still leads, and under which epoch.
    fn epoch(&self) -> Result<i64, String>;

    /// The demo.
    fn see(&self, demo: &DemoRef) -> Seen;

    /// What the Subject's probes read last, as its invariants see it.
    async fn probes(&self, demo: &DemoRef, subject: &str) -> Value;

    /// Cancels the attempt of an Incident.
    async fn cancel(&self, incident: &Incident) -> Result<(), String>;

    /// Deletes an Incident that has ended.
    async fn delete(&self, incident: &Incident) -> Result<(), String>;

    /// Raises a chapter, unless it was changed since it was seen.
    async fn raise(&self, chapter: &DemoChapter) -> Result<(), String>;

    /// Writes a status that differs from the one that stands there.
    async fn write(
        &self,
        chapter: &DemoChapter,
        status: &DemoChapterStatus,
        urgency: Urgency,
    ) -> Result<Written, String>;

    /// Says something of a chapter, for `kubectl describe`.
    async fn tell(&self, chapter: &DemoChapter, is_well: bool, reason: &str, note: &str);
}
