//! Limits and the restart policy: of an update, and of what is to be made.

use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};

use super::fields::Fields;
use crate::gateway::refusal::Refusal;

const DEVICES: &str = "a container of the subject has no devices of its host: leave it out";
const OTHER_LIMITS: &str = "limit memory, CPU and processes instead";

/// Limits that must say nothing, with what to do instead.
const NEVER: &[(&str, &str)] = &[
    ("Devices", DEVICES),
    ("DeviceCgroupRules", DEVICES),
    ("DeviceRequests", DEVICES),
    ("BlkioWeightDevice", DEVICES),
    ("BlkioDeviceReadBps", DEVICES),
    ("BlkioDeviceWriteBps", DEVICES),
    ("BlkioDeviceReadIOps", DEVICES),
    ("BlkioDeviceWriteIOps", DEVICES),
    ("CgroupParent", "the engine places a container's cgroup: leave out --cgroup-parent"),
    ("CpuRealtimePeriod", OTHER_LIMITS),
    ("CpuRealtimeRuntime", OTHER_LIMITS),
    ("KernelMemory", OTHER_LIMITS),
    ("KernelMemoryTCP", OTHER_LIMITS),
    ("CpuCount", OTHER_LIMITS),
    ("CpuPercent", OTHER_LIMITS),
    ("IOMaximumIOps", OTHER_LIMITS),
    ("IOMaximumBandwidth", OTHER_LIMITS),
    ("OomKillDisable", "a container without an end to its memory endangers its host: raise its limit instead"),
];

/// The body of `POST /containers/{id}/update`.
pub(super) fn update(json: &[u8]) -> Result<ContainerUpdateBody, Refusal> {
    let mut body = Fields::of_body(json)?;
    let limits = read(&mut body)?;
    body.nothing("Ulimits", "they are fixed when a container is made: make a replacement with `docker create`")?;
    body.nothing("Init", "it is fixed when a container is made: make a replacement with `docker create`")?;
    body.done()?;
    Ok(limits)
}

/// The fields that updates and new containers share. Zero means unset there and is left out.
pub(super) fn read(body: &mut Fields) -> Result<ContainerUpdateBody, Refusal> {
    body.nothing_of(NEVER)?;
    Ok(ContainerUpdateBody {
        cpu_shares: limit(body, "CpuShares", 0)?,
        memory: limit(body, "Memory", 0)?,
        blkio_weight: limit(body, "BlkioWeight", 0)?
            .map(u16::try_from)
            .transpose()
            .map_err(|_| Refusal::bad("BlkioWeight must be at most 1000"))?,
        cpu_period: limit(body, "CpuPeriod", 0)?,
        cpu_quota: limit(body, "CpuQuota", -1)?,
        cpuset_cpus: set(body, "CpusetCpus")?,
        cpuset_mems: set(body, "CpusetMems")?,
        memory_reservation: limit(body, "MemoryReservation", 0)?,
        memory_swap: limit(body, "MemorySwap", -1)?,
        // -1 is the kernel's own.
        memory_swappiness: body.whole("MemorySwappiness")?.filter(|value| *value != -1),
        nano_cpus: limit(body, "NanoCpus", 0)?,
        pids_limit: limit(body, "PidsLimit", -1)?,
        restart_policy: restart_policy(body)?,
        ..ContainerUpdateBody::default()
    })
}

fn limit(body: &mut Fields, name: &str, least: i64) -> Result<Option<i64>, Refusal> {
    match body.whole(name)? {
        Some(value) if value < least => Err(Refusal::bad(format!("{} must be at least {least}", body.name(name)))),
        value => Ok(value.filter(|value| *value != 0)),
    }
}

/// Processors or memory nodes, such as `0-2,4`.
fn set(body: &mut Fields, name: &str) -> Result<Option<String>, Refusal> {
    match body.text(name)? {
        Some(set) if !set.bytes().all(|byte| byte.is_ascii_digit() || b",-".contains(&byte)) => {
            Err(Refusal::bad(format!("{} must be numbers such as 0-2,4", body.name(name))))
        }
        set => Ok(set),
    }
}

fn restart_policy(body: &mut Fields) -> Result<Option<RestartPolicy>, Refusal> {
    let mut policy = body.object("RestartPolicy")?;
    let name = match policy.text("Name")?.as_deref() {
        None => None,
        Some("no") => Some(RestartPolicyNameEnum::NO),
        Some("always") => Some(RestartPolicyNameEnum::ALWAYS),
        Some("unless-stopped") => Some(RestartPolicyNameEnum::UNLESS_STOPPED),
        Some("on-failure") => Some(RestartPolicyNameEnum::ON_FAILURE),
        Some(_) => return Err(Refusal::bad("the restart policy must be no, always, unless-stopped or on-failure")),
    };
    let maximum_retry_count = limit(&mut policy, "MaximumRetryCount", 0)?;
    policy.done()?;
    Ok(name.map(|name| RestartPolicy { name: Some(name), maximum_retry_count }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_has_limits_and_nothing_else() {
        let body = br#"{"Memory":1000,"MemorySwap":-1,"PidsLimit":10,"CpusetCpus":"0-1","Devices":[],"Ulimits":null}"#;
        let update = update(body).unwrap();
        assert_eq!((update.memory, update.memory_swap, update.pids_limit), (Some(1000), Some(-1), Some(10)));
        assert_eq!((update.devices, update.cgroup_parent, update.restart_policy), (None, None, None));
    }

    #[test]
    fn what_is_not_a_limit_is_refused_by_its_name() {
        for (body, name) in [
            (r#"{"Devices":[{"PathOnHost":"/dev/sda"}]}"#, "Devices"),
            (r#"{"DeviceCgroupRules":["a *:* rwm"]}"#, "DeviceCgroupRules"),
            (r#"{"CgroupParent":"/"}"#, "CgroupParent"),
            (r#"{"OomKillDisable":true}"#, "OomKillDisable"),
            (r#"{"Privileged":true}"#, "Privileged"),
            (r#"{"memory":1}"#, "memory"),
            (r#"{"Memory":-1}"#, "Memory"),
            (r#"{"Memory":1.5}"#, "Memory"),
            (r#"{"BlkioWeight":70000}"#, "BlkioWeight"),
            (r#"{"CpusetCpus":"../0"}"#, "CpusetCpus"),
            (r#"{"RestartPolicy":{"Name":"sometimes"}}"#, "restart policy"),
            (r#"{"RestartPolicy":{"Name":"no","X":1}}"#, "RestartPolicy.X"),
        ] {
            let refusal = update(body.as_bytes()).unwrap_err();
            assert!(refusal.reason.contains(name), "{body}: {refusal}");
        }
    }
}
