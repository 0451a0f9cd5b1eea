//! Whether an Incident can be worked on, and with what. Pure.

use std::time::Duration;

use crds::incident::{AgentMode, Budget};
use crds::{Incident, Subject};
use ipnet::IpNet;
use kube::ResourceExt;

use super::dereference::Neighbours;
use crate::agent::{Budgets, Proving};
use crate::config::Config;
use crate::gateway::policy::Mode;
use crate::money::NanoDollars;
use crate::sandbox::Access;

/// How often the same fault may come again, and within which time, unless the Subject says otherwise.
const RECURRENCES: i64 = 2;
const RECURRENCE_WINDOW: Duration = Duration::from_hours(1);

/// All that a session of this Incident needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// `namespace/name` of the Subject.
    pub subject: String,
    /// The Subject's compose project.
    pub project: String,
    /// What an agent should know of it.
    pub description: String,
    /// Whether sessions are held back.
    pub suspended: bool,
    /// How many sessions may work on the Subject at once.
    pub most_sessions: usize,
    /// The model that plays.
    pub model: String,
    /// The agent's image.
    pub image: String,
    /// Limits.
    pub budgets: Budgets,
    /// What the agent may do to the subject.
    pub access: Access,
    /// Networks beside the subject's own that it may reach.
    pub egress: Vec<IpNet>,
    /// How it is proven that the Incident is over.
    pub proving: Proving,
    /// How often the same fault may come again within the Subject's window, and that window in words.
    pub recurrence: Recurrence,
}

/// What a Subject's policy says of a fault that comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    /// How often it may before a person is needed at once.
    pub limit: i64,
    /// Within which time.
    pub window: Duration,
}

/// Why an Incident cannot be worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// A CamelCase word.
    pub reason: &'static str,
    /// A sentence that says what to do.
    pub message: String,
}

/// What the installation offers.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The model, if the Incident names none.
    pub model: String,
    /// The agent's image, if the Incident names none.
    pub image: String,
    /// The configuration file.
    pub config: Config,
}

/// What the queue has to know of a Subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit<'a> {
    /// Its compose project.
    pub project: &'a str,
    /// Whether sessions are held back.
    pub suspended: bool,
    /// How many sessions may work on it at once.
    pub most_sessions: usize,
}

/// Checks a Subject, whatever Incident it is for.
pub fn fit<'a>(subject: &'a Subject, defaults: &Defaults) -> Result<Fit<'a>, Rejected> {
    let name = subject.name_any();
    let tenants = &defaults.config.tenants;
    let project = crate::subject::project(subject, tenants).map_err(|rejected| Rejected {
        reason: "SubjectNotAccepted",
        message: format!("Subject {name:?} cannot be worked on ({}): {}", rejected.reason, rejected.message),
    })?;
    egress(&name, subject)?;
    let most = subject.spec.policy.as_ref().and_then(|policy| policy.max_sessions).unwrap_or(1);
    let most_sessions = usize::try_from(most).unwrap_or(1).max(1);
    Ok(Fit { project, suspended: subject.spec.suspend, most_sessions })
}

/// Whether an Incident of a Subject that fits can be worked on: the part that differs from one to the next.
pub fn image_fits(incident: &Incident, project: &str, defaults: &Defaults) -> Result<(), Rejected> {
    let wanted = incident.spec.agent.as_ref().and_then(|agent| agent.image.clone());
    image(wanted, &incident.namespace().unwrap_or_default(), project, defaults).map(drop)
}

/// Checks an Incident against its Subject and the installation.
pub fn validate(incident: &Incident, neighbours: &Neighbours, defaults: &Defaults) -> Result<Accepted, Rejected> {
    let spec = &incident.spec;
    let namespace = incident.namespace().unwrap_or_default();
    let name = &spec.subject_ref.name;
    let subject = neighbours.subject.as_deref().ok_or_else(|| match &neighbours.unreadable {
        Some(error) => Rejected {
            reason: "SubjectNotAccepted",
            message: format!("Subject {name:?} does not fit its type, correct it: {error}"),
        },
        None => Rejected {
            reason: "SubjectNotFound",
            message: format!(
                "there is no Subject {name:?} in namespace {namespace:?}: apply it, or correct spec.subjectRef; the Incident waits"
            ),
        },
    })?;
    let fit = fit(subject, defaults)?;
    let agent = spec.agent.clone().unwrap_or_default();
    let budgets = budgets(agent.budget.as_ref(), subject, &defaults.config.budgets.session);
    let model = agent.model.unwrap_or_else(|| defaults.model.clone());
    Ok(Accepted {
        subject: format!("{namespace}/{name}"),
        project: fit.project.to_owned(),
        description: subject.spec.description.clone(),
        suspended: fit.suspended,
        most_sessions: fit.most_sessions,
        budgets: Budgets { window: defaults.config.context.of(&model), ..budgets },
        model,
        image: image(agent.image, &namespace, fit.project, defaults)?,
        access: access(agent.mode, subject),
        egress: egress(name, subject)?,
        proving: proving(incident, subject),
        recurrence: recurrence(subject),
    })
}

