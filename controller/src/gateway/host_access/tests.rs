//! Each way in which a container is as good as its host, and those in which it is not.

use serde_json::{Value, json};

use super::*;

fn of(host: &Value, mounts: &Value) -> Vec<String> {
    let inspect = serde_json::from_value(json!({ "HostConfig": host, "Mounts": mounts })).unwrap();
    reasons(&inspect, &BTreeSet::from(["disguised".to_owned()]))
}

#[test]
fn a_container_as_compose_makes_it_is_not_its_host() {
    let host = json!({
        "Binds": null, "NetworkMode": "shop_default", "CapAdd": null, "CgroupnsMode": "host", "IpcMode": "private",
        "PidMode": "", "Privileged": false, "SecurityOpt": null, "UTSMode": "", "UsernsMode": "", "Runtime": "runc",
        "CgroupParent": "", "Devices": [], "DeviceCgroupRules": null, "DeviceRequests": null,
        "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"],
        "Mounts": [{ "Type": "volume", "Source": "shop_data", "Target": "/data" }]
    });
    let mounts =
        json!([{ "Type": "volume", "Name": "shop_data", "Source": "/var/lib/x", "Destination": "/data", "RW": true }]);
    assert_eq!(of(&host, &mounts), Vec::<String>::new());
    let harmless = json!({ "Binds": ["data:/data:rw", "/anonymous"], "CapAdd": ["NET_BIND_SERVICE", "CAP_CHOWN"],
        "SecurityOpt": ["no-new-privileges"], "IpcMode": "shareable" });
    assert_eq!(of(&harmless, &json!([])), Vec::<String>::new());
    assert_eq!(reasons(&ContainerInspectResponse::default(), &BTreeSet::new()), Vec::<String>::new());
}

#[test]
fn each_way_to_the_host_has_its_reason() {
    for (host, word) in [
        (json!({ "Privileged": true }), "privileged"),
        (json!({ "Binds": ["/srv:/srv:ro"] }), "a path of the host is mounted: /srv"),
        (json!({ "Binds": ["/var/run/docker.sock:/s"] }), "the engine's socket is mounted: /var/run/docker.sock"),
        (
            json!({ "Mounts": [{ "Type": "bind", "Source": "/run/containerd/containerd.sock", "Target": "/s" }] }),
            "the engine's socket",
        ),
        (json!({ "Mounts": [{ "Type": "npipe", "Source": "p", "Target": "/s" }] }), "a path of the host"),
        (json!({ "Binds": ["disguised:/data"] }), "its volume disguised"),
        (json!({ "Mounts": [{ "Type": "volume", "Source": "disguised", "Target": "/s" }] }), "its volume disguised"),
        (json!({ "PidMode": "host" }), "process namespace of the host"),
        (json!({ "NetworkMode": "host" }), "network namespace of the host"),
        (json!({ "IpcMode": "host" }), "IPC namespace of the host"),
        (json!({ "UTSMode": "host" }), "UTS namespace of the host"),
        (json!({ "UsernsMode": "host" }), "user namespace of the host"),
        (json!({ "NetworkMode": "container:abc" }), "another container: container:abc"),
        (json!({ "CapAdd": ["cap_sys_admin"] }), "capability SYS_ADMIN"),
        (json!({ "CapAdd": ["ALL"] }), "capability ALL"),
        (json!({ "CapAdd": ["CAP_BPF"] }), "capability BPF"),
        (json!({ "Devices": [{ "PathOnHost": "/dev/sda" }] }), "devices of the host"),
        (json!({ "DeviceCgroupRules": ["a *:* rwm"] }), "by a rule"),
        (json!({ "DeviceRequests": [{ "Count": -1 }] }), "asks for devices"),
        (json!({ "SecurityOpt": ["seccomp=unconfined"] }), "seccomp=unconfined"),
        (json!({ "SecurityOpt": ["apparmor:unconfined"] }), "apparmor:unconfined"),
        (json!({ "SecurityOpt": ["label:disable"] }), "label:disable"),
        (json!({ "CgroupParent": "/x" }), "cgroup stands under"),
        (json!({ "MaskedPaths": [] }), "hidden"),
        (json!({ "ReadonlyPaths": [] }), "read-only"),
        (json!({ "Runtime": "kata" }), "runtime: kata"),
    ] {
        let reasons = of(&host, &json!([]));
        assert!(reasons.len() == 1 && reasons.iter().all(|reason| reason.contains(word)), "{host}: {reasons:?}");
    }
    let mounts =
        json!([{ "Type": "bind", "Source": "/run/podman/podman.sock" }, { "Type": "volume", "Name": "disguised" }]);
    assert_eq!(of(&json!({}), &mounts).len(), 2);
}
