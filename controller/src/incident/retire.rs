//! Finished Incidents leave after a time, and when there are too many of them. Their trails stay.
//!
//! What goes is decided in one walk ([`leaving`], pure), every half minute; it is deleted a few at a time and only as
//! it was seen: an Incident that was tried again meanwhile is another version and stays. Whoever wrote it, a person's
//! Incident is treated as the monitor's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crds::{Incident, Subject};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource as _, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::plan::is_finished;
use crate::config::IncidentsConfig;
use crate::context::Context;
use crate::error::chain;
use crate::metrics::Metrics;

/// Between two walks.
const EVERY: Duration = Duration::from_secs(30);
/// Between two deletions: ten a second leave room for everything else.
const PACE: Duration = Duration::from_millis(100);

/// Why a finished Incident goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its time is over.
    Age(Duration),
    /// There are more recent ones than its Subject keeps.
    History(usize),
}

impl Why {
    fn rule(self) -> &'static str {
        match self {
            Self::Age(_) => "ttlAfterFinished",
            Self::History(_) => "historyLimit",
        }
    }

    fn sentence(self) -> String {
        match self {
            Self::Age(ttl) => format!("it ended more than {ttl:?} ago (ttlAfterFinished)"),
            Self::History(limit) => {
                format!("there are more than {limit} finished Incidents of its Subject (historyLimit)")
            }
        }
    }
}

/// Which of these Incidents go now, and why. `limits` has what the Subjects' policies say.
#[must_use]
#[allow(clippy::implicit_hasher)] // one caller, one hasher
pub fn leaving(
    incidents: &[Arc<Incident>],
    limits: &HashMap<ObjectRef<Subject>, i64>,
    config: &IncidentsConfig,
    now: Timestamp,
) -> Vec<(Arc<Incident>, Why)> {
    let mut gone = Vec::new();
    let mut kept: HashMap<ObjectRef<Subject>, Vec<(Timestamp, &Arc<Incident>)>> = HashMap::new();
    for incident in incidents {
        let finished = incident.status.as_ref().filter(|_| is_finished(incident));
        // Without a time nobody can say how old its end is.
        let Some(at) = finished.and_then(|status| status.finished_at.as_ref()).map(|at| at.0) else { continue };
        if incident.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let ttl = incident.spec.ttl_after_finished.or(config.ttl_after_finished).map(Duration::from);
        let age = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        match ttl {
            Some(ttl) if age >= ttl => gone.push((incident.clone(), Why::Age(ttl))),
            _ => kept.entry(crate::subject::of_incident(incident)).or_default().push((at, incident)),
        }
    }
    for (subject, mut finished) in kept {
        let limit = limits.get(&subject).copied().and_then(|limit| usize::try_from(limit).ok());
        let Some(limit) = limit.or(config.history_limit) else { continue };
        let surplus = finished.len().saturating_sub(limit);
        finished.sort_by_key(|one| (one.0, one.1.uid()));
        gone.extend(finished.into_iter().take(surplus).map(|(_, incident)| (incident.clone(), Why::History(limit))));
    }
    gone
}

/// Deletes what goes, until `stop`.
pub async fn run(context: Arc<Context>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        for (incident, why) in walk(&context) {
            delete(&context, &incident, why).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PACE) => {}
            }
        }
    }
}

fn walk(context: &Context) -> Vec<(Arc<Incident>, Why)> {
    let ours: Vec<_> = context.incidents.state().into_iter().filter(|i| context.serves(&i.metadata)).collect();
    let limit = |subject: Arc<Subject>| {
        let limit = subject.spec.policy.as_ref()?.history_limit?;
        Some((ObjectRef::from_obj(&*subject), limit))
    };
    let limits = context.subjects.state().into_iter().filter_map(limit).collect();
    leaving(&ours, &limits, &context.defaults.config.incidents, Timestamp::now())
}

