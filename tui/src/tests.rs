//! Every screen in every state at four sizes, and streams of random messages.

mod general;
mod incidents;
mod random;
mod subjects;

use crate::testing::{Bench, SIZES};
use crate::theme::ThemeName;

/// What a bench shows at all four sizes.
fn sizes(bench: &mut Bench) -> String {
    let screens = SIZES.iter().map(|size| format!("{}x{}\n{}", size.0, size.1, bench.screen(*size)));
    screens.collect::<Vec<_>>().join("\n")
}

/// The looks that differ in more than colour.
const LOOKS: [(&str, ThemeName, bool); 2] = [("ascii", ThemeName::Ansi, true), ("mono", ThemeName::Mono, false)];
