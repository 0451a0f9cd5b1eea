//! `operator-tui`: see `operator-tui --help`.

fn main() {}
