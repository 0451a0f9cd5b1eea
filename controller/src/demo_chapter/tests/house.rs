//! A cluster and an engine for these tests. Each call can be the last one of the process that makes it: before it did
//! anything, or after.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use crds::demo_chapter::{ActionState, ChapterState, DemoChapterStatus};
use crds::{DemoChapter, Incident, IncidentPhase, Subject};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::core::cel::cel::Value;
use tokio::sync::{Notify, watch};

use crate::audit::AuditError;
use crate::demo_chapter::apply::{After, Hands};
use crate::demo_chapter::player::Player;
use crate::demo_chapter::record::{ActId, DemoRef, How, NewAct, NewTurn, Record};
use crate::demo_chapter::store::DemoStore;
use crate::demo_chapter::store::fake::FakeDemoStore;
use crate::demo_chapter::validate::{Found, validate};
use crate::demo_chapter::world::{Seen, World};
use crate::fault::fake::FakeFaults;
use crate::fault::view::State as Stands;
use crate::fault::{Done, Error, Faults, Key, Outcome, Plan, ProjectView, Verb};
use crate::status::{Urgency, Written};
use crate::tenancy::Tenants;

/// When a process ends: at its n-th call, before or after that did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) call: usize,
    pub(super) after: bool,
}

#[derive(Default)]
struct State {
    chapters: Vec<DemoChapter>,
    subject: Option<Subject>,
    incidents: Vec<Incident>,
    now: Timestamp,
    halted: bool,
    told: Vec<String>,
    /// How often each action was begun, by key.
    acted: BTreeMap<String, usize>,
    /// In order: `act WORDS`, `undo WORDS`.
    calls: Vec<String>,
    standing: BTreeMap<String, String>,
    outcomes: BTreeMap<String, Outcome>,
    fails: BTreeMap<String, Error>,
    stopped: Vec<String>,
    calls_made: usize,
    end: Option<End>,
    dead: bool,
}

/// All that outlives a process.
#[derive(Clone, Default)]
pub(super) struct House {
    state: Arc<Mutex<State>>,
    pub(super) store: FakeDemoStore,
}

pub(super) const SERVICES: [&str; 4] = ["node1", "node2", "node3", "redis"];

impl House {
    pub(super) fn with(chapters: &str) -> Self {
        let house = Self::default();
        let mut state = house.state();
        state.now = "2026-01-28T20:00:00Z".parse().unwrap();
        state.chapters = serde_saphyr::from_multiple::<DemoChapter>(chapters).unwrap();
        for chapter in &mut state.chapters {
            let name = chapter.name_any();
            (chapter.metadata.namespace, chapter.metadata.uid) = (Some("ns".into()), Some(format!("uid-{name}")));
        }
        state.subject = Some(
            serde_saphyr::from_str(
                "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {name: shop, namespace: ns}\n\
                 spec: {where: {docker: {project: shop}}}",
            )
            .unwrap(),
        );
        drop(state);
        house
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn enter(&self, name: &str) {
        self.change(name, |chapter| chapter.spec.entered += 1);
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut DemoChapter)) {
        let mut state = self.state();
        change(state.chapters.iter_mut().find(|chapter| chapter.name_any() == name).unwrap());
    }

    pub(super) fn status(&self, name: &str) -> DemoChapterStatus {
        let state = self.state();
        let chapter = state.chapters.iter().find(|chapter| chapter.name_any() == name).unwrap();
        chapter.status.clone().unwrap_or_default()
    }

    pub(super) fn states(&self) -> Vec<ChapterState> {
        let state = self.state();
        state.chapters.iter().map(|chapter| chapter.status.clone().unwrap_or_default().state).collect()
    }

    pub(super) fn remove_all(&self) {
        self.state().chapters.clear();
    }

    pub(super) fn suspend(&self, suspend: bool) {
        self.state().subject.as_mut().unwrap().spec.suspend = suspend;
    }

    pub(super) fn halt(&self, halted: bool) {
        self.state().halted = halted;
    }

    pub(super) fn pass(&self, seconds: i64) {
        let mut state = self.state();
        state.now += SignedDuration::from_secs(seconds);
    }

