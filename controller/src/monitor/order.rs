//! What is to be watched of a Subject, as far as its spec and the configuration say. Pure.

use std::sync::Arc;
use std::time::Duration;

use crds::Subject;
use crds::probe::Probe;
use ipnet::IpNet;
use kube::ResourceExt;

use super::observers::ObserverSpec;
use crate::incident::validate::{Defaults, Rejected, egress};
use crate::tenancy::Tenants;

/// The most bytes of probes that an observer is given: they go into its environment, where Linux allows 128 KiB.
pub const MOST_PROBES: usize = 96 << 10;

/// What is to be watched.
#[derive(Clone, Debug)]
pub struct Order {
    /// The Subject as it stands.
    pub subject: Arc<Subject>,
    /// `namespace/name` of it.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its compose project.
    pub project: String,
    /// The observer, unless the controller looks at everything itself.
    pub observer: Option<ObserverSpec>,
    /// What the controller looks at itself.
    pub own: Vec<Probe>,
}

/// What the Subject's policy says of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Whether an Incident is opened at all.
    pub wanted: bool,
    /// For how long after an end none is.
    pub cooldown: Duration,
    /// Within which time the same again is a recurrence.
    pub recurrence: Duration,
}

impl Order {
    /// What is to be watched of a Subject, or why nothing is.
    ///
    /// # Errors
    /// The reason, for its condition `Observed`.
    pub fn new(subject: &Arc<Subject>, defaults: &Defaults) -> Result<Self, Rejected> {
        let project = crate::subject::project(subject, &defaults.config.tenants).map_err(|rejected| Rejected {
            reason: "NotAccepted",
            message: format!("the Subject is not accepted, so nothing is looked at: {}", rejected.message),
        })?;
        let spec = &subject.spec;
        if spec.probes.is_empty() {
            let message = "there are no probes (spec.probes), so nothing is looked at".into();
            return Err(Rejected { reason: "NoProbes", message });
        }
        let egress = egress(&subject.name_any(), subject)?;
        let (own, others): (Vec<Probe>, Vec<Probe>) = spec.probes.iter().cloned().partition(|p| p.docker.is_some());
        let name = format!("{}/{}", subject.namespace().unwrap_or_default(), subject.name_any());
        let uid = subject.uid().unwrap_or_default();
        let observer = observer(&others, &name, &uid, project, egress, &defaults.image)?;
        Ok(Self { subject: subject.clone(), name, uid, project: project.to_owned(), observer, own })
    }

    /// What is known of a Subject at which nobody looks: enough to open and to join its Incidents.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn unwatched(subject: &Arc<Subject>, tenants: &Tenants) -> Result<Self, Rejected> {
        let project = crate::subject::project(subject, tenants)?.to_owned();
        let name = format!("{}/{}", subject.namespace().unwrap_or_default(), subject.name_any());
        let uid = subject.uid().unwrap_or_default();
        Ok(Self { subject: subject.clone(), name, uid, project, observer: None, own: Vec::new() })
    }

    /// Whether another order looks at the same and judges it by the same.
    #[must_use]
    pub fn judges_as(&self, other: &Self) -> bool {
        let (one, two) = (&self.subject.spec, &other.subject.spec);
        one.probes == two.probes && one.invariants == two.invariants && one.display == two.display
    }

    /// What the policy says of opening.
    #[must_use]
    pub fn opening(&self) -> Opening {
        let spec = &self.subject.spec;
        let policy = spec.policy.clone().unwrap_or_default();
        let recurrence = policy.recurrence.unwrap_or_default();
        Opening {
            wanted: policy.auto_create.unwrap_or(true) && !spec.suspend,
            cooldown: policy.cooldown.map_or(Duration::from_mins(2), Into::into),
            recurrence: recurrence.window.map_or(Duration::from_hours(1), Into::into),
        }
    }
}

