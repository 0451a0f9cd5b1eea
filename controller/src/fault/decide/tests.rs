//! Each verb, each mistake, and chance.

use super::*;
use crate::cel::to_cel;
use crate::fault::fake::FakeFaults;
use crate::fault::view::MountView;
use crate::fault::{Faults as _, Undo};
use serde_json::json;

async fn shop() -> ProjectView {
    let fake = FakeFaults::with("shop", &["web", "db", "node1"]);
    let mut view = fake.look("shop").await.unwrap();
    let db = &mut view.containers[1];
    db.mounts =
        [("volume", "/var/lib/db", true), ("bind", "/srv", true), ("volume", "/ro", false), ("tmpfs", "/t", true)]
            .map(|(kind, destination, writable)| MountView {
                kind: kind.into(),
                volume: (kind == "volume").then(|| "shop_data".into()),
                destination: destination.into(),
                writable,
            })
            .into();
    view
}

fn action(value: serde_json::Value) -> Action {
    serde_json::from_value(value).unwrap()
}

/// The plan of an action on the shop, of which a test may change something.
async fn planned_on(value: serde_json::Value, change: impl FnOnce(&mut ProjectView)) -> Result<Plan, String> {
    let mut view = shop().await;
    change(&mut view);
    let probes = to_cel(&json!({"status": {"value": {"leader": "db", "none": null}}}));
    plan(&action(value), &view, &probes, 7).map_err(|mistake| mistake.to_string())
}

async fn planned(value: serde_json::Value) -> Result<Plan, String> {
    planned_on(value, |_| {}).await
}

async fn mistake(value: serde_json::Value) -> String {
    planned(value).await.unwrap_err()
}

fn on(service: &str) -> serde_json::Value {
    json!({"target": {"service": service}})
}

fn stop(service: usize) -> impl FnOnce(&mut ProjectView) {
    move |view| {
        view.containers[service].state = State::Stopped;
        view.containers[service].addresses.clear();
    }
}

#[tokio::test]
async fn what_the_engine_does_itself_is_undone_by_its_opposite() {
    for (verb, said, undo, undo_of_stopped) in [
        ("stop", Verb::Stop, Some(Undo::Start), Ok(None)),
        ("start", Verb::Start, None, Ok(Some(Undo::Stop))),
        ("restart", Verb::Restart, None, Ok(Some(Undo::Stop))),
        ("pause", Verb::Pause, Some(Undo::Unpause), Err("web does not run, so it cannot be paused")),
        ("unpause", Verb::Unpause, None, Ok(None)),
        (
            "kill",
            Verb::Kill { signal: "SIGKILL".into() },
            Some(Undo::Start),
            Err("web does not run, so it cannot be killed"),
        ),
    ] {
        let wanted = json!({verb: on("web")});
        let plan = planned(wanted.clone()).await.unwrap();
        assert_eq!((&plan.verb, &plan.undo, plan.says.as_str()), (&said, &undo, format!("{verb} web").as_str()));
        let [target] = plan.targets.as_slice() else { panic!("{plan:?}") };
        assert_eq!((&*target.service, &*target.id, target.state), ("web", "shop-web-id", State::Running));
        let of_stopped = planned_on(wanted, stop(0)).await.map(|plan| plan.undo);
        assert_eq!(of_stopped, undo_of_stopped.map_err(str::to_owned), "{verb}");
        // It is a row.
        let row = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&row).unwrap(), plan);
    }
    let hup = planned(json!({"kill": {"target": {"service": "web"}, "signal": "SIGHUP"}})).await.unwrap();
    assert_eq!((hup.says.as_str(), hup.verb), ("send SIGHUP to web", Verb::Kill { signal: "SIGHUP".into() }));
}

#[tokio::test]
async fn a_command_runs_with_the_targets_image_where_the_target_stands() {
    let wanted =
        json!({"exec": {"target": {"service": "db"}, "command": ["cli", "set"], "undoCommand": ["cli", "del"]}});
    let plan = planned(wanted.clone()).await.unwrap();
    let Verb::Exec(command) = &plan.verb else { panic!("{plan:?}") };
    assert_eq!((&command.seat, command.limit), (&Seat::In("shop-db-id".into()), Duration::from_mins(1)));
    assert!(
        matches!(&plan.undo, Some(Undo::Command(back)) if back.command == ["cli", "del"] && back.image == "sha256:1")
    );
    let of_stopped = planned_on(wanted, stop(1)).await.unwrap();
    assert!(
        matches!(&of_stopped.verb, Verb::Exec(command) if matches!(&command.seat, Seat::On(networks) if networks.len() == 1))
    );

    let load = json!({"run": {"target": {"service": "web"}, "command": ["load"], "env": {"A": "b"}, "detach": true}});
    let plan = planned(load).await.unwrap();
    let Verb::Run { command, detach: true } = &plan.verb else { panic!("{plan:?}") };
    assert_eq!((command.env.as_slice(), command.limit), (["A=b".to_owned()].as_slice(), Duration::ZERO));
    assert_eq!(plan.undo, Some(Undo::Remove));
    assert_eq!(plan.says, "go on running load from the image of web");

    let long = json!({"exec": {"target": {"service": "db"}, "command": ["x"], "timeout": "11m"}});
    assert!(mistake(long).await.contains("at most 10m"));
    assert!(mistake(json!({"run": {"target": {"service": "db"}, "command": [""]}})).await.contains("command is empty"));
    let gone =
        planned_on(json!({"run": {"target": {"service": "db"}, "command": ["x"]}}), |view| view.networks.clear());
    assert!(gone.await.unwrap_err().contains("has no networks: is it up?"));
}

