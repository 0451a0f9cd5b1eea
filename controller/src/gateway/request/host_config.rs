//! The host's part of a new container. What would give the host away is refused here, whatever it replaces.

use bollard::models::{
    ContainerUpdateBody, HostConfig, HostConfigLogConfig, Mount, MountTmpfsOptions, MountType, MountVolumeOptions,
    PortBinding, PortMap, ResourcesUlimits,
};

use super::fields::Fields;
use super::{limits, shortened, target};
use crate::gateway::refusal::Refusal;

const NAMESPACE: &str = "a replacement has its own namespace: leave it out";
const VOLUMES: &str = "name the volumes of the container to replace with --volume NAME:/PATH";

/// What no replacement says, with what to do instead.
const NEVER: &[(&str, &str)] = &[
    ("Privileged", "run it without --privileged"),
    ("PidMode", NAMESPACE),
    ("UTSMode", NAMESPACE),
    ("UsernsMode", NAMESPACE),
    ("Cgroup", NAMESPACE),
    ("VolumesFrom", VOLUMES),
    ("VolumeDriver", VOLUMES),
    ("ContainerIDFile", "it is the client's own: leave it out"),
    ("Links", "containers find one another by name within a network: leave out --link"),
    ("PublishAllPorts", "publish single ports of the container to replace with --publish"),
    ("StorageOpt", "leave out --storage-opt"),
    ("Runtime", "leave out --runtime"),
    ("Isolation", "leave out --isolation"),
    ("Annotations", "leave out --annotation"),
];

/// Reads it.
pub(super) fn read(mut body: Fields) -> Result<HostConfig, Refusal> {
    body.nothing_of(NEVER)?;
    for paths in ["MaskedPaths", "ReadonlyPaths"] {
        // An empty list is not nothing: it takes the engine's own away.
        if body.texts(paths)?.is_some() {
            let name = body.name(paths);
            return Err(Refusal::forbidden(format!("{name} is not possible through this gateway: leave it out")));
        }
    }
    let cgroup_namespace = body.text("CgroupnsMode")?;
    let ipc_mode = body.text("IpcMode")?;
    if cgroup_namespace.is_some_and(|mode| mode != "private")
        || ipc_mode.as_ref().is_some_and(|mode| !matches!(mode.as_str(), "private" | "none"))
    {
        return Err(Refusal::forbidden(
            "the replacement has its own IPC and cgroup namespaces: leave out --ipc and --cgroupns",
        ));
    }
    let oom_score_adj = body.whole("OomScoreAdj")?.filter(|adjustment| *adjustment != 0);
    if oom_score_adj.is_some_and(|adjustment| !(0..=1000).contains(&adjustment)) {
        return Err(Refusal::forbidden("OomScoreAdj must be between 0 and 1000: others must not die first"));
    }
    // A terminal's size for Windows.
    body.pair("ConsoleSize")?;
    let limits = limits::read(&mut body)?;
    let config = HostConfig {
        binds: binds(&mut body)?,
        log_config: log_config(&mut body)?,
        network_mode: body.text("NetworkMode")?,
        port_bindings: port_bindings(&mut body)?,
        auto_remove: body.flag("AutoRemove")?,
        mounts: mounts(&mut body)?,
        cap_add: body.texts("CapAdd")?,
        cap_drop: body.texts("CapDrop")?,
        dns: body.texts("Dns")?,
        dns_options: body.texts("DnsOptions")?,
        dns_search: body.texts("DnsSearch")?,
        extra_hosts: body.texts("ExtraHosts")?,
        group_add: body.texts("GroupAdd")?,
        ipc_mode,
        oom_score_adj,
        readonly_rootfs: body.flag("ReadonlyRootfs")?,
        security_opt: body.texts("SecurityOpt")?,
        tmpfs: tmpfs(&mut body)?,
        shm_size: body.whole("ShmSize")?.filter(|size| *size > 0),
        sysctls: body.text_map("Sysctls")?,
        init: body.flag("Init")?,
        ulimits: ulimits(&mut body)?,
        ..limited(limits)
    };
    body.done()?;
    Ok(config)
}

