//! What to do about an Incident. Pure: a decision over what is known, tested without a client.

use crds::{Incident, IncidentPhase};

use super::validate::{Accepted, Rejected};
use crate::halt::Halt;
use crate::session::SessionView;
use crate::session::queue::{Turn, Why};

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// The attempt is over and its end stands in the status.
    Leave,
    /// The session runs or has just ended: show it. `cancel` asks it to stop first.
    Observe {
        /// The session.
        view: Box<SessionView>,
        /// Whether a person cancelled this attempt.
        cancel: bool,
    },
    /// A session of an earlier controller: it is gone on with, or its row says how it ended.
    Adopt,
    /// It cannot be worked on as it stands.
    Reject(Rejected),
    /// A person cancelled it before it began.
    CancelPending,
    /// The Subject is in maintenance.
    Suspended,
    /// The whole installation is halted.
    Halted(Halt),
    /// It waits, and the queue has no place for it yet.
    Unplaced,
    /// Another one first.
    Queue {
        /// Its place, from 1.
        position: usize,
        /// What it waits for.
        why: Why,
    },
    /// A session of an earlier attempt has not ended yet: stop it, and wait.
    StopEarlier,
    /// It tried to start a moment ago and could not: the status says why.
    Blocked,
    /// Start a session.
    Start,
}

/// What is known besides the Incident.
pub struct Known<'a> {
    /// What the validation said.
    pub validated: &'a Result<Accepted, Rejected>,
    /// The session of this attempt, if this controller has it.
    pub view: Option<SessionView>,
    /// Whether the audit store says that an earlier controller's session of this attempt runs, also if that
    /// controller did not come to write the status.
    pub expected: bool,
    /// Whether a session of another attempt of this Incident still runs.
    pub earlier_runs: bool,
    /// Whether a start failed a moment ago.
    pub blocked: bool,
    /// The halt of the whole installation, if there is one.
    pub halted: Option<Halt>,
    /// The queue's word, for so many sessions of the Subject. Asked only when nothing else stands in the way.
    pub turn: &'a dyn Fn(usize) -> Turn,
}

/// Decides.
#[must_use]
pub fn plan(incident: &Incident, known: Known<'_>) -> Plan {
    let attempt = incident.spec.attempt;
    let cancelled = incident.spec.cancel == Some(attempt);
    let status = incident.status.as_ref();
    let of_this_attempt = status.filter(|status| status.attempt == Some(attempt));
    if is_finished(incident) {
        return Plan::Leave;
    }
    if let Some(view) = known.view {
        return Plan::Observe { view: Box::new(view), cancel: cancelled };
    }
    if known.earlier_runs {
        return Plan::StopEarlier;
    }
    let is_running = of_this_attempt.is_some_and(|status| {
        status.session_id.is_some() && matches!(status.phase, IncidentPhase::Running | IncidentPhase::Verifying)
    });
    if known.expected || is_running {
        return Plan::Adopt;
    }
    if cancelled {
        return Plan::CancelPending;
    }
    match known.validated {
        Err(rejected) => Plan::Reject(rejected.clone()),
        Ok(accepted) if accepted.suspended => Plan::Suspended,
        Ok(_) if known.halted.is_some() => known.halted.map_or(Plan::Unplaced, Plan::Halted),
        Ok(_) if known.blocked => Plan::Blocked,
        Ok(accepted) => match (known.turn)(accepted.most_sessions) {
            Turn::Start => Plan::Start,
            Turn::Wait { position, why } => Plan::Queue { position, why },
            Turn::Unplaced => Plan::Unplaced,
        },
    }
}

/// Whether the attempt is over and its end stands in the status.
#[must_use]
pub fn is_finished(incident: &Incident) -> bool {
    let attempt = incident.spec.attempt;
    incident.status.as_ref().is_some_and(|status| status.attempt == Some(attempt) && status.phase.is_finished())
}

