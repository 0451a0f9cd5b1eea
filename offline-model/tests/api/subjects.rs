//! The scripts of the subjects' other faults, played against what the commands would print: etcd, `TiKV`, and the rate
//! limiter's counts. A script begins with looking, so the same beginning leads to other ends.

use std::path::Path;

use offline_model::{Options, ScriptSet};
use serde_json::{Value, json};

use crate::support::{Agent, Call, Offline, offline_with};

async fn offline(subject: &str) -> Offline {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../subjects/{subject}/offline.yaml"));
    let scripts = ScriptSet::new().with_file("test", &file).unwrap_or_else(|error| panic!("{error}"));
    offline_with(scripts, Options::default()).await
}

struct Played {
    rules: Vec<String>,
    conclusion: Value,
    commands: String,
}

/// Plays one incident: the outputs of each turn, until the script concludes.
async fn play(subject: &str, turns: &[&[&str]]) -> Played {
    let offline = offline(subject).await;
    let mut agent = Agent::new(&offline, "Something is wrong");
    let mut commands = Vec::new();
    for outputs in turns {
        let calls: Vec<Call> = agent.turn().await;
        agent.answer(&calls, outputs);
        commands.extend(calls.iter().map(|call| call.input["command"].as_str().unwrap_or_default().to_owned()));
    }
    let mut last = agent.turn().await;
    assert_eq!(last.len(), 1, "{last:#?} after {:?}", agent.rules);
    let conclude = last.remove(0);
    assert_eq!(conclude.name, "conclude", "{:?}", agent.rules);
    let left = regex::Regex::new(r"\{\{[a-z_]+(:int)?\}\}").unwrap();
    assert!(commands.iter().all(|command| !left.is_match(command)), "{commands:#?}");
    Played { rules: agent.rules, conclusion: conclude.input, commands: commands.join("\n") }
}

impl Played {
    fn ends(&self, rule: &str, outcome: &str) {
        assert_eq!(
            (self.rules.last().unwrap().as_str(), &self.conclusion["outcome"]),
            (rule, &json!(outcome)),
            "{:?}",
            self.rules
        );
    }

    fn cause(&self) -> &str {
        self.conclusion["root_cause"].as_str().unwrap()
    }
}

// ── etcd ────────────────────────────────────────────────────────────────────────────────────────

fn containers(etcd2: &str) -> String {
    format!(
        "containers:\netcd-load-1 state=running Up 2 minutes (healthy)\n{etcd2}etcd-etcd1-1 state=running Up 2 minutes \
         (healthy)\netcd-etcd3-1 state=running Up 2 minutes (healthy)\n"
    )
}

fn members(etcd2: &str) -> String {
    let well = |name| format!("member {name}: answers, has a leader, revision 1204, term 2, db 86016 bytes, errors: ");
    let etcd2 = if etcd2.is_empty() { well("etcd2") } else { format!("member etcd2: {etcd2}") };
    format!("{}\n{etcd2}\n{}\n", well("etcd1"), well("etcd3"))
}

fn writes(etcd2: &str) -> String {
    format!("write through etcd1: OK\nwrite through etcd2: {etcd2}\nwrite through etcd3: OK\n")
}

const RUNS: &str = "etcd-etcd2-1 state=running Up 2 minutes (healthy)\n";
const AWAY: &str = "NO ANSWER: Failed to get the status of endpoint http://etcd2:2379 (context deadline exceeded)";
const REASON: &str = "context deadline exceeded";

/// Plays until the members are well again.
async fn etcd(first: &str, between: &[&[&str]]) -> Played {
    let (away, failed, first) = (members(AWAY), writes(REASON), containers(first));
    let (runs, well, works) = (containers(RUNS), members(""), writes("OK"));
    let look: &[&str] = &[&first, &away, &failed];
    let proof: &[&str] = &["waited", &runs, &well, &works];
    play("etcd", &[&[look], between, &[proof]].concat()).await
}

const EXITED: &str = "etcd-etcd2-1 state=exited Exited (137) 9 seconds ago\n";
const KILLED: &str = "state of etcd-etcd2-1: exited, exit code 137, out of memory false\nvolumes: etcd_etcd2-data";
const LOST: &str = "last words of etcd-etcd2-1, started 2026-01-01T10:00:00Z:\n{\"level\":\"fatal\",\"msg\":\"discovery \
                    failed\",\"error\":\"member 8211f1d0f64f3269 has already been bootstrapped\"}";

