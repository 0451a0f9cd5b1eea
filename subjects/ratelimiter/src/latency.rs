//! Quantiles over the last seconds. Prometheus' histograms only ever grow; a screen and an invariant
//! want "p99 now" without a query engine.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const SUB_BITS: u32 = 4;
const CELLS: usize = 400;

/// A histogram with a relative error of 1/16, up to about a minute.
#[derive(Clone)]
pub struct Quantiles {
    cells: Vec<u64>,
    count: u64,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self { cells: vec![0; CELLS], count: 0 }
    }
}

impl Quantiles {
    /// Adds one duration.
    pub fn record(&mut self, taken: Duration) {
        let micros = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        if let Some(cell) = self.cells.get_mut(index(micros)) {
            *cell += 1;
            self.count += 1;
        }
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            *mine += theirs;
        }
        self.count += other.count;
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The duration that `per_mille` of all do not exceed; zero when there are none.
    #[must_use]
    pub fn at(&self, per_mille: u64) -> Duration {
        let rank = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (cell, n) in self.cells.iter().enumerate() {
            seen += n;
            if *n > 0 && seen >= rank {
                return Duration::from_micros(upper(cell));
            }
        }
        Duration::ZERO
    }
}

// Sixteen cells for each power of two.
fn index(micros: u64) -> usize {
    if micros < 1 << SUB_BITS {
        return usize::try_from(micros).unwrap_or(0);
    }
    let shift = micros.ilog2() - SUB_BITS;
    let cell = (u64::from(shift) << SUB_BITS) + (micros >> shift);
    usize::try_from(cell).unwrap_or(usize::MAX).min(CELLS - 1)
}

fn upper(cell: usize) -> u64 {
    let cell = cell as u64;
    if cell < 1 << SUB_BITS {
        return cell;
    }
    let shift = (cell >> SUB_BITS) - 1;
    let top = cell - (shift << SUB_BITS);
    ((top + 1) << shift) - 1
}

/// Quantiles over the last few whole seconds and the one that runs.
pub struct Sliding {
    seconds: usize,
    slots: Mutex<VecDeque<(u64, Quantiles)>>,
    began: Instant,
}

impl Sliding {
    /// Over so many seconds.
    #[must_use]
    pub fn new(seconds: usize) -> Self {
        Self { seconds, slots: Mutex::new(VecDeque::new()), began: Instant::now() }
    }

    /// Adds one duration, now.
    pub fn record(&self, taken: Duration) {
        let now = self.began.elapsed().as_secs();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.back().is_none_or(|(second, _)| *second != now) {
            slots.push_back((now, Quantiles::default()));
            while slots.len() > self.seconds {
                slots.pop_front();
            }
        }
        if let Some((_, quantiles)) = slots.back_mut() {
            quantiles.record(taken);
        }
    }

    /// All of the last seconds together.
    #[must_use]
    pub fn now(&self) -> Quantiles {
        let oldest = (self.began.elapsed().as_secs() + 1).saturating_sub(self.seconds as u64);
        let mut all = Quantiles::default();
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, quantiles) in slots.iter().filter(|(second, _)| *second >= oldest) {
            all.add(quantiles);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_falls_into_a_cell_that_is_close_to_it() {
        for micros in (0..100_000).chain([1_000_000, 9_999_999, 60_000_000]) {
            let cell = upper(index(micros));
            assert!(cell >= micros, "{micros} -> {cell}");
            assert!(cell - micros <= micros / 16, "{micros} -> {cell}");
        }
        assert_eq!(index(u64::MAX), CELLS - 1);
    }

    #[test]
    fn quantiles_are_where_they_belong() {
        let mut quantiles = Quantiles::default();
        assert_eq!(quantiles.at(990), Duration::ZERO);
        for ms in 1..=100 {
            quantiles.record(Duration::from_millis(ms));
        }
        let p50 = quantiles.at(500).as_millis();
        let p99 = quantiles.at(990).as_millis();
        assert!((50..=53).contains(&p50), "{p50}");
        assert!((99..=105).contains(&p99), "{p99}");
        assert_eq!(quantiles.count(), 100);
    }

    #[test]
    fn the_sliding_window_counts_what_is_recent() {
        let sliding = Sliding::new(10);
        sliding.record(Duration::from_millis(3));
        assert_eq!(sliding.now().count(), 1);
    }
}
