//! `operator supervise`: runs commands inside the agent's container.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::error::chain;
use crate::supervisor::{self, Config, protocol::MAX_KEPT};

/// Runs commands inside the agent's container. Started by the controller, not by people.
#[derive(Args, Clone, Debug)]
pub struct SuperviseArgs {
    /// Connect standard input and output with the supervisor's socket instead
    #[arg(long)]
    pub attach: bool,
    /// Kill what this command left behind instead, as far as this user may
    #[arg(long, value_name = "SEQ", hide = true)]
    pub sweep: Option<i64>,
    /// The session
    #[arg(long, env = "OPERATOR_SESSION", required_unless_present = "attach")]
    pub session: Option<String>,
    /// The epoch of the controller that starts it; one with a lower epoch is refused
    #[arg(long, env = "OPERATOR_EPOCH", default_value_t = 0)]
    pub epoch: u64,
    /// The socket
    #[arg(long, default_value = supervisor::SOCKET)]
    pub socket: PathBuf,
    /// The directory for outcomes and long output
    #[arg(long, default_value = supervisor::SPOOL)]
    pub spool: PathBuf,
    /// Where commands start
    #[arg(long, default_value = "/work")]
    pub workdir: PathBuf,
    /// The user that commands run as
    #[arg(long, default_value_t = 1000)]
    pub uid: u32,
    /// The group that commands run as
    #[arg(long, default_value_t = 1000)]
    pub gid: u32,
    /// That user's name
    #[arg(long, default_value = "agent")]
    pub user: String,
    /// That user's home
    #[arg(long, default_value = "/home/agent")]
    pub home: PathBuf,
    /// Where commands find the engine (`DOCKER_HOST`)
    #[arg(long, value_name = "URL")]
    pub docker_host: Option<String>,
    /// The project that `docker compose` means (`COMPOSE_PROJECT_NAME`)
    #[arg(long, value_name = "NAME")]
    pub compose_project: Option<String>,
    /// The text of that project's compose file; commands find it as a file (`COMPOSE_FILE`)
    #[arg(long, value_name = "TEXT")]
    pub compose_file: Option<String>,
    /// Give up all that commands must not have; only as the first process of a container
    #[arg(long, conflicts_with_all = ["attach", "sweep"])]
    pub confine: bool,
    /// How much of a stream's beginning a result keeps, in bytes
    #[arg(long, default_value_t = 512 << 10, value_parser = kept)]
    pub head_bytes: usize,
    /// How much of a stream's end a result keeps, in bytes
    #[arg(long, default_value_t = 512 << 10, value_parser = kept)]
    pub tail_bytes: usize,
    /// How much of a stream's full text is kept on disk, in bytes
    #[arg(long, default_value_t = 64 << 20)]
    pub spool_bytes: u64,
    /// How much full text is kept on disk in all, in bytes
    #[arg(long, default_value_t = 512 << 20)]
    pub spool_total_bytes: u64,
    /// The directory in which commands find what earlier ones printed; `output` beside the socket if absent
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// How much of a stream it keeps, in bytes
    #[arg(long, default_value_t = 8 << 20)]
    pub output_bytes: u64,
    /// How much it keeps in all, in bytes
    #[arg(long, default_value_t = 24 << 20)]
    pub output_total_bytes: u64,
    /// How long a command that ran out of time gets to end by itself, in milliseconds
    #[arg(long, default_value_t = 2000)]
    pub grace_ms: u64,
    /// After this many seconds the supervisor kills everything and ends
    #[arg(long, default_value_t = 2 * 60 * 60)]
    pub wall_limit: u64,
}

fn kept(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if bytes <= MAX_KEPT => Ok(bytes),
        Ok(_) => Err(format!("at most {MAX_KEPT}, or a result does not fit in a frame")),
        Err(error) => Err(format!("{error}")),
    }
}

/// What must be done while this process has one thread. An error is a sentence.
pub fn prepare(args: &SuperviseArgs) -> Result<(), String> {
    if args.confine { supervisor::confine().map_err(|error| chain(&error)) } else { Ok(()) }
}

/// Runs it to its end.
pub async fn run(args: SuperviseArgs) -> ExitCode {
    if args.attach {
        return supervisor::attach("supervise", &args.socket);
    }
    let session = args.session.unwrap_or_default();
    if let Some(seq) = args.sweep {
        supervisor::sweep(&session, seq);
        return ExitCode::SUCCESS;
    }
    let output = args.output.unwrap_or_else(|| args.socket.with_file_name("output"));
    let config = Config {
        session,
        epoch: args.epoch,
        socket: args.socket,
        spool: args.spool,
        workdir: args.workdir,
        uid: args.uid,
        gid: args.gid,
        user: args.user,
        home: args.home,
        docker_host: args.docker_host,
        compose_project: args.compose_project,
        compose_file: args.compose_file,
        head_bytes: args.head_bytes,
        tail_bytes: args.tail_bytes,
        spool_bytes: args.spool_bytes,
        spool_total_bytes: args.spool_total_bytes,
        output,
        output_bytes: args.output_bytes,
        output_total_bytes: args.output_total_bytes,
        grace: Duration::from_millis(args.grace_ms),
        wall_limit: Duration::from_secs(args.wall_limit),
    };
    match supervisor::serve(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            eprintln!("operator supervise: {error}{source}");
            ExitCode::FAILURE
        }
    }
}
