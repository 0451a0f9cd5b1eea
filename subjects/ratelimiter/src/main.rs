//! The binary: reads the flags and runs one of the two programs.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use ratelimiter::cli::{Cli, Command, StartError};
use ratelimiter::{load, serve, shutdown};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(StartError::Runtime)?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::serve(args, shutdown::signalled()).await,
            Command::Load(args) => load::load(args, shutdown::signalled()).await,
        }
    });
    // A name lookup that hangs must not keep a process that was asked to stop.
    runtime.shutdown_background();
    result
}
