//! The webhooks as a real server, before a cluster in memory.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crds::Subject;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::Config;
use crate::monitor::fake::{FakeCluster, Trouble};
use crate::tenancy::Tenants;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// A server, and what it is asked with.
struct World {
    cluster: FakeCluster,
    address: SocketAddr,
    metrics: Arc<Metrics>,
    client: reqwest::Client,
    _stop: tokio_util::sync::DropGuard,
}

fn subject(name: &str) -> Subject {
    serde_json::from_value(json!({
        "apiVersion": "operator.dev/v1alpha1", "kind": "Subject",
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"), "generation": 1},
        "spec": {"where": {"docker": {"project": name}}, "alerts": [{"matchers": [{"name": "service", "value": name}]}]},
    }))
    .unwrap()
}

impl World {
    async fn new() -> Self {
        Self::with("", Some(TOKEN), true).await
    }

    async fn with(config: &str, token: Option<&str>, connected: bool) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = FakeCluster::default();
        cluster.set_subjects(["shop", "bank", "mail"].map(subject).to_vec());
        let metrics = Arc::new(Metrics::default());
        let token = token.map(|token| Token::new(&token.to_owned().into()).unwrap());
        let config: Config = serde_saphyr::from_str(&format!("webhooks: {{generic: [{config}]}}")).unwrap();
        let webhooks = Webhooks::new(token, config.webhooks.generic, metrics.clone());
        if connected {
            webhooks.open(Desk::new(Arc::new(cluster.clone()), Tenants::default(), metrics.clone()));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let readiness = crate::http::Readiness::default();
        tokio::spawn(crate::http::serve(listener, readiness, metrics.clone(), webhooks.router(), stop.clone()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { cluster, address, metrics, client, _stop: stop.drop_guard() }
    }

    fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("http://{}{path}", self.address)).bearer_auth(TOKEN)
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        said(self.request(path).body(body)).await
    }

    async fn alerts(&self, alerts: &[Value]) -> (u16, Value) {
        self.post("/webhooks/alertmanager", payload(alerts)).await
    }
}

async fn said(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

fn payload(alerts: &[Value]) -> String {
    json!({"version": "4", "status": "firing", "receiver": "r", "groupKey": "g", "alerts": alerts}).to_string()
}

fn alert(service: &str, print: &str, resolved: bool) -> Value {
    json!({
        "status": if resolved { "resolved" } else { "firing" },
        "labels": {"alertname": "Slow", "service": service, "severity": "warning"},
        "annotations": {"summary": "it is slow"}, "fingerprint": print,
        "startsAt": "2026-01-28T20:54:48Z", "endsAt": if resolved { "2026-01-28T21:54:48Z" } else { "0001-01-01T00:00:00Z" },
    })
}

fn error(said: &Value) -> &str {
    said["error"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_alert_is_answered_once_its_incident_stands() {
    let world = World::new().await;
    let (status, answer) = world.alerts(&[alert("shop", "a1", false), alert("nobody", "b1", false)]).await;
    assert_eq!(status, 200, "{answer}");
    let name = world.cluster.all_incidents()[0].name_any();
    assert_eq!(answer["subjects"], json!([{"subject": "ns/shop", "alerts": 1, "outcome": "opened", "incident": name}]));
    assert_eq!((&answer["received"], &answer["unmatched"]), (&json!(2), &json!(1)));
    let (_, answer) = world.alerts(&[alert("shop", "a1", true)]).await;
    assert_eq!(answer["subjects"][0]["outcome"], "resolved");
    let text = world.metrics.text();
    assert!(text.contains("operator_webhook_requests_total{category=\"200\"} 2"), "{text}");
    assert!(text.contains("operator_alerts_total{category=\"opened\"} 1"), "{text}");
    let other = world.client.get(format!("http://{}/healthz", world.address)).send().await.unwrap();
    assert_eq!(other.status(), 200);
}

#[tokio::test]
async fn without_the_token_nothing_is_read() {
    let world = World::new().await;
    let ask = || world.client.post(format!("http://{}/webhooks/alertmanager", world.address)).body(payload(&[]));
    for wrong in ["", "Bearer", "Bearer ", "Bearer x", "Basic a-token-that-nobody-guesses", TOKEN] {
        let answer = ask().header("authorization", wrong).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["www-authenticate"].to_str().unwrap()),
            (401, "Bearer"),
            "{wrong:?}"
        );
    }
    assert_eq!(said(ask()).await.0, 401, "none at all");
    assert_eq!(
        said(ask().header("authorization", format!("bearer  {TOKEN} "))).await.0,
        200,
        "the scheme in small letters"
    );
    // Also where there is nothing, and with a body that is too large.
    for path in ["/webhooks/generic", "/webhooks/generic/x"] {
        assert_eq!(said(world.client.post(format!("http://{}{path}", world.address))).await.0, 401);
    }
    let large = ask().body("x".repeat(8 * LARGEST)).send().await;
    assert!(large.is_err() || large.unwrap().status() == 401);
}

#[tokio::test]
async fn without_a_token_of_its_own_there_are_no_webhooks() {
    let world = World::with("", None, true).await;
    let (status, answer) = world.alerts(&[alert("shop", "a1", false)]).await;
    assert!(status == 404 && error(&answer).contains("OPERATOR_WEBHOOK_TOKEN"), "{answer}");
    assert!(world.cluster.all_incidents().is_empty());
    let short = Token::new(&"short".to_owned().into()).err().unwrap();
    assert_eq!(short, "OPERATOR_WEBHOOK_TOKEN has 5 letters: 16 are the least");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_who_sends_it_hears_so() {
    let world = World::new().await;
    let (status, answer) = world.post("/webhooks/alertmanager", "x".repeat(10 << 20)).await;
    assert!(status == 413 && error(&answer) == "the body is larger than 1048576 bytes", "{status} {answer}");
    // Without a word of its length as well.
    let pieces = (0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10]));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    assert_eq!(world.post("/webhooks/alertmanager", body).await.0, 413);
    let mut most = payload(&[alert("shop", "a1", false)]);
    most.push_str(&" ".repeat(LARGEST - most.len()));
    assert_eq!(world.post("/webhooks/alertmanager", most).await.0, 200, "the last byte");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_sentence() {
    let world = World::new().await;
    let other = payload(&[]).replace("\"4\"", "\"3\"");
    let (status, answer) = world.post("/webhooks/alertmanager", other).await;
    assert_eq!(
        (status, error(&answer)),
        (400, "this is version \"3\" of the payload of Alertmanager's webhook; version \"4\" is understood")
    );
    assert_eq!(world.post("/webhooks/alertmanager", "hello").await.0, 400);
    assert_eq!(world.post("/webhooks/alertmanager", "").await.0, 400);
    let packed = world.request("/webhooks/alertmanager").header("content-encoding", "gzip").body("x");
    assert_eq!(said(packed).await.0, 415);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "nonsense"] {
        let request = world.request("/webhooks/alertmanager").header("content-type", kind).body(payload(&[]));
        assert_eq!(said(request).await.0, 200, "{kind}");
    }
    let (status, answer) = world.post("/webhooks/pagerduty", "{}").await;
    assert_eq!((status, error(&answer)), (404, "there is no webhook at /webhooks/pagerduty"));
    let get = world.client.get(format!("http://{}/webhooks/alertmanager", world.address)).send().await.unwrap();
    assert_eq!(get.status(), 405);
}

