//! What real clients sent, recorded at a socket, and what nobody should send.

use http::{Method, Uri};
use proptest::prelude::*;
use serde::Deserialize;

use super::parse::parse_parts;
use super::*;

/// Debian's CLI 26 with compose 2.26, and CLI 28.
const RECORDED: [&str; 2] = [
    include_str!("../../../tests/fixtures/gateway/cli-26.jsonl"),
    include_str!("../../../tests/fixtures/gateway/cli-28.jsonl"),
];

#[derive(Deserialize)]
struct Recorded {
    method: String,
    target: String,
    body: String,
}

fn ask(method: &str, target: &str, body: &str) -> Result<Ask, String> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let target: Uri = target.parse().map_err(|error| format!("{error}"))?;
    parse(&method, &target, body.as_bytes()).map_err(|refusal| refusal.reason)
}

fn recorded() -> impl Iterator<Item = Recorded> {
    RECORDED.iter().flat_map(|text| text.lines()).map(|line| serde_json::from_str(line).unwrap())
}

/// What the recorded commands asked for that is refused, with a word of the sentence.
fn refused(call: &Recorded) -> Option<&'static str> {
    let target = &call.target;
    let closed = [
        ("/images/create", "pulling"),
        ("/images/redis:7/tag", "images can only"),
        ("/images/redis:7/history", "images can only"),
        ("/images/get", "saving"),
        ("/images/search", "registry"),
        ("/commit", "committing"),
        ("/export", "docker cp"),
        ("/system/df", "docker ps -s"),
        ("/prune", "pruning"),
        ("/swarm/init", "Swarm"),
        ("/nodes", "Swarm"),
        ("/services", "Swarm"),
        ("/secrets", "Swarm"),
        ("/plugins", "plugins"),
        ("/networks/create", "creating networks"),
        ("/volumes/create", "creating volumes"),
    ];
    let by_path = closed.iter().find(|(path, _)| target.contains(path)).map(|(_, word)| *word);
    by_path.or(match call.method.as_str() {
        "DELETE" if target.contains("/images/") => Some("removing images"),
        "DELETE" if target.contains("/networks/") => Some("removing networks"),
        _ if call.body.contains(r#""Privileged":true"#) => Some("--privileged"),
        _ if call.body.contains("other:o") => Some("--link"),
        _ => None,
    })
}

#[test]
fn what_the_real_clients_send_is_understood() {
    let mut counted = (0, 0);
    for call in recorded() {
        let answer = ask(&call.method, &call.target, &call.body);
        match (refused(&call), answer) {
            (None, Ok(_)) => counted.0 += 1,
            (Some(word), Err(reason)) if reason.contains(word) => counted.1 += 1,
            (_, answer) => panic!("{} {} {}: {answer:?}", call.method, call.target, call.body),
        }
    }
    assert!(counted.0 > 150 && counted.1 > 30, "{counted:?}");
}

#[test]
fn every_recorded_body_is_asked_for() {
    for call in recorded().filter(|call| !call.body.is_empty() && refused(call).is_none()) {
        let path = call.target.split('?').next().unwrap();
        let method = Method::from_bytes(call.method.as_bytes()).unwrap();
        assert_eq!(wants_body(&method, path), Body::Json, "{path}");
    }
    assert_eq!(wants_body(&Method::PUT, "/v1.41/containers/a/archive"), Body::Stream);
    for (method, path) in
        [(Method::POST, "/build"), (Method::POST, "/images/load"), (Method::POST, "//containers/create")]
    {
        assert_eq!(wants_body(&method, path), Body::None, "{path}");
    }
}

#[test]
fn path_tricks_are_refused() {
    for target in [
        "http://other/info",
        "*",
        "other:80",
        "/v1.41/../info",
        "//info",
        "/containers//json",
        "/containers/a%2fb/json",
        "/containers/a%00/json",
        "/containers/./json",
        "/v1.1/info",
        "/v2.0/info",
        "/info/",
        "/containers/json/",
        "/containers/a/json?size=1&size=1",
        "/containers/a/json?x=1",
        "/containers/a/json?size=maybe",
        "/Info",
        "/containers/-a/json",
        "/containers/a/top?ps_args=-ef;id",
        "/containers/a/logs?tail=-1",
        "/exec/abc/json",
        "/containers/a/archive",
        "/containers/a/archive?path=",
        "/events?since=%00",
        "/containers/json?filters={",
        "/containers/json?filters=%5B%5D",
        "/containers/json?filters=%7B%22before%22%3A%5B%22a%22%5D%7D",
    ] {
        assert!(ask("GET", target, "").is_err(), "{target}");
    }
}

