//! The signing key's way into the trail: the first one, and each that follows it.
//!
//! Done by `operator migrate`, as the owner of the schema. Every step may be the last before a crash;
//! the next run finds out how far it came, from the chain and from the vault.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};

use super::connection;
use super::schema::MigrateError;
use crate::audit::AuditError;
use crate::audit::proof::hash::{Hash, possession_message};
use crate::audit::proof::hex;
use crate::audit::proof::key::{KeyId, PrivateKey, PublicKey};
use crate::audit::proof::link::{AdoptLink, Adopted, KeyLink, LinkBody, LinkHead};
use crate::audit::proof::signer::{SignedLink, sign_link};
use crate::audit::proof::vault::Vault;
use crate::session::SessionId;

/// Unsigned sessions in one link.
const ADOPTED: usize = 500;

/// What is wanted of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A new one now, signed by the one that counts.
    pub rotate: bool,
    /// New ones until it is the installation's key of this number.
    pub number: i64,
    /// A new one in place of one that is lost.
    pub replace_lost: bool,
}

/// What [`prepare_key`] found or made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The key that counts.
    pub public: PublicKey,
    /// Which one it is, from 1.
    pub number: i64,
    /// Whether it is new.
    pub new: bool,
    /// Unsigned sessions that the chain took up.
    pub adopted: usize,
}

/// The end of the chain.
struct Head {
    last: LinkHead,
    key: Option<KeyId>,
    number: i64,
    installation: String,
}

/// Sees to it that there is a key, that the chain knows it, and that it is the one that is wanted.
///
/// # Errors
/// [`MigrateError`].
pub async fn prepare_key(url: &str, vault: &dyn Vault, wanted: Wanted) -> Result<Prepared, MigrateError> {
    let options =
        connection::options(url, Duration::from_mins(10)).map_err(|error| MigrateError::Setting(error.to_string()))?;
    let mut database = connection::open(&options, Duration::from_secs(30), &mut |_| {}).await?;
    let mut prepared = step(&mut database, vault, wanted.rotate, wanted.replace_lost).await?;
    while prepared.number < wanted.number {
        prepared = Prepared { adopted: prepared.adopted, ..step(&mut database, vault, true, false).await? };
    }
    // The work is committed; a goodbye that fails changes nothing.
    let _ = database.close().await;
    Ok(prepared)
}

async fn step(
    database: &mut PgConnection,
    vault: &dyn Vault,
    rotate: bool,
    replace_lost: bool,
) -> Result<Prepared, MigrateError> {
    let mut transaction = database.begin().await.map_err(MigrateError::Keys)?;
    // One at a time, also with the vault.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('operator.keys', 0))")
        .execute(&mut *transaction)
        .await
        .map_err(MigrateError::Keys)?;
    let head = read_head(&mut transaction).await?;
    let kept = vault.load().await?;
    let Some(current) = head.key else {
        return first(transaction, vault, kept.current, &head).await;
    };
    let is_current = |key: &PrivateKey| key.id() == current;
    let (key, beside) = match (kept.current, kept.next) {
        (Some(key), next) if is_current(&key) => (Some(key), next),
        (_, Some(next)) if is_current(&next) => {
            // A rotation that was cut off after the chain heard of it.
            vault.promote().await?;
            (Some(next), None)
        }
        (_, next) => (None, next),
    };
    let (key, lost) = match key {
        Some(key) if !rotate => {
            return Ok(Prepared { public: key.public(), number: head.number, new: false, adopted: 0 });
        }
        Some(key) => (Some(key), false),
        None if replace_lost => (None, true),
        None => return Err(MigrateError::LostKey { id: current.to_string(), place: vault.place() }),
    };
    // What a rotation left that was cut off before the chain heard of it is as good as a new one.
    let new = if let Some(beside) = beside {
        beside
    } else {
        let new = PrivateKey::generate();
        vault.put_next(&new).await?;
        new
    };
    let body = key_link(&new, &head, lost);
    let link = sign_link(key.as_ref().unwrap_or(&new), head.last, 0, body)?;
    append(&mut transaction, &link).await?;
    transaction.commit().await.map_err(MigrateError::Keys)?;
    vault.promote().await?;
    Ok(Prepared { public: new.public(), number: head.number + 1, new: true, adopted: 0 })
}

