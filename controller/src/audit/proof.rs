//! The proof of the trail: what makes it plain that a row was changed, removed or slipped in.
//!
//! Each entry is signed together with the hash of the one before it, so that a session is a chain. The
//! first entry follows a *link* of a chain that the whole installation has: there each session's start
//! and end stand, each key, and each removal of old sessions. So a session that is gone leaves a link
//! that says it was there. The head of both chains stands in the Incident's status as well, out of reach
//! of who owns the database.
//!
//! * [`hash`] has the bytes that are signed, [`key`] the keys, [`link`] what a link says;
//! * [`signer`] signs, with the key that counts;
//! * [`row`] is the trail with nothing left out, [`walk`](row::records) its stream, [`export`] its file;
//! * [`verify`](mod@verify) says what does not hold, and where;
//! * [`vault`] keeps the private key outside the database.

pub mod export;
pub mod hash;
pub mod key;
pub mod link;
pub mod row;
pub mod signer;
pub mod vault;
pub mod verify;
mod walk;

pub use audit_client::hex;
pub use hash::Hash;
pub use key::{KeyId, PrivateKey, PublicKey};
pub use link::LinkHead;
pub use row::ProofReader;
pub use signer::{SignedEntry, Signer};
