//! A Subject's expressions, compiled once.

use crds::invariant::{Display, DisplayGroup, Invariant, Workload};
use crds::probe::Probe;
use crds::{Severity, SubjectSpec};
use jiff::SignedDuration;
use kube::core::Duration;
use kube::core::cel::cel::{Program, Value};

use super::each::Each;
use super::mistakes::{Mistake, Names, compile, constant};
use super::names::Reads;
use super::readings::stale_after;
use super::template::Template;

/// Of a probe's interval and timeout, if the Subject does not say them.
const USUAL: (i64, i64) = (5, 3);
/// No series is watched for longer.
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// How far back a workload's counter is watched.
pub(super) const COUNTER_WINDOW: SignedDuration = SignedDuration::from_secs(10);

/// What is judged of a Subject.
#[derive(Debug)]
pub struct Compiled {
    pub(super) probes: Vec<ProbeFacts>,
    pub(super) rules: Vec<Rule>,
    pub(super) screen: Screen,
}

/// What a judge has to know of a probe.
#[derive(Clone, Debug)]
pub(super) struct ProbeFacts {
    pub(super) name: String,
    pub(super) has_targets: bool,
    pub(super) interval: SignedDuration,
    pub(super) stale_after: SignedDuration,
}

/// An invariant.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) severity: Severity,
    pub(super) grace: SignedDuration,
    /// The probes that it reads.
    pub(super) reads: Vec<usize>,
    /// Its expressions, or what is wrong with them.
    pub(super) body: Result<Body, String>,
}

/// An invariant's expressions.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) each: Each,
    pub(super) over: Vec<Watch>,
    pub(super) violated: Program,
    pub(super) message: Template,
}

/// A value that is watched over time.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) name: String,
    pub(super) value: Program,
    pub(super) window: SignedDuration,
    pub(super) reads: Vec<usize>,
}

/// What a screen shows.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub(super) groups: Vec<Group>,
    pub(super) workload: Option<Gauge>,
}

/// A group of rows.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) title: String,
    pub(super) body: Result<Rows, String>,
}

/// A group's expressions.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) each: Each,
    pub(super) reads: Vec<usize>,
    pub(super) label: Template,
    pub(super) state: Program,
    pub(super) text: Template,
}

/// The one number.
#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) label: String,
    pub(super) unit: String,
    /// The number, and the counter.
    pub(super) body: Result<(Program, Option<Program>), String>,
    pub(super) reads: Vec<usize>,
}

impl Compiled {
    /// Compiles a Subject. What is wrong is said, and everything else goes on.
    #[must_use]
    pub fn new(spec: &SubjectSpec) -> (Self, Vec<Mistake>) {
        let mut mistakes: Vec<Mistake> = crate::probe::mistakes(&spec.probes)
            .into_iter()
            .map(|mistake| Mistake { path: format!("spec.{}", mistake.path), message: mistake.message })
            .collect();
        let probes: Vec<ProbeFacts> = spec.probes.iter().map(facts).collect();
        let mut compiling = Compiling { probes: &probes, mistakes: &mut mistakes };
        let rules = spec.invariants.iter().enumerate().map(|(index, one)| compiling.rule(index, one)).collect();
        let screen = spec.display.as_ref().map(|display| compiling.screen(display)).unwrap_or_default();
        (Self { probes, rules, screen }, mistakes)
    }

    /// How far back a judge has to be told what was read, so that it knows what it would know had it always been there.
    #[must_use]
    pub fn longest_window(&self) -> SignedDuration {
        let of = |rule: &Rule| {
            let over = rule.body.iter().flat_map(|body| &body.over).map(|watch| watch.window);
            over.chain([rule.grace]).max().unwrap_or_default()
        };
        let counter = self.screen.workload.as_ref().map(|_| COUNTER_WINDOW);
        let stale = self.probes.iter().map(|probe| probe.stale_after);
        self.rules.iter().map(of).chain(counter).chain(stale).max().unwrap_or_default()
    }

    pub(super) fn probe(&self, name: &str) -> Option<usize> {
        self.probes.iter().position(|probe| probe.name == name)
    }
}

fn facts(probe: &Probe) -> ProbeFacts {
    let interval = seconds(probe.interval, USUAL.0);
    ProbeFacts {
        name: probe.name.clone(),
        has_targets: !probe.targets.is_empty(),
        interval,
        stale_after: stale_after(interval, seconds(probe.timeout, USUAL.1)),
    }
}

fn seconds(duration: Option<Duration>, usual: i64) -> SignedDuration {
    duration.map_or(SignedDuration::from_secs(usual), signed)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(std::time::Duration::from(duration)).unwrap_or(SignedDuration::MAX)
}

struct Compiling<'a> {
    probes: &'a [ProbeFacts],
    mistakes: &'a mut Vec<Mistake>,
}

