//! The seat of this binary inside the agent's container: it runs the commands.
//!
//! The controller comes through an exec stream (`operator supervise --attach`) to a socket that only
//! root can open. When the stream breaks, commands go on, and the next stream finds them: a number
//! is started once, ever, and what came of it can be asked for. So a restart of the controller
//! neither loses an outcome nor repeats a command.
//!
//! * [`protocol`]: what is said; [`frames`]: how;
//! * `connection`: one stream; [`socket`]: where it comes in; `attach`: the bridge to it;
//! * `registry`: the table of commands; `spool`: what of it stands on disk; `output`: what commands
//!   themselves can read of it;
//! * `process`: one command, with `spawn`, `kill` and `capture`;
//! * `privileges`: what is given up before all that.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

mod attach;
mod capture;
mod connection;
pub mod frames;
mod kill;
mod output;
mod privileges;
mod process;
pub mod protocol;
mod registry;
pub mod socket;
mod spawn;
mod spool;

pub use attach::attach;
pub use kill::sweep;
pub use privileges::{ConfineError, confine};

/// Where the supervisor's socket stands in the container.
pub const SOCKET: &str = "/run/operator/supervisor.sock";

/// Where outcomes and long output stand in the container.
pub const SPOOL: &str = "/var/lib/operator/spool";

/// Where commands find what earlier ones printed.
pub const OUTPUT: &str = "/run/operator/output";

/// How a supervisor is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The session that it serves; a hello for another one is refused.
    pub session: String,
    /// The epoch of the controller that made it: from the first moment nobody with a lower one is heard.
    pub epoch: u64,
    /// Its socket. The directory is made, and open to nobody but for files whose name is known.
    pub socket: PathBuf,
    /// The directory for outcomes and long output; made, and root's alone.
    pub spool: PathBuf,
    /// Where commands start, if it is there.
    pub workdir: PathBuf,
    /// The user that commands run as.
    pub uid: u32,
    /// The group that commands run as.
    pub gid: u32,
    /// That user's name.
    pub user: String,
    /// That user's home.
    pub home: PathBuf,
    /// Where commands find the door to the subject's engine, if there is one.
    pub docker_host: Option<String>,
    /// The compose project that commands mean.
    pub compose_project: Option<String>,
    /// The text of its file.
    pub compose_file: Option<String>,
    /// How much of a stream's beginning a result keeps.
    pub head_bytes: usize,
    /// How much of a stream's end a result keeps.
    pub tail_bytes: usize,
    /// How much of a stream's full text is kept on disk.
    pub spool_bytes: u64,
    /// How much full text is kept on disk in all.
    pub spool_total_bytes: u64,
    /// The directory in which commands find what earlier ones printed.
    pub output: PathBuf,
    /// How much of a stream it keeps.
    pub output_bytes: u64,
    /// How much it keeps in all.
    pub output_total_bytes: u64,
    /// How long a command that ran out of time gets between the request and the order to end.
    pub grace: Duration,
    /// After this long the supervisor ends by itself.
    pub wall_limit: Duration,
}

impl Config {
    /// Where commands stand that are too long for an argument.
    fn scripts_dir(&self) -> PathBuf {
        self.socket.parent().unwrap_or(Path::new("/")).join("commands")
    }
}

/// Why a supervisor cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The spool cannot be used.
    #[error("the spool {} cannot be used", path.display())]
    Spool {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory for output cannot be used.
    #[error("the directory for output {} cannot be used", path.display())]
    Output {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("the socket {} cannot be made", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The signals cannot be listened to.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
}

/// Serves until it is told to end (a frame, SIGTERM or SIGINT) or the wall limit passed; then every
/// command is killed.
pub async fn serve(config: Config) -> Result<(), SupervisorError> {
    // Nobody's terminal may be a command's. Where this process leads a group already it has none.
    let _ = rustix::process::setsid();
    let mut terminate = signal(SignalKind::terminate()).map_err(SupervisorError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(SupervisorError::Signals)?;
    let wall = tokio::time::sleep(config.wall_limit);
    let listener = listen(&config).map_err(|source| SupervisorError::Socket { path: config.socket.clone(), source })?;
    spawn::write_compose_file(&config)
        .map_err(|source| SupervisorError::Spool { path: config.scripts_dir(), source })?;
    let socket = config.socket.clone();
    let registry = registry::Registry::open(config)?;
    tracing::info!(session = registry.config.session, socket = %socket.display(), "supervisor serves");

    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(connection::serve(stream, registry.clone()));
                }
                // Out of descriptors or memory; commands that end give some back.
                Err(error) => {
                    tracing::warn!(%error, "a stream could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    let reason = tokio::select! {
        () = accept => "the socket closed",
        () = registry.shutdown.cancelled() => "ordered by the controller",
        () = wall => "the wall limit passed",
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(reason, "supervisor ends");
    registry.close().await;
    let _ = fs::remove_file(socket);
    Ok(())
}

fn listen(config: &Config) -> io::Result<UnixListener> {
    let scripts = config.scripts_dir();
    for dir in config.socket.parent().into_iter().chain([scripts.as_path()]) {
        DirBuilder::new().recursive(true).mode(0o711).create(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o711))?;
    }
    socket::listen(&config.socket, 0o600)
}
