//! The help, made from the keymap.

use std::fmt::Write as _;

use crate::keymap::Context;
use crate::model::Model;
use crate::update::COMMANDS;

/// The keys of the screen in front, then the commands and the filter.
#[must_use]
pub fn text(model: &Model) -> String {
    let context = model.screen().context();
    let mut out = String::new();
    for layer in context.layers() {
        let bindings: Vec<_> =
            model.settings.keymap.allowed(context, &model.rights).filter(|b| b.context == *layer).collect();
        if bindings.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\u{1b}[1m{}\u{1b}[0m", heading(*layer));
        for binding in bindings {
            let _ =
                writeln!(out, "  \u{1b}[36m{}\u{1b}[0m {}", crate::text::fit(&binding.shown(), 16, ""), binding.help);
        }
        out.push('\n');
    }
    let _ = writeln!(out, "\u{1b}[1mCommands\u{1b}[0m");
    for (usage, what) in COMMANDS {
        let _ = writeln!(out, "  \u{1b}[36m:{}\u{1b}[0m {what}", crate::text::fit(usage, 20, ""));
    }
    let _ = writeln!(out, "\n\u{1b}[1mFilter\u{1b}[0m");
    for (usage, what) in FILTERS {
        let _ = writeln!(out, "  \u{1b}[36m{}\u{1b}[0m {what}", crate::text::fit(usage, 21, ""));
    }
    out
}

/// What a filter can say.
pub const FILTERS: [(&str, &str); 5] = [
    ("tikv", "a regular expression over all columns and the title"),
    ("!tikv", "the others"),
    ("-l team=store", "by labels, as kubectl has them"),
    ("sev<=error", "by severity: critical < error < warning < info; also = and >="),
    ("phase=running", "by phase; several words all have to fit"),
];

fn heading(context: Context) -> &'static str {
    match context {
        Context::Global => "Everywhere",
        Context::Move => "Move",
        Context::Incidents => "Incidents",
        Context::Subjects => "Subjects",
        Context::Session => "Session",
        Context::Demo => "Demo",
        Context::Pager => "Pager",
    }
}
