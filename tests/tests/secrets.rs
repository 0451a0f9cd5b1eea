//! Secrets that a subject has in its output, its environment and its files appear nowhere: not in the database, not in
//! the Incident and its Events, not in the controller's log, not in what the model was sent. On real parts, where output
//! comes in pieces and is cut by a supervisor.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use crds::Incident;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use operator_tests::condition;
use operator_tests::counter::docker;
use operator_tests::stage::{LONG, Stage};
use serde_json::json;

/// What the subject's secrets have in common, wherever they are cut: no piece of nine characters of any of them.
const PLANTED: [&str; 5] = ["hunter2planted", "mQp0Lk2Jd9Vb7", "Tr6Ws3Ye5Ug1", "cds3xfnygWyF8Pbn", "PLANTEDqwertz"];

/// In two halves, so that this file holds none.
fn token() -> String {
    format!("ghp{}", "_Zx81mQp0Lk2Jd9Vb7Nc4Tr6Ws3Ye5Ug1AbCd")
}

fn key() -> String {
    let line = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfnygWyF8PbnGy0AHB7MhgHcTz6sE2I2yPB0";
    format!("-----BEGIN RSA {0}-----\n{line}\n{line}\nwQPLANTEDqwertz==\n-----END RSA {0}-----\n", "PRIVATE KEY")
}

/// Bytes that are kept of a stream's beginning and of its end: by the supervisor, and then of that for the model.
const KEPT: [usize; 2] = [512 << 10, 16 << 10];

/// The commands of one turn each: none of them has a secret in it, for the model's own words stay as they are.
fn commands(counter: &str) -> Vec<String> {
    let mut commands = vec![
        format!("docker exec {counter} env"),
        format!("docker exec {counter} cat /secrets/key.pem /secrets/app.env"),
        format!("docker inspect {counter}"),
        // In two pieces, half a second apart.
        format!(
            "docker exec {counter} cat /secrets/token >/tmp/t; head -c 20 /tmp/t; sleep 0.5; tail -c +21 /tmp/t; cat /tmp/t >&2"
        ),
        // From another process's memory of variables, with NUL between them.
        format!("docker exec {counter} cat /proc/1/environ | tee /tmp/environ; false"),
    ];
    // On the cut of what is kept: the secret begins so many bytes before it.
    let cuts = KEPT.into_iter().flat_map(|kept| [(kept, 1), (kept, 9), (kept, 20), (kept, 39)]);
    commands.extend(cuts.map(|(kept, before)| {
        format!(
            "docker exec {counter} cat /secrets/token >/tmp/t; head -c {} /dev/zero | tr '\\0' '.'; printf ' '; cat /tmp/t; \
             head -c {} /dev/zero | tr '\\0' '.'; printf ' '; cat /tmp/t; head -c {} /dev/zero | tr '\\0' '.'",
            kept - before,
            3 * KEPT[0],
            kept - before,
        )
    }));
    commands
}

