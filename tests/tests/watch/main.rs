//! Watched and proven, on real parts: with nobody typing, a fault opens one Incident, an agent repairs it, and it is
//! `Resolved` when the invariants hold; a repair that does not hold never is.
//!
//! The subjects are the project's own, with their files as they stand. What plays is the script that is called like the
//! Subject, so a Subject called `liar` gets an agent that lies.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod etcd;
mod limiter;
mod quiet;
mod watched;
