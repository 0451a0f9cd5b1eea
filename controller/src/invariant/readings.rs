//! What was read last of each probe, as expressions see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::core::cel::cel::Value;

use super::compiled::ProbeFacts;
use crate::probe::{Reading, Round};
use crate::{cel, printable};

/// Characters of a line about a reading.
const LONGEST_LINE: usize = 200;

/// The last round of a probe.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// When it began.
    pub(super) at: Timestamp,
    round: BTreeMap<String, Reading>,
    /// Each reading's fields, but for its age.
    fields: Vec<(String, Vec<(String, Value)>)>,
}

impl Seen {
    pub(super) fn of(round: &Round) -> Self {
        let fields = round.readings.iter().map(|(target, reading)| (target.clone(), fields(reading))).collect();
        Self { at: round.at, round: round.readings.clone(), fields }
    }

    /// As `probes.NAME`.
    fn value(&self, facts: &ProbeFacts, now: Timestamp) -> Value {
        let age = Value::Float(now.duration_since(self.at).as_secs_f64().max(0.0));
        let reading =
            |fields: &[(String, Value)]| cel::map(fields.iter().cloned().chain([("age".to_owned(), age.clone())]));
        if facts.has_targets {
            cel::map(self.fields.iter().map(|(target, fields)| (target.clone(), reading(fields))))
        } else {
            self.fields.first().map_or(Value::Null, |(_, fields)| reading(fields))
        }
    }

    /// What failed in it, in a sentence.
    pub(super) fn trouble(&self) -> Option<String> {
        let (target, reading) = self.round.iter().find(|(_, reading)| !reading.ok)?;
        let error = reading.error.as_deref().unwrap_or("it failed");
        Some(if target.is_empty() { error.to_owned() } else { format!("{target}: {error}") })
    }

    /// A line for each reading; only that of `target` if there is one.
    pub(super) fn lines(&self, probe: &str, target: &str) -> Vec<String> {
        let only = self.round.contains_key(target) && !target.is_empty();
        let line = |(name, reading): (&String, &Reading)| {
            let label = if name.is_empty() { probe.to_owned() } else { format!("{probe}[{name}]") };
            let status = reading.status.map(|status| format!(" {status}")).unwrap_or_default();
            let said = match (&reading.error, &reading.value) {
                (Some(error), _) if !reading.ok => error.clone(),
                (_, Some(value)) => value.to_string(),
                _ => String::new(),
            };
            let is = if reading.ok { "ok" } else { "failed" };
            printable::short_line(
                &format!("{label} at {}: {is}{status} in {} ms: {said}", self.at, reading.ms),
                LONGEST_LINE,
            )
        };
        self.round.iter().filter(|(name, _)| !only || *name == target).map(line).collect()
    }
}

fn fields(reading: &Reading) -> Vec<(String, Value)> {
    let error = Value::String(Arc::new(reading.error.clone().unwrap_or_default()));
    vec![
        ("ok".to_owned(), Value::Bool(reading.ok)),
        ("error".to_owned(), error),
        ("ms".to_owned(), Value::Int(i64::try_from(reading.ms).unwrap_or(i64::MAX))),
        ("status".to_owned(), reading.status.map_or(Value::Null, Value::Int)),
        ("value".to_owned(), reading.value.as_ref().map_or(Value::Null, cel::to_cel)),
    ]
}

/// All probes.
#[derive(Debug)]
pub(super) struct Readings {
    seen: Vec<Option<Seen>>,
}

impl Readings {
    pub(super) fn new(probes: usize) -> Self {
        Self { seen: vec![None; probes] }
    }

    /// Takes a round of a probe. An older one than the last is none.
    pub(super) fn take(&mut self, probe: usize, round: &Round) -> bool {
        let Some(seen) = self.seen.get_mut(probe) else { return false };
        if seen.as_ref().is_some_and(|seen| seen.at > round.at) {
            return false;
        }
        *seen = Some(Seen::of(round));
        true
    }

    pub(super) fn of(&self, probe: usize) -> Option<&Seen> {
        self.seen.get(probe).and_then(Option::as_ref)
    }

    /// The variable `probes`.
    pub(super) fn value(&self, probes: &[ProbeFacts], now: Timestamp) -> Value {
        let read = probes
            .iter()
            .zip(&self.seen)
            .filter_map(|(facts, seen)| seen.as_ref().map(|seen| (facts.name.clone(), seen.value(facts, now))));
        cel::map(read)
    }

    /// The same without what is too old to be judged.
    pub(super) fn fresh(&self, probes: &[ProbeFacts], now: Timestamp) -> Value {
        let read = probes.iter().zip(&self.seen).filter_map(|(facts, seen)| {
            let seen = seen.as_ref().filter(|seen| now.duration_since(seen.at) <= facts.stale_after)?;
            Some((facts.name.clone(), seen.value(facts, now)))
        });
        cel::map(read)
    }

    /// Why an expression that reads these probes cannot be judged.
    pub(super) fn missing(&self, probes: &[ProbeFacts], reads: &[usize], now: Timestamp) -> Option<String> {
        reads.iter().find_map(|probe| {
            let facts = probes.get(*probe)?;
            let Some(seen) = self.of(*probe) else { return Some(format!("the probe {} was not read yet", facts.name)) };
            let age = now.duration_since(seen.at);
            (age > facts.stale_after)
                .then(|| format!("the probe {} was read {} s ago, which is too old", facts.name, age.as_secs()))
        })
    }

    /// The probe of these that was not read since then.
    pub(super) fn not_since(&self, probes: &[ProbeFacts], reads: &[usize], since: Timestamp) -> Option<String> {
        let late = reads.iter().find(|probe| self.of(**probe).is_none_or(|seen| seen.at < since))?;
        probes.get(*late).map(|facts| format!("the probe {} was not read anew yet", facts.name))
    }

    /// What failed in these probes.
    pub(super) fn trouble(&self, probes: &[ProbeFacts], reads: &[usize]) -> Option<String> {
        reads.iter().find_map(|probe| {
            let trouble = self.of(*probe)?.trouble()?;
            Some(format!("the probe {} says: {trouble}", probes.get(*probe)?.name))
        })
    }
}

/// How old a reading may be: three intervals, or one with its timeout and some time on the way.
pub(super) fn stale_after(interval: SignedDuration, timeout: SignedDuration) -> SignedDuration {
    let slow = interval.saturating_add(timeout).saturating_add(SignedDuration::from_secs(5));
    interval.saturating_mul(3).max(slow)
}
