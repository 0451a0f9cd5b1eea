//! The sliding window: one script call a check (`window.lua`), and reading it back for the audit.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Script};

use crate::limits::{BUCKETS, Limit};

/// The Redis hash that holds every limit that was set.
pub const LIMITS: &str = "limiter:limits";

/// The Redis hash that holds the window of a key.
#[must_use]
pub fn window_key(key: &str) -> String {
    format!("limiter:window:{key}")
}

/// What the script said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub outcome: Outcome,
    /// Units in the window, this check's included if it was allowed.
    pub used: u64,
    /// The limit in force.
    pub limit: Limit,
    /// Until a denied check of this cost would fit, or until the first unit leaves the window.
    pub reset_ms: u64,
    /// The bucket that was charged, by its start in Redis' time.
    pub bucket_ms: u64,
}

/// The three answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Charged.
    Allowed,
    /// Nothing was charged: the window is full.
    Denied,
    /// Nothing was charged, and nothing ever will be: the cost is above the limit.
    NeverFits,
}

/// The script, ready to be called.
pub struct Window {
    script: Script,
    default: Limit,
    tag: String,
}

impl Window {
    /// `tag` names this process in Redis' record of who charged what.
    #[must_use]
    pub fn new(default: Limit, tag: &str) -> Self {
        Self { script: Script::new(include_str!("window.lua")), default, tag: tag.to_owned() }
    }

    /// The limit of keys for which none was set.
    #[must_use]
    pub fn default_limit(&self) -> Limit {
        self.default
    }

    /// Asks, decides and charges, in one step.
    pub async fn check(
        &self,
        connection: &mut MultiplexedConnection,
        key: &str,
        cost: u64,
    ) -> Result<Verdict, RedisError> {
        let reply: [u64; 7] = self
            .script
            .key(window_key(key))
            .key(LIMITS)
            .arg(key)
            .arg(cost)
            .arg(&self.tag)
            .arg(self.default.limit)
            .arg(self.default.window_ms)
            .arg(BUCKETS)
            .invoke_async(connection)
            .await?;
        let [verdict, used, limit, window_ms, reset_ms, bucket_ms, _] = reply;
        Ok(Verdict {
            outcome: match verdict {
                1 => Outcome::Allowed,
                0 => Outcome::Denied,
                _ => Outcome::NeverFits,
            },
            used,
            limit: Limit { limit, window_ms },
            reset_ms,
            bucket_ms,
        })
    }
}

/// One entry of a window: who charged how much in which bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Start of the bucket.
    pub bucket_ms: u64,
    /// Who charged.
    pub tag: String,
    /// How much.
    pub units: u64,
}

/// Reads a window's hash. What is not ours (a hand was in it) gets an empty tag; what is no number
/// at all is left out, as the script does.
#[must_use]
pub fn charges(raw: &[(String, String)]) -> Vec<Charge> {
    raw.iter()
        .filter_map(|(field, units)| {
            let digits = field.find(|c: char| !c.is_ascii_digit()).unwrap_or(field.len());
            let (bucket, rest) = field.split_at(digits);
            Some(Charge {
                bucket_ms: bucket.parse().ok()?,
                tag: rest.strip_prefix(':').unwrap_or_default().to_owned(),
                units: units.parse().ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_read_even_when_a_hand_was_in_it() {
        let raw: Vec<(String, String)> =
            [("1500:node1-ab", "3"), ("2000", "7"), ("nonsense", "1"), ("2500:node2-cd", "x")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .into();
        let read = charges(&raw);
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].tag.as_str(), read[0].units), ("node1-ab", 3));
        assert_eq!((read[1].tag.as_str(), read[1].bucket_ms), ("", 2000));
    }
}
