//! A verifier for tests: it gives verdicts from a list and remembers what it was asked.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Finding, Verdict, Verification, Verifier};

/// The first verdict is that of the first attempt, and so on, however often it is asked for: a system does not become
/// another one because a controller asks anew. Beyond the list nobody can say.
#[derive(Debug)]
pub struct FakeVerifier {
    verdicts: Vec<Verdict>,
    requests: Mutex<Vec<Verification>>,
    delay: Duration,
    healed: watch::Sender<bool>,
}

impl FakeVerifier {
    /// A verifier with these verdicts.
    #[must_use]
    pub fn new(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        Self {
            verdicts: verdicts.into_iter().collect(),
            requests: Mutex::default(),
            delay: Duration::ZERO,
            healed: watch::Sender::new(false),
        }
    }

    /// Each verdict takes this long.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// All invariants hold again from now on.
    pub fn heal(&self) {
        self.healed.send_replace(true);
    }

    /// What it was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Verification> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All held for 15 s.
#[must_use]
pub fn holds() -> Verdict {
    Verdict::Holds { window: Duration::from_secs(15), seen: 15 }
}

/// One key of an invariant is violated.
#[must_use]
pub fn violated(invariant: &str, key: &str, message: &str) -> Verdict {
    Verdict::Violated { what: vec![finding(invariant, key, message)] }
}

/// Nobody can say.
#[must_use]
pub fn unknown(message: &str) -> Verdict {
    Verdict::Unknown { why: vec![finding("", "", message)] }
}

fn finding(invariant: &str, key: &str, message: &str) -> Finding {
    Finding { invariant: invariant.to_owned(), key: key.to_owned(), message: message.to_owned() }
}

#[async_trait]
impl Verifier for FakeVerifier {
    fn can_prove(&self) -> bool {
        true
    }

    async fn verify(&self, request: &Verification) -> Verdict {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        tokio::time::sleep(self.delay).await;
        let at = usize::try_from(request.attempt).unwrap_or(0).checked_sub(1);
        let verdict = at.and_then(|at| self.verdicts.get(at));
        verdict.cloned().unwrap_or_else(|| unknown("the list is at its end"))
    }

    async fn healed(&self) {
        let mut healed = self.healed.subscribe();
        if healed.wait_for(|healed| *healed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
