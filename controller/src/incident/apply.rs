//! The effects of a plan: sessions start and stop, the status and the Events are written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::{Incident, IncidentPhase, IncidentStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use super::Error;
use super::dereference::{self, dereference};
use super::places::{is_news, pending_reason};
use super::plan::{Known, Plan, is_finished, plan};
use super::status::{HALTED, QUEUED, StatusBuilder, Trouble, VERIFIED, of_reconcile};
use super::validate::{Accepted, validate};
use crate::audit::AuditError;
use crate::context::Context;
use crate::metrics::Metrics;
use crate::sandbox::SandboxPlan;
use crate::session::engine::Room;
use crate::session::task::{self, Work};
use crate::session::{SessionKey, adopt};
use crate::status::{Urgency, Written};

/// A queued or waiting Incident looks again after this long, should an event be lost.
const LOOK_AGAIN: Duration = Duration::from_mins(1);
/// After a start that failed for want of the engine, the project or the image.
const RETRY_START: Duration = Duration::from_secs(10);
/// How long the engine may take to say what it has; a missing image is pulled meanwhile.
const PREFLIGHT_LIMIT: Duration = Duration::from_secs(90);

/// Reconciles an Incident that is not being deleted.
pub async fn apply(incident: &Incident, context: &Arc<Context>) -> Result<Action, Error> {
    let key = SessionKey { uid: incident.uid().unwrap_or_default(), attempt: incident.spec.attempt };
    if is_finished(incident) {
        // Of thousands that ended nothing is asked, neither here nor elsewhere. What stands in the cache stands in the
        // API server: the session is not needed any more.
        context.engine.forget(&key);
        context.places.forget(&key.uid);
        return Ok(Action::await_change());
    }
    let neighbours = dereference(incident, context).await?;
    let validated = validate(incident, &neighbours, &context.defaults);
    let known = Known {
        validated: &validated,
        view: context.engine.view(&key),
        expected: context.engine.is_expected(&key),
        earlier_runs: context.engine.cancel_others(&key.uid, Some(key.attempt)),
        blocked: context.engine.is_blocked(&key),
        halted: context.halted(),
        turn: &|most| context.turn(incident, most),
    };
    let plan = plan(incident, known);
    tracing::debug!(incident = %ObjectRef::from_obj(incident), ?plan, "plan");
    let builder = StatusBuilder::new(incident, Timestamp::now());
    match &plan {
        Plan::Leave => Ok(Action::await_change()),
        Plan::Observe { view, cancel } => {
            if *cancel {
                context.engine.cancel(&key);
            }
            context.engine.tell(&key, &incident.spec);
            if view.end.is_some() {
                context.dispatch.stale();
            }
            write(incident, context, builder.observed(view)).await
        }
        Plan::Blocked => Ok(Action::requeue(RETRY_START)),
        // The queue wakes it when it has a place.
        Plan::Unplaced => Ok(Action::requeue(LOOK_AGAIN)),
        Plan::StopEarlier => {
            write(incident, context, builder.planned(&plan)).await?;
            Ok(Action::requeue(Duration::from_millis(500)))
        }
        Plan::Adopt => {
            take_up(incident, context, &key, validated.as_ref().ok()).await;
            Ok(Action::requeue(LOOK_AGAIN))
        }
        Plan::Start => match &validated {
            Ok(accepted) => start(incident, context, &key, accepted, builder).await,
            Err(_) => Ok(Action::requeue(LOOK_AGAIN)),
        },
        Plan::Queue { .. } => {
            let status = builder.planned(&plan);
            if incident.status.as_ref() == Some(&status) {
                return Ok(Action::requeue(LOOK_AGAIN));
            }
            // A place moves with each session that ends; that is news once a minute.
            match context.places.ask(&key.uid, incident.status.as_ref(), &status, Instant::now()) {
                Ok(()) => write(incident, context, status).await,
                Err(wait) => Ok(Action::requeue(wait)),
            }
        }
        Plan::Reject(_) | Plan::Suspended | Plan::Halted(_) | Plan::CancelPending => {
            write(incident, context, builder.planned(&plan)).await
        }
    }
}

/// Checks that all is there, then starts the session's task; what is missing goes into the status.
async fn start(
    incident: &Incident,
    context: &Arc<Context>,
    key: &SessionKey,
    accepted: &Accepted,
    builder: StatusBuilder,
) -> Result<Action, Error> {
    let room = Room::New { most: accepted.most_sessions };
    let Some(seat) = context.engine.reserve(key, &accepted.subject, ObjectRef::from_obj(incident), room) else {
        // Another reconcile was faster, and the queue is put in order again.
        context.dispatch.stale();
        return Ok(Action::requeue(Duration::from_secs(1)));
    };
    context.dispatch.stale();
    context.engine.tell(key, &incident.spec);
    let earlier = dereference::earlier(incident, context).await;
    let work = Work::new(incident, accepted, &earlier, context);
    match preflight(context, &work).await {
        Ok(plan) => {
            context.engine.spawn(key, task::run(context.clone(), work, plan, seat));
            Ok(Action::requeue(LOOK_AGAIN))
        }
        Err(trouble) => {
            context.engine.release(key, RETRY_START);
            context.dispatch.stale();
            write(incident, context, builder.waiting(&trouble)).await?;
            Ok(Action::requeue(RETRY_START))
        }
    }
}