fn script(counter: &str) -> String {
    let commands = commands(counter);
    let mut rules: Vec<_> = commands
        .iter()
        .enumerate()
        .map(|(turn, command)| {
            json!({"name": format!("turn-{turn}"), "when": {"turn": turn}, "answer": {"text": "I look.", "tools": [
                {"name": "shell", "input": {"command": command, "reasoning": "The script says so."}}]}})
        })
        .collect();
    rules.push(
        json!({"name": "last", "when": {"turn": commands.len()}, "answer": {"tools": [{"name": "conclude", "input": {
        "outcome": "resolved", "root_cause": "There was none.", "summary": "All was looked at.", "evidence": [1]}}]}}),
    );
    json!({"description": "Looks where secrets are.", "rules": rules}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_the_subject_appears_nowhere() {
    let stage = Stage::set_with("secrets", 1, |counter| vec![("secrets".to_owned(), script(counter))]).await;
    let container = stage.counters[0].container();
    plant(&stage, &container).await;
    let mut controller = stage.controller_with("controller", &[("RUST_LOG", "trace")]);
    controller.ready().await.unwrap();

    let description = format!("The login fails with password=hunter2planted.\n```\n{}```", key());
    let evidence = json!([{"source": "alert", "message": format!("token {}", token())}]);
    let agent = json!({"model": "offline-secrets"});
    let more = json!({"title": "A login fails", "description": "It fails.", "agent": agent});
    stage.namespace.incident("quiet", "counter-0", more).await;
    let ended = finished(&stage, "quiet").await;
    assert_eq!(operator_tests::phase(&ended), "Concluded", "{ended:?}");
    let commands = usize::try_from(ended.status.as_ref().unwrap().commands.unwrap()).unwrap();
    assert_eq!(commands, self::commands(&container).len());
    // And one that brings secrets itself: in its own spec they are its author's, and nowhere else.
    let more = json!({"title": "A login fails", "description": description, "evidence": evidence, "agent": agent});
    stage.namespace.incident("loud", "counter-0", more).await;
    let loud = finished(&stage, "loud").await;
    assert_eq!(operator_tests::phase(&loud), "Concluded");

    let events = stage.namespace.api::<Event>().list(&ListParams::default()).await.unwrap();
    let requests = stage.model.requests();
    assert!(requests.len() > commands, "{} requests", requests.len());
    let places = [
        ("the database", stage.database.dump().await),
        ("the Incident", serde_json::to_string(&ended).unwrap()),
        ("the other Incident's status", serde_json::to_string(&loud.status).unwrap()),
        ("the Events", serde_json::to_string(&events.items).unwrap()),
        ("the controller's log", controller.log()),
        ("what the model was sent", requests.iter().map(|request| request.body.to_string()).collect()),
    ];
    for (place, text) in &places {
        assert!(!text.is_empty(), "{place} is empty: nothing was looked at");
        for secret in PLANTED {
            let found = text.find(secret).map(|at| {
                let from = text.floor_char_boundary(at.saturating_sub(300));
                text[from..text.ceil_char_boundary((at + 100).min(text.len()))].to_owned()
            });
            assert!(found.is_none(), "{secret} is in {place}: {found:?}");
        }
    }
    // It was there to be seen, and was masked.
    let sent = &places[5].1;
    for mark in ["[redacted:password:", "[redacted:cut]"] {
        assert!(sent.contains(mark), "the model was not sent any {mark}");
    }
    drop(controller);
    stage.namespace.abandon().await;
}

async fn finished(stage: &Stage, name: &str) -> Incident {
    stage.namespace.wait(name, "finished", LONG, |incident| condition(incident, "Finished").0 == "True").await
}

/// Another container in the place of the counter's, with secrets in its environment and its files.
async fn plant(stage: &Stage, container: &str) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), token()).unwrap();
    std::fs::write(directory.path().join("key.pem"), key()).unwrap();
    std::fs::write(
        directory.path().join("app.env"),
        "REDIS_PASSWORD=hunter2planted\nDB=postgres://a:hunter2planted@db/x\n",
    )
    .unwrap();
    let image = format!("{}-planted", stage.name);
    docker(&[
        "commit",
        "--change",
        "ENV POSTGRES_PASSWORD=hunter2planted",
        "--change",
        &format!("ENV GH_TOKEN={}", token()),
        container,
        &image,
    ])
    .await;
    let project = stage.counters[0].project.clone();
    let network = format!("{project}_default");
    docker(&["rm", "-f", container]).await;
    let own = format!("com.docker.compose.project={project}");
    let label = format!("operator.dev/stage={}", stage.name);
    docker(&[
        "run",
        "--detach",
        "--init",
        "--name",
        container,
        "--label",
        &own,
        "--label",
        "com.docker.compose.service=counter",
        "--label",
        &label,
        "--network",
        &network,
        "--network-alias",
        "counter",
        &image,
        "sleep",
        "3600",
    ])
    .await;
    docker(&["cp", directory.path().to_str().unwrap(), &format!("{container}:/secrets")]).await;
    docker(&["image", "rm", "--force", &image]).await;
}
