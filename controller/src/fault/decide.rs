//! The way from an action to a plan. Nothing is asked here: what the containers are is given.

use std::net::IpAddr;
use std::time::Duration;

use crds::fault::{Action, Exec, FillDisk, Http, Latency, Partition, Run, Target, Throttle};
use kube::core::cel::cel::Value;

use super::plan::{Command, Place, Plan, Request, Seat, Undo, Verb};
use super::resolve::{self, Found, resolved};
use super::view::{ContainerView, Cpus, ProjectView, State};
use super::{Mistake, job, says};

#[cfg(test)]
mod tests;

/// Of a command, unless it is said.
const USUAL_LIMIT: Duration = Duration::from_mins(1);
/// No command is waited for longer.
const LONGEST_LIMIT: Duration = Duration::from_mins(10);
/// No packet is later.
const LONGEST_DELAY: Duration = Duration::from_mins(1);

/// What an action would do, and how it would be taken back.
type Decided = (Verb, Option<Undo>);

/// Whether an action can be done at all, whatever the project is like.
pub fn check(action: &Action) -> Result<(), Mistake> {
    let verbs = [
        action.kill.is_some(),
        action.stop.is_some(),
        action.start.is_some(),
        action.restart.is_some(),
        action.pause.is_some(),
        action.unpause.is_some(),
        action.exec.is_some(),
        action.run.is_some(),
        action.http.is_some(),
        action.partition.is_some(),
        action.heal.is_some(),
        action.latency.is_some(),
        action.throttle.is_some(),
        action.fill_disk.is_some(),
    ];
    if verbs.into_iter().filter(|set| *set).count() != 1 {
        return Err(Mistake("an action has exactly one verb, such as kill, exec or partition".into()));
    }
    if let Some(target) = target(action) {
        resolve::check(target)?;
    }
    if let Some(partition) = &action.partition {
        partition.from.iter().try_for_each(resolve::check)?;
    }
    if let Some(exec) = &action.exec {
        command_line(&exec.command)?;
        limit(exec.timeout)?;
    }
    if let Some(run) = &action.run {
        command_line(&run.command)?;
        limit(run.timeout)?;
    }
    if let Some(http) = &action.http {
        request(http)?;
    }
    if let Some(latency) = &action.latency {
        delays(latency)?;
    }
    Ok(())
}

/// What is to be done to this project as it is now. `probes` is what expressions find under that name, and `seed` what a
/// choice at random is made with.
pub fn plan(action: &Action, project: &ProjectView, probes: &Value, seed: u64) -> Result<Plan, Mistake> {
    check(action)?;
    let Some(target) = target(action) else {
        let Some(http) = &action.http else { return Err(Mistake("this action has no target".into())) };
        if project.networks.is_empty() {
            return Err(Mistake(format!("the project {} has no networks: is it up?", project.project)));
        }
        let verb = Verb::Http { request: request(http)?, networks: project.networks.clone() };
        return Ok(Plan { says: says::with(action, None), targets: Vec::new(), seed: None, verb, undo: None });
    };
    let Found { container, seed: chosen_with } = resolve::resolve(target, project, probes, seed)?;
    let (verb, undo) = decide(action, container, project, probes, seed)?;
    Ok(Plan {
        says: says::with(action, Some(&container.service)),
        targets: vec![resolved(container)],
        seed: chosen_with.or_else(|| any_of_beside(action).then_some(seed)),
        verb,
        undo,
    })
}

/// Whether something else than the target is chosen at random.
fn any_of_beside(action: &Action) -> bool {
    action.partition.as_ref().is_some_and(|partition| partition.from.iter().any(|target| target.any_of.is_some()))
}

fn target(action: &Action) -> Option<&Target> {
    let plain = [&action.stop, &action.start, &action.restart, &action.pause, &action.unpause, &action.heal];
    let plain = plain.into_iter().find_map(|on| on.as_ref().map(|on| &on.target));
    plain
        .or_else(|| action.kill.as_ref().map(|kill| &kill.target))
        .or_else(|| action.exec.as_ref().map(|exec| &exec.target))
        .or_else(|| action.run.as_ref().map(|run| &run.target))
        .or_else(|| action.partition.as_ref().map(|partition| &partition.target))
        .or_else(|| action.latency.as_ref().map(|latency| &latency.target))
        .or_else(|| action.throttle.as_ref().map(|throttle| &throttle.target))
        .or_else(|| action.fill_disk.as_ref().map(|fill| &fill.target))
}

