//! Limits: what they may be, and where they are kept (one Redis hash, so that all nodes agree).

use serde::{Deserialize, Serialize};

use crate::error::ApiError;

/// Into how many buckets a window is cut.
pub const BUCKETS: u64 = 20;
/// The longest key that is taken.
pub const MAX_KEY_BYTES: usize = 128;
/// The largest limit.
pub const MAX_LIMIT: u64 = 1_000_000;
/// The shortest window.
pub const MIN_WINDOW_MS: u64 = 100;
/// The longest window.
pub const MAX_WINDOW_MS: u64 = 3_600_000;

/// So many units in so long a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Units that fit in one window.
    pub limit: u64,
    /// Length of the window.
    pub window_ms: u64,
}

impl Limit {
    /// A limit within the bounds, or a sentence that says which bound it breaks.
    pub fn checked(self) -> Result<Self, ApiError> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(ApiError::Invalid(format!("limit must be between 1 and {MAX_LIMIT}, not {}", self.limit)));
        }
        if !(MIN_WINDOW_MS..=MAX_WINDOW_MS).contains(&self.window_ms) {
            return Err(ApiError::Invalid(format!(
                "window_ms must be between {MIN_WINDOW_MS} and {MAX_WINDOW_MS}, not {}",
                self.window_ms
            )));
        }
        Ok(self)
    }

    /// Width of one bucket, the same as in the script.
    #[must_use]
    pub fn bucket_width_ms(&self) -> u64 {
        self.window_ms.div_ceil(BUCKETS)
    }
}

/// Checks a key: it becomes part of a Redis key, a path and a metric label.
pub fn check_key(key: &str) -> Result<(), ApiError> {
    if key.is_empty() {
        return Err(ApiError::Invalid("key must not be empty".to_owned()));
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(ApiError::Invalid(format!("key must be at most {MAX_KEY_BYTES} bytes long, not {}", key.len())));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:@-".contains(c);
    if let Some(bad) = key.chars().find(|c| !allowed(*c)) {
        return Err(ApiError::Invalid(format!("key may hold letters, digits and _ . : @ - only, not {bad:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<impl std::fmt::Debug, ApiError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn keys_are_checked_with_a_reason() {
        for good in ["a", "user-1", "tenant:42", "me@example.org", "A_b.c"] {
            check_key(good).unwrap();
        }
        assert_eq!(message(check_key("")), "key must not be empty");
        assert!(message(check_key(&"x".repeat(129))).contains("at most 128 bytes long, not 129"));
        assert!(message(check_key("a b")).contains("not ' '"));
        assert!(message(check_key("a/b")).contains("not '/'"));
        assert!(message(check_key("a\0")).contains("'\\0'"));
        assert!(message(check_key("schlüssel")).contains("'ü'"));
    }

    #[test]
    fn limits_are_bounded() {
        let good = Limit { limit: 100, window_ms: 10_000 };
        assert_eq!(good.checked().unwrap(), good);
        assert!(message(Limit { limit: 0, ..good }.checked()).contains("limit must be between 1"));
        let short = Limit { window_ms: 99, ..good };
        assert!(message(short.checked()).contains("window_ms must be between 100"));
    }

    #[test]
    fn every_allowed_window_has_whole_buckets() {
        for window_ms in [MIN_WINDOW_MS, 101, 999, 10_000, MAX_WINDOW_MS] {
            let limit = Limit { limit: 1, window_ms };
            assert!(limit.bucket_width_ms() * BUCKETS >= window_ms);
            assert!(limit.bucket_width_ms() >= 5);
        }
    }
}
