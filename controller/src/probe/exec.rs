//! A command in the observer's container.
//!
//! It ends when its main process ends, or when its time is over; whatever it left behind is killed then, so that a probe
//! that runs every second leaves no pile. Its output is bounded, and it sees nothing of the observer's environment.

use std::fs;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crds::probe::{ExecProbe, ReadAs};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::answer::{Answer, Failure, Read, Stage, plain};
use super::mistake::{Filling, Mistake};
use super::read_as;
use super::room::Collected;
use super::run::World;
use crate::printable;

/// The mark of a probe's processes, in their environment: one that left its group is found by it.
const MARK: &str = "OPERATOR_PROBE";
/// How much of what a command says about its failure is kept.
const COMPLAINT: usize = 4 << 10;
/// Pipes that stay open for this long after the main process ended are held by somebody who left the group.
const DRAIN: Duration = Duration::from_millis(200);
/// Looks for such processes, at most.
const SWEEPS: usize = 5;

/// A command that is ready to be run.
#[derive(Debug)]
pub(super) struct Exec {
    command: Vec<String>,
    read_as: ReadAs,
}

pub(super) fn prepare(probe: &ExecProbe, fill: &Filling) -> Result<Exec, Mistake> {
    let mut command = Vec::new();
    for (at, word) in probe.command.iter().enumerate() {
        let field = format!("command[{at}]");
        let word = fill.text(&field, word)?;
        if word.contains('\0') {
            return Err(fill.wrong(&field, "it contains a NUL byte, which no program can be given"));
        }
        command.push(word);
    }
    if command.first().is_none_or(String::is_empty) {
        return Err(fill.wrong("command", "the program is missing"));
    }
    Ok(Exec { command, read_as: probe.read_as })
}

impl Exec {
    pub(super) async fn read(&self, world: &World, stage: &Stage) -> Read {
        stage.set("starting the command");
        let mut running = Running::start(&self.command)?;
        stage.set("waiting for the command's end");
        let mut out = world.room.collect();
        let (status, complaint) = running.run(&mut out).await?;
        stage.set("reading the answer");
        let value = read_as::read(out.bytes(), self.read_as);
        let Some(code) = status.code() else {
            return Err(Failure::new(format!("the command was ended by a signal ({status})")));
        };
        let code = i64::from(code);
        match value {
            _ if code != 0 => {
                let error = format!("the command ended with {code}{}", said(&complaint));
                Err(Failure { error, status: Some(code), value: value.ok() })
            }
            Ok(value) => {
                let place = out.into_place();
                Ok(Answer { status: Some(code), value: Some(value), error: None, place })
            }
            Err(error) => Err(Failure::new(error).with_status(code)),
        }
    }
}

/// The last line of what a command says about its failure.
fn said(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    match text.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!(": {}", printable::short_line(line, 200)),
        None => String::new(),
    }
}

/// A command while it runs. Dropped, it is killed with all that belongs to it.
struct Running {
    child: Child,
    group: Option<Pid>,
    mark: String,
}

impl Running {
    fn start(command: &[String]) -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (program, arguments) = command.split_first().ok_or("the program is missing")?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
        command.envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("TERM", "dumb"),
            ("NO_COLOR", "1"),
            (MARK, mark.as_str()),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("{program} could not be started: {}", plain(&error)))?;
        let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        Ok(Self { child, group, mark })
    }

    /// Reads the output until the main process ends. An error is a sentence.
    async fn run(&mut self, out: &mut Collected<'_>) -> Result<(ExitStatus, Vec<u8>), String> {
        let (Some(mut stdout), Some(mut stderr)) = (self.child.stdout.take(), self.child.stderr.take()) else {
            return Err("the command has no output".into());
        };
        let mut complaint = Vec::new();
        let status = {
            let mut read = std::pin::pin!(async {
                tokio::try_join!(collect(&mut stdout, out), complain(&mut stderr, &mut complaint)).map(|_| ())
            });
            let ended = tokio::select! {
                ended = self.child.wait() => Some(ended),
                all = &mut read => { all?; None }
            };
            if let Some(ended) = ended {
                self.kill_group();
                // What is in the pipes is read; who else holds them open is killed, and not waited for.
                match timeout(DRAIN, read).await {
                    Ok(all) => all?,
                    Err(_) => self.sweep(),
                }
                ended
            } else {
                // It closed its output and goes on.
                self.child.wait().await
            }
        };
        self.kill_group();
        let status = status.map_err(|error| format!("the command's end could not be seen: {}", plain(&error)))?;
        // The main process is gone: nothing is left to be killed.
        self.group = None;
        Ok((status, complaint))
    }

    fn kill_group(&self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Kills, on a thread of its own, what left the group.
    fn sweep(&self) {
        let mark = format!("{MARK}={}", self.mark);
        let _ = std::thread::Builder::new().name("sweep".into()).spawn(move || {
            for _ in 0..SWEEPS {
                if !sweep(mark.as_bytes()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.group.is_some() {
            self.kill_group();
            self.sweep();
        }
    }
}

/// Kills every process with this mark in its environment; whether there was one.
fn sweep(mark: &[u8]) -> bool {
    let mut any = false;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Ok(environment) = fs::read(entry.path().join("environ"))
            && environment.split(|byte| *byte == 0).any(|one| one == mark)
        {
            any |= kill_process(pid, Signal::KILL).is_ok();
        }
    }
    any
}

async fn collect(pipe: &mut (impl AsyncRead + Unpin), out: &mut Collected<'_>) -> Result<(), String> {
    let mut buffer = vec![0; 8 << 10];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        out.push(&buffer[..length]).await?;
    }
    Ok(())
}

/// The last bytes of a stream.
async fn complain(pipe: &mut (impl AsyncRead + Unpin), last: &mut Vec<u8>) -> Result<(), String> {
    let mut buffer = vec![0; COMPLAINT];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        last.extend_from_slice(&buffer[..length]);
        last.drain(..last.len().saturating_sub(COMPLAINT));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_name_their_place() {
        let said = |command: &[&str]| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            let probe = ExecProbe { command, ..ExecProbe::default() };
            prepare(&probe, &Filling::new("probes[0].exec", Some("t"))).unwrap_err().to_string()
        };
        assert_eq!(said(&[]), "probes[0].exec.command: the program is missing");
        assert_eq!(said(&[""]), "probes[0].exec.command: the program is missing");
        assert!(said(&["echo", "a\0b"]).starts_with("probes[0].exec.command[1]: it contains a NUL byte"));
        assert!(said(&["docker", "{{.State}}"]).contains("{{.State}} is not known"));
    }

    #[test]
    fn the_last_line_of_a_complaint_is_shown() {
        assert_eq!(said(b"one\ntwo \x1b[31mred\x1b[0m\n\n"), ": two red");
        assert_eq!(said(b"\n"), "");
    }
}