fn decide(
    action: &Action,
    container: &ContainerView,
    project: &ProjectView,
    probes: &Value,
    seed: u64,
) -> Result<Decided, Mistake> {
    let was = container.state;
    if let Some(kill) = &action.kill {
        stands(container, "killed")?;
        let signal = kill.signal.clone().unwrap_or_else(|| "SIGKILL".into());
        return Ok((Verb::Kill { signal }, Some(Undo::Start)));
    }
    if action.stop.is_some() {
        return Ok((Verb::Stop, (was != State::Stopped).then_some(Undo::Start)));
    }
    if action.start.is_some() {
        return Ok((Verb::Start, (was == State::Stopped).then_some(Undo::Stop)));
    }
    if action.restart.is_some() {
        return Ok((Verb::Restart, (was == State::Stopped).then_some(Undo::Stop)));
    }
    if action.pause.is_some() {
        stands(container, "paused")?;
        return Ok((Verb::Pause, (was == State::Running).then_some(Undo::Unpause)));
    }
    if action.unpause.is_some() {
        return Ok((Verb::Unpause, None));
    }
    if action.heal.is_some() {
        has_network(container)?;
        return Ok((Verb::Heal, None));
    }
    if let Some(exec) = &action.exec {
        return self::exec(exec, container, project);
    }
    if let Some(run) = &action.run {
        return self::run(run, container, project);
    }
    if let Some(partition) = &action.partition {
        return self::partition(partition, container, project, probes, seed);
    }
    if let Some(latency) = &action.latency {
        has_network(container)?;
        let (delay_ms, jitter_ms) = delays(latency)?;
        return Ok((Verb::Latency { delay_ms, jitter_ms }, Some(Undo::Hasten)));
    }
    if let Some(throttle) = &action.throttle {
        return Ok(self::throttle(throttle, container.cpus));
    }
    match &action.fill_disk {
        Some(fill) => self::fill(fill, container),
        None => Err(Mistake("an action has exactly one verb, such as kill, exec or partition".into())),
    }
}

fn stands(container: &ContainerView, what: &str) -> Result<(), Mistake> {
    if container.state == State::Stopped {
        return Err(Mistake(format!("{} does not run, so it cannot be {what}", container.service)));
    }
    Ok(())
}

/// Rules and delays stand in a network namespace: of a container that runs, and that shares it with nobody.
fn has_network(container: &ContainerView) -> Result<(), Mistake> {
    if !container.own_network {
        return Err(Mistake(format!(
            "{} has no network of its own: that of its host, or of another container, is not touched",
            container.service
        )));
    }
    stands(container, "cut off or delayed, and nothing of its network can be changed")
}

/// Longer than a kernel takes is refused there; what is empty runs something else than was meant.
fn command_line(command: &[String]) -> Result<(), Mistake> {
    if command.first().is_none_or(|program| program.trim().is_empty()) {
        return Err(Mistake("the command is empty: its first word is the program".into()));
    }
    match command.iter().find(|word| word.contains('\0')) {
        Some(_) => Err(Mistake("a word of the command holds a NUL, which no program can be given".into())),
        None => Ok(()),
    }
}

fn limit(said: Option<kube::core::Duration>) -> Result<Duration, Mistake> {
    let limit = said.map_or(USUAL_LIMIT, Duration::from);
    if limit.is_zero() || limit > LONGEST_LIMIT {
        return Err(Mistake(format!("a timeout is more than 0s and at most {}m", LONGEST_LIMIT.as_secs() / 60)));
    }
    Ok(limit)
}

fn exec(exec: &Exec, container: &ContainerView, project: &ProjectView) -> Result<Decided, Mistake> {
    let seat = if container.state == State::Running && container.own_network {
        Seat::In(container.id.clone())
    } else {
        on_networks(project)?
    };
    let with = |command: &[String]| Command {
        command: command.to_vec(),
        image: container.image.clone(),
        user: container.user.clone(),
        env: container.env.clone(),
        seat: seat.clone(),
        limit: limit(exec.timeout).unwrap_or(USUAL_LIMIT),
    };
    let undo = (!exec.undo_command.is_empty()).then(|| Undo::Command(with(&exec.undo_command)));
    Ok((Verb::Exec(with(&exec.command)), undo))
}

fn run(run: &Run, container: &ContainerView, project: &ProjectView) -> Result<Decided, Mistake> {
    let command = Command {
        command: run.command.clone(),
        image: container.image.clone(),
        user: container.user.clone(),
        env: run.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        seat: on_networks(project)?,
        limit: if run.detach { Duration::ZERO } else { limit(run.timeout)? },
    };
    Ok((Verb::Run { command, detach: run.detach }, Some(Undo::Remove)))
}

fn on_networks(project: &ProjectView) -> Result<Seat, Mistake> {
    if project.networks.is_empty() {
        return Err(Mistake(format!("the project {} has no networks: is it up?", project.project)));
    }
    Ok(Seat::On(project.networks.clone()))
}

