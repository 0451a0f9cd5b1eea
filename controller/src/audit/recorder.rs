//! One session's writer.
//!
//! Whatever acts asks the recorder first: [`Recorder::record`] returns when the row is committed,
//! and until then nothing may happen. While the store is away it tries again; who waits for it can
//! say so, through [`Recorder::waiting`].
//!
//! An answer can be lost after the row was committed. So the recorder remembers the entry that is
//! under way, also when the caller gave up or was dropped, and settles what became of it before it
//! writes another one with a later content: nothing is lost, and nothing is written twice.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::codec::to_micros;
use super::proof::{Hash, LinkHead, SignedEntry};
use super::{AuditError, AuditStore, EntryBody, SessionRecord};
use crate::session::SessionId;

/// The pause after the first failed attempt; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Why an entry is not known to be on record. After each of these nothing may be done in its name.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The recorder's token was cancelled while the store was away.
    #[error("cancelled while waiting for the audit store")]
    Cancelled {
        /// What the store said last, if it was asked.
        #[source]
        last: Option<AuditError>,
    },
    /// The store was away for too long.
    #[error("the audit store was not there for {waited:?}")]
    GaveUp {
        /// How long was waited.
        waited: Duration,
        /// What the store said last.
        #[source]
        last: AuditError,
    },
    /// The store refused, and will refuse again.
    #[error("the audit store did not take the entry")]
    Store(#[from] AuditError),
}

impl RecordError {
    /// A static name for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Cancelled { .. } => "record_cancelled",
            Self::GaveUp { .. } => "record_gave_up",
            Self::Store(error) => error.category(),
        }
    }
}

/// One session's writer, to be shared by [`Arc`]. There should be one per session in a process; a
/// second one is found out by the store ([`AuditError::OutOfSequence`]).
pub struct Recorder {
    store: Arc<dyn AuditStore>,
    session: SessionId,
    state: Mutex<State>,
    waiting: watch::Sender<Option<String>>,
    head: watch::Sender<Head>,
    cancel: CancellationToken,
    patience: Option<Duration>,
}

/// The end of both chains: what an Incident's status says of its trail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The session's last entry and its hash.
    pub entry: Option<(i64, Hash)>,
    /// The last link of the installation's chain.
    pub link: Option<LinkHead>,
}

struct State {
    /// The number of the next entry, as far as is known.
    next: i64,
    /// Hash of the one before it.
    prev: Hash,
    /// Entries that were sent under that number and not answered for good: at most one of them
    /// stands there. One of another try may differ in its signature alone, after a change of keys.
    unsettled: Vec<Sent>,
    /// How many entries were to be written so far, to tell them apart.
    calls: u64,
}

/// An entry as it was sent.
struct Sent {
    call: u64,
    entry: SignedEntry,
}

/// An entry that is to be written.
struct Wanted {
    call: u64,
    at: Timestamp,
    body: EntryBody,
}

impl Recorder {
    /// The writer of `session`, which goes on after its last entry. [`Recorder::record`] waits for
    /// the store until `cancel` fires.
    #[must_use]
    pub fn new(store: Arc<dyn AuditStore>, session: &SessionRecord, cancel: CancellationToken) -> Self {
        let last = session.state.last_seq;
        // Without a hash there is nothing that an entry could follow: the store will say so.
        let prev = session.last_hash.unwrap_or(Hash::ZERO);
        let head = Head { entry: (last > 0).then_some((last, prev)), link: store.chain_head() };
        Self {
            store,
            session: session.new.id.clone(),
            state: Mutex::new(State { next: last + 1, prev, unsettled: Vec::new(), calls: 0 }),
            waiting: watch::Sender::new(None),
            head: watch::Sender::new(head),
            cancel,
            patience: None,
        }
    }

    /// The same, but [`Recorder::record`] waits for the store no longer than `patience`.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// The store, for what is not an entry (the session's row, summaries).
    #[must_use]
    pub fn store(&self) -> &Arc<dyn AuditStore> {
        &self.store
    }

