//! What an Incident of the monitor says: its name, title, description and evidence. Pure. What invariants say comes from
//! the system that is looked at; it is clean (one printable line, secrets masked) before it comes here.

use std::collections::HashMap;
use std::fmt::Write as _;

use crds::alert::KnownAlert;
use crds::incident::{Evidence, Origin, Severity, SubjectReference, Violated};
use crds::invariant::Invariant;
use crds::{Incident, IncidentSpec, names};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::known::{Known, fingerprint};
use super::open::{Recurrence, Violation};
use super::order::Order;
use crate::printable::short_line;

/// The most entries of evidence that an Incident has.
pub const MOST_EVIDENCE: usize = 64;
/// The most invariants and keys that it names.
const MOST_VIOLATED: usize = 64;
/// From so many on it is said why they are one.
const MANY: usize = 5;
/// So many are described one by one.
const DESCRIBED: usize = 12;
/// Characters of a title.
const TITLE: usize = 200;
/// Of a message of evidence.
pub const MESSAGE: usize = 4000;
/// Of a description.
pub const DESCRIPTION: usize = 16_000;
/// The source of the entry that only counts.
const MORE: &str = "monitor: no room for more";

/// What was read around a violation, in lines, by invariant and key.
pub type Readings = HashMap<Violated, Vec<String>>;

/// The name under which the evidence of a violation stands.
#[must_use]
pub fn source(violation: &Violation) -> String {
    short_line(&format!("invariant {}", violation.label()), 250)
}

/// The name of the Incident for this violation: the same whoever makes it and however often, so that it is made once.
#[must_use]
pub fn name(subject: &str, uid: &str, violation: &Violation) -> String {
    let print = fingerprint(uid, &violation.invariant, &violation.key);
    let end = format!("-{}-{}", &print[..8], base36(violation.since.as_second().unsigned_abs()));
    let invariant = violation.invariant.replace('_', "-");
    let begin: String = format!("{subject}-{invariant}").chars().take(180).collect();
    format!("{}{end}", begin.trim_end_matches(['-', '.']))
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::try_from(number % 36).unwrap_or_default()]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

/// One printable line: the worst, and how many more.
#[must_use]
pub fn title(violations: &[Violation]) -> String {
    let Some(first) = violations.first() else { return String::new() };
    headline(&format!("{}: {}", first.label(), first.message), violations.len() - 1)
}

/// One printable line, and how many more there are.
#[must_use]
pub fn headline(first: &str, more: usize) -> String {
    let rest = match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let room = TITLE - rest.chars().count() - 1;
    short_line(first, room) + &rest
}

/// The Incident for these violations, worst first.
#[must_use]
pub fn incident(
    order: &Order,
    installation: &str,
    violations: &[Violation],
    readings: &Readings,
    recurrence: &Recurrence,
) -> Incident {
    let first = violations.first().cloned().unwrap_or_else(|| Violation {
        invariant: String::new(),
        key: String::new(),
        severity: Severity::default(),
        since: Timestamp::UNIX_EPOCH,
        message: String::new(),
    });
    let parts = Parts {
        name: name(&order.subject.name_any(), &order.uid, &first),
        title: title(violations),
        description: description(order, violations, readings, recurrence),
        severity: violations.iter().map(|violation| violation.severity).min().unwrap_or_default(),
        evidence: evidence(violations, readings),
        origin: Origin {
            fingerprint: fingerprint(&order.uid, &first.invariant, &first.key),
            violated: violations.iter().take(MOST_VIOLATED).map(Violation::named).collect(),
            ..origin(recurrence)
        },
    };
    parts.assemble(order, installation)
}

/// An origin that says how often the same came again.
#[must_use]
pub fn origin(recurrence: &Recurrence) -> Origin {
    Origin { recurrence_of: recurrence.of.clone(), recurrences: recurrence.count.min(10_000), ..Origin::default() }
}

/// What an Incident that opens itself says.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// The worst.
    pub severity: Severity,
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// What opened it.
    pub origin: Origin,
}

impl Parts {
    /// The Incident of a Subject.
    #[must_use]
    pub fn assemble(self, order: &Order, installation: &str) -> Incident {
        let print = self.origin.fingerprint.clone();
        let spec = IncidentSpec {
            title: self.title,
            subject_ref: SubjectReference { name: order.subject.name_any() },
            description: self.description,
            severity: self.severity,
            evidence: self.evidence,
            origin: Some(self.origin),
            agent: None,
            attempt: 1,
            cancel: None,
            acknowledged: None,
            notes: Vec::new(),
            ttl_after_finished: None,
        };
        let mut incident = Incident::new(&self.name, spec);
        incident.metadata.namespace = order.subject.namespace();
        let labels = [(names::LABEL_FINGERPRINT, print), (names::LABEL_INSTALLATION, installation.to_owned())];
        incident.metadata.labels = Some(labels.map(|(label, value)| (label.to_owned(), value)).into());
        incident
    }
}

