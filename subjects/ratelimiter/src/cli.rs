//! Flags and their environment variables.

use std::io;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A small sliding-window rate limiter on Redis.
#[derive(Debug, Parser)]
#[command(name = "ratelimiter", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The two programs in this binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs one node of the rate limiter
    Serve(ServeArgs),
    /// Sends a steady load of checks and says every second how they went
    Load(LoadArgs),
}

/// What a node does when Redis cannot count a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnRedisFailure {
    /// Answer 503 with the reason: nobody passes uncounted
    Deny,
    /// Answer 200 with "degraded": the service behind stays reachable, without a limit
    Allow,
}

/// Settings of a node.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Name of this node, in metrics and answers
    #[arg(long, env = "RATELIMITER_NODE", default_value = "node")]
    pub node: String,
    /// Address to listen on
    #[arg(long, env = "RATELIMITER_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: String,
    /// Where Redis is
    #[arg(long, env = "RATELIMITER_REDIS_URL", default_value = "redis://127.0.0.1:6379/")]
    pub redis_url: String,
    /// How long a call to Redis may take
    #[arg(
        long,
        env = "RATELIMITER_REDIS_TIMEOUT_MS",
        default_value_t = 500,
        value_parser = clap::value_parser!(u64).range(10..=10_000)
    )]
    pub redis_timeout_ms: u64,
    /// Units a window may hold, for keys without a limit of their own
    #[arg(long, env = "RATELIMITER_DEFAULT_LIMIT", default_value_t = 100)]
    pub default_limit: u64,
    /// Length of the window, for keys without a limit of their own
    #[arg(long, env = "RATELIMITER_DEFAULT_WINDOW_MS", default_value_t = 10_000)]
    pub default_window_ms: u64,
    /// What to do with a check when Redis fails
    #[arg(long, env = "RATELIMITER_ON_REDIS_FAILURE", value_enum, default_value = "deny")]
    pub on_redis_failure: OnRedisFailure,
    /// How many keys are compared with Redis every second and shown in the metrics
    #[arg(long, env = "RATELIMITER_AUDITED_KEYS", default_value_t = 100)]
    pub audited_keys: usize,
}

/// Settings of the load generator.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Nodes to ask, for each request one of them at random
    #[arg(long, env = "LOAD_TARGETS", value_delimiter = ',', default_value = "http://127.0.0.1:8080")]
    pub targets: Vec<String>,
    /// Keys to ask for, in turn; a key that is named twice is asked for twice as often
    #[arg(long, env = "LOAD_KEYS", value_delimiter = ',', default_value = "user-1,user-2,user-3,user-4")]
    pub keys: Vec<String>,
    /// Requests a second; none is repeated when it fails
    #[arg(long, env = "LOAD_RATE", default_value_t = 60.0)]
    pub rate: f64,
    /// How long a request may take
    #[arg(long, env = "LOAD_TIMEOUT_MS", default_value_t = 2_000)]
    pub timeout_ms: u64,
    /// Most requests at a time; one more counts as the error "overrun"
    #[arg(long, env = "LOAD_MAX_IN_FLIGHT", default_value_t = 512)]
    pub max_in_flight: usize,
    /// Address for /healthz and /metrics
    #[arg(long, env = "LOAD_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: String,
    /// Stop after so many seconds and print a line of totals
    #[arg(long, env = "LOAD_DURATION_S")]
    pub duration_s: Option<u64>,
}

/// Why a program did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting makes no sense.
    #[error("{0}: {1}")]
    Setting(&'static str, String),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, io::Error),
    /// The HTTP server ended.
    #[error("the HTTP server ended: {0}")]
    Serve(io::Error),
    /// The runtime could not be made.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_hang_together_and_each_has_a_variable() {
        let command = Cli::command();
        command.clone().debug_assert();
        for program in command.get_subcommands() {
            for argument in program.get_arguments().filter(|a| a.get_id() != "help") {
                assert!(argument.get_env().is_some(), "{}", argument.get_id());
            }
        }
    }
}
