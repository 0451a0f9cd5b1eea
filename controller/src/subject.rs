//! The reconciler of `Subject`: whether it can be looked after, how many Incidents it has, what the monitor sees of it,
//! and which of its containers would give the host away.

mod host_access;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crds::condition::{ConditionStatus, set_condition};
use crds::subject::SubjectStatus;
use crds::{Incident, Subject};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use crate::alert::matching::Rules;
use crate::context::Context;
use crate::incident::validate::Rejected;
use crate::monitor;
use crate::monitor::order::Order;
use crate::monitor::watched::Snapshot;
use crate::printable::short_line;
use crate::sandbox::{HostAccess, SandboxError};
use crate::status::{StatusError, Urgency, Written};
use crate::tenancy::Tenants;

/// The condition that says whether the rules for alerts can be understood.
const ALERTS: &str = "Alerts";

/// The containers of a project come and go without an event here.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// The compose project of a Subject, or why it cannot be looked after. Pure.
pub fn project<'a>(subject: &'a Subject, tenants: &Tenants) -> Result<&'a str, Rejected> {
    let project = named(subject)?;
    tenants.project(&subject.namespace().unwrap_or_default(), project)?;
    Ok(project)
}

/// The compose project that a Subject names.
fn named(subject: &Subject) -> Result<&str, Rejected> {
    match (&subject.spec.r#where.docker, &subject.spec.r#where.kubernetes) {
        (Some(docker), None) => Ok(&docker.project),
        (None, Some(_)) => Err(Rejected {
            reason: "NotSupported",
            message: "where.kubernetes is not supported by this version: name a compose project in where.docker".into(),
        }),
        _ => Err(Rejected {
            reason: "WhereMissing",
            message: "say where the system runs: exactly one of where.docker and where.kubernetes".into(),
        }),
    }
}

/// Reconciles one Subject.
pub async fn reconcile(subject: Arc<Subject>, context: Arc<Context>) -> Result<Action, StatusError> {
    let object = ObjectRef::from_obj(&*subject);
    let outside = monitor::kubernetes::outside(&context);
    if !context.serves(&subject.metadata) || subject.metadata.deletion_timestamp.is_some() {
        context.watch.tend(&object, None, &outside);
        return Ok(Action::await_change());
    }
    let namespace = subject.namespace().unwrap_or_default();
    context.wake_incidents_of(&subject);
    let order = Order::new(&subject, &context.defaults);
    context.watch.tend(&object, order.as_ref().ok().cloned(), &outside);
    let known = Known {
        incidents: monitor::known::Known::all(&context.incidents_of(&namespace, &subject.name_any())),
        watched: match order {
            Ok(_) => Seen::Watched(context.watch.of(&object).and_then(|watched| watched.published())),
            Err(why) => Seen::Not(why),
        },
    };
    let open = known.open();
    let tenants = &context.defaults.config.tenants;
    let status = status(&subject, tenants, &known, Timestamp::now());
    // First what needs no engine, so that an absent one delays nothing.
    match write(&subject, subject.status.as_ref(), &status, &context).await? {
        Written::Yes => {}
        Written::Later(wait) => return Ok(Action::requeue(wait)),
        Written::Gone => return Ok(Action::await_change()),
    }
    // A Subject that is not accepted learns nothing of the project that it names: it may be another tenant's.
    let Ok(project) = project(&subject, tenants) else { return Ok(Action::await_change()) };
    // What is watched has the status written often; the engine is asked now and then.
    if let Some(wait) = context.looks.ask(&object, (subject.metadata.generation, open), Instant::now()) {
        return Ok(Action::requeue(wait));
    }
    let found = host_access::look(&*context.sandboxes, project).await;
    let looked = with_host_access(&subject, status.clone(), &found, Timestamp::now());
    match write(&subject, Some(&status), &looked, &context).await? {
        Written::Yes => Ok(Action::requeue(LOOK_AGAIN)),
        Written::Later(wait) => {
            context.looks.forget(&object);
            Ok(Action::requeue(wait))
        }
        Written::Gone => Ok(Action::await_change()),
    }
}

