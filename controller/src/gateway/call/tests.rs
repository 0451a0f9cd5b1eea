//! What goes to the engine, and what the ledger says of it.

use proptest::prelude::*;

use super::*;
use crate::gateway::request::{Ask, parse};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn ask(method: &str, target: &str, body: &str) -> Ask {
    parse(&method.parse().unwrap(), &target.parse().unwrap(), body.as_bytes()).unwrap()
}

fn target_of(method: &str, target: &str) -> String {
    let Ask::Container(_, ask) = ask(method, target, "") else { panic!("{target}") };
    let call = container(&ask, ID).unwrap();
    assert_eq!(call.method.as_str(), method);
    call.path_and_query.replace(ID, "ID")
}

#[test]
fn calls_are_written_anew_and_aimed_at_full_ids() {
    for (method, target, written) in [
        ("GET", "/containers/a/json?size=true", "/v1.41/containers/ID/json?size=1"),
        ("GET", "/v1.24/containers/a/json", "/v1.41/containers/ID/json"),
        ("GET", "/containers/a/top?ps_args=-eo+pid%2Ccmd", "/v1.41/containers/ID/top?ps_args=-eo%20pid%2Ccmd"),
        ("GET", "/containers/a/logs?tail=5&stdout=1&follow=1", "/v1.41/containers/ID/logs?follow=1&stdout=1&tail=5"),
        ("GET", "/containers/a/stats?stream=0", "/v1.41/containers/ID/stats?stream=0"),
        ("PUT", "/containers/a/archive?path=%2Ftmp%2F%26x%3D1", "/v1.41/containers/ID/archive?path=%2Ftmp%2F%26x%3D1"),
        ("POST", "/containers/a/stop?t=-1&signal=HUP", "/v1.41/containers/ID/stop?t=-1&signal=HUP"),
        ("POST", "/containers/a/attach?stdin=1&stream=1", "/v1.41/containers/ID/attach?stream=1&stdin=1"),
        ("POST", "/containers/a/wait?condition=removed", "/v1.41/containers/ID/wait?condition=removed"),
        ("POST", "/containers/a/resize?h=40&w=100", "/v1.41/containers/ID/resize?h=40&w=100"),
        ("DELETE", "/containers/a?v=1&force=0", "/v1.41/containers/ID?v=1"),
    ] {
        assert_eq!(target_of(method, target), written);
    }
    for id in ["", "..", "a/b", "a?b", "a%2f", "-a", "a b"] {
        assert!(container(&ContainerAsk::Start, id).is_err(), "{id}");
    }
}

#[test]
fn lists_always_ask_for_the_project() {
    let Ask::Containers(list) = ask("GET", "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%22%5D%7D", "")
    else {
        panic!()
    };
    assert_eq!(
        containers(&list, "shop").unwrap().path_and_query,
        "/v1.41/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%22%2C%22com.docker.compose.project%3Dshop%22%5D%7D"
    );
    let call = events(&Events::default(), "shop").unwrap();
    assert!(call.path_and_query.contains("com.docker.compose.project%3Dshop"), "{call:?}");
}