    /// Opens an Incident now.
    pub(super) fn open(&self, name: &str) {
        let mut state = self.state();
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: {name}, namespace: ns, uid: {name}, \
             creationTimestamp: '{}'}}\nspec: {{title: t, subjectRef: {{name: shop}}, origin: {{fingerprint: 0a1b2c3d4e5f6071, \
             violated: [{{invariant: node_down, key: node2}}]}}}}\nstatus: {{phase: Running, attempt: 1}}",
            Timestamp::from_second(state.now.as_second()).unwrap()
        );
        state.incidents.push(serde_saphyr::from_str(&yaml).unwrap());
    }

    pub(super) fn resolve(&self, name: &str) {
        finish(&mut self.state(), name, IncidentPhase::Resolved);
    }

    pub(super) fn incidents(&self) -> Vec<(String, IncidentPhase)> {
        let phase = |one: &Incident| one.status.as_ref().map_or(IncidentPhase::Pending, |status| status.phase);
        self.state().incidents.iter().map(|one| (one.name_any(), phase(one))).collect()
    }

    pub(super) fn stop_service(&self, service: &str) {
        self.state().stopped.push(service.to_owned());
    }

    pub(super) fn fails(&self, says: &str, error: Option<Error>) {
        match error {
            Some(error) => self.state().fails.insert(says.to_owned(), error),
            None => self.state().fails.remove(says),
        };
    }

    pub(super) fn came_of(&self, says: &str, outcome: Outcome) {
        self.state().outcomes.insert(says.to_owned(), outcome);
    }

    /// What was done and undone.
    pub(super) fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    pub(super) fn standing(&self) -> Vec<String> {
        let mut standing: Vec<String> = self.state().standing.values().cloned().collect();
        standing.sort();
        standing
    }

    pub(super) fn most_often(&self) -> usize {
        self.state().acted.values().copied().max().unwrap_or(0)
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.state().told.clone()
    }

    /// A process begins, which ends at `end`.
    pub(super) fn begin(&self, end: Option<End>) -> Player {
        let mut state = self.state();
        (state.calls_made, state.end, state.dead) = (0, end, false);
        drop(state);
        let hands =
            Hands { world: Arc::new(self.clone()), store: Arc::new(self.clone()), faults: Arc::new(self.clone()) };
        let demo = DemoRef { namespace: "ns".into(), demo: "d".into() };
        Player::new(demo, hands, Arc::new(Notify::new()), watch::channel(false).0)
    }

    /// Lets a process work until it rests for good, is gone, or has ended. True if it has ended.
    pub(super) async fn work(&self, player: &mut Player) -> bool {
        let mut rested = 0;
        for _ in 0..1000 {
            let after = player.once().await;
            if self.state().dead {
                return true;
            }
            match after {
                After::Next => rested = 0,
                After::Gone => return false,
                After::Rest(time, says) => {
                    player.says(says);
                    player.show().await;
                    // Something that is waited for may come with the time.
                    rested += usize::from(time >= Duration::from_secs(10)) * 100 + 1;
                    if rested > 14 {
                        return false;
                    }
                    self.pass(i64::try_from(time.as_secs().max(1)).unwrap());
                }
                After::Trouble(why) => {
                    player.says(Some(why));
                    player.show().await;
                    rested += 1;
                    if rested > 14 {
                        return false;
                    }
                    self.pass(2);
                }
            }
        }
        panic!("it never rests: {:?}", self.calls());
    }

    /// Plays on with a new process.
    pub(super) async fn play(&self) {
        let mut player = self.begin(None);
        assert!(!self.work(&mut player).await);
    }

    /// A call of the process. False if it has ended before that.
    fn before(&self) -> bool {
        let mut state = self.state();
        state.calls_made += 1;
        if state.dead || state.end == Some(End { call: state.calls_made, after: false }) {
            state.dead = true;
            return false;
        }
        true
    }

    /// Whether the process hears the answer.
    fn after(&self) -> bool {
        let mut state = self.state();
        let last = state.end == Some(End { call: state.calls_made, after: true });
        state.dead |= last;
        !last
    }

    pub(super) fn calls_made(&self) -> usize {
        self.state().calls_made
    }
}

fn finish(state: &mut State, name: &str, phase: IncidentPhase) {
    let at = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(state.now);
    let incident = state.incidents.iter_mut().find(|one| one.name_any() == name).unwrap();
    let mut status = incident.status.clone().unwrap_or_default();
    (status.phase, status.finished_at, status.attempt) = (phase, Some(at), Some(1));
    incident.status = Some(status);
}

fn lost<T>() -> Result<T, AuditError> {
    Err(AuditError::Unavailable { reason: "this process has ended".into() })
}

macro_rules! write {
    ($house:ident, $call:expr) => {{
        if !$house.before() {
            return lost();
        }
        let answer = $call.await;
        if $house.after() { answer } else { lost() }
    }};
}

#[async_trait]
impl DemoStore for House {
    async fn record(&self, demo: &DemoRef) -> Result<Record, AuditError> {
        self.store.record(demo).await
    }
    async fn live(&self) -> Result<Vec<DemoRef>, AuditError> {
        self.store.live().await
    }
    async fn kept(&self, project: &str) -> Result<Vec<Key>, AuditError> {
        self.store.kept(project).await
    }
    async fn begin_turn(&self, turn: &NewTurn) -> Result<i64, AuditError> {
        write!(self, self.store.begin_turn(turn))
    }
    async fn end_turn(&self, turn: i64, how: How, message: Option<&str>, at: Timestamp) -> Result<(), AuditError> {
        write!(self, self.store.end_turn(turn, how, message, at))
    }
    async fn begin_act(&self, act: &NewAct) -> Result<bool, AuditError> {
        write!(self, self.store.begin_act(act))
    }
    async fn end_act(
        &self,
        act: &ActId,
        state: ActionState,
        message: Option<&str>,
        at: Timestamp,
    ) -> Result<(), AuditError> {
        write!(self, self.store.end_act(act, state, message, at))
    }
    async fn begin_undo(&self, act: &ActId, turn: i64, at: Timestamp) -> Result<(), AuditError> {
        write!(self, self.store.begin_undo(act, turn, at))
    }
    async fn end_undo(&self, act: &ActId, error: Option<&str>, at: Timestamp) -> Result<(), AuditError> {
        write!(self, self.store.end_undo(act, error, at))
    }
}