/// When the engine was last asked about the containers of each Subject, and what was known of it then.
#[derive(Debug, Default)]
pub struct Looks(Mutex<HashMap<ObjectRef<Subject>, (Instant, Stand)>>);

/// A Subject's generation, and how many Incidents of it are open: with another one the engine is asked anew.
type Stand = (Option<i64>, usize);

impl Looks {
    /// Whether it is to be asked now, which then counts; else after which time.
    fn ask(&self, subject: &ObjectRef<Subject>, stand: Stand, now: Instant) -> Option<Duration> {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last =
            looks.get(subject).filter(|(_, then)| *then == stand).map(|(at, _)| now.saturating_duration_since(*at));
        let wait = last.and_then(|since| LOOK_AGAIN.checked_sub(since)).filter(|wait| !wait.is_zero());
        if wait.is_none() {
            looks.insert(subject.clone(), (now, stand));
        }
        wait
    }

    fn forget(&self, subject: &ObjectRef<Subject>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
    }
}

/// Writes a status if it differs from the one that stands there.
async fn write(
    subject: &Subject,
    old: Option<&SubjectStatus>,
    new: &SubjectStatus,
    context: &Context,
) -> Result<Written, StatusError> {
    if old == Some(new) {
        return Ok(Written::Yes);
    }
    let urgency = if old.is_none_or(|old| is_news(old, new)) { Urgency::Now } else { Urgency::Progress };
    context.status.write(subject, new, urgency).await
}

/// Whether a status says more than other words.
fn is_news(old: &SubjectStatus, new: &SubjectStatus) -> bool {
    let states = |status: &SubjectStatus| -> Vec<_> {
        let of = |invariant: &crds::subject::InvariantStatus| (invariant.name.clone(), invariant.state);
        status.invariants.iter().map(of).collect()
    };
    old.conditions != new.conditions || states(old) != states(new)
}

/// What is known of a Subject beside itself.
struct Known {
    incidents: Vec<monitor::known::Known>,
    watched: Seen,
}

/// What the monitor sees of it.
enum Seen {
    /// This; nothing yet if there is nothing.
    Watched(Option<Arc<Snapshot>>),
    /// It is not watched.
    Not(Rejected),
}

impl Known {
    fn open(&self) -> usize {
        self.incidents.iter().filter(|incident| !incident.has_ended()).count()
    }
}

/// The status of a Subject. Pure.
fn status(subject: &Subject, tenants: &Tenants, known: &Known, now: Timestamp) -> SubjectStatus {
    // Until the monitor has something to say, what it said before stands.
    let mut status = subject.status.clone().unwrap_or_default();
    let generation = subject.metadata.generation;
    let (holds, reason, message) = match project(subject, tenants) {
        Ok(project) => (ConditionStatus::True, "Valid", format!("compose project {project}")),
        Err(rejected) => {
            status.conditions.retain(|condition| condition.type_ != host_access::TYPE);
            (ConditionStatus::False, rejected.reason, rejected.message)
        }
    };
    set_condition(&mut status.conditions, "Accepted", holds, reason, &message, generation, now);
    put_alerts(&mut status, subject, now);
    match &known.watched {
        Seen::Watched(Some(seen)) => monitor::status::put(&mut status, seen, generation, now),
        Seen::Watched(None) => {}
        Seen::Not(why) => monitor::status::put_nothing(&mut status, why, generation, now),
    }
    let name = |incident: &monitor::known::Known| incident.name.clone();
    SubjectStatus {
        observed_generation: generation,
        open_incidents: i64::try_from(known.open()).unwrap_or(i64::MAX),
        open_incident: monitor::known::open(&known.incidents).map(name),
        last_incident: monitor::known::last(&known.incidents).map(name),
        ..status
    }
}

