//! Where the private key is kept: a file, or a Secret of the cluster. Never the database.
//!
//! A rotation has to survive a crash at every step, and a private key that was lost can sign no
//! successor. So the next key is put beside the current one before the chain hears of it, and takes its
//! place after.

mod file;
mod secret;

use async_trait::async_trait;

use super::key::PrivateKey;

pub use file::FileVault;
pub use secret::{CURRENT, NEXT, SecretVault};

/// Why a key cannot be had or kept.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct VaultError(pub String);

impl VaultError {
    /// A static name for metrics and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        "vault"
    }
}

/// The keys that are there.
#[derive(Debug, Default)]
pub struct Held {
    /// The one that signs, unless a rotation was cut off.
    pub current: Option<PrivateKey>,
    /// The one that is to sign next, or does already.
    pub next: Option<PrivateKey>,
}

/// A place for the private key.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Its name, for people.
    fn place(&self) -> String;

    /// What is there.
    async fn load(&self) -> Result<Held, VaultError>;

    /// Puts `key` there as the current one, if there is none. Whoever comes second is refused, or finds
    /// the other's with the next [`Vault::load`].
    async fn create(&self, key: &PrivateKey) -> Result<(), VaultError>;

    /// Puts `key` beside the current one.
    async fn put_next(&self, key: &PrivateKey) -> Result<(), VaultError>;

    /// The next one becomes the current one.
    async fn promote(&self) -> Result<(), VaultError>;
}
