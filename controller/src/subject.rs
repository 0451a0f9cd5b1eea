//! The reconciler of `Subject`: whether it can be looked after, how many Incidents it has, and which of
//! its containers would give the host away.

mod host_access;

use std::sync::Arc;
use std::time::Duration;

use crds::condition::{ConditionStatus, set_condition};
use crds::subject::SubjectStatus;
use crds::{Incident, Subject};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;

use crate::context::Context;
use crate::incident::validate::Rejected;
use crate::sandbox::{HostAccess, SandboxError};
use crate::status::{StatusError, Urgency, Written};
use crate::tenancy::Tenants;

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
    if !context.serves(&subject.metadata) || subject.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = subject.namespace().unwrap_or_default();
    context.wake_incidents_of(&subject);
    let open = context.open_incidents(&namespace, &subject.name_any()).len();
    let tenants = &context.defaults.config.tenants;
    let status = status(&subject, tenants, open, Timestamp::now());
    // First what needs no engine, so that an absent one delays nothing.
    match write(&subject, subject.status.as_ref(), &status, &context).await? {
        Written::Yes => {}
        Written::Later(wait) => return Ok(Action::requeue(wait)),
        Written::Gone => return Ok(Action::await_change()),
    }
    // A Subject that is not accepted learns nothing of the project that it names: it may be another tenant's.
    let Ok(project) = project(&subject, tenants) else { return Ok(Action::await_change()) };
    let found = host_access::look(&*context.sandboxes, project).await;
    let looked = with_host_access(&subject, status.clone(), &found, Timestamp::now());
    match write(&subject, Some(&status), &looked, &context).await? {
        Written::Yes => Ok(Action::requeue(LOOK_AGAIN)),
        Written::Later(wait) => Ok(Action::requeue(wait)),
        Written::Gone => Ok(Action::await_change()),
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
    let news = old.is_none_or(|old| old.conditions != new.conditions);
    let urgency = if news { Urgency::Now } else { Urgency::Progress };
    context.status.write(subject, new, urgency).await
}

/// The status of a Subject. Pure.
fn status(subject: &Subject, tenants: &Tenants, open: usize, now: Timestamp) -> SubjectStatus {
    let mut conditions = subject.status.clone().unwrap_or_default().conditions;
    let generation = subject.metadata.generation;
    let (holds, reason, message) = match project(subject, tenants) {
        Ok(project) => (ConditionStatus::True, "Valid", format!("compose project {project}")),
        Err(rejected) => {
            conditions.retain(|condition| condition.type_ != host_access::TYPE);
            (ConditionStatus::False, rejected.reason, rejected.message)
        }
    };
    set_condition(&mut conditions, "Accepted", holds, reason, &message, generation, now);
    SubjectStatus {
        observed_generation: generation,
        conditions,
        open_incidents: i64::try_from(open).unwrap_or(i64::MAX),
        ..SubjectStatus::default()
    }
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

    #[test]
    fn a_project_beyond_the_namespace_is_not_accepted() {
        let tenants: Tenants = serde_saphyr::from_str("[{namespaces: [team-a], projects: [shop]}]").unwrap();
        let accepted = |spec: &str| {
            let status = status(&subject(spec), &tenants, 0, Timestamp::UNIX_EPOCH);
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
        let begun = status(&trusting, &none, 0, Timestamp::UNIX_EPOCH);
        let looked = with_host_access(&trusting, begun, &found, Timestamp::UNIX_EPOCH);
        let reasons = |status: &SubjectStatus| -> Vec<String> {
            status.conditions.iter().map(|condition| format!("{} {}", condition.type_, condition.reason)).collect()
        };
        assert_eq!(reasons(&looked), ["Accepted Valid", "HostAccess Trusted"]);
        trusting.status = Some(looked.clone());
        assert_eq!(status(&trusting, &none, 0, Timestamp::now()), looked, "nothing new, nothing to write");
        let tenants: Tenants = serde_saphyr::from_str("[{namespaces: [team-b], projects: [shop]}]").unwrap();
        assert_eq!(reasons(&status(&trusting, &tenants, 0, Timestamp::now())), ["Accepted ProjectNotAllowed"]);
    }
}
