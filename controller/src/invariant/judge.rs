//! The judge: takes rounds in, and keeps how each invariant stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::invariant::InvariantState;
use jiff::Timestamp;
use kube::core::cel::cel::{Context, Value};

use super::MOST_KEYS;
use super::compiled::{Body, COUNTER_WINDOW, Compiled, Rule, Watch};
use super::each::kind;
use super::readings::Readings;
use super::series::{Samples, is_sample};
use super::standing::{Said, Standing};
use super::template::short;
use super::views::{Turned, View};
use crate::cel;
use crate::probe::Round;

/// Lines that are told of what was read.
const MOST_LINES: usize = 12;

thread_local! {
    /// The functions: making them takes longer than most expressions do.
    static FUNCTIONS: Context<'static> = cel::context();
}

/// Judges one Subject.
pub struct Judge {
    pub(super) compiled: Arc<Compiled>,
    pub(super) readings: Readings,
    pub(super) standings: Vec<RuleStanding>,
    /// The workload's counter.
    pub(super) counter: Samples,
    /// The latest moment that it knows of.
    pub(super) now: Timestamp,
}

/// How an invariant stands.
#[derive(Debug, Default)]
pub(super) struct RuleStanding {
    pub(super) keys: BTreeMap<String, Standing>,
    /// Why nobody can say anything of all of it.
    pub(super) unknown: Option<String>,
    since: Option<(InvariantState, Timestamp)>,
    samples: BTreeMap<String, Vec<Samples>>,
}

impl Judge {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(compiled: Arc<Compiled>) -> Self {
        let standings = compiled.rules.iter().map(|_| RuleStanding::default()).collect();
        Self {
            readings: Readings::new(compiled.probes.len()),
            standings,
            counter: Samples::default(),
            now: Timestamp::UNIX_EPOCH,
            compiled,
        }
    }

    /// Takes a round in, and judges what depends on it as of when it began.
    pub fn take(&mut self, round: &Round) {
        let Some(probe) = self.compiled.probe(&round.probe) else { return };
        if !self.readings.take(probe, round) {
            return;
        }
        self.now = self.now.max(round.at);
        self.sample_counter(probe);
        self.judge(Some(probe), round.at);
    }

    /// Takes a round in, and judges nothing.
    pub fn read(&mut self, round: &Round) {
        if let Some(probe) = self.compiled.probe(&round.probe)
            && self.readings.take(probe, round)
        {
            self.now = self.now.max(round.at);
        }
    }

    /// The variable `probes`, as invariants see it: without probes whose last reading is too old to be judged.
    #[must_use]
    pub fn probes(&self, now: Timestamp) -> Value {
        self.readings.fresh(&self.compiled.probes, self.now.max(now))
    }

    /// Judges everything as of now: what is stale, and what is over its grace.
    pub fn look(&mut self, now: Timestamp) -> Vec<Turned> {
        self.now = self.now.max(now);
        self.judge(None, self.now)
    }

