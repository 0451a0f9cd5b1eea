//! A store in memory, for the tests of everything that writes a trail. It keeps the promises of the
//! real one (numbers without gaps, the same call again is fine, bytes round-trip), and breaks the
//! ones that it is told to break.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::follow::follow_by_asking;
use super::proof::hash::possession_message;
use super::proof::hex;
use super::proof::link::{KeyLink, LinkBody, SealLink, StartLink};
use super::proof::row::{EntryRow, KeyRow, LinkRow, ProofReader, SessionRow};
use super::proof::signer::{SignedEntry, SignedLink, sign_entry, sign_link};
use super::proof::{Hash, LinkHead, PrivateKey, PublicKey};
use super::reader::{AuditReader, Followed, MAX_ENTRIES, SessionFilter, StoredEntry};
use super::{AuditError, AuditStore, Entry, EntryBody, EntryKind, NewSession, SessionRecord, SessionState, codec};
use crate::halt::Halt;
use crate::session::SessionId;

/// What the fake does with an append that it was told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written; [`AuditError::Unavailable`].
    Unavailable,
    /// The row is written, and the answer lost: [`AuditError::Unavailable`] all the same.
    CommittedButUnanswered,
    /// Nothing is written; [`AuditError::Refused`].
    Refused,
    /// Nothing is written, because another one leads: [`AuditError::Fenced`].
    Fenced,
}

type Rule = Box<dyn FnMut(&EntryBody) -> Option<Fault> + Send>;

/// The store in memory. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct FakeStore {
    inner: Arc<Mutex<Inner>>,
    key: Arc<PrivateKey>,
    appended: broadcast::Sender<SessionId>,
}

/// The epoch of all its writes.
const EPOCH: i64 = 1;

#[derive(Default)]
struct Inner {
    sessions: BTreeMap<SessionId, SessionRecord>,
    entries: BTreeMap<SessionId, Vec<SignedEntry>>,
    links: Vec<SignedLink>,
    summaries: BTreeMap<(SessionId, i64), String>,
    halts: Vec<Option<Halt>>,
    unavailable: Option<String>,
    deposed: bool,
    rule: Option<Rule>,
    attempts: usize,
}

impl Default for FakeStore {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeStore {
    /// An empty store that does everything right.
    #[must_use]
    pub fn new() -> Self {
        let (appended, _) = broadcast::channel(256);
        let key = PrivateKey::generate();
        let public = key.public();
        let possession = key.sign(&possession_message(1, &Hash::ZERO, public.as_bytes()));
        let first = LinkBody::Key(KeyLink {
            id: public.id(),
            number: 1,
            public_key: public.to_hex(),
            possession: hex::encode(&possession),
            replaces: None,
            lost: false,
            installation: "fake".into(),
        });
        let links = sign_link(&key, LinkHead::EMPTY, 0, first).into_iter().collect();
        let inner = Inner { links, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)), key: Arc::new(key), appended }
    }

    /// The key that its entries are signed with.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Asks `rule` about each append from now on; what it answers happens instead.
    pub fn fail_when(&self, rule: impl FnMut(&EntryBody) -> Option<Fault> + Send + 'static) {
        self.lock().rule = Some(Box::new(rule));
    }

    /// The append number `nth` from now on (1 is the next) fails once with `fault`.
    pub fn fail_at(&self, nth: usize, fault: Fault) {
        let mut count = 0;
        self.fail_when(move |_| {
            count += 1;
            (count == nth).then_some(fault)
        });
    }

    /// Every append of this kind fails with `fault` from now on.
    pub fn fail_kind(&self, kind: EntryKind, fault: Fault) {
        self.fail_when(move |body| (body.kind() == kind).then_some(fault));
    }

    /// Appends do what they should again.
    pub fn heal(&self) {
        let mut inner = self.lock();
        inner.rule = None;
        inner.unavailable = None;
        inner.deposed = false;
    }

    /// Every call is [`AuditError::Unavailable`] until [`FakeStore::heal`].
    pub fn make_unavailable(&self, reason: &str) {
        self.lock().unavailable = Some(reason.to_owned());
    }

    /// Every write is [`AuditError::Fenced`] until [`FakeStore::heal`], as if another one led.
    pub fn depose(&self) {
        self.lock().deposed = true;
    }

    /// How often an append was tried.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.lock().attempts
    }

    /// All entries of a session, in order; none if there is no such session.
    #[must_use]
    pub fn all(&self, session: &SessionId) -> Vec<Entry> {
        let inner = self.lock();
        let rows = inner.entries.get(session).map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter_map(|entry| codec::decode(&entry.body, None).ok()).collect()
    }

    /// The contents of a session's entries, in order.
    #[must_use]
    pub fn bodies(&self, session: &SessionId) -> Vec<EntryBody> {
        self.all(session).into_iter().map(|entry| entry.body).collect()
    }

    /// All sessions, the oldest first.
    #[must_use]
    pub fn all_sessions(&self) -> Vec<SessionRecord> {
        let inner = self.lock();
        let mut all: Vec<_> = inner.sessions.keys().filter_map(|id| inner.record(id)).collect();
        all.sort_by(|a, b| (a.new.started_at, &a.new.id).cmp(&(b.new.started_at, &b.new.id)));
        all
    }

    /// The halts that were put on record and, as `None`, their ends.
    #[must_use]
    pub fn halts(&self) -> Vec<Option<Halt>> {
        self.lock().halts.clone()
    }

    /// The summary of an entry.
    #[must_use]
    pub fn summary(&self, session: &SessionId, seq: i64) -> Option<String> {
        self.lock().summaries.get(&(session.clone(), seq)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn available(&self) -> Result<MutexGuard<'_, Inner>, AuditError> {
        let inner = self.lock();
        match &inner.unavailable {
            Some(reason) => Err(AuditError::Unavailable { reason: reason.clone() }),
            None => Ok(inner),
        }
    }

    fn writable(&self) -> Result<MutexGuard<'_, Inner>, AuditError> {
        let inner = self.available()?;
        if inner.deposed { Err(AuditError::Fenced("told that another one leads".into())) } else { Ok(inner) }
    }
}

