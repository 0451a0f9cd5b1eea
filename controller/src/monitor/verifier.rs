//! Proves on a watched Subject that an Incident is over: everything that has to hold does, on readings that begin after
//! the agent said so, without a break for as long as the stabilization window is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crds::Subject;
use crds::invariant::InvariantState;
use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::watched::{Registry, Watched};
use crate::agent::verify::{Finding, Verdict, Verification, Verifier};
use crate::invariant::Proof;

/// Looked at again after this, should nothing change.
const LOOK: Duration = Duration::from_secs(1);

/// The proof of one session.
pub struct WatchVerifier(Arc<Watched>);

impl WatchVerifier {
    /// On this Subject.
    #[must_use]
    pub fn new(watched: Arc<Watched>) -> Self {
        Self(watched)
    }
}

/// The proof of one session, on whoever watches its Subject when it is asked for: a session that is gone on with begins
/// before its Subject is watched again, and one that is deleted is watched by nobody any more.
pub struct SubjectVerifier {
    registry: Registry,
    subject: ObjectRef<Subject>,
    patience: Duration,
}

impl SubjectVerifier {
    /// On this Subject. For so long is it waited for that somebody watches it.
    #[must_use]
    pub fn new(registry: Registry, subject: ObjectRef<Subject>, patience: Duration) -> Self {
        Self { registry, subject, patience }
    }

    async fn watched(&self) -> WatchVerifier {
        loop {
            if let Some(watched) = self.registry.of(&self.subject) {
                return WatchVerifier::new(watched);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[async_trait]
impl Verifier for SubjectVerifier {
    fn can_prove(&self) -> bool {
        self.registry.of(&self.subject).is_some_and(|watched| WatchVerifier::new(watched).can_prove())
    }

    async fn verify(&self, request: &Verification) -> Verdict {
        let Ok(verifier) = tokio::time::timeout(self.patience, self.watched()).await else {
            let message = "nobody looks at the Subject any more".to_owned();
            return Verdict::Unknown { why: vec![Finding { message, ..Finding::default() }] };
        };
        verifier.verify(request).await
    }

    async fn healed(&self) {
        self.watched().await.healed().await;
    }
}

#[async_trait]
impl Verifier for WatchVerifier {
    fn can_prove(&self) -> bool {
        self.0.terms().judged
    }

    async fn verify(&self, request: &Verification) -> Verdict {
        let (since, begun) = (Timestamp::now(), Instant::now());
        let patience = request.stabilization + self.0.terms().freshness;
        let mut window = Window::new(request.stabilization, patience);
        let mut views = self.0.views.clone();
        loop {
            let proof = self.0.proof(since, &request.must).await;
            let rounds = views.borrow_and_update().rounds;
            if let Some(verdict) = window.look(begun.elapsed(), rounds, proof) {
                return verdict;
            }
            // Each look is a question to the judge: not more often than something is new.
            let _ = tokio::time::timeout(LOOK.min(window.left(begun.elapsed())), views.changed()).await;
            if views.has_changed().is_err() {
                // Nobody watches it any more: the next proof does not come.
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn healed(&self) {
        let mut views = self.0.views.clone();
        let is_broken =
            |watched: &Watched| watched.views.borrow().views.iter().any(|view| view.state == InvariantState::Violated);
        let mut broken = is_broken(&self.0);
        loop {
            if views.changed().await.is_err() {
                return std::future::pending().await;
            }
            broken |= is_broken(&self.0);
            if !broken {
                continue;
            }
            let holds = views.borrow_and_update().views.iter().all(|view| view.state == InvariantState::Ok);
            // Not what was read before it broke: what was read since it holds.
            if holds && self.holds_for_a_while().await {
                return;
            }
        }
    }
}

impl WatchVerifier {
    /// Whether all holds on readings from now on; that takes as long as everything needs to be read once.
    async fn holds_for_a_while(&self) -> bool {
        let request = Verification { attempt: 0, stabilization: Duration::ZERO, must: Vec::new() };
        matches!(self.verify(&request).await, Verdict::Holds { .. })
    }
}

/// How far a proof has come. Pure.
struct Window {
    stabilization: Duration,
    patience: Duration,
    /// Since when all holds, and how many rounds had been read then.
    holding: Option<(Duration, u64)>,
}

impl Window {
    fn new(stabilization: Duration, patience: Duration) -> Self {
        Self { stabilization, patience, holding: None }
    }

    /// What a look after so long says, if it is the end.
    fn look(&mut self, now: Duration, rounds: u64, proof: Option<Proof>) -> Option<Verdict> {
        let why = match proof {
            Some(Proof::Holds) => {
                let (since, before) = *self.holding.get_or_insert((now, rounds));
                let window = now.saturating_sub(since);
                if window >= self.stabilization {
                    return Some(Verdict::Holds { window, seen: rounds.saturating_sub(before) });
                }
                return None;
            }
            Some(Proof::Violated(what)) => return Some(Verdict::Violated { what: findings(what) }),
            Some(Proof::Unknown(why)) => findings(why),
            None => Vec::new(),
        };
        self.holding = None;
        if now < self.patience {
            return None;
        }
        let nobody = || Finding { message: "nobody looks at the Subject any more".into(), ..Finding::default() };
        Some(Verdict::Unknown { why: if why.is_empty() { vec![nobody()] } else { why } })
    }

    /// When to look again, if all goes on as it is.
    fn left(&self, now: Duration) -> Duration {
        let end = self.holding.map_or(self.patience, |(since, _)| since + self.stabilization);
        end.saturating_sub(now).max(Duration::from_millis(20))
    }
}

fn findings(of: Vec<(String, crate::invariant::KeyView)>) -> Vec<Finding> {
    of.into_iter().map(|(invariant, key)| Finding { invariant, key: key.key, message: key.message }).collect()
}
