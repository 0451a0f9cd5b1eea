//! `offline-model`: serves scripts as a model, or checks them.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use offline_model::{Options, ScriptSet, Server};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A server of the Messages API that plays scripts of rules instead of thinking.
///
/// The model `offline-NAME` plays the script NAME. `offline-summary` is built in and answers with
/// the first line of what it is shown. Any non-empty key will do.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check scripts and say what is wrong with them.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// Where to listen; with port 0 the port taken is printed.
    #[arg(long, env = "OFFLINE_MODEL_LISTEN", default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A directory of scripts: NAME.yaml plays for the model offline-NAME.
    #[arg(long, env = "OFFLINE_MODEL_SCRIPTS", value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// One more script under a name; may be given several times.
    #[arg(long = "script", value_name = "NAME=FILE")]
    script: Vec<String>,
    /// How long each answer takes; goes before a script's own default, but not before a rule's.
    #[arg(long, env = "OFFLINE_MODEL_DELAY_MS", value_name = "N")]
    delay_ms: Option<u64>,
    /// How long each summary takes.
    #[arg(long, env = "OFFLINE_MODEL_SUMMARY_DELAY_MS", value_name = "N", default_value_t = 0)]
    summary_delay_ms: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let outcome = match cli.command {
        Some(Command::Check { files }) => check(&files),
        None => serve(cli.serve).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("offline-model: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Checks every file, and only then says that something was wrong.
fn check(files: &[PathBuf]) -> Result<(), String> {
    let mut wrong = 0;
    for file in files {
        let checked = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))
            .and_then(|text| ScriptSet::check(&file.display().to_string(), &text).map_err(|e| e.to_string()));
        match checked {
            Ok(()) => println!("{}: good", file.display()),
            Err(why) => {
                wrong += 1;
                eprintln!("{why}");
            }
        }
    }
    match wrong {
        0 => Ok(()),
        1 => Err("one script is wrong".to_owned()),
        n => Err(format!("{n} scripts are wrong")),
    }
}

fn load(args: &Serve) -> Result<ScriptSet, String> {
    let mut set = match &args.scripts {
        Some(dir) => ScriptSet::load_dir(dir).map_err(|error| error.to_string())?,
        None if args.script.is_empty() => {
            return Err(
                "no script to play; give --scripts DIR (or OFFLINE_MODEL_SCRIPTS) or --script NAME=FILE".to_owned()
            );
        }
        None => ScriptSet::new(),
    };
    for pair in &args.script {
        let (name, file) = pair.split_once('=').ok_or_else(|| format!("--script {pair}: write it as NAME=FILE"))?;
        set = set.with_file(name, file.as_ref()).map_err(|error| error.to_string())?;
    }
    Ok(set)
}

async fn serve(args: Serve) -> Result<(), String> {
    let scripts = load(&args)?;
    let models = scripts.models().join(", ");
    let options = Options {
        listen: args.listen,
        delay_ms: args.delay_ms,
        summary_delay_ms: args.summary_delay_ms,
        // Nobody can ask this process for them.
        recorded_requests: 0,
        ..Options::default()
    };
    // Before the first word is printed: who reads it may send the signal at once.
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let server = Server::start(scripts, options).await.map_err(|error| error.to_string())?;
    println!("listening on {}", server.url());
    println!("models: {models}");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.shutdown().await;
    Ok(())
}
