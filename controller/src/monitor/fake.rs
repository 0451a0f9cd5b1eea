//! An engine and a cluster for tests of the monitor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use crds::{Incident, Subject};
use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::known::Known;
use super::observers::{Found, ObserverSpec, Observers, Said, Standing, Survey, Words};
use super::order::Order;
use super::outside::{News, Opened, Outside};
use super::words::Joined;
use crate::alert::desk::Directory;
use crate::probe::docker::{Containers, Looked};
use crate::probe::{Reading, Round};
use crate::sandbox::SandboxError;
use crate::sandbox::dial::Condition;

/// An engine on which observers say what a test has them say.
#[derive(Clone, Default)]
pub struct FakeEngine(Arc<Mutex<Engine>>);

#[derive(Default)]
struct Engine {
    projects: BTreeSet<String>,
    observers: BTreeMap<String, Observer>,
    docker: Value,
    refuses: Option<SandboxError>,
    starts: usize,
}

struct Observer {
    spec: ObserverSpec,
    started: Timestamp,
    runs: bool,
    last_words: String,
    log: Vec<(Timestamp, String)>,
    followers: Vec<mpsc::UnboundedSender<Result<Said, SandboxError>>>,
}

impl FakeEngine {
    /// With these projects.
    #[must_use]
    pub fn with(projects: &[&str]) -> Self {
        let engine = Self::default();
        engine.all().projects = projects.iter().map(|&name| name.to_owned()).collect();
        engine
    }

    /// A project comes, or goes.
    pub fn project(&self, name: &str, is_there: bool) {
        let mut engine = self.all();
        if is_there {
            engine.projects.insert(name.to_owned());
        } else {
            engine.projects.remove(name);
        }
    }

    /// What `docker` probes read from now on.
    pub fn docker(&self, value: Value) {
        self.all().docker = value;
    }

    /// Observers cannot be made from now on, or can.
    pub fn refuse(&self, error: Option<SandboxError>) {
        self.all().refuses = error;
    }

    /// The observers of a Subject write this line.
    pub fn say(&self, uid: &str, line: &str) {
        let now = Timestamp::now();
        for observer in self.all().observers.values_mut().filter(|observer| observer.runs && observer.spec.uid == uid) {
            observer.log.push((now, line.to_owned()));
            let said = || Ok(Said::Out(format!("{line}\n").into()));
            observer.followers.retain(|follower| follower.send(said()).is_ok());
        }
    }

    /// The observers of a Subject write a round that began just now.
    pub fn round(&self, uid: &str, probe: &str, readings: &[(&str, Reading)]) {
        let readings = readings.iter().map(|(target, reading)| ((*target).to_owned(), reading.clone())).collect();
        let round = Round { probe: probe.to_owned(), at: Timestamp::now(), readings };
        self.say(uid, &serde_json::to_string(&round).unwrap_or_default());
    }

    /// The observers of a Subject die.
    pub fn die(&self, uid: &str, last_words: &str) {
        for observer in self.all().observers.values_mut().filter(|observer| observer.spec.uid == uid) {
            observer.runs = false;
            last_words.clone_into(&mut observer.last_words);
            observer.followers.clear();
        }
    }

    /// Names of the observers that stand there.
    #[must_use]
    pub fn observers(&self) -> Vec<String> {
        self.all().observers.keys().cloned().collect()
    }

    /// How often an observer was started.
    #[must_use]
    pub fn starts(&self) -> usize {
        self.all().starts
    }

    fn all(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(spec: &ObserverSpec) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    spec.probes.hash(&mut hasher);
    format!("operator-observer-{}-{:08x}", spec.uid, hasher.finish())
}

#[async_trait]
impl Observers for FakeEngine {
    async fn survey(&self) -> Result<Survey, SandboxError> {
        let engine = self.all();
        let found = |(name, observer): (&String, &Observer)| Found {
            name: name.clone(),
            uid: observer.spec.uid.clone(),
            subject: observer.spec.subject.clone(),
        };
        Ok(Survey {
            projects: engine.projects.iter().map(|name| (name.clone(), 1)).collect(),
            observers: engine.observers.iter().map(found).collect(),
        })
    }

