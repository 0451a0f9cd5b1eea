//! A probe that is ready to be run: everything that can be wrong with it was found, its texts are filled in for each
//! target, its expressions compiled.

use std::collections::BTreeSet;
use std::time::Duration;

use crds::probe::{DockerProbe, Probe};
use kube::core::Duration as KubeDuration;

use super::answer::{Read, Stage};
use super::mistake::{Filling, Mistake};
use super::run::World;
use super::select::Select;
use super::{exec, http, prometheus, redis, tcp};

/// Between the beginnings of two rounds, unless the probe says otherwise.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// For one target, unless the probe says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(3);

/// Probes of one Subject.
const MOST_PROBES: usize = 32;
/// Targets of one probe.
const MOST_TARGETS: usize = 64;
/// Commands that a probe runs at the same time: each is a process, and the container has few.
const COMMANDS_AT_ONCE: usize = 8;

/// A probe that is ready to be run.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) what: What,
    pub(super) select: Option<Select>,
}

/// What is looked at.
pub(super) enum What {
    /// From where we are: target after target; without targets one with the empty name.
    Here(Vec<(String, Step)>),
    /// From the engine.
    Engine(DockerProbe),
}

/// One look at one target.
#[derive(Debug)]
pub(super) enum Step {
    Http(Box<http::Http>),
    Prometheus(Box<prometheus::Prometheus>),
    Tcp(tcp::Tcp),
    Redis(redis::Redis),
    Exec(exec::Exec),
}

impl Step {
    pub(super) async fn read(&self, world: &World, stage: &Stage) -> Read {
        match self {
            Self::Http(http) => http.read(world, stage).await,
            Self::Prometheus(prometheus) => prometheus.read(world, stage).await,
            Self::Tcp(tcp) => tcp.read(world, stage).await,
            Self::Redis(redis) => redis.read(world, stage).await,
            Self::Exec(exec) => exec.read(world, stage).await,
        }
    }
}

impl Plan {
    /// How many targets are looked at at the same time.
    pub(super) fn at_once(&self) -> usize {
        match &self.what {
            What::Here(targets) if matches!(targets.first(), Some((_, Step::Exec(_)))) => COMMANDS_AT_ONCE,
            _ => MOST_TARGETS,
        }
    }
}

/// Everything that is wrong with these probes.
#[must_use]
pub fn mistakes(probes: &[Probe]) -> Vec<Mistake> {
    plans(probes).err().unwrap_or_default()
}

