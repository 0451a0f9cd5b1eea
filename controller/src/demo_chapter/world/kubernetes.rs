//! The real one. Everything that changes something asks first whether this process still leads.

use std::sync::Arc;

use async_trait::async_trait;
use crds::demo_chapter::DemoChapterStatus;
use crds::names::FIELD_MANAGER;
use crds::{DemoChapter, Incident, Subject};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::cel::cel::Value;
use kube::runtime::reflector::ObjectRef;
use serde_json::json;

use super::{Seen, World};
use crate::context::Context;
use crate::demo_chapter::record::DemoRef;
use crate::demo_chapter::validate::{Found, validate};
use crate::error::chain;
use crate::invariant::{Compiled, Judge};
use crate::monitor::bench::{Bench, Done};
use crate::monitor::kubernetes::within;
use crate::scope::Stores;
use crate::status::{Urgency, Written};

/// The cluster.
pub struct Kubernetes {
    context: Arc<Context>,
    chapters: Stores<DemoChapter>,
    bench: Bench,
}

impl Kubernetes {
    /// With the chapters of this cache.
    #[must_use]
    pub fn new(context: Arc<Context>, chapters: Stores<DemoChapter>) -> Self {
        Self { context, chapters, bench: Bench::default() }
    }

    fn leads(&self) -> Result<(), String> {
        self.context.leadership.check().map_err(|error| error.to_string())
    }

    fn subject(&self, namespace: &str, name: &str) -> Option<Arc<Subject>> {
        self.context.subjects.get(&ObjectRef::new(name).within(namespace))
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}

#[async_trait]
impl World for Kubernetes {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn epoch(&self) -> Result<i64, String> {
        self.leads().map(|()| self.context.leadership.number())
    }

    fn see(&self, demo: &DemoRef) -> Seen {
        let ours = |chapter: &Arc<DemoChapter>| {
            chapter.namespace().as_deref() == Some(&demo.namespace)
                && chapter.spec.demo == demo.demo
                && chapter.metadata.deletion_timestamp.is_none()
                && self.context.serves(&chapter.metadata)
        };
        let chapters: Vec<_> = self.chapters.state().into_iter().filter(ours).collect();
        let first = chapters.iter().min_by_key(|chapter| (chapter.spec.order, chapter.name_any()));
        let name = first.map(|chapter| chapter.spec.subject_ref.name.clone()).unwrap_or_default();
        let subject = self.subject(&demo.namespace, &name).filter(|subject| self.context.serves(&subject.metadata));
        let found = subject.clone().map_or(Found::Missing, Found::Subject);
        let (chapters, scene) = validate(chapters, &found, &self.context.defaults.config.tenants);
        Seen {
            incidents: self.context.incidents_of(&demo.namespace, &name),
            chapters,
            scene,
            subject,
            halted: self.context.halted().is_some(),
            model: self.context.defaults.model.clone(),
        }
    }

    async fn probes(&self, demo: &DemoRef, subject: &str) -> Value {
        let nothing = || crate::cel::map([]);
        let object = ObjectRef::<Subject>::new(subject).within(&demo.namespace);
        let (Some(subject), Some(watched)) = (self.subject(&demo.namespace, subject), self.context.watch.of(&object))
        else {
            return nothing();
        };
        let (rounds, _) = watched.rounds();
        let now = self.now();
        let read = move || {
            let (compiled, _) = Compiled::new(&subject.spec);
            let mut judge = Judge::new(Arc::new(compiled));
            for round in rounds.iter().filter_map(|round| serde_json::from_str(round).ok()) {
                judge.read(&round);
            }
            judge.probes(now)
        };
        match self.bench.work(read).await {
            Done::Yes(probes, _) => probes,
            Done::Late(_) | Done::Broke => nothing(),
        }
    }

    async fn cancel(&self, incident: &Incident) -> Result<(), String> {
        self.leads()?;
        let namespace = incident.namespace().unwrap_or_default();
        let api: Api<Incident> = Api::namespaced(self.context.client.clone(), &namespace);
        let patch = json!({"metadata": {"uid": incident.uid()}, "spec": {"cancel": incident.spec.attempt}});
        match within(api.patch(&incident.name_any(), &params(), &Patch::Merge(&patch))).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => {
                Err(format!("the Incident {} could not be cancelled: {}", incident.name_any(), chain(&error)))
            }
        }
    }

    async fn delete(&self, incident: &Incident) -> Result<(), String> {
        self.leads()?;
        let namespace = incident.namespace().unwrap_or_default();
        let api: Api<Incident> = Api::namespaced(self.context.client.clone(), &namespace);
        let seen = Preconditions { uid: incident.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
        match within(api.delete(&incident.name_any(), &params)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(format!("the Incident {} could not be deleted: {}", incident.name_any(), chain(&error))),
        }
    }

    async fn raise(&self, chapter: &DemoChapter) -> Result<(), String> {
        self.leads()?;
        let namespace = chapter.namespace().unwrap_or_default();
        let api: Api<DemoChapter> = Api::namespaced(self.context.client.clone(), &namespace);
        // As it was seen: it is raised once.
        let patch = json!({
            "metadata": {"resourceVersion": chapter.resource_version()},
            "spec": {"entered": chapter.spec.entered.saturating_add(1)},
        });
        match within(api.patch(&chapter.name_any(), &params(), &Patch::Merge(&patch))).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(format!("the chapter {} could not be entered: {}", chapter.name_any(), chain(&error))),
        }
    }

    async fn write(
        &self,
        chapter: &DemoChapter,
        status: &DemoChapterStatus,
        urgency: Urgency,
    ) -> Result<Written, String> {
        self.context.status.write(chapter, status, urgency).await.map_err(|error| chain(&error))
    }

    async fn tell(&self, chapter: &DemoChapter, is_well: bool, reason: &str, note: &str) {
        if is_well {
            self.context.events.normal(chapter, reason, "Demo", note).await;
        } else {
            self.context.events.warning(chapter, reason, "Demo", note).await;
        }
    }
}
