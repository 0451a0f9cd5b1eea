//! Takes alerts: finds whose they are, and has them stand in Incidents before it says so.
//!
//! Whatever it answers is true at the API server. What cannot be stored now (no API server, a cooldown, too many at once)
//! is said to be tried again, and senders do; so nothing is lost that was answered as taken. All of it may be done twice:
//! a sender that lost the answer, another replica, a crash between storing and answering change nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use crds::Subject;
use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::Alert;
use super::decide::{self, Decision};
use super::matching::Rules;
use super::words;
use crate::metrics::Metrics;
use crate::monitor::known::Known;
use crate::monitor::order::Order;
use crate::monitor::outside::{News, Opened, Outside};
use crate::monitor::rate::Rate;
use crate::printable::short_line;
use crate::tenancy::Tenants;
use report::{Line, Outcome, Report};

pub mod report;

/// Subjects that are attended to at once, of one request.
const AT_ONCE: usize = 4;
/// How often it is tried again when somebody else changed an Incident at the same time.
const ROUNDS: usize = 6;
/// An alert that is more Subjects' than this is nobody's: the rules say too little.
const MOST_SUBJECTS: usize = 8;
/// Alerts that are nobody's and are named in an answer.
const NAMED: usize = 10;
/// To be tried again after this, if the API server did not do something.
const TROUBLE: Duration = Duration::from_secs(5);

/// The cluster, with its Subjects.
#[async_trait]
pub trait Directory: Outside {
    /// All Subjects that this installation serves, not older than a few seconds.
    async fn subjects(&self) -> Result<Vec<Arc<Subject>>, String>;
}

/// Not now.
struct Later {
    why: String,
    after: Duration,
}

impl Later {
    fn trouble(why: String) -> Self {
        Self { why, after: TROUBLE }
    }
}

/// A Subject's rules, and the generation that they are of.
type Cached = (Option<i64>, Arc<Rules>);

/// Takes alerts.
pub struct Desk {
    outside: Arc<dyn Directory>,
    tenants: Tenants,
    rate: Rate,
    rules: Mutex<HashMap<String, Cached>>,
    lanes: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    metrics: Arc<Metrics>,
}

impl Desk {
    /// Takes alerts for the Subjects of a cluster.
    #[must_use]
    pub fn new(outside: Arc<dyn Directory>, tenants: Tenants, metrics: Arc<Metrics>) -> Self {
        Self { outside, tenants, rate: Rate::default(), rules: Mutex::default(), lanes: Mutex::default(), metrics }
    }

    /// Takes alerts of which the Subjects' rules say whose they are.
    pub async fn take(&self, alerts: Vec<Alert>, left_out: u64) -> Report {
        let mut report = Report { received: alerts.len(), left_out, ..Report::default() };
        let subjects = match self.outside.subjects().await {
            Ok(subjects) => subjects,
            Err(why) => return unavailable(report, &why),
        };
        let rules = self.rules_of(&subjects);
        let mut by_subject: BTreeMap<usize, Vec<Alert>> = BTreeMap::new();
        for alert in alerts {
            let of: Vec<usize> =
                rules.iter().enumerate().filter(|(_, rules)| rules.fit(&alert.labels)).map(|(at, _)| at).collect();
            if of.is_empty() || of.len() > MOST_SUBJECTS {
                if of.is_empty() {
                    report.unmatched += 1;
                    Metrics::count(&self.metrics.alerts, "unmatched");
                } else {
                    report.ambiguous += 1;
                    Metrics::count(&self.metrics.alerts, "ambiguous");
                }
                if report.unmatched_alerts.len() < NAMED {
                    report.unmatched_alerts.push(nobodys(&alert, of.len()));
                }
                continue;
            }
            for at in of {
                by_subject.entry(at).or_default().push(alert.clone());
            }
        }
        let attended = by_subject.into_iter().filter_map(|(at, alerts)| {
            let subject = subjects.get(at)?.clone();
            Some(async move { self.attend(&subject, alerts, left_out).await })
        });
        let lines: Vec<_> = stream::iter(attended).buffered(AT_ONCE).collect().await;
        for (lines, later) in lines {
            self.report(&mut report, lines, later);
        }
        report
    }

    /// Takes an alert of which the sender says whose it is.
    ///
    /// # Errors
    /// That there is no such Subject.
    pub async fn take_for(&self, namespace: &str, name: &str, alert: Alert) -> Result<Report, String> {
        let mut report = Report { received: 1, ..Report::default() };
        let subjects = match self.outside.subjects().await {
            Ok(subjects) => subjects,
            Err(why) => return Ok(unavailable(report, &why)),
        };
        let is =
            |subject: &&Arc<Subject>| subject.namespace().as_deref() == Some(namespace) && subject.name_any() == name;
        let Some(subject) = subjects.iter().find(is) else {
            Metrics::count(&self.metrics.alerts, "unmatched");
            return Err(format!(
                "there is no Subject {:?} in namespace {:?} that this Operator serves",
                short_line(name, 100),
                short_line(namespace, 100)
            ));
        };
        let (lines, later) = self.attend(subject, vec![alert], 0).await;
        self.report(&mut report, lines, later);
        Ok(report)
    }

