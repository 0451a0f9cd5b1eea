//! Replacements that are no more powerful than what they replace, and those that are.

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::gateway::request::{Ask, parse};

const IMAGE: &str = "sha256:cc";

fn template(host: &Value) -> ContainerInspectResponse {
    let mut inspect = json!({
        "Id": "aa", "Name": "/shop-redis-1", "Image": IMAGE,
        "Config": { "Image": "redis:7", "Labels": {
            "com.docker.compose.project": "shop", "com.docker.compose.service": "redis", "team": "a"
        } },
        "HostConfig": { "LogConfig": { "Type": "json-file", "Config": {} },
            "PortBindings": { "6379/tcp": [{ "HostIp": "", "HostPort": "6379" }] } },
        "Mounts": [
            { "Type": "volume", "Name": "shop_data", "Destination": "/data", "RW": true },
            { "Type": "volume", "Name": "shop_conf", "Destination": "/conf", "RW": false },
            { "Type": "bind", "Source": "/srv", "Destination": "/srv", "RW": true }
        ]
    });
    for (name, value) in host.as_object().unwrap() {
        inspect["HostConfig"][name] = value.clone();
    }
    serde_json::from_value(inspect).unwrap()
}

fn project() -> Project {
    let networks = [("shop_default", "d".repeat(64)), ("host", "e".repeat(64)), ("bridge", "f".repeat(64))];
    Project {
        name: "shop".into(),
        networks: networks.map(|(name, id)| (name.to_owned(), id)).into(),
        bound_volumes: BTreeSet::new(),
    }
}

fn create(name: &str, body: &str) -> Create {
    let target = format!("/containers/create{name}").parse().unwrap();
    match parse(&Method::POST, &target, body.as_bytes()) {
        Ok(Ask::Create(create)) => *create,
        other => panic!("{body}: {other:?}"),
    }
}

fn checked(host: &Value, of_template: &Value) -> Result<ContainerCreateBody, String> {
    let mut body = json!({ "Image": "redis:7", "HostConfig": { "NetworkMode": "shop_default" } });
    for (name, value) in host.as_object().unwrap() {
        if name.chars().next().is_some_and(|first| first == '.') {
            body[&name[1..]] = value.clone();
        } else {
            body["HostConfig"][name] = value.clone();
        }
    }
    check(&create("", &body.to_string()), IMAGE, &template(of_template), &project()).map_err(|refusal| refusal.reason)
}

#[test]
fn what_compose_sends_to_recreate_is_accepted() {
    let mut recreated = 0;
    for line in include_str!("../../../tests/fixtures/gateway/cli-26.jsonl").lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        let body = call["body"].as_str().unwrap();
        if !body.contains("compose.config-hash")
            || body.contains("\"service\":\"web\"")
            || body.contains("service\":\"web\"")
        {
            continue;
        }
        let create = create("", body);
        let candidates = [template(&json!({}))];
        let template = choose_template(&create, &candidates).unwrap();
        let body = check(&create, IMAGE, template, &project()).unwrap();
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode, Some("d".repeat(64)));
        assert!(body.networking_config.unwrap().endpoints_config.unwrap().contains_key(&"d".repeat(64)));
        let labels = body.labels.unwrap();
        assert_eq!((labels["team"].as_str(), labels[PROJECT_LABEL].as_str()), ("a", "shop"));
        recreated += 1;
    }
    assert!(recreated >= 2, "{recreated}");
}

#[test]
fn what_is_no_more_powerful_is_accepted() {
    for (host, of_template) in [
        (json!({}), json!({})),
        (json!({ "NetworkMode": "none" }), json!({})),
        (json!({ "NetworkMode": "dddddddddddd" }), json!({})),
        (json!({ "Binds": ["shop_data:/data", "shop_conf:/conf:ro"], "Tmpfs": { "/tmp": "size=1m" } }), json!({})),
        (
            json!({ "Mounts": [{ "Type": "volume", "Source": "shop_conf", "Target": "/c", "ReadOnly": true }] }),
            json!({}),
        ),
        (json!({ ".Volumes": { "/data/": {} } }), json!({})),
        (json!({ "PortBindings": { "6379/tcp": [{ "HostPort": "6379" }] } }), json!({})),
        (json!({ "CapDrop": ["ALL"], "CapAdd": ["CHOWN"] }), json!({})),
        (json!({ "CapAdd": ["net_admin"] }), json!({ "CapAdd": ["CAP_NET_ADMIN"] })),
        (json!({ "SecurityOpt": ["no-new-privileges:true"] }), json!({ "SecurityOpt": ["no-new-privileges"] })),
        (json!({ "LogConfig": { "Type": "json-file", "Config": null } }), json!({})),
        (json!({ "Sysctls": { "net.core.somaxconn": "9" } }), json!({ "Sysctls": { "net.core.somaxconn": "9" } })),
        (json!({ "Memory": 1, "RestartPolicy": { "Name": "always" }, "Init": true, "OomScoreAdj": 5 }), json!({})),
        (json!({ ".Labels": { "team": "a", "com.docker.compose.oneoff": "True" }, ".Cmd": ["sh"] }), json!({})),
    ] {
        assert!(checked(&host, &of_template).is_ok(), "{host}: {:?}", checked(&host, &of_template).err());
    }
}

