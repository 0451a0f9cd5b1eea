//! What the agent asks of the gateway: what is accepted is written anew, reads the same when it is read again, and
//! gives nothing away.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::ContainerInspectResponse;
use http::{Method, Uri};
use serde_json::{Value, json};

use crate::gateway::call::{self, EngineCall};
use crate::gateway::refusal::{LONGEST_REASON, Refusal};
use crate::gateway::replacement::{self, Project};
use crate::gateway::request::{Ask, Body, ContainerAsk, Create, Filters, Reference, parse, wants_body};
use crate::printable;

/// The full id of whatever a request names.
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Another one, for the container that is connected to the first.
const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
const PROJECT: &str = "shop";
const IMAGE: &str = "sha256:0123";

/// What no container is ever given, wherever it stands in a body.
const NEVER: [&str; 22] = [
    "Privileged",
    "PidMode",
    "UTSMode",
    "UsernsMode",
    "Cgroup",
    "CgroupParent",
    "VolumesFrom",
    "VolumeDriver",
    "Links",
    "Runtime",
    "Devices",
    "DeviceCgroupRules",
    "DeviceRequests",
    "MaskedPaths",
    "ReadonlyPaths",
    "StorageOpt",
    "Annotations",
    "OomKillDisable",
    "PublishAllPorts",
    "BindOptions",
    "DriverConfig",
    "MacAddress",
];

/// The capabilities that the template has: what the engine gives a container by itself, written down here a second time
/// on purpose, so that a mistake in the list of `host_access` is seen.
const CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A request to the gateway: a line with method and target, then the body.
///
/// # Panics
///
/// If something does not hold that must.
pub fn request(data: &[u8]) {
    let (head, body) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let body = body.get(1..).unwrap_or_default();
    let Ok(head) = std::str::from_utf8(head) else { return };
    let (method, target) = head.split_once(' ').unwrap_or(("GET", head));
    let (Ok(method), Ok(target)) = (method.parse::<Method>(), target.parse::<Uri>()) else { return };
    let ask = match parse(&method, &target, body) {
        Ok(ask) => ask,
        Err(refusal) => return sentence(&refusal),
    };
    if wants_body(&method, target.path()) != Body::Json {
        assert!(body.trim_ascii().is_empty(), "a body that nobody asked for was accepted");
    }
    in_words(&ask);
    let Some(written) = write(&ask) else { return };
    let (again, written) = match written {
        Ok(written) => written,
        Err(refusal) => return sentence(&refusal),
    };
    let is_read_only = matches!(written.method, Method::GET | Method::HEAD);
    assert!(!(is_read_only && call::is_change(&ask)), "a change is made by a method that changes nothing");
    safe(&written);
    reads_the_same(&again, &written);
}

/// A refusal is one line that can be shown, of a length that somebody reads.
fn sentence(refusal: &Refusal) {
    assert!(refusal.status.is_client_error(), "{refusal:?}");
    let reason = &refusal.reason;
    assert!(!reason.is_empty() && reason.chars().count() <= LONGEST_REASON + 1, "{} characters", reason.len());
    assert!(!reason.chars().any(printable::is_dangerous), "{reason:?}");
}

/// What the ledger says of it is one bounded line.
fn in_words(ask: &Ask) {
    let exec = if let Ask::Container(_, ContainerAsk::Exec(exec)) = ask { Some(&**exec) } else { None };
    let start = Ask::ExecStart(ID.to_owned(), crate::gateway::request::ExecStart::default());
    let described = call::describe(ask, "redis", "other", None);
    assert_eq!(described.is_some(), call::is_change(ask));
    let executed = exec.and_then(|exec| call::describe(&start, "redis", "", Some(exec)));
    for described in described.iter().chain(&executed) {
        let summary = &described.summary;
        assert!(summary.starts_with("docker ") && summary.chars().count() <= 500, "{summary}");
        assert!(!summary.chars().any(char::is_control), "{summary:?}");
    }
}

