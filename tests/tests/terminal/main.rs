//! `operator-tui` in a real terminal, on the real cluster, driven by keys as a person drives it.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod demo;
mod incident;
mod outages;
mod screen;

use std::time::Duration;

/// How long something may take that is only a matter of a moment.
const SOON: Duration = Duration::from_secs(30);
/// How long a session may take to get anywhere.
const LATER: Duration = Duration::from_mins(2);
