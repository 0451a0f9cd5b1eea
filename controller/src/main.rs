//! `operator`: one binary, several seats.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use controller::cli;
use controller::error::chain;

#[derive(Parser)]
#[command(name = "operator", version, about = "An autonomous SRE as a Kubernetes controller", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the controller.
    Run(Box<cli::run::RunArgs>),
    /// Make or upgrade the audit store's schema and roles.
    Migrate(cli::migrate::MigrateArgs),
    /// The first process of an agent's container; started by the controller.
    Supervise(cli::supervise::SuperviseArgs),
    /// Set the walls of a network namespace; started by the controller.
    Wall(cli::wall::WallArgs),
    /// Do one job of a demo's chapter; started by the controller.
    #[command(hide = true)]
    Fault(cli::fault::FaultArgs),
    /// The agent's way to its subject's containers; started by the controller.
    Gateway(cli::gateway::GatewayArgs),
    // Its help is that of its arguments: it says what is printed.
    Observe(cli::observe::ObserveArgs),
    // As above.
    Check(cli::check::CheckArgs),
    /// Stop everything: running commands are killed, and nothing begins until `resume`.
    Halt(cli::halt::HaltArgs),
    /// Go on after a halt.
    Resume(cli::halt::ResumeArgs),
    /// Read the audit trail.
    Audit(cli::audit::AuditArgs),
    /// Print the definitions of the resources, or compare them with files.
    Crd(cli::crd::CrdArgs),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    controller::logging::start(matches!(
        command,
        Command::Audit(_) | Command::Check(_) | Command::Crd(_) | Command::Halt(_) | Command::Resume(_)
    ));
    // A command's privileges belong to a thread, and the runtime makes more of them.
    if let Command::Supervise(args) = &command
        && let Err(message) = cli::supervise::prepare(args)
    {
        return fail(&message);
    }
    // One provider for every TLS client of the process; an error would mean that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One of a gateway stands beside every session and an observer beside every subject: they are to be small, and wait
    // more than they work.
    let mut runtime = match command {
        Command::Gateway(_) | Command::Observe(_) | Command::Fault(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    // A command's blocking read of its input must not hold up the end, and a name server that hangs no observer's.
    let patience = Duration::from_secs(u64::from(!matches!(command, Command::Observe(_))));
    let result = match command {
        Command::Run(args) => runtime.block_on(controller::run::run(*args)),
        Command::Migrate(args) => runtime.block_on(cli::migrate::run(args)).map_err(|error| chain(&error)),
        Command::Supervise(args) => return runtime.block_on(cli::supervise::run(args)),
        Command::Wall(args) => cli::wall::run(args),
        Command::Fault(args) => runtime.block_on(cli::fault::run(args)),
        Command::Gateway(args) => return runtime.block_on(cli::gateway::run(args)),
        Command::Observe(args) => runtime.block_on(cli::observe::run(args)),
        Command::Check(args) => return runtime.block_on(cli::check::run(args)),
        Command::Audit(args) => runtime.block_on(cli::audit::run(args)).map_err(|error| chain(&error)),
        Command::Halt(args) => runtime.block_on(cli::halt::halt(args)),
        Command::Resume(args) => runtime.block_on(cli::halt::resume(args)),
        Command::Crd(args) => cli::crd::run(&args),
    };
    runtime.shutdown_timeout(patience);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("operator: {message}");
    ExitCode::FAILURE
}
