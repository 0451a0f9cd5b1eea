//! Readings on their way into one round, which has to fit into a line: values are left out, largest first.

use std::collections::BTreeMap;

use super::round::{LONGEST_LINE, Reading, Round};
use crate::json::length;
use crate::printable;

/// Characters of an error that are kept.
const LONGEST_ERROR: usize = 300;
/// The same when errors alone make the line too long.
const SHORT_ERROR: usize = 60;

/// A round that is being made. It never holds much more than what fits: as soon as the values together are too long, the
/// largest goes. (One that goes early would go at the end as well: it is the largest of some that do not fit.)
pub(super) struct Gather {
    round: Round,
    values: BTreeMap<String, usize>,
    total: usize,
}

impl Gather {
    /// Begins one; the round has no readings yet.
    pub(super) fn new(round: Round) -> Self {
        Self { round, values: BTreeMap::new(), total: 0 }
    }

    /// Takes one more reading.
    pub(super) fn push(&mut self, target: String, mut reading: Reading) {
        reading.error = reading.error.map(|error| printable::short_line(&error, LONGEST_ERROR));
        if let Some(value) = &reading.value {
            let length = length(value);
            self.values.insert(target.clone(), length);
            self.total += length;
        }
        self.round.readings.insert(target, reading);
        while self.total > LONGEST_LINE && self.leave_out() {}
    }

    /// The round; its line has no more than [`LONGEST_LINE`] bytes.
    pub(super) fn finish(mut self) -> Round {
        while self.is_long() && self.leave_out() {}
        if self.is_long() {
            for reading in self.round.readings.values_mut() {
                reading.error = reading.error.take().map(|error| printable::short_line(&error, SHORT_ERROR));
            }
        }
        self.round
    }

    fn is_long(&self) -> bool {
        // The end of the line belongs to it.
        length(&self.round) + 1 > LONGEST_LINE
    }

    /// Leaves out the largest value that is left; whether there was one.
    fn leave_out(&mut self) -> bool {
        let Some(target) = self.values.iter().max_by_key(|(_, length)| **length).map(|(target, _)| target.clone())
        else {
            return false;
        };
        let length = self.values.remove(&target).unwrap_or_default();
        self.total -= length;
        if let Some(reading) = self.round.readings.get_mut(&target) {
            reading.value = None;
            let left_out = format!("the value of {length} bytes is left out: a round has at most {LONGEST_LINE}");
            let error = match reading.error.take() {
                Some(error) => format!("{left_out}; {error}"),
                None => left_out,
            };
            reading.error = Some(printable::short_line(&error, LONGEST_ERROR));
        }
        true
    }
}

/// The line of a round, with its end.
#[must_use]
pub fn line(round: &Round) -> String {
    let mut line = serde_json::to_string(round).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    fn gather(readings: impl IntoIterator<Item = (String, Reading)>) -> Round {
        let mut gather = Gather::new(Round { probe: "p".into(), at: Timestamp::UNIX_EPOCH, readings: BTreeMap::new() });
        for (target, reading) in readings {
            gather.push(target, reading);
        }
        gather.finish()
    }

    fn reading(length: usize) -> Reading {
        Reading { ok: true, value: Some(json!("x".repeat(length))), ..Reading::default() }
    }

    #[test]
    fn a_round_that_fits_stays_as_it_is() {
        let all = [("a".to_owned(), reading(30_000)), ("b".to_owned(), reading(30_000))];
        assert_eq!(gather(all.clone()).readings, BTreeMap::from(all));
    }

    #[test]
    fn the_largest_values_are_left_out_and_said() {
        let sizes = [("a", 20_000), ("b", 40_000), ("c", 30_000), ("d", 1)];
        let round = gather(sizes.map(|(target, size)| (target.to_owned(), reading(size))));
        assert!(line(&round).len() <= LONGEST_LINE);
        let kept =
            round.readings.iter().filter(|(_, reading)| reading.value.is_some()).map(|(target, _)| target.as_str());
        assert_eq!(kept.collect::<Vec<_>>(), ["a", "c", "d"]);
        let left_out = &round.readings["b"];
        assert!(left_out.ok);
        assert_eq!(left_out.error.as_deref(), Some("the value of 40002 bytes is left out: a round has at most 65536"));
    }

    #[test]
    fn errors_alone_fit_as_well() {
        let failed = |n: usize| {
            let error = "\u{1F980}\"".repeat(5000);
            (format!("{n:03}{}", "\\".repeat(250)), Reading { error: Some(error), ..Reading::default() })
        };
        let round = gather((0..64).map(failed));
        assert!(line(&round).len() <= LONGEST_LINE, "{}", line(&round).len());
        assert_eq!(round.readings.len(), 64);
        assert!(round.readings.values().all(|reading| reading.error.is_some()));
    }

    #[test]
    fn a_line_is_one_line_and_read_back() {
        let round = gather([("a\nb".to_owned(), Reading { value: Some(json!({"x": "1\n2\u{2028}"})), ..reading(1) })]);
        let line = line(&round);
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(serde_json::from_str::<Round>(&line).unwrap(), round);
    }

    proptest! {
        #[test]
        fn every_round_fits_and_leaves_out_no_more_than_it_must(sizes in prop::collection::vec(0usize..20_000, 0..64)) {
            let round = gather(sizes.iter().enumerate().map(|(n, size)| (n.to_string(), reading(*size))));
            prop_assert!(line(&round).len() <= LONGEST_LINE);
            prop_assert_eq!(round.readings.len(), sizes.len());
            let smallest_out = round.readings.iter().filter(|(_, reading)| reading.value.is_none())
                .filter_map(|(target, _)| sizes.get(target.parse::<usize>().ok()?)).min();
            if let Some(smallest) = smallest_out {
                // All that are no larger than it would not have fitted, with what stands around each reading.
                let together: usize = sizes.iter().filter(|size| *size <= smallest).sum();
                let together = together + sizes.len() * 250;
                prop_assert!(together > LONGEST_LINE);
            }
        }
    }
}
