//! The node's Prometheus metrics. Every series of a closed set exists from the start, so that a
//! series that is missing always means that something is wrong.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::audit::{Finding, Findings};
use crate::error::FaultKind;
use crate::latency::Sliding;

/// How many seconds the quantile gauges look back.
pub const QUANTILE_SECONDS: usize = 10;

type Labels = [(&'static str, &'static str); 1];

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// 200.
    Allowed,
    /// 429.
    Denied,
    /// 503, or allowed without Redis (see `ghost_allowed`).
    Error,
    /// 400.
    Invalid,
}

impl CheckResult {
    const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Error, Self::Invalid];

    fn labels(self) -> Labels {
        let result = match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Error => "error",
            Self::Invalid => "invalid",
        };
        [("result", result)]
    }
}

/// Everything a node measures.
pub struct Metrics {
    registry: Registry,
    checks: Family<Labels, Counter>,
    duration: Histogram,
    redis_errors: Family<Labels, Counter>,
    live: Arc<Live>,
    /// 1 while there is a connection to Redis.
    pub redis_up: Gauge,
    /// 1 while writes work too.
    pub redis_writable: Gauge,
    /// How often a connection to Redis was made.
    pub redis_connects: Counter,
    /// Checks allowed although Redis could not count them.
    pub ghost_allowed: Counter,
}

impl Metrics {
    /// All series of a node, at zero.
    #[must_use]
    pub fn new(node: &str) -> Self {
        let label = (Cow::Borrowed("node"), Cow::Owned(node.to_owned()));
        let mut registry = Registry::with_prefix_and_labels("ratelimiter", [label].into_iter());
        let checks = Family::<Labels, Counter>::default();
        for result in CheckResult::ALL {
            let _ = checks.get_or_create_owned(&result.labels());
        }
        let redis_errors = Family::<Labels, Counter>::default();
        for kind in FaultKind::ALL {
            let _ = redis_errors.get_or_create_owned(&[("kind", kind.as_str())]);
        }
        let metrics = Self {
            duration: Histogram::new([0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5]),
            live: Arc::new(Live::default()),
            checks,
            redis_errors,
            redis_up: Gauge::default(),
            redis_writable: Gauge::default(),
            redis_connects: Counter::default(),
            ghost_allowed: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("checks", "Checks answered, by result", metrics.checks.clone());
        registry.register("check_duration_seconds", "Time a check took", metrics.duration.clone());
        registry.register("redis_errors", "Calls to Redis that failed, by kind", metrics.redis_errors.clone());
        registry.register("redis_up", "1 while there is a connection to Redis", metrics.redis_up.clone());
        registry.register("redis_writable", "1 while Redis takes writes", metrics.redis_writable.clone());
        registry.register("redis_connects", "Connections made to Redis", metrics.redis_connects.clone());
        registry.register(
            "ghost_allowed",
            "Checks allowed although Redis could not count them",
            metrics.ghost_allowed.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(&metrics.live)));
        Self { registry, ..metrics }
    }

    /// Counts a check that was answered.
    pub fn check(&self, result: CheckResult, taken: Duration) {
        self.checks.get_or_create(&result.labels()).inc();
        // A refused request says nothing about how fast we are.
        if result != CheckResult::Invalid {
            self.duration.observe(taken.as_secs_f64());
            self.live.recent.record(taken);
        }
    }

    /// Counts a call to Redis that failed.
    pub fn redis_error(&self, kind: FaultKind) {
        self.redis_errors.get_or_create(&[("kind", kind.as_str())]).inc();
    }

    /// Replaces what the audit found.
    pub fn set_findings(&self, findings: Findings) {
        *self.live.findings.lock().unwrap_or_else(PoisonError::into_inner) = findings;
    }