/// The call to the engine, with what it would be as a request whose names are full ids. `None` for those of which
/// nothing of the request is passed on, or which are answered from a list.
fn write(ask: &Ask) -> Option<Result<(Ask, EngineCall), Refusal>> {
    let id = || Reference(ID.to_owned());
    let of_project = |filters: &Filters| {
        let mut filters = filters.clone();
        filters.entry("label".into()).or_default().push(format!("{}={PROJECT}", call::PROJECT_LABEL));
        filters
    };
    Some(match ask {
        Ask::Ping | Ask::Version | Ask::Info => return None,
        Ask::Network(Reference(name)) | Ask::Volume(Reference(name)) => {
            named(name, b"_.-");
            return None;
        }
        Ask::Image(Reference(name)) => {
            named(name, b"_.-/:@");
            return None;
        }
        Ask::Containers(list) => {
            let again = crate::gateway::request::ListContainers { filters: of_project(&list.filters), ..list.clone() };
            call::containers(list, PROJECT).map(|call| (Ask::Containers(again), call))
        }
        Ask::Events(events) => {
            let again = crate::gateway::request::Events { filters: of_project(&events.filters), ..events.clone() };
            call::events(events, PROJECT).map(|call| (Ask::Events(again), call))
        }
        Ask::Networks(filters) => call::networks(filters).map(|call| (ask.clone(), call)),
        Ask::Volumes(filters) => call::volumes(filters).map(|call| (ask.clone(), call)),
        Ask::Images(filters) => call::images(filters).map(|call| (ask.clone(), call)),
        Ask::Container(Reference(name), asked) => {
            named(name, b"_.-");
            call::container(asked, ID).map(|call| (Ask::Container(id(), asked.clone()), call))
        }
        Ask::Create(create) => return created(create),
        Ask::ExecInspect(exec) => call::exec_inspect(exec).map(|call| (ask.clone(), call)),
        Ask::ExecResize(exec, size) => call::exec_resize(exec, *size).map(|call| (ask.clone(), call)),
        Ask::ExecStart(exec, start) => call::exec_start(exec, start).map(|call| (ask.clone(), call)),
        Ask::NetworkConnect(Reference(network), Reference(container), endpoint) => {
            named(network, b"_.-");
            named(container, b"_.-");
            let again = Ask::NetworkConnect(id(), Reference(OTHER.to_owned()), endpoint.clone());
            call::network_connect(ID, OTHER, endpoint).map(|call| (again, call))
        }
        Ask::NetworkDisconnect { network: Reference(network), container: Reference(container), force } => {
            named(network, b"_.-");
            named(container, b"_.-");
            let container = Reference(OTHER.to_owned());
            let again = Ask::NetworkDisconnect { network: id(), container, force: *force };
            call::network_disconnect(ID, OTHER, *force).map(|call| (again, call))
        }
        Ask::VolumeRemove { volume: Reference(volume), force } => {
            named(volume, b"_.-");
            call::volume_remove(volume, *force).map(|call| (ask.clone(), call))
        }
    })
}

fn named(name: &str, others: &[u8]) {
    assert!(name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric()), "{name:?}");
    assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte)), "{name:?}");
}

/// A call has safe characters only, and its path is not to be misread.
fn safe(call: &EngineCall) {
    let written = &call.path_and_query;
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=%-_.~".contains(&byte);
    assert!(written.bytes().all(is_safe), "{written}");
    let path = written.split('?').next().unwrap_or_default();
    assert!(path.starts_with("/v1.41/") && !path.contains('%'), "{written}");
    assert!(path.split('/').skip(1).all(|segment| !matches!(segment, "" | "." | "..")), "{written}");
    let body = call.record().get("body").cloned().unwrap_or_default();
    harmless(&body);
}

/// Nothing in the form of a body gives the host away.
fn harmless(body: &Value) {
    for place in [body, &body["HostConfig"], &body["EndpointConfig"], &body["HostConfig"]["Mounts"]] {
        let places = place.as_array().map_or_else(|| vec![place], |list| list.iter().collect());
        for field in places.iter().filter_map(|place| place.as_object()).flat_map(|place| place.keys()) {
            assert!(!NEVER.contains(&field.as_str()), "{field} in {body}");
        }
    }
}

/// What was written is itself a request that is understood in the same way: there is one form of it.
fn reads_the_same(ask: &Ask, call: &EngineCall) {
    let target = call.path_and_query.parse::<Uri>();
    assert!(target.is_ok(), "{}", call.path_and_query);
    let Ok(target) = target else { return };
    let again = parse(&call.method, &target, call.body.as_deref().unwrap_or_default());
    // Room that the label of the project takes, or the encoding of a text, may be what was left of it.
    if again
        .as_ref()
        .is_err_and(|refusal| refusal.reason.contains("longer than") || refusal.reason.contains("more than"))
    {
        return;
    }
    assert_eq!(again.as_ref(), Ok(ask), "{call:?}");
}

