//! `operator gateway`: the agent's way to its subject's containers.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::gateway::limits::Limits;
use crate::gateway::policy::Policy;
use crate::gateway::server::{Config, serve};
use crate::supervisor;

/// Lets the agent's Docker client work on its subject. Started by the controller, not by people.
#[derive(Args, Clone, Debug)]
pub struct GatewayArgs {
    /// Connect standard input and output with the control socket instead
    #[arg(long)]
    pub attach: bool,
    /// The session
    #[arg(long, env = "OPERATOR_SESSION", required_unless_present = "attach")]
    pub session: Option<String>,
    /// The epoch of the controller that starts it; one with a lower epoch is refused
    #[arg(long, env = "OPERATOR_EPOCH", default_value_t = 0)]
    pub epoch: u64,
    /// What the session may do, as JSON
    #[arg(long, required_unless_present = "attach", value_parser = policy)]
    pub policy: Option<Policy>,
    /// The socket for the agent's Docker client
    #[arg(long, default_value = "/run/gateway/docker.sock")]
    pub socket: PathBuf,
    /// The socket for the controller
    #[arg(long, default_value = "/run/operator/gateway.sock")]
    pub control: PathBuf,
    /// The engine's socket
    #[arg(long, default_value = "/var/run/docker.sock")]
    pub engine: PathBuf,
    /// After this many seconds the gateway ends
    #[arg(long, default_value_t = 2 * 60 * 60)]
    pub wall_limit: u64,
    /// How long a change is held for its row, in milliseconds
    #[arg(long, default_value_t = 30_000, hide = true)]
    pub held_ms: u64,
}

fn policy(text: &str) -> Result<Policy, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Runs it to its end.
pub async fn run(args: GatewayArgs) -> ExitCode {
    if args.attach {
        // On the calling thread, for a container that is out of processes has none to give.
        return match supervisor::attach(&args.control) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("operator gateway --attach: {}: {error}", args.control.display());
                ExitCode::FAILURE
            }
        };
    }
    let config = Config {
        session: args.session.unwrap_or_default(),
        epoch: args.epoch,
        policy: args.policy.unwrap_or_default(),
        socket: args.socket,
        control: args.control,
        engine: args.engine,
        wall_limit: Duration::from_secs(args.wall_limit),
        limits: Limits { held: Duration::from_millis(args.held_ms), ..Limits::default() },
    };
    match serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operator gateway: {}", crate::error::chain(&error));
            ExitCode::FAILURE
        }
    }
}