impl Inner {
    fn record(&self, id: &SessionId) -> Option<SessionRecord> {
        let mut record = self.sessions.get(id)?.clone();
        let rows = self.entries.get(id).map(Vec::as_slice).unwrap_or_default();
        record.state.last_seq = len(rows);
        record.last_hash = rows.last().map(|entry| entry.hash).or(record.last_hash);
        Some(record)
    }

    fn head(&self) -> LinkHead {
        self.links.last().map_or(LinkHead::EMPTY, SignedLink::head)
    }

    /// Exactly what `append_entry` and `seal_session` do in Postgres.
    fn append(&mut self, entry: &SignedEntry, key: &PrivateKey) -> Result<(), AuditError> {
        let SignedEntry { session, seq, .. } = entry;
        let Some(record) = self.sessions.get(session) else {
            return Err(AuditError::NotFound(format!("session {session}")));
        };
        let rows = self.entries.entry(session.clone()).or_default();
        let last = len(rows);
        let refuse = |found: String| Err(AuditError::OutOfSequence { session: session.clone(), seq: *seq, found });
        let at = usize::try_from(seq - 1).ok();
        match at.and_then(|at| rows.get(at)) {
            Some(found) if found == entry => return Ok(()),
            Some(_) => return refuse(format!("there is another entry {seq} already, the last one is {last}")),
            None if *seq != last + 1 => return refuse(format!("the last entry is {last}")),
            None => {}
        }
        if rows.last().is_some_and(|entry| entry.seals) {
            return refuse(format!("the session is sealed, the last entry is {last}"));
        }
        if rows.last().map(|entry| entry.hash).or(record.last_hash) != Some(entry.prev) {
            return refuse(format!("the last entry is {last} with another hash"));
        }
        rows.push(entry.clone());
        if entry.seals {
            let seal = SealLink { session: session.clone(), last_seq: *seq, last_hash: entry.hash };
            self.links.push(sign_link(key, self.head(), EPOCH, LinkBody::Seal(seal))?);
        }
        Ok(())
    }

    fn read(&self, session: &SessionId, after: i64, limit: i64) -> Vec<(&[u8], Option<String>)> {
        let rows = self.entries.get(session).map(Vec::as_slice).unwrap_or_default();
        rows.iter()
            .filter(|entry| entry.seq > after)
            .take(usize::try_from(limit).unwrap_or(0))
            .map(|entry| (entry.body.as_slice(), self.summaries.get(&(session.clone(), entry.seq)).cloned()))
            .collect()
    }
}

fn len(rows: &[SignedEntry]) -> i64 {
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}