#[tokio::test]
async fn a_member_that_was_killed_is_started() {
    let played =
        etcd(EXITED, &[&[KILLED, "last words of etcd-etcd2-1, started x:\nnothing"], &["STARTED etcd-etcd2-1"]]).await;
    played.ends("the member runs again", "resolved");
    assert!(played.cause().contains("etcd-etcd2-1 had ended with exit code 137"), "{}", played.cause());
    assert!(played.commands.contains("docker start etcd-etcd2-1") && !played.commands.contains("member remove"));
}

#[tokio::test]
async fn a_member_without_its_data_is_removed_and_added_again() {
    // It is known at once, or only after a start that did not last.
    let at_once: &[&[&str]] = &[&[KILLED, LOST], &["REJOINED etcd2\n8e9e05c52164694d, started, etcd1"]];
    let (away, failed, exited) = (members(AWAY), writes(REASON), containers(EXITED));
    let ended_again: &[&str] = &["waited", &exited, &away, &failed];
    let later: &[&[&str]] = &[
        &[KILLED, "last words of etcd-etcd2-1, started x:\nnothing"],
        &["STARTED etcd-etcd2-1"],
        ended_again,
        &["state of etcd-etcd2-1: exited, exit code 1, out of memory false", LOST],
        &["REJOINED etcd2"],
    ];
    for between in [at_once, later] {
        let played = etcd(EXITED, between).await;
        played.ends("the data is there again", "resolved");
        for part in ["member remove", "member add $m", "ETCD_INITIAL_CLUSTER_STATE=existing docker compose up -d"] {
            assert!(played.commands.contains(part), "{part}");
        }
        assert!(played.commands.contains("m=etcd2\n"));
    }
}

#[tokio::test]
async fn paused_off_the_network_and_gone_are_told_apart() {
    let played = etcd("etcd-etcd2-1 state=paused Up 2 minutes (Paused)\n", &[&["UNPAUSED etcd-etcd2-1"]]).await;
    played.ends("it goes on", "resolved");
    assert!(played.commands.contains("docker unpause etcd-etcd2-1"));

    let networks = "networks of etcd-etcd2-1: none\nthe project's network: etcd_etcd";
    let played = etcd(RUNS, &[&[networks, "etcd2 does not resolve"], &["CONNECTED etcd-etcd2-1 to etcd_etcd"]]).await;
    played.ends("the network is back", "resolved");
    assert!(played.commands.contains("docker network connect --alias etcd2 etcd_etcd etcd-etcd2-1"));

    let played = etcd("NO CONTAINER of etcd2\n", &[&["CREATED etcd2"]]).await;
    played.ends("the container is there again", "resolved");
    assert!(played.commands.contains("docker compose up -d --no-deps etcd2"));

    // It runs, and it is on the network: the script knows no more.
    let (first, away, failed) = (containers(RUNS), members(AWAY), writes(REASON));
    let look: &[&str] = &[&first, &away, &failed];
    let played = play("etcd", &[look, &["networks of etcd-etcd2-1: etcd_etcd", "172.18.0.3 etcd2"]]).await;
    played.ends("lost", "unresolved");
}

#[tokio::test]
async fn a_full_quota_is_compacted_and_one_that_is_really_full_is_not() {
    let alarm = "errors: memberID:9 alarm:NOSPACE ";
    let full = members("").replace("errors: ", alarm);
    let refused = writes("OK").replace("OK", "Error: etcdserver: mvcc: database space exceeded");
    let runs = containers(RUNS);
    let look: &[&str] = &[&runs, &full, &refused];
    let filled: &[&str] = &[
        "memberID:9 alarm:NOSPACE\n51 keys, 1005000 bytes in their present values\nlargest: exports/report has 1000000 bytes, and was written 16 times",
    ];
    let (well, works) = (members(""), writes("OK"));
    let proof: &[&str] = &["waited", &runs, &well, &works];
    let done: &[&str] = &["compact to 1204: compacted revision 1204\nDISARMED"];
    let played = play("etcd", &[look, filled, done, proof]).await;
    played.ends("there is space again", "resolved");
    assert!(played.cause().contains("exports/report has 1000000 bytes"), "{}", played.cause());
    for part in ["compact --physical \"$revision\"", "defrag", "alarm disarm"] {
        assert!(played.commands.contains(part), "{part}");
    }
    let played =
        play("etcd", &[look, filled, &["now the largest database has 16000000 of 16777216 bytes\nSTILL FULL"]]).await;
    played.ends("there is still no space", "unresolved");
}

