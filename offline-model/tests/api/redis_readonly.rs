//! The script of the rate limiter's faults, played against what the commands would print.

use std::path::Path;

use offline_model::{Options, ScriptSet};
use serde_json::{Value, json};

use crate::support::{Agent, Call, Offline, offline_with};

const MODEL: &str = "test";
const READONLY: &str = r#"{"allowed":false,"error":"redis_readonly","message":"READONLY You can't write against a read only replica.","node":"node1"} HTTP 503"#;
const SICK: &str = r#"== node1
{"status":"unhealthy","node":"node1","dependencies":{"redis":{"status":"refuses_writes","kind":"readonly","message":"READONLY You can't write against a read only replica."}}} HTTP 503"#;
const WELL: &str = r#"== node1
{"status":"ok","node":"node1","dependencies":{"redis":{"status":"ok"}}} HTTP 200"#;
const GONE: &str = r#"== node1
{"status":"unhealthy","node":"node1","dependencies":{"redis":{"status":"disconnected","kind":"connection","message":"Connection refused"}}} HTTP 503"#;
const ALLOWED: &str = r#"{"allowed":true,"remaining":99,"limit":100,"reset_ms":9000} HTTP 200"#;
const NO_REDIS: &str =
    r#"{"allowed":false,"error":"redis_connection","message":"Connection refused","node":"node1"} HTTP 503"#;
const METRICS: &str = "ratelimiter_redis_errors_total{kind=\"readonly\",node=\"node1\"} 214\nratelimiter_checks_total{result=\"error\",node=\"node1\"} 200";
/// Redis ends its lines so.
const SLAVE: &str = "# Replication\r\nrole:slave\r\nmaster_host:192.0.2.10\r\nmaster_port:6379\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\n";
const MASTER: &str = "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n";
const KEYS: &str = "# Keyspace\r\ndb0:keys=41,expires=41,avg_ttl=9000\r\n";
const NO_ANSWER: &str =
    "dbsize 41\nmaster 192.0.2.10 says: Could not connect to Redis at 192.0.2.10:6379: No route to host\nno answer";

async fn offline() -> Offline {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../subjects/ratelimiter/offline.yaml");
    let scripts = ScriptSet::new().with_file(MODEL, &file).unwrap_or_else(|e| panic!("{e}"));
    offline_with(scripts, Options::default()).await
}

/// Plays one incident: the outputs of each turn, until the script concludes.
async fn play(offline: &Offline, turns: &[&[&str]]) -> (Vec<String>, Value, Vec<Call>) {
    let mut agent = Agent::new(offline, "Rate limiter answers 503");
    let mut commands = Vec::new();
    for outputs in turns {
        let calls = agent.turn().await;
        agent.answer(&calls, outputs);
        commands.extend(calls);
    }
    let mut last = agent.turn().await;
    assert_eq!(last.len(), 1, "{last:#?} after {:?}", agent.rules);
    let conclude = last.remove(0);
    assert_eq!(conclude.name, "conclude", "{:?}", agent.rules);
    for command in &commands {
        assert_eq!(command.name, "shell");
        assert!(command.input["reasoning"].as_str().is_some_and(|why| !why.is_empty()));
        assert!(!command.input["command"].to_string().contains("{{"));
    }
    (agent.rules, conclude.input, commands)
}

#[tokio::test]
async fn finds_repairs_proves_and_concludes() {
    let offline = offline().await;
    let (rules, conclusion, commands) = play(
        &offline,
        &[
            &[SICK, METRICS, READONLY],
            &[SLAVE, KEYS],
            &[NO_ANSWER],
            &["REPLICAOF NO ONE: OK"],
            &[MASTER, ALLOWED, WELL],
        ],
    )
    .await;
    assert_eq!(rules, ["first look", "ask Redis", "ask its master", "repair", "prove the repair", "writes work again"]);
    assert_eq!(conclusion["outcome"], "resolved");
    assert!(conclusion["root_cause"].as_str().unwrap().contains("a replica of 192.0.2.10,"));
    // Entries: 2 4 6 | 8 10 | 12 | 14 | 16 18 20; symptom, cause, repair, role, working checks.
    assert_eq!(conclusion["evidence"], json!([6, 8, 14, 16, 18]));
    assert!(conclusion["follow_up"].is_string());
    let all: String = commands.iter().map(|call| call.input["command"].to_string()).collect();
    for part in ["info replication", "-h 192.0.2.10 -p 6379 ping", "replicaof no one", "/healthz", "/metrics", "/check"]
    {
        assert!(all.contains(part), "{part}");
    }
}