/// Whether an Incident stands in the queue, as far as its own fields say.
#[must_use]
pub fn is_waiting(incident: &Incident) -> bool {
    let attempt = incident.spec.attempt;
    let begun = incident
        .status
        .as_ref()
        .is_some_and(|status| status.attempt == Some(attempt) && status.phase != IncidentPhase::Pending);
    !begun && incident.metadata.deletion_timestamp.is_none() && incident.spec.cancel != Some(attempt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Budgets;

    fn incident(spec: &str, status: &str) -> Incident {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: i, namespace: ns}}\nspec: {{title: t, subjectRef: {{name: s}}, {spec}}}\nstatus: {status}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    #[allow(clippy::unnecessary_wraps)] // as the plan is given it
    fn accepted(suspended: bool) -> Result<Accepted, Rejected> {
        Ok(Accepted {
            subject: "ns/s".into(),
            project: "p".into(),
            description: String::new(),
            suspended,
            most_sessions: 1,
            model: "m".into(),
            image: "i".into(),
            budgets: Budgets::default(),
            access: crate::sandbox::Access::default(),
            egress: Vec::new(),
            proving: crate::agent::Proving::default(),
            recurrence: crate::incident::validate::Recurrence { limit: 2, window: std::time::Duration::ZERO },
        })
    }

    fn decide(incident: &Incident, validated: &Result<Accepted, Rejected>, view: Option<SessionView>) -> Plan {
        let known = Known {
            validated,
            view,
            expected: false,
            earlier_runs: false,
            blocked: false,
            halted: None,
            turn: &|_| Turn::Start,
        };
        plan(incident, known)
    }

    #[test]
    fn a_new_incident_starts_and_a_finished_one_is_left_alone() {
        assert_eq!(decide(&incident("attempt: 1", "{}"), &accepted(false), None), Plan::Start);
        let done = incident("attempt: 1", "{phase: Concluded, attempt: 1}");
        assert_eq!(decide(&done, &accepted(false), None), Plan::Leave);
        let again = incident("attempt: 2", "{phase: Concluded, attempt: 1}");
        assert_eq!(decide(&again, &accepted(false), None), Plan::Start);
    }

    #[test]
    fn a_running_one_of_an_earlier_controller_is_adopted_whatever_became_of_its_subject() {
        let running = incident("attempt: 1", "{phase: Running, attempt: 1, sessionId: x}");
        let gone = Err(Rejected { reason: "SubjectNotFound", message: String::new() });
        assert_eq!(decide(&running, &gone, None), Plan::Adopt);
    }

    #[test]
    fn a_session_that_only_the_audit_store_knows_is_adopted_before_anything_else() {
        let known = |validated| Known {
            validated,
            view: None,
            expected: true,
            earlier_runs: false,
            blocked: false,
            halted: None,
            turn: &|_| Turn::Start,
        };
        let gone = Err(Rejected { reason: "SubjectNotFound", message: String::new() });
        let cancelled = incident("attempt: 1, cancel: 1", "{}");
        let suspended = accepted(true);
        assert_eq!(plan(&cancelled, known(&suspended)), Plan::Adopt);
        assert_eq!(plan(&cancelled, known(&gone)), Plan::Adopt);
        let done = incident("attempt: 1", "{phase: Cancelled, attempt: 1}");
        assert_eq!(plan(&done, known(&gone)), Plan::Leave);
    }

    #[test]
    fn cancel_names_the_attempt() {
        let pending = incident("attempt: 2, cancel: 2", "{}");
        assert_eq!(decide(&pending, &accepted(false), None), Plan::CancelPending);
        let other = incident("attempt: 2, cancel: 1", "{}");
        assert_eq!(decide(&other, &accepted(false), None), Plan::Start);
        let Plan::Observe { cancel, .. } = decide(&pending, &accepted(false), Some(SessionView::default())) else {
            unreachable!("a session is there")
        };
        assert!(cancel);
    }

    #[test]
    fn maintenance_holds_it_back() {
        assert_eq!(decide(&incident("attempt: 1", "{}"), &accepted(true), None), Plan::Suspended);
    }

    #[test]
    fn an_earlier_attempt_is_stopped_first() {
        let again = incident("attempt: 2", "{phase: Running, attempt: 1, sessionId: x}");
        let known = Known {
            validated: &accepted(false),
            view: None,
            expected: false,
            earlier_runs: true,
            blocked: false,
            halted: None,
            turn: &|_| Turn::Start,
        };
        assert_eq!(plan(&again, known), Plan::StopEarlier);
    }

    #[test]
    fn a_halt_holds_back_what_waits_and_not_what_a_person_ends() {
        let halt = Halt { by: Some("jane".into()), ..Halt::default() };
        let planned = |incident: &Incident, validated: &Result<Accepted, Rejected>| {
            let halted = Some(halt.clone());
            plan(
                incident,
                Known {
                    validated,
                    view: None,
                    expected: false,
                    earlier_runs: false,
                    blocked: false,
                    halted,
                    turn: &|_| Turn::Start,
                },
            )
        };
        assert_eq!(planned(&incident("attempt: 1", "{}"), &accepted(false)), Plan::Halted(halt.clone()));
        assert_eq!(planned(&incident("attempt: 1", "{}"), &accepted(true)), Plan::Suspended);
        assert_eq!(planned(&incident("attempt: 1, cancel: 1", "{}"), &accepted(false)), Plan::CancelPending);
    }

    #[test]
    fn who_has_no_place_yet_waits_for_one() {
        let validated = accepted(false);
        let known = Known {
            validated: &validated,
            view: None,
            expected: false,
            earlier_runs: false,
            blocked: false,
            halted: None,
            turn: &|most| if most == 1 { Turn::Unplaced } else { Turn::Start },
        };
        assert_eq!(plan(&incident("attempt: 1", "{}"), known), Plan::Unplaced);
    }
}