/// A Subject without invariants can prove nothing; but an Incident that one of them opened is never over unproven, also
/// if there are none any more.
fn proving(incident: &Incident, subject: &Subject) -> Proving {
    let policy = subject.spec.policy.as_ref().and_then(|policy| policy.verification.clone()).unwrap_or_default();
    let must = incident.spec.origin.as_ref().map(|origin| origin.violated.clone()).unwrap_or_default();
    let usual = Proving::default();
    let stabilization_ms = policy.stabilization.map(|window| Duration::from(window).as_millis());
    Proving {
        provable: !subject.spec.invariants.is_empty() || !must.is_empty(),
        stabilization_ms: stabilization_ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(usual.stabilization_ms),
        attempts: policy.attempts.and_then(|most| u32::try_from(most).ok()).unwrap_or(usual.attempts).max(1),
        must,
    }
}

fn recurrence(subject: &Subject) -> Recurrence {
    let policy = subject.spec.policy.as_ref().and_then(|policy| policy.recurrence.clone()).unwrap_or_default();
    Recurrence {
        limit: policy.limit.unwrap_or(RECURRENCES),
        window: policy.window.map_or(RECURRENCE_WINDOW, Duration::from),
    }
}

fn image(wanted: Option<String>, namespace: &str, project: &str, defaults: &Defaults) -> Result<String, Rejected> {
    let image = wanted.unwrap_or_else(|| defaults.image.clone());
    let mut offered = vec![defaults.image.clone()];
    offered.extend(defaults.config.agent.images.iter().cloned());
    defaults.config.tenants.image(namespace, project, &image, &offered)?;
    Ok(image)
}

/// What the Subject's policy opens, and whether the Incident wants anything changed.
fn access(mode: AgentMode, subject: &Subject) -> Access {
    let policy = subject.spec.policy.clone().unwrap_or_default();
    Access {
        mode: match mode {
            AgentMode::Act => Mode::Act,
            AgentMode::Observe => Mode::Observe,
        },
        trust_host_access: policy.trust_host_access,
        destructive: policy.destructive,
        compose_file: subject.spec.r#where.docker.as_ref().and_then(|docker| docker.compose_file.clone()),
    }
}

/// Networks beside the Subject's own that may be reached from it. The schema has checked the form of each; a mask that is too long passes it.
pub fn egress(name: &str, subject: &Subject) -> Result<Vec<IpNet>, Rejected> {
    let policy = subject.spec.policy.clone().unwrap_or_default();
    let read = |text: &String| {
        text.parse().map_err(|_| Rejected {
            reason: "SubjectNotAccepted",
            message: format!(
                "Subject {name:?} cannot be worked on: policy.egress {text:?} is not a network such as 10.0.0.0/8"
            ),
        })
    };
    policy.egress.iter().map(read).collect()
}