    async fn ensure(&self, spec: &ObserverSpec) -> Result<Standing, SandboxError> {
        let mut engine = self.all();
        if let Some(error) = engine.refuses.clone() {
            return Err(error);
        }
        if !engine.projects.contains(&spec.project) {
            return Err(SandboxError::ProjectNotRunning { project: spec.project.clone() });
        }
        let wanted = name(spec);
        engine.observers.retain(|name, observer| observer.spec.uid != spec.uid || *name == wanted);
        let now = Timestamp::now();
        let observer = engine.observers.entry(wanted.clone()).or_insert_with(|| Observer {
            spec: spec.clone(),
            started: now,
            runs: false,
            last_words: String::new(),
            log: Vec::new(),
            followers: Vec::new(),
        });
        let starts = !std::mem::replace(&mut observer.runs, true);
        if starts {
            observer.started = now;
        }
        let started_at = Some(observer.started);
        engine.starts += usize::from(starts);
        Ok(Standing { name: wanted, started_at })
    }

    async fn follow(&self, container: &str, since: Timestamp) -> Result<Words, SandboxError> {
        let mut engine = self.all();
        let Some(observer) = engine.observers.get_mut(container).filter(|observer| observer.runs) else {
            return Ok(stream::empty().boxed());
        };
        let (sender, words) = mpsc::unbounded_channel();
        for (_, line) in observer.log.iter().filter(|(at, _)| at.as_second() >= since.as_second()) {
            // The receiver is there.
            let _ = sender.send(Ok(Said::Out(format!("{line}\n").into())));
        }
        observer.followers.push(sender);
        Ok(UnboundedReceiverStream::new(words).boxed())
    }

    async fn look(&self, container: &str) -> (Condition, String) {
        match self.all().observers.get(container) {
            Some(observer) if observer.runs => (Condition::Running, String::new()),
            Some(observer) => {
                (Condition::Gone("the container ended with exit code 1".into()), observer.last_words.clone())
            }
            None => (Condition::Gone("the container was removed".into()), String::new()),
        }
    }

    async fn remove(&self, container: &str) -> Result<(), SandboxError> {
        self.all().observers.remove(container);
        Ok(())
    }

    async fn remove_all(&self, uid: &str) -> Result<(), SandboxError> {
        self.all().observers.retain(|_, observer| observer.spec.uid != uid);
        Ok(())
    }

    async fn containers(&self, _project: &str, probe: &Containers) -> Looked {
        let value = self.all().docker.clone();
        let empty = value == serde_json::json!({});
        let reading = Reading { ok: true, value: Some(value), ..Reading::default() };
        let readings = [(String::new(), reading)].into();
        Looked { round: Round { probe: probe.name().to_owned(), at: Timestamp::now(), readings }, empty }
    }
}

/// A cluster in memory.
#[derive(Clone, Default)]
pub struct FakeCluster(Arc<Mutex<Cluster>>);

/// Asked before each call by its name (`subjects`, `incidents`, `open`, `join`): what goes wrong with it.
type Fate = Box<dyn FnMut(&'static str) -> Option<Trouble> + Send>;

#[derive(Default)]
struct Cluster {
    subjects: Vec<Arc<Subject>>,
    fate: Option<Fate>,
    incidents: Vec<Incident>,
    events: Vec<String>,
    trouble: Option<Trouble>,
    changes: usize,
    version: u64,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is refused.
    Refused(String),
    /// It is done, and nobody hears of that.
    AnswerLost,
}

impl FakeCluster {
    /// The Subjects that there are.
    pub fn set_subjects(&self, subjects: Vec<Subject>) {
        self.all().subjects = subjects.into_iter().map(Arc::new).collect();
    }

    /// What goes wrong, call by call.
    pub fn fate(&self, fate: impl FnMut(&'static str) -> Option<Trouble> + Send + 'static) {
        self.all().fate = Some(Box::new(fate));
    }

    /// What goes wrong with opening from now on.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        self.all().trouble = trouble;
    }

    /// The Incidents that were created and are there.
    #[must_use]
    pub fn all_incidents(&self) -> Vec<Incident> {
        self.all().incidents.clone()
    }

    /// Somebody changes, adds or deletes Incidents.
    pub fn change(&self, change: impl FnOnce(&mut Vec<Incident>)) {
        change(&mut self.all().incidents);
    }

    /// Events as `reason: note`; those on an Incident begin with its name.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.all().events.clone()
    }

    /// How often a status was to be looked at.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.all().changes
    }