#[async_trait]
impl AuditStore for FakeStore {
    async fn ping(&self) -> Result<(), AuditError> {
        self.available().map(drop)
    }

    async fn begin_session(&self, new: &NewSession) -> Result<SessionRecord, AuditError> {
        let mut inner = self.writable()?;
        let known = inner
            .sessions
            .values()
            .find(|r| r.new.incident_uid == new.incident_uid && r.new.attempt == new.attempt)
            .map(|r| r.new.id.clone());
        let id = if let Some(id) = known {
            id
        } else {
            let new = NewSession { started_at: codec::to_micros(new.started_at), ..new.clone() };
            let id = new.id.clone();
            let start = StartLink {
                session: id.clone(),
                incident_uid: new.incident_uid.clone(),
                incident_namespace: new.incident_namespace.clone(),
                incident_name: new.incident_name.clone(),
                attempt: new.attempt,
            };
            let link = sign_link(&self.key, inner.head(), EPOCH, LinkBody::Start(start))?;
            let last_hash = Some(link.hash);
            inner.links.push(link);
            let state = SessionState { phase: "Running".to_owned(), ..SessionState::default() };
            inner.sessions.insert(id.clone(), SessionRecord { new, state, last_hash });
            id
        };
        inner.record(&id).ok_or_else(|| AuditError::NotFound(format!("session {id}")))
    }

    async fn find_session(&self, incident_uid: &str, attempt: i64) -> Result<Option<SessionRecord>, AuditError> {
        let inner = self.available()?;
        let mut all = inner.sessions.values();
        let found = all.find(|r| r.new.incident_uid == incident_uid && r.new.attempt == attempt);
        Ok(found.and_then(|r| inner.record(&r.new.id)))
    }

    fn sign(
        &self,
        session: &SessionId,
        seq: i64,
        prev: Hash,
        at: Timestamp,
        body: &EntryBody,
    ) -> Result<SignedEntry, AuditError> {
        sign_entry(&self.key, session, seq, EPOCH, prev, at, body)
    }

    async fn commit(&self, entry: &SignedEntry) -> Result<(), AuditError> {
        let mut inner = self.writable()?;
        inner.attempts += 1;
        let body = codec::decode(&entry.body, None)?.body;
        let fault = inner.rule.as_mut().and_then(|rule| rule(&body));
        match fault {
            Some(Fault::Unavailable) => return Err(AuditError::Unavailable { reason: "told to fail".into() }),
            Some(Fault::Fenced) => return Err(AuditError::Fenced("told that another one leads".into())),
            Some(Fault::Refused) => return Err(AuditError::Refused("told to fail".into())),
            Some(Fault::CommittedButUnanswered) => {
                inner.append(entry, &self.key)?;
                return Err(AuditError::Unavailable { reason: "told to lose the answer".into() });
            }
            None => inner.append(entry, &self.key)?,
        }
        drop(inner);
        // Nobody listening is fine.
        let _ = self.appended.send(entry.session.clone());
        Ok(())
    }

    async fn hash_before(&self, session: &SessionId, seq: i64) -> Result<Option<Hash>, AuditError> {
        let inner = self.available()?;
        let rows = inner.entries.get(session).map(Vec::as_slice).unwrap_or_default();
        let before = rows.iter().find(|entry| entry.seq == seq - 1).map(|entry| entry.hash);
        Ok(before.or(inner.sessions.get(session).and_then(|record| record.last_hash)))
    }

    fn chain_head(&self) -> Option<LinkHead> {
        Some(self.lock().head())
    }

    async fn update_session(&self, session: &SessionId, state: &SessionState) -> Result<(), AuditError> {
        let mut inner = self.writable()?;
        let record =
            inner.sessions.get_mut(session).ok_or_else(|| AuditError::NotFound(format!("session {session}")))?;
        record.state = state.clone();
        record.state.ended_at = state.ended_at.map(codec::to_micros);
        Ok(())
    }

    async fn add_summary(&self, session: &SessionId, seq: i64, text: &str) -> Result<(), AuditError> {
        let mut inner = self.writable()?;
        if seq < 1 || inner.entries.get(session).map_or(0, |rows| len(rows)) < seq {
            return Err(AuditError::NotFound(format!("entry {seq} of session {session}")));
        }
        inner.summaries.entry((session.clone(), seq)).or_insert_with(|| text.to_owned());
        Ok(())
    }