#[tokio::test]
async fn nothing_wrong_with_etcd_is_said_and_a_refusal_is_told() {
    let (runs, well, works) = (containers(RUNS), members(""), writes("OK"));
    let look: &[&str] = &[&runs, &well, &works];
    let again: &[&str] = &["waited", &runs, &well, &works];
    play("etcd", &[look, again]).await.ends("nothing wrong", "unresolved");

    let (first, away, failed) = (containers(EXITED), members(AWAY), writes(REASON));
    let ill: &[&str] = &[&first, &away, &failed];
    let refused: &[&str] = &["REFUSED start etcd-etcd2-1: the agent may only look"];
    let played = play("etcd", &[ill, &[KILLED, "last words of etcd-etcd2-1, started x:"], refused]).await;
    played.ends("refused", "unresolved");
    assert!(played.conclusion["summary"].as_str().unwrap().contains("the agent may only look"));
    // It heals while it is looked at.
    play("etcd", &[ill, &[KILLED, "last words of x"], &["STARTED etcd-etcd2-1"], again])
        .await
        .ends("the member runs again", "resolved");
}

// ── the rate limiter's counts ───────────────────────────────────────────────────────────────────

const HEALTHZ: &str =
    "== node1\n{\"status\":\"ok\",\"node\":\"node1\",\"dependencies\":{\"redis\":{\"status\":\"ok\"}}} HTTP 200";
const ALLOWED: &str = r#"{"allowed":true,"remaining":99,"limit":100,"reset_ms":9000} HTTP 200"#;
const DENIED: &str = r#"{"allowed":false,"remaining":0,"limit":100,"reset_ms":3600000} HTTP 429"#;
const AHEAD: &str = "AHEAD of the clock: limiter:window:user-1 1767007800000:client-7 = 5000\nwindow limiter:window:user-1: 5060 units in 21 fields";
const NO_LIMITS: &str = "limits that were set are above";

fn counts(over: u8, drift: u8, p99: &str) -> String {
    format!(
        "ratelimiter_check_p99_seconds{{node=\"node1\"}} {p99}\nratelimiter_max_drift{{node=\"node1\"}} {drift}\n\
         ratelimiter_keys_over_limit{{node=\"node1\"}} {over}\n"
    )
}

#[tokio::test]
async fn units_that_are_dated_ahead_are_taken_out() {
    let (over, well) = (counts(1, 0, "0.002"), counts(0, 0, "0.002"));
    let look: &[&str] = &[HEALTHZ, &over, ALLOWED];
    let removed: &[&str] = &["1767007800000:client-7: 5000 units, removed: 1\nREMOVED 1 fields of user-1"];
    let played = play("ratelimiter", &[look, &[AHEAD, NO_LIMITS], removed, &[&well, ALLOWED]]).await;
    played.ends("limits hold again", "resolved");
    assert!(
        played.cause().contains("user-1 held 5000 units in the field 1767007800000:client-7"),
        "{}",
        played.cause()
    );
    assert!(played.commands.contains("k='limiter:window:user-1'") && !played.commands.contains(" del "));

    // Somebody writes it again: the process that does is found and ended, then what it left is taken out.
    let stray: &[&str] = &[
        "1767.0 [0 lua] \"HSET\"",
        "PROCESS 1 redis-server *:6379\nPROCESS 41 sh -c : stray; while :; do key=limiter:window:user-1; redis-cli HSET",
    ];
    let turns: &[&[&str]] = &[
        look,
        &[AHEAD, NO_LIMITS],
        removed,
        &[&over, DENIED],
        stray,
        &["KILLED 41"],
        &["waited", &over, DENIED],
        &[AHEAD, NO_LIMITS],
        removed,
        &[&well, ALLOWED],
    ];
    let played = play("ratelimiter", turns).await;
    played.ends("the stray process is gone", "resolved");
    assert!(played.commands.contains("kill -9 41"));
}

