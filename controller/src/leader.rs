//! One controller leads, all others stand by.
//!
//! Who leads is a row in Postgres, by the database's clock. A leader renews it; one that ends in good
//! order gives it back; one that is gone loses it when it runs out. Each change of hands raises the
//! *epoch*, and everything that a leader does carries it or is guarded by it:
//!
//! * the audit store refuses a write with another epoch (`fence` in the schema), and so does a
//!   takeover that commits while the write is under way;
//! * supervisor and gateway refuse a frame with a lower epoch than they have seen;
//! * for what cannot compare epochs (the API server, the Docker engine) the leader asks [`Leadership`]
//!   right before each call: it knows by its own clock, one that also counts sleep, until when the
//!   lease cannot have been taken from it. A leader that was stopped and goes on finds that over.
//!
//! **A lost lease ends the process**, and does not lead back to standing by. What a leader has in
//! memory (places, tasks, streams, caches) is true of its own time only, and a process that begins
//! anew cannot have kept any of it by mistake. Kubernetes starts it again at once; and only who led
//! ends so: while the database is away, those who stand by wait, and nothing restarts in circles.
//!
//! `term` is the decisions (pure), `leadership` the guard that all others hold; here are the calls.

mod leadership;
mod term;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::audit::postgres::Acquired;
use crate::audit::{AuditError, PostgresStore};
use crate::error::chain;

pub use leadership::{Leadership, NotLeading};
use term::{Answer, Step, Term};
pub use term::{Loss, Pace};

/// How long giving the lease back may take; after that it runs out by itself.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);

/// What somebody who stands by knows of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is somebody's.
    Held {
        /// Who leads.
        holder: String,
    },
    /// Nobody knows: the database does not answer.
    Unknown {
        /// What it said.
        why: String,
    },
}

/// The way to the lease: a store of its own, so that no crowd of writers delays a renewal.
#[derive(Clone, Debug)]
pub struct Lease {
    store: PostgresStore,
    holder: String,
    pace: Pace,
}

impl Lease {
    /// The lease in the database at `url`, to be held under a name that no other process has.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    pub fn new(url: &str, holder: &str, pace: Pace) -> Result<Self, AuditError> {
        let store = PostgresStore::connect_with(url, 2, pace.call)?;
        Ok(Self { store, holder: holder.to_owned(), pace })
    }

    /// A holder's name: that of the pod or machine, and something of this process alone, so that a
    /// container that was started again in its pod is not taken for the one that is gone.
    #[must_use]
    pub fn holder_name() -> String {
        let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
        format!("{}/{:08x}", host.as_deref().unwrap_or("operator"), rand::random::<u32>())
    }

    /// Under which name it is held.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Waits until the lease is had, or until `stop`. `seen` is called after each look that did not
    /// bring it.
    pub async fn acquire(&self, stop: &CancellationToken, mut seen: impl FnMut(Seen)) -> Option<Held> {
        while !stop.is_cancelled() {
            let asked = leadership::now();
            // Not given up half-way: it might be ours then, and nobody would know.
            let pause = match self.store.acquire_lease(&self.holder, self.pace.ttl).await {
                Ok(Acquired::Ours { epoch }) => {
                    let term = Term::begin(self.pace.clone(), asked);
                    let leadership = Leadership::until(epoch, term.until());
                    let held = Held { lease: self.clone(), leadership, term };
                    if stop.is_cancelled() {
                        held.release().await;
                        return None;
                    }
                    return Some(held);
                }
                Ok(Acquired::Theirs { holder, left }) => {
                    seen(Seen::Held { holder });
                    self.pace.look_again(Some(left))
                }
                Err(error) => {
                    seen(Seen::Unknown { why: chain(&error) });
                    self.pace.look_again(None)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        None
    }
}

/// The lease, had. Who has it must [`Held::keep`] it.
pub struct Held {
    lease: Lease,
    leadership: Leadership,
    term: Term,
}

impl Held {
    /// The guard of everything that is done in this epoch.
    #[must_use]
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Renews the lease until it is lost, or until `done`; after a loss nothing passes the guard.
    /// `failed` is called after each renewal that got no answer.
    pub async fn keep(&mut self, done: &CancellationToken, mut failed: impl FnMut(&str)) -> Option<Loss> {
        let ended = self.leadership.lost().clone();
        let mut next = self.term.first();
        loop {
            tokio::select! {
                biased;
                () = done.cancelled() => return None,
                () = ended.cancelled() => return Some(Loss::Fenced),
                () = tokio::time::sleep(next.saturating_sub(leadership::now())) => {}
            }
            let asked = leadership::now();
            let step = if let Some(loss) = self.term.over(asked) {
                Step::Over(loss)
            } else {
                let answer = self.ask(asked).await;
                if let Answer::Nothing(why) = &answer {
                    failed(why);
                }
                self.term.answered(asked, answer, leadership::now())
            };
            match step {
                Step::AskAt(moment) => {
                    self.leadership.extend(self.term.until());
                    next = moment;
                }
                Step::Over(loss) => {
                    self.leadership.end();
                    return Some(loss);
                }
            }
        }
    }

    async fn ask(&self, now: Duration) -> Answer {
        let Lease { store, holder, pace } = &self.lease;
        let renewal = store.renew_lease(holder, self.leadership.number(), pace.ttl);
        match tokio::time::timeout(self.term.patience(now), renewal).await {
            Ok(Ok(true)) => Answer::Ours,
            Ok(Ok(false)) => Answer::Theirs,
            Ok(Err(error)) => Answer::Nothing(chain(&error)),
            Err(_) => Answer::Nothing("the database does not answer".into()),
        }
    }

    /// Gives the lease back. Nothing may be done in its name any more, and nothing passes the guard.
    pub async fn release(self) {
        self.leadership.end();
        let Lease { store, holder, .. } = &self.lease;
        let release = store.release_lease(holder, self.leadership.number());
        match tokio::time::timeout(RELEASE_LIMIT, release).await {
            Ok(Ok(true)) => tracing::info!(epoch = self.leadership.epoch(), "the lease is given back"),
            Ok(Ok(false)) => tracing::debug!("there was no lease to give back"),
            Ok(Err(error)) => {
                tracing::info!(error = chain(&error), "the lease is not given back: it runs out by itself");
            }
            Err(_) => tracing::info!("the lease is not given back in time: it runs out by itself"),
        }
        store.close().await;
    }
}