fn request(http: &Http) -> Result<Request, Mistake> {
    let request = Request {
        method: http.method.clone().unwrap_or_else(|| "GET".into()),
        url: http.url.clone(),
        headers: http.headers.clone(),
        body: http.body.clone(),
        times: u64::try_from(http.times.unwrap_or(1)).unwrap_or(1).clamp(1, 10_000),
    };
    job::check(&request).map_err(Mistake)?;
    Ok(request)
}

fn partition(
    partition: &Partition,
    container: &ContainerView,
    project: &ProjectView,
    probes: &Value,
    seed: u64,
) -> Result<Decided, Mistake> {
    has_network(container)?;
    let mut from: Vec<IpAddr> = Vec::new();
    let mut others = Vec::new();
    if partition.from.is_empty() {
        others.extend(project.containers.iter().filter(|other| other.id != container.id));
    } else {
        for (place, target) in partition.from.iter().enumerate() {
            let seed = seed.wrapping_add(u64::try_from(place).unwrap_or(0)).wrapping_add(1);
            let found = resolve::resolve(target, project, probes, seed)?.container;
            // A service may have more of them, and all of them are meant: it is its name that is cut off.
            others.extend(project.containers.iter().filter(|other| other.service == found.service));
            if found.id == container.id {
                return Err(Mistake(format!("{} cannot be cut off from itself", container.service)));
            }
            if found.addresses.is_empty() {
                let service = &found.service;
                return Err(Mistake(format!(
                    "{service} has no address, so nothing can be cut off from it: does it run?"
                )));
            }
        }
    }
    from.extend(others.iter().filter(|other| other.id != container.id).flat_map(|other| &other.addresses));
    from.sort_unstable();
    from.dedup();
    if from.is_empty() {
        return Err(Mistake(format!("no other container of {} has an address: does any run?", project.project)));
    }
    Ok((Verb::Partition { from }, Some(Undo::Rejoin)))
}

fn delays(latency: &Latency) -> Result<(u64, u64), Mistake> {
    let delay = Duration::from(latency.delay);
    let jitter = latency.jitter.map(Duration::from).unwrap_or_default();
    if delay < Duration::from_millis(1) || delay > LONGEST_DELAY {
        return Err(Mistake("a delay is between 1ms and 60s".into()));
    }
    if jitter > delay {
        return Err(Mistake("jitter is not more than the delay: no packet is sent before it is there".into()));
    }
    let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok((milliseconds(delay), milliseconds(jitter)))
}

/// An engine cannot be told to take back a limit that there was none of, unless it is one of the other kind: a quota
/// below 0 is none.
fn throttle(throttle: &Throttle, was: Cpus) -> Decided {
    if was.nano > 0 {
        let cpus = Cpus { nano: throttle.milli_cpus.saturating_mul(1_000_000), ..Cpus::default() };
        return (Verb::Throttle { cpus }, Some(Undo::Cpus { cpus: Cpus { nano: was.nano, ..Cpus::default() } }));
    }
    let period = if was.period > 0 { was.period } else { 100_000 };
    let quota = (throttle.milli_cpus.saturating_mul(period) / 1000).max(1000);
    let back = if was.quota > 0 { was.quota } else { -1 };
    let of = |quota: i64| Cpus { nano: 0, quota, period };
    (Verb::Throttle { cpus: of(quota) }, Some(Undo::Cpus { cpus: of(back) }))
}

fn fill(fill: &FillDisk, container: &ContainerView) -> Result<Decided, Mistake> {
    let folder = job::folder(&fill.folder).map_err(Mistake)?;
    let below = |mount: &str| {
        let mount = mount.trim_end_matches('/');
        folder.strip_prefix(mount).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mounts = container.mounts.iter().filter_map(|mount| Some((mount, below(&mount.destination)?)));
    let place = match mounts.max_by_key(|(mount, _)| mount.destination.len()) {
        Some((mount, _)) if mount.kind == "bind" => {
            return Err(Mistake(format!(
                "{folder} of {} is a path of its host, and a host's disk is not filled: choose a folder on a volume, or \
                 in the container itself",
                container.service
            )));
        }
        Some((mount, _)) if !mount.writable => {
            return Err(Mistake(format!("{folder} of {} is mounted read-only", container.service)));
        }
        Some((mount, rest)) if mount.kind == "volume" && mount.volume.is_some() => Place::Volume {
            volume: mount.volume.clone().unwrap_or_default(),
            folder: rest.trim_start_matches('/').to_owned(),
            overrides: container.overrides,
        },
        _ => {
            if container.state != State::Running {
                let service = &container.service;
                return Err(Mistake(format!("{service} does not run, and {folder} is on none of its volumes")));
            }
            Place::Inside { folder }
        }
    };
    let mebibytes = u64::try_from(fill.mebibytes).unwrap_or(1).clamp(1, 16_384);
    Ok((Verb::FillDisk { place, mebibytes }, Some(Undo::Empty)))
}
