//! The keys that sign the trail: Ed25519, as PEM files that other tools read, too.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::hex;

/// What stands before the 32 bytes of a private key in PKCS#8 (RFC 8410).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// What stands before the 32 bytes of a public key in a `SubjectPublicKeyInfo` (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why some text is not a key. Never repeats the text.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no private key.
    #[error("this is no Ed25519 private key: expected a PEM file that begins with -----BEGIN PRIVATE KEY-----")]
    Private,
    /// It is no public key.
    #[error(
        "this is no Ed25519 public key: expected 64 hex digits, or PEM that begins with -----BEGIN PUBLIC KEY-----"
    )]
    Public,
}

impl KeyError {
    /// A static name for metrics and logs.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match self {
            Self::Private => "key_private",
            Self::Public => "key_public",
        }
    }
}

/// The name of a key: the first eight bytes of the hash of its public half, in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// From bytes, if there are eight of them.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = hex::decode(text).and_then(|bytes| Self::from_slice(&bytes));
        bytes.ok_or_else(|| format!("{text:?} is no key's name: expected 16 hex digits"))
    }
}

impl TryFrom<String> for KeyId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

/// The public half: enough to verify.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From its 32 bytes, if they are a key.
    ///
    /// # Errors
    /// [`KeyError::Public`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Public)?;
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self).ok_or(KeyError::Public)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut id = [0; 8];
        id.copy_from_slice(&Hash::of(self.as_bytes()).as_bytes()[..8]);
        KeyId(id)
    }

    /// In hex.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der: Vec<u8> = SPKI.iter().chain(self.as_bytes()).copied().collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der))
    }

    /// Whether `signature` is this key's under `message`. Strict: one message has one signature.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Hex digits or PEM.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if let Some(bytes) = hex::decode(text) {
            return Self::from_slice(&bytes);
        }
        let der = from_pem(text, "PUBLIC KEY").ok_or(KeyError::Public)?;
        Self::from_slice(der.strip_prefix(&SPKI).ok_or(KeyError::Public)?)
    }
}

/// The private half: never in the database, a log or a message of an error.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
        Self(SigningKey::from_bytes(&seed))
    }

    /// From PEM.
    ///
    /// # Errors
    /// [`KeyError::Private`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = from_pem(text.trim(), "PRIVATE KEY").map(Zeroizing::new).ok_or(KeyError::Private)?;
        let seed = der.strip_prefix(&PKCS8).ok_or(KeyError::Private)?;
        let seed: &[u8; 32] = seed.try_into().map_err(|_| KeyError::Private)?;
        Ok(Self(SigningKey::from_bytes(seed)))
    }

    /// As PEM.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let der: Zeroizing<Vec<u8>> = Zeroizing::new(PKCS8.iter().chain(self.0.as_bytes()).copied().collect());
        let text = Zeroizing::new(BASE64.encode(&*der));
        Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", &*text))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.public().id()
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.id())
    }
}

fn from_pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let text = text.strip_suffix(&format!("-----END {label}-----"))?;
    let text: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    BASE64.decode(&*text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_text_and_back() {
        let key = PrivateKey::generate();
        let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(key.public().to_pem().parse::<PublicKey>().unwrap(), key.public());
        assert_eq!(key.public().to_hex().parse::<PublicKey>().unwrap(), key.public());
        assert_eq!(key.id().to_string().parse::<KeyId>().unwrap(), key.id());
    }

    /// RFC 8410, section 10: the examples of other implementations are read.
    #[test]
    fn pem_is_that_of_other_tools() {
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let key = PrivateKey::from_pem(private).unwrap();
        assert_eq!(*key.to_pem(), private);
        assert_eq!(key.public().to_pem(), public);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----";
        for bad in ["", "secret", secret] {
            let error = PrivateKey::from_pem(bad).unwrap_err().to_string();
            assert!(!error.contains("c2VjcmV0") && error.contains("expected"), "{error}");
            assert!(bad.parse::<PublicKey>().is_err());
        }
        // The identity point signs everything.
        let weak = format!("01{}", "00".repeat(31));
        assert!(weak.parse::<PublicKey>().is_err());
        assert!(!format!("{:?}", PrivateKey::generate()).contains("SigningKey"));
    }

    #[test]
    fn a_signature_fits_one_message_and_one_key() {
        let (key, other) = (PrivateKey::generate(), PrivateKey::generate());
        let signature = key.sign(b"x");
        assert!(key.public().verifies(b"x", &signature));
        assert!(!key.public().verifies(b"y", &signature));
        assert!(!other.public().verifies(b"x", &signature));
        assert!(!key.public().verifies(b"x", &signature[..63]));
    }
}
