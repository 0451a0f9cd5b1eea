//! Nothing is wrong, and nobody is woken.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::watched::{Watched, subject_condition};

/// How long it is looked at: `QUIET_SECONDS`.
fn length() -> Duration {
    let seconds = std::env::var("QUIET_SECONDS").ok();
    let seconds =
        seconds.map_or(600, |text| text.parse().unwrap_or_else(|_| panic!("QUIET_SECONDS={text:?} is no number")));
    Duration::from_secs(seconds)
}

#[tokio::test]
#[ignore = "takes ten minutes: `make quiet`"]
async fn ten_minutes_under_load_without_a_fault_raise_no_alarm() {
    let systems = [
        Watched::begin("ratelimiter", "quiet-limiter", json!({})).await,
        Watched::begin("etcd", "quiet-etcd", json!({})).await,
    ];
    let (begun, length) = (Instant::now(), length());
    let mut looks = 0;
    while begun.elapsed() < length {
        for system in &systems {
            let subject = system.subject().await;
            let (status, at) = (subject.status.as_ref().unwrap(), begun.elapsed());
            assert_eq!(subject_condition(&subject, "Healthy"), "True AllHold", "after {at:?}: {status:#?}");
            assert!(system.incidents().await.is_empty(), "an Incident after {at:?}: {:?}", system.incidents().await);
        }
        looks += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for system in systems {
        let events = system.namespace.events().await;
        let alarms: Vec<_> = events.iter().filter(|event| event.starts_with("InvariantViolated")).collect();
        assert!(alarms.is_empty(), "{alarms:?}");
        system.until_it_flows().await;
        system.namespace.remove().await;
    }
    println!("quiet: {looks} looks in {:?}, no alarm", begun.elapsed());
}
