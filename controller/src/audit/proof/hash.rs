//! Hashes, and the messages that are hashed and signed.
//!
//! A message says what kind of thing it is, and every part of it has a length that is fixed or stands
//! before it, so that two different things never give the same bytes. The database makes the same
//! messages (`entry_hash`, `link_hash` in `0003_proof.sql`).

pub use audit_client::hash::Hash;

use super::key::KeyId;

/// The domain of an entry's message.
const ENTRY: &[u8] = b"operator.dev/audit/entry/v1\0";
/// The domain of a link's message.
const LINK: &[u8] = b"operator.dev/audit/link/v1\0";
/// The domain of the message by which a new key shows that somebody has its private half.
const KEY: &[u8] = b"operator.dev/audit/key/v1\0";

/// What is signed of an entry, and hashed.
#[must_use]
pub fn entry_message(session: &str, seq: i64, epoch: i64, key: KeyId, prev: &Hash, body: &[u8]) -> Vec<u8> {
    let mut message = ENTRY.to_vec();
    // A session's name has 63 characters at most.
    message.extend(u32::try_from(session.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend(session.as_bytes());
    finish(message, seq, epoch, key, prev, body)
}

/// What is signed of a link, and hashed.
#[must_use]
pub fn link_message(n: i64, epoch: i64, key: KeyId, prev: &Hash, body: &[u8]) -> Vec<u8> {
    finish(LINK.to_vec(), n, epoch, key, prev, body)
}

/// What a new key signs when it enters the chain: its place there, all that stands before it, itself.
#[must_use]
pub fn possession_message(n: i64, prev: &Hash, public: &[u8; 32]) -> Vec<u8> {
    let mut message = KEY.to_vec();
    message.extend(n.to_be_bytes());
    message.extend(prev.as_bytes());
    message.extend(public);
    message
}

fn finish(mut message: Vec<u8>, number: i64, epoch: i64, key: KeyId, prev: &Hash, body: &[u8]) -> Vec<u8> {
    message.extend(number.to_be_bytes());
    message.extend(epoch.to_be_bytes());
    message.extend(key.as_bytes());
    message.extend(prev.as_bytes());
    message.extend(Hash::of(body).as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_message_changes_its_hash() {
        let (key, other) = (KeyId::from_slice(&[1; 8]).unwrap(), KeyId::from_slice(&[2; 8]).unwrap());
        let (zero, one) = (Hash::ZERO, Hash::of(b"1"));
        let messages = [
            entry_message("s", 1, 1, key, &zero, b"x"),
            entry_message("t", 1, 1, key, &zero, b"x"),
            entry_message("s", 2, 1, key, &zero, b"x"),
            entry_message("s", 1, 2, key, &zero, b"x"),
            entry_message("s", 1, 1, other, &zero, b"x"),
            entry_message("s", 1, 1, key, &one, b"x"),
            entry_message("s", 1, 1, key, &zero, b"y"),
            link_message(1, 1, key, &zero, b"x"),
            possession_message(1, &zero, &[0; 32]),
        ];
        let mut hashes: Vec<Hash> = messages.iter().map(|message| Hash::of(message)).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), messages.len());
    }

    #[test]
    fn the_bytes_of_a_message_are_these() {
        let key = KeyId::from_slice(&[0xab; 8]).unwrap();
        let message = entry_message("s", 2, 3, key, &Hash::ZERO, b"{}");
        let mut expected = b"operator.dev/audit/entry/v1\0\0\0\0\x01s".to_vec();
        expected.extend([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend([0xab; 8]);
        expected.extend([0; 32]);
        expected.extend(Hash::of(b"{}").as_bytes());
        assert_eq!(message, expected);
    }
}
