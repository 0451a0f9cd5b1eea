//! What a call used, as counted by the API.

use serde_json::Value;

/// Tokens of one message. The numbers are read out of the API's object, which is kept whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read that were neither written to nor read from the cache.
    pub input: u64,
    /// Tokens written, thinking included.
    pub output: u64,
    /// Tokens read and written to the cache.
    pub cache_write: u64,
    /// Tokens read from the cache.
    pub cache_read: u64,
    /// The API's object, verbatim.
    pub raw: Value,
}

impl Usage {
    /// Reads the API's object. A number that is missing, null or not a number counts as 0.
    #[must_use]
    pub fn from_api(raw: Value) -> Self {
        let number = |key: &str| raw.get(key).and_then(Value::as_u64).unwrap_or(0);
        Self {
            input: number("input_tokens"),
            output: number("output_tokens"),
            cache_write: number("cache_creation_input_tokens"),
            cache_read: number("cache_read_input_tokens"),
            raw,
        }
    }

    /// All tokens that the model read: what the conversation measures.
    #[must_use]
    pub fn total_input(&self) -> u64 {
        self.input.saturating_add(self.cache_write).saturating_add(self.cache_read)
    }

    /// All tokens, read and written.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total_input().saturating_add(self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_is_there() {
        let usage = Usage::from_api(
            json!({"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 10, "cache_creation_input_tokens": null}),
        );
        assert_eq!((usage.total_input(), usage.total()), (13, 17));
        assert_eq!(Usage::from_api(Value::Null).total(), 0);
    }
}