/// Makes probes ready, or says everything that is wrong with them: of each probe the first mistake.
pub(super) fn plans(probes: &[Probe]) -> Result<Vec<Plan>, Vec<Mistake>> {
    let (mut plans, mut mistakes, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    if probes.len() > MOST_PROBES {
        mistakes.push(Mistake::new("probes", format!("there are more than {MOST_PROBES}")));
        return Err(mistakes);
    }
    for (at, probe) in probes.iter().enumerate() {
        let path = format!("probes[{at}]");
        match plan(probe, &path) {
            Ok(_) if !names.insert(probe.name.as_str()) => {
                mistakes.push(Mistake::new(format!("{path}.name"), "an earlier probe has this name"));
            }
            Ok(plan) => plans.push(plan),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(plans) } else { Err(mistakes) }
}

pub(super) fn plan(probe: &Probe, path: &str) -> Result<Plan, Mistake> {
    let wrong = |field: &str, message: &str| Mistake::new(format!("{path}.{field}"), message);
    let mut letters = probe.name.chars();
    let is_name = letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && probe.name.len() <= 63;
    if !is_name {
        return Err(wrong("name", "a name begins with a lower-case letter and has letters, digits and '_', at most 63"));
    }
    let within = |field, given: Option<KubeDuration>, default, least: Duration, most: Duration| match given {
        None => Ok(default),
        Some(given) => {
            let duration = Duration::from(given);
            let fits = !given.is_negative() && (least..=most).contains(&duration);
            fits.then_some(duration).ok_or_else(|| wrong(field, &format!("it is between {least:?} and {most:?}")))
        }
    };
    let hour = Duration::from_secs(3600);
    let interval = within("interval", probe.interval, INTERVAL, Duration::from_secs(1), hour)?;
    let timeout = within("timeout", probe.timeout, TIMEOUT, Duration::from_millis(50), Duration::from_secs(60))?;
    let select = Select::new(&probe.select, path)?;
    let what = what(probe, path, select.as_ref())?;
    Ok(Plan { name: probe.name.clone(), interval, timeout, what, select })
}

fn what(probe: &Probe, path: &str, select: Option<&Select>) -> Result<What, Mistake> {
    let wrong = |field: &str, message: &str| Mistake::new(format!("{path}.{field}"), message);
    let Probe { http, prometheus, tcp, redis, exec, docker, .. } = probe;
    let kinds = [http.is_some(), prometheus.is_some(), tcp.is_some(), redis.is_some(), exec.is_some(), docker.is_some()];
    if kinds.into_iter().filter(|is| *is).count() != 1 {
        return Err(Mistake::new(path, "a probe is exactly one of http, prometheus, tcp, redis, exec and docker"));
    }
    if let Some(docker) = docker {
        return match probe.targets.as_slice() {
            [] => Ok(What::Engine(docker.clone())),
            _ => Err(wrong("targets", "a docker probe sees every container of the project: it has no targets")),
        };
    }
    if probe.targets.len() > MOST_TARGETS {
        return Err(wrong("targets", &format!("there are more than {MOST_TARGETS}")));
    }
    let mut seen = BTreeSet::new();
    let mut steps = Vec::new();
    for (at, target) in probe.targets.iter().enumerate() {
        let field = format!("targets[{at}]");
        if target.is_empty() || target.len() > 253 {
            return Err(wrong(&field, "a target has between 1 and 253 bytes"));
        }
        if !seen.insert(target) {
            return Err(wrong(&field, "an earlier target is the same"));
        }
        let (step, used) = step(probe, path, Some(target))?;
        if !used && !select.is_some_and(Select::uses_target) {
            return Err(wrong("targets", "nothing has {{target}} in it: all targets would be the same"));
        }
        steps.push((target.clone(), step));
    }
    if steps.is_empty() {
        steps.push((String::new(), step(probe, path, None)?.0));
    }
    Ok(What::Here(steps))
}

/// The look at one target, and whether it depends on the target.
fn step(probe: &Probe, path: &str, target: Option<&str>) -> Result<(Step, bool), Mistake> {
    let Probe { http, prometheus, tcp, redis, exec, .. } = probe;
    let at = |kind: &str| format!("{path}.{kind}");
    if let Some(http) = http {
        let path = at("http");
        let fill = Filling::new(&path, target);
        return Ok((Step::Http(Box::new(http::prepare(http, &fill)?)), fill.used()));
    }
    if let Some(prometheus) = prometheus {
        let path = at("prometheus");
        let fill = Filling::new(&path, target);
        return Ok((Step::Prometheus(Box::new(prometheus::prepare(prometheus, &fill)?)), fill.used()));
    }
    if let Some(tcp) = tcp {
        let path = at("tcp");
        let fill = Filling::new(&path, target);
        return Ok((Step::Tcp(tcp::prepare(tcp, &fill)?), fill.used()));
    }
    if let Some(redis) = redis {
        let path = at("redis");
        let fill = Filling::new(&path, target);
        return Ok((Step::Redis(redis::prepare(redis, &fill)?), fill.used()));
    }
    if let Some(exec) = exec {
        let path = at("exec");
        let fill = Filling::new(&path, target);
        return Ok((Step::Exec(exec::prepare(exec, &fill)?), fill.used()));
    }
    Err(Mistake::new(path, "a probe is exactly one of http, prometheus, tcp, redis, exec and docker"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn said(probes: Value) -> Vec<String> {
        let probes: Vec<Probe> = serde_json::from_value(probes).unwrap();
        mistakes(&probes).iter().map(ToString::to_string).collect()
    }

    fn one(probe: Value) -> String {
        said(json!([probe])).join(" | ")
    }

    #[test]
    fn good_probes_have_no_mistakes() {
        assert!(
            said(json!([
                {"name": "status", "interval": "1s", "timeout": "50ms", "targets": ["a", "b"],
                 "http": {"url": "http://{{target}}:80/"}, "select": {"x": "value.x"}},
                {"name": "same", "targets": ["1", "2"], "http": {"url": "http://pd/stores"},
                 "select": {"state": "value.stores.filter(s, string(s.id) == target)[0].state"}},
                {"name": "containers", "docker": {}},
                {"name": "listens", "tcp": {"address": "a:1"}}
            ]))
            .is_empty()
        );
    }

    #[test]
    fn each_mistake_has_a_place_and_a_sentence() {
        let tcp = json!({"address": "a:1"});
        for (probe, expected) in [
            (json!({"name": "Big", "tcp": tcp}), "probes[0].name: a name begins with a lower-case letter"),
            (json!({"name": "a", "tcp": tcp, "exec": {"command": ["x"]}}), "probes[0]: a probe is exactly one of"),
            (json!({"name": "a"}), "probes[0]: a probe is exactly one of"),
            (json!({"name": "a", "interval": "500ms", "tcp": tcp}), "probes[0].interval: it is between 1s and 3600s"),
            (json!({"name": "a", "interval": "-5s", "tcp": tcp}), "probes[0].interval: it is between 1s and 3600s"),
            (json!({"name": "a", "timeout": "61s", "tcp": tcp}), "probes[0].timeout: it is between 50ms and 60s"),
            (json!({"name": "a", "targets": ["x"], "docker": {}}), "probes[0].targets: a docker probe sees every"),
            (json!({"name": "a", "targets": ["x"], "tcp": tcp}), "probes[0].targets: nothing has {{target}} in it"),
            (
                json!({"name": "a", "targets": ["x", "x"], "tcp": {"address": "{{target}}:1"}}),
                "probes[0].targets[1]: an earlier target is the same",
            ),
            (json!({"name": "a", "targets": [""], "tcp": tcp}), "probes[0].targets[0]: a target has between"),
            (json!({"name": "a", "tcp": {"address": "{{target}}:1"}}), "probes[0].tcp.address: {{target}} stands here"),
            (json!({"name": "a", "tcp": tcp, "select": {"x": "y"}}), "probes[0].select.x: y is not known"),
        ] {
            let said = one(probe.clone());
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn all_probes_with_mistakes_are_named() {
        let said = said(json!([
            {"name": "a", "tcp": {"address": "x"}},
            {"name": "b", "tcp": {"address": "x:1"}},
            {"name": "b", "tcp": {"address": "x:1"}},
            {"name": "c", "http": {"url": "x"}}
        ]));
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(said[1], "probes[2].name: an earlier probe has this name");
        let many: Vec<_> = (0..33).map(|n| json!({"name": format!("a{n}"), "tcp": {"address": "x:1"}})).collect();
        assert_eq!(super::tests::said(json!(many)), ["probes: there are more than 32"]);
    }
}
