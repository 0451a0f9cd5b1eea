//! What is written back to an Incident. Pure: from what is known to the whole status, because
//! server-side apply deletes what its manager owned and leaves out.

use crds::condition::{ConditionStatus, set_condition};
use crds::incident::{AuditHead, RecentEntry, Tokens};
use crds::{Incident, IncidentPhase, IncidentStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::Plan;
use super::validate::Rejected;
use crate::agent::LastCheck;
use crate::agent::progress::printable;
use crate::audit::entry::VerdictWord;
use crate::notice::record::NOTIFIED;
use crate::printable::{paragraph, short_line};
use crate::session::SessionView;
use crate::session::queue::Why;
use crate::session::view::End;

/// Characters of a condition's message: the API server refuses it beyond 32 KiB, and a status should
/// be far below.
const MESSAGE: usize = 2000;
/// The reason while the whole installation is halted.
pub const HALTED: &str = "Halted";
/// The reason while it waits for its turn.
pub const QUEUED: &str = "Queued";
/// The condition that says whether the agent's word was proven.
pub const VERIFIED: &str = "Verified";

/// Why a session cannot start just now, though the Incident is fine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A CamelCase word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

/// The status of an Incident, built up from the one that stands there.
pub struct StatusBuilder {
    status: IncidentStatus,
    generation: Option<i64>,
    now: Timestamp,
}

impl StatusBuilder {
    /// Starts from the status that stands there. A new attempt starts afresh, but keeps the
    /// conditions, whose times tell when it changed.
    #[must_use]
    pub fn new(incident: &Incident, now: Timestamp) -> Self {
        let attempt = incident.spec.attempt;
        let old = incident.status.clone().unwrap_or_default();
        let mut status = if old.attempt == Some(attempt) {
            old
        } else {
            let conditions = old.conditions.into_iter().filter(|c| c.type_ == "Accepted").collect();
            IncidentStatus { conditions, ..IncidentStatus::default() }
        };
        status.attempt = Some(attempt);
        status.observed_generation = incident.metadata.generation;
        Self { status, generation: incident.metadata.generation, now }
    }

    /// The status that a plan leads to, where the plan alone says it.
    #[must_use]
    pub fn planned(mut self, plan: &Plan) -> IncidentStatus {
        match plan {
            Plan::Reject(Rejected { reason, message }) => {
                self.condition("Accepted", ConditionStatus::False, reason, message);
                self.pending(message);
            }
            Plan::Suspended => {
                let message = "the Subject is suspended (spec.suspend): the session starts when that ends";
                self.accepted();
                self.condition("SessionReady", ConditionStatus::False, "SubjectSuspended", message);
                self.pending(message);
            }
            Plan::Queue { position, why } => {
                let what = match why {
                    Why::SubjectBusy => "another session works on the same Subject",
                    Why::Limit => "as many sessions run as may run at once",
                };
                let message = format!("place {position} in the queue: {what}");
                self.accepted();
                self.condition("SessionReady", ConditionStatus::False, QUEUED, &message);
                self.pending(&message);
                self.status.queue_position = i64::try_from(*position).ok();
            }
            Plan::StopEarlier => {
                let message = "the session of an earlier attempt is being stopped";
                self.accepted();
                self.condition("SessionReady", ConditionStatus::False, "StoppingEarlierAttempt", message);
                self.pending(message);
            }
            Plan::CancelPending => {
                let message = "cancelled before a session began";
                self.finish(IncidentPhase::Cancelled, "Cancelled", message, self.now);
            }
            Plan::Halted(halt) => {
                let message = format!("{}: the session starts when that ends", halt.sentence());
                self.accepted();
                self.condition("SessionReady", ConditionStatus::False, HALTED, &message);
                self.pending(&message);
            }
            Plan::Leave | Plan::Adopt | Plan::Blocked | Plan::Start | Plan::Unplaced | Plan::Observe { .. } => {}
        }
        self.status
    }

    /// The status of an Incident whose session cannot start just now.
    #[must_use]
    pub fn waiting(mut self, trouble: &Trouble) -> IncidentStatus {
        self.accepted();
        self.condition("SessionReady", ConditionStatus::False, trouble.reason, &trouble.message);
        self.pending(&trouble.message);
        self.status
    }

    /// The status of an Incident with a session.
    #[must_use]
    pub fn observed(mut self, view: &SessionView) -> IncidentStatus {
        self.accepted();
        self.status.queue_position = None;
        self.session(view);
        match &view.end {
            None => self.running(view),
            Some(end) => self.ended(end),
        }
        self.status
    }

    fn session(&mut self, view: &SessionView) {
        // Until its row is read nothing is known of it, and an earlier controller may have said more.
        if view.id.is_none() {
            return;
        }
        let (status, progress) = (&mut self.status, &view.progress);
        status.session_id = view.id.as_ref().map(ToString::to_string).or(status.session_id.take());
        status.model = Some(view.model.clone()).filter(|model| !model.is_empty()).or(status.model.take());
        status.container.clone_from(&view.container);
        status.started_at = view.started_at.map(whole_seconds).or(status.started_at.take());
        status.notes_heard = Some(progress.notes).filter(|heard| *heard > 0);
        status.turns = Some(progress.turns);
        status.commands = Some(progress.commands);
        status.tokens = Some(Tokens {
            input: progress.input_tokens,
            output: progress.output_tokens,
            cached: progress.cached_tokens,
        });
        status.cost =
            Some(if progress.cost_known || progress.turns == 0 { progress.cost.to_string() } else { "unknown".into() });
        if let Some((seq, hash)) = view.head.entry {
            status.audit = Some(AuditHead {
                seq,
                hash: hash.to_string(),
                link: view.head.link.map(|link| link.n),
                link_hash: view.head.link.map(|link| link.hash.to_string()),
            });
        }
        if !progress.recent.is_empty() {
            let line = |line: &crate::agent::ProgressLine| RecentEntry {
                seq: line.seq,
                kind: line.kind.as_str().into(),
                at: whole_seconds(line.at),
                text: line.text.clone(),
            };
            status.recent_entries = progress.recent.iter().map(line).collect();
        }
    }

    fn running(&mut self, view: &SessionView) {
        let ready = match (&view.container, &view.sandbox_trouble, &view.progress.waiting) {
            _ if view.progress.halted.is_some() => {
                (ConditionStatus::False, HALTED, view.progress.halted.as_deref().unwrap_or_default())
            }
            (_, Some((reason, message)), _) => (ConditionStatus::False, *reason, message.as_str()),
            (Some(_), None, _) => {
                (ConditionStatus::True, "ContainerRunning", "the agent's container stands beside the subject")
            }
            // Nothing is made before the row stands, nor taken over before it is read.
            (None, None, Some(waiting)) if view.id.is_none() => {
                (ConditionStatus::False, "AuditUnavailable", waiting.as_str())
            }
            (None, None, _) => (ConditionStatus::Unknown, "ContainerStarting", "the agent's container is being made"),
        };
        self.condition("SessionReady", ready.0, ready.1, ready.2);
        let message = match (&view.progress.waiting, &view.sandbox_trouble, &view.progress.command) {
            _ if view.progress.halted.is_some() => view.progress.halted.clone().unwrap_or_default(),
            (Some(waiting), _, _) => waiting.clone(),
            (None, Some((_, trouble)), _) => trouble.clone(),
            (None, None, Some(command)) => format!("$ {}", command.text),
            (None, None, None) => "the model thinks".into(),
        };
        self.status.phase = IncidentPhase::Running;
        self.status.message = Some(printable(&message));
        if let Some(check) = &view.progress.check {
            self.checked(check, view.progress.halted.is_some());
        }
        let phase = self.status.phase.as_str();
        self.condition("Finished", ConditionStatus::False, phase, "");
    }

    /// What the last check of the agent's word says of a session that goes on.
    fn checked(&mut self, check: &LastCheck, halted: bool) {
        match check.verdict {
            Some(VerdictWord::Violated) => {
                self.condition(VERIFIED, ConditionStatus::False, "Violated", &check.text);
                return;
            }
            None => self.condition(VERIFIED, ConditionStatus::Unknown, "Verifying", &check.text),
            // The end says it in a moment.
            Some(VerdictWord::Holds | VerdictWord::Unknown) => {}
        }
        self.status.phase = IncidentPhase::Verifying;
        if !halted {
            self.status.message = Some(check.text.clone());
        }
    }

    fn ended(&mut self, end: &End) {
        self.status.root_cause = end.root_cause.as_deref().map(printable);
        self.status.summary = end.summary.as_deref().map(paragraph);
        self.status.follow_up = end.follow_up.as_deref().map(paragraph);
        self.status.container = None;
        let (concluded, said) = match end.phase {
            IncidentPhase::Concluded | IncidentPhase::Resolved => {
                (ConditionStatus::True, "the agent says that the fault is gone")
            }
            IncidentPhase::Escalated if end.reason == "Unresolved" => {
                (ConditionStatus::True, "the agent says that the fault is not gone")
            }
            IncidentPhase::Escalated if matches!(end.reason.as_str(), "NotVerified" | "Unproven") => {
                (ConditionStatus::True, "the agent says that the fault is gone, and that was not proven")
            }
            _ => (ConditionStatus::False, "the agent came to no conclusion"),
        };
        self.condition("Concluded", concluded, &end.reason, said);
        self.condition(
            "SessionReady",
            ConditionStatus::False,
            "SessionEnded",
            "the session is over and its container removed",
        );
        self.proven(end);
        self.finish(end.phase, &end.reason, &end.message, end.at);
    }

    /// Whether the agent's word was proven, at the end.
    fn proven(&mut self, end: &End) {
        let unproven = "the Subject declares no invariants, so nothing could prove what the agent says";
        match (end.phase, end.reason.as_str()) {
            (IncidentPhase::Resolved, _) => {
                self.condition(VERIFIED, ConditionStatus::True, "InvariantsHeld", &end.message);
            }
            (IncidentPhase::Concluded, _) => {
                self.condition(VERIFIED, ConditionStatus::Unknown, "NoInvariants", unproven);
            }
            (IncidentPhase::Escalated, "NotVerified") => {
                self.condition(VERIFIED, ConditionStatus::False, "NotVerified", &end.message);
            }
            (IncidentPhase::Escalated, "Unproven") => {
                self.condition(VERIFIED, ConditionStatus::Unknown, "Unproven", &end.message);
            }
            _ if self.is_verifying() => {
                let message = "the session ended before the check of the agent's word did";
                self.condition(VERIFIED, ConditionStatus::Unknown, "Interrupted", message);
            }
            // What an earlier check saw stands.
            _ => {}
        }
    }

    fn is_verifying(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.type_ == VERIFIED && condition.reason == "Verifying")
    }

    fn finish(&mut self, phase: IncidentPhase, reason: &str, message: &str, at: Timestamp) {
        self.status.phase = phase;
        self.status.message = Some(printable(message));
        self.status.finished_at = Some(whole_seconds(at));
        self.status.queue_position = None;
        // The reason of Finished is the phase; why it came to that is in the message.
        let why = if reason == phase.as_str() { message.to_owned() } else { format!("{reason}: {message}") };
        self.condition("Finished", ConditionStatus::True, phase.as_str(), &why);
    }

    fn accepted(&mut self) {
        self.condition("Accepted", ConditionStatus::True, "Valid", "the Incident and its Subject can be worked on");
    }

    fn pending(&mut self, message: &str) {
        self.status.phase = IncidentPhase::Pending;
        self.status.message = Some(printable(message));
        self.status.queue_position = None;
        self.condition("Finished", ConditionStatus::False, "Pending", "");
    }

    fn condition(&mut self, type_: &str, status: ConditionStatus, reason: &str, message: &str) {
        let message = short_line(message, MESSAGE);
        set_condition(&mut self.status.conditions, type_, status, reason, &message, self.generation, self.now);
    }
}

