//! Once a second each node compares its own tally with Redis' record, key by key.
//!
//! A node compares only what it charged itself since it started (Redis keeps who charged), so no
//! node needs to know the others. Buckets that may still change are left out on both sides: a check
//! that Redis has counted but whose answer is under way must not look like drift.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::RedisError;

use crate::error::RedisFault;
use crate::limits::Limit;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::tally::Tally;
use crate::window::{Charge, LIMITS, charges, window_key};

const EVERY: Duration = Duration::from_secs(1);

/// What was found about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The key.
    pub key: String,
    /// The limit in force.
    pub limit: u64,
    /// All units in Redis' window.
    pub used: u64,
    /// Units that this node charged, by Redis' record.
    pub redis_own: u64,
    /// Units that this node charged, by its own.
    pub local: u64,
}

impl Finding {
    /// By how much Redis' record is above (below: negative) the node's own.
    #[must_use]
    pub fn drift(&self) -> i64 {
        i64::try_from(i128::from(self.redis_own) - i128::from(self.local)).unwrap_or(i64::MAX)
    }
}

/// All findings of the last round that succeeded, and when that was.
#[derive(Debug, Default)]
pub struct Findings {
    /// By key.
    pub keys: Vec<Finding>,
    /// When. `None`: never, or the last round failed.
    pub at: Option<Instant>,
}

/// Compares for ever.
pub async fn run(
    store: Arc<Store>,
    tally: Arc<Tally>,
    metrics: Arc<Metrics>,
    default: Limit,
    tag: String,
    settle: Duration,
) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let found = round(&store, &tally, default, &tag, settle).await;
        // Old numbers would look like fresh ones, so a failed round leaves none.
        metrics.set_findings(match found {
            Ok(keys) => Findings { keys, at: Some(Instant::now()) },
            Err(_) => Findings::default(),
        });
    }
}

async fn round(
    store: &Store,
    tally: &Tally,
    default: Limit,
    tag: &str,
    settle: Duration,
) -> Result<Vec<Finding>, RedisFault> {
    let keys = tally.keys();
    let (now_ms, limits, windows) = store.run(async |c| read(c, &keys).await).await?;
    Ok(keys
        .into_iter()
        .zip(limits.into_iter().zip(windows))
        .map(|(key, (limit, window))| {
            // A limit that cannot be read is the business of the checks, which fail with it.
            let limit = limit.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(default);
            compare(key, limit, &charges(&window), now_ms, tag, settle, tally)
        })
        .collect())
}

type Read = (u64, Vec<Option<String>>, Vec<Vec<(String, String)>>);

async fn read(connection: &mut redis::aio::MultiplexedConnection, keys: &[String]) -> Result<Read, RedisError> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
    let now_ms = seconds * 1000 + micros / 1000;
    if keys.is_empty() {
        return Ok((now_ms, Vec::new(), Vec::new()));
    }
    let limits = redis::cmd("HMGET").arg(LIMITS).arg(keys).query_async(connection).await?;
    let mut pipe = redis::pipe();
    for key in keys {
        pipe.hgetall(window_key(key));
    }
    Ok((now_ms, limits, pipe.query_async(connection).await?))
}

fn compare(
    key: String,
    limit: Limit,
    window: &[Charge],
    now_ms: u64,
    tag: &str,
    settle: Duration,
    tally: &Tally,
) -> Finding {
    let width = limit.bucket_width_ms();
    let settle = u64::try_from(settle.as_millis()).unwrap_or(u64::MAX);
    let oldest = now_ms.saturating_sub(limit.window_ms);
    // One bucket in from either end: there, script and audit may disagree on what still counts.
    let (from, to) = (oldest + width, now_ms.saturating_sub(settle.saturating_add(width)));
    let sum = |keep: &dyn Fn(&Charge) -> bool| -> u64 {
        window.iter().filter(|c| keep(c)).map(|c| c.units).fold(0, u64::saturating_add)
    };
    Finding {
        limit: limit.limit,
        used: sum(&|c| c.bucket_ms + width > oldest),
        redis_own: sum(&|c| c.tag == tag && (from..to).contains(&c.bucket_ms)),
        local: tally.units(&key, from, to),
        key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { limit: 10, window_ms: 10_000 };

    fn charge(bucket_ms: u64, tag: &str, units: u64) -> Charge {
        Charge { bucket_ms, tag: tag.to_owned(), units }
    }

    fn found(window: &[Charge], tally: &Tally) -> Finding {
        let settle = Duration::from_millis(500);
        compare("a".to_owned(), LIMIT, window, 100_000, "n1", settle, tally)
    }

    #[test]
    fn equal_records_do_not_drift_whatever_others_charge() {
        let tally = Tally::new(10);
        tally.note("a", LIMIT, 95_000, 2);
        let finding = found(&[charge(95_000, "n1", 2), charge(95_000, "n2", 5)], &tally);
        assert_eq!((finding.used, finding.local, finding.drift()), (7, 2, 0));
    }

    #[test]
    fn a_charge_under_way_is_not_drift_but_is_used() {
        let finding = found(&[charge(99_500, "n1", 1)], &Tally::new(10));
        assert_eq!((finding.used, finding.drift()), (1, 0));
    }

    #[test]
    fn lost_and_added_units_are_drift() {
        let tally = Tally::new(10);
        tally.note("a", LIMIT, 95_000, 4);
        assert_eq!(found(&[], &tally).drift(), -4);
        assert_eq!(found(&[charge(95_000, "n1", 9)], &tally).drift(), 5);
    }

    #[test]
    fn charges_dated_ahead_count_as_used() {
        let finding = found(&[charge(900_000, "", 50)], &Tally::new(10));
        assert_eq!((finding.used, finding.drift()), (50, 0));
    }
}
