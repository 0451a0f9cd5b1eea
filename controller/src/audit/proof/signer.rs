//! Signing, with the key that the trail asks for.
//!
//! The key is a file that may be replaced while the controller runs (a rotation): when the store says
//! that another one counts now, the file is read again. Beside it stands, for the moment of a rotation,
//! the next one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;

use super::hash::{Hash, entry_message, link_message};
use super::key::{KeyId, PrivateKey};
use super::link::{Link, LinkBody, LinkHead};
use crate::audit::{AuditError, ControlEvent, EntryBody, codec};
use crate::session::SessionId;

/// An entry as it is sent: signed, and fit for one place in one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEntry {
    /// The session.
    pub session: SessionId,
    /// Its number.
    pub seq: i64,
    /// The bytes that are kept.
    pub body: Vec<u8>,
    /// Hash of the entry before it; of the first one, of the link that began the session.
    pub prev: Hash,
    /// Its own.
    pub hash: Hash,
    /// Over the message whose hash that is.
    pub signature: [u8; 64],
    /// Whose signature.
    pub key: KeyId,
    /// The lease's epoch in which it was written.
    pub epoch: i64,
    /// Whether it is the last one of its session.
    pub seals: bool,
}

/// A link as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedLink {
    /// Its number.
    pub n: i64,
    /// The bytes that are kept.
    pub body: Vec<u8>,
    /// Hash of the link before it.
    pub prev: Hash,
    /// Its own.
    pub hash: Hash,
    /// Over the message whose hash that is.
    pub signature: [u8; 64],
    /// Whose signature.
    pub key: KeyId,
    /// The lease's epoch in which it was written; 0 by who needs no lease.
    pub epoch: i64,
}

impl SignedLink {
    /// As the last link.
    #[must_use]
    pub fn head(&self) -> LinkHead {
        LinkHead { n: self.n, hash: self.hash }
    }
}

/// The entry `seq` of `session`, behind the one with the hash `prev`.
///
/// # Errors
/// As [`codec::encode`].
pub fn sign_entry(
    key: &PrivateKey,
    session: &SessionId,
    seq: i64,
    epoch: i64,
    prev: Hash,
    at: Timestamp,
    body: &EntryBody,
) -> Result<SignedEntry, AuditError> {
    let seals = matches!(body, EntryBody::Control(control) if control.event == ControlEvent::Sealed);
    let body = codec::encode(session, seq, at, body)?;
    let id = key.id();
    let message = entry_message(session.as_str(), seq, epoch, id, &prev, &body);
    let (hash, signature) = (Hash::of(&message), key.sign(&message));
    Ok(SignedEntry { session: session.clone(), seq, body, prev, hash, signature, key: id, epoch, seals })
}

/// The link behind `head`.
///
/// # Errors
/// As [`Link::encode`].
pub fn sign_link(key: &PrivateKey, head: LinkHead, epoch: i64, body: LinkBody) -> Result<SignedLink, AuditError> {
    let link = Link::now(head.n + 1, body);
    let (n, body, id) = (link.n, link.encode()?, key.id());
    let message = link_message(n, epoch, id, &head.hash, &body);
    let (hash, signature) = (Hash::of(&message), key.sign(&message));
    Ok(SignedLink { n, body, prev: head.hash, hash, signature, key: id, epoch })
}

/// Where the next key stands during a rotation.
#[must_use]
pub fn next_path(path: &Path) -> PathBuf {
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    next.into()
}

/// Reads a key's file; none when it is not there.
///
/// # Errors
/// A sentence that names the file and repeats nothing of it.
pub fn read_key(path: &Path) -> Result<Option<PrivateKey>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the signing key {} cannot be read: {error}", path.display())),
    };
    PrivateKey::from_pem(&text).map(Some).map_err(|error| format!("the signing key {}: {error}", path.display()))
}

/// Holds the keys of a controller, and which of them counts.
#[derive(Debug)]
pub struct Signer {
    path: Option<PathBuf>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    keys: Vec<Arc<PrivateKey>>,
    current: Option<Arc<PrivateKey>>,
}

impl Signer {
    /// With the key in that file, which may come later.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path: Some(path), held: Mutex::default() }
    }

    /// With this one.
    #[must_use]
    pub fn fixed(key: PrivateKey) -> Self {
        let key = Arc::new(key);
        Self { path: None, held: Mutex::new(Held { keys: vec![key.clone()], current: Some(key) }) }
    }

    /// The key to sign with.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] as long as there is none: it may be on its way.
    pub fn key(&self) -> Result<Arc<PrivateKey>, AuditError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.current.is_none() {
            self.read(&mut held)?;
            held.current = held.keys.first().cloned();
        }
        held.current.clone().ok_or_else(|| AuditError::Unavailable { reason: self.missing() })
    }

    /// The trail asks for this key from now on.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] as long as it is not there.
    pub fn choose(&self, id: KeyId) -> Result<(), AuditError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.current.as_ref().is_some_and(|key| key.id() == id) {
            return Ok(());
        }
        if !held.keys.iter().any(|key| key.id() == id) {
            self.read(&mut held)?;
        }
        let found = held.keys.iter().find(|key| key.id() == id).cloned();
        if let Some(key) = found {
            held.current = Some(key);
            return Ok(());
        }
        let there: Vec<String> = held.keys.iter().map(|key| key.id().to_string()).collect();
        let reason = if there.is_empty() {
            self.missing()
        } else {
            format!(
                "the trail is signed with the key {id} now, and {} holds {}: it comes with the rotation, or has to be restored",
                self.place(),
                there.join(", ")
            )
        };
        Err(AuditError::Unavailable { reason })
    }

    fn read(&self, held: &mut Held) -> Result<(), AuditError> {
        let Some(path) = &self.path else { return Ok(()) };
        let read = |path: &Path| read_key(path).map_err(|reason| AuditError::Unavailable { reason });
        let keys = [read(path)?, read(&next_path(path))?];
        held.keys = keys.into_iter().flatten().map(Arc::new).collect();
        Ok(())
    }

    fn place(&self) -> String {
        self.path.as_ref().map_or_else(|| "this process".to_owned(), |path| path.display().to_string())
    }

    fn missing(&self) -> String {
        format!("there is no signing key at {} yet: `operator migrate` makes it", self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_later_and_is_replaced_while_we_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let signer = Signer::at(path.clone());
        assert!(signer.key().unwrap_err().to_string().contains("operator migrate"));
        let (first, second) = (PrivateKey::generate(), PrivateKey::generate());
        std::fs::write(&path, &*first.to_pem()).unwrap();
        assert_eq!(signer.key().unwrap().id(), first.id());
        let error = signer.choose(second.id()).unwrap_err();
        assert!(error.is_transient() && error.to_string().contains(&second.id().to_string()), "{error}");
        std::fs::write(next_path(&path), &*second.to_pem()).unwrap();
        signer.choose(second.id()).unwrap();
        assert_eq!(signer.key().unwrap().id(), second.id());
        std::fs::write(&path, "garbage").unwrap();
        let error = Signer::at(path).key().unwrap_err().to_string();
        assert!(error.contains("signing.key") && !error.contains("garbage"), "{error}");
    }
}
