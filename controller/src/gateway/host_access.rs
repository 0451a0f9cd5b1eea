//! Which containers of a subject are as good as their host: whoever may run a command in one of them has left
//! the subject. They are named to a person, and closed to exec, cp and start unless the policy trusts them.

mod capabilities;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bollard::models::{ContainerInspectResponse, HostConfig, MountType};

use capabilities::named;

pub(crate) use capabilities::effective;

/// Sockets of engines, by the end of their path.
const ENGINES: [&str; 4] = ["docker.sock", "containerd.sock", "podman.sock", "crio.sock"];

/// Why a container is as good as its host, in words for a person; empty for most. `bound_volumes` are the
/// named volumes that are directories of the host in disguise.
#[must_use]
pub fn reasons(inspect: &ContainerInspectResponse, bound_volumes: &BTreeSet<String>) -> Vec<String> {
    let mut reasons = BTreeSet::new();
    let none = HostConfig::default();
    let host = inspect.host_config.as_ref().unwrap_or(&none);
    if host.privileged == Some(true) {
        reasons.insert("it is privileged".to_owned());
    }
    for source in host_paths(inspect, host) {
        let engine = ENGINES.iter().any(|socket| source.ends_with(socket));
        let what = if engine { "the engine's socket" } else { "a path of the host" };
        reasons.insert(format!("{what} is mounted: {source}"));
    }
    for volume in volumes(inspect, host).filter(|volume| bound_volumes.contains(*volume)) {
        reasons.insert(format!("its volume {volume} is a path of the host"));
    }
    reasons.extend(namespaces(host));
    let added = host.cap_add.iter().flatten().filter(|capability| capabilities::is_dangerous(capability));
    reasons.extend(added.map(|capability| format!("it has the capability {}", named(capability))));
    if host.devices.as_ref().is_some_and(|devices| !devices.is_empty()) {
        reasons.insert("it has devices of the host".to_owned());
    }
    if host.device_cgroup_rules.as_ref().is_some_and(|rules| !rules.is_empty()) {
        reasons.insert("it may open devices by a rule".to_owned());
    }
    if host.device_requests.as_ref().is_some_and(|requests| !requests.is_empty()) {
        reasons.insert("it asks for devices of the host".to_owned());
    }
    for option in host.security_opt.iter().flatten() {
        let bare = option.replace('=', ":").to_ascii_lowercase();
        if bare.ends_with("unconfined") || bare == "label:disable" || bare == "disable" {
            reasons.insert(format!("a protection is off: {option}"));
        }
    }
    if let Some(parent) = host.cgroup_parent.as_deref().filter(|parent| !parent.is_empty()) {
        reasons.insert(format!("its cgroup stands under another: {parent}"));
    }
    for (paths, what) in [(&host.masked_paths, "hidden"), (&host.readonly_paths, "read-only")] {
        // Absent, they are the engine's own; empty, somebody took them away.
        if paths.as_ref().is_some_and(Vec::is_empty) {
            reasons.insert(format!("none of the kernel's files are {what}"));
        }
    }
    if let Some(runtime) = host.runtime.as_deref().filter(|runtime| !matches!(*runtime, "" | "runc")) {
        reasons.insert(format!("it has another runtime: {runtime}"));
    }
    reasons.into_iter().collect()
}

fn host_paths<'a>(inspect: &'a ContainerInspectResponse, host: &'a HostConfig) -> BTreeSet<&'a str> {
    let binds = host.binds.iter().flatten().filter_map(|bind| bind.split(':').next().filter(|_| bind.contains(':')));
    // What a bind's source is not, a volume's name is.
    let binds = binds.filter(|source| !source.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let wanted =
        host.mounts.iter().flatten().filter(|mount| matches!(mount.typ, Some(MountType::BIND | MountType::NPIPE)));
    let mounted =
        inspect.mounts.iter().flatten().filter(|mount| matches!(mount.typ.as_deref(), Some("bind" | "npipe")));
    let wanted = wanted.map(|mount| mount.source.as_deref().unwrap_or("?"));
    binds.chain(wanted).chain(mounted.map(|mount| mount.source.as_deref().unwrap_or("?"))).collect()
}

fn volumes<'a>(inspect: &'a ContainerInspectResponse, host: &'a HostConfig) -> impl Iterator<Item = &'a str> {
    let binds = host.binds.iter().flatten().filter_map(|bind| bind.split(':').next());
    let wanted = host.mounts.iter().flatten().filter_map(|mount| mount.source.as_deref());
    binds.chain(wanted).chain(inspect.mounts.iter().flatten().filter_map(|mount| mount.name.as_deref()))
}

/// Not the cgroup namespace: with the first version of cgroups every container has the host's, and its cgroups
/// are read-only all the same.
fn namespaces(host: &HostConfig) -> Vec<String> {
    let modes = [
        ("process", &host.pid_mode),
        ("network", &host.network_mode),
        ("IPC", &host.ipc_mode),
        ("UTS", &host.uts_mode),
        ("user", &host.userns_mode),
        ("cgroup", &host.cgroup),
    ];
    let mut reasons = Vec::new();
    for (what, mode) in modes {
        match mode.as_deref() {
            Some("host") => reasons.push(format!("it has the {what} namespace of the host")),
            // Its container may be foreign, or as good as the host itself.
            Some(mode) if mode.starts_with("container:") => {
                reasons.push(format!("it has the {what} namespace of another container: {mode}"));
            }
            _ => {}
        }
    }
    reasons
}
