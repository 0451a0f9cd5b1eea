//! An engine and a cluster for tests of the monitor.
