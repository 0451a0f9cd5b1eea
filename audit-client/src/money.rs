//! Money in whole nano-dollars, because a price of $0.075 per million tokens is 75 n$ a token, and
//! a budget that is checked with floats can be overdrawn by rounding.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// An amount in nano-dollars (1 n$ = $0.000000001).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoDollars(pub i64);

impl NanoDollars {
    /// Nothing spent.
    pub const ZERO: Self = Self(0);

    /// From dollars as people write them. Fractions below a nano-dollar are rounded; amounts beyond
    /// nine billion dollars, and what is not a number, saturate.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // a saturating cast is what is wanted
    pub fn from_dollars(dollars: f64) -> Self {
        Self((dollars * 1e9).round() as i64)
    }

    /// As dollars, for metrics and display only.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // display only
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// `self - other`, never below zero.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }
}

/// `$0.31`, and four digits where two would say nothing: `$0.0042`.
impl fmt::Display for NanoDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.dollars();
        if self.0 != 0 && dollars.abs() < 0.01 { write!(f, "${dollars:.4}") } else { write!(f, "${dollars:.2}") }
    }
}

impl Add for NanoDollars {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoDollars {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for NanoDollars {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_matters() {
        assert_eq!(NanoDollars::ZERO.to_string(), "$0.00");
        assert_eq!(NanoDollars::from_dollars(0.0042).to_string(), "$0.0042");
        assert_eq!(NanoDollars::from_dollars(12.345).to_string(), "$12.35");
        assert_eq!(NanoDollars::from_dollars(f64::INFINITY).0, i64::MAX);
    }
}