    /// `Some(sentence)` while an entry waits for the store, `None` while all is well.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<Option<String>> {
        self.waiting.subscribe()
    }

    /// The end of the session's chain and of the installation's, after each entry.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// The number of the last entry that is known to be on record.
    pub async fn last_seq(&self) -> i64 {
        self.state.lock().await.next - 1
    }

    /// Puts `body` on record as the next entry and returns its number, once it is committed.
    ///
    /// # Errors
    /// [`RecordError`]; then it is not known to be on record (it may be), and what it announces must
    /// not happen.
    pub async fn record(&self, body: EntryBody) -> Result<i64, RecordError> {
        self.write(body, Some(&self.cancel), self.patience).await
    }

    /// The same, whatever became of the recorder's token, waiting for the store no longer than
    /// `patience`: for the last words of a session that was cancelled.
    ///
    /// # Errors
    /// As [`Recorder::record`], but never [`RecordError::Cancelled`].
    pub async fn record_within(&self, body: EntryBody, patience: Duration) -> Result<i64, RecordError> {
        self.write(body, None, Some(patience)).await
    }

    async fn write(
        &self,
        body: EntryBody,
        cancel: Option<&CancellationToken>,
        patience: Option<Duration>,
    ) -> Result<i64, RecordError> {
        let begun = Instant::now();
        let never = CancellationToken::new();
        let cancel = cancel.unwrap_or(&never);
        let mut state = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(RecordError::Cancelled { last: None }),
            state = self.state.lock() => state,
        };
        state.calls += 1;
        let mine = Wanted { call: state.calls, at: to_micros(Timestamp::now()), body };
        let mut pause = FIRST_PAUSE;
        // Whatever way this function is left, nobody waits here any more.
        let notice = Notice(&self.waiting);
        loop {
            let error = match self.attempt(&mut state, &mine).await {
                Ok(seq) => return Ok(seq),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error.into()),
            };
            notice.say(&error);
            let waited = begun.elapsed();
            if patience.is_some_and(|patience| waited + pause > patience) {
                return Err(RecordError::GaveUp { waited, last: error });
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(RecordError::Cancelled { last: Some(error) }),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// One attempt. If the number is taken by an entry that an earlier try left unsettled, that one was
    /// committed after all, and this one goes behind it (unless it is the same one).
    async fn attempt(&self, state: &mut State, mine: &Wanted) -> Result<i64, AuditError> {
        loop {
            let seq = state.next;
            // Signed each time: the key may be another one by now.
            let entry = self.store.sign(&self.session, seq, state.prev, mine.at, &mine.body)?;
            // From here on the store may have it, whatever this call hears of that.
            if !state.unsettled.iter().any(|sent| sent.entry == entry) {
                state.unsettled.push(Sent { call: mine.call, entry: entry.clone() });
            }
            match self.store.commit(&entry).await {
                Ok(()) => {
                    self.settle(state, &entry);
                    return Ok(seq);
                }
                Err(error @ AuditError::OutOfSequence { .. }) => {
                    let Some(stands) = self.earlier_one_stands(state, &entry).await? else { return Err(error) };
                    self.settle(state, &stands.entry);
                    if stands.call == mine.call {
                        return Ok(seq);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn settle(&self, state: &mut State, entry: &SignedEntry) {
        state.unsettled.clear();
        state.next = entry.seq + 1;
        state.prev = entry.hash;
        self.head.send_replace(Head { entry: Some((entry.seq, entry.hash)), link: self.store.chain_head() });
    }

    /// The unsettled entry, other than `mine`, that took the next number. It is asked for by sending it
    /// again: where it stands that is answered without a word, and since the number is taken, it can add
    /// nothing.
    async fn earlier_one_stands(&self, state: &mut State, mine: &SignedEntry) -> Result<Option<Sent>, AuditError> {
        for index in 0..state.unsettled.len() {
            if state.unsettled[index].entry == *mine {
                continue;
            }
            match self.store.commit(&state.unsettled[index].entry).await {
                Ok(()) => return Ok(Some(state.unsettled.swap_remove(index))),
                Err(AuditError::OutOfSequence { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Takes the sentence back when the wait is over, one way or another.
struct Notice<'a>(&'a watch::Sender<Option<String>>);

impl Notice<'_> {
    fn say(&self, error: &AuditError) {
        let sentence = format!("waiting for the audit store: {error}");
        self.0.send_if_modified(|said| {
            let new = said.as_ref() != Some(&sentence);
            *said = Some(sentence);
            new
        });
    }
}

impl Drop for Notice<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|said| said.take().is_some());
    }
}