/// A replacement, compared with two templates: what comes out is no more powerful than they are.
fn created(create: &Create) -> Option<Result<(Ask, EngineCall), Refusal>> {
    if let Some(name) = &create.name {
        named(name, b"_.-");
        if let Err(refusal) = replacement::may_be_called(name, PROJECT, ["/redis"].into_iter()) {
            sentence(&refusal);
        }
    }
    let (mut accepted, mut refused) = (None, None);
    for (template, is_restricted) in [(template(false), false), (template(true), true)] {
        match replacement::check(create, IMAGE, &template, &project()) {
            Ok(body) => {
                let call = call::create(create.name.as_deref(), &body);
                if let Ok(call) = &call {
                    let written = call.record().get("body").cloned().unwrap_or_default();
                    no_more_powerful(&written, is_restricted);
                }
                let ask = Ask::Create(Box::new(Create { name: create.name.clone(), body }));
                accepted = Some(call.map(|call| (ask, call)));
            }
            Err(refusal) => refused = Some(Err(refusal)),
        }
    }
    accepted.or(refused)
}

fn no_more_powerful(body: &Value, is_restricted: bool) {
    let host = &body["HostConfig"];
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    assert!(matches!(host["NetworkMode"].as_str(), Some("none" | ID)), "{body}");
    assert!(matches!(host["IpcMode"].as_str(), Some("private" | "none")), "{body}");
    assert!(host["OomScoreAdj"].as_i64().unwrap_or(0) >= 0, "{body}");
    assert!(host["Sysctls"].as_object().is_none_or(serde_json::Map::is_empty), "{body}");
    assert!(texts(&host["ExtraHosts"]).is_empty() && texts(&host["GroupAdd"]).is_empty(), "{body}");
    for bind in texts(&host["Binds"]) {
        let parts: Vec<&str> = bind.split(':').collect();
        let read_only = parts.get(2).is_some_and(|options| options.split(',').any(|option| option == "ro"));
        match parts.as_slice() {
            [path] => assert!(["/data", "/conf"].contains(&path.trim_end_matches('/')), "{bind}"),
            ["shop_data", ..] => {}
            ["shop_conf", ..] => assert!(read_only, "{bind}"),
            _ => assert!(bind.is_empty(), "{bind}"),
        }
    }
    for mount in host["Mounts"].as_array().into_iter().flatten() {
        assert!(matches!(mount["Type"].as_str(), Some("volume" | "tmpfs")), "{mount}");
        assert!(matches!(mount["Source"].as_str(), None | Some("shop_data" | "shop_conf")), "{mount}");
        assert!(mount["Source"] != "shop_conf" || mount["ReadOnly"] == true, "{mount}");
    }
    let bare = |name: &String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map_or(name.clone(), str::to_owned)
    };
    let (added, dropped) = (texts(&host["CapAdd"]), texts(&host["CapDrop"]));
    let (added, dropped): (BTreeSet<_>, BTreeSet<_>) =
        (added.iter().map(bare).collect(), dropped.iter().map(bare).collect());
    assert!(added.iter().all(|name| CAPABILITIES.contains(&name.as_str())), "{body}");
    let options = texts(&host["SecurityOpt"]);
    let closed = |option: &String| option.starts_with("no-new-privileges");
    assert!(options.iter().all(|option| closed(option) && !option.ends_with("false")), "{body}");
    if is_restricted {
        assert!(!added.contains("NET_RAW") && (dropped.contains("NET_RAW") || dropped.contains("ALL")), "{body}");
        assert!(options.iter().any(closed), "{body}");
    }
    for (port, bindings) in host["PortBindings"].as_object().into_iter().flatten() {
        let bound = bindings.as_array().is_some_and(|bindings| !bindings.is_empty());
        assert!(!bound || matches!(port.as_str(), "6379" | "6379/tcp"), "{body}");
    }
    for network in body["NetworkingConfig"]["EndpointsConfig"].as_object().into_iter().flatten() {
        assert!(matches!(network.0.as_str(), ID | "none"), "{body}");
    }
    assert_eq!(body["Labels"][call::PROJECT_LABEL], PROJECT);
    assert_eq!(body["Labels"]["com.docker.compose.service"], "redis");
}

