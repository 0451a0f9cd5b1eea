//! `operator audit` and `operator migrate` as processes: exit codes, streams, and what is on them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use controller::audit::testing::story;
use controller::audit::testing::{self, TestDatabase};
use controller::audit::{AuditStore, api};
use jiff::{SignedDuration, Timestamp};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator"));
    command.args(arguments);
    for name in [
        "DATABASE_URL",
        "OPERATOR_AUDIT_URL",
        "OPERATOR_DATABASE_PASSWORD",
        "OPERATOR_SIGNING_KEY",
        "RUST_LOG",
        "RUST_BACKTRACE",
    ] {
        command.env_remove(name);
    }
    command.env("KUBECONFIG", "/nonexistent").env("HOME", "/nonexistent");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn run(arguments: &[&str]) -> Output {
    let mut command = command(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn tell_the_story(database: &TestDatabase) {
    let store = database.store();
    let record = story::record();
    let session = store.begin_session(&record.new).await.unwrap().new;
    for (seq, (ms, body)) in (1..).zip(story::bodies()) {
        store.append(&session.id, seq, session.started_at + SignedDuration::from_millis(ms), &body).await.unwrap();
    }
    store.update_session(&session.id, &record.state).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn list_and_show_through_the_database_and_the_api() {
    let database = testing::database().await;
    tell_the_story(&database).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    let router = api::router(Arc::new(database.store()));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let mut pictures = Vec::new();
    for source in [["--database-url", &database.url], ["--audit-url", &api_url]] {
        let [flag, url] = source;
        let list = run(&["audit", "list", "-A", flag, url]).await;
        assert!(list.status.success(), "{}", stderr(&list));
        assert!(stdout(&list).contains("redis-readonly"), "{}", stdout(&list));
        let none = run(&["audit", "list", "-n", "elsewhere", flag, url]).await;
        assert!(none.status.success());
        assert_eq!(
            (stdout(&none).as_str(), stderr(&none).trim()),
            ("", "No sessions found in the namespace elsewhere.")
        );

        let by_id = run(&["audit", "show", "2026-01-28T20-54-48-3a029c12", flag, url]).await;
        let by_name = run(&["audit", "show", "redis-readonly", "-n", "demo", flag, url]).await;
        assert!(by_id.status.success() && by_name.status.success(), "{}", stderr(&by_name));
        assert_eq!(stdout(&by_id), stdout(&by_name));
        assert!(stdout(&by_id).contains("offline-ratelimiter") && !stdout(&by_id).contains('\u{1b}'));

        let json = run(&["audit", "show", "demo/redis-readonly", "-o", "json", flag, url]).await;
        let value: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
        assert_eq!(value["sessions"][0]["entries"].as_array().unwrap().len(), 16);

        let missing = run(&["audit", "show", "redis-readnly", "-n", "demo", flag, url]).await;
        assert_eq!(missing.status.code(), Some(1));
        assert!(stderr(&missing).contains("redis-readonly"), "{}", stderr(&missing));
        let missing = run(&["audit", "show", "2026-01-28T20-54-48-3a029c13", flag, url]).await;
        assert!(stderr(&missing).contains("2026-01-28T20-54-48-3a029c12"), "{}", stderr(&missing));

        let followed = run(&["audit", "follow", "demo/redis-readonly", flag, url]).await;
        assert!(followed.status.success(), "{}", stderr(&followed));
        assert_eq!(stdout(&followed), stdout(&by_id), "what was followed is what is shown");
        pictures.push(stdout(&by_id));
    }
    assert_eq!(pictures[0], pictures[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_waits_for_the_session_and_ends_with_its_seal() {
    let database = testing::database().await;
    let mut child = command(&["audit", "follow", "demo/redis-readonly", "-o", "json", "--database-url", &database.url]);
    let child = child.spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    tell_the_story(&database).await;
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = tokio::time::timeout(Duration::from_secs(20), output).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("waiting for a session of the Incident demo/redis-readonly to begin"));
    assert_eq!(stdout(&output).lines().count(), 16, "{}", stdout(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_a_sentence_and_an_exit_code() {
    let database = testing::shared().empty_database().await;
    for (arguments, code, words) in [
        (&["audit", "list"][..], 1, "no cluster to ask"),
        (&["audit", "list", "--colour"], 2, "--colour"),
        (&["audit", "list", "--audit-url", "ftp://x"], 1, "expected http://HOST:PORT"),
        (&["audit", "list", "--audit-url", "http://127.0.0.1:1"], 1, "cannot be reached"),
        (&["audit", "list", "--database-url", "postgres://u:s3cret@127.0.0.1:1/d"], 1, "unavailable"),
        (&["audit", "list", "--database-url", &database.owner_url], 1, "operator migrate"),
        (&["migrate"], 2, "--database-url"),
        (
            &["migrate", "--signing-key", "k", "--wait", "0", "--database-url", "postgres://u:s3cret@127.0.0.1:1/d"],
            1,
            "no database at 127.0.0.1:1/d",
        ),
        (
            &["migrate", "--signing-key", "k", "--controller-role", "a b", "--database-url", &database.owner_url],
            1,
            "no name for a role",
        ),
        (&["migrate", "--database-url", &database.owner_url], 1, "--signing-key FILE"),
        (&["audit", "verify", "--file", "/nonexistent"], 1, "/nonexistent cannot be opened"),
        (&["audit", "verify", "--file", "/dev/null", "--public-key", "/dev/null"], 1, "no Ed25519 public key"),
        (&["audit", "prune", "--older-than", "1d", "--dry-run"], 1, "operator_pruner"),
    ] {
        let begun = Timestamp::now();
        let output = run(arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("s3cret") && stdout(&output).is_empty());
        assert!(Timestamp::now().duration_since(begun).as_secs() < 10, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_makes_what_the_controller_needs() {
    let database = testing::shared().empty_database().await;
    let roles = &database.roles;
    let arguments = [
        "migrate",
        "--database-url",
        &database.owner_url,
        "--controller-role",
        &roles.controller,
        "--reader-role",
        &roles.reader,
        "--pruner-role",
        &roles.pruner,
        "--signing-key",
        database.key.to_str().unwrap(),
    ];
    let mut migrate = command(&arguments);
    migrate.env("OPERATOR_DATABASE_PASSWORD", "for-tests-only");
    let output = tokio::task::spawn_blocking(move || migrate.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("brought to version") && !stderr(&output).contains("for-tests-only"));
    let (private, public) = (std::fs::read_to_string(&database.key).unwrap(), database.public_key());
    assert!(stderr(&output).contains(&public.to_hex()), "{}", stderr(&output));
    assert!(private.lines().all(|line| !stderr(&output).contains(line)), "the private key is nowhere but in its file");
    let store = database.store();
    store.check_schema().await.unwrap();
    store.check_key().await.unwrap();
    store.ping().await.unwrap();
    // Again, without a password: the role keeps the one that it has.
    let again = run(&arguments).await;
    assert!(again.status.success() && stderr(&again).contains("up to date"), "{}", stderr(&again));
    database.store().ping().await.unwrap();
}

/// From the database, over the API, from a file: verified; and not, once somebody changed something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_export_key_and_prune() {
    let database = testing::database().await;
    tell_the_story(&database).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    let router = api::router(Arc::new(database.store()));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (trail, changed, key) = (path("trail.jsonl"), path("changed.jsonl"), path("key.pem"));

    for source in [["--database-url", &database.url], ["--audit-url", &api_url]] {
        let [flag, url] = source;
        let pem = run(&["audit", "key", flag, url]).await;
        assert_eq!(stdout(&pem), database.public_key().to_pem());
        std::fs::write(&key, stdout(&pem)).unwrap();
        let verified = run(&["audit", "verify", "--public-key", &key, flag, url]).await;
        assert!(verified.status.success(), "{}{}", stdout(&verified), stderr(&verified));
        assert!(stdout(&verified).starts_with("verified: 1 sessions, 16 entries, 3 links"), "{}", stdout(&verified));
        assert!(stdout(&verified).contains("note: summaries"), "{}", stdout(&verified));
        let one = run(&["audit", "verify", "demo/redis-readonly", "-o", "json", flag, url]).await;
        let report: serde_json::Value = serde_json::from_str(&stdout(&one)).unwrap();
        assert_eq!((&report["verified"], &report["entries"]), (&true.into(), &16.into()));
        let exported = run(&["audit", "export", flag, url]).await;
        assert!(exported.status.success(), "{}", stderr(&exported));
        std::fs::write(&trail, exported.stdout).unwrap();
        let checked =
            run(&["audit", "verify", "--file", &trail, "--public-key", &database.public_key().to_hex()]).await;
        assert!(checked.status.success(), "{}{}", stdout(&checked), stderr(&checked));
    }

    // An Incident's status that has seen more than there is.
    let incidents = path("incidents.json");
    let seen = serde_json::json!({"items": [{
        "metadata": {"namespace": "demo", "name": "redis-readonly"},
        "status": {"sessionId": "2026-01-28T20-54-48-3a029c12",
            "audit": {"seq": 17, "hash": "00".repeat(32), "link": 4, "linkHash": "00".repeat(32)}},
    }]});
    std::fs::write(&incidents, seen.to_string()).unwrap();
    let cut = run(&["audit", "verify", "--incidents", &incidents, "--database-url", &database.url]).await;
    assert_eq!(cut.status.code(), Some(1));
    assert!(stdout(&cut).contains("demo/redis-readonly has seen its entry 17"), "{}", stdout(&cut));
    assert!(
        stdout(&cut).contains("link 4: the status of the Incident demo/redis-readonly has seen it"),
        "{}",
        stdout(&cut)
    );

    let text = std::fs::read_to_string(&trail).unwrap();
    std::fs::write(&changed, text.replace("master_host:10.255.255.1", "master_host:10.255.255.2")).unwrap();
    let found = run(&["audit", "verify", "--file", &changed]).await;
    assert_eq!(found.status.code(), Some(1));
    assert!(
        stdout(&found).starts_with("session 2026-01-28T20-54-48-3a029c12, entry 6: what it says"),
        "{}",
        stdout(&found)
    );
    assert!(stderr(&found).contains("the trail does not hold: 1 fault"), "{}", stderr(&found));

    let prune = ["audit", "prune", "--older-than", "1d", "--database-url", &database.prune_url];
    let dry = run(&[&prune[..], &["--dry-run"]].concat()).await;
    assert_eq!(
        stdout(&dry),
        "session 2026-01-28T20-54-48-3a029c12 with 16 entries\nwould be removed\n",
        "{}",
        stderr(&dry)
    );
    let done = run(&[&prune[..], &["--signing-key", database.key.to_str().unwrap()]].concat()).await;
    assert_eq!(stdout(&done), "1 sessions with 16 entries were removed\n", "{}", stderr(&done));
    let after = run(&["audit", "verify", "--public-key", &key, "--database-url", &database.url]).await;
    assert!(after.status.success(), "{}", stdout(&after));
    assert!(stdout(&after).starts_with("verified: 0 sessions, 0 entries, 4 links, 1 pruned"), "{}", stdout(&after));
}

/// `operator audit show … | head -1`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_is_no_error() {
    let database = testing::database().await;
    tell_the_story(&database).await;
    let mut child =
        command(&["audit", "follow", "demo/redis-readonly", "--database-url", &database.url]).spawn().unwrap();
    drop(child.stdout.take());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}