/// A path in a container at which something is mounted: absolute, written out, and not over the kernel's
/// own.
pub(super) fn destination(path: &str) -> Result<(), Refusal> {
    let written_out = path.strip_prefix('/').is_some_and(|rest| {
        rest.strip_suffix('/').unwrap_or(rest).split('/').all(|segment| !matches!(segment, "" | "." | ".."))
    });
    let sound = !path.contains(|c: char| c == ':' || c.is_control()) && path.len() <= 4096;
    let kernels = ["proc", "sys"].contains(&path.split('/').nth(1).unwrap_or_default());
    if written_out && sound && !kernels {
        return Ok(());
    }
    Err(Refusal::forbidden(format!(
        "nothing can be mounted at {:?}: name an absolute path, written out, outside of /proc and /sys",
        shortened(path)
    )))
}

fn limited(limits: ContainerUpdateBody) -> HostConfig {
    HostConfig {
        cpu_shares: limits.cpu_shares,
        memory: limits.memory,
        blkio_weight: limits.blkio_weight,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpuset_cpus: limits.cpuset_cpus,
        cpuset_mems: limits.cpuset_mems,
        memory_reservation: limits.memory_reservation,
        memory_swap: limits.memory_swap,
        memory_swappiness: limits.memory_swappiness,
        nano_cpus: limits.nano_cpus,
        pids_limit: limits.pids_limit,
        restart_policy: limits.restart_policy,
        ..HostConfig::default()
    }
}

/// `VOLUME:/PATH[:OPTIONS]`, or `/PATH` for a new volume without a name.
fn binds(body: &mut Fields) -> Result<Option<Vec<String>>, Refusal> {
    let binds = body.texts("Binds")?.unwrap_or_default();
    for bind in &binds {
        let parts: Vec<&str> = bind.split(':').collect();
        if parts.len() > 1 && parts.first().is_some_and(|source| source.starts_with(['/', '.', '~'])) {
            return Err(Refusal::forbidden(format!(
                "mounting a path of the host ({:?}) is not possible through this gateway: {VOLUMES}",
                shortened(bind)
            )));
        }
        match parts.as_slice() {
            [path] => destination(path)?,
            [volume, path] => volume_at(volume, path)?,
            [volume, path, options] => {
                volume_at(volume, path)?;
                if !options.split(',').all(|option| matches!(option, "rw" | "ro" | "nocopy" | "z" | "Z")) {
                    return Err(Refusal::forbidden("a volume is mounted with rw, ro, nocopy, z or Z only"));
                }
            }
            _ => return Err(Refusal::bad(format!("{:?} is not VOLUME:/PATH", shortened(bind)))),
        }
    }
    Ok((!binds.is_empty()).then_some(binds))
}

fn volume_at(volume: &str, path: &str) -> Result<(), Refusal> {
    target::reference(volume)?;
    destination(path)
}

fn mounts(body: &mut Fields) -> Result<Option<Vec<Mount>>, Refusal> {
    let mounts = body.list("Mounts")?.unwrap_or_default();
    let mounts: Vec<Mount> = mounts.into_iter().map(mount).collect::<Result<_, _>>()?;
    Ok((!mounts.is_empty()).then_some(mounts))
}