fn template(is_restricted: bool) -> ContainerInspectResponse {
    let restricted = if is_restricted { json!(["no-new-privileges:true"]) } else { Value::Null };
    let dropped = if is_restricted { json!(["NET_RAW"]) } else { Value::Null };
    let inspect = json!({
        "Id": ID, "Name": "/redis", "Image": IMAGE,
        "Config": { "Image": "redis:7", "Labels": {
            "com.docker.compose.project": PROJECT, "com.docker.compose.service": "redis"
        } },
        "HostConfig": { "CapDrop": dropped, "SecurityOpt": restricted,
            "PortBindings": { "6379/tcp": [{ "HostIp": "", "HostPort": "6379" }] } },
        "Mounts": [
            { "Type": "volume", "Name": "shop_data", "Destination": "/data", "RW": true },
            { "Type": "volume", "Name": "shop_conf", "Destination": "/conf", "RW": false },
            { "Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": true }
        ]
    });
    serde_json::from_value(inspect).unwrap_or_default()
}

fn project() -> Project {
    let networks = ["shop_default", "default", "net"].map(|name| (name.to_owned(), ID.to_owned()));
    Project { name: PROJECT.to_owned(), networks: BTreeMap::from(networks), bound_volumes: BTreeSet::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a door's check falls over it.
    fn falls(check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(check).is_err()
    }

    fn body(host: &Value) -> Value {
        let labels = json!({ "com.docker.compose.project": PROJECT, "com.docker.compose.service": "redis" });
        let mut body = json!({ "Labels": labels, "HostConfig": { "NetworkMode": ID, "IpcMode": "private" } });
        for (name, value) in host.as_object().unwrap() {
            body["HostConfig"][name] = value.clone();
        }
        body
    }

    #[test]
    fn the_checks_can_fail() {
        let fine = json!({ "Binds": ["shop_data:/data", "shop_conf:/conf:ro"], "CapAdd": ["CAP_KILL"] });
        no_more_powerful(&body(&fine), false);
        harmless(&body(&fine));
        for host in [
            json!({ "Binds": ["/:/host"] }),
            json!({ "Binds": ["shop_conf:/conf"] }),
            json!({ "Mounts": [{ "Type": "bind", "Source": "/" }] }),
            json!({ "CapAdd": ["SYS_ADMIN"] }),
            json!({ "SecurityOpt": ["seccomp=unconfined"] }),
            json!({ "NetworkMode": "host" }),
            json!({ "IpcMode": "host" }),
            json!({ "Sysctls": { "a": "b" } }),
            json!({ "PortBindings": { "22/tcp": [{}] } }),
        ] {
            assert!(falls(|| no_more_powerful(&body(&host), false)), "{host}");
        }
        assert!(falls(|| no_more_powerful(&body(&fine), true)), "the restricted one has no NET_RAW");
        assert!(falls(|| harmless(&body(&json!({ "Privileged": true })))));
        let made_by_hand = |reason: &str| Refusal { status: http::StatusCode::BAD_REQUEST, reason: reason.to_owned() };
        assert!(falls(|| sentence(&made_by_hand("a\u{1b}[2Jb"))));
        assert!(falls(|| sentence(&made_by_hand(&"a".repeat(LONGEST_REASON + 2)))));
        let call = |path: &str| EngineCall { method: Method::GET, path_and_query: path.to_owned(), body: None };
        for path in ["/v1.41/containers/../info", "/v1.41/containers/a%2fb/json", "/info", "/v1.41/a b"] {
            assert!(falls(|| safe(&call(path))), "{path}");
        }
        let ask = Ask::Container(Reference(ID.to_owned()), ContainerAsk::Changes);
        reads_the_same(&ask, &call(&format!("/v1.41/containers/{ID}/changes")));
        assert!(falls(|| reads_the_same(&ask, &call(&format!("/v1.41/containers/{OTHER}/changes")))));
        assert!(falls(|| reads_the_same(&ask, &call(&format!("/v1.41/containers/{ID}/json")))));
    }
}
