//! What stands where a secret stood.

use std::fmt::Write as _;
use std::ops::Range;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Masked;
use super::scan::Found;
use crate::session::SessionId;

/// How every mark begins.
pub(super) const PREFIX: &[u8] = b"[redacted:";
/// What is masked only because it lies on a cut.
pub(super) const CUT: &str = "cut";

/// Where marks stand already.
pub(super) fn ranges(data: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    memchr::memmem::find_iter(data, PREFIX).filter_map(|start| {
        let rest = data.get(start + PREFIX.len()..)?;
        let inside = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b':');
        let length = rest.iter().take(64).take_while(|byte| inside(byte)).count();
        (rest.get(length) == Some(&b']')).then(|| start..start + PREFIX.len() + length + 1)
    })
}

/// A random value that the audit store keeps for the controller alone. Keys are derived from it.
#[derive(Clone)]
pub struct InstallationSecret([u8; 32]);

impl InstallationSecret {
    /// From its bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The boundary of a session's fences: 64 bits in hex.
    pub(super) fn boundary(&self, session: &SessionId) -> String {
        hex(&self.derive("fence", session)[..8])
    }

    fn derive(&self, what: &str, session: &SessionId) -> [u8; 32] {
        keyed(&self.0, &[what.as_bytes(), b":", session.as_str().as_bytes()])
    }
}

/// Makes marks.
#[derive(Clone)]
pub(super) struct Marker {
    key: Option<[u8; 32]>,
}

impl Marker {
    pub(super) fn of_session(secret: &InstallationSecret, session: &SessionId) -> Self {
        Self { key: Some(secret.derive("redact", session)) }
    }

    pub(super) fn without_key() -> Self {
        Self { key: None }
    }

    fn mark(&self, kind: &str, secret: &[u8]) -> String {
        match &self.key {
            Some(key) if kind != CUT => format!("[redacted:{kind}:{}]", hex(&keyed(key, &[secret])[..3])),
            _ => format!("[redacted:{kind}]"),
        }
    }

    /// `data` with marks where secrets were found. `found` is in order and without overlaps.
    pub(super) fn replace(&self, data: &[u8], found: &[Found<'_>]) -> Masked<Vec<u8>> {
        let mut value = Vec::with_capacity(data.len());
        let (mut at, mut count) = (0, 0);
        for one in found {
            value.extend_from_slice(data.get(at..one.start).unwrap_or_default());
            value.extend_from_slice(self.mark(one.kind, data.get(one.start..one.end).unwrap_or_default()).as_bytes());
            at = one.end;
            count += u64::from(one.kind != CUT);
        }
        value.extend_from_slice(data.get(at..).unwrap_or_default());
        Masked { value, count }
    }
}

fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key that is shorter than the hash's block is filled up with zeros, by definition.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