    fn report(&self, report: &mut Report, lines: Vec<Line>, later: Option<Later>) {
        for line in &lines {
            let count = u64::try_from(line.alerts).unwrap_or(u64::MAX);
            let category = crate::metrics::Category { category: line.outcome.as_str().to_owned() };
            self.metrics.alerts.get_or_create(&category).inc_by(count);
        }
        report.subjects.extend(lines);
        if let Some(Later { why, after }) = later {
            report.again = report.again.max(Some(after));
            report.error.get_or_insert(why);
        }
    }

    /// What becomes of the alerts of one Subject.
    async fn attend(&self, subject: &Arc<Subject>, alerts: Vec<Alert>, left_out: u64) -> (Vec<Line>, Option<Later>) {
        let name = format!("{}/{}", subject.namespace().unwrap_or_default(), subject.name_any());
        let line = |alerts: usize, outcome: Outcome, incident: Option<String>, message: Option<String>| Line {
            subject: name.clone(),
            alerts,
            outcome,
            incident,
            message,
        };
        let order = match Order::unwatched(subject, &self.tenants) {
            Ok(order) => Arc::new(order),
            Err(no) => return (vec![line(alerts.len(), Outcome::Refused, None, Some(no.message))], None),
        };
        // One request after another, so that they do not get into each other's way; other replicas may.
        let own = self.lane(&order.uid);
        let _turn = own.lock().await;
        let (resolved, firing): (Vec<_>, Vec<_>) = alerts.into_iter().partition(|alert| alert.ends_at.is_some());
        let mut lines = Vec::new();
        if !firing.is_empty() {
            let count = firing.len();
            match self.fire(&order, firing, left_out).await {
                Ok((outcome, incident, message)) => lines.push(line(count, outcome, incident, message)),
                Err(later) => {
                    lines.push(line(count + resolved.len(), Outcome::Later, None, Some(later.why.clone())));
                    return (lines, Some(later));
                }
            }
        }
        if !resolved.is_empty() {
            let count = resolved.len();
            match self.resolve(&order, resolved).await {
                Ok(incident) => {
                    let outcome = if incident.is_some() { Outcome::Resolved } else { Outcome::Over };
                    lines.push(line(count, outcome, incident, None));
                }
                Err(later) => {
                    lines.push(line(count, Outcome::Later, None, Some(later.why.clone())));
                    return (lines, Some(later));
                }
            }
        }
        (lines, None)
    }

    /// Alerts that fire.
    async fn fire(
        &self,
        order: &Arc<Order>,
        alerts: Vec<Alert>,
        left_out: u64,
    ) -> Result<(Outcome, Option<String>, Option<String>), Later> {
        let clean = |text: &str| self.outside.clean(order, text);
        let opening = order.opening();
        for _ in 0..ROUNDS {
            let known = self.outside.incidents(order).await.map_err(Later::trouble)?;
            let now = Timestamp::now();
            match decide::firing(alerts.clone(), &known, opening, now) {
                Decision::Known { incident } => return Ok((Outcome::Known, Some(incident), None)),
                Decision::Had { incident } => {
                    let why = format!("Incident {incident} was about it, and ended so that a person is needed");
                    return Ok((Outcome::Ended, Some(incident), Some(why)));
                }
                Decision::Off => {
                    let why = if order.subject.spec.suspend {
                        "the Subject is suspended (spec.suspend), so no Incident is opened"
                    } else {
                        "the Subject opens no Incidents by itself (policy.autoCreate)"
                    };
                    self.tell(order, "AlertReceived", &alerts, why);
                    return Ok((Outcome::Off, None, Some(why.into())));
                }
                Decision::Wait { until } => {
                    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                    let why = format!("{}: an Incident of the same ended a moment ago (policy.cooldown)", order.name);
                    return Err(Later { why, after: wait.max(Duration::from_secs(1)) });
                }
                Decision::Join { incident, alerts } => {
                    let Some(open) = known.iter().find(|one| one.name == incident) else { continue };
                    let joined = words::join(open, &alerts, &[], &clean);
                    if self.outside.join(order, open, &joined).await.map_err(Later::trouble)? {
                        tracing::info!(
                            subject = order.name,
                            incident,
                            joined = alerts.len(),
                            "alerts join an Incident"
                        );
                        return Ok((Outcome::Joined, Some(incident), None));
                    }
                }
                Decision::Open { alerts } => {
                    if !self.rate.take(Instant::now()) {
                        let why =
                            "many Subjects have alerts at once, and at most 10 Incidents a minute are opened for them";
                        return Err(Later { why: why.into(), after: self.rate.each() });
                    }
                    if let Some(name) = self.open(order, &known, &alerts, left_out, now).await? {
                        return Ok((Outcome::Opened, Some(name), None));
                    }
                }
            }
        }
        Err(Later::trouble(format!("{}: its Incidents change all the time", order.name)))
    }