fn observer(
    probes: &[Probe],
    subject: &str,
    uid: &str,
    project: &str,
    egress: Vec<IpNet>,
    image: &str,
) -> Result<Option<ObserverSpec>, Rejected> {
    if probes.is_empty() {
        return Ok(None);
    }
    let unwritable = |error: serde_json::Error| Rejected { reason: "ProbesTooLarge", message: error.to_string() };
    let commands = probes.iter().any(|probe| probe.exec.is_some());
    let probes = serde_json::to_string(probes).map_err(unwritable)?;
    if probes.len() > MOST_PROBES {
        return Err(Rejected {
            reason: "ProbesTooLarge",
            message: format!(
                "the probes are {} KiB of JSON, and an observer takes at most {} KiB: nothing is looked at",
                probes.len() >> 10,
                MOST_PROBES >> 10
            ),
        });
    }
    Ok(Some(ObserverSpec {
        uid: uid.to_owned(),
        subject: subject.to_owned(),
        project: project.to_owned(),
        image: image.to_owned(),
        egress,
        probes,
        commands,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn order(spec: &str) -> Result<Order, Rejected> {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {{name: s, namespace: ns, uid: u-1}}\nspec: {spec}"
        );
        let subject = Arc::new(serde_saphyr::from_str(&yaml).unwrap());
        let defaults = Defaults { model: "m".into(), image: "agent:1".into(), config: Config::default() };
        Order::new(&subject, &defaults)
    }

    #[test]
    fn docker_probes_are_the_controllers_and_the_rest_the_observers() {
        let order = order(
            "{where: {docker: {project: shop}}, policy: {egress: [10.0.0.0/8]}, probes: [\
             {name: web, tcp: {address: 'web:80'}}, {name: containers, docker: {}}, {name: disk, exec: {command: [df]}}]}",
        )
        .unwrap();
        assert_eq!(order.own.iter().map(|probe| probe.name.as_str()).collect::<Vec<_>>(), ["containers"]);
        let observer = order.observer.unwrap();
        let probes: Vec<Probe> = serde_json::from_str(&observer.probes).unwrap();
        assert_eq!(probes.iter().map(|probe| probe.name.as_str()).collect::<Vec<_>>(), ["web", "disk"]);
        assert_eq!((observer.subject.as_str(), observer.image.as_str()), ("ns/s", "agent:1"));
        assert!(observer.commands && observer.egress.len() == 1);
    }

    #[test]
    fn what_cannot_be_watched_says_why() {
        let reason = |spec: &str| order(spec).map(|order| order.observer.is_none()).map_err(|no| no.reason);
        assert_eq!(reason("{where: {docker: {project: shop}}}"), Err("NoProbes"));
        assert_eq!(
            reason("{where: {kubernetes: {namespace: a, serviceAccountName: b}}, probes: [{name: a, docker: {}}]}"),
            Err("NotAccepted")
        );
        assert_eq!(reason("{where: {docker: {project: shop}}, probes: [{name: a, docker: {}}]}"), Ok(true));
        let long = "x".repeat(MOST_PROBES);
        let spec = format!("{{where: {{docker: {{project: s}}}}, probes: [{{name: a, exec: {{command: [{long}]}}}}]}}");
        let rejected = order(&spec).unwrap_err();
        assert_eq!(rejected.reason, "ProbesTooLarge");
        assert!(rejected.message.contains("at most 96 KiB"), "{}", rejected.message);
    }

    #[test]
    fn maintenance_and_a_policy_without_it_open_nothing() {
        let opening = |more: &str| {
            order(&format!("{{where: {{docker: {{project: s}}}}, probes: [{{name: a, docker: {{}}}}], {more}}}"))
                .unwrap()
                .opening()
        };
        assert!(opening("policy: {}").wanted);
        assert!(!opening("suspend: true").wanted);
        assert!(!opening("policy: {autoCreate: false}").wanted);
        let said = opening("policy: {cooldown: 30s, recurrence: {window: 2h}}");
        assert_eq!((said.cooldown.as_secs(), said.recurrence.as_secs()), (30, 7200));
        let usual = opening("policy: {}");
        assert_eq!((usual.cooldown.as_secs(), usual.recurrence.as_secs()), (120, 3600));
    }
}
