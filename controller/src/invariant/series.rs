//! A value that is watched over time.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use kube::core::cel::cel::Value;

use crate::cel;

/// Samples of one series. A probe that is read every second for an hour has fewer.
const MOST: usize = 4096;

/// The samples of one value within its window.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    all: VecDeque<(Timestamp, Value)>,
}

impl Samples {
    /// Takes a sample. Time does not run backwards.
    pub(super) fn take(&mut self, at: Timestamp, value: Value, window: SignedDuration) {
        let at = self.all.back().map_or(at, |(last, _)| at.max(*last));
        self.all.push_back((at, value));
        self.prune(at, window);
    }

    /// Forgets what is older than the window.
    pub(super) fn prune(&mut self, now: Timestamp, window: SignedDuration) {
        while self.all.len() > MOST || self.all.front().is_some_and(|(at, _)| now.duration_since(*at) > window) {
            self.all.pop_front();
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// What expressions see; nothing with fewer than two samples.
    pub(super) fn value(&self, now: Timestamp) -> Option<Value> {
        let ((begin, first), (end, last)) = (self.all.front()?, self.all.back()?);
        if self.all.len() < 2 {
            return None;
        }
        let span = end.duration_since(*begin).as_secs_f64();
        let (mut changes, mut became) = (0, *begin);
        let pairs = self.all.iter().zip(self.all.iter().skip(1));
        for ((_, one), (at, next)) in pairs.clone() {
            if one != next {
                changes += 1;
                became = *at;
            }
        }
        let mut fields = vec![
            ("first".to_owned(), first.clone()),
            ("last".to_owned(), last.clone()),
            ("changes".to_owned(), Value::Int(changes)),
            ("held".to_owned(), Value::Float(now.duration_since(became).as_secs_f64().max(0.0))),
            ("samples".to_owned(), Value::Int(i64::try_from(self.all.len()).unwrap_or(i64::MAX))),
            ("span".to_owned(), Value::Float(span)),
        ];
        let numbers: Option<Vec<f64>> = self.all.iter().map(|(_, value)| number(value)).collect();
        if let Some(numbers) = numbers {
            let increase = increase(&numbers);
            #[allow(clippy::cast_precision_loss, reason = "a few thousand samples")]
            let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
            let rate = if span > 0.0 { increase / span } else { 0.0 };
            fields.extend([
                ("min".to_owned(), Value::Float(numbers.iter().copied().fold(f64::INFINITY, f64::min))),
                ("max".to_owned(), Value::Float(numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
                ("mean".to_owned(), Value::Float(mean)),
                ("increase".to_owned(), Value::Float(increase)),
                ("rate".to_owned(), Value::Float(rate)),
            ]);
        }
        Some(cel::map(fields))
    }
}

/// How much a counter went up. One that is less than before began anew at 0.
pub(super) fn increase(numbers: &[f64]) -> f64 {
    let steps = numbers.iter().zip(numbers.iter().skip(1));
    steps.map(|(one, next)| if next < one { next.max(0.0) } else { next - one }).sum()
}

/// A number of CEL.
pub(super) fn number(value: &Value) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "sums over time need no 64 bits")]
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::UInt(uint) => Some(*uint as f64),
        Value::Float(float) if float.is_finite() => Some(*float),
        _ => None,
    }
}

/// What may be watched over time.
pub(super) fn is_sample(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::String(_)) || number(value).is_some()
}
