//! Invariants: what has to hold of a Subject, judged over what its probes read.
//!
//! * [`compiled`]: a Subject's expressions, compiled once; `names` and `mistakes` say what is wrong with them and where;
//!   `template` is text with CEL in it, `each` what an invariant goes over;
//! * [`judge`]: takes rounds in and keeps how each invariant stands; `readings` is what was read last, `series` what is
//!   watched over time, `standing` how one key stands; `proof` is whether all holds since a moment;
//! * `shown`: what a screen shows; `views`: what others are told.
//!
//! Pure but for the time, which the caller says. Everything is bounded, but for the time that an expression takes: judges
//! work where they hold nobody up ([`crate::monitor::bench`]).

pub mod compiled;
mod each;
pub mod judge;
mod mistakes;
mod names;
mod proof;
mod readings;
mod series;
mod shown;
mod standing;
mod template;
#[cfg(test)]
mod tests;
mod views;

pub use compiled::Compiled;
pub use judge::Judge;
pub use mistakes::Mistake;
pub use shown::{Row, Shown, ShownGroup, ShownWorkload};
pub use views::{KeyView, Proof, Turned, View};

/// Characters of a message.
pub const LONGEST_MESSAGE: usize = 300;
/// Keys of an invariant. What is beyond is a fault of its expression.
pub const MOST_KEYS: usize = 1000;