#[test]
fn what_is_closed_has_its_sentence() {
    for (method, target) in [
        ("POST", "/build?t=x"),
        ("POST", "/session"),
        ("POST", "/grpc"),
        ("POST", "/images/load"),
        ("POST", "/auth"),
        ("POST", "/images/a/b:c/push"),
        ("GET", "/images/a/b/get"),
        ("GET", "/distribution/a/json"),
        ("POST", "/containers/prune"),
        ("GET", "/containers/a/export"),
        ("POST", "/containers/a/checkpoints"),
        ("GET", "/containers/a/attach/ws"),
        ("POST", "/swarm/join"),
        ("GET", "/tasks/x"),
        ("GET", "/configs"),
        ("POST", "/plugins/pull"),
        ("GET", "/debug/vars"),
        ("POST", "/volumes/create"),
        ("DELETE", "/networks/a"),
        ("DELETE", "/images/a"),
        ("CONNECT", "/info"),
        ("PATCH", "/info"),
        ("GET", "/containers/a/start"),
        ("POST", "/containers/a/json"),
        ("OPTIONS", "/info"),
        ("GET", "/"),
        ("POST", "/_ping"),
    ] {
        let reason = ask(method, target, "").unwrap_err();
        assert!(reason.len() > 30, "{method} {target}: {reason}");
    }
}

#[test]
fn a_body_where_none_belongs_is_refused() {
    assert!(ask("POST", "/containers/a/stop", "{}").is_err());
    assert!(ask("POST", "/containers/a/start", "{}").is_ok());
    assert!(ask("POST", "/containers/a/start", "null").is_ok());
    let old = r#"{"Binds":["/:/host"],"Privileged":true}"#;
    assert!(ask("POST", "/containers/a/start", old).unwrap_err().contains("as it was made"));
    assert!(ask("POST", "/containers/a/start?checkpoint=x", "").is_err());
}