/// Whether what the Subject says of alerts can be understood; nothing where it says nothing.
fn put_alerts(status: &mut SubjectStatus, subject: &Subject, now: Timestamp) {
    let rules = &subject.spec.alerts;
    if rules.is_empty() {
        return status.conditions.retain(|condition| condition.type_ != ALERTS);
    }
    let (_, mistakes) = Rules::new(rules);
    let (holds, reason, message) = if mistakes.is_empty() {
        (ConditionStatus::True, "Valid", format!("{} rules say which alerts are this Subject's", rules.len()))
    } else {
        let said = format!("a rule with a mistake fits no alert: {}", mistakes.join("; "));
        (ConditionStatus::False, "InvalidMatcher", short_line(&said, 2000))
    };
    set_condition(&mut status.conditions, ALERTS, holds, reason, &message, subject.metadata.generation, now);
}

/// The same with what the engine says of the project's containers. Pure.
fn with_host_access(
    subject: &Subject,
    mut status: SubjectStatus,
    found: &Result<Vec<HostAccess>, SandboxError>,
    now: Timestamp,
) -> SubjectStatus {
    let trusted = subject.spec.policy.as_ref().is_some_and(|policy| policy.trust_host_access);
    let (holds, reason, message) = host_access::condition(found, trusted);
    let generation = subject.metadata.generation;
    set_condition(&mut status.conditions, host_access::TYPE, holds, reason, &message, generation, now);
    status
}

/// What to do after an error.
#[must_use]
pub fn error_policy(_: Arc<Subject>, _: &StatusError, _: Arc<Context>) -> Action {
    Action::requeue(Duration::from_secs(5))
}

