//! What the agent's container is: its walls as far as the engine builds them.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    RestartPolicy, RestartPolicyNameEnum,
};

use super::{gateway, names};
use crate::sandbox::{SandboxPlan, SandboxRequest};
use crate::supervisor;

/// What the supervisor, which is root, needs: to become the unprivileged user, to kill its processes, and to take all
/// but `NET_RAW` away from them (`SETPCAP`, which it then gives up itself). `no-new-privileges` keeps any program from
/// bringing one back.
const CAPABILITIES: [&str; 5] = ["SETUID", "SETGID", "KILL", "SETPCAP", "NET_RAW"];

/// Where the engine's resolver sends what it does not know itself. Nobody has this address and the walls close it, so
/// names of the outside have no answer, and questions for them carry nothing out, whoever sends them.
pub(super) const NO_RESOLVER: &str = "240.0.0.1";

/// The supervisor outlives the controller's own limit by this, so that it is never the first to end.
const WALL_GRACE: u64 = 60;

/// The body of the call that makes the container, attached to the first network only.
pub(super) fn container(plan: &SandboxPlan, installation: &str, operator: &str, epoch: u64) -> ContainerCreateBody {
    let request = &plan.request;
    let mut arguments = [
        "supervise",
        "--confine",
        "--session",
        request.session.as_str(),
        "--wall-limit",
        &wall_limit(request),
        "--docker-host",
        gateway::DOCKER_HOST,
        "--compose-project",
        &request.project,
        "--output-bytes",
        &(output_size(request) / 4).to_string(),
        // The file system itself needs some of it.
        "--output-total-bytes",
        &(output_size(request) / 8 * 7).to_string(),
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(file) = &request.access.compose_file {
        arguments.extend(["--compose-file".to_owned(), file.clone()]);
    }
    ContainerCreateBody {
        hostname: Some("agent".into()),
        user: Some("0:0".into()),
        image: Some(plan.image_id.clone()),
        entrypoint: Some(vec![operator.to_owned()]),
        cmd: Some(arguments),
        working_dir: Some("/".into()),
        env: Some(names::environment(epoch)),
        healthcheck: Some(no_healthcheck()),
        labels: Some(labels(installation, request, epoch)),
        stop_timeout: Some(1),
        host_config: Some(host(plan, installation)),
        ..ContainerCreateBody::default()
    }
}

/// After how many seconds what stands for a session ends by itself.
pub(super) fn wall_limit(request: &SandboxRequest) -> String {
    request.wall_limit.as_secs().saturating_add(WALL_GRACE).to_string()
}

/// What each of our containers is, as far as the engine shuts it in: what it needs beyond this it says itself.
pub(super) fn shut_in(memory: i64, pids: i64) -> HostConfig {
    HostConfig {
        memory: Some(memory),
        memory_swap: Some(memory),
        pids_limit: Some(pids),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec!["no-new-privileges".into()]),
        ipc_mode: Some("private".into()),
        readonly_rootfs: Some(true),
        log_config: Some(bounded_log("1m", 1)),
        ..HostConfig::default()
    }
}

/// Nobody asks one of our containers how it does, whatever its image says.
pub(super) fn no_healthcheck() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() }
}

/// Logs of our containers hold last words, not output; but for an observer's, whose output is what it is for.
pub(super) fn bounded_log(size: &str, files: u32) -> HostConfigLogConfig {
    HostConfigLogConfig {
        typ: Some("local".into()),
        config: Some(HashMap::from([
            ("max-size".to_owned(), size.to_owned()),
            ("max-file".to_owned(), files.to_string()),
            ("compress".to_owned(), "false".to_owned()),
        ])),
    }
}

/// The egress stands there for whoever sets the walls anew, long after the request.
fn labels(installation: &str, request: &SandboxRequest, epoch: u64) -> HashMap<String, String> {
    let egress: Vec<_> = request.egress.iter().map(ToString::to_string).collect();
    let mut labels = names::labels(installation, request, names::Role::Agent);
    labels.insert(names::EGRESS.into(), egress.join(","));
    labels.insert(names::EPOCH.into(), epoch.to_string());
    labels
}

