//! Makes the process of a command: who it is, where it stands, what it sees.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use tokio::process::{Child, Command};

use super::Config;
use super::kill::{COMMAND, SESSION};
use super::protocol::MAX_COMMAND;

/// The kernel takes no single argument of more than 128 KiB; a longer command goes through a file.
const MAX_ARGUMENT: usize = 100 << 10;

/// What the engine's out-of-memory killer should take first: a command, never the supervisor.
const FIRST_TO_GO: &str = "1000";

/// Starts the shell, or says in a sentence why it could not be started.
pub(super) fn spawn(config: &Config, seq: i64, text: &str) -> Result<Child, String> {
    if text.contains('\0') {
        return Err("the command contains a NUL byte, which no program can be given".into());
    }
    if text.len() > MAX_COMMAND {
        return Err(format!("the command is {} bytes long; the limit is {MAX_COMMAND}", text.len()));
    }
    let arguments = if text.len() > MAX_ARGUMENT {
        vec![
            script(config, seq, text)
                .map_err(|error| format!("the long command could not be written down: {error}"))?,
        ]
    } else {
        vec!["-c".into(), text.into()]
    };
    let mut missing = String::new();
    for shell in ["/bin/bash", "/bin/sh"] {
        match prepare(config, seq, shell, &arguments).and_then(|mut command| as_first_to_go(|| command.spawn())) {
            Ok(child) => return Ok(child),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing = format!("{shell}: {error}"),
            Err(error) => return Err(format!("{shell} could not be started: {error}")),
        }
    }
    Err(format!("there is no shell: {missing}"))
}

fn prepare(config: &Config, seq: i64, shell: &str, arguments: &[String]) -> io::Result<Command> {
    let workdir = if config.workdir.is_dir() { config.workdir.clone() } else { PathBuf::from("/") };
    let mut command = Command::new(shell);
    command
        .args(arguments)
        .env_clear()
        .envs(environment(config))
        .env(COMMAND, seq.to_string())
        .env(SESSION, &config.session);
    command.current_dir(workdir).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if rustix::process::geteuid().is_root() {
        // The standard library empties the list of further groups when it changes the user.
        command.uid(config.uid).gid(config.gid);
    } else if config.uid != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "only root can start commands as another user"));
    }
    Ok(command)
}

/// A small world in which nothing waits for a person: no pager, no editor, no prompt, no colours.
fn environment(config: &Config) -> Vec<(&'static str, String)> {
    let fixed = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("LANG", "C.UTF-8"),
        ("TERM", "dumb"),
        ("PAGER", "cat"),
        ("GIT_PAGER", "cat"),
        ("SYSTEMD_PAGER", ""),
        ("PSQL_PAGER", "cat"),
        ("EDITOR", "false"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("NO_COLOR", "1"),
        ("PYTHONUNBUFFERED", "1"),
        ("SHELL", "/bin/bash"),
    ];
    let mut all: Vec<_> = fixed.map(|(name, value)| (name, value.to_owned())).into();
    all.push(("HOME", config.home.to_string_lossy().into_owned()));
    all.extend(["USER", "LOGNAME"].map(|name| (name, config.user.clone())));
    all.extend(config.docker_host.iter().map(|host| ("DOCKER_HOST", host.clone())));
    all.extend(config.compose_project.iter().map(|project| ("COMPOSE_PROJECT_NAME", project.clone())));
    let file = config.compose_file.as_ref().map(|_| compose_file(config).to_string_lossy().into_owned());
    all.extend(file.map(|file| ("COMPOSE_FILE", file)));
    all
}

fn compose_file(config: &Config) -> PathBuf {
    config.scripts_dir().join("compose.yaml")
}

/// Writes the compose file, if there is one, where commands can read and not write it.
pub(super) fn write_compose_file(config: &Config) -> io::Result<()> {
    let Some(text) = &config.compose_file else { return Ok(()) };
    readable(&compose_file(config), text)
}

/// Writes a long command to a file that commands can read and not write.
fn script(config: &Config, seq: i64, text: &str) -> io::Result<String> {
    let path = config.scripts_dir().join(seq.to_string());
    readable(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

fn readable(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())
}

/// Takes away the file of a long command.
pub(super) fn forget_script(config: &Config, seq: i64) {
    let _ = fs::remove_file(config.scripts_dir().join(seq.to_string()));
}

/// A child inherits the mark, and nothing can be put between its making and its first step without
/// unsafe code: so the supervisor wears the mark itself for that moment.
fn as_first_to_go<T>(spawn: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    const FILE: &str = "/proc/self/oom_score_adj";
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = fs::read_to_string(FILE);
    if before.is_ok() {
        let _ = fs::write(FILE, FIRST_TO_GO);
    }
    let result = spawn();
    if let Ok(before) = before {
        let _ = fs::write(FILE, before.trim());
    }
    result
}
