//! The monitor: looks at every Subject, judges what it sees, and opens Incidents.
//!
//! One task a Subject, in the process that leads. It follows an observer, a container in the Subject's networks that
//! reads its probes and writes what it read; has the invariants judged; shows that in the status, in Events, to the
//! sessions that have to prove that an Incident is over, and to whoever looks; and opens an Incident for what is violated.
//!
//! * [`order`]: what is to be watched of a Subject; [`observers`]: what it needs of the engine; `own`, `keep` and `lines`:
//!   what is heard; `survey`: what stands on the engine, for all at once, and what is left over there;
//! * [`mind`] and [`bench`]: judging, off the runtime; `history`: what outlives a judge;
//! * [`open`] (pure) decides whether an Incident is opened, [`known`] and [`words`] are what it decides over and what an
//!   Incident says, `act` does it; [`outside`] is the cluster as far as that needs it, [`kubernetes`] its real part;
//! * [`task`] puts it together; [`watched`] is what others see of it: [`status`], [`verifier`], [`api`];
//! * [`fake`] has an engine and a cluster for tests.

pub mod act;
pub mod api;
mod backoff;
pub mod bench;
pub mod fake;
pub mod history;
pub mod keep;
pub mod known;
pub mod kubernetes;
pub mod lines;
pub mod mind;
pub mod observers;
pub mod open;
pub mod order;
pub mod outside;
mod own;
pub mod rate;
mod ring;
pub mod status;
pub mod survey;
pub mod task;
pub mod verifier;
pub mod watched;
pub mod words;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds::Subject;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::verify::{PATIENCE, Verifier};
use crate::metrics::Metrics;
use crate::sandbox::SandboxError;
use bench::Bench;
use observers::{Observers, Survey};
use order::Order;
use outside::Outside;
use task::{Command, Shared, Task};
use verifier::SubjectVerifier;
pub use watched::{Registry, Watched};

/// How many observers are made at once.
const MAKING: usize = 8;
/// How many `docker` probes look at once.
const LOOKING: usize = 16;

/// The Subjects that are watched.
pub struct Watch {
    shared: Arc<Shared>,
    survey: watch::Sender<Option<Result<Arc<Survey>, SandboxError>>>,
    entries: Mutex<HashMap<ObjectRef<Subject>, Entry>>,
    registry: Registry,
    /// For how long a session that is to be proven waits for its Subject to be watched.
    patience: Duration,
    tasks: TaskTracker,
    leave: CancellationToken,
}

struct Entry {
    uid: String,
    commands: mpsc::UnboundedSender<Command>,
}

impl Watch {
    /// Watches nothing yet. `registry` is where others find what is watched.
    #[must_use]
    pub fn new(observers: Arc<dyn Observers>, registry: Registry, metrics: Arc<Metrics>) -> Self {
        Self::with_bench(observers, registry, metrics, Bench::default())
    }

    /// The same, with judges that work there.
    #[must_use]
    pub fn with_bench(observers: Arc<dyn Observers>, registry: Registry, metrics: Arc<Metrics>, bench: Bench) -> Self {
        let (survey, surveyed) = watch::channel(None);
        let shared = Shared {
            observers,
            bench,
            survey: surveyed,
            making: Arc::new(Semaphore::new(MAKING)),
            looking: Arc::new(Semaphore::new(LOOKING)),
            rate: Arc::default(),
            metrics,
        };
        Self {
            shared: Arc::new(shared),
            survey,
            entries: Mutex::default(),
            registry,
            patience: PATIENCE,
            tasks: TaskTracker::new(),
            leave: CancellationToken::new(),
        }
    }

    /// The same with another patience with Subjects that nobody watches.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// What is seen of a Subject, if it is watched.
    #[must_use]
    pub fn of(&self, subject: &ObjectRef<Subject>) -> Option<Arc<Watched>> {
        self.registry.of(subject)
    }

    /// What proves that an Incident of a Subject is over.
    #[must_use]
    pub fn verifier(&self, subject: &ObjectRef<Subject>) -> Arc<dyn Verifier> {
        Arc::new(SubjectVerifier::new(self.registry.clone(), subject.clone(), self.patience))
    }

    /// Watches a Subject as it stands now, if there is an order for it; else it is not watched any more, and its observer
    /// goes.
    pub fn tend(&self, subject: &ObjectRef<Subject>, order: Option<Order>, outside: &Arc<dyn Outside>) {
        let mut entries = self.entries();
        let Some(order) = order else {
            self.end(&mut entries, subject);
            return;
        };
        if self.leave.is_cancelled() {
            return;
        }
        if entries.get(subject).is_some_and(|entry| entry.uid != order.uid) {
            self.end(&mut entries, subject);
        }
        let order = Arc::new(order);
        if let Some(entry) = entries.get(subject) {
            // A task that has ended is told nothing: the process is about to end.
            let _ = entry.commands.send(Command::Order(order));
            return;
        }
        let (watched, asked) = Watched::new(&order.uid);
        let (commands, told) = mpsc::unbounded_channel();
        entries.insert(subject.clone(), Entry { uid: order.uid.clone(), commands });
        self.registry.set(subject.clone(), Some(watched.clone()));
        self.shared.metrics.watched.set(i64::try_from(entries.len()).unwrap_or(i64::MAX));
        let (shared, outside, leave) = (self.shared.clone(), outside.clone(), self.leave.clone());
        self.tasks.spawn(async move {
            let task = async { Task::new(shared, outside, watched, order).await.run(told, asked).await };
            tokio::select! {
                () = task => {}
                () = leave.cancelled() => {}
            }
        });
    }

    /// UIDs of the Subjects that are watched.
    #[must_use]
    pub fn uids(&self) -> HashSet<String> {
        self.entries().values().map(|entry| entry.uid.clone()).collect()
    }

    /// The Subjects that are watched, each with its UID.
    #[must_use]
    pub fn subjects(&self) -> Vec<(ObjectRef<Subject>, String)> {
        self.entries().iter().map(|(subject, entry)| (subject.clone(), entry.uid.clone())).collect()
    }

    /// The engine.
    #[must_use]
    pub fn observers(&self) -> &Arc<dyn Observers> {
        &self.shared.observers
    }

    /// Passes on what stands on the engine.
    pub fn surveyed(&self, survey: Result<Arc<Survey>, SandboxError>) {
        self.survey.send_replace(Some(survey));
    }

    /// Ends all tasks where they stand, and leaves their observers for the next leader.
    pub async fn abandon(&self) {
        self.leave.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        for (subject, _) in self.subjects() {
            self.registry.set(subject, None);
        }
    }

    fn end(&self, entries: &mut HashMap<ObjectRef<Subject>, Entry>, subject: &ObjectRef<Subject>) {
        if let Some(entry) = entries.remove(subject) {
            let _ = entry.commands.send(Command::Remove);
            self.registry.set(subject.clone(), None);
            self.shared.metrics.watched.set(i64::try_from(entries.len()).unwrap_or(i64::MAX));
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<ObjectRef<Subject>, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