fn away() -> Error {
    Error::Unavailable("this process has ended".into())
}

#[async_trait]
impl Faults for House {
    async fn look(&self, project: &str) -> Result<ProjectView, Error> {
        let mut view = FakeFaults::with("shop", &SERVICES).look(project).await?;
        let state = self.state();
        for container in view.containers.iter_mut().filter(|one| state.stopped.contains(&one.service)) {
            container.state = Stands::Stopped;
        }
        Ok(view)
    }

    async fn act(&self, key: &Key, plan: &Plan) -> Result<Done, Error> {
        if !self.before() {
            return Err(away());
        }
        {
            let mut state = self.state();
            let acts = self.store.acts();
            let row = acts.iter().find(|act| act.new.key == *key).expect("it is on record before it is done");
            assert_eq!(row.state, ActionState::Begun);
            *state.acted.entry(key.to_string()).or_default() += 1;
            state.calls.push(format!("act {}", plan.says));
            if let Some(error) = state.fails.get(&plan.says) {
                return Err(error.clone());
            }
            if plan.undo.is_some() {
                state.standing.insert(key.to_string(), plan.says.clone());
            }
            if matches!(plan.verb, Verb::Start) {
                state.stopped.retain(|service| *service != plan.targets[0].service);
            }
        }
        if self.after() { Ok(Done::default()) } else { Err(away()) }
    }

    async fn outcome(&self, key: &Key, plan: &Plan) -> Result<Outcome, Error> {
        if !self.before() {
            return Err(away());
        }
        let state = self.state();
        let acted = state.acted.contains_key(&key.to_string());
        let usual = if acted { Outcome::Done(Done::default()) } else { Outcome::NotBegun };
        Ok(state.outcomes.get(&plan.says).cloned().unwrap_or(usual))
    }

    async fn undo(&self, key: &Key, plan: &Plan) -> Result<(), Error> {
        if !self.before() {
            return Err(away());
        }
        {
            let mut state = self.state();
            state.calls.push(format!("undo {}", plan.says));
            state.standing.remove(&key.to_string());
        }
        if self.after() { Ok(()) } else { Err(away()) }
    }

    async fn sweep(&self, _: Option<&str>, keep: &[Key]) -> Result<usize, Error> {
        if !self.before() {
            return Err(away());
        }
        let state = self.state();
        for standing in state.standing.keys() {
            assert!(keep.iter().any(|key| key.to_string() == *standing), "{standing} is swept while it stands");
        }
        Ok(0)
    }
}

#[async_trait]
impl World for House {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn epoch(&self) -> Result<i64, String> {
        if self.state().dead { Err("this process has ended".into()) } else { Ok(1) }
    }

    fn see(&self, demo: &DemoRef) -> Seen {
        let state = self.state();
        let subject = state.subject.clone().map(Arc::new);
        let found = subject.clone().map_or(Found::Missing, Found::Subject);
        let chapters = state.chapters.iter().filter(|chapter| chapter.spec.demo == demo.demo);
        let (chapters, scene) = validate(chapters.cloned().map(Arc::new).collect(), &found, &Tenants::default());
        let incidents = state.incidents.iter().cloned().map(Arc::new).collect();
        Seen { chapters, scene, subject, incidents, halted: state.halted, model: "offline-shop".into() }
    }

    async fn probes(&self, _: &DemoRef, _: &str) -> Value {
        crate::cel::to_cel(&serde_json::json!({"leader": {"ok": true, "value": "node3"}}))
    }

    async fn cancel(&self, incident: &Incident) -> Result<(), String> {
        if !self.before() {
            return Err("this process has ended".into());
        }
        let mut state = self.state();
        let name = incident.name_any();
        finish(&mut state, &name, IncidentPhase::Cancelled);
        Ok(())
    }

    async fn delete(&self, incident: &Incident) -> Result<(), String> {
        self.state().incidents.retain(|one| one.name_any() != incident.name_any());
        Ok(())
    }

    async fn raise(&self, chapter: &DemoChapter) -> Result<(), String> {
        if !self.before() {
            return Err("this process has ended".into());
        }
        self.change(&chapter.name_any(), |one| one.spec.entered = chapter.spec.entered + 1);
        Ok(())
    }

    async fn write(&self, chapter: &DemoChapter, status: &DemoChapterStatus, _: Urgency) -> Result<Written, String> {
        if !self.state().dead {
            self.change(&chapter.name_any(), |one| one.status = Some(status.clone()));
        }
        Ok(Written::Yes)
    }

    async fn tell(&self, chapter: &DemoChapter, _: bool, reason: &str, _: &str) {
        let mut state = self.state();
        if !state.dead {
            state.told.push(format!("{} {reason}", chapter.name_any()));
        }
    }
}