/// Whether the audit store and the engine are there, and what the engine has of the subject. A session in which nothing
/// is tried needs the store alone.
async fn preflight(context: &Context, work: &Work) -> Result<SandboxPlan, Trouble> {
    if work.input.recurring.is_some() {
        context.audit.ping().await.map_err(|error| no_store(&error))?;
        return Ok(SandboxPlan::unused(&work.request));
    }
    let sandbox = tokio::time::timeout(PREFLIGHT_LIMIT, context.sandboxes.preflight(&work.request));
    let (audit, sandbox) = tokio::join!(context.audit.ping(), sandbox);
    audit.map_err(|error| no_store(&error))?;
    let used_up = context.spending.used_up().await.map_err(|error| Trouble {
        reason: "AuditUnavailable",
        message: format!("what was spent today cannot be read: {}; trying again", crate::error::chain(&error)),
    })?;
    if let Some(message) = used_up {
        return Err(Trouble { reason: "DailyBudget", message });
    }
    let late = |_| Trouble {
        reason: "EngineUnavailable",
        message: format!("the Docker engine did not answer within {PREFLIGHT_LIMIT:?}; trying again"),
    };
    sandbox.map_err(late)?.map_err(|error| Trouble { reason: error.category(), message: crate::error::chain(&error) })
}

fn no_store(error: &AuditError) -> Trouble {
    let message = format!("nothing runs without an audit trail: {}; trying again", crate::error::chain(error));
    Trouble { reason: "AuditUnavailable", message }
}

/// Goes on with the session of an earlier controller. One that was cancelled meanwhile ends, and does nothing before.
async fn take_up(incident: &Incident, context: &Arc<Context>, key: &SessionKey, accepted: Option<&Accepted>) {
    let subject = format!("{}/{}", incident.namespace().unwrap_or_default(), incident.spec.subject_ref.name);
    let object = ObjectRef::from_obj(incident);
    let Some(seat) = context.engine.reserve(key, &subject, object, Room::Standing) else { return };
    context.dispatch.stale();
    context.engine.tell(key, &incident.spec);
    if incident.spec.cancel == Some(key.attempt) {
        seat.cancel.cancel();
    }
    let fallback = match accepted {
        Some(accepted) => {
            let earlier = dereference::earlier(incident, context).await;
            Some(Work::new(incident, accepted, &earlier, context))
        }
        None => None,
    };
    let incident = Arc::new(incident.clone());
    context.engine.spawn(key, adopt::adopt(context.clone(), incident, key.attempt, fallback, seat));
}

/// Writes a status if it says something new, and the Events of what changed.
async fn write(incident: &Incident, context: &Arc<Context>, status: IncidentStatus) -> Result<Action, Error> {
    let old = incident.status.as_ref();
    if old == Some(&status) {
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    let urgency = is_news(old, &status).unwrap_or(Urgency::Progress);
    match context.status.write(incident, &of_reconcile(&status), urgency).await? {
        Written::Later(wait) => Ok(Action::requeue(wait)),
        Written::Gone => Ok(Action::await_change()),
        Written::Yes => {
            announce(incident, context, old, &status).await;
            if old.map(|old| old.phase) != Some(status.phase) {
                context.wake_subject_of(incident);
            }
            Ok(Action::requeue(LOOK_AGAIN))
        }
    }
}

/// Events for what was seen of the system after the agent said that the fault is gone.
async fn announce_check(incident: &Incident, context: &Context, old: Option<&IncidentStatus>, new: &IncidentStatus) {
    let (was, is) = (old.and_then(verified), verified(new));
    // Each check that fails is said: a second one differs from the first in what it saw.
    let Some(check) = is.filter(|is| was.is_none_or(|was| (&was.reason, &was.message) != (&is.reason, &is.message)))
    else {
        return;
    };
    match check.status.as_str() {
        "True" => context.events.normal(incident, "Verified", "Verify", &check.message).await,
        "False" => context.events.warning(incident, "NotVerified", "Verify", &check.message).await,
        _ => {}
    }
}

fn verified(status: &IncidentStatus) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == VERIFIED)
}

/// Events for what changed.
async fn announce(incident: &Incident, context: &Context, old: Option<&IncidentStatus>, new: &IncidentStatus) {
    let attempt = old.filter(|old| old.attempt == new.attempt);
    let message = new.message.clone().unwrap_or_default();
    if new.phase == IncidentPhase::Pending {
        let now = pending_reason(new);
        let Some(now) = now.filter(|now| attempt.and_then(pending_reason) != Some(now)) else { return };
        if now == QUEUED {
            context.events.normal(incident, QUEUED, "Queue", &message).await;
        } else {
            context.events.warning(incident, now, "Start", &message).await;
        }
        return;
    }
    let halted = |status: &IncidentStatus| pending_reason(status) == Some(HALTED);
    match (attempt.is_some_and(halted), halted(new)) {
        (false, true) => context.events.warning(incident, HALTED, "Halt", &message).await,
        (true, false) => context.events.normal(incident, "Released", "Halt", "the installation goes on").await,
        _ => {}
    }
    if attempt.is_none_or(|old| old.session_id.is_none()) && new.session_id.is_some() {
        let session = new.session_id.clone().unwrap_or_default();
        let note = format!("session {session} with model {}", new.model.clone().unwrap_or_default());
        context.events.normal(incident, "SessionStarted", "Start", &note).await;
    }
    announce_check(incident, context, attempt, new).await;
    if !new.phase.is_finished() || attempt.is_some_and(|old| old.phase.is_finished()) {
        return;
    }
    Metrics::count(&context.metrics.ended, new.phase.as_str());
    match new.phase {
        IncidentPhase::Resolved | IncidentPhase::Concluded | IncidentPhase::Cancelled => {
            context.events.normal(incident, new.phase.as_str(), "Finish", &message).await;
        }
        _ => context.events.warning(incident, new.phase.as_str(), "Finish", &message).await,
    }
}