fn mount(mut body: Fields) -> Result<Mount, Refusal> {
    let kind = body.text("Type")?.unwrap_or_default();
    let typ = match kind.as_str() {
        "volume" => MountType::VOLUME,
        "tmpfs" => MountType::TMPFS,
        _ => {
            return Err(Refusal::forbidden(format!(
                "a mount of type {:?} is not possible through this gateway: {VOLUMES}",
                shortened(&kind)
            )));
        }
    };
    body.nothing("BindOptions", VOLUMES)?;
    body.nothing("ImageOptions", VOLUMES)?;
    body.nothing("ClusterOptions", VOLUMES)?;
    // It says how macOS would cache it.
    body.text("Consistency")?;
    let target = body.text("Target")?.unwrap_or_default();
    destination(&target)?;
    let source = body.text("Source")?.map(|source| target::reference(&source)).transpose()?.map(|source| source.0);
    if source.is_some() && typ == MountType::TMPFS {
        return Err(Refusal::bad("a tmpfs has no source: leave it out"));
    }
    let mut volume = body.object("VolumeOptions")?;
    volume.nothing("DriverConfig", VOLUMES)?;
    volume.nothing("Subpath", VOLUMES)?;
    volume.nothing("Labels", "a volume's labels are fixed: leave them out")?;
    let no_copy = volume.flag("NoCopy")?.filter(|no_copy| *no_copy);
    volume.done()?;
    let mut tmpfs = body.object("TmpfsOptions")?;
    tmpfs.nothing("Options", "use --tmpfs /PATH:OPTIONS")?;
    let tmpfs_options = MountTmpfsOptions {
        size_bytes: tmpfs.whole("SizeBytes")?.filter(|size| *size > 0),
        mode: tmpfs.whole("Mode")?.filter(|mode| (1..=0o7777).contains(mode)),
        options: None,
    };
    tmpfs.done()?;
    let mount = Mount {
        target: Some(target),
        source,
        read_only: body.flag("ReadOnly")?,
        volume_options: no_copy.map(|_| MountVolumeOptions { no_copy, ..MountVolumeOptions::default() }),
        tmpfs_options: (typ == MountType::TMPFS).then_some(tmpfs_options),
        typ: Some(typ),
        ..Mount::default()
    };
    body.done()?;
    Ok(mount)
}

fn tmpfs(body: &mut Fields) -> Result<Option<std::collections::HashMap<String, String>>, Refusal> {
    let tmpfs = body.text_map("Tmpfs")?.unwrap_or_default();
    for (path, options) in &tmpfs {
        destination(path)?;
        if options.len() > 256 || !options.bytes().all(|b| b.is_ascii_alphanumeric() || b",=%_-".contains(&b)) {
            return Err(Refusal::bad(format!("the tmpfs at {:?} has options that make no sense", shortened(path))));
        }
    }
    Ok((!tmpfs.is_empty()).then_some(tmpfs))
}

fn log_config(body: &mut Fields) -> Result<Option<HostConfigLogConfig>, Refusal> {
    let mut log = body.object("LogConfig")?;
    let typ = log.text("Type")?;
    let config = log.text_map("Config")?.filter(|config| !config.is_empty());
    log.done()?;
    let any = typ.is_some() || config.is_some();
    Ok(any.then_some(HostConfigLogConfig { typ, config }))
}

fn port_bindings(body: &mut Fields) -> Result<Option<PortMap>, Refusal> {
    let ports = body.object_lists("PortBindings")?.unwrap_or_default();
    let ports = ports.into_iter().map(|(port, bindings)| {
        let bindings = bindings.into_iter().map(|mut binding| {
            let read = PortBinding { host_ip: binding.text("HostIp")?, host_port: binding.text("HostPort")? };
            binding.done()?;
            Ok(read)
        });
        Ok((port, Some(bindings.collect::<Result<_, Refusal>>()?)))
    });
    let ports: PortMap = ports.collect::<Result<_, Refusal>>()?;
    Ok((!ports.is_empty()).then_some(ports))
}

fn ulimits(body: &mut Fields) -> Result<Option<Vec<ResourcesUlimits>>, Refusal> {
    let ulimits = body.list("Ulimits")?.unwrap_or_default();
    let ulimits = ulimits.into_iter().map(|mut ulimit| {
        let read =
            ResourcesUlimits { name: ulimit.text("Name")?, soft: ulimit.whole("Soft")?, hard: ulimit.whole("Hard")? };
        ulimit.done()?;
        Ok(read)
    });
    let ulimits: Vec<_> = ulimits.collect::<Result<_, Refusal>>()?;
    Ok((!ulimits.is_empty()).then_some(ulimits))
}
