//! Logs: to standard error, as text or as JSON lines.

use tracing_subscriber::EnvFilter;

/// Starts logging as `RUST_LOG` and `OPERATOR_LOG_FORMAT` (`text` or `json`) say. A command whose
/// output is read by people logs warnings only.
pub fn start(quiet: bool) {
    let default = if quiet { "warn" } else { "info,kube_runtime=warn,hyper=warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let json = std::env::var("OPERATOR_LOG_FORMAT").is_ok_and(|format| format == "json");
    // A second start in one process (tests) keeps the first.
    let _ = if json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
}