#[tokio::test]
async fn waits_for_slow_nodes_and_gives_up_honestly() {
    let offline = offline().await;
    let begin: [&[&str]; 4] = [&[SICK, METRICS, READONLY], &[SLAVE, KEYS], &[NO_ANSWER], &["REPLICAOF NO ONE: OK"]];
    let still: &[&str] = &[MASTER, READONLY, SICK];
    let mut turns = begin.to_vec();
    turns.extend([still, &[MASTER, ALLOWED, WELL]]);
    let (rules, conclusion, _) = play(&offline, &turns).await;
    assert_eq!((rules[5].as_str(), &conclusion["outcome"]), ("give the nodes a moment", &json!("resolved")));

    let mut turns = begin.to_vec();
    turns.extend([still, still, still]);
    let (rules, conclusion, _) = play(&offline, &turns).await;
    assert_eq!(rules.last().unwrap(), "repair did not help");
    assert_eq!(conclusion["outcome"], "unresolved");
}

#[tokio::test]
async fn does_not_touch_a_replica_whose_master_lives() {
    let offline = offline().await;
    let pong = "dbsize 41\nmaster 192.0.2.10 says: PONG";
    let up = SLAVE.replace("status:down", "status:up");
    let first: &[&str] = &[SICK, METRICS, READONLY];
    let cases: [(&[&[&str]], &str); 2] =
        [(&[first, &[SLAVE, KEYS], &[pong]], "its master lives"), (&[first, &[&up, KEYS]], "the link is up")];
    for (turns, rule) in cases {
        let (rules, conclusion, commands) = play(&offline, turns).await;
        assert_eq!(rules.last().unwrap(), rule);
        assert_eq!(conclusion["outcome"], "unresolved");
        assert!(!commands.iter().any(|c| c.input["command"].to_string().contains("replicaof")));
    }
}

#[tokio::test]
async fn says_so_when_the_repair_is_refused() {
    let offline = offline().await;
    let refused = "REPLICAOF NO ONE: NOPERM this user has no permissions\r";
    let turns: [&[&str]; 4] = [&[SICK, METRICS, READONLY], &[SLAVE, KEYS], &[NO_ANSWER], &[refused]];
    let (rules, conclusion, _) = play(&offline, &turns).await;
    assert_eq!(rules.last().unwrap(), "repair refused");
    assert_eq!(conclusion["outcome"], "unresolved");
    assert!(conclusion["summary"].as_str().unwrap().ends_with("NOPERM this user has no permissions"));
}

#[tokio::test]
async fn says_what_is_known_when_redis_is_away() {
    let offline = offline().await;
    let gone: &[&str] = &["redis does not resolve", "redis-cli got no answer"];
    for containers in ["containers:\nCannot connect to the Docker daemon", "containers:\nCONTAINER ID   IMAGE"] {
        let (rules, conclusion, _) = play(&offline, &[&[GONE, METRICS, NO_REDIS], gone, &[containers]]).await;
        assert_eq!(rules, ["first look", "try Redis", "look at the containers for Redis", "Redis does not answer"]);
        assert_eq!(conclusion["outcome"], "unresolved");
        assert!(conclusion["summary"].as_str().unwrap().contains("no stopped container of Redis"));
        assert_eq!(conclusion["evidence"], json!([6, 10, 12]));
    }

    // It goes away between the first look and the second.
    let away = "Could not connect to Redis at redis:6379\nredis-cli got no answer";
    let turns: [&[&str]; 3] = [&[SICK, METRICS, READONLY], &[away, ""], &["containers:"]];
    let (rules, _, _) = play(&offline, &turns).await;
    assert_eq!(rules.last().unwrap(), "Redis does not answer");

    let turns: [&[&str]; 3] = [&[GONE, METRICS, NO_REDIS], &["172.18.0.2 redis", "PONG"], &[MASTER, ALLOWED, WELL]];
    let (rules, conclusion, _) = play(&offline, &turns).await;
    assert_eq!((rules.last().unwrap().as_str(), &conclusion["outcome"]), ("it passed by itself", &json!("unresolved")));
}

