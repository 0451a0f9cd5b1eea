//! What is counted, by the second and in all.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::ask::Answer;
use crate::latency::Quantiles;

/// More kinds of errors than this are summed up as "other": a broken service must not fill memory.
const KINDS: usize = 20;

/// Counts of some time.
#[derive(Default, Clone)]
pub(super) struct Report {
    pub(super) ok: u64,
    pub(super) denied: u64,
    pub(super) errors: u64,
    pub(super) kinds: BTreeMap<String, u64>,
    pub(super) times: Quantiles,
}

impl Report {
    pub(super) fn note(&mut self, answer: &Answer) {
        match &answer.result {
            Ok(true) => self.ok += 1,
            Ok(false) => self.denied += 1,
            Err(kind) => {
                self.errors += 1;
                let known = self.kinds.contains_key(kind) || self.kinds.len() < KINDS;
                let kind = if known { kind } else { "other" };
                *self.kinds.entry(kind.to_owned()).or_default() += 1;
            }
        }
        if let Some(taken) = answer.taken {
            self.times.record(taken);
        }
    }

    pub(super) fn to_json(&self, what: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        json!({
            what: now.map_or(0, |t| t.as_secs()),
            "ok": self.ok,
            "denied": self.denied,
            "errors": self.errors,
            "p50_ms": millis(self.times.at(500)),
            "p99_ms": millis(self.times.at(990)),
            "error_kinds": self.kinds,
        })
    }
}

// Two digits after the point say enough.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(result: Result<bool, &str>) -> Answer {
        Answer { result: result.map_err(str::to_owned), target: None, taken: Some(Duration::from_millis(2)) }
    }

    #[test]
    fn answers_are_counted_by_their_kind() {
        let mut report = Report::default();
        for result in [Ok(true), Ok(true), Ok(false), Err("redis_readonly")] {
            report.note(&answer(result));
        }
        let line = report.to_json("second");
        assert_eq!((line["ok"].as_u64(), line["denied"].as_u64()), (Some(2), Some(1)));
        assert_eq!(line["error_kinds"]["redis_readonly"], 1);
        assert!(line["p99_ms"].as_f64().unwrap() >= 2.0);
    }

    #[test]
    fn kinds_of_errors_are_bounded() {
        let mut report = Report::default();
        for n in 0..100 {
            report.note(&answer(Err(&format!("http_{n}"))));
        }
        assert_eq!(report.kinds.len(), KINDS + 1);
        assert_eq!(report.kinds["other"], 80);
    }
}
