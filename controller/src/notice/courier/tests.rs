//! Receivers as real servers.

use crds::Incident;

use super::testing::Ear;
use super::*;
use crate::config::Config;
use crate::notice::wanted::of_incidents;

fn escalated(names: &[&str]) -> Wanted {
    let incident = |name: &&str| -> Arc<Incident> {
        let yaml = format!(
            "apiVersion: operator.dev/v1alpha1\nkind: Incident\nmetadata: {{name: {name}, namespace: ns, uid: {name}}}\n\
             spec: {{title: t, subjectRef: {{name: s}}}}\n\
             status: {{phase: Escalated, attempt: 1, finishedAt: '2026-01-28T20:54:48Z'}}"
        );
        Arc::new(serde_saphyr::from_str(&yaml).unwrap())
    };
    of_incidents(&names.iter().map(incident).collect::<Vec<_>>())
}

fn courier(receivers: &str, may: May) -> Courier {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config: Config = serde_saphyr::from_str(&format!("notices: {{receivers: [{receivers}]}}")).unwrap();
    let clean: Clean = Arc::new(|_: &Notice, text: &str| text.to_owned());
    Courier::new(&config.notices.receivers, "operator", clean, may, Arc::new(Metrics::default())).unwrap()
}

fn always() -> May {
    Arc::new(|| Ok(()))
}

/// Looks, and waits for what comes of it.
async fn steps(courier: &mut Courier, wanted: &Wanted) -> Vec<(Step, Option<String>)> {
    courier.look(wanted);
    let happened = tokio::time::timeout(Duration::from_secs(20), courier.next()).await.unwrap();
    happened.into_iter().map(|one| (one.step, one.why)).collect()
}

#[tokio::test]
async fn an_alertmanager_gets_all_in_one_request_and_hears_of_the_end() {
    let ear = Ear::default();
    let address = ear.listen().await;
    let mut courier = courier(&format!("{{name: team, alertmanager: {{url: 'http://{address}/am/'}}}}"), always());
    let told = steps(&mut courier, &escalated(&["a", "b"])).await;
    assert_eq!(told, [(Step::Told, None), (Step::Told, None)]);
    let heard = ear.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].0, "/am/api/v2/alerts");
    assert_eq!(heard[0].2.as_array().unwrap().len(), 2);
    assert_eq!(steps(&mut courier, &escalated(&["b"])).await, [(Step::Ended, None)]);
    let end = ear.heard()[0].2[0]["endsAt"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(end <= Timestamp::now() && courier.waiting() == 0);
}

#[tokio::test]
async fn a_webhook_gets_each_with_the_secret_and_what_fails_alone_is_sent_again() {
    let ear = Ear::default();
    let address = ear.listen().await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s3cret\n").unwrap();
    let path = secret.path().display();
    let receiver = format!(
        "{{name: hook, webhook: {{url: 'http://{address}/in?x=1', headersFrom: [{{header: Authorization, prefix: 'Bearer ', path: {path}}}]}}}}"
    );
    let mut courier = courier(&receiver, always());
    ear.answer(&[500]);
    let mut told = steps(&mut courier, &escalated(&["a", "b"])).await;
    told.sort_by_key(|(step, _)| *step == Step::Failed);
    assert_eq!(told[0], (Step::Told, None));
    assert_eq!(
        told[1],
        (Step::Failed, Some(r"it answered 500 Internal Server Error: an answer\x1b[2J".into())),
        "no escape"
    );
    let heard = ear.heard();
    assert_eq!((heard.len(), heard[0].1.as_deref(), heard[0].0.as_str()), (2, Some("Bearer s3cret"), "/in"));
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(steps(&mut courier, &escalated(&["a", "b"])).await, [(Step::Told, None)], "the one that failed");
    assert_eq!(ear.heard().len(), 1);
}

#[tokio::test]
async fn one_that_is_away_says_so_and_holds_up_no_other() {
    let ear = Ear::default();
    let address = ear.listen().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = nobody.local_addr().unwrap();
    drop(nobody);
    let receivers = format!(
        "{{name: away, alertmanager: {{url: 'http://{away}'}}}}, {{name: here, webhook: {{url: 'http://{address}'}}}}, \
         {{name: unset, webhook: {{url: 'http://{address}', headersFrom: [{{header: X, env: NOT_SET_ANYWHERE}}]}}}}"
    );
    let mut courier = courier(&receivers, always());
    courier.look(&escalated(&["a"]));
    let mut all = Vec::new();
    while all.len() < 3 {
        all.extend(courier.next().await);
    }
    all.sort_by(|one, two| one.receiver.cmp(&two.receiver));
    assert_eq!(all.iter().map(|one| one.step).collect::<Vec<_>>(), [Step::Failed, Step::Told, Step::Failed]);
    let why = all[0].why.as_deref().unwrap();
    assert!(why.contains("refused") && !why.contains(&away.to_string()[..9]), "{why}");
    assert!(
        all[2].why.as_deref().unwrap().starts_with("the variable NOT_SET_ANYWHERE, for the header x: "),
        "{:?}",
        all[2].why
    );
    assert_eq!((courier.waiting(), ear.heard().len()), (2, 1));
}

#[tokio::test]
async fn who_does_not_lead_any_more_sends_nothing() {
    let ear = Ear::default();
    let address = ear.listen().await;
    let may: May = Arc::new(|| Err("this controller does not lead".into()));
    let mut courier = courier(&format!("{{name: team, alertmanager: {{url: 'http://{address}'}}}}"), may);
    let told = steps(&mut courier, &escalated(&["a"])).await;
    assert_eq!(told, [(Step::Failed, Some("this controller does not lead".into()))]);
    assert!(ear.heard().is_empty());
}

#[tokio::test]
async fn after_a_restart_nobody_is_told_twice() {
    let ear = Ear::default();
    let address = ear.listen().await;
    let mut courier = courier(&format!("{{name: hook, webhook: {{url: 'http://{address}'}}}}"), always());
    let wanted = escalated(&["a", "b"]);
    courier.restore("hook", &wanted["a/Escalated"]);
    courier.restore("gone", &wanted["b/Escalated"]);
    assert_eq!(steps(&mut courier, &wanted).await, [(Step::Told, None)]);
    assert_eq!(ear.heard()[0].2["about"]["incident"], "b");
    assert_eq!(steps(&mut courier, &escalated(&["b"])).await, [(Step::Ended, None)]);
    assert_eq!(ear.heard()[0].2["status"], "resolved");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let ear = Ear::default();
    let address = ear.listen().await;
    ear.answer(&[307]);
    let mut courier = courier(&format!("{{name: hook, webhook: {{url: 'http://{address}'}}}}"), always());
    let told = steps(&mut courier, &escalated(&["a"])).await;
    assert_eq!(told[0].0, Step::Failed);
}
