//! The table of commands: each number is started once, and its outcome can be asked for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::output::Outputs;
use super::process::{self, Running};
use super::protocol::{CommandState, Known, Outcome};
use super::spool::{Record, Spool};
use super::{Config, SupervisorError};

/// More commands at once than this are not started.
const MAX_RUNNING: usize = 64;

/// Outcomes are remembered up to this many bytes; older ones are read from the spool.
const MAX_REMEMBERED: usize = 32 << 20;

/// What is known of one command.
pub(super) enum Entry {
    Running(Arc<Running>),
    /// `None` when only the spool has it.
    Finished(Option<Arc<Outcome>>),
    /// Started by a supervisor that is gone, or its outcome could not be kept.
    Lost,
}

impl Entry {
    pub(super) fn state(&self) -> CommandState {
        match self {
            Self::Running(_) => CommandState::Running,
            Self::Finished(_) => CommandState::Finished,
            Self::Lost => CommandState::Lost,
        }
    }
}

/// What a query finds.
pub(super) enum Found {
    Unknown,
    Lost,
    Running(Arc<Running>),
    Finished(Arc<Outcome>),
}

/// Shared by all streams.
pub(super) struct Registry {
    pub(super) config: Config,
    pub(super) shutdown: CancellationToken,
    spool: Spool,
    outputs: Arc<Outputs>,
    tasks: TaskTracker,
    table: Mutex<Table>,
    /// The highest fencing token that was seen.
    epoch: watch::Sender<u64>,
}

struct Table {
    closed: bool,
    commands: BTreeMap<i64, Entry>,
    remembered: VecDeque<(i64, usize)>,
    remembered_bytes: usize,
}

impl Registry {
    pub(super) fn open(config: Config) -> Result<Arc<Self>, SupervisorError> {
        let (spool, found) = Spool::open(&config.spool, config.spool_total_bytes)
            .map_err(|source| SupervisorError::Spool { path: config.spool.clone(), source })?;
        let outputs = Outputs::open(&config.output, config.output_bytes, config.output_total_bytes)
            .map_err(|source| SupervisorError::Output { path: config.output.clone(), source })?;
        let known = |finished| if finished { Entry::Finished(None) } else { Entry::Lost };
        let commands = found.into_iter().map(|(seq, finished)| (seq, known(finished))).collect();
        let table = Table { closed: false, commands, remembered: VecDeque::new(), remembered_bytes: 0 };
        let (epoch, _) = watch::channel(config.epoch);
        Ok(Arc::new(Self {
            config,
            shutdown: CancellationToken::new(),
            spool,
            outputs: Arc::new(outputs),
            tasks: TaskTracker::new(),
            table: Mutex::new(table),
            epoch,
        }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a fencing token. `Err` is the higher one that was seen before.
    pub(super) fn admit(&self, epoch: u64) -> Result<u64, u64> {
        let mut highest = epoch;
        self.epoch.send_if_modified(|seen| {
            highest = *seen;
            let higher = epoch > *seen;
            *seen = epoch.max(*seen);
            higher
        });
        if epoch < highest { Err(highest) } else { Ok(epoch) }
    }

    /// Returns, with the higher one, once a higher fencing token than this was seen.
    pub(super) async fn outdated(&self, epoch: u64) -> u64 {
        let mut seen = self.epoch.subscribe();
        let higher = seen.wait_for(|seen| *seen > epoch).await.map(|seen| *seen);
        match higher {
            Ok(higher) => higher,
            // The sender is gone with the registry, and with that all there is to refuse.
            Err(_) => std::future::pending().await,
        }
    }

    /// All commands, by number.
    pub(super) fn known(&self) -> Vec<Known> {
        let table = self.table();
        table.commands.iter().map(|(seq, entry)| Known { seq: *seq, state: entry.state() }).collect()
    }

    /// Starts a command. `Err` says why not, and what is known of that number.
    pub(super) fn start(
        self: &Arc<Self>,
        seq: i64,
        command: String,
        limit: Duration,
    ) -> Result<Arc<Running>, (String, CommandState)> {
        let running = Arc::new(Running::new());
        {
            let mut table = self.table();
            if let Some(entry) = table.commands.get(&seq) {
                let state = entry.state();
                let lost = if state == CommandState::Lost { ", and its outcome is lost" } else { "" };
                return Err((format!("command {seq} was started before{lost}"), state));
            }
            if table.closed {
                return Err((
                    "the supervisor was told to end, and did not start the command".into(),
                    CommandState::Ending,
                ));
            }
            let busy = table.commands.values().filter(|entry| matches!(entry, Entry::Running(_))).count();
            if busy >= MAX_RUNNING {
                return Err((format!("{busy} commands run already"), CommandState::Unknown));
            }
            table.commands.insert(seq, Entry::Running(running.clone()));
        }
        let (registry, task) = (self.clone(), running.clone());
        self.tasks.spawn(async move {
            let outcome = registry.run(seq, &command, limit, &task).await;
            task.outcome.send_replace(Some(outcome));
        });
        Ok(running)
    }

    async fn run(&self, seq: i64, command: &str, limit: Duration, running: &Running) -> Arc<Outcome> {
        // Without this row a supervisor that is started again could start the command again.
        let begun = self.spool.write(seq, Record::Started { seq }).await;
        let mut outcome = process::run(&self.config, &self.spool, &self.outputs, seq, command, limit, running).await;
        let record = Record::Finished { outcome: Box::new(outcome.clone()) };
        let kept = self.spool.write(seq, record).await;
        outcome.notes.extend([begun, kept].into_iter().filter_map(Result::err).map(|note| format!("spool: {note}")));
        let outcome = Arc::new(outcome);
        self.table().remember(seq, &outcome);
        outcome
    }

    /// What is known of a command.
    pub(super) fn find(&self, seq: i64) -> Found {
        match self.table().commands.get(&seq) {
            None => return Found::Unknown,
            Some(Entry::Lost) => return Found::Lost,
            Some(Entry::Running(running)) => return Found::Running(running.clone()),
            Some(Entry::Finished(Some(outcome))) => return Found::Finished(outcome.clone()),
            Some(Entry::Finished(None)) => {}
        }
        self.spool.read(seq).map_or(Found::Lost, |outcome| Found::Finished(Arc::new(outcome)))
    }

    /// Orders a command's end, and tells in which state it was.
    pub(super) fn kill(&self, seq: i64) -> CommandState {
        let table = self.table();
        let Some(entry) = table.commands.get(&seq) else { return CommandState::Unknown };
        if let Entry::Running(running) = entry {
            running.kill.send_replace(true);
        }
        entry.state()
    }

    /// Ends every command and waits for it, for a bounded time.
    pub(super) async fn close(&self) {
        {
            let mut table = self.table();
            table.closed = true;
            for entry in table.commands.values() {
                if let Entry::Running(running) = entry {
                    running.kill.send_replace(true);
                }
            }
        }
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(8), self.tasks.wait()).await;
    }
}

impl Table {
    fn remember(&mut self, seq: i64, outcome: &Arc<Outcome>) {
        self.commands.insert(seq, Entry::Finished(Some(outcome.clone())));
        self.remembered.push_back((seq, outcome.size()));
        self.remembered_bytes += outcome.size();
        while self.remembered_bytes > MAX_REMEMBERED {
            let Some((oldest, size)) = self.remembered.pop_front() else { return };
            self.remembered_bytes -= size;
            self.commands.insert(oldest, Entry::Finished(None));
        }
    }
}
