//! Runs one command to its end: reads, limits, kills.
//!
//! A command ends when its main process ends. What it left in the background may hold the pipes open
//! for ever; they are read on and thrown away, so that it neither blocks nor dies of `SIGPIPE`.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, timeout};

use super::capture::Capture;
use super::output::Outputs;
use super::protocol::{Captured, Outcome};
use super::spool::Spool;
use super::{Config, kill, spawn};
use crate::sandbox::{CommandEnd, OutputStream};

/// Output is what was there when the main process ended: the pipes must be quiet for this long …
const QUIET: Duration = Duration::from_millis(10);
/// … and a background process that goes on writing is not listened to for longer than this.
const DRAIN: Duration = Duration::from_millis(250);
/// A killed process that is still there then hangs in the kernel and is not waited for.
const REAP: Duration = Duration::from_secs(5);
/// A killed command gets this long to tidy up; its controller is in a hurry.
const KILL_GRACE: Duration = Duration::from_millis(500);
/// The live stream of one command carries no more than this a second; a result has the rest.
const LIVE_RATE: u64 = 512 << 10;

/// A piece of output on its way to whoever watches.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) stream: OutputStream,
    pub(super) offset: u64,
    pub(super) data: Arc<[u8]>,
}

/// A command that runs, as the rest of the supervisor sees it.
pub(super) struct Running {
    pub(super) live: broadcast::Sender<Chunk>,
    pub(super) outcome: watch::Sender<Option<Arc<Outcome>>>,
    pub(super) kill: watch::Sender<bool>,
}

impl Running {
    pub(super) fn new() -> Self {
        Self { live: broadcast::Sender::new(64), outcome: watch::Sender::new(None), kill: watch::Sender::new(false) }
    }
}

/// Runs the command and returns what came of it. Never fails: that it could not start is an outcome.
pub(super) async fn run(
    config: &Config,
    spool: &Spool,
    outputs: &Arc<Outputs>,
    seq: i64,
    text: &str,
    limit: Duration,
    running: &Running,
) -> Outcome {
    let started = Instant::now();
    let mut child = match spawn::spawn(config, seq, text) {
        Ok(child) => child,
        Err(reason) => return Outcome::not_started(seq, reason),
    };
    let sink = |stream| Sink {
        seq,
        stream,
        spool: spool.clone(),
        outputs: outputs.clone(),
        limit: config.spool_bytes,
        live: running.live.clone(),
        kept: Arc::new(Mutex::new(Some(Capture::new(config.head_bytes, config.tail_bytes)))),
    };
    let (stdout, stderr) = (sink(OutputStream::Stdout), sink(OutputStream::Stderr));
    let mut pumps = tokio::task::JoinSet::new();
    if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
        pumps.spawn(stdout.clone().pump(out));
        pumps.spawn(stderr.clone().pump(err));
    }
    let end = wait(&mut child, config, seq, limit, running).await;
    let duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    drain(&mut pumps, &stdout, &stderr).await;
    let outcome = Outcome { seq, end, duration_us, stdout: stdout.take(), stderr: stderr.take(), notes: Vec::new() };
    outputs.finish(seq);
    pumps.detach_all();
    spawn::forget_script(config, seq);
    outcome
}

/// Waits for the main process, the limit or the order to kill, whichever is first.
async fn wait(child: &mut Child, config: &Config, seq: i64, limit: Duration, running: &Running) -> CommandEnd {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let mut killed = running.kill.subscribe();
    let (end, grace) = tokio::select! {
        biased;
        status = child.wait() => return ended(status),
        _ = killed.wait_for(|killed| *killed) => (CommandEnd::Killed, KILL_GRACE.min(config.grace)),
        () = sleep(limit) => (CommandEnd::TimedOut, config.grace),
    };
    if let Some(pid) = pid {
        kill::end_group(pid, grace).await;
    }
    let _ = timeout(REAP, child.wait()).await;
    kill::end_marked(config, seq).await;
    end
}

fn ended(status: std::io::Result<ExitStatus>) -> CommandEnd {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => CommandEnd::Exited { code },
            (None, signal) => CommandEnd::Signaled { signal: signal.unwrap_or_default() },
        },
        Err(error) => CommandEnd::NotStarted { reason: format!("its end could not be waited for: {error}") },
    }
}

/// Waits until both pipes are closed, or quiet, or talked on for long enough.
async fn drain(pumps: &mut tokio::task::JoinSet<()>, stdout: &Sink, stderr: &Sink) {
    let until = Instant::now() + DRAIN;
    let (mut seen, mut quiet) = (0, 0);
    while quiet < 2 && Instant::now() < until {
        let closed = async { while pumps.join_next().await.is_some() {} };
        if timeout(QUIET, closed).await.is_ok() {
            return;
        }
        // What became readable together with the timer is read before it is judged.
        tokio::task::yield_now().await;
        let now = stdout.total() + stderr.total();
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
    }
}

/// Where one stream's output goes.
#[derive(Clone)]
struct Sink {
    seq: i64,
    stream: OutputStream,
    spool: Spool,
    outputs: Arc<Outputs>,
    limit: u64,
    live: broadcast::Sender<Chunk>,
    /// `None` once the command ended: what comes then is thrown away.
    kept: Arc<Mutex<Option<Capture>>>,
}

impl Sink {
    fn kept(&self) -> MutexGuard<'_, Option<Capture>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn total(&self) -> u64 {
        self.kept().as_ref().map_or(0, Capture::total)
    }

    fn take(&self) -> Captured {
        self.kept().take().map(Capture::finish).unwrap_or_default().into()
    }

    async fn pump(self, mut pipe: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 64 << 10];
        let mut spooled = 0;
        let mut budget = Budget::new();
        while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
            let bytes = &buffer[..length];
            let (offset, to_spool) = match self.kept().as_mut() {
                None => continue,
                Some(capture) => {
                    let offset = capture.total();
                    let past = capture.push(bytes);
                    // The full text begins with the head, as soon as the head is not all of it.
                    let mut text = Vec::new();
                    if !past.is_empty() && spooled < self.limit {
                        if spooled == 0 {
                            text.extend_from_slice(capture.head());
                        }
                        text.extend_from_slice(past);
                        text.truncate(usize::try_from(self.limit - spooled).unwrap_or(usize::MAX));
                    }
                    (offset, text)
                }
            };
            self.outputs.append(self.seq, self.stream, bytes);
            if self.live.receiver_count() > 0 && budget.take(length as u64) {
                let _ = self.live.send(Chunk { stream: self.stream, offset, data: bytes.into() });
            }
            if !to_spool.is_empty() {
                spooled += to_spool.len() as u64;
                self.spool.append(self.seq, self.stream, to_spool).await;
            }
        }
    }
}

/// What may still go out live, filled up as time goes by.
struct Budget {
    left: u64,
    at: Instant,
}

impl Budget {
    fn new() -> Self {
        Self { left: LIVE_RATE, at: Instant::now() }
    }

    fn take(&mut self, length: u64) -> bool {
        let earned = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_mul(LIVE_RATE / 1000);
        if earned > 0 {
            self.left = LIVE_RATE.min(self.left.saturating_add(earned));
            self.at = Instant::now();
        }
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}
