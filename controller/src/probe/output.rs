//! Rounds on their way out, line by line, without ever waiting for whoever reads them: a thread writes, few lines wait
//! for it, and when these are too many, rounds are skipped until it goes on.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::watch;

use super::gather::line;
use super::round::Round;

/// Lines that wait. Each has at most 64 KiB.
const WAITING: usize = 48;

/// Takes rounds.
pub trait Sink: Send + Sync + 'static {
    /// Whether there is room for one more round: without it, none is begun.
    fn has_room(&self) -> bool;

    /// Takes a round; it is lost if there is no room by now.
    fn put(&self, round: Round);
}

/// Writes lines.
pub struct Output {
    lines: SyncSender<String>,
    waiting: Arc<AtomicUsize>,
    ended: watch::Receiver<Option<io::ErrorKind>>,
}

impl Output {
    /// Starts the thread that writes.
    pub fn start(mut to: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, incoming) = sync_channel::<String>(WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (ends, ended) = watch::channel(None);
        let written = waiting.clone();
        std::thread::Builder::new().name("output".into()).spawn(move || {
            for line in incoming {
                let done = to.write_all(line.as_bytes()).and_then(|()| to.flush());
                written.fetch_sub(1, Ordering::Relaxed);
                if let Err(error) = done {
                    ends.send_replace(Some(error.kind()));
                    return;
                }
            }
        })?;
        Ok(Self { lines, waiting, ended })
    }

    /// Resolves when nothing can be written any more, with the reason.
    pub async fn broken(&self) -> io::ErrorKind {
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await.ok().and_then(|reason| *reason);
        reason.unwrap_or(io::ErrorKind::BrokenPipe)
    }

    /// Whether all lines are written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }
}

impl Sink for Output {
    fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < WAITING
    }

    fn put(&self, round: Round) {
        if self.has_room() {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            if self.lines.try_send(line(&round)).is_err() {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::collections::BTreeMap;
    use std::io::{BufRead as _, BufReader};

    fn round(n: usize) -> Round {
        Round { probe: format!("p{n}"), at: Timestamp::UNIX_EPOCH, readings: BTreeMap::new() }
    }

    #[test]
    fn lines_come_out_in_their_order() {
        let (reader, writer) = io::pipe().unwrap();
        let output = Output::start(writer).unwrap();
        (0..10).for_each(|n| output.put(round(n)));
        drop(output);
        let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[9], r#"{"probe":"p9","at":"1970-01-01T00:00:00Z","readings":{}}"#);
    }

    #[test]
    fn a_reader_that_does_not_read_costs_rounds_and_no_memory() {
        let (reader, writer) = io::pipe().unwrap();
        let output = Output::start(writer).unwrap();
        // The writer is at it: what it takes out of the queue comes on top of what waits there.
        output.put(round(0));
        while !output.is_empty() {
            std::thread::yield_now();
        }
        (0..100_000).for_each(|n| output.put(round(n)));
        // What the pipe holds and what waits; whoever reads again gets whole lines.
        drop(output);
        let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        assert!(lines.len() > WAITING && lines.len() < 5000, "{}", lines.len());
        assert!(lines.iter().all(|line| serde_json::from_str::<Round>(line).is_ok()));
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_is_seen() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Output::start(writer).unwrap();
        output.put(round(0));
        assert_eq!(output.broken().await, io::ErrorKind::BrokenPipe);
    }
}