    async fn entries(&self, session: &SessionId, after: i64, limit: i64) -> Result<Vec<Entry>, AuditError> {
        let inner = self.available()?;
        inner.read(session, after, limit).into_iter().map(|(bytes, summary)| codec::decode(bytes, summary)).collect()
    }

    async fn last_of(&self, session: &SessionId, kinds: &[EntryKind], limit: i64) -> Result<Vec<Entry>, AuditError> {
        drop(self.available()?);
        let mut found = self.all(session);
        found.retain(|entry| kinds.contains(&entry.body.kind()));
        let surplus = found.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        Ok(found.split_off(surplus))
    }

    async fn record_halt(&self, halt: Option<&Halt>) -> Result<(), AuditError> {
        let mut inner = self.writable()?;
        if inner.halts.last().map_or(halt.is_some(), |last| last.as_ref() != halt) {
            inner.halts.push(halt.cloned());
        }
        Ok(())
    }

    async fn stored(&self, session: &SessionId, after: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        self.page(session, after, limit).await
    }

    async fn running(&self) -> Result<Vec<SessionRecord>, AuditError> {
        self.sessions(&SessionFilter::running()).await
    }
}

#[async_trait]
impl AuditReader for FakeStore {
    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<SessionRecord>, AuditError> {
        drop(self.available()?);
        let wanted = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
        let mut all = self.all_sessions();
        all.retain(|record| {
            wanted(&filter.namespace, &record.new.incident_namespace)
                && wanted(&filter.incident, &record.new.incident_name)
                && wanted(&filter.subject, &record.new.subject)
                && filter.phase.as_deref().is_none_or(|phase| phase.eq_ignore_ascii_case(&record.state.phase))
                && filter.since.is_none_or(|since| record.new.started_at >= since)
        });
        all.reverse();
        all.truncate(usize::try_from(filter.effective_limit()).unwrap_or(0));
        Ok(all)
    }

    async fn session(&self, id: &SessionId) -> Result<Option<SessionRecord>, AuditError> {
        Ok(self.available()?.record(id))
    }

    async fn page(&self, id: &SessionId, after: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        let inner = self.available()?;
        let rows = inner.read(id, after, limit.min(MAX_ENTRIES));
        rows.into_iter().map(|(bytes, summary)| codec::decode_any(bytes, summary)).collect()
    }

    async fn page_before(&self, id: &SessionId, before: i64, limit: i64) -> Result<Vec<StoredEntry>, AuditError> {
        let inner = self.available()?;
        let mut rows = inner.read(id, 0, i64::MAX);
        rows.truncate(usize::try_from(before - 1).unwrap_or(0));
        let surplus = rows.len().saturating_sub(usize::try_from(limit.min(MAX_ENTRIES)).unwrap_or(0));
        rows.drain(surplus..).map(|(bytes, summary)| codec::decode_any(bytes, summary)).collect()
    }

    fn follow(self: Arc<Self>, id: SessionId, after: i64) -> BoxStream<'static, Result<Followed, AuditError>> {
        let wake = self.appended.subscribe();
        follow_by_asking(self, id, after, Some(wake))
    }
}

#[async_trait]
impl ProofReader for FakeStore {
    async fn keys(&self) -> Result<Vec<KeyRow>, AuditError> {
        drop(self.available()?);
        let public = self.key.public();
        Ok(vec![KeyRow { id: public.id().to_string(), public_key: public.to_hex(), link: 1 }])
    }

    async fn links(&self, after: i64) -> Result<Vec<LinkRow>, AuditError> {
        let inner = self.available()?;
        Ok(inner.links.iter().filter(|link| link.n > after).cloned().map(LinkRow::from).collect())
    }

    async fn session_rows(&self, after: &str) -> Result<Vec<SessionRow>, AuditError> {
        let inner = self.available()?;
        Ok(inner.sessions.values().filter(|record| record.new.id.as_str() > after).map(|r| (&r.new).into()).collect())
    }

    async fn entry_rows(&self, session: &SessionId, after: i64) -> Result<Vec<EntryRow>, AuditError> {
        let inner = self.available()?;
        let rows = inner.entries.get(session).map(Vec::as_slice).unwrap_or_default();
        Ok(rows.iter().filter(|entry| entry.seq > after).cloned().map(EntryRow::from).collect())
    }
}