/// The first key, and all sessions that are there already.
async fn first(
    mut transaction: Transaction<'_, Postgres>,
    vault: &dyn Vault,
    kept: Option<PrivateKey>,
    head: &Head,
) -> Result<Prepared, MigrateError> {
    let key = if let Some(key) = kept {
        key
    } else {
        let key = PrivateKey::generate();
        vault.create(&key).await?;
        key
    };
    let link = sign_link(&key, head.last, 0, key_link(&key, head, false))?;
    append(&mut transaction, &link).await?;
    let (mut last, mut adopted) = (link.head(), 0);
    let sessions = unsigned(&mut transaction).await?;
    for some in sessions.chunks(ADOPTED) {
        let link = sign_link(&key, last, 0, LinkBody::Adopt(AdoptLink { sessions: some.to_vec() }))?;
        append(&mut transaction, &link).await?;
        last = link.head();
        adopted += some.len();
        let ids: Vec<String> = some.iter().map(|one| one.session.to_string()).collect();
        sqlx::query("UPDATE sessions SET anchor = $1 WHERE id = ANY ($2)")
            .bind(last.hash.as_bytes().to_vec())
            .bind(ids)
            .execute(&mut *transaction)
            .await
            .map_err(MigrateError::Keys)?;
    }
    transaction.commit().await.map_err(MigrateError::Keys)?;
    Ok(Prepared { public: key.public(), number: 1, new: true, adopted })
}

fn key_link(new: &PrivateKey, head: &Head, lost: bool) -> LinkBody {
    let public = new.public();
    let possession = new.sign(&possession_message(head.last.n + 1, &head.last.hash, public.as_bytes()));
    LinkBody::Key(KeyLink {
        id: public.id(),
        number: head.number + 1,
        public_key: public.to_hex(),
        possession: hex::encode(&possession),
        replaces: head.key,
        lost,
        installation: head.installation.clone(),
    })
}

/// Keeps others off the chain until the end of the transaction.
async fn read_head(transaction: &mut Transaction<'_, Postgres>) -> Result<Head, MigrateError> {
    let row = sqlx::query_as::<_, (i64, Vec<u8>, String, i64, String)>(
        "SELECT h.n, h.hash, h.key_id, (SELECT count(*) FROM keys), (SELECT id FROM installation) \
         FROM head h FOR UPDATE OF h",
    )
    .fetch_one(&mut **transaction)
    .await;
    let (n, hash, key, number, installation) = row.map_err(MigrateError::Keys)?;
    let wrong = || AuditError::Refused("the head of the installation's chain cannot be read".to_owned());
    let hash = Hash::from_slice(&hash).ok_or_else(wrong)?;
    let key = if key.is_empty() { None } else { Some(key.parse().map_err(|_| wrong())?) };
    Ok(Head { last: LinkHead { n, hash }, key, number, installation })
}

async fn append(transaction: &mut Transaction<'_, Postgres>, link: &SignedLink) -> Result<(), MigrateError> {
    let query = sqlx::query("SELECT append_link($1, $2, $3, $4, $5, $6)")
        .bind(link.n)
        .bind(link.prev.as_bytes().to_vec())
        .bind(&link.body)
        .bind(link.signature.to_vec())
        .bind(link.key.to_string())
        .bind(link.epoch);
    query.execute(&mut **transaction).await.map(drop).map_err(MigrateError::Keys)
}

/// Every session that is there, with the digest of its entries.
async fn unsigned(transaction: &mut Transaction<'_, Postgres>) -> Result<Vec<Adopted>, MigrateError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM sessions")
        .fetch_all(&mut **transaction)
        .await
        .map_err(MigrateError::Keys)?;
    let none =
        |session: &String| Adopted { session: SessionId::from(session.clone()), last_seq: 0, digest: Hash::ZERO };
    let mut all: BTreeMap<String, Adopted> = ids.iter().map(|id| (id.clone(), none(id))).collect();
    let mut rows = sqlx::query_as::<_, (String, i64, Vec<u8>)>(
        "SELECT session_id, seq, body FROM entries ORDER BY session_id, seq",
    )
    .fetch(&mut **transaction);
    while let Some((session, seq, body)) = rows.try_next().await.map_err(MigrateError::Keys)? {
        if let Some(one) = all.get_mut(&session) {
            one.digest = one.digest.then(&body);
            one.last_seq = seq;
        }
    }
    Ok(all.into_values().collect())
}
