//! Logs: to standard error, as text or as JSON lines.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt};

/// Libraries that write down what passes through them when they are asked for more than this: bodies of the engine's
/// answers have the environment of a subject's containers, and with it its secrets.
const TALKATIVE: [&str; 5] = ["bollard", "hyper", "h2", "reqwest", "kube_client"];

/// Starts logging as `RUST_LOG` and `OPERATOR_LOG_FORMAT` (`text` or `json`) say. A command whose
/// output is read by people logs warnings only.
pub fn start(quiet: bool) {
    let default = if quiet { "warn" } else { "info,kube_runtime=warn,hyper=warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let json = std::env::var("OPERATOR_LOG_FORMAT").is_ok_and(|format| format == "json");
    let lines = if json { lines.json().boxed() } else { lines.with_ansi(false).boxed() };
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(filter).with(filter_fn(may_be_written)).with(lines).try_init();
}

/// Whether `RUST_LOG` decides on it; else it is not written whatever that says.
fn may_be_written(line: &Metadata<'_>) -> bool {
    let library = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || !TALKATIVE.contains(&library)
}