    /// The text for a scrape.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

// What is worked out at the moment of a scrape.
struct Live {
    findings: Mutex<Findings>,
    recent: Sliding,
}

impl Default for Live {
    fn default() -> Self {
        Self { findings: Mutex::default(), recent: Sliding::new(QUANTILE_SECONDS) }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

type Column = (&'static str, &'static str, fn(&Finding) -> i64);

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

const COLUMNS: [Column; 5] = [
    ("key_limit", "Units a window of this key may hold", |f| signed(f.limit)),
    ("key_used", "Units in the key's window, by Redis", |f| signed(f.used)),
    ("key_redis_own", "Settled units this node charged, by Redis' record", |f| signed(f.redis_own)),
    ("key_local", "Settled units this node charged, by its own count", |f| signed(f.local)),
    ("key_drift", "Redis' record less this node's own count", Finding::drift),
];

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let recent = self.recent.now();
        for (name, per_mille) in [("check_p50_seconds", 500), ("check_p99_seconds", 990)] {
            let help = "Quantile of the checks' time over the last 10 s, 0 without checks";
            gauge(&mut encoder, name, help, recent.at(per_mille).as_secs_f64())?;
        }

        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, help, value) in COLUMNS {
            let family = Family::<[(&'static str, String); 1], Gauge>::default();
            for finding in &findings.keys {
                family.get_or_create(&[("key", finding.key.clone())]).set(value(finding));
            }
            let encoder = encoder.encode_descriptor(name, help, None, ConstGauge::new(0i64).metric_type())?;
            family.encode(encoder)?;
        }
        // Without a fresh audit nothing is said about drift: silence here is "unknown", not "none".
        if let Some(at) = findings.at {
            let drift = findings.keys.iter().map(|f| f.drift().saturating_abs()).max();
            let over = findings.keys.iter().filter(|f| f.used > f.limit).count();
            gauge(&mut encoder, "max_drift", "The largest drift of any key, without its sign", drift.unwrap_or(0))?;
            gauge(
                &mut encoder,
                "keys_over_limit",
                "Keys whose window holds more than their limit",
                i64::try_from(over).unwrap_or(i64::MAX),
            )?;
            gauge(
                &mut encoder,
                "audit_age_seconds",
                "Age of the last comparison with Redis",
                at.elapsed().as_secs_f64(),
            )?;
        }
        Ok(())
    }
}

fn gauge<N>(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: N) -> Result<(), fmt::Error>
where
    ConstGauge<N>: EncodeMetric,
{
    let gauge = ConstGauge::new(value);
    let encoder = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    gauge.encode(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_series_exist_from_the_start() {
        let text = Metrics::new("n1").encode().unwrap();
        for series in [
            r#"ratelimiter_checks_total{result="denied",node="n1"} 0"#,
            r#"ratelimiter_redis_errors_total{kind="readonly",node="n1"} 0"#,
            r#"ratelimiter_redis_up{node="n1"} 0"#,
            r#"ratelimiter_check_p99_seconds{node="n1"} 0.0"#,
            r#"ratelimiter_ghost_allowed_total{node="n1"} 0"#,
        ] {
            let same = |line: &str| sorted(line) == sorted(series);
            assert!(text.lines().any(same), "{series} missing in:\n{text}");
        }
        assert!(!text.contains("max_drift{"), "nothing was compared yet");
    }

    // The order of labels does not matter.
    fn sorted(line: &str) -> Vec<char> {
        let mut chars: Vec<char> = line.chars().collect();
        chars.sort_unstable();
        chars
    }

    #[test]
    fn drift_and_keys_over_their_limit_are_told() {
        let metrics = Metrics::new("n1");
        let finding = Finding { key: "a".to_owned(), limit: 10, used: 12, redis_own: 3, local: 5 };
        metrics.set_findings(Findings { keys: vec![finding], at: Some(std::time::Instant::now()) });
        let text = metrics.encode().unwrap();
        assert!(text.contains("ratelimiter_max_drift{node=\"n1\"} 2"), "{text}");
        assert!(text.contains("ratelimiter_keys_over_limit{node=\"n1\"} 1"), "{text}");
        assert!(text.contains("key=\"a\"") && text.contains("} -2"), "{text}");
    }
}