#[tokio::test]
async fn requests_have_no_target() {
    let plan = planned(json!({"http": {"url": "http://web/limits", "method": "POST", "times": 3}})).await.unwrap();
    assert_eq!(
        (plan.targets.len(), plan.undo.as_ref(), plan.says.as_str()),
        (0, None, "POST http://web/limits 3 times")
    );
    assert!(matches!(&plan.verb, Verb::Http { request, networks } if request.times == 3 && networks.len() == 1));
    assert!(mistake(json!({"http": {"url": "http:///limits"}})).await.contains("url"));
}

#[tokio::test]
async fn a_partition_is_between_addresses() {
    let all = planned(json!({"partition": on("web")})).await.unwrap();
    let from = |plan: &Plan| match &plan.verb {
        Verb::Partition { from } => from.iter().map(ToString::to_string).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!((from(&all), all.undo.clone()), (vec!["10.0.0.3".into(), "10.0.0.4".into()], Some(Undo::Rejoin)));
    assert_eq!(all.says, "cut web off from all others");
    let one = json!({"partition": {"target": {"service": "web"}, "from": [{"cel": "probes.status.value.leader"}]}});
    assert_eq!(from(&planned(one.clone()).await.unwrap()), ["10.0.0.3"]);
    assert!(planned_on(one.clone(), stop(1)).await.unwrap_err().contains("db has no address"));
    assert!(planned_on(one, stop(0)).await.unwrap_err().contains("web does not run"));
    let itself = json!({"partition": {"target": {"service": "web"}, "from": [{"service": "web"}]}});
    assert!(mistake(itself).await.contains("cut off from itself"));
    let shared = planned_on(json!({"partition": on("web")}), |view| view.containers[0].own_network = false);
    assert!(shared.await.unwrap_err().contains("no network of its own"));
    let alone = planned_on(json!({"partition": on("web")}), |view| view.containers.truncate(1));
    assert!(alone.await.unwrap_err().contains("no other container of shop has an address"));
    let healed = planned(json!({"heal": on("web")})).await.unwrap();
    assert_eq!((healed.verb, healed.undo), (Verb::Heal, None));
}

#[tokio::test]
async fn a_delay_is_bounded() {
    let late = |delay: &str, jitter: Option<&str>| {
        let mut latency = json!({"target": {"service": "web"}, "delay": delay});
        if let Some(jitter) = jitter {
            latency["jitter"] = json!(jitter);
        }
        json!({ "latency": latency })
    };
    let plan = planned(late("200ms", Some("50ms"))).await.unwrap();
    assert_eq!((plan.verb, plan.undo), (Verb::Latency { delay_ms: 200, jitter_ms: 50 }, Some(Undo::Hasten)));
    assert_eq!(plan.says, "delay what web sends by 200 ms");
    assert!(mistake(late("2m", None)).await.contains("between 1ms and 60s"));
    assert!(mistake(late("0s", None)).await.contains("between 1ms and 60s"));
    assert!(mistake(late("10ms", Some("20ms"))).await.contains("jitter is not more than the delay"));
}

#[tokio::test]
async fn a_share_of_the_processor_goes_back_to_what_it_was() {
    let wanted = json!({"throttle": {"target": {"service": "web"}, "milliCpus": 200}});
    let of = |nano: i64, quota: i64, period: i64| Cpus { nano, quota, period };
    for (was, given, back) in [
        (of(0, 0, 0), of(0, 20_000, 100_000), of(0, -1, 100_000)),
        (of(500_000_000, 0, 0), of(200_000_000, 0, 0), of(500_000_000, 0, 0)),
        (of(0, 25_000, 50_000), of(0, 10_000, 50_000), of(0, 25_000, 50_000)),
    ] {
        let plan = planned_on(wanted.clone(), |view| view.containers[0].cpus = was).await.unwrap();
        assert_eq!(
            (plan.verb, plan.undo),
            (Verb::Throttle { cpus: given }, Some(Undo::Cpus { cpus: back })),
            "{was:?}"
        );
    }
}

#[tokio::test]
async fn a_disk_is_filled_where_it_is_the_projects() {
    let fill = |folder: &str| json!({"fillDisk": {"target": {"service": "db"}, "folder": folder, "mebibytes": 8}});
    let place = |plan: Plan| match plan.verb {
        Verb::FillDisk { place, .. } => place,
        other => panic!("{other:?}"),
    };
    let volume = |folder: &str| Place::Volume { volume: "shop_data".into(), folder: folder.into(), overrides: false };
    assert_eq!(place(planned(fill("/var/lib/db")).await.unwrap()), volume(""));
    assert_eq!(place(planned(fill("/var/lib/db/wal/")).await.unwrap()), volume("wal"));
    assert_eq!(place(planned(fill("/var/lib/dbx")).await.unwrap()), Place::Inside { folder: "/var/lib/dbx".into() });
    assert_eq!(place(planned(fill("/t")).await.unwrap()), Place::Inside { folder: "/t".into() });
    assert!(mistake(fill("/srv/x")).await.contains("path of its host"));
    assert!(mistake(fill("/ro")).await.contains("read-only"));
    assert!(mistake(fill("/a/../b")).await.contains("no folder"));
    assert!(planned_on(fill("/tmp"), stop(1)).await.unwrap_err().contains("db does not run, and /tmp is on none"));
    assert_eq!(place(planned_on(fill("/var/lib/db"), stop(1)).await.unwrap()), volume(""), "a volume is there anyway");
}

#[tokio::test]
async fn a_target_is_found_by_name_by_what_is_seen_or_by_chance() {
    let kill = |target: serde_json::Value| json!({"kill": {"target": target}});
    let leader = planned(kill(json!({"cel": "probes.status.value.leader"}))).await.unwrap();
    assert_eq!((&*leader.targets[0].service, leader.seed, &*leader.says), ("db", None, "kill db"));
    for (target, why) in [
        (json!({"cel": "probes.status.value.none"}), "gives null, which is no name of a service"),
        (json!({"cel": "probes.other.value"}), "cannot be judged now: No such key: other"),
        (json!({"cel": "subject.spec"}), "nobody knows \"subject\" here"),
        (json!({"cel": "1 +"}), "the target's cel is wrong: 1:"),
        (json!({"service": "cache"}), "has no container of the service \"cache\": db, node1, web"),
        (json!({"service": "web", "cel": "'web'"}), "exactly one of service, cel and anyOf"),
        (json!({}), "exactly one of service, cel and anyOf"),
        (json!({"anyOf": []}), "anyOf names no service"),
    ] {
        let said = mistake(kill(target.clone())).await;
        assert!(said.contains(why), "{target}: {said}");
    }

    let chosen = async |seed: u64| {
        let view = shop().await;
        let any = action(kill(json!({"anyOf": ["web", "db", "node1"]})));
        let plan = plan(&any, &view, &Value::Null, seed).unwrap();
        assert_eq!(plan.seed, Some(seed), "so that the choice can be made again");
        plan.targets[0].service.clone()
    };
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for seed in 0..300 {
        assert_eq!(chosen(seed).await, chosen(seed).await);
        *seen.entry(chosen(seed).await).or_default() += 1;
    }
    assert!(seen.len() == 3 && seen.values().all(|times| *times > 60), "{seen:?}");
    assert_eq!([chosen(1).await, chosen(2).await, chosen(3).await], ["node1", "db", "web"], "in every build the same");
}

#[tokio::test]
async fn the_first_container_of_a_service_is_meant_and_of_two_the_one_that_runs() {
    let kill = json!({"stop": on("web")});
    let plan = planned_on(kill, |view| {
        let mut old = view.containers[0].clone();
        (old.id, old.state) = ("old".into(), State::Stopped);
        let mut second = view.containers[0].clone();
        (second.id, second.number) = ("second".into(), 2);
        view.containers.splice(0..0, [second, old]);
    });
    assert_eq!(plan.await.unwrap().targets[0].id, "shop-web-id");
}

#[test]
fn an_action_has_one_verb_and_says_what_it_is() {
    let two = action(json!({"stop": on("web"), "pause": on("web")}));
    assert!(check(&two).unwrap_err().to_string().contains("exactly one verb"));
    assert!(check(&action(json!({}))).is_err());
    let said = action(json!({"says": "the leader\u{1b}[31m dies", "kill": on("web")}));
    assert_eq!(crate::fault::says(&said), "the leader dies");
    let any = action(json!({"kill": {"target": {"anyOf": ["a", "b"]}}}));
    assert_eq!(crate::fault::says(&any), "kill one of a, b");
}
