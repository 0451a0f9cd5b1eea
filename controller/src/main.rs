//! `operator`, the binary.
fn main() {}