/// The Incident's wish, below the Subject's ceiling, over the installation's defaults.
fn budgets(wish: Option<&Budget>, subject: &Subject, defaults: &Budgets) -> Budgets {
    let ceiling = subject.spec.policy.as_ref().and_then(|policy| policy.budget.as_ref());
    let seconds = |duration: kube::core::Duration| Duration::from(duration).as_secs().max(1);
    let mut budgets = defaults.clone();
    for (budget, is_ceiling) in [(wish, false), (ceiling, true)] {
        let Some(budget) = budget else { continue };
        // A ceiling lowers what stands there; a wish replaces it.
        let pick = |now: u64, new: Option<u64>| match new {
            Some(new) if is_ceiling => now.min(new),
            Some(new) => new,
            None => now,
        };
        let unsigned = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        budgets.turns = u32::try_from(pick(budgets.turns.into(), unsigned(budget.turns))).unwrap_or(u32::MAX);
        budgets.wall_time_seconds = pick(budgets.wall_time_seconds, budget.wall_time.map(seconds));
        budgets.command_timeout_seconds = pick(budgets.command_timeout_seconds, budget.command_timeout.map(seconds));
        if let Some(tokens) = unsigned(budget.tokens) {
            budgets.tokens = Some(pick(budgets.tokens.unwrap_or(u64::MAX), Some(tokens)));
        }
        if let Some(bytes) = unsigned(budget.output_bytes) {
            budgets.output_bytes = Some(pick(budgets.output_bytes.unwrap_or(u64::MAX), Some(bytes)));
        }
        if let Some(dollars) = budget.dollars.map(NanoDollars::from_dollars) {
            let now = budgets.cost.unwrap_or(NanoDollars(i64::MAX));
            budgets.cost = Some(if is_ceiling { now.min(dollars) } else { dollars });
        }
    }
    budgets.command_timeout_cap_seconds = budgets.command_timeout_cap_seconds.max(budgets.command_timeout_seconds);
    budgets
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn defaults() -> Defaults {
        Defaults { model: "offline-x".into(), image: "agent:1".into(), config: Config::default() }
    }

    fn incident(agent: &str) -> Incident {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: i, namespace: ns}}\nspec: {{title: t, subjectRef: {{name: s}}, agent: {agent}}}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    fn subject(spec: &str) -> Neighbours {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {{name: s, namespace: ns}}\nspec: {spec}"
        );
        Neighbours { subject: Some(Arc::new(serde_saphyr::from_str(&yaml).unwrap())), ..Neighbours::default() }
    }

    #[test]
    fn an_unknown_subject_is_named() {
        let rejected = validate(&incident("{}"), &Neighbours::default(), &defaults()).unwrap_err();
        assert_eq!(rejected.reason, "SubjectNotFound");
        assert!(rejected.message.contains("\"s\"") && rejected.message.contains("\"ns\""), "{}", rejected.message);
        let unreadable = Neighbours { unreadable: Some("missing field `where`".into()), ..Neighbours::default() };
        let rejected = validate(&incident("{}"), &unreadable, &defaults()).unwrap_err();
        assert_eq!(rejected.reason, "SubjectNotAccepted");
        assert!(rejected.message.contains("`where`"), "{}", rejected.message);
    }

    #[test]
    fn an_image_must_be_on_the_list() {
        let place = subject("{where: {docker: {project: p}}}");
        let rejected = validate(&incident("{image: evil}"), &place, &defaults()).unwrap_err();
        assert_eq!(rejected.reason, "ImageNotAllowed");
        assert!(rejected.message.contains("agent:1"), "{}", rejected.message);
        assert_eq!(validate(&incident("{image: 'agent:1'}"), &place, &defaults()).unwrap().image, "agent:1");
    }

    #[test]
    fn tenants_bound_projects_and_images() {
        let mut defaults = defaults();
        defaults.config.tenants =
            serde_saphyr::from_str("[{namespaces: [ns], projects: [p], images: [special]}]").unwrap();
        let (own, foreign) =
            (subject("{where: {docker: {project: p}}}"), subject("{where: {docker: {project: theirs}}}"));
        let rejected = validate(&incident("{image: special}"), &foreign, &defaults).unwrap_err();
        assert_eq!(rejected.reason, "SubjectNotAccepted");
        assert!(rejected.message.contains("(ProjectNotAllowed)"), "{}", rejected.message);
        assert_eq!(validate(&incident("{image: special}"), &own, &defaults).unwrap().image, "special");
        assert_eq!(validate(&incident("{}"), &own, &defaults).unwrap_err().reason, "ImageNotAllowed");
    }

    #[test]
    fn a_wish_stays_below_the_ceiling() {
        let place =
            subject("{where: {docker: {project: p}}, policy: {budget: {turns: 10, dollars: 1.5, outputBytes: 5000}}}");
        let accepted = validate(
            &incident("{budget: {turns: 50, dollars: 9.0, wallTime: 2m, commandTimeout: 15m, outputBytes: 9000}}"),
            &place,
            &defaults(),
        )
        .unwrap();
        assert_eq!((accepted.budgets.turns, accepted.budgets.output_bytes), (10, Some(5000)));
        assert_eq!(accepted.budgets.cost, Some(NanoDollars::from_dollars(1.5)));
        assert_eq!(accepted.budgets.wall_time_seconds, 120);
        assert_eq!(
            (accepted.budgets.command_timeout_seconds, accepted.budgets.command_timeout_cap_seconds),
            (900, 900)
        );
    }

    #[test]
    fn what_proves_it_comes_from_the_subject_and_from_what_opened_the_incident() {
        let accepted = |incident: &Incident, spec: &str| validate(incident, &subject(spec), &defaults()).unwrap();
        let plain = accepted(&incident("{}"), "{where: {docker: {project: p}}}");
        assert_eq!(plain.proving, Proving::default());
        assert_eq!(plain.recurrence, Recurrence { limit: 2, window: Duration::from_hours(1) });
        let watched = "{where: {docker: {project: p}}, invariants: [{name: up, violated: 'false'}], policy: \
                       {verification: {stabilization: 1500ms, attempts: 5}, recurrence: {window: 10m, limit: 0}}}";
        let accepted_of_watched = accepted(&incident("{}"), watched);
        let expected = Proving { provable: true, stabilization_ms: 1500, attempts: 5, must: Vec::new() };
        assert_eq!(accepted_of_watched.proving, expected);
        assert_eq!(accepted_of_watched.recurrence, Recurrence { limit: 0, window: Duration::from_mins(10) });
        // The invariant that opened it was taken out meanwhile: that does not make it well.
        let mut opened = incident("{}");
        let violated = crds::incident::Violated { invariant: "up".into(), key: "n2".into() };
        opened.spec.origin = Some(crds::incident::Origin {
            fingerprint: "0123456789abcdef".into(),
            violated: vec![violated.clone()],
            ..crds::incident::Origin::default()
        });
        let proving = accepted(&opened, "{where: {docker: {project: p}}}").proving;
        assert_eq!(proving, Proving { provable: true, must: vec![violated], ..Proving::default() });
    }

    #[test]
    fn kubernetes_is_not_supported_yet() {
        let place = subject("{where: {kubernetes: {namespace: a, serviceAccountName: b}}}");
        assert_eq!(validate(&incident("{}"), &place, &defaults()).unwrap_err().reason, "SubjectNotAccepted");
    }
}
