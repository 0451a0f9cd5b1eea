//! Looking for itself: what the agent says is checked on fresh readings, while its container stands still.
//!
//! The order is that of everything that is done: that a check begins is on record before the container is paused, and
//! what it saw before anything follows from it. A controller that finds a beginning without an end looks anew, from
//! readings that begin then. The session's clock stands still in between, so that no budget of time loses a verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::driver::{Flow, Session, Stop};
use super::prompt;
use super::step::Step;
use super::transcript::TELL;
use super::verify::{Finding, PATIENCE, Proving, Verdict, Verification, Verifier};
use crate::audit::entry::{BegunVerification, EndedVerification, EntryBody, VerdictWord, VerificationEntry};
use crate::printable::short_line;

/// Findings that are kept of a check.
const MOST: usize = 32;
/// Characters of one finding's words.
const LONGEST: usize = 500;
/// How much later than it promised a verdict may come.
const LATE: Duration = Duration::from_secs(10);

impl Session {
    /// Looks whether the fault is gone, as the agent says.
    pub(super) async fn verify(&mut self, attempt: u32, is_begun: bool) -> Flow<()> {
        // As long as it takes, also where the wall time was over before.
        self.put_off();
        let Proving { attempts, stabilization_ms, .. } = self.frozen.proving;
        if !is_begun {
            let begun = BegunVerification { attempt, attempts, stabilization_ms };
            self.write(EntryBody::Verification(VerificationEntry::Begun(begun))).await?;
        }
        let cancel = self.cancel.clone();
        let verdict = cancel.run_until_cancelled(self.look(attempt)).await.ok_or(Stop::Cancelled)?;
        self.put_off();
        let ended = self.ended(attempt, verdict);
        self.write(EntryBody::Verification(VerificationEntry::Ended(ended))).await?;
        if matches!(self.next(), Step::Seal(_)) {
            // It is removed as it stands: nothing in it comes to life between the proof and the end.
            return Ok(());
        }
        if let Err(error) = self.orders.brake.hold(false).await {
            // A command that meets it so finds it lost, and it is replaced.
            tracing::warn!(session = %self.id, %error, "the agent's container stays paused after a check");
        }
        Ok(())
    }

    async fn look(&mut self, attempt: u32) -> Verdict {
        self.sandboxes.quiet().await;
        if let Err(error) = self.orders.brake.hold(true).await {
            return unknown(format!("the agent's container could not be paused: {error}"));
        }
        let proving = &self.frozen.proving;
        let (stabilization, must) = (proving.stabilization(), proving.must.clone());
        let limit = stabilization + PATIENCE + LATE;
        match timeout(limit, self.verifier.verify(&Verification { attempt, stabilization, must })).await {
            Ok(Verdict::Holds { seen: 0, .. }) => unknown("no reading was seen".to_owned()),
            Ok(verdict) => verdict,
            Err(_) => unknown(format!("no verdict came within {} s", limit.as_secs())),
        }
    }

    /// A verdict as it goes on record, with what the model is told if it may go on.
    fn ended(&self, attempt: u32, verdict: Verdict) -> EndedVerification {
        let (word, found, window, seen) = match verdict {
            Verdict::Holds { window, seen } => (VerdictWord::Holds, Vec::new(), window, seen),
            Verdict::Violated { what } => (VerdictWord::Violated, what, Duration::ZERO, 0),
            Verdict::Unknown { why } => (VerdictWord::Unknown, why, Duration::ZERO, 0),
        };
        let more = u64::try_from(found.len().saturating_sub(MOST)).unwrap_or(u64::MAX);
        let findings: Vec<Finding> = found.into_iter().take(MOST).map(|finding| self.kept(&finding)).collect();
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let mut ended =
            EndedVerification { attempt, verdict: word, findings, more, window_ms, seen, details: Value::Null };
        let proving = &self.frozen.proving;
        if word == VerdictWord::Violated && attempt < proving.attempts && self.state.last_turn.is_none() {
            ended.details = json!({TELL: self.refutation(&ended)});
        }
        ended
    }

    /// A finding as it is kept: it is made of what the system says of itself.
    fn kept(&self, finding: &Finding) -> Finding {
        let keep = |text: &str| short_line(&self.presenter.redactor.text(text).value, LONGEST);
        Finding { invariant: keep(&finding.invariant), key: keep(&finding.key), message: keep(&finding.message) }
    }

    fn refutation(&self, ended: &EndedVerification) -> String {
        let mut lines: Vec<String> = ended.findings.iter().map(|finding| format!("- {}", finding.line())).collect();
        if ended.more > 0 {
            lines.push(format!("- and {} more", ended.more));
        }
        let what = self.presenter.fence.around(&lines.join("\n"));
        prompt::refuted(&self.frozen.proving, ended.attempt, &what)
    }
}

fn unknown(message: String) -> Verdict {
    Verdict::Unknown { why: vec![Finding { message, ..Finding::default() }] }
}

/// Watches whether the system becomes well while the agent works.
pub(super) struct Healing {
    healed: Arc<AtomicBool>,
    _watch: Option<AbortOnDropHandle<()>>,
}

impl Healing {
    /// Watches, if there is something that was violated, and the agent does not know yet.
    pub(super) fn watch(verifier: Arc<dyn Verifier>, proving: &Proving, is_said: bool) -> Self {
        let healed = Arc::new(AtomicBool::new(false));
        let wanted = proving.provable && !proving.must.is_empty() && !is_said;
        let tell = healed.clone();
        let watch = wanted.then(|| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                verifier.healed().await;
                tell.store(true, Ordering::Relaxed);
            }))
        });
        Self { healed, _watch: watch }
    }

    /// Whether it became so.
    pub(super) fn is_seen(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }
}
