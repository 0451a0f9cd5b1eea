use crds::Severity;

use super::*;

fn at_second(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn order() -> Order {
    let yaml = "apiVersion: operator.dev/v1alpha1\nkind: Subject\nmetadata: {name: shop, namespace: ns, uid: u-1}\n\
                spec: {where: {docker: {project: shop}}}";
    Order::unwatched(&std::sync::Arc::new(serde_saphyr::from_str(yaml).unwrap()), &crate::tenancy::Tenants::default())
        .unwrap()
}

fn alert(print: &str, since: i64) -> Alert {
    let texts = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Alert {
        fingerprint: print.into(),
        name: "HighLatency".into(),
        severity: Severity::Error,
        summary: "p99 is 2 s".into(),
        labels: texts(&[("alertname", "HighLatency"), ("instance", print)]),
        annotations: texts(&[("summary", "p99 is 2 s"), ("runbook_url", "http://runbook")]),
        starts_at: at_second(since),
        since_is_said: true,
        ends_at: None,
        url: "http://prom/graph".into(),
    }
}

fn clean(text: &str) -> String {
    short_line(&text.replace("hunter2", "***"), 1000)
}

fn opened(alerts: &[Alert]) -> Incident {
    incident(&order(), "here", alerts, &[], &Recurrence::default(), 0, &clean)
}

fn known(incident: &Incident) -> Known {
    Known::of(incident)
}

#[test]
fn an_incident_says_which_alert_it_is_and_what_that_says() {
    let incident = opened(&[alert("f00d", 0), alert("beef", 1)]);
    let spec = &incident.spec;
    assert_eq!(spec.title, "HighLatency: p99 is 2 s (and 1 more)");
    assert!(spec.description.contains("### HighLatency (error), since 2027-01-15T08:00:00Z"), "{}", spec.description);
    assert!(spec.description.contains("- runbook_url: http://runbook"));
    assert!(spec.description.contains("- labels: alertname=\"HighLatency\", instance=\"f00d\""));
    assert_eq!(spec.evidence.len(), 2);
    assert_eq!(spec.evidence[0].source, "alert HighLatency f00d");
    assert!(spec.evidence[0].message.starts_with("HighLatency: p99 is 2 s\n- labels: "), "{:?}", spec.evidence[0]);
    let origin = spec.origin.clone().unwrap();
    assert_eq!(origin.alerts.iter().map(|alert| alert.fingerprint.as_str()).collect::<Vec<_>>(), ["f00d", "beef"]);
    assert!(origin.violated.is_empty());
    assert_eq!(origin.fingerprint, fingerprint("u-1", &alert("f00d", 99)), "whenever it fires");
    kube::core::cel::validate_cel(&incident).unwrap();
}

#[test]
fn its_name_is_the_same_for_all_who_see_the_same() {
    let order = order();
    let first = name(&order, &[]);
    assert!(first.starts_with("shop-alert-") && first.len() == "shop-alert-".len() + 10, "{first}");
    assert_eq!(first, name(&order, &[]));
    let stands = opened(&[alert("f00d", 0)]);
    let second = name(&order, &[known(&stands)]);
    assert_ne!(first, second);
    let persons = Known { alerts: Vec::new(), ..known(&stands) };
    assert_eq!(first, name(&order, &[persons]), "others have no part in it");
    let long = Order {
        subject: std::sync::Arc::new(crds::Subject {
            metadata: kube::core::ObjectMeta { name: Some("x".repeat(253)), ..Default::default() },
            ..(*order.subject).clone()
        }),
        ..order
    };
    assert!(name(&long, &[]).len() <= 253);
}

#[test]
fn secrets_are_masked_everywhere() {
    let mut one = alert("f00d", 0);
    one.name = "hunter2".into();
    one.summary = "password hunter2\u{1b}[2J".into();
    one.annotations.insert("hunter2".into(), "hunter2".into());
    one.labels.insert("l".into(), "hunter2".into());
    one.url = "http://hunter2@prom".into();
    let incident = opened(&[one.clone()]);
    let text = serde_json::to_string(&incident).unwrap();
    assert!(!text.contains("hunter2") && !text.contains('\u{1b}'), "{text}");
    let joined = join(&known(&incident), &[one.clone()], &[Alert { ends_at: Some(at_second(9)), ..one }], &clean);
    assert!(!format!("{joined:?}").contains("hunter2"));
}

#[test]
fn a_thousand_alerts_are_all_known_and_few_are_told_one_by_one() {
    let alerts: Vec<Alert> = (0..1000).map(|number| alert(&format!("f{number:04}"), number)).collect();
    let incident = opened(&alerts);
    let spec = &incident.spec;
    assert_eq!(spec.origin.as_ref().unwrap().alerts.len(), 1000);
    assert_eq!(spec.evidence.len(), MOST_FIRING + 1);
    assert!(
        spec.evidence[MOST_FIRING].message.starts_with("1000 alerts are of this Incident"),
        "{:?}",
        spec.evidence[MOST_FIRING]
    );
    assert!(spec.description.chars().count() <= DESCRIPTION + 2);
    kube::core::cel::validate_cel(&incident).unwrap();

    // The same again, one by one and together, changes nothing.
    let (before, mut now) = (known(&incident), known(&incident));
    for part in alerts.chunks(300) {
        let joined = join(&now, part, &[], &clean);
        now = Known { alerts: joined.alerts, evidence: joined.evidence, ..now };
    }
    assert_eq!(now.alerts, before.alerts);
    assert_eq!(now.evidence.len(), before.evidence.len());

    // Beyond the last place they are counted, and nothing grows.
    let more: Vec<Alert> = (0..200).map(|number| alert(&format!("g{number}"), number)).collect();
    let joined = join(&now, &more, &[], &clean);
    assert_eq!((joined.alerts.len(), joined.evidence.len()), (MOST_ALERTS, now.evidence.len()));
    assert!(
        joined.evidence.last().unwrap().message.starts_with("more than 1024 alerts are"),
        "{:?}",
        joined.evidence.last()
    );

    // That they are over fits as well, once for all of a request.
    let over: Vec<Alert> = alerts.iter().map(|one| Alert { ends_at: Some(at_second(5000)), ..one.clone() }).collect();
    let joined = join(&now, &[], &over, &clean);
    assert_eq!(joined.evidence.len(), now.evidence.len() + 1);
    let last = &joined.evidence.last().unwrap().message;
    assert!(
        last.starts_with("alerts are resolved: HighLatency")
            && last.ends_with("no alert of this Incident fires any more"),
        "{last}"
    );
    assert!(joined.alerts.iter().all(|alert| alert.ends_at.is_some()));
}

#[test]
fn an_end_says_what_still_fires() {
    let incident = opened(&[alert("f00d", 0), alert("beef", 1)]);
    let over = |print: &str| Alert { ends_at: Some(at_second(60)), ..alert(print, 0) };
    let one = join(&known(&incident), &[], &[over("f00d")], &clean);
    assert_eq!(
        one.evidence.last().unwrap().message,
        "the alert is resolved: HighLatency; 1 alert of this Incident fires still"
    );
    assert_eq!(one.evidence.last().unwrap().observed_at, Some(Time(at_second(60))));
    assert_eq!(one.evidence.len(), 3, "the agent is told what is behind what it knows");
    let unknown = join(&known(&incident), &[], &[over("cafe")], &clean);
    assert_eq!(unknown.evidence.len(), 2);
}

#[test]
fn one_that_flaps_a_hundred_times_does_not_outgrow_its_incident() {
    let mut one = known(&opened(&[alert("f00d", 0)]));
    for round in 1..100 {
        let fires = alert("f00d", round * 10);
        let over = Alert { ends_at: Some(at_second(round * 10 + 5)), ..fires.clone() };
        for (firing, resolved) in [(vec![fires], vec![]), (vec![], vec![over])] {
            let joined = join(&one, &firing, &resolved, &clean);
            one = Known { alerts: joined.alerts, evidence: joined.evidence, ..one };
        }
    }
    assert!(one.evidence.len() <= MOST_EVIDENCE && one.alerts.len() == 1, "{}", one.evidence.len());
    assert!(one.evidence.iter().any(|entry| entry.source == MORE));
}

#[test]
fn the_monitors_incident_keeps_what_it_says() {
    let mut monitors = known(&opened(&[]));
    monitors.evidence = (0..63)
        .map(|number| Evidence { source: format!("invariant down[{number}]"), message: "m".into(), observed_at: None })
        .collect();
    let joined = join(&monitors, &[alert("f00d", 0)], &[], &clean);
    assert_eq!(joined.evidence, monitors.evidence, "there is no room for words");
    assert_eq!(joined.alerts.len(), 1, "and it is known all the same");
}

#[test]
fn what_came_again_and_what_was_left_out_is_said() {
    let again = Recurrence { of: Some("shop-alert-1".into()), count: 2 };
    let incident = incident(&order(), "here", &[alert("f00d", 0)], &[], &again, 7, &clean);
    assert!(incident.spec.description.contains("2 time(s), the last one shop-alert-1"));
    assert!(incident.spec.description.contains("left out 7 more"));
    let origin = incident.spec.origin.unwrap();
    assert_eq!((origin.recurrence_of.as_deref(), origin.recurrences), (Some("shop-alert-1"), 2));
}