#[tokio::test]
async fn finds_nothing_where_nothing_is_wrong() {
    let offline = offline().await;
    let turns: [&[&str]; 2] = [&[WELL, METRICS, ALLOWED], &[MASTER, ALLOWED]];
    let (rules, conclusion, _) = play(&offline, &turns).await;
    assert_eq!(rules, ["first look", "all seems well", "nothing wrong"]);
    assert_eq!(conclusion["outcome"], "unresolved");
    assert!(conclusion["root_cause"].as_str().unwrap().contains("Nothing was wrong"));

    // It breaks while it is being looked at.
    let turns: [&[&str]; 5] = [
        &[WELL, METRICS, ALLOWED],
        &[SLAVE, READONLY],
        &[NO_ANSWER],
        &["REPLICAOF NO ONE: OK"],
        &[MASTER, ALLOWED, WELL],
    ];
    let (_, conclusion, _) = play(&offline, &turns).await;
    assert_eq!(conclusion["outcome"], "resolved");
}

#[tokio::test]
async fn other_troubles_are_left_to_others() {
    let offline = offline().await;
    let full = SICK.replace("readonly", "oom").replace("READONLY You", "OOM you");
    let cases: [(&[&str], &str); 2] = [
        (&[&full, METRICS, r#"{"allowed":false,"error":"redis_oom"} HTTP 503"#], "another trouble of Redis"),
        (&["?", "?", "?"], "lost"),
    ];
    for (outputs, rule) in cases {
        let (rules, conclusion, _) = play(&offline, &[outputs]).await;
        assert_eq!((rules.last().unwrap().as_str(), &conclusion["outcome"]), (rule, &json!("unresolved")));
    }
}

fn containers(name: &str, code: u8) -> String {
    format!(
        "containers:\n\
         CONTAINER ID   IMAGE                      COMMAND                  CREATED         STATUS                       PORTS      NAMES\n\
         c11164320622   operator-ratelimiter:dev   \"ratelimiter serve\"      3 minutes ago   Exited (1) 1 second ago                 other-thing-1\n\
         e93da7f759c2   operator-redis:dev         \"redis-server --dir …\"   3 minutes ago   Exited ({code}) 9 seconds ago           {name}\n\
         04d04659d6b4   operator-ratelimiter:dev   \"ratelimiter load\"       3 minutes ago   Up 3 minutes (healthy)       8080/tcp   ratelimiter-load-1\n"
    )
}

/// What is stopped is started, under the name that the engine gives it.
#[tokio::test]
async fn starts_what_has_stopped() {
    let offline = offline().await;
    let gone: &[&str] = &["redis does not resolve", "redis-cli got no answer"];
    let silent = "== node1\n HTTP 000";
    for (container, code, begin, last, evidence) in [
        ("shop-redis-1", 0, vec![&[GONE, METRICS, NO_REDIS], gone], "Redis runs again", json!([6, 14, 18, 20, 22])),
        ("shop-node2-1", 137, vec![&[silent, METRICS, " HTTP 000"]], "the node runs again", json!([6, 10, 14, 18])),
    ] {
        let listed = containers(container, code);
        let state = format!("state of {container}: exited, exit code {code}, out of memory false\nrestart policy no");
        let (started, refused) =
            (format!("STARTED {container}\n"), format!("START REFUSED {container}: the agent may only look\n"));
        let (listed, state): (&[&str], &[&str]) = (&[&listed], &[&state, "its log"]);
        let play_with = async |rest: &[&[&str]]| {
            let turns = [&begin[..], &[listed, state], rest].concat();
            play(&offline, &turns).await
        };
        let (rules, conclusion, commands) = play_with(&[&[&started], &[MASTER, ALLOWED, WELL]]).await;
        assert_eq!(rules.last().unwrap(), last);
        assert_eq!((&conclusion["outcome"], &conclusion["evidence"]), (&json!("resolved"), &evidence), "{rules:?}");
        assert!(conclusion["root_cause"].as_str().unwrap().contains(&format!("({container})")));
        let all: String = commands.iter().map(|call| call.input["command"].to_string()).collect();
        for part in ["docker ps --all", "docker inspect ", "docker logs --tail 20 ", "docker start "] {
            assert!(all.contains(part), "{part}");
        }
        assert_eq!(all.matches(&format!("docker start {container} ")).count(), 1, "{all}");

        let slow: &[&str] = &[MASTER, NO_REDIS, GONE];
        let (rules, conclusion, _) = play_with(&[&[&started], slow, &[MASTER, ALLOWED, WELL]]).await;
        assert!(rules.iter().any(|rule| rule == "give what was started a moment"), "{rules:?}");
        assert_eq!(conclusion["outcome"], "resolved");
        let (rules, conclusion, _) = play_with(&[&[&started], slow, slow, slow]).await;
        assert_eq!(
            (rules.last().unwrap().as_str(), &conclusion["outcome"]),
            ("the start did not help", &json!("unresolved"))
        );
        let (rules, conclusion, _) = play_with(&[&[&refused]]).await;
        assert_eq!((rules.last().unwrap().as_str(), &conclusion["outcome"]), ("start refused", &json!("unresolved")));
        assert!(conclusion["summary"].as_str().unwrap().ends_with("the agent may only look"));
    }
    let turns: [&[&str]; 2] = [&[silent, "", " HTTP 000"], &["containers:\nCannot connect to the Docker daemon"]];
    let (rules, conclusion, _) = play(&offline, &turns).await;
    assert_eq!(
        (rules.last().unwrap().as_str(), &conclusion["outcome"]),
        ("a node does not answer", &json!("unresolved"))
    );
}

/// The proof fails after the agent said "resolved": it looks again, a bounded number of times.
#[tokio::test]
async fn looks_again_after_a_conclusion_that_did_not_hold() {
    let offline = offline().await;
    let mut agent = Agent::new(&offline, "Rate limiter answers 503");
    let turns: [&[&str]; 10] = [
        &[SICK, METRICS, READONLY],
        &[SLAVE, KEYS],
        &[NO_ANSWER],
        &["REPLICAOF NO ONE: OK"],
        &[MASTER, ALLOWED, WELL],
        &["the invariant availability is still violated"],
        &[MASTER, ALLOWED, WELL],
        &["the invariant availability is still violated"],
        &[MASTER, ALLOWED, WELL],
        &["the invariant availability is still violated"],
    ];
    for outputs in turns {
        let calls = agent.turn().await;
        agent.answer(&calls, outputs);
    }
    let calls = agent.turn().await;
    assert_eq!(calls[0].input["outcome"], "unresolved", "{:?}", agent.rules);
    let again = agent.rules.iter().filter(|rule| rule.starts_with("look again")).count();
    assert_eq!(again, 2);
}

/// The budget ends: what the commands showed decides, and no further one is sent.
#[tokio::test]
async fn concludes_when_told_that_it_is_the_last_message() {
    let offline = offline().await;
    let good: [&[&str]; 5] =
        [&[SICK, METRICS, READONLY], &[SLAVE, KEYS], &[NO_ANSWER], &["REPLICAOF NO ONE: OK"], &[MASTER, ALLOWED, WELL]];
    for (turns, outcome) in [(5, "resolved"), (4, "unresolved"), (2, "unresolved")] {
        let mut agent = Agent::new(&offline, "Rate limiter answers 503");
        for outputs in &good[..turns] {
            let calls = agent.turn().await;
            agent.answer(&calls, outputs);
        }
        let note = "This is your last message, and no command runs any more. Call `conclude` now: outcome";
        let message = agent.messages.last_mut().unwrap();
        let content = message["content"].as_array_mut().unwrap();
        content.push(json!({"type": "text", "text": note}));
        let calls = agent.turn().await;
        assert_eq!((calls.len(), calls[0].name.as_str()), (1, "conclude"));
        assert_eq!(calls[0].input["outcome"], outcome);
    }
}

/// Somebody else repairs it between two looks.
#[tokio::test]
async fn takes_no_credit_for_what_others_did() {
    let offline = offline().await;
    let turns: [&[&str]; 3] = [&[SICK, METRICS, READONLY], &[MASTER, KEYS], &[MASTER, ALLOWED, WELL]];
    let (rules, conclusion, commands) = play(&offline, &turns).await;
    assert_eq!(rules[2], "it is a master by now");
    assert_eq!(conclusion["outcome"], "unresolved");
    assert!(!commands.iter().any(|c| c.input["command"].to_string().contains("replicaof")));
}
