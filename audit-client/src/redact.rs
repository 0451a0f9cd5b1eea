//! Secrets that come in from outside, masked before a row or a model sees them.
//!
//! What commands print, what an Incident says, what a change sends: all of it passes here first. Of a
//! secret only a mark stays, `[redacted:KIND:xxxxxx]`. The six hex digits are a keyed hash of what
//! stood there, so that the model and a reader can tell two secrets apart and see one again, and
//! nobody can guess a short password from them. The key is of the session: derived from a value that
//! the audit store keeps for the controller alone, so it is the same after a restart, and neither the
//! agent nor a reader of the trail has it.
//!
//! It protects from accidents: a `printenv`, a configuration file, a log line. It cannot protect from a
//! container that encodes what it prints; see `docs/security.md`.
//!
//! * `scan`: where secrets stand in a text. An automaton finds *anchors* (a token's prefix, the name
//!   of a password), and only there rules look closer; a text without anchors is looked at once.
//!   `tokens`, `pairs`, `blocks`, `commands`: the rules; `custom`: what the configuration adds;
//! * `edges`: what lies on a cut; `stream`: text that comes in pieces;
//! * `mark`: what stands there instead; `entries`: values, changes and entries.

mod blocks;
mod commands;
pub mod config;
mod custom;
mod edges;
mod entries;
mod mark;
mod pairs;
mod scan;
mod stream;
mod tokens;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use crate::session::SessionId;

pub use custom::RedactionError;
pub use edges::Edges;
pub use mark::InstallationSecret;
pub use stream::StreamRedactor;

use config::RedactionConfig;
use custom::Custom;
use mark::Marker;

/// What is masked, compiled.
pub struct Rules {
    custom: Arc<Custom>,
}

impl Rules {
    /// What the configuration adds to the built-in rules. `own` are the controller's own secrets: they are
    /// masked wherever they turn up.
    pub fn compile(config: &RedactionConfig, own: &[String]) -> Result<Self, RedactionError> {
        Ok(Self { custom: Arc::new(Custom::new(config, own)?) })
    }

    /// With the value from which keys are made.
    #[must_use]
    pub fn with(self, secret: InstallationSecret) -> Redaction {
        Redaction { custom: self.custom, secret }
    }
}

/// What is masked in this installation.
pub struct Redaction {
    custom: Arc<Custom>,
    secret: InstallationSecret,
}

impl Redaction {
    /// The redactor of a session. It gives the same marks whenever it is made.
    #[must_use]
    pub fn session(&self, session: &SessionId) -> Redactor {
        Redactor {
            custom: self.custom.clone(),
            marker: Marker::of_session(&self.secret, session),
            boundary: self.secret.boundary(session),
        }
    }
}

/// Masks secrets for one session.
#[derive(Clone)]
pub struct Redactor {
    custom: Arc<Custom>,
    marker: Marker,
    boundary: String,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// Something in which secrets are masked, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masked<T> {
    /// What is left.
    pub value: T,
    /// How many secrets were masked in it.
    pub count: u64,
}

/// A stream of output, bounded: all of it up to the cap, else its first and its last bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedStream {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, empty unless `total` is more than what was kept.
    pub tail: Vec<u8>,
    /// All bytes that were written.
    pub total: u64,
}

impl From<&[u8]> for CapturedStream {
    /// A stream of which everything was kept.
    fn from(bytes: &[u8]) -> Self {
        Self { head: bytes.to_vec(), tail: Vec::new(), total: bytes.len() as u64 }
    }
}

impl CapturedStream {
    /// Bytes that were dropped between head and tail.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.total.saturating_sub((self.head.len() + self.tail.len()) as u64)
    }
}

/// A stream of output in which secrets are masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskedStream {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes; empty unless some between were dropped.
    pub tail: Vec<u8>,
    /// All bytes that were written.
    pub total: u64,
    /// Of these, the ones that the sandbox dropped between head and tail.
    pub dropped: u64,
    /// How many secrets were masked.
    pub masked: u64,
}

impl Redactor {
    /// One with the built-in rules, for tests of what masks.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn of_tests(session: &SessionId) -> Self {
        let rules = Rules { custom: Arc::new(Custom::default()) };
        rules.with(InstallationSecret::new([3; 32])).session(session)
    }
}

impl Redactor {
    /// For readers, who have neither a session's key nor the configuration: the built-in rules, and
    /// marks without a hash.
    #[must_use]
    pub fn for_readers() -> &'static Self {
        static READERS: LazyLock<Redactor> = LazyLock::new(|| Redactor {
            custom: Arc::new(Custom::default()),
            marker: Marker::without_key(),
            boundary: String::new(),
        });
        &READERS
    }

    /// The boundary between which output stands for the model: nothing that a command prints can guess
    /// it. The same for a session whenever it is asked for.
    #[must_use]
    pub fn boundary(&self) -> &str {
        &self.boundary
    }

    /// Masks the secrets in bytes.
    #[must_use]
    pub fn bytes(&self, data: &[u8], edges: Edges) -> Masked<Vec<u8>> {
        let found = scan::find(&self.custom, data, edges);
        self.marker.replace(data, &found)
    }

    /// Masks the secrets in a text.
    #[must_use]
    pub fn text(&self, text: &str) -> Masked<String> {
        let masked = self.bytes(text.as_bytes(), Edges::WHOLE);
        let value = match String::from_utf8(masked.value) {
            Ok(text) => text,
            // A rule that ends inside a character would do this; what is broken then is one character.
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        Masked { value, count: masked.count }
    }

    /// Masks the secrets in what was kept of a stream. What lies on its cut is masked whether it looks
    /// like a secret or not: it may be half of one.
    #[must_use]
    pub fn captured(&self, stream: &CapturedStream) -> MaskedStream {
        let dropped = stream.dropped();
        let total = stream.total;
        if dropped == 0 {
            let masked = if stream.tail.is_empty() {
                self.bytes(&stream.head, Edges::WHOLE)
            } else {
                self.bytes(&[stream.head.as_slice(), &stream.tail].concat(), Edges::WHOLE)
            };
            return MaskedStream { head: masked.value, tail: Vec::new(), total, dropped, masked: masked.count };
        }
        let head = self.bytes(&stream.head, Edges { start: false, end: true });
        let tail = self.bytes(&stream.tail, Edges { start: true, end: false });
        MaskedStream { head: head.value, tail: tail.value, total, dropped, masked: head.count + tail.count }
    }

    /// Masks the secrets in a text that comes in pieces.
    #[must_use]
    pub fn stream(&self) -> StreamRedactor {
        StreamRedactor::new(self.clone())
    }
}