    /// Opens one; none if there was one of that name already.
    async fn open(
        &self,
        order: &Arc<Order>,
        known: &[Known],
        alerts: &[Alert],
        left_out: u64,
        now: Timestamp,
    ) -> Result<Option<String>, Later> {
        let Some(first) = alerts.first() else { return Ok(None) };
        let again = decide::recurrence(first, known, order.opening().recurrence, now);
        let clean = |text: &str| self.outside.clean(order, text);
        let incident = words::incident(order, self.outside.installation(), alerts, known, &again, left_out, &clean);
        let name = incident.name_any();
        match self.outside.open(&incident).await.map_err(Later::trouble)? {
            Opened::Yes => {
                tracing::info!(subject = order.name, incident = name, alerts = alerts.len(), "alerts open an Incident");
                Metrics::count(&self.metrics.opened, "alert");
                let note = format!("Incident {name} for alerts");
                let about = name.clone();
                self.outside.tell(order, None, vec![News { warning: false, reason: "IncidentOpened", about, note }]);
                Ok(Some(name))
            }
            // Another replica was faster, or this one's answer was lost: what stands there is looked at again.
            Opened::WasThere => Ok(None),
        }
    }

    /// Alerts that fire no more. The last Incident that knows it now, if one has to.
    async fn resolve(&self, order: &Arc<Order>, alerts: Vec<Alert>) -> Result<Option<String>, Later> {
        let clean = |text: &str| self.outside.clean(order, text);
        let mut told = None;
        for _ in 0..ROUNDS {
            let known = self.outside.incidents(order).await.map_err(Later::trouble)?;
            let mut all = true;
            for (incident, ended) in decide::resolved(alerts.clone(), &known) {
                let Some(one) = known.iter().find(|one| one.name == incident) else { continue };
                let joined = words::join(one, &[], &ended, &clean);
                if self.outside.join(order, one, &joined).await.map_err(Later::trouble)? {
                    tracing::info!(subject = order.name, incident, resolved = ended.len(), "alerts are resolved");
                    told = Some(incident);
                } else {
                    all = false;
                }
            }
            if all {
                return Ok(told);
            }
        }
        Err(Later::trouble(format!("{}: its Incidents change all the time", order.name)))
    }

    fn tell(&self, order: &Arc<Order>, reason: &'static str, alerts: &[Alert], why: &str) {
        let Some(first) = alerts.first() else { return };
        let name = self.outside.clean(order, &format!("{} {}", first.name, first.summary));
        let more = if alerts.len() > 1 { format!(" and {} more", alerts.len() - 1) } else { String::new() };
        let note = format!("{}{more}: {why}", short_line(&name, 120));
        self.outside.tell(order, None, vec![News { warning: true, reason, about: first.fingerprint.clone(), note }]);
    }

    fn lane(&self, uid: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut lanes = locked(&self.lanes);
        // Those in which nobody is.
        lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        lanes.entry(uid.to_owned()).or_default().clone()
    }

    /// The rules of Subjects, in their order, made ready once for each generation.
    fn rules_of(&self, subjects: &[Arc<Subject>]) -> Vec<Arc<Rules>> {
        let mut cache = locked(&self.rules);
        let mut next = HashMap::with_capacity(subjects.len());
        let mut all = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let (uid, generation) = (subject.uid().unwrap_or_default(), subject.metadata.generation);
            let rules = match cache.remove(&uid) {
                Some((of, rules)) if of == generation && generation.is_some() => rules,
                _ => Arc::new(Rules::new(&subject.spec.alerts).0),
            };
            next.insert(uid, (generation, rules.clone()));
            all.push(rules);
        }
        *cache = next;
        all
    }
}

fn unavailable(mut report: Report, why: &str) -> Report {
    report.error = Some(format!("the API server cannot be asked whose alerts these are: {why}"));
    report.again = Some(TROUBLE);
    report
}

fn nobodys(alert: &Alert, subjects: usize) -> String {
    let labels: Vec<String> = alert.labels.iter().take(8).map(|(name, value)| format!("{name}={value:?}")).collect();
    let labels = short_line(&labels.join(", "), 200);
    if subjects == 0 {
        labels
    } else {
        format!("{labels}: the rules of {subjects} Subjects fit, and an alert may be of {MOST_SUBJECTS} at most")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