async fn delete(context: &Context, incident: &Incident, why: Why) {
    let (namespace, name) = (incident.namespace().unwrap_or_default(), incident.name_any());
    let session = incident.status.as_ref().and_then(|status| status.session_id.clone()).unwrap_or_default();
    let api: Api<Incident> = Api::namespaced(context.client.clone(), &namespace);
    let params = DeleteParams {
        // As it was seen: one that was raised to another attempt meanwhile stays.
        preconditions: Some(Preconditions { uid: incident.uid(), resource_version: incident.resource_version() }),
        ..DeleteParams::default()
    };
    // Who does not lead any more deletes nothing.
    if context.leadership.check().is_err() {
        return;
    }
    match api.delete(&name, &params).await {
        Ok(_) => {
            tracing::info!(namespace, name, session, rule = why.rule(), "a finished Incident is deleted");
            Metrics::count(&context.metrics.retired, why.rule());
            let note = format!("deleted, because {}; its trail stays: operator audit show {session}", why.sentence());
            context.events.normal(incident, "Retired", "Delete", &note).await;
        }
        Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => {}
        Err(error) => tracing::warn!(
            object = format!("{} {namespace}/{name}", Incident::kind(&())),
            error = chain(&error),
            "a finished Incident could not be deleted; trying again"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn incident(name: &str, subject: &str, more: &str, finished: Option<i64>) -> Arc<Incident> {
        let at = finished.map(|seconds| Timestamp::from_second(NOW - seconds).unwrap());
        let status = at.map_or("{phase: Running, attempt: 1}".to_owned(), |at| {
            format!("{{phase: Concluded, attempt: 1, finishedAt: '{at}'}}")
        });
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: {name}, namespace: ns, uid: {name}}}\n\
             spec: {{title: t, subjectRef: {{name: {subject}}}{more}}}\nstatus: {status}"
        );
        Arc::new(serde_saphyr::from_str(&yaml).unwrap())
    }

    fn names(incidents: &[Arc<Incident>], limits: &[(&str, i64)], config: &str) -> Vec<String> {
        let limits = limits.iter().map(|(name, limit)| (ObjectRef::new(name).within("ns"), *limit)).collect();
        let config = serde_saphyr::from_str(config).unwrap();
        let gone = leaving(incidents, &limits, &config, Timestamp::from_second(NOW).unwrap());
        let mut names: Vec<_> =
            gone.into_iter().map(|(incident, why)| format!("{} {}", incident.name_any(), why.rule())).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_open_stays_whatever_its_age() {
        let again = incident("again", "s", ", attempt: 2", Some(999_000));
        let all = [incident("runs", "s", "", None), again];
        assert!(names(&all, &[("s", 0)], "{ttlAfterFinished: 0s, historyLimit: 0}").is_empty());
    }

    #[test]
    fn its_own_time_counts_before_the_installations() {
        let all = [
            incident("hour", "s", ", ttlAfterFinished: 1h", Some(3600)),
            incident("young", "s", ", ttlAfterFinished: 1h", Some(3599)),
            incident("default", "s", "", Some(7200)),
        ];
        assert_eq!(names(&all, &[], "{historyLimit: null}"), ["hour ttlAfterFinished"]);
        assert_eq!(names(&all, &[], "{ttlAfterFinished: 90m}"), ["default ttlAfterFinished", "hour ttlAfterFinished"]);
    }

    #[test]
    fn a_subject_keeps_those_that_ended_last() {
        let mut all: Vec<_> = (0..5).map(|i| incident(&format!("a{i}"), "a", "", Some(i * 10))).collect();
        all.extend((0..3).map(|i| incident(&format!("b{i}"), "b", "", Some(i * 10))));
        assert_eq!(
            names(&all, &[("a", 3)], "{historyLimit: 2}"),
            ["a3 historyLimit", "a4 historyLimit", "b2 historyLimit"]
        );
        assert!(names(&all, &[], "{}").is_empty(), "the default keeps a hundred");
    }

    #[test]
    fn ten_thousand_are_walked_at_once() {
        let all: Vec<_> = (0..10_000).map(|i| incident(&format!("i{i}"), "s", "", Some(i))).collect();
        assert_eq!(names(&all, &[], "{historyLimit: 100}").len(), 9_900);
    }
}
