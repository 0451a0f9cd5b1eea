//! A demo of `subjects/` in a namespace of a test's own: its Subject and its chapters as their files have them.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crds::condition::find;
use crds::demo_chapter::ChapterState;
use crds::{DemoChapter, Incident, Subject};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{Cluster, TempNamespace, root, run, wait_until};

const SOON: Duration = Duration::from_mins(2);

/// A demo that is set up.
pub struct Demo {
    /// Where its Subject and chapters are.
    pub namespace: TempNamespace,
    /// Its name.
    pub name: String,
    folder: PathBuf,
    subject: String,
}

impl Demo {
    /// Heals the system of that folder, and applies its Subject and those of its chapters that are pages of `name`.
    ///
    /// # Panics
    /// When a file is not as it should be, or the Subject is not healthy in time.
    pub async fn set(folder: &str, name: &str) -> Self {
        let namespace = Cluster::connect().await.namespace(name).await;
        let folder = root().join("subjects").join(folder);
        run(folder.join("fault").to_str().unwrap(), &["heal"]);
        let subject = documents(&folder.join("subject.yaml")).remove(0);
        let subject_name = subject["metadata"]["name"].as_str().expect("a name").to_owned();
        namespace.create::<Subject>(&subject_name, &subject["spec"]).await.unwrap();
        let demo = Self { namespace, name: name.to_owned(), folder, subject: subject_name };
        demo.healthy().await;
        for chapter in documents(&demo.folder.join("chapters.yaml")) {
            if chapter["spec"]["demo"] == name {
                let chapter_name = chapter["metadata"]["name"].as_str().expect("a name");
                demo.namespace.create::<DemoChapter>(chapter_name, &chapter["spec"]).await.unwrap();
            }
        }
        for chapter in demo.chapters().await {
            let name = chapter.name_any();
            demo.until(&name, "accepted", |chapter| condition(chapter, "Accepted") == "True").await;
        }
        demo
    }

    /// Its chapters, in their order.
    pub async fn chapters(&self) -> Vec<DemoChapter> {
        let mut chapters = self.namespace.api::<DemoChapter>().list(&ListParams::default()).await.unwrap().items;
        chapters.sort_by_key(|chapter| chapter.spec.order);
        chapters
    }

    /// Its Incidents, in the order in which they were opened.
    pub async fn incidents(&self) -> Vec<Incident> {
        let mut incidents = self.namespace.api::<Incident>().list(&ListParams::default()).await.unwrap().items;
        incidents.sort_by_key(|incident| (incident.metadata.creation_timestamp.clone(), incident.name_any()));
        incidents
    }

    /// Turns to a chapter.
    pub async fn enter(&self, chapter: &str) {
        let entered = self.chapter(chapter).await.spec.entered + 1;
        self.patch(chapter, json!({"entered": entered})).await;
    }

    /// Brings the demo back to its beginning, and waits until it is there.
    pub async fn reset(&self) {
        let first = self.chapters().await.remove(0);
        self.patch(&first.name_any(), json!({"reset": first.spec.reset + 1})).await;
        let name = first.name_any();
        self.until(&name, "reset", |chapter| {
            let status = chapter.status.clone().unwrap_or_default();
            status.reset == chapter.spec.reset && status.state == ChapterState::Idle
        })
        .await;
        // Each has a status of its own.
        for chapter in self.chapters().await {
            self.until(&chapter.name_any(), "idle", |chapter| state(chapter) == ChapterState::Idle).await;
        }
    }

    async fn patch(&self, chapter: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.namespace.api::<DemoChapter>().patch(chapter, &PatchParams::default(), &patch).await.unwrap();
    }

    /// A chapter as it stands.
    pub async fn chapter(&self, name: &str) -> DemoChapter {
        self.namespace.api::<DemoChapter>().get(name).await.unwrap()
    }

    /// Waits until a chapter is as wanted.
    ///
    /// # Panics
    /// When it is not in time: with what it is.
    pub async fn until(&self, name: &str, what: &str, holds: impl Fn(&DemoChapter) -> bool) -> DemoChapter {
        let begun = Instant::now();
        loop {
            let chapter = self.chapter(name).await;
            if holds(&chapter) {
                return chapter;
            }
            if begun.elapsed() > 2 * SOON {
                let subject = self.namespace.api::<Subject>().get(&self.subject).await.unwrap();
                let events = self.namespace.events().await.join("\n  ");
                panic!(
                    "{name}: not {what} within {:?}: {:#?}\n{:#?}\nEvents:\n  {events}",
                    2 * SOON,
                    chapter.status,
                    subject.status
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until all invariants hold.
    pub async fn healthy(&self) {
        wait_until(&format!("{} is healthy", self.subject), SOON, || async {
            let subject = self.namespace.api::<Subject>().get(&self.subject).await.unwrap();
            let conditions = subject.status.map(|status| status.conditions).unwrap_or_default();
            find(&conditions, "Healthy").is_some_and(|healthy| healthy.status == "True")
        })
        .await;
    }

    /// Whether the load flows and every container is well, as the folder's `fault status` has it.
    #[must_use]
    pub fn flows(&self) -> bool {
        Command::new(self.folder.join("fault")).arg("status").output().unwrap().status.success()
    }

    /// Containers that chapters made and that are still there.
    #[must_use]
    pub fn helpers(&self) -> Vec<String> {
        let names = run(
            "docker",
            &[
                "ps",
                "--all",
                "--filter",
                "label=operator.dev/fault",
                "--format",
                "{{.Names}} {{.Label \"operator.dev/subject\"}}",
            ],
        );
        let of = format!(" {}/{}", self.namespace.name, self.subject);
        names.lines().filter(|line| line.ends_with(&of)).map(str::to_owned).collect()
    }

    /// Takes the demo away: nothing that a chapter did may be left.
    ///
    /// # Panics
    /// When something is left.
    pub async fn end(self) {
        self.namespace
            .api::<DemoChapter>()
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await
            .unwrap();
        wait_until("the chapters are gone", SOON, || async { self.chapters().await.is_empty() }).await;
        assert_eq!(self.helpers(), Vec::<String>::new(), "no container of a chapter is left");
        wait_until("the load flows", SOON, || async { self.flows() }).await;
        self.namespace.remove().await;
    }
}

/// The status of a chapter's condition, empty if it is not there.
#[must_use]
pub fn condition(chapter: &DemoChapter, type_: &str) -> String {
    let conditions = chapter.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    find(conditions, type_).map(|one| one.status.clone()).unwrap_or_default()
}

/// Whether what was asked of a chapter last is over: complete, also if it was left since, or failed.
#[must_use]
pub fn is_over(chapter: &DemoChapter) -> bool {
    chapter.status.as_ref().is_some_and(|status| {
        status.entered == chapter.spec.entered
            && (status.completed_at.is_some() || status.state == ChapterState::Failed)
    })
}

/// A chapter's state.
#[must_use]
pub fn state(chapter: &DemoChapter) -> ChapterState {
    chapter.status.as_ref().map(|status| status.state).unwrap_or_default()
}

/// The documents of a YAML file.
fn documents(file: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