fn host(plan: &SandboxPlan, installation: &str) -> HostConfig {
    let request = &plan.request;
    let memory = i64::try_from(request.limits.memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        // It reaps what loses its parent; the supervisor waits for its own children only.
        init: Some(true),
        network_mode: plan.networks.first().map(|network| network.id.clone()),
        dns: Some(vec![NO_RESOLVER.into()]),
        // None, and a lookup that nobody answers is over soon.
        dns_search: Some(vec![".".into()]),
        dns_options: Some(["timeout:1", "attempts:1"].map(str::to_owned).into()),
        nano_cpus: Some(i64::from(request.limits.cpu_millis) * 1_000_000),
        cap_add: Some(CAPABILITIES.map(str::to_owned).into()),
        tmpfs: Some(tmpfs(request)),
        shm_size: Some(memory / 32),
        mounts: Some(vec![spool(request, installation), gateway::shared(request, installation, true)]),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), ..RestartPolicy::default() }),
        ..shut_in(memory, i64::from(request.limits.pids))
    }
}

/// Where commands can write. It is memory, and counts as the container's: all of it together is less
/// than half, so that full disks alone leave room to work. An empty file has no size and costs the kernel
/// memory all the same, so their number is limited as well.
fn tmpfs(request: &SandboxRequest) -> HashMap<String, String> {
    let part = |of: u64| (request.limits.memory_bytes / of).max(1 << 20);
    HashMap::from([
        ("/tmp".into(), format!("rw,exec,nosuid,nodev,mode=1777,nr_inodes=32k,size={}", part(8))),
        ("/work".into(), format!("rw,exec,nosuid,nodev,mode=0755,uid=1000,gid=1000,nr_inodes=32k,size={}", part(8))),
        (
            "/home/agent".into(),
            format!("rw,exec,nosuid,nodev,mode=0755,uid=1000,gid=1000,nr_inodes=16k,size={}", part(16)),
        ),
        ("/run".into(), format!("rw,noexec,nosuid,nodev,mode=0755,nr_inodes=1k,size={}", part(64))),
        // What commands printed, for later ones to read; only root writes there.
        (
            supervisor::OUTPUT.into(),
            format!("rw,noexec,nosuid,nodev,mode=0755,nr_inodes=4k,size={}", output_size(request)),
        ),
    ])
}

/// Of the file system for what commands printed.
fn output_size(request: &SandboxRequest) -> u64 {
    (request.limits.memory_bytes / 32).max(1 << 20)
}

/// On disk, for outcomes do not belong into the memory that commands compete for.
fn spool(request: &SandboxRequest, installation: &str) -> Mount {
    Mount {
        target: Some("/var/lib/operator".into()),
        source: Some(names::spool(&request.session)),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(names::labels(installation, request, names::Role::Agent)),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{Access, ContainerLimits, NetworkRef};
    use crate::session::SessionId;
    use std::time::Duration;

    #[test]
    fn gives_away_nothing() {
        let plan = SandboxPlan {
            request: SandboxRequest {
                session: SessionId::from("2026-01-28T20-54-48-3a029c12".to_owned()),
                subject: "default/shop".into(),
                project: "shop".into(),
                image: "agent:dev".into(),
                limits: ContainerLimits::default(),
                access: Access::default(),
                egress: Vec::new(),
                wall_limit: Duration::from_mins(30),
            },
            image_id: "sha256:1".into(),
            networks: vec![NetworkRef { id: "n1".into(), name: "shop_default".into() }],
        };
        let body = container(&plan, "test", "/operator", 7);
        let labels = body.labels.unwrap();
        assert_eq!((&*labels[names::SUBJECT], &*labels[names::EPOCH]), ("default/shop", "7"));
        assert!(!labels.keys().any(|label| label.starts_with("com.docker.compose")), "{labels:?}");
        assert!(body.cmd.unwrap().contains(&"1860".to_owned()));
        let host = body.host_config.unwrap();
        assert_eq!((host.privileged, host.binds, host.devices, host.pid_mode), (None, None, None, None));
        assert_eq!(host.memory, host.memory_swap);
        assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.dns.unwrap(), [NO_RESOLVER]);
    }
}