impl Compiling<'_> {
    fn indexes(&self, reads: &Reads) -> Vec<usize> {
        let read = |(_, probe): &(usize, &ProbeFacts)| reads.all || reads.probes.contains(&probe.name);
        self.probes.iter().enumerate().filter(read).map(|(index, _)| index).collect()
    }

    fn rule(&mut self, index: usize, invariant: &Invariant) -> Rule {
        let mut reads = Reads::default();
        let body = self.body(invariant, &mut reads).map_err(|(field, message)| {
            let path = format!("spec.invariants[{index}].{field} ({})", invariant.name);
            self.mistakes.push(Mistake { path, message: message.clone() });
            format!("{field} is wrong: {message}")
        });
        Rule {
            name: invariant.name.clone(),
            severity: invariant.severity,
            grace: seconds(invariant.grace, 0),
            reads: self.indexes(&reads),
            body,
        }
    }

    fn body(&self, invariant: &Invariant, reads: &mut Reads) -> Result<Body, (String, String)> {
        let probes: Vec<&str> = self.probes.iter().map(|probe| probe.name.as_str()).collect();
        let of = |field: &str| {
            let field = field.to_owned();
            move |why: String| (field, why)
        };
        let names = Names { probes: &probes, variables: &[] };
        let (each, more) = Each::compile(invariant.for_each.as_deref(), invariant.key.as_deref(), &names)
            .map_err(|(field, why)| (field.to_owned(), why))?;
        let elements = more.clone();
        reads.add(more);
        let mut variables = if each.is_many() { vec!["key", "item"] } else { Vec::new() };
        let names = Names { probes: &probes, variables: &variables };
        let mut over = Vec::new();
        for (name, series) in &invariant.over {
            let field = format!("over.{name}");
            if ["probes", "key", "item"].contains(&name.as_str()) || !is_name(name) {
                return Err((
                    field,
                    "the name of a series is a letter, then letters, digits and '_', and none of probes, key and item"
                        .into(),
                ));
            }
            let (value, mut more) = compile(&series.value, &names).map_err(of(&format!("{field}.value")))?;
            if crate::cel::variables(&value).iter().any(|name| name == "item") {
                // What is in an element is of the probe that forEach goes over.
                more.add(elements.clone());
            }
            let indexes = self.indexes(&more);
            if indexes.is_empty() {
                return Err((format!("{field}.value"), "it reads no probe, so nothing is ever sampled".into()));
            }
            let window = signed(series.window);
            if let Some(probe) = indexes
                .iter()
                .filter_map(|index| self.probes.get(*index))
                .find(|probe| window < probe.interval.saturating_mul(2))
            {
                let why = format!(
                    "the window of {} s holds fewer than two rounds of the probe {}, which is read every {} s",
                    window.as_secs(),
                    probe.name,
                    probe.interval.as_secs()
                );
                return Err((format!("{field}.window"), why));
            }
            if window > LONGEST_WINDOW {
                return Err((format!("{field}.window"), "a window is not longer than 1h".into()));
            }
            reads.add(more);
            over.push(Watch { name: name.clone(), value, window, reads: indexes });
        }
        variables.extend(invariant.over.keys().map(String::as_str));
        let names = Names { probes: &probes, variables: &variables };
        let (violated, more) = compile(&invariant.violated, &names).map_err(of("violated"))?;
        constant(&violated, "true or false", |value| matches!(value, Value::Bool(_))).map_err(of("violated"))?;
        reads.add(more);
        if !reads.all && reads.probes.is_empty() {
            return Err(("violated".into(), "it reads no probe: it says the same for ever".into()));
        }
        let (message, more) = Template::read(&invariant.message, &names).map_err(of("message"))?;
        // What only the message needs may be missing.
        let _ = more;
        Ok(Body { each, over, violated, message })
    }

    fn screen(&mut self, display: &Display) -> Screen {
        let groups = display.groups.iter().enumerate().map(|(index, group)| self.group(index, group)).collect();
        let workload = display.workload.as_ref().map(|workload| self.gauge(workload));
        Screen { groups, workload }
    }

    fn group(&mut self, index: usize, group: &DisplayGroup) -> Group {
        let body = self.rows(group).map_err(|(field, message)| {
            let path = format!("spec.display.groups[{index}].{field} ({})", group.title);
            self.mistakes.push(Mistake { path, message: message.clone() });
            message
        });
        Group { title: group.title.clone(), body }
    }

    fn rows(&self, group: &DisplayGroup) -> Result<Rows, (&'static str, String)> {
        let probes: Vec<&str> = self.probes.iter().map(|probe| probe.name.as_str()).collect();
        let names = Names { probes: &probes, variables: &[] };
        let (each, mut reads) = Each::compile(group.for_each.as_deref(), group.key.as_deref(), &names)?;
        let variables: &[&str] = if each.is_many() { &["key", "item"] } else { &[] };
        let names = Names { probes: &probes, variables };
        let (state, more) = compile(&group.state, &names).map_err(|why| ("state", why))?;
        reads.add(more);
        let (label, _) = Template::read(&group.label, &names).map_err(|why| ("label", why))?;
        let (text, _) = Template::read(&group.text, &names).map_err(|why| ("text", why))?;
        Ok(Rows { each, reads: self.indexes(&reads), label, state, text })
    }

    fn gauge(&mut self, workload: &Workload) -> Gauge {
        let probes: Vec<&str> = self.probes.iter().map(|probe| probe.name.as_str()).collect();
        let mut reads = Reads::default();
        let mut body = || {
            let counter = match &workload.counter {
                Some(counter) => {
                    let (counter, more) =
                        compile(counter, &Names { probes: &probes, variables: &[] }).map_err(|why| ("counter", why))?;
                    reads.add(more);
                    Some(counter)
                }
                None => None,
            };
            let variables: &[&str] = if counter.is_some() { &["rate"] } else { &[] };
            let (value, more) =
                compile(&workload.value, &Names { probes: &probes, variables }).map_err(|why| ("value", why))?;
            reads.add(more);
            Ok((value, counter))
        };
        let body = body().map_err(|(field, message): (&str, String)| {
            let path = format!("spec.display.workload.{field}");
            self.mistakes.push(Mistake { path, message: message.clone() });
            message
        });
        Gauge { label: workload.label.clone(), unit: workload.unit.clone(), body, reads: self.indexes(&reads) }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
