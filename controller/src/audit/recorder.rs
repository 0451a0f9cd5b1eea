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

use super::codec::{decode, encode, to_micros};
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
    cancel: CancellationToken,
    patience: Option<Duration>,
}

struct State {
    /// The number of the next entry, as far as is known.
    next: i64,
    /// Entries that were sent under that number and not answered for good: at most one of them
    /// stands there.
    unsettled: Vec<Sent>,
}

/// An entry as it was sent.
#[derive(Clone)]
struct Sent {
    at: Timestamp,
    body: Arc<EntryBody>,
}

impl Recorder {
    /// The writer of `session`, which goes on after its last entry. [`Recorder::record`] waits for
    /// the store until `cancel` fires.
    #[must_use]
    pub fn new(store: Arc<dyn AuditStore>, session: &SessionRecord, cancel: CancellationToken) -> Self {
        Self {
            store,
            session: session.new.id.clone(),
            state: Mutex::new(State { next: session.state.last_seq + 1, unsettled: Vec::new() }),
            waiting: watch::Sender::new(None),
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
        let mine = Sent { at: to_micros(Timestamp::now()), body: Arc::new(body) };
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

    /// One attempt. If the number is taken by an entry that an earlier call left unsettled, that
    /// one was committed after all, and this one goes behind it.
    async fn attempt(&self, state: &mut State, mine: &Sent) -> Result<i64, AuditError> {
        loop {
            // From here on the store may have it, whatever this call hears of that.
            if !state.unsettled.iter().any(|sent| Arc::ptr_eq(&sent.body, &mine.body)) {
                state.unsettled.push(mine.clone());
            }
            let seq = state.next;
            match self.store.append(&self.session, seq, mine.at, &mine.body).await {
                Ok(()) => {
                    state.unsettled.clear();
                    state.next = seq + 1;
                    return Ok(seq);
                }
                Err(error @ AuditError::OutOfSequence { .. }) => {
                    if !self.earlier_one_stands(state, mine).await? {
                        return Err(error);
                    }
                    state.unsettled.clear();
                    state.next = seq + 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the next number is taken by an unsettled entry other than `mine`.
    async fn earlier_one_stands(&self, state: &State, mine: &Sent) -> Result<bool, AuditError> {
        let mut others = state.unsettled.clone();
        others.retain(|sent| !Arc::ptr_eq(&sent.body, &mine.body));
        if others.is_empty() {
            return Ok(false);
        }
        let found = self.store.entries(&self.session, state.next - 1, 1).await?;
        let Some(found) = found.into_iter().find(|entry| entry.seq == state.next) else { return Ok(false) };
        for sent in others {
            // Both went through JSON once, so that equal bytes are equal values.
            let sent = decode(&encode(&self.session, state.next, sent.at, &sent.body)?, None)?;
            if sent.at == found.at && sent.body == found.body {
                return Ok(true);
            }
        }
        Ok(false)
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
