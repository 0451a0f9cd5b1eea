//! Probes against small servers that answer well, badly, too much or not at all. No test looks at a clock: what took too
//! long says so in its reading.

mod exec;
mod http;
mod metrics;
mod redis;
mod running;
mod servers;
mod tls;

use serde_json::{Value, json};

use super::round::Reading;
use super::run::Runner;
use crds::probe::Probe;

/// Short, for targets that never answer.
const SHORT: &str = "300ms";
/// Long enough for the slowest machine.
const LONG: &str = "60s";

fn runner(probe: Value) -> Runner {
    let mut probe = probe;
    probe["name"] = json!("p");
    if probe.get("timeout").is_none() {
        probe["timeout"] = json!(LONG);
    }
    let probe: Probe = serde_json::from_value(probe).unwrap();
    Runner::new(&[probe]).unwrap()
}

/// One look of a probe without targets.
async fn read(probe: Value) -> Reading {
    again(&runner(probe)).await
}

async fn again(runner: &Runner) -> Reading {
    runner.once().await.remove(0).readings.remove("").unwrap()
}

/// One look that must fail; what it says.
async fn fails(probe: Value) -> String {
    let reading = read(probe).await;
    assert!(!reading.ok, "{reading:?}");
    assert_eq!(reading.value, None);
    reading.error.unwrap()
}