    /// How all invariants stand.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.compiled.rules.iter().zip(&self.standings).map(|(rule, standing)| standing.view(rule)).collect()
    }

    /// What the probes of an invariant read last, a line each.
    #[must_use]
    pub fn readings_of(&self, invariant: &str, key: &str) -> Vec<String> {
        let Some(rule) = self.compiled.rules.iter().find(|rule| rule.name == invariant) else { return Vec::new() };
        let lines = rule.reads.iter().filter_map(|probe| {
            let facts = self.compiled.probes.get(*probe)?;
            Some(self.readings.of(*probe)?.lines(&facts.name, key))
        });
        lines.flatten().take(MOST_LINES).collect()
    }

    /// What a probe read last, a line each; nothing if it was never read.
    #[must_use]
    pub fn lines_of(&self, probe: &str) -> Vec<String> {
        let read = self.compiled.probe(probe).and_then(|probe| self.readings.of(probe));
        read.map(|read| read.lines(probe, "").into_iter().take(MOST_LINES).collect()).unwrap_or_default()
    }

    /// How far back it has to be told what was read.
    #[must_use]
    pub fn longest_window(&self) -> Duration {
        Duration::try_from(self.compiled.longest_window()).unwrap_or_default()
    }

    /// Forgets a key that is gone.
    pub fn forget(&mut self, invariant: &str, key: &str) {
        let rules = self.compiled.rules.iter().zip(&mut self.standings);
        for (_, standing) in rules.filter(|(rule, _)| rule.name == invariant) {
            if standing.keys.get(key).is_some_and(|one| one.gone) {
                standing.keys.remove(key);
                standing.samples.remove(key);
            }
            standing.settle(self.now);
        }
    }

    /// Calls with what expressions see.
    pub(super) fn with_probes<T>(&self, then: impl FnOnce(&Context<'_>) -> T) -> T {
        FUNCTIONS.with(|functions| {
            let mut context = functions.new_inner_scope();
            context.add_variable_from_value("probes", self.readings.value(&self.compiled.probes, self.now));
            then(&context)
        })
    }

    /// `begin` is when that began to be so what is seen now: a round may come later than a look.
    fn judge(&mut self, probe: Option<usize>, begin: Timestamp) -> Vec<Turned> {
        let compiled = self.compiled.clone();
        let mut standings = std::mem::take(&mut self.standings);
        let turned = self.with_probes(|context| {
            let mut turned = Vec::new();
            for (rule, standing) in compiled.rules.iter().zip(&mut standings) {
                if probe.is_none_or(|probe| rule.reads.contains(&probe)) {
                    let keys = self.judge_rule(rule, standing, context, (probe, begin));
                    turned.extend(keys.into_iter().map(|key| Turned { invariant: rule.name.clone(), key }));
                }
            }
            turned
        });
        self.standings = standings;
        turned
    }

    fn judge_rule(
        &self,
        rule: &Rule,
        standing: &mut RuleStanding,
        context: &Context<'_>,
        (probe, begin): (Option<usize>, Timestamp),
    ) -> Vec<String> {
        let body = match &rule.body {
            Ok(body) => body,
            Err(why) => return standing.nobody_can_say(why.clone(), rule, self.now),
        };
        if let Some(why) = self.readings.missing(&self.compiled.probes, &rule.reads, self.now) {
            return standing.nobody_can_say(why, rule, self.now);
        }
        let elements = match body.each.elements(context) {
            Ok(elements) => elements,
            Err(why) => return standing.nobody_can_say(self.explain(&why, rule), rule, self.now),
        };
        standing.unknown = None;
        let mut turned = standing.vanish(&elements);
        for (key, item) in elements {
            let mut scope = context.new_inner_scope();
            if body.each.is_many() {
                scope.add_variable_from_value("key", key.clone());
                scope.add_variable_from_value("item", item);
            }
            if let Some(probe) = probe {
                standing.sample(&key, body, probe, &scope, self.now);
            }
            let said = match standing.series(&key, body, self.now) {
                Err(why) => Said::Unknown(why),
                Ok(series) => {
                    for (name, value) in series {
                        scope.add_variable_from_value(name, value);
                    }
                    self.say(rule, body, &key, &scope)
                }
            };
            let one = standing.keys.entry(key.clone()).or_insert_with(|| Standing::new(self.now));
            if one.take(said, rule.grace, begin, self.now) {
                turned.push(key);
            }
        }
        standing.settle(self.now);
        turned
    }

    fn say(&self, rule: &Rule, body: &Body, key: &str, scope: &Context<'_>) -> Said {
        match cel::evaluate(&body.violated, scope) {
            Ok(Value::Bool(false)) => Said::Holds,
            Ok(Value::Bool(true)) => {
                let usual = || if key.is_empty() { rule.name.clone() } else { format!("{}[{key}]", rule.name) };
                Said::Violated(match body.message.fill(scope) {
                    Ok(text) if text.is_empty() => usual(),
                    Ok(text) => text,
                    Err(why) => short(&format!("{} (its message cannot be made: {why})", usual())),
                })
            }
            Ok(other) => Said::Unknown(format!("violated gives {}, and not true or false", kind(&other))),
            Err(why) => Said::Unknown(self.explain(&why, rule)),
        }
    }

    /// Why an expression failed, with what failed in the probes that it reads.
    fn explain(&self, why: &str, rule: &Rule) -> String {
        match self.readings.trouble(&self.compiled.probes, &rule.reads) {
            Some(trouble) => short(&format!("{why}; {trouble}")),
            None => short(why),
        }
    }

    fn sample_counter(&mut self, probe: usize) {
        let compiled = self.compiled.clone();
        let Some(gauge) = compiled.screen.workload.as_ref().filter(|gauge| gauge.reads.contains(&probe)) else {
            return;
        };
        let Ok((_, Some(counter))) = &gauge.body else { return };
        if let Ok(value) = self.with_probes(|context| cel::evaluate(counter, context))
            && is_sample(&value)
        {
            self.counter.take(self.now, value, COUNTER_WINDOW);
        }
    }
}