#[test]
fn what_is_more_powerful_is_refused() {
    for (host, of_template, word) in [
        (json!({ "NetworkMode": "default" }), json!({}), "--network NAME"),
        (json!({ "NetworkMode": "" }), json!({}), "--network NAME"),
        (json!({ "NetworkMode": "bridge" }), json!({}), "--network NAME"),
        (json!({ "NetworkMode": "host" }), json!({}), "--network NAME"),
        (json!({ "NetworkMode": "e".repeat(64) }), json!({}), "--network NAME"),
        (json!({ "NetworkMode": "container:x" }), json!({}), "--network NAME"),
        (json!({ "NetworkMode": "d" }), json!({}), "--network NAME"),
        (json!({ ".NetworkingConfig": { "EndpointsConfig": { "other": {} } } }), json!({}), "--network NAME"),
        (
            json!({ ".NetworkingConfig": { "EndpointsConfig": { "shop_default": {}, "dddddddddddd": {} } } }),
            json!({}),
            "twice",
        ),
        (json!({ "Binds": ["other:/data"] }), json!({}), "none of them"),
        (json!({ "Binds": ["shop_conf:/conf"] }), json!({}), "read-only"),
        (json!({ "Binds": ["/elsewhere"] }), json!({}), "no volume at"),
        (json!({ ".Volumes": { "/srv": {} } }), json!({}), "no volume at"),
        (json!({ "Mounts": [{ "Type": "volume", "Source": "other", "Target": "/x" }] }), json!({}), "none of them"),
        (json!({ "Mounts": [{ "Type": "volume", "Source": "shop_conf", "Target": "/x" }] }), json!({}), "read-only"),
        (json!({ "Mounts": [{ "Type": "volume", "Target": "/x" }] }), json!({}), "no volume at"),
        (json!({ "PortBindings": { "6379/tcp": [{ "HostPort": "80" }] } }), json!({}), "does not publish"),
        (json!({ "PortBindings": { "6379/udp": [{ "HostPort": "6379" }] } }), json!({}), "does not publish"),
        (json!({ "CapAdd": ["SYS_ADMIN"] }), json!({}), "SYS_ADMIN: leave out"),
        (json!({ "CapAdd": ["all"] }), json!({ "CapAdd": ["NET_ADMIN"] }), "capability ALL"),
        (json!({}), json!({ "CapDrop": ["ALL"] }), "--cap-drop ALL"),
        (json!({ "SecurityOpt": ["seccomp=unconfined"] }), json!({}), "--security-opt"),
        (json!({}), json!({ "SecurityOpt": ["no-new-privileges"] }), "restricted"),
        (json!({ "Sysctls": { "kernel.x": "1" } }), json!({}), "--sysctl"),
        (json!({ "ExtraHosts": ["a:1.2.3.4"] }), json!({}), "--add-host"),
        (json!({ "Ulimits": [{ "Name": "nofile", "Soft": 1, "Hard": 2 }] }), json!({}), "--ulimit"),
        (json!({ "GroupAdd": ["0"] }), json!({}), "--group-add"),
        (json!({ "Dns": ["1.1.1.1"] }), json!({}), "--dns"),
        (json!({ "LogConfig": { "Type": "syslog", "Config": {} } }), json!({}), "--log-driver"),
        (json!({ ".Labels": { "team": "b" } }), json!({}), "\"team\""),
        (json!({ ".Labels": { "com.docker.compose.project": "other" } }), json!({}), "compose.project"),
        (json!({ ".Labels": { "com.docker.compose.service": "web" } }), json!({}), "compose.service"),
    ] {
        let reason = checked(&host, &of_template).unwrap_err();
        assert!(reason.contains(word), "{host}: {reason}");
    }
}

#[test]
fn another_image_and_disguised_volumes_are_refused() {
    let wanted =
        create("", r#"{"Image":"other","HostConfig":{"NetworkMode":"shop_default","Binds":["shop_data:/data"]}}"#);
    let template = template(&json!({}));
    assert!(check(&wanted, "sha256:dd", &template, &project()).unwrap_err().reason.contains("use redis:7"));
    assert!(check(&wanted, "", &ContainerInspectResponse::default(), &project()).is_err());
    let bound = Project { bound_volumes: BTreeSet::from(["shop_data".to_owned()]), ..project() };
    assert!(check(&wanted, IMAGE, &template, &bound).unwrap_err().reason.contains("path of the host"));
}

#[test]
fn a_template_is_found_by_name_then_service_then_image() {
    let candidates = [template(&json!({}))];
    for (name, body) in [
        ("?name=shop-redis-1", r#"{"Image":"x"}"#),
        ("?name=abc_shop-redis-1", r#"{"Image":"x","Labels":{"com.docker.compose.service":"redis"}}"#),
        ("", r#"{"Image":"redis:7"}"#),
    ] {
        assert!(choose_template(&create(name, body), &candidates).is_ok(), "{name} {body}");
    }
    let refusal = choose_template(&create("?name=other", r#"{"Image":"x"}"#), &candidates).unwrap_err();
    assert!(refusal.reason.contains("--name"));
}

#[test]
fn a_name_is_the_projects_own() {
    let may = |name: &str| may_be_called(name, "shop", ["/shop-web-1", "/old_db"].into_iter()).is_ok();
    for name in ["shop-web-1", "shop-web-2", "shop_web_1", "old_db", "0123456789ab_shop-web-1", "0123456789ab_old_db"] {
        assert!(may(name), "{name}");
    }
    for name in ["bank-web-1", "shop", "shopping-web-1", "0123456789ab_bank-web-1", "012345_old_db", "old_db2"] {
        assert!(!may(name), "{name}");
    }
}
