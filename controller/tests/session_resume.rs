//! A session as the controller runs it, from its row to the removal of its container, with controllers that die at
//! every moment on the way, and a next one that finds it.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "agent_loop/crash.rs"]
#[allow(dead_code)] // this file needs a part of it
mod crash;
#[path = "agent_loop/rig.rs"]
#[allow(dead_code)] // this file needs a part of it
mod rig;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use controller::agent::{Budgets, Proving};
use controller::audit::entry::NoteEntry;
use controller::audit::proof::row::{Scope, records};
use controller::audit::proof::verify::{Expected, verify};
use controller::audit::{AuditReader, AuditStore, EntryBody, FakeStore, SessionRecord, StoredEntry};
use controller::config::Config;
use controller::config::redaction::RedactionConfig;
use controller::context::Context;
use controller::events::Events;
use controller::incident::places::Places;
use controller::incident::validate::{Accepted, Defaults, Recurrence};
use controller::leader::Leadership;
use controller::metrics::Metrics;
use controller::model::PriceTable;
use controller::model::fake::{FakeModel, Step, says};
use controller::monitor::fake::FakeEngine;
use controller::monitor::{Registry, Watch};
use controller::redact::{InstallationSecret, Rules};
use controller::sandbox::fake::{FakeCall, FakeProvider};
use controller::sandbox::{Access, CommandResult, SandboxProvider as _};
use controller::scope::Scopes;
use controller::session::dispatch::Dispatch;
use controller::session::engine::Room;
use controller::session::spend::Spending;
use controller::session::spend::fake::FakeSpend;
use controller::session::task::{self, Work};
use controller::session::view::End;
use controller::session::{Engine, SessionKey, adopt, sweep};
use controller::status::StatusWriter;
use controller::subject::Looks;
use crash::{DyingModel, DyingStore, Fuse, Moment, check_proof};
use crds::{Incident, IncidentPhase};
use kube::runtime::reflector::ObjectRef;
use rig::{conclude, shell};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A new session, one a Subject.
const ONE: Room = Room::New { most: 1 };

/// What outlives controllers.
struct World {
    store: FakeStore,
    provider: FakeProvider,
    fuse: Arc<Mutex<Fuse>>,
    script: Vec<Step>,
    accepted: Accepted,
}

impl World {
    fn new(script: Vec<Step>) -> Self {
        Self::with(script, accepted())
    }

    fn with(script: Vec<Step>, accepted: Accepted) -> Self {
        let fuse = Arc::new(Mutex::new(Fuse::default()));
        let seen = fuse.clone();
        let provider = FakeProvider::new(move |command| {
            seen.lock().unwrap().command();
            CommandResult::exited(0, &format!("{}\n", command.command), "")
        });
        Self { store: FakeStore::new(), provider, fuse, script, accepted }
    }

    /// A controller that has just started; it dies at `moment`.
    async fn controller(&self, moment: Option<Moment>) -> (Arc<Context>, CancellationToken) {
        let dead = Fuse::burn(&self.fuse, moment);
        let records = self.store.all_sessions();
        let answered = records
            .first()
            .map(|record| self.store.bodies(&record.new.id))
            .unwrap_or_default()
            .iter()
            .filter(|body| matches!(body, EntryBody::Turn(_)))
            .count();
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Nobody is there: what is asked of the API server fails at once.
        let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let scopes = Scopes::new(&client, &[]);
        let (engine, changed) = Engine::new(3);
        // The channel stays open.
        Box::leak(Box::new(changed));
        let (subjects_changed, _) = tokio::sync::mpsc::unbounded_channel();
        let inner = FakeModel::new(self.script.iter().skip(answered).cloned());
        let context = Context {
            redaction: Arc::new(
                Rules::compile(&RedactionConfig::default(), &[]).unwrap().with(InstallationSecret::new([3; 32])),
            ),
            spending: Spending {
                store: Arc::new(FakeSpend::default()),
                per_day: None,
                prices: PriceTable::default(),
                metrics: Arc::new(Metrics::default()),
            },
            leadership: Leadership::for_ever(1),
            installation: "test".into(),
            defaults: Defaults { model: "offline-test".into(), image: "agent:dev".into(), config: Config::default() },
            incidents: scopes.incidents(),
            subjects: scopes.subjects(),
            subjects_changed,
            subjects_seen: Mutex::default(),
            looks: Looks::default(),
            watch: Watch::new(Arc::new(FakeEngine::default()), Registry::default(), Arc::default())
                .with_patience(Duration::from_millis(10)),
            engine,
            dispatch: Dispatch::default(),
            places: Places::default(),
            halt: watch::channel(None).1,
            leaving: controller::notice::board::Leaving::default(),
            audit: Arc::new(DyingStore { inner: Arc::new(self.store.clone()), fuse: self.fuse.clone() }),
            sandboxes: Arc::new(self.provider.clone()),
            model: Arc::new(DyingModel { inner, fuse: self.fuse.clone() }),
            summary_model: None,
            status: StatusWriter::new(client.clone(), Leadership::for_ever(1)),
            events: Events::new(client.clone(), None, Leadership::for_ever(1)),
            metrics: Arc::new(Metrics::default()),
            client,
        };
        let context = Arc::new(context);
        // As every controller does first.
        sweep::expect(&context, &CancellationToken::new()).await;
        (context, dead)
    }

