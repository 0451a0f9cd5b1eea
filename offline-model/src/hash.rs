//! A small stable hash.
//!
//! Ids and signatures must be the same in every run and on every machine, which the standard
//! library's hasher does not promise. FNV-1a does, can be fed piece by piece (a prompt cache needs
//! the hash of every prefix), and nothing here is a secret.

/// FNV-1a with 64 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fnv(u64);

impl Fnv {
    /// The hash of nothing.
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds bytes, with an end mark so that "ab","c" and "a","bc" differ.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    /// The value so far.
    pub(crate) fn value(self) -> u64 {
        self.0
    }
}

/// The hash of one piece.
pub(crate) fn of(bytes: &[u8]) -> u64 {
    Fnv::new().add(bytes).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_everywhere_and_sees_where_pieces_end() {
        assert_eq!(of(b"operator"), 0x468f_425c_04ff_1746);
        let split = |a: &str, b: &str| Fnv::new().add(a.as_bytes()).add(b.as_bytes()).value();
        assert_ne!(split("ab", "c"), split("a", "bc"));
    }
}