#[tokio::test]
async fn a_limit_that_was_lowered_only_needs_time() {
    let (over, well) = (counts(1, 0, "0.002"), counts(0, 0, "0.002"));
    let look: &[&str] = &[HEALTHZ, &over, ALLOWED];
    let plain: &[&str] = &["window limiter:window:user-1: 75 units in 20 fields", "user-1\n{\"limit\":5}"];
    let played = play("ratelimiter", &[look, plain, &["waited", &well, ALLOWED]]).await;
    assert_eq!(played.conclusion["outcome"], "unresolved", "{:?}", played.rules);
    assert!(!played.commands.contains("hdel") && !played.commands.contains("kill -9"));
}

#[tokio::test]
async fn drift_and_slow_answers_lead_to_a_stray_process_or_to_a_person() {
    let well = counts(0, 0, "0.002");
    for sick in [counts(0, 7, "0.002"), counts(0, 0, "0.31")] {
        let look: &[&str] = &[HEALTHZ, &sick, ALLOWED];
        let stray: &[&str] =
            &["", "PROCESS 1 redis-server *:6379\nPROCESS 52 sh -c : stray; while :; do redis-cli EVAL; done"];
        let played = play("ratelimiter", &[look, stray, &["KILLED 52"], &["waited", &well, ALLOWED]]).await;
        played.ends("the stray process is gone", "resolved");
        let nobody: &[&str] = &["", "PROCESS 1 redis-server *:6379"];
        let played = play("ratelimiter", &[look, nobody]).await;
        assert_eq!(played.conclusion["outcome"], "unresolved", "{:?}", played.rules);
    }
}

#[tokio::test]
async fn a_node_that_is_gone_is_made_anew() {
    let silent = "== node2\n HTTP 000";
    let well = counts(0, 0, "0.002");
    let master = "# Replication\r\nrole:master\r\n";
    let listed = "containers:\nCONTAINER ID   IMAGE\nNO CONTAINER of node2";
    let turns: &[&[&str]] =
        &[&[silent, &well, " HTTP 000"], &[listed], &["CREATED node2"], &[master, ALLOWED, HEALTHZ]];
    let played = play("ratelimiter", turns).await;
    played.ends("the node is there again", "resolved");
    assert!(played.commands.contains("docker compose up -d --no-deps node2"));
}

// ── TiKV ────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_store_whose_container_has_ended_is_started() {
    let stores = |first: &str| {
        format!(
            "pd1 answers\nstore tikv1:20160 is {first}, last heartbeat 2026-01-01T10:00:00Z, regions 3\nstore \
             tikv2:20160 is Up, last heartbeat x, regions 3\nstore tikv3:20160 is Up, last heartbeat x, regions 3\n"
        )
    };
    let listed =
        |first: &str| format!("containers:\ntikv-tikv1-1 state={first}\ntikv-pd1-1 state=running Up 3 minutes\n");
    let (away, up) = (stores("Disconnected"), stores("Up"));
    let (exited, runs) = (listed("exited Exited (137) 30 seconds ago"), listed("running Up 10 seconds"));
    let state = "state of tikv-tikv1-1: exited, exit code 137, out of memory false\nvolumes: tikv_tikv1-data";
    let look: &[&str] = &[&away, "miss-peer: 0 regions", &exited];
    let turns: &[&[&str]] = &[look, &[state, "its log"], &["STARTED tikv-tikv1-1"], &["waited", &up, &runs]];
    let played = play("tikv", turns).await;
    played.ends("the store is back", "resolved");
    assert!(played.cause().contains("no heartbeat of the store tikv1:20160"), "{}", played.cause());

    let well: &[&str] = &[&up, "miss-peer: 0 regions", &runs];
    play("tikv", &[well]).await.ends("nothing wrong", "unresolved");
    let elsewhere: &[&str] = &[&away, "miss-peer: 0 regions", &runs];
    play("tikv", &[elsewhere]).await.ends("lost", "unresolved");
}
