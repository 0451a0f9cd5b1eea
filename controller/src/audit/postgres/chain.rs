//! Writing what is signed: entries, and the two places where an entry and a link come together.
//!
//! Only starts and seals of sessions take the lock of the installation's chain. Within this process they
//! queue here, so that a link is signed behind the one that will stand before it; if another process
//! (a rotation, a removal of old sessions) was quicker all the same, it is signed again.

use std::sync::Arc;

use sqlx::PgConnection;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout_at};

use super::PostgresStore;
use super::error::{Doing, code_of, time, too_slow, without_nul};
use crate::audit::proof::hash::Hash;
use crate::audit::proof::link::{LinkBody, LinkHead, SealLink, StartLink};
use crate::audit::proof::signer::{SignedEntry, SignedLink, Signer, sign_link};
use crate::audit::{AuditError, NewSession};
use crate::session::SessionId;

/// Another link came first.
const STALE: &str = "OP006";
/// Another key counts.
const OTHER_KEY: &str = "OP007";
/// How often a link is signed again before the caller is told to ask again.
const TRIES: usize = 8;

/// The end of the installation's chain as this process knows it.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// None: not known, to be read. Who holds the lock appends.
    head: Arc<Mutex<Option<LinkHead>>>,
    seen: watch::Sender<Option<LinkHead>>,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self { head: Arc::default(), seen: watch::Sender::new(None) }
    }

    pub(super) fn seen(&self) -> Option<LinkHead> {
        *self.seen.borrow()
    }
}