impl RuleStanding {
    fn nobody_can_say(&mut self, why: String, rule: &Rule, now: Timestamp) -> Vec<String> {
        let mut turned = Vec::new();
        for (key, one) in self.keys.iter_mut().filter(|(_, one)| !one.gone) {
            if one.take(Said::Unknown(why.clone()), rule.grace, now, now) {
                turned.push(key.clone());
            }
        }
        self.unknown = Some(why);
        self.settle(now);
        turned
    }

    /// Those that are not among the elements any more.
    fn vanish(&mut self, elements: &BTreeMap<String, Value>) -> Vec<String> {
        let mut turned = Vec::new();
        let mut gone = 0;
        self.keys.retain(|key, one| {
            if elements.contains_key(key) {
                return true;
            }
            let was = one.gone;
            let stays = one.vanish() && gone < MOST_KEYS;
            gone += usize::from(stays);
            if !was {
                turned.push(key.clone());
            }
            stays
        });
        let keys = &self.keys;
        self.samples.retain(|key, _| elements.contains_key(key) || keys.contains_key(key));
        turned
    }

    fn sample(&mut self, key: &str, body: &Body, probe: usize, scope: &Context<'_>, now: Timestamp) {
        if body.over.is_empty() {
            return;
        }
        let all = self.samples.entry(key.to_owned()).or_insert_with(|| vec![Samples::default(); body.over.len()]);
        for (watch, samples) in body.over.iter().zip(all) {
            if watch.reads.contains(&probe)
                && let Ok(value) = cel::evaluate(&watch.value, scope)
                && is_sample(&value)
            {
                samples.take(now, value, watch.window);
            }
        }
    }

    /// What is watched over time of a key, by name.
    fn series(&mut self, key: &str, body: &Body, now: Timestamp) -> Result<Vec<(String, Value)>, String> {
        if body.over.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.samples.entry(key.to_owned()).or_insert_with(|| vec![Samples::default(); body.over.len()]);
        let value = |(watch, samples): (&Watch, &mut Samples)| {
            samples.prune(now, watch.window);
            let count = samples.len();
            samples
                .value(now)
                .map(|value| (watch.name.clone(), value))
                .ok_or_else(|| format!("{} has {count} of the two samples that it needs", watch.name))
        };
        body.over.iter().zip(all).map(value).collect()
    }

    /// The worst of the keys, and since when.
    fn settle(&mut self, now: Timestamp) {
        let worst = self.keys.values().map(|one| one.state).max();
        let state = match (worst, &self.unknown) {
            (Some(state), None) => state,
            (Some(state), Some(_)) => state.max(InvariantState::Unknown),
            (None, None) => InvariantState::Ok,
            (None, Some(_)) => InvariantState::Unknown,
        };
        if self.since.is_none_or(|(before, _)| before != state) {
            self.since = Some((state, now));
        }
    }

    fn view(&self, rule: &Rule) -> View {
        let keys: Vec<_> = self.keys.iter().map(|(key, one)| one.view(key)).collect();
        let (state, since) = match self.since {
            Some((state, since)) => (state, Some(since)),
            None => (InvariantState::Unknown, None),
        };
        let worst: Vec<_> = keys.iter().filter(|key| key.state == state).collect();
        let since = match state {
            InvariantState::Violated | InvariantState::Pending => {
                worst.iter().filter_map(|key| key.since).min().or(since)
            }
            InvariantState::Ok | InvariantState::Unknown => since,
        };
        let message = match (state, &self.unknown) {
            (InvariantState::Ok, _) => String::new(),
            (InvariantState::Unknown, Some(why)) => why.clone(),
            _ => match worst.as_slice() {
                [] => "nothing was read yet".to_owned(),
                [one] => one.message.clone(),
                [one, rest @ ..] => short(&format!("{}; and {} more", one.message, rest.len())),
            },
        };
        View { name: rule.name.clone(), severity: rule.severity, state, since, message, keys }
    }
}