/// For the agent: what is violated, since when, and what was read around it.
fn description(order: &Order, violations: &[Violation], readings: &Readings, recurrence: &Recurrence) -> String {
    let mut text = String::from("Opened by the monitor: what the Subject says has to hold does not.\n");
    if violations.len() >= MANY {
        let _ = writeln!(
            text,
            "\n{} violations at once are one Incident, because they are likely to have one cause. The worst comes first.",
            violations.len()
        );
    }
    if let Some(earlier) = &recurrence.of {
        let _ = writeln!(
            text,
            "\nThe same was resolved before, and came again: {} time(s) within the Subject's recurrence window, the last \
             one Incident {earlier}. That repair did not last.",
            recurrence.count
        );
    }
    let of = |name: &str| order.subject.spec.invariants.iter().find(|invariant| invariant.name == name);
    for violation in violations.iter().take(DESCRIBED) {
        describe(&mut text, violation, of(&violation.invariant), readings);
    }
    if violations.len() > DESCRIBED {
        let _ = writeln!(text, "\nAlso violated:");
        for violation in &violations[DESCRIBED..] {
            let _ = writeln!(text, "- {}: {}", violation.label(), short_line(&violation.message, 160));
        }
    }
    cut(text, DESCRIPTION)
}

fn describe(text: &mut String, violation: &Violation, invariant: Option<&Invariant>, readings: &Readings) {
    let _ = writeln!(
        text,
        "\n### {} ({}), since {}\n{}",
        violation.label(),
        violation.severity.as_str(),
        whole(violation.since),
        violation.message
    );
    if let Some(about) = invariant.map(|invariant| invariant.description.trim()).filter(|about| !about.is_empty()) {
        let _ = writeln!(text, "What this invariant is about: {about}");
    }
    let read = readings.get(&violation.named()).map(Vec::as_slice).unwrap_or_default();
    if !read.is_empty() {
        let _ = writeln!(text, "Read around it:");
        for line in read {
            let _ = writeln!(text, "- {line}");
        }
    }
}

/// A text of at most so many characters.
#[must_use]
pub fn cut(text: String, most: usize) -> String {
    if text.chars().count() <= most {
        return text;
    }
    let mut text: String = text.chars().take(most).collect();
    text.push_str("…\n");
    text
}

/// A time as the API server keeps it.
#[must_use]
pub fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn entry(violation: &Violation, readings: &Readings) -> Evidence {
    let mut message = violation.message.clone();
    for line in readings.get(&violation.named()).into_iter().flatten() {
        let _ = write!(message, "\n- {line}");
    }
    if message.is_empty() {
        message = violation.label();
    }
    Evidence {
        source: source(violation),
        message: cut(message, MESSAGE),
        observed_at: Some(Time(whole(violation.since))),
    }
}

fn evidence(violations: &[Violation], readings: &Readings) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    for violation in violations {
        add(&mut evidence, violation, readings);
    }
    evidence
}

/// Adds a violation; where there is no room for it, it is counted in the last entry.
fn add(evidence: &mut Vec<Evidence>, violation: &Violation, readings: &Readings) {
    let before = only_counted(evidence);
    let counted = before.and_then(|last| counted(&last.message));
    let until = before.and_then(|last| last.observed_at.as_ref()).map_or(Timestamp::MIN, |at| at.0);
    if counted.is_none() && evidence.len() < MOST_EVIDENCE - 1 {
        evidence.push(entry(violation, readings));
        return;
    }
    let message = format!(
        "{} more, the last of them {}: {}",
        counted.unwrap_or(0) + 1,
        violation.label(),
        short_line(&violation.message, 500)
    );
    // The newest that is counted, so that those up to it are known to be counted, also by who reads it after a restart.
    let last = Evidence { source: MORE.into(), message, observed_at: Some(Time(until.max(whole(violation.since)))) };
    if counted.is_some() || evidence.len() >= MOST_EVIDENCE {
        evidence.pop();
    }
    evidence.push(last);
}

/// The entry for all for which there was no room, if there is one. It was observed when the newest of them began.
#[must_use]
pub fn only_counted(evidence: &[Evidence]) -> Option<&Evidence> {
    evidence.last().filter(|last| last.source == MORE)
}

fn counted(message: &str) -> Option<u64> {
    message.split(' ').next()?.parse().ok()
}

/// What an open Incident becomes when further violations join it.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// All of its evidence.
    pub evidence: Vec<Evidence>,
    /// All that it is about.
    pub violated: Vec<Violated>,
    /// All alerts that it is about.
    pub alerts: Vec<KnownAlert>,
    /// The worst.
    pub severity: Severity,
}

/// Joins these to an open Incident.
#[must_use]
pub fn join(open: &Known, violations: &[Violation], readings: &Readings) -> Joined {
    let (mut evidence, mut violated) = (open.evidence.clone(), open.violated.clone());
    let mut severity = open.severity;
    for violation in violations {
        add(&mut evidence, violation, readings);
        severity = severity.min(violation.severity);
        let named = violation.named();
        if !violated.contains(&named) && violated.len() < MOST_VIOLATED {
            violated.push(named);
        }
    }
    Joined { evidence, violated, alerts: open.alerts.clone(), severity }
}

#[cfg(test)]
mod tests;