/// What is done together with a link.
pub(super) enum Act<'a> {
    /// A session begins.
    Begin(&'a NewSession),
    /// A session gets its last entry.
    Seal(&'a SignedEntry),
}

impl Act<'_> {
    fn link(&self) -> LinkBody {
        match self {
            Self::Begin(new) => LinkBody::Start(StartLink {
                session: new.id.clone(),
                incident_uid: without_nul(&new.incident_uid),
                incident_namespace: without_nul(&new.incident_namespace),
                incident_name: without_nul(&new.incident_name),
                attempt: new.attempt,
            }),
            Self::Seal(entry) => {
                LinkBody::Seal(SealLink { session: entry.session.clone(), last_seq: entry.seq, last_hash: entry.hash })
            }
        }
    }

    fn doing(&self) -> Doing<'_> {
        match self {
            Self::Begin(_) => Doing::Asking,
            Self::Seal(entry) => Doing::Appending(&entry.session, entry.seq),
        }
    }

    /// One statement, one transaction. Whether the link was needed.
    async fn send(&self, database: &mut PgConnection, link: &SignedLink) -> Result<bool, sqlx::Error> {
        let query = match self {
            Self::Begin(new) => sqlx::query_scalar(
                "SELECT begin_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            )
            .bind(new.id.as_str())
            .bind(without_nul(&new.incident_uid))
            .bind(without_nul(&new.incident_namespace))
            .bind(without_nul(&new.incident_name))
            .bind(new.attempt)
            .bind(without_nul(&new.subject))
            .bind(without_nul(&new.model))
            .bind(without_nul(&new.title))
            .bind(without_nul(&new.severity))
            .bind(time(new.started_at)),
            Self::Seal(entry) => {
                sqlx::query_scalar("SELECT seal_session($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
                    .bind(entry.session.as_str())
                    .bind(entry.seq)
                    .bind(&entry.body)
                    .bind(entry.prev.as_bytes().to_vec())
                    .bind(entry.signature.to_vec())
            }
        };
        query
            .bind(link.n)
            .bind(link.prev.as_bytes().to_vec())
            .bind(&link.body)
            .bind(link.signature.to_vec())
            .bind(link.key.to_string())
            .bind(link.epoch)
            .fetch_one(database)
            .await
    }
}

impl PostgresStore {
    /// The same store, which signs what it writes. One without a signer only reads.
    #[must_use]
    pub fn with_signer(&self, signer: Arc<Signer>) -> Self {
        Self { signer: Some(signer), ..self.clone() }
    }

    pub(super) fn signer(&self) -> Result<&Signer, AuditError> {
        self.signer.as_deref().ok_or_else(|| AuditError::Refused("this store has no signing key: it only reads".into()))
    }

    /// Whether the key that counts is here.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] with a sentence that says which one is missing, or as every call.
    pub async fn check_key(&self) -> Result<(), AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_scalar::<_, String>("SELECT key_id FROM head").fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        let id = connection.settle(answer, Doing::Asking)?;
        self.choose(&id)
    }

    /// The trail asks for another key.
    fn choose(&self, id: &str) -> Result<(), AuditError> {
        let id = id.parse().map_err(|_| {
            AuditError::Schema("the audit trail has no signing key yet: run `operator migrate`".to_owned())
        })?;
        self.signer()?.choose(id)
    }

    /// One entry, in one statement.
    pub(super) async fn append_signed(&self, entry: &SignedEntry) -> Result<(), AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        // `execute` returns after ReadyForQuery, that is after the commit: an error at the commit
        // itself arrives here too.
        let query = sqlx::query("SELECT append_entry($1, $2, $3, $4, $5, $6, $7)")
            .bind(entry.session.as_str())
            .bind(entry.seq)
            .bind(&entry.body)
            .bind(entry.prev.as_bytes().to_vec())
            .bind(entry.signature.to_vec())
            .bind(entry.key.to_string())
            .bind(entry.epoch)
            .execute(&mut *connection);
        let answer = timeout_at(until, query).await;
        let other = other_key(&answer);
        let settled = connection.settle(answer, Doing::Appending(&entry.session, entry.seq));
        if let Some(id) = other {
            return Err(self.sign_again(&id));
        }
        settled.map(drop)
    }

    /// The entry was signed with a key that was replaced: whoever sent it has to sign it anew.
    fn sign_again(&self, id: &str) -> AuditError {
        match self.choose(id) {
            Ok(()) => AuditError::Unavailable { reason: "the signing key was changed: signing again".into() },
            Err(error) => error,
        }
    }

    /// Does `act` together with its link. Whether it had not been done before.
    pub(super) async fn linked(&self, act: Act<'_>) -> Result<bool, AuditError> {
        let epoch = self.epoch()?;
        let until = Instant::now() + self.limit;
        let mut head = timeout_at(until, self.chain.head.lock()).await.map_err(|_| too_slow(self.limit))?;
        for _ in 0..TRIES {
            let last = match head.take() {
                Some(last) => last,
                None => self.read_head().await?,
            };
            let key = self.signer()?.key()?;
            let link = sign_link(&key, last, epoch, act.link())?;
            let mut connection = self.connection().await?;
            let limit = connection.until.min(until);
            let answer = timeout_at(limit, act.send(&mut connection, &link)).await;
            let (stale, other) = (code_of(&answer).as_deref() == Some(STALE), other_key(&answer));
            let settled = connection.settle(answer, act.doing());
            if stale {
                continue;
            }
            if let Some(id) = other {
                let again = self.sign_again(&id);
                if matches!(act, Act::Begin(_)) && self.choose(&id).is_ok() {
                    continue;
                }
                return Err(again);
            }
            // What went wrong otherwise may have been committed: the head is read anew the next time.
            let needed = settled?;
            *head = Some(if needed { link.head() } else { last });
            self.chain.seen.send_replace(*head);
            return Ok(needed);
        }
        Err(AuditError::Unavailable { reason: "others append to the installation's chain all the time".into() })
    }

    async fn read_head(&self) -> Result<LinkHead, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_as::<_, (i64, Vec<u8>)>("SELECT n, hash FROM head").fetch_one(&mut *connection);
        let answer = timeout_at(until, query).await;
        let (n, hash) = connection.settle(answer, Doing::Asking)?;
        let hash = Hash::from_slice(&hash)
            .ok_or_else(|| AuditError::Refused("the head of the installation's chain has no hash".to_owned()))?;
        Ok(LinkHead { n, hash })
    }

    /// Hash of what stands before number `seq` of a session.
    pub(super) async fn before(&self, session: &SessionId, seq: i64) -> Result<Option<Hash>, AuditError> {
        let mut connection = self.connection().await?;
        let until = connection.until;
        let query = sqlx::query_scalar::<_, Option<Vec<u8>>>(
            "SELECT coalesce((SELECT hash FROM entries WHERE session_id = $1 AND seq = $2 - 1), anchor) \
             FROM sessions WHERE id = $1",
        )
        .bind(session.as_str())
        .bind(seq)
        .fetch_optional(&mut *connection);
        let answer = timeout_at(until, query).await;
        let found = connection.settle(answer, Doing::Asking)?;
        Ok(found.flatten().and_then(|bytes| Hash::from_slice(&bytes)))
    }
}

/// The key that counts, if that is why a call was refused.
fn other_key<T>(answer: &Result<Result<T, sqlx::Error>, tokio::time::error::Elapsed>) -> Option<String> {
    let Ok(Err(sqlx::Error::Database(error))) = answer else { return None };
    (error.code().as_deref() == Some(OTHER_KEY)).then(|| error.message().to_owned())
}