/// The Subject to look at when an Incident changed.
#[must_use]
pub fn of_incident(incident: &Incident) -> ObjectRef<Subject> {
    ObjectRef::new(&incident.spec.subject_ref.name).within(&incident.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(spec: &str) -> Subject {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {{name: s, namespace: team-a}}\nspec: {spec}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    /// Nothing is known yet.
    fn nothing() -> Known {
        Known { incidents: Vec::new(), watched: Seen::Watched(None) }
    }

    #[test]
    fn a_project_beyond_the_namespace_is_not_accepted() {
        let tenants: Tenants = serde_saphyr::from_str("[{namespaces: [team-a], projects: [shop]}]").unwrap();
        let accepted = |spec: &str| {
            let status = status(&subject(spec), &tenants, &nothing(), Timestamp::UNIX_EPOCH);
            let condition = status.conditions.iter().find(|c| c.type_ == "Accepted").cloned().unwrap();
            (condition.status, condition.reason, condition.message)
        };
        let (status, reason, message) = accepted("{where: {docker: {project: bank}}}");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "ProjectNotAllowed"));
        assert!(message.contains("\"team-a\"") && message.contains("it may name shop;"), "{message}");
        assert_eq!(accepted("{where: {docker: {project: shop}}}").1, "Valid");
        assert_eq!(accepted("{where: {kubernetes: {namespace: a, serviceAccountName: b}}}").1, "NotSupported");
    }

    #[test]
    fn what_the_engine_says_stands_beside_accepted_and_goes_with_it() {
        let none = Tenants::default();
        let mut trusting = subject("{where: {docker: {project: shop}}, policy: {trustHostAccess: true}}");
        let found = Ok(vec![HostAccess { container: "web".into(), reasons: vec!["privileged".into()] }]);
        let begun = status(&trusting, &none, &nothing(), Timestamp::UNIX_EPOCH);
        let looked = with_host_access(&trusting, begun, &found, Timestamp::UNIX_EPOCH);
        let reasons = |status: &SubjectStatus| -> Vec<String> {
            status.conditions.iter().map(|condition| format!("{} {}", condition.type_, condition.reason)).collect()
        };
        assert_eq!(reasons(&looked), ["Accepted Valid", "HostAccess Trusted"]);
        trusting.status = Some(looked.clone());
        assert_eq!(status(&trusting, &none, &nothing(), Timestamp::now()), looked, "nothing new, nothing to write");
        let tenants: Tenants = serde_saphyr::from_str("[{namespaces: [team-b], projects: [shop]}]").unwrap();
        assert_eq!(reasons(&status(&trusting, &tenants, &nothing(), Timestamp::now())), ["Accepted ProjectNotAllowed"]);
    }

    #[test]
    fn a_mistake_in_a_rule_for_alerts_is_a_condition() {
        let said = |alerts: &str| {
            let one = subject(&format!("{{where: {{docker: {{project: shop}}}}, alerts: {alerts}}}"));
            let status = status(&one, &Tenants::default(), &nothing(), Timestamp::UNIX_EPOCH);
            let found = crds::condition::find(&status.conditions, "Alerts").cloned();
            found.map(|condition| (condition.status, condition.reason, condition.message))
        };
        assert_eq!(said("[]"), None);
        assert_eq!(said("[{matchers: [{name: service, value: shop}]}]").unwrap().1, "Valid");
        let (status, reason, message) = said("[{matchers: [{name: a, op: =~, value: '('}]}]").unwrap();
        assert_eq!((status.as_str(), reason.as_str()), ("False", "InvalidMatcher"));
        assert!(
            message.starts_with("a rule with a mistake fits no alert: spec.alerts[0].matchers[0]: \"(\" is no"),
            "{message}"
        );
    }

    #[test]
    fn what_the_monitor_said_stands_until_it_says_something_else() {
        let tenants = Tenants::default();
        let mut one = subject("{where: {docker: {project: shop}}, probes: [{name: c, docker: {}}]}");
        let opened = Incident::new(
            "down-1",
            serde_json::from_value(serde_json::json!({
                "title": "t", "subjectRef": {"name": "s"},
                "origin": {"fingerprint": "0a1b2c3d4e5f6071", "violated": [{"invariant": "down", "key": "a"}]},
            }))
            .unwrap(),
        );
        let incidents = vec![monitor::known::Known::of(&opened)];
        let seen = Known { incidents, watched: Seen::Watched(Some(Arc::default())) };
        let said = status(&one, &tenants, &seen, Timestamp::UNIX_EPOCH);
        assert_eq!((said.open_incidents, said.open_incident.as_deref()), (1, Some("down-1")));
        let types: Vec<&str> = said.conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, ["Accepted", "Observed", "Healthy"]);
        one.status = Some(said.clone());
        let again = status(&one, &tenants, &nothing(), Timestamp::now());
        assert_eq!(again.conditions, said.conditions);
        assert_eq!((again.open_incidents, again.open_incident), (0, None));
        let why = Rejected { reason: "NoProbes", message: String::new() };
        let not = Known { incidents: Vec::new(), watched: Seen::Not(why) };
        let over = status(&one, &tenants, &not, Timestamp::now());
        assert_eq!(crds::condition::find(&over.conditions, "Observed").unwrap().reason, "NoProbes");
    }

    #[test]
    fn the_engine_is_asked_now_and_then_and_when_something_changed() {
        let (looks, begin) = (Looks::default(), Instant::now());
        let one = ObjectRef::<Subject>::new("s").within("ns");
        assert_eq!(looks.ask(&one, (Some(1), 0), begin), None);
        let soon = begin + Duration::from_secs(20);
        assert_eq!(looks.ask(&one, (Some(1), 0), soon), Some(Duration::from_secs(40)));
        assert_eq!(looks.ask(&one, (Some(1), 1), soon), None, "an Incident began");
        assert_eq!(looks.ask(&one, (Some(2), 1), soon), None, "it was edited");
        assert_eq!(looks.ask(&one, (Some(2), 1), soon + LOOK_AGAIN), None);
    }
}
