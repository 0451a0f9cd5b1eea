//! Debian's Prometheus and its Alertmanager, in an image of the tests' own.

use crate::{root, run};

/// The image.
pub const IMAGE: &str = "operator-test-prometheus:dev";

/// Builds it, when something in it has changed.
pub fn build() {
    run(&root().join("tests/prometheus/build").display().to_string(), &[]);
}
