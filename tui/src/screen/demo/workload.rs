//! How much the system does: readings of its workload, and what they are compared with.

use std::collections::VecDeque;

use audit_client::observations::Workload;
use jiff::Timestamp;

use crate::text;

/// How many readings make a baseline.
const ENOUGH: usize = 5;
/// Readings that are kept, one for each second.
const KEPT: usize = 900;
/// The most columns of its graph.
pub const GRAPH: usize = 240;
/// A reading stands for so many seconds if no other one comes.
const STANDS: i64 = 10;
/// Further than this below the baseline, in percent, is trouble.
pub const TROUBLE: f64 = -25.0;

/// The gauge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauge {
    /// What is counted, in a clean line.
    pub label: String,
    /// Behind the number, clean.
    pub unit: String,
    /// The newest reading; nothing while nobody can say.
    pub now: Option<f64>,
    /// The middle one of those before the first fault.
    pub baseline: Option<f64>,
    /// When the first fault was begun.
    pub fault: Option<Timestamp>,
    /// A reading a second, the oldest first.
    readings: VecDeque<(i64, Option<f64>)>,
}

impl Gauge {
    /// Takes a reading of that time.
    pub fn take(&mut self, workload: Option<&Workload>, at: Timestamp) {
        let Some(workload) = workload else { return };
        self.label = text::one_line(&workload.label);
        self.unit = text::one_line(&workload.unit);
        self.now = workload.value.filter(|value| value.is_finite());
        let second = at.as_second();
        match self.readings.back_mut() {
            // What comes late is older than what is known.
            Some((last, _)) if *last > second => return,
            Some((last, value)) if *last == second => *value = self.now,
            _ => self.readings.push_back((second, self.now)),
        }
        while self.readings.len() > KEPT {
            self.readings.pop_front();
        }
        self.measure();
    }

    /// Notes when the first fault was begun, if one was.
    pub fn settle(&mut self, fault: Option<Timestamp>) {
        if fault == self.fault {
            return;
        }
        self.fault = fault;
        self.measure();
    }

    /// The demo is at its beginning: what came before is no measure.
    pub fn restart(&mut self) {
        self.readings.clear();
        (self.baseline, self.fault) = (None, None);
    }

    fn measure(&mut self) {
        let before = |second: i64| self.fault.is_none_or(|fault| second < fault.as_second());
        let calm: Vec<f64> =
            self.readings.iter().filter(|(at, _)| before(*at)).filter_map(|(_, value)| *value).collect();
        // The readings before a fault may be forgotten by and by; what they said stands.
        if calm.len() >= ENOUGH || self.fault.is_none() {
            self.baseline = middle(calm);
        }
    }

    /// How far it is from the baseline, in percent.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        let (now, baseline) = (self.now?, self.baseline.filter(|baseline| *baseline > 0.0)?);
        Some((now / baseline - 1.0) * 100.0)
    }

    /// Whether it is far below the baseline, after a fault. Before one it may just have begun.
    #[must_use]
    pub fn is_low(&self) -> bool {
        self.fault.is_some() && self.change().is_some_and(|change| change < TROUBLE)
    }

    /// The last seconds, one a column, the newest last; nothing where nothing is known.
    #[must_use]
    pub fn columns(&self, columns: usize) -> Vec<Option<f64>> {
        let Some((last, _)) = self.readings.back() else { return vec![None; columns] };
        let first = last - i64::try_from(columns).unwrap_or(0) + 1;
        let mut shown = Vec::with_capacity(columns);
        let mut readings = self.readings.iter().peekable();
        let mut known: Option<(i64, Option<f64>)> = None;
        for second in first..=*last {
            while let Some(reading) = readings.next_if(|(at, _)| *at <= second) {
                known = Some(*reading);
            }
            shown.push(known.filter(|(at, _)| second - at < STANDS).and_then(|(_, value)| value));
        }
        shown
    }

    /// The highest of what is shown in so many columns, and of the baseline.
    #[must_use]
    pub fn top(&self, columns: usize) -> f64 {
        self.columns(columns).into_iter().flatten().chain(self.baseline).fold(0.0, f64::max)
    }
}

/// The middle one of enough values.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    if values.len() < ENOUGH {
        return None;
    }
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// `3,120`, `29.5`.
#[must_use]
pub fn number(value: f64) -> String {
    if value.abs() < 99.95 {
        return format!("{value:.1}");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a float to an integer saturates
    let whole = value.abs().round() as u64;
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", text::number(whole))
}

/// `-64%`, with the minus sign of the looks.
#[must_use]
pub fn percent(change: f64, minus: &str) -> String {
    let sign = if change <= -0.5 { minus } else { "+" };
    format!("{sign}{:.0}%", change.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_769_600_000 + second).unwrap()
    }

    fn reading(value: Option<f64>) -> Workload {
        Workload { label: "Checks".to_owned(), value, unit: "/s".to_owned() }
    }

    #[test]
    fn what_comes_after_a_fault_is_no_baseline() {
        let mut gauge = Gauge::default();
        for second in 0..4 {
            gauge.take(Some(&reading(Some(80.0))), at(second));
        }
        assert_eq!(gauge.baseline, None, "too few");
        for second in 4..20 {
            gauge.take(Some(&reading(Some(80.0 + f64::from(i32::try_from(second % 3).unwrap())))), at(second));
        }
        assert_eq!(gauge.baseline, Some(81.0));
        gauge.settle(Some(at(20)));
        for second in 20..2000 {
            gauge.take(Some(&reading(Some(20.0))), at(second));
        }
        assert_eq!(gauge.baseline, Some(81.0), "it stands when its readings are forgotten");
        assert!(gauge.is_low() && gauge.change().unwrap() < -75.0);
        gauge.take(Some(&reading(None)), at(2000));
        assert_eq!((gauge.now, gauge.change()), (None, None));
        gauge.restart();
        assert_eq!((gauge.baseline, gauge.fault), (None, None));
    }

    #[test]
    fn who_comes_after_the_fault_has_no_baseline() {
        let mut gauge = Gauge::default();
        gauge.settle(Some(at(0)));
        for second in 1..30 {
            gauge.take(Some(&reading(Some(20.0))), at(second));
        }
        assert_eq!((gauge.baseline, gauge.is_low()), (None, false));
    }

    #[test]
    fn a_column_is_a_second_and_a_reading_stands_for_a_while() {
        let mut gauge = Gauge::default();
        gauge.take(Some(&reading(Some(1.0))), at(0));
        gauge.take(Some(&reading(Some(3.0))), at(3));
        gauge.take(Some(&reading(Some(9.0))), at(1));
        assert_eq!(gauge.columns(5), [None, Some(1.0), Some(1.0), Some(1.0), Some(3.0)]);
        gauge.take(Some(&reading(Some(5.0))), at(20));
        assert_eq!(gauge.columns(3), [None, None, Some(5.0)]);
        assert_eq!(Gauge::default().columns(2), [None, None]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 29.52, 99.96, 3120.4, -5.0].map(number), ["0.0", "29.5", "100", "3,120", "-5.0"]);
        assert_eq!([-64.2, 3.0, -0.2].map(|change| percent(change, "−")), ["−64%", "+3%", "+0%"]);
    }
}
