//! What others see of a Subject that is watched: its status, the sessions that prove on it, and the observations API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds::Subject;
use crds::condition::ConditionStatus;
use crds::incident::Violated;
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::lines::Heard;
use super::observers::Standing;
use super::ring::Ring;
use super::verifier::WatchVerifier;
use crate::agent::verify::Verifier;
use crate::invariant::{Proof, Shown, View};
use crate::redact::{Redaction, Redactor};
use crate::session::SessionId;

/// How many rounds somebody who follows may be behind.
const BEHIND: usize = 64;
/// How long a judge may take to say whether all holds: what it is at comes first.
const PATIENCE: Duration = Duration::from_secs(15);

/// Whether a Subject is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whether it is.
    pub status: ConditionStatus,
    /// A CamelCase word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl Observed {
    /// It is not, for this reason.
    #[must_use]
    pub fn not(reason: &'static str, message: impl Into<String>) -> Self {
        Self { status: ConditionStatus::False, reason, message: message.into() }
    }

    /// It will be.
    #[must_use]
    pub fn starting() -> Self {
        Self { status: ConditionStatus::Unknown, reason: "Starting", message: "the observer is being made".into() }
    }
}

/// What is known of a Subject at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When.
    pub at: Timestamp,
    /// Each invariant, in the order of the spec.
    pub views: Vec<View>,
    /// What a screen shows.
    pub shown: Shown,
    /// How many rounds were read since this controller watches.
    pub rounds: u64,
    /// Whether it is looked at.
    pub observed: Observed,
    /// The observer's container.
    pub observer: Option<Standing>,
    /// Why no Incident was opened for what is violated, if there is something to say.
    pub held: Option<String>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            at: Timestamp::UNIX_EPOCH,
            views: Vec::new(),
            shown: Shown::default(),
            rounds: 0,
            observed: Observed::starting(),
            observer: None,
            held: None,
        }
    }
}

/// A question to whoever judges a Subject.
pub struct Ask {
    /// Judged on rounds that began after this.
    pub since: Timestamp,
    /// What has to be there.
    pub must: Vec<Violated>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Proof>,
}

/// What a verification has to know of the spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Whether there are invariants.
    pub judged: bool,
    /// How long it takes at most until everything was read anew.
    pub freshness: Duration,
}

/// A Subject that is watched.
pub struct Watched {
    uid: String,
    /// What is known of it, as it changes.
    pub views: watch::Receiver<Arc<Snapshot>>,
    sender: watch::Sender<Arc<Snapshot>>,
    asks: mpsc::Sender<Ask>,
    rounds: broadcast::Sender<Arc<str>>,
    ring: Mutex<Ring>,
    /// What its status says, or is to say: nothing until something is known that is worth saying.
    published: Mutex<Option<Arc<Snapshot>>>,
    terms: Mutex<Terms>,
}

impl Watched {
    /// Nothing is known yet. What is asked comes out of the receiver.
    #[must_use]
    pub fn new(uid: &str) -> (Arc<Self>, mpsc::Receiver<Ask>) {
        let (sender, views) = watch::channel(Arc::new(Snapshot::default()));
        let (asks, asked) = mpsc::channel(16);
        let watched = Self {
            uid: uid.to_owned(),
            views,
            sender,
            asks,
            rounds: broadcast::channel(BEHIND).0,
            ring: Mutex::default(),
            published: Mutex::default(),
            terms: Mutex::default(),
        };
        (Arc::new(watched), asked)
    }

    /// What masks secrets in what is said of it: with the same marks for as long as it is.
    #[must_use]
    pub fn redactor(&self, redaction: &Redaction) -> Redactor {
        redactor(redaction, &self.uid)
    }

    /// What proves on this Subject that an Incident is over.
    #[must_use]
    pub fn verifier(self: &Arc<Self>) -> Arc<dyn Verifier> {
        Arc::new(WatchVerifier::new(self.clone()))
    }

    /// Whether all invariants hold, judged on rounds that began after `since`. Nothing if nobody judges any more, or not
    /// in time.
    pub async fn proof(&self, since: Timestamp, must: &[Violated]) -> Option<Proof> {
        let (answer, proof) = oneshot::channel();
        let asked = async {
            self.asks.send(Ask { since, must: must.to_vec(), answer }).await.ok()?;
            proof.await.ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
    }

    /// What the spec says.
    #[must_use]
    pub fn terms(&self) -> Terms {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its status is to say of it; nothing as long as nothing is known.
    #[must_use]
    pub fn published(&self) -> Option<Arc<Snapshot>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last rounds, as JSON, the oldest first; and those that come.
    #[must_use]
    pub fn rounds(&self) -> (Vec<Arc<str>>, broadcast::Receiver<Arc<str>>) {
        // In this order nothing is missed; what comes in between is in both.
        let coming = self.rounds.subscribe();
        (self.ring().all(), coming)
    }

    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, heard: &Heard) {
        self.ring().keep(heard.text.clone());
        // Nobody may follow.
        let _ = self.rounds.send(heard.text.clone());
    }

    pub(super) fn show(&self, snapshot: Arc<Snapshot>) {
        self.sender.send_replace(snapshot);
    }

    pub(super) fn publish(&self, snapshot: Arc<Snapshot>) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    pub(super) fn set_terms(&self, terms: Terms) {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner) = terms;
    }
}

/// What masks secrets in what is said of the Subject with this UID.
#[must_use]
pub fn redactor(redaction: &Redaction, uid: &str) -> Redactor {
    // Not a session's, and made in the same way.
    redaction.session(&SessionId::from(format!("subject-{uid}")))
}

/// The Subjects that this process watches: none while it stands by. Clones are the same.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<ObjectRef<Subject>, Arc<Watched>>>>);

impl Registry {
    /// The Subject, if it is watched.
    #[must_use]
    pub fn of(&self, subject: &ObjectRef<Subject>) -> Option<Arc<Watched>> {
        self.all().get(subject).cloned()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether nothing is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn set(&self, subject: ObjectRef<Subject>, watched: Option<Arc<Watched>>) {
        match watched {
            Some(watched) => self.all().insert(subject, watched),
            None => self.all().remove(&subject),
        };
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ObjectRef<Subject>, Arc<Watched>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