/// A status without what another manager writes: who was told that a person is needed ([`crate::notice::desk`]).
#[must_use]
pub fn of_reconcile(status: &IncidentStatus) -> IncidentStatus {
    let conditions = status.conditions.iter().filter(|condition| condition.type_ != NOTIFIED).cloned().collect();
    IncidentStatus { conditions, notices: Vec::new(), ..status.clone() }
}

/// The API server keeps whole seconds; a finer time would differ from what is read back.
fn whole_seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::SessionEnd;

    fn running() -> Incident {
        let yaml = "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {name: i, namespace: ns}\n\
                    spec: {title: t, subjectRef: {name: s}}\n\
                    status: {phase: Running, attempt: 1, sessionId: one, turns: 3, cost: $0.07, container: c}";
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn condition(status: &IncidentStatus, type_: &str) -> (String, String) {
        let found = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
        (found.status.clone(), found.reason.clone())
    }

    #[test]
    fn a_session_whose_row_cannot_be_read_says_so_and_forgets_nothing() {
        let mut view = SessionView::default();
        view.progress.waiting = Some("the audit store is unavailable".into());
        let status = StatusBuilder::new(&running(), Timestamp::UNIX_EPOCH).observed(&view);
        assert_eq!(status.phase, IncidentPhase::Running);
        assert_eq!(status.message.as_deref(), Some("the audit store is unavailable"));
        assert_eq!(condition(&status, "SessionReady"), ("False".into(), "AuditUnavailable".into()));
        assert_eq!((status.turns, status.cost.as_deref()), (Some(3), Some("$0.07")));
        assert_eq!(status.session_id.as_deref(), Some("one"));
    }

    #[test]
    fn a_check_of_the_agents_word_shows_from_its_beginning_to_the_end() {
        let check = |verdict: Option<VerdictWord>, text: &str| {
            let mut view = SessionView { id: Some("one".to_owned().into()), ..SessionView::default() };
            view.progress.check = Some(LastCheck { verdict, text: text.into() });
            view
        };
        let ended = |phase: IncidentPhase, reason: &str| {
            let mut view = check(Some(VerdictWord::Violated), "violated: up[n2]: it is down");
            let end = SessionEnd::Cancelled { message: "m".into(), findings: None };
            view.end = Some(End { phase, reason: reason.into(), ..End::of(&end, Timestamp::UNIX_EPOCH) });
            view
        };
        let what = "invariants must hold for 15 s, seen fresh; attempt 1 of 3";
        let mut incident = running();
        let mut see = |view: &SessionView| {
            let status = StatusBuilder::new(&incident, Timestamp::UNIX_EPOCH).observed(view);
            incident.status = Some(status.clone());
            let found = status.conditions.iter().find(|condition| condition.type_ == VERIFIED).unwrap();
            (status.phase, found.status.clone(), found.reason.clone(), status.message.unwrap_or_default())
        };
        let (phase, status, reason, message) = see(&check(None, what));
        assert_eq!((phase, status.as_str(), reason.as_str()), (IncidentPhase::Verifying, "Unknown", "Verifying"));
        assert_eq!(message, what);
        let (phase, status, reason, _) = see(&check(Some(VerdictWord::Violated), "violated: up[n2]: it is down"));
        assert_eq!((phase, status.as_str(), reason.as_str()), (IncidentPhase::Running, "False", "Violated"));
        // A person cancels while it goes on after that: what was seen stands.
        let (_, status, reason, _) = see(&ended(IncidentPhase::Cancelled, "Cancelled"));
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Violated"));
        for (phase, reason, verified, why) in [
            (IncidentPhase::Resolved, "Resolved", "True", "InvariantsHeld"),
            (IncidentPhase::Escalated, "NotVerified", "False", "NotVerified"),
            (IncidentPhase::Escalated, "Unproven", "Unknown", "Unproven"),
            (IncidentPhase::Concluded, "Concluded", "Unknown", "NoInvariants"),
        ] {
            let (now, status, reason, _) = see(&ended(phase, reason));
            assert_eq!((now, status.as_str(), reason.as_str()), (phase, verified, why));
        }
        see(&check(None, what));
        let (_, status, reason, _) = see(&ended(IncidentPhase::Failed, "AuditUnavailable"));
        assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "Interrupted"));
    }

    #[test]
    fn nothing_that_the_agent_says_reorders_a_line() {
        let end = End {
            phase: IncidentPhase::Concluded,
            reason: "Concluded".into(),
            message: "done\u{202e}".into(),
            root_cause: Some("disk\u{202e} lluf\u{2066}".into()),
            summary: Some("one\u{200b}\ntwo\u{1b}[2J".into()),
            follow_up: Some("\u{2067}none".into()),
            at: Timestamp::UNIX_EPOCH,
        };
        let view = SessionView { id: Some("one".to_owned().into()), end: Some(end), ..SessionView::default() };
        let status = StatusBuilder::new(&running(), Timestamp::UNIX_EPOCH).observed(&view);
        let all = serde_json::to_string(&status).unwrap();
        assert!(!all.chars().any(crate::printable::is_dangerous), "{all}");
        assert_eq!(status.summary.as_deref(), Some("one\\u{200b}\ntwo\\x1b[2J"));
    }
}