#[test]
fn what_would_give_the_host_away_is_refused_by_its_name() {
    for (host, word) in [
        (r#""Binds":["/:/host"]"#, "path of the host"),
        (r#""Binds":["./x:/host"]"#, "path of the host"),
        (r#""Binds":["data:/proc"]"#, "/proc"),
        (r#""Binds":["data:/a/../proc"]"#, "written out"),
        (r#""Binds":["data:/a:rshared"]"#, "rw, ro"),
        (r#""Binds":["data:/a:rw:x"]"#, "VOLUME:/PATH"),
        (r#""Mounts":[{"Type":"bind","Source":"/","Target":"/h"}]"#, "bind"),
        (r#""Mounts":[{"Type":"image","Source":"a","Target":"/h"}]"#, "image"),
        (r#""Mounts":[{"Source":"a","Target":"/h"}]"#, "type"),
        (r#""Mounts":[{"Type":"volume","Source":"/","Target":"/h"}]"#, "not a name"),
        (
            r#""Mounts":[{"Type":"volume","Source":"a","Target":"/h","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"o":"bind"}}}}]"#,
            "DriverConfig",
        ),
        (r#""Mounts":[{"Type":"volume","Source":"a","Target":"/h","VolumeOptions":{"Subpath":".."}}]"#, "Subpath"),
        (r#""Mounts":[{"Type":"tmpfs","Target":"/h","BindOptions":{"Propagation":"shared"}}]"#, "BindOptions"),
        (r#""Privileged":true"#, "--privileged"),
        (r#""PidMode":"host""#, "PidMode"),
        (r#""PidMode":"container:a""#, "PidMode"),
        (r#""IpcMode":"host""#, "--ipc"),
        (r#""IpcMode":"container:a""#, "--ipc"),
        (r#""IpcMode":"shareable""#, "--ipc"),
        (r#""UTSMode":"host""#, "UTSMode"),
        (r#""UsernsMode":"host""#, "UsernsMode"),
        (r#""CgroupnsMode":"host""#, "--cgroupns"),
        (r#""Cgroup":"container:a""#, "Cgroup"),
        (r#""CgroupParent":"/x""#, "CgroupParent"),
        (r#""Devices":[{"PathOnHost":"/dev/sda"}]"#, "Devices"),
        (r#""DeviceCgroupRules":["a *:* rwm"]"#, "DeviceCgroupRules"),
        (r#""DeviceRequests":[{"Count":-1}]"#, "DeviceRequests"),
        (r#""VolumesFrom":["other"]"#, "VolumesFrom"),
        (r#""VolumeDriver":"x""#, "VolumeDriver"),
        (r#""Links":["other:o"]"#, "Links"),
        (r#""Runtime":"x""#, "Runtime"),
        (r#""StorageOpt":{"size":"1G"}"#, "StorageOpt"),
        (r#""MaskedPaths":[]"#, "MaskedPaths"),
        (r#""ReadonlyPaths":[]"#, "ReadonlyPaths"),
        (r#""OomScoreAdj":-1"#, "OomScoreAdj"),
        (r#""OomKillDisable":true"#, "OomKillDisable"),
        (r#""PublishAllPorts":true"#, "PublishAllPorts"),
        (r#""Annotations":{"a":"b"}"#, "Annotations"),
        (r#""privileged":true"#, "privileged"),
        (r#""Privileged":false,"Privileged":true"#, "twice"),
        (r#""Tmpfs":{"/sys":""}"#, "/sys"),
        (r#""Tmpfs":{"/a":"x=/b"}"#, "options"),
    ] {
        let body = format!(r#"{{"Image":"redis:7","HostConfig":{{{host}}}}}"#);
        let reason = ask("POST", "/containers/create", &body).unwrap_err();
        assert!(reason.contains(word), "{host}: {reason}");
    }
    for body in [r#"{"Image":"a","MacAddress":"02:00:00:00:00:00"}"#, "{}", r#"{"Image":"-x"}"#, "[]", "\"\"", "1", "{"]
    {
        assert!(ask("POST", "/containers/create", body).is_err(), "{body}");
    }
    assert!(ask("POST", "/containers/create?name=/a/../b", r#"{"Image":"a"}"#).is_err());
    assert!(ask("POST", "/containers/create?platform=linux%2Farm64", r#"{"Image":"a"}"#).is_err());
    let deep = format!(r#"{{"Image":"a","HostConfig":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    assert!(ask("POST", "/containers/create", &deep).is_err());
    let large = format!(r#"{{"Image":"a","Cmd":["{}"]}}"#, "a".repeat(2 << 20));
    assert!(ask("POST", "/containers/create", &large).is_err());
}

fn methods() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
}

proptest! {
    #[test]
    fn no_path_query_or_body_makes_it_panic(
        method in methods(),
        path in ".{0,200}",
        query in prop::option::of(".{0,200}"),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = parse_parts(&method, &path, query.as_deref(), &body);
        let _ = wants_body(&method, &path);
    }

    #[test]
    fn nothing_like_a_request_makes_it_panic(
        method in methods(),
        path in "(/v1\\.[0-9]{1,3})?(/(containers|images|networks|volumes|exec|events|json|create|start|update|connect|archive|[a-f0-9]{1,64}|[%.a-z]{0,3})){0,5}",
        query in "((filters|name|all|t|path|signal|h|w|since|tail)=[%0-9a-zA-Z{}:\\[\\]\"]{0,12}&?){0,4}",
        body in "[{}\\[\\]\",:a-zA-Z0-9\\\\ ]{0,100}",
    ) {
        if let Ok(Ask::Container(Reference(name), _)) = parse_parts(&method, &path, Some(&query), body.as_bytes()) {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)));
        }
    }

    #[test]
    fn no_change_to_a_real_body_makes_it_panic(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte: u8) {
        let calls: Vec<Recorded> = recorded().filter(|call| !call.body.is_empty()).collect();
        let call = which.get(&calls);
        let mut body = call.body.clone().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let method = Method::from_bytes(call.method.as_bytes()).unwrap();
        let _ = parse(&method, &call.target.parse().unwrap(), &body);
    }
}
