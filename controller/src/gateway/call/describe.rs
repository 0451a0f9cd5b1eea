//! A change in words: what the ledger calls it, and the command as a person would type it.

use bollard::models::{ContainerUpdateBody, ExecConfig};

use crate::gateway::request::{Ask, ContainerAsk, Create, Ending};

/// No summary is longer: it is one line in a list.
const LONGEST: usize = 500;

/// A change in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What is done: `container.restart`.
    pub action: &'static str,
    /// In one line: `docker restart shop-redis-1`.
    pub summary: String,
}

/// Whether a call changes anything. What announces a command, waits or looks does not.
#[must_use]
pub fn is_change(ask: &Ask) -> bool {
    action(ask).is_some()
}

/// A change in words, or `None` if the call changes nothing. `target` is the name of the container, network
/// or volume, `other` that of the container which is connected or disconnected. `exec` is what an exec was
/// announced with.
#[must_use]
pub fn describe(ask: &Ask, target: &str, other: &str, exec: Option<&ExecConfig>) -> Option<Description> {
    let action = action(ask)?;
    let words = match ask {
        Ask::Container(_, ask) => container(ask, target),
        Ask::Create(create) => created(create),
        Ask::ExecStart(_, start) => executed(start.detach, target, exec),
        Ask::NetworkConnect(_, _, endpoint) => {
            let mut words = strings(&["network", "connect"]);
            for alias in endpoint.aliases.iter().flatten() {
                words.extend(["--alias".to_owned(), alias.clone()]);
            }
            let ipam = endpoint.ipam_config.as_ref();
            option(&mut words, "--ip", ipam.and_then(|ipam| ipam.ipv4_address.as_ref()));
            option(&mut words, "--ip6", ipam.and_then(|ipam| ipam.ipv6_address.as_ref()));
            words.extend(strings(&[target, other]));
            words
        }
        Ask::NetworkDisconnect { force, .. } => {
            let mut words = strings(&["network", "disconnect"]);
            words.extend(force.then(|| "--force".to_owned()));
            words.extend(strings(&[target, other]));
            words
        }
        Ask::VolumeRemove { .. } => strings(&["volume", "rm", target]),
        _ => Vec::new(),
    };
    let mut summary = String::from("docker");
    for word in words {
        summary.push(' ');
        summary.push_str(&quoted(&word));
    }
    if summary.chars().count() > LONGEST {
        summary = summary.chars().take(LONGEST - 1).chain(['…']).collect();
    }
    Some(Description { action, summary })
}

fn action(ask: &Ask) -> Option<&'static str> {
    match ask {
        Ask::Create(_) => Some("container.create"),
        Ask::ExecStart(..) => Some("container.exec"),
        Ask::NetworkConnect(..) => Some("network.connect"),
        Ask::NetworkDisconnect { .. } => Some("network.disconnect"),
        Ask::VolumeRemove { .. } => Some("volume.remove"),
        Ask::Container(_, ask) => container_action(ask),
        Ask::Ping
        | Ask::Version
        | Ask::Info
        | Ask::Containers(_)
        | Ask::Events(_)
        | Ask::Networks(_)
        | Ask::Network(_)
        | Ask::Volumes(_)
        | Ask::Volume(_)
        | Ask::Images(_)
        | Ask::Image(_)
        | Ask::ExecInspect(_)
        | Ask::ExecResize(..) => None,
    }
}

fn container_action(ask: &ContainerAsk) -> Option<&'static str> {
    match ask {
        ContainerAsk::CopyIn { .. } => Some("container.copy_in"),
        ContainerAsk::Start => Some("container.start"),
        ContainerAsk::Stop(_) => Some("container.stop"),
        ContainerAsk::Restart(_) => Some("container.restart"),
        ContainerAsk::Kill { .. } => Some("container.kill"),
        ContainerAsk::Pause => Some("container.pause"),
        ContainerAsk::Unpause => Some("container.unpause"),
        ContainerAsk::Attach(attach) => attach.stdin.then_some("container.attach"),
        ContainerAsk::Update(_) => Some("container.update"),
        ContainerAsk::Rename { .. } => Some("container.rename"),
        ContainerAsk::Remove { .. } => Some("container.remove"),
        ContainerAsk::Inspect { .. }
        | ContainerAsk::Top { .. }
        | ContainerAsk::Logs(_)
        | ContainerAsk::Stats { .. }
        | ContainerAsk::Changes
        | ContainerAsk::Stat { .. }
        | ContainerAsk::CopyOut { .. }
        | ContainerAsk::Wait { .. }
        | ContainerAsk::Resize(_)
        | ContainerAsk::Exec(_) => None,
    }
}