#[test]
fn bodies_are_written_anew() {
    let call = exec_start(ID, &ExecStart { tty: true, ..ExecStart::default() }).unwrap();
    assert_eq!(call.record()["body"], json!({ "Detach": false, "Tty": true }));
    let call = network_disconnect(ID, ID, true).unwrap();
    assert_eq!(call.record()["body"], json!({ "Container": ID, "Force": true }));
    let Ask::Container(_, exec) = ask("POST", "/containers/a/exec", r#"{"Cmd":["id"],"Privileged":false,"User":""}"#)
    else {
        panic!()
    };
    assert_eq!(container(&exec, ID).unwrap().body.unwrap(), br#"{"Cmd":["id"]}"#);
}

#[test]
fn a_change_is_told_as_it_would_be_typed() {
    for (method, target, body, action, summary) in [
        ("POST", "/containers/a/restart?t=3", "", "container.restart", "docker restart --time 3 redis"),
        ("POST", "/containers/a/kill?signal=HUP", "", "container.kill", "docker kill --signal HUP redis"),
        ("DELETE", "/containers/a?force=1&v=1", "", "container.remove", "docker rm --force --volumes redis"),
        (
            "POST",
            "/containers/a/update",
            r#"{"Memory":5,"NanoCpus":1500000000,"RestartPolicy":{"Name":"always"}}"#,
            "container.update",
            "docker update --memory 5 --cpus 1.500 --restart always redis",
        ),
        ("PUT", "/containers/a/archive?path=%2Ftmp%2Fa+b", "", "container.copy_in", "docker cp - 'redis:/tmp/a b'"),
        (
            "POST",
            "/networks/n/connect",
            r#"{"Container":"a","EndpointConfig":{"Aliases":["x"]}}"#,
            "network.connect",
            "docker network connect --alias x redis other",
        ),
        ("DELETE", "/volumes/v", "", "volume.remove", "docker volume rm redis"),
        (
            "POST",
            "/containers/create?name=n",
            r#"{"Image":"redis:7","Cmd":["sh","-c","a 'b'"],"HostConfig":{"NetworkMode":"net"}}"#,
            "container.create",
            r"docker create --name n --network net redis:7 sh -c 'a '\''b'\'''",
        ),
    ] {
        let described = describe(&ask(method, target, body), "redis", "other", None).unwrap();
        assert_eq!((described.action, described.summary.as_str()), (action, summary));
    }
    let exec = ExecConfigOf(&["sh", "-c", "echo \u{1b}[2J\n$x", ""]).config();
    let start = Ask::ExecStart(ID.into(), ExecStart::default());
    let described = describe(&start, "redis", "", Some(&exec)).unwrap();
    assert_eq!(described.summary, r"docker exec --tty redis sh -c $'echo \u{1b}[2J\n$x' ''");
}

struct ExecConfigOf<'a>(&'a [&'a str]);

impl ExecConfigOf<'_> {
    fn config(&self) -> bollard::models::ExecConfig {
        let cmd = self.0.iter().map(|word| (*word).to_owned()).collect();
        bollard::models::ExecConfig { cmd: Some(cmd), tty: Some(true), ..Default::default() }
    }
}

#[test]
fn looking_waiting_and_announcing_are_no_changes() {
    for (method, target) in [
        ("GET", "/containers/a/json"),
        ("POST", "/containers/a/wait"),
        ("POST", "/containers/a/resize?h=1&w=1"),
        ("POST", "/containers/a/attach?stdout=1"),
        ("GET", "/containers/a/archive?path=%2F"),
        ("GET", "/events"),
        ("GET", "/info"),
    ] {
        assert!(!is_change(&ask(method, target, "")), "{target}");
    }
    assert!(!is_change(&ask("POST", "/containers/a/exec", r#"{"Cmd":["id"]}"#)));
    assert!(is_change(&ask("POST", "/containers/a/attach?stdin=1", "")));
    assert!(is_change(&ask("POST", &format!("/exec/{ID}/start"), "")));
}

proptest! {
    #[test]
    fn what_is_written_has_safe_characters_only(path in "\\PC{1,60}", filter in "\\PC{0,60}", name in "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,30}") {
        let calls = [
            container(&ContainerAsk::CopyOut { path: path.clone() }, ID).unwrap(),
            container(&ContainerAsk::Top { ps_args: Some(path) }, ID).unwrap(),
            images(&Filters::from([("reference".to_owned(), vec![filter.clone()])])).unwrap(),
            containers(&ListContainers::default(), &filter).unwrap(),
            volume_remove(&name, true).unwrap(),
        ];
        for call in calls {
            let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=%-_.~".contains(&byte);
            prop_assert!(call.path_and_query.bytes().all(safe), "{}", call.path_and_query);
            prop_assert!(!call.path_and_query.contains("..") || call.path_and_query.contains('?') || name.contains(".."));
            prop_assert!(call.path_and_query.parse::<http::Uri>().is_ok());
        }
    }

    #[test]
    fn a_summary_is_one_bounded_line(words in prop::collection::vec("(?s).{0,300}", 0..5)) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let exec = ExecConfigOf(&words).config();
        let start = Ask::ExecStart(ID.into(), ExecStart::default());
        let summary = describe(&start, "redis", "", Some(&exec)).unwrap().summary;
        prop_assert!(summary.chars().count() <= 500 && !summary.chars().any(char::is_control));
    }
}