    /// What reconcile does: starts the session, or takes it up. `None` if the controller dies meanwhile.
    async fn reconcile(&self, moment: Option<Moment>, cancel: bool) -> Option<End> {
        let (context, dead) = self.controller(moment).await;
        let key = SessionKey { uid: "u-1".into(), attempt: 1 };
        let expected = context.engine.is_expected(&key);
        let room = if expected { Room::Standing } else { ONE };
        let seat = context.engine.reserve(&key, "ns/shop", ObjectRef::new("i").within("ns"), room).unwrap();
        if cancel {
            seat.cancel.cancel();
        }
        let work = Work::new(&incident(), &self.accepted, &[], &context);
        if expected {
            let incident = Arc::new(incident());
            context.engine.spawn(&key, adopt::adopt(context.clone(), incident, 1, Some(work), seat));
        } else {
            let plan = self.provider.preflight(&work.request).await.unwrap();
            context.engine.spawn(&key, task::run(context.clone(), work, plan, seat));
        }
        let ended = async {
            loop {
                if let Some(end) = context.engine.view(&key).unwrap().end {
                    return end;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let end = tokio::select! {
            biased;
            () = dead.cancelled() => None,
            end = tokio::time::timeout(Duration::from_mins(1), ended) => Some(end.expect("it never ended")),
        };
        context.engine.abandon().await;
        tokio::task::yield_now().await;
        end
    }

    fn record(&self) -> SessionRecord {
        let all = self.store.all_sessions();
        assert_eq!(all.len(), 1, "one row for one attempt");
        all.into_iter().next().unwrap()
    }

    fn bodies(&self) -> Vec<EntryBody> {
        self.store.bodies(&self.record().new.id)
    }

    async fn entries(&self) -> Vec<StoredEntry> {
        self.store.page(&self.record().new.id, 0, 500).await.unwrap()
    }

    /// What holds of every session, whatever happened.
    async fn check(&self, what: &str) {
        let entries = self.entries().await;
        let numbers: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(numbers, (1..).take(entries.len()).collect::<Vec<_>>(), "{what}");
        assert_eq!(entries.iter().filter(|entry| entry.is_seal()).count(), 1, "{what}");
        assert!(entries.last().unwrap().is_seal(), "{what}");
        let proof = verify(records(Arc::new(self.store.clone()), Scope::All), Scope::All, Expected::default()).await;
        let proof = proof.unwrap();
        assert!(proof.verified, "{what}: {:?}", proof.faults);
        let record = self.record();
        assert!(record.state.ended_at.is_some(), "{what}: {record:?}");
        assert_eq!(record.state.last_seq, i64::try_from(entries.len()).unwrap(), "{what}");
        assert!(self.provider.list().await.unwrap().is_empty(), "{what}: a container is left");
        let bodies = self.bodies();
        let mut started = Vec::new();
        for call in self.provider.calls() {
            let FakeCall::Run(seq, text) = call else { continue };
            assert!(!started.contains(&seq), "{what}: command {seq} ran twice");
            started.push(seq);
            let row = bodies.get(usize::try_from(seq - 1).unwrap());
            let is_own = matches!(row, Some(EntryBody::ToolCall(row)) if row.command.as_deref() == Some(&text));
            assert!(is_own, "{what}: command {seq} ran without its row");
        }
        let calls = bodies.iter().filter(|body| matches!(body, EntryBody::ToolCall(_))).count();
        let results = bodies.iter().filter(|body| matches!(body, EntryBody::ToolResult(_))).count();
        assert_eq!(calls, results, "{what}: a call without its result");
        check_proof(&bodies, what);
    }
}

fn incident() -> Incident {
    let yaml = "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {name: i, namespace: ns, uid: u-1}\n\
                spec: {title: t, subjectRef: {name: shop}, attempt: 1}";
    serde_saphyr::from_str(yaml).unwrap()
}

fn accepted() -> Accepted {
    Accepted {
        subject: "ns/shop".into(),
        project: "shop".into(),
        description: String::new(),
        suspended: false,
        most_sessions: 1,
        model: "offline-test".into(),
        image: "agent:dev".into(),
        budgets: Budgets::default(),
        access: Access::default(),
        egress: Vec::new(),
        proving: Proving::default(),
        recurrence: Recurrence { limit: 2, window: Duration::from_hours(1) },
    }
}

fn script() -> Vec<Step> {
    vec![shell("a", "one"), says("done?"), shell("b", "two"), conclude("c")]
}

#[tokio::test]
async fn the_controller_may_die_at_any_moment() {
    let world = World::new(script());
    let end = world.reconcile(None, false).await.unwrap();
    assert_eq!(end.phase, IncidentPhase::Concluded);
    world.check("no crash").await;
    let rows = world.bodies().len();

    let of_rows = (1..=rows).flat_map(|row| [Moment::BeforeRow(row), Moment::AfterRow(row)]);
    let others = [
        Moment::BeforeSession,
        Moment::AfterSession,
        Moment::InCommand(1),
        Moment::InCommand(2),
        Moment::InCall(1),
        Moment::InCall(4),
        Moment::BeforeEnd,
        Moment::AfterEnd,
    ];
    for moment in of_rows.chain(others) {
        let world = World::new(script());
        let what = format!("{moment:?}");
        assert_eq!(world.reconcile(Some(moment), false).await, None, "{what}");
        let after_end = world.store.all_sessions().iter().any(|record| record.state.ended_at.is_some());
        if after_end {
            // The row says all, and the status is written from it; the container is for the sweep.
            world.provider.remove(&world.record().new.id).await.unwrap();
        } else {
            let end = world.reconcile(None, false).await.unwrap();
            assert_eq!((end.phase, end.reason.as_str()), (IncidentPhase::Concluded, "Concluded"), "{what}");
        }
        world.check(&what).await;
        let commands = world.provider.commands();
        let never_sent = world.bodies().iter().filter(|body| is_never_sent(body)).count();
        assert_eq!(commands.len() + never_sent, 2, "{what}: {commands:?}");
        assert_eq!(world.record().state.turns, 4, "{what}");
    }
}

/// Where invariants are declared and nothing sees them, nothing is resolved, whenever the controller dies.
#[tokio::test]
async fn what_nothing_can_see_is_unproven_also_after_a_controller_died() {
    let provable = || {
        let proving = Proving { provable: true, ..Proving::default() };
        World::with(vec![shell("a", "one"), conclude("b")], Accepted { proving, ..accepted() })
    };
    let world = provable();
    let end = world.reconcile(None, false).await.unwrap();
    assert_eq!((end.phase, end.reason.as_str()), (IncidentPhase::Escalated, "Unproven"));
    assert!(end.message.contains("nobody looks at the Subject any more"), "{}", end.message);
    assert_eq!(end.summary.as_deref(), Some("made it a master"));
    world.check("no crash").await;
    for row in 1..=world.bodies().len() {
        for moment in [Moment::BeforeRow(row), Moment::AfterRow(row)] {
            let world = provable();
            assert_eq!(world.reconcile(Some(moment), false).await, None, "{moment:?}");
            let end = world.reconcile(None, false).await.unwrap();
            assert_eq!((end.phase, end.reason.as_str()), (IncidentPhase::Escalated, "Unproven"), "{moment:?}");
            world.check(&format!("{moment:?}")).await;
        }
    }
}

fn is_never_sent(body: &EntryBody) -> bool {
    matches!(body, EntryBody::ToolResult(result) if result.content.contains("before it was sent"))
}

#[tokio::test]
async fn one_that_was_cancelled_meanwhile_is_sealed_and_does_nothing_more() {
    for moment in [Moment::AfterSession, Moment::AfterRow(1), Moment::AfterRow(2), Moment::InCommand(1)] {
        let world = World::new(script());
        assert_eq!(world.reconcile(Some(moment), false).await, None);
        let commands = world.provider.commands();
        let end = world.reconcile(None, true).await.unwrap();
        assert_eq!(end.phase, IncidentPhase::Cancelled, "{moment:?}");
        assert_eq!(world.provider.commands(), commands, "{moment:?}");
        world.check(&format!("{moment:?}")).await;
        assert_eq!(world.record().state.phase, "Cancelled", "{moment:?}");
    }
}

#[tokio::test]
async fn one_that_nobody_wants_any_more_is_ended_and_its_place_given_back() {
    let world = World::new(script());
    assert_eq!(world.reconcile(Some(Moment::InCommand(1)), false).await, None);
    let (context, _) = world.controller(None).await;
    let record = world.record();
    let key = SessionKey::of(&record);
    assert!(context.engine.is_expected(&key));
    assert!(context.engine.active().contains(&record.new.id), "its container is not swept");
    let other = SessionKey { uid: "u-2".into(), attempt: 1 };
    let place = context.engine.reserve(&other, "ns/shop", ObjectRef::new("j").within("ns"), ONE);
    assert!(place.is_none(), "its Subject is busy");
    adopt::end(&context, &record);
    for _ in 0..2000 {
        if context.engine.view(&key).is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(context.engine.view(&key).is_none() && !context.engine.is_expected(&key));
    world.check("nobody wants it").await;
    assert_eq!(world.record().state.phase, "Cancelled");
    assert!(context.engine.reserve(&other, "ns/shop", ObjectRef::new("j").within("ns"), ONE).is_some());
}

#[tokio::test]
async fn one_whose_entries_cannot_be_read_fails_on_record() {
    let world = World::new(script());
    assert_eq!(world.reconcile(Some(Moment::AfterSession), false).await, None);
    let id = world.record().new.id;
    let note = EntryBody::Note(NoteEntry { number: 1, author: None, text: "of nobody".into(), at: None });
    world.store.append(&id, 1, jiff::Timestamp::now(), &note).await.unwrap();
    let end = world.reconcile(None, false).await.unwrap();
    assert_eq!((end.phase, end.reason.as_str()), (IncidentPhase::Failed, "NotResumable"));
    world.check("unreadable").await;
}
