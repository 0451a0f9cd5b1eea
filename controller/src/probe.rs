//! Probes: the observer's eyes. What is looked at is data of the Subject; no system's name is known here.
//!
//! [`round`] has the shapes in which readings travel: one line of JSON a round, from the observer's output to the
//! controller, which judges them.

pub mod round;

pub use round::{Reading, Round};