fn container(ask: &ContainerAsk, name: &str) -> Vec<String> {
    match ask {
        ContainerAsk::Start => strings(&["start", name]),
        ContainerAsk::Stop(ending) => ended("stop", ending, name),
        ContainerAsk::Restart(ending) => ended("restart", ending, name),
        ContainerAsk::Kill { signal } => {
            let mut words = strings(&["kill"]);
            option(&mut words, "--signal", signal.as_ref());
            words.push(name.to_owned());
            words
        }
        ContainerAsk::Pause => strings(&["pause", name]),
        ContainerAsk::Unpause => strings(&["unpause", name]),
        ContainerAsk::Attach(_) => strings(&["attach", name]),
        ContainerAsk::Update(limits) => updated(limits, name),
        ContainerAsk::Rename { name: new } => strings(&["rename", name, new]),
        ContainerAsk::Remove { volumes, force } => {
            let mut words = strings(&["rm"]);
            words.extend(force.then(|| "--force".to_owned()));
            words.extend(volumes.then(|| "--volumes".to_owned()));
            words.push(name.to_owned());
            words
        }
        ContainerAsk::CopyIn { path, .. } => strings(&["cp", "-", &format!("{name}:{path}")]),
        _ => Vec::new(),
    }
}

fn ended(verb: &str, ending: &Ending, name: &str) -> Vec<String> {
    let mut words = strings(&[verb]);
    option(&mut words, "--signal", ending.signal.as_ref());
    option(&mut words, "--time", ending.timeout.as_ref());
    words.push(name.to_owned());
    words
}

fn updated(limits: &ContainerUpdateBody, name: &str) -> Vec<String> {
    let mut words = strings(&["update"]);
    option(&mut words, "--memory", limits.memory.as_ref());
    option(&mut words, "--memory-swap", limits.memory_swap.as_ref());
    option(&mut words, "--memory-reservation", limits.memory_reservation.as_ref());
    // The command line has processors, the API a billion to each.
    let cpus = limits.nano_cpus.map(|nano| format!("{}.{:03}", nano / 1_000_000_000, nano / 1_000_000 % 1000));
    option(&mut words, "--cpus", cpus.as_ref());
    option(&mut words, "--cpu-shares", limits.cpu_shares.as_ref());
    option(&mut words, "--cpu-period", limits.cpu_period.as_ref());
    option(&mut words, "--cpu-quota", limits.cpu_quota.as_ref());
    option(&mut words, "--cpuset-cpus", limits.cpuset_cpus.as_ref());
    option(&mut words, "--cpuset-mems", limits.cpuset_mems.as_ref());
    option(&mut words, "--pids-limit", limits.pids_limit.as_ref());
    option(&mut words, "--blkio-weight", limits.blkio_weight.as_ref());
    let policy = limits.restart_policy.as_ref().and_then(|policy| policy.name);
    option(&mut words, "--restart", policy.as_ref());
    words.push(name.to_owned());
    words
}

fn executed(detach: bool, name: &str, exec: Option<&ExecConfig>) -> Vec<String> {
    let mut words = strings(&["exec"]);
    let Some(exec) = exec else {
        words.push(name.to_owned());
        return words;
    };
    let flags =
        [(detach, "--detach"), (exec.attach_stdin == Some(true), "--interactive"), (exec.tty == Some(true), "--tty")];
    words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| (*flag).to_owned()));
    option(&mut words, "--user", exec.user.as_ref());
    option(&mut words, "--workdir", exec.working_dir.as_ref());
    for variable in exec.env.iter().flatten() {
        words.extend(["--env".to_owned(), variable.clone()]);
    }
    words.push(name.to_owned());
    words.extend(exec.cmd.iter().flatten().cloned());
    words
}

fn created(create: &Create) -> Vec<String> {
    let mut words = strings(&["create"]);
    option(&mut words, "--name", create.name.as_ref());
    let mode = create.body.host_config.as_ref().and_then(|host| host.network_mode.as_ref());
    option(&mut words, "--network", mode);
    words.extend(create.body.image.clone());
    words.extend(create.body.cmd.iter().flatten().cloned());
    words
}

fn option(words: &mut Vec<String>, name: &str, value: Option<&impl ToString>) {
    if let Some(value) = value {
        words.extend([name.to_owned(), value.to_string()]);
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// As a shell would read it back; control characters are shown, so that it stays one line.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if word.chars().any(|c| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
        return format!("$'{}'", word.escape_debug());
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
