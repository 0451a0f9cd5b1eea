//! What is wrong around it is said, and nothing of it ends the program.

use std::io::Write as _;

use operator_tests::stage::way_to_cluster;
use operator_tests::tmux::{Terminal, binary};
use operator_tests::{Cluster, run};
use serde_json::json;

use super::SOON;

#[test]
fn without_a_cluster_it_says_so_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("none");
    let terminal = Terminal::open(100, 30, &format!("KUBECONFIG={} {} incidents", kubeconfig.display(), binary()));
    let screen = terminal.wait("EXIT=1", SOON);
    assert!(screen.to_lowercase().contains("kubeconfig"), "{screen}");
    assert!(terminal.is_restored());
}

#[test]
fn a_log_that_is_no_recording_is_refused_with_its_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "this is no recording").unwrap();
    let terminal = Terminal::operator(100, 30, &format!("--replay {}", file.path().display()));
    let screen = terminal.wait("EXIT=", SOON);
    assert!(screen.contains("EXIT=1") && screen.contains(":1: this is not a line of a recording"), "{screen}");
    assert!(terminal.is_restored());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_cut_is_stale_and_then_live_again_with_nothing_doubled() {
    let namespace = Cluster::connect().await.namespace("stale").await;
    namespace.subject("limiter", "nothing-is-called-that").await;
    namespace.incident("before", "limiter", json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let (gate, kubeconfig) = way_to_cluster(folder.path()).await;
    let terminal = Terminal::open(
        120,
        36,
        &format!("KUBECONFIG={} {} incidents --namespace {}", kubeconfig.display(), binary(), namespace.name),
    );
    terminal.wait("LIVE", SOON);
    terminal.wait("before", SOON);
    gate.close();
    let screen = terminal.wait("STALE", SOON * 3);
    assert!(screen.contains("before"), "the rows stay: {screen}");
    namespace.incident("meanwhile", "limiter", json!({})).await;
    gate.open();
    terminal.wait("LIVE", SOON * 3);
    let screen = terminal.wait("meanwhile", SOON);
    // The summary below the table names one of them, too.
    let rows = |name: &str| screen.lines().filter(|line| line.contains(name) && line.contains("limiter")).count();
    assert_eq!((rows("before"), rows("meanwhile")), (1, 1), "{screen}");
    terminal.press(&["q"]);
    terminal.wait("EXIT=0", SOON);
    namespace.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_is_told_which_right_is_missing() {
    let namespace = Cluster::connect().await.namespace("rights").await;
    // An account that may read Subjects, and nothing else.
    let name = namespace.name.clone();
    let here = |arguments: &[&str]| run("kubectl", &[&["--namespace", &name], arguments].concat());
    here(&["create", "serviceaccount", "reader"]);
    here(&["create", "role", "subjects", "--verb=get,list,watch", "--resource=subjects.operator.dev"]);
    here(&["create", "rolebinding", "subjects", "--role=subjects", &format!("--serviceaccount={name}:reader")]);
    let token = here(&["create", "token", "reader", "--duration=10m"]);
    namespace.subject("limiter", "nothing-is-called-that").await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = as_bearer(folder.path(), token.trim());
    let open = |screen: &str| {
        Terminal::open(
            120,
            36,
            &format!("KUBECONFIG={} {} {screen} --namespace {name}", kubeconfig.display(), binary()),
        )
    };
    let incidents = open("incidents");
    let screen = incidents.until("what is missing", SOON, |screen| screen.to_lowercase().contains("may not"));
    assert!(screen.contains("incidents") || screen.contains("Incidents"), "{screen}");
    let subjects = open("subjects");
    subjects.wait("limiter", SOON);
    for terminal in [incidents, subjects] {
        terminal.press(&["q"]);
        terminal.wait("EXIT=0", SOON);
    }
    namespace.remove().await;
}

/// The cluster's kubeconfig with a token in the place of its user.
fn as_bearer(folder: &std::path::Path, token: &str) -> std::path::PathBuf {
    let mut config = kube::config::Kubeconfig::read().expect("KUBECONFIG");
    let user: kube::config::NamedAuthInfo =
        serde_json::from_value(json!({"name": "reader", "user": {"token": token}})).unwrap();
    config.auth_infos = vec![user];
    for context in &mut config.contexts {
        if let Some(context) = &mut context.context {
            context.user = Some("reader".into());
        }
    }
    let path = folder.join("kubeconfig");
    std::fs::write(&path, serde_saphyr::to_string(&config).unwrap()).unwrap();
    path
}
