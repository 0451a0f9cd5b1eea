//! `operator`, the binary.

use std::process::ExitCode;

use clap::Parser;
use controller::cli::supervise::{SuperviseArgs, run};

#[derive(Parser)]
enum Cli {
    /// Runs commands inside the agent's container
    Supervise(SuperviseArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli::Supervise(args) = Cli::parse();
    run(args).await
}
