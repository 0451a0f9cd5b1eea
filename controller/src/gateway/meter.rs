//! What goes in with a change: counted and hashed on the way, its head kept.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::audit::entry::{Bytes, InputRecord};

/// How much of an input is kept.
const HEAD: usize = 1 << 10;

/// Measures a stream.
#[derive(Default)]
pub struct Meter {
    bytes: u64,
    hash: Sha256,
    head: Vec<u8>,
}

impl Meter {
    /// These went in.
    pub fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        self.hash.update(chunk);
        let room = HEAD.saturating_sub(self.head.len());
        self.head.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    /// What is put on record; nothing if nothing went in.
    #[must_use]
    pub fn record(&self) -> Option<InputRecord> {
        if self.bytes == 0 {
            return None;
        }
        let mut sha256 = String::with_capacity(64);
        for byte in self.hash.clone().finalize() {
            // Writing to a string cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        // The cut may go through a character, which does not make it less of a text.
        let text = match std::str::from_utf8(&self.head) {
            Ok(text) => Some(text),
            Err(error) if error.error_len().is_none() && self.bytes > HEAD as u64 => {
                std::str::from_utf8(&self.head[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        let head = text.map_or_else(|| Bytes::Base64(STANDARD.encode(&self.head)), |text| Bytes::Text(text.to_owned()));
        Some(InputRecord { bytes: self.bytes, sha256, head })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_nothing_on_record() {
        assert_eq!(Meter::default().record(), None);
    }

    #[test]
    fn a_long_text_is_counted_and_hashed_whole_and_kept_in_part() {
        let mut meter = Meter::default();
        for _ in 0..1000 {
            meter.add("häh".as_bytes());
        }
        let record = meter.record().unwrap();
        assert_eq!(record.bytes, 4000);
        assert_eq!(record.sha256.len(), 64);
        assert_eq!(record.head, Bytes::Text("häh".repeat(256)));
    }

    #[test]
    fn the_hash_is_the_usual_one() {
        let mut meter = Meter::default();
        meter.add(b"a");
        meter.add(b"bc");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(meter.record().unwrap().sha256, sha256);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_base64() {
        let mut meter = Meter::default();
        meter.add(&[0xff, 0, 1]);
        assert_eq!(meter.record().unwrap().head, Bytes::Base64("/wAB".into()));
    }
}