#[tokio::test]
async fn one_who_does_not_finish_is_not_waited_for() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    let mut half = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /webhooks/alertmanager HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
    );
    half.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    tokio::time::timeout(SENDING * 3, half.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
}

#[tokio::test]
async fn before_the_controller_is_connected_and_while_the_api_server_is_away_it_is_to_be_sent_again() {
    let ask = async |world: &World| {
        let answer =
            world.request("/webhooks/alertmanager").body(payload(&[alert("shop", "a1", false)])).send().await.unwrap();
        let after = answer.headers().get("retry-after").map(|after| after.to_str().unwrap().to_owned());
        (answer.status().as_u16(), after)
    };
    let starting = World::with("", Some(TOKEN), false).await;
    assert_eq!(ask(&starting).await, (503, Some("2".into())));
    let world = World::new().await;
    world.cluster.fate(|_| Some(Trouble::Refused("no API server".into())));
    assert_eq!(ask(&world).await, (503, Some("5".into())));
    world.cluster.fate(|_| None);
    assert_eq!(ask(&world).await, (200, None));
}

#[tokio::test]
async fn more_than_is_sensible_is_limited() {
    let world = World::new().await;
    let body = payload(&[]);
    let mut limited = None;
    for _ in 0..2000 {
        let answer = world.request("/webhooks/alertmanager").body(body.clone()).send().await.unwrap();
        if answer.status() == 429 {
            limited = Some(answer.headers()["retry-after"].to_str().unwrap().to_owned());
            break;
        }
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(limited.as_deref(), Some("1"));
    // Who has no token takes nothing from those who have one.
    let stranger = world.client.post(format!("http://{}/webhooks/alertmanager", world.address)).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
}

const PAGER: &str =
    "{name: pager, subject: body.s, namespace: body.n, fingerprint: body.f, status: body.t, summary: body.m}";
const OTHER: &str =
    "{name: other, subject: body.s, namespace: '\"ns\"', fingerprint: body.f, status: '\"firing\"', summary: '\"m\"'}";

#[tokio::test]
async fn others_than_alertmanager_are_understood_by_the_configuration() {
    let world = World::with(PAGER, Some(TOKEN), true).await;
    let body = |status: &str| json!({"s": "shop", "n": "ns", "f": 7, "t": status, "m": "it is slow"}).to_string();
    let (status, answer) = world.post("/webhooks/generic", body("firing")).await;
    assert_eq!((status, &answer["subjects"][0]["outcome"]), (200, &json!("opened")), "{answer}");
    let (_, answer) = world.post("/webhooks/generic/pager", body("firing")).await;
    assert_eq!(answer["subjects"][0]["outcome"], "known", "no time of its own: it is the same");
    let (_, answer) = world.post("/webhooks/generic/pager", body("resolved")).await;
    assert_eq!(answer["subjects"][0]["outcome"], "resolved");
    let (status, answer) = world.post("/webhooks/generic", body("odd")).await;
    assert!(
        status == 422
            && error(&answer)
                .starts_with("`status` of the webhook \"pager\" in the configuration (body.t) makes \"odd\""),
        "{answer}"
    );
    let (status, answer) = world.post("/webhooks/generic", body("firing").replace("\"ns\"", "\"nowhere\"")).await;
    assert!(
        status == 422 && error(&answer).contains("there is no Subject \"shop\" in namespace \"nowhere\""),
        "{answer}"
    );
    assert_eq!(world.post("/webhooks/generic", "no JSON").await.0, 400);
    assert_eq!(world.post("/webhooks/generic/pages", body("firing")).await.0, 404);
    assert_eq!(world.cluster.all_incidents().len(), 1);

    let two = World::with(&format!("{PAGER}, {OTHER}"), Some(TOKEN), true).await;
    let (status, answer) = two.post("/webhooks/generic", body("firing")).await;
    assert!(status == 400 && error(&answer).ends_with("one of pager, other"), "{answer}");
    assert_eq!(two.post("/webhooks/generic/other", body("firing")).await.0, 200);
    assert_eq!(World::new().await.post("/webhooks/generic", body("firing")).await.0, 404);
}

/// A thousand alerts at once, while the API server refuses, loses answers and has others write in between: what was
/// answered with 2xx stands, and every sender who tries again gets there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_of_a_thousand_loses_none_that_was_answered() {
    let world = Arc::new(World::new().await);
    let calls = AtomicU64::new(0);
    world.cluster.fate(move |_| match calls.fetch_add(1, Ordering::Relaxed) % 11 {
        3 => Some(Trouble::Refused("no API server".into())),
        7 => Some(Trouble::AnswerLost),
        _ => None,
    });
    let taken = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let seen = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let services = ["shop", "bank", "mail"];
    let senders = (0..1000).map(|number| {
        let (world, taken, seen) = (world.clone(), taken.clone(), seen.clone());
        tokio::spawn(async move {
            let (service, print) = (services[number % 3], format!("f{number:04}"));
            for _ in 0..400 {
                let (status, _) = world.alerts(&[alert(service, &print, false)]).await;
                seen.lock().unwrap().insert(status);
                if status == 200 {
                    // At this moment, not at the end: it stands.
                    assert!(stands(&world.cluster, service, &print), "{print} was answered, and stands nowhere");
                    taken.lock().unwrap().insert(print);
                    return;
                }
                assert!(matches!(status, 429 | 503), "{status}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            unreachable!("{print} never got there");
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    assert_eq!(taken.lock().unwrap().len(), 1000);
    let seen = seen.lock().unwrap().clone();
    assert!(seen.contains(&503), "nothing was refused: {seen:?}");
    assert_eq!(world.cluster.all_incidents().len(), 3, "one a system");
    for (number, print) in (0..1000).map(|number| (number, format!("f{number:04}"))) {
        assert!(stands(&world.cluster, services[number % 3], &print), "{print} is gone");
    }
}

fn stands(cluster: &FakeCluster, service: &str, print: &str) -> bool {
    let has = |incident: &crds::Incident| {
        let alerts = &incident.spec.origin.as_ref().unwrap().alerts;
        incident.spec.subject_ref.name == service && alerts.iter().any(|alert| alert.fingerprint == print)
    };
    cluster.all_incidents().iter().any(has)
}

/// The same as one group of Alertmanager.
#[tokio::test]
async fn a_group_of_a_thousand_is_one_incident() {
    let world = World::new().await;
    let alerts: Vec<Value> = (0..1000).map(|number| alert("shop", &format!("f{number:04}"), false)).collect();
    let (status, answer) = world.alerts(&alerts).await;
    assert_eq!((status, &answer["subjects"][0]["alerts"]), (200, &json!(1000)));
    assert!(answer.to_string().len() < 1000, "an answer stays short");
    assert_eq!(world.cluster.all_incidents().len(), 1);
}
