//! `operator observe`: the observer, which stands in a subject's networks and runs its probes.
//!
//! Its output is its only voice: one line of JSON a round. It writes nothing else once it runs, because whoever reads its
//! output may stop reading, and it must not wait for anybody.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use crds::probe::Probe;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::probe::output::Output;
use crate::probe::{Mistake, Runner, line};

/// What was read is still written for this long after the end.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Runs the probes of a Subject and prints one line of JSON a round.
///
/// Each probe runs at its own interval, its first round at once. A line is
/// {"probe": NAME, "at": TIME, "readings": {TARGET: {"ok", "error", "ms", "status", "value"}}}, with "" as the target of a
/// probe that has none, and at most 64 KiB long. A target that cannot be read is a reading that says why. Probes of the
/// kind `docker` are left to the controller. It ends on SIGTERM.
#[derive(Args, Clone, Debug)]
pub struct ObserveArgs {
    /// The probes: a JSON list, as they stand in a Subject under `spec.probes`
    #[arg(long, env = "OPERATOR_PROBES", hide_env_values = true, value_name = "JSON")]
    pub probes: String,
    /// Run each probe once, and end
    #[arg(long)]
    pub once: bool,
}

/// Runs it to its end. An error is a sentence.
pub async fn run(args: ObserveArgs) -> Result<(), String> {
    let probes = probes(&args.probes)?;
    let runner = Runner::new(&probes).map_err(|mistakes| several(&mistakes))?;
    drop((probes, args.probes));
    if args.once { once(&runner).await } else { observe(&runner).await }
}

async fn once(runner: &Runner) -> Result<(), String> {
    let mut out = io::stdout().lock();
    for round in runner.once().await {
        out.write_all(line(&round).as_bytes()).map_err(|error| format!("standard output: {error}"))?;
    }
    out.flush().map_err(|error| format!("standard output: {error}"))
}

async fn observe(runner: &Runner) -> Result<(), String> {
    if runner.is_empty() {
        return Err("there is no probe to run".into());
    }
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return Err("signals cannot be received".into()) };
    let output = Output::start(io::stdout()).map_err(|error| format!("standard output: {error}"))?;
    let output = Arc::new(output);
    let end = CancellationToken::new();
    let result = {
        let running = runner.run(output.clone(), end.clone());
        let ended = async {
            let result = tokio::select! {
                _ = terminate.recv() => Ok(()),
                _ = interrupt.recv() => Ok(()),
                reason = output.broken() => Err(format!("standard output cannot be written any more: {reason}")),
            };
            end.cancel();
            result
        };
        tokio::join!(running, ended).1
    };
    let written = async {
        while !output.is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    // Whoever does not read gets no more.
    let _ = timeout(LAST_LINES, written).await;
    result
}

/// Reads the list of probes; what is wrong is named by its place.
fn probes(text: &str) -> Result<Vec<Probe>, String> {
    let list: Value = serde_json::from_str(text).map_err(|error| format!("OPERATOR_PROBES is not JSON: {error}"))?;
    let Value::Array(list) = list else { return Err("OPERATOR_PROBES is not a list of probes".into()) };
    let read = list.into_iter().enumerate().map(|(at, probe)| {
        serde_json::from_value(probe).map_err(|error| format!("OPERATOR_PROBES: probes[{at}]: {error}"))
    });
    read.collect()
}

/// The first mistake, and how many more there are.
fn several(mistakes: &[Mistake]) -> String {
    let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
    match mistakes.len() {
        0 | 1 => format!("OPERATOR_PROBES: {first}"),
        more => format!("OPERATOR_PROBES: {first} (and {} more)", more - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_is_refused_by_its_place() {
        let said = |text: &str| probes(text).unwrap_err();
        assert!(said("[").starts_with("OPERATOR_PROBES is not JSON: EOF"), "{}", said("["));
        assert_eq!(said("{}"), "OPERATOR_PROBES is not a list of probes");
        let missing = said(r#"[{"name":"a","tcp":{"address":"a:1"}},{"name":"b","tcp":{}}]"#);
        assert_eq!(missing, "OPERATOR_PROBES: probes[1]: missing field `address`");
        let interval = said(r#"[{"name":"a","interval":"often","tcp":{"address":"a:1"}}]"#);
        assert!(interval.starts_with("OPERATOR_PROBES: probes[0]: "), "{interval}");
    }

    #[test]
    fn the_first_mistake_is_said_and_the_others_counted() {
        let mistake = |path: &str| Mistake { path: path.into(), message: "no".into() };
        assert_eq!(several(&[mistake("probes[0].x")]), "OPERATOR_PROBES: probes[0].x: no");
        assert_eq!(several(&[mistake("a"), mistake("b"), mistake("c")]), "OPERATOR_PROBES: a: no (and 2 more)");
    }
}
