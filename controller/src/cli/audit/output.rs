//! Standard output and its colours.

use std::io::{IsTerminal as _, Write as _};

use super::AuditCliError;
use crate::audit::render::style::Style;

/// Whether standard output wants colours.
pub(in crate::cli) fn style() -> Style {
    let no_color = std::env::var("NO_COLOR").ok();
    let term = std::env::var("TERM").ok();
    Style::for_stream(std::io::stdout().is_terminal(), no_color.as_deref(), term.as_deref())
}

/// Writes all of it at once.
pub(super) fn print(text: &str) -> Result<(), AuditCliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(AuditCliError::Output)
}