    fn all(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the answer to a call is lost.
struct Lost(bool);

impl Lost {
    fn answer<T>(self, answer: T) -> Result<T, String> {
        if self.0 { Err("the connection broke".into()) } else { Ok(answer) }
    }
}

impl Cluster {
    /// What goes wrong with a call: it is refused, or its answer is lost.
    fn trouble_of(&mut self, call: &'static str) -> Result<Lost, String> {
        let fate = self.fate.as_mut().and_then(|fate| fate(call));
        match fate.or_else(|| self.trouble.clone().filter(|_| call == "open")) {
            Some(Trouble::Refused(why)) => Err(why),
            Some(Trouble::AnswerLost) => Ok(Lost(true)),
            None => Ok(Lost(false)),
        }
    }
}

#[async_trait]
impl Directory for FakeCluster {
    async fn subjects(&self) -> Result<Vec<Arc<Subject>>, String> {
        let mut cluster = self.all();
        cluster.trouble_of("subjects")?;
        Ok(cluster.subjects.clone())
    }
}

#[async_trait]
impl Outside for FakeCluster {
    fn cached(&self, order: &Order) -> Vec<Known> {
        let name = order.subject.name_any();
        self.all().incidents.iter().filter(|one| one.spec.subject_ref.name == name).map(Known::of).collect()
    }

    async fn incidents(&self, order: &Order) -> Result<Vec<Known>, String> {
        self.all().trouble_of("incidents")?;
        Ok(self.cached(order))
    }

    async fn open(&self, incident: &Incident) -> Result<Opened, String> {
        let mut cluster = self.all();
        let lost = cluster.trouble_of("open")?;
        if cluster.incidents.iter().any(|other| other.name_any() == incident.name_any()) {
            return Ok(Opened::WasThere);
        }
        cluster.version += 1;
        let mut incident = incident.clone();
        incident.metadata.creation_timestamp = Some(Time(Timestamp::now()));
        incident.metadata.resource_version = Some(cluster.version.to_string());
        cluster.incidents.push(incident);
        lost.answer(Opened::Yes)
    }

    async fn join(&self, _order: &Order, open: &Known, joined: &Joined) -> Result<bool, String> {
        let mut cluster = self.all();
        let lost = cluster.trouble_of("join")?;
        cluster.version += 1;
        let version = Some(cluster.version.to_string());
        let there = cluster.incidents.iter_mut().find(|one| one.name_any() == open.name);
        let Some(incident) = there.filter(|one| one.metadata.resource_version == open.version) else {
            return Ok(false);
        };
        incident.metadata.resource_version = version;
        incident.spec.evidence.clone_from(&joined.evidence);
        incident.spec.severity = joined.severity;
        if let Some(origin) = &mut incident.spec.origin {
            origin.violated.clone_from(&joined.violated);
            origin.alerts.clone_from(&joined.alerts);
        }
        lost.answer(true)
    }

    fn tell(&self, _order: &Arc<Order>, incident: Option<&str>, news: Vec<News>) {
        let on = incident.map(|name| format!("{name} ")).unwrap_or_default();
        let lines = news.into_iter().map(|news| format!("{on}{}: {}", news.reason, news.note));
        self.all().events.extend(lines);
    }

    fn changed(&self, _order: &Order) {
        self.all().changes += 1;
    }

    fn clean(&self, _order: &Order, text: &str) -> String {
        crate::printable::short_line(text, 1000)
    }

    fn installation(&self) -> &'static str {
        "test"
    }
}
