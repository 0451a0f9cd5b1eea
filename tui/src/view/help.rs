//! The help, made from the keymap.

use crate::keymap::Context;
use crate::model::Model;
use crate::screen::describe::{bold, cyan};
use crate::text;
use crate::update::COMMANDS;

/// From this width on there are two columns.
const WIDE: u16 = 116;

/// What a filter can say.
pub const FILTERS: [(&str, &str); 5] = [
    ("tikv", "a regular expression: name, title, message"),
    ("!tikv", "all others"),
    ("-l team=store", "labels, as kubectl has them"),
    ("sev<=error", "error and all that is worse; also < = != > >="),
    ("phase=running", "by phase; also subject=NAME, ns=NAME"),
];

/// A heading and what is below it: what one types, and what it does.
type Block = (&'static str, Vec<(String, String)>);

/// The keys of the screen in front, then the commands and the filter.
#[must_use]
pub fn text(model: &Model) -> String {
    let context = model.screen().context();
    let block = |layer: Context| {
        let allowed = model.settings.keymap.allowed(context, &model.rights).filter(|binding| binding.context == layer);
        (layer.heading(), allowed.map(|binding| (binding.shown(), binding.help.to_owned())).collect())
    };
    let pairs = |list: &[(&str, &str)], before: &str| {
        list.iter().map(|(usage, what)| (format!("{before}{usage}"), (*what).to_owned())).collect()
    };
    let layers = context.layers().iter().filter(|layer| **layer != Context::Global);
    let left: Vec<Block> = layers.map(|layer| block(*layer)).collect();
    let right: Vec<Block> = vec![
        block(Context::Global),
        ("Commands", pairs(&COMMANDS, ":")),
        ("Filter (all words have to fit)", pairs(&FILTERS, "/")),
    ];
    if model.size.0 < WIDE {
        return lines(&left, 0)
            .into_iter()
            .chain([String::new()])
            .chain(lines(&right, 0))
            .collect::<Vec<_>>()
            .join("\n");
    }
    let half = usize::from(model.size.0 / 2).min(80).saturating_sub(3);
    let (left, mut right) = (lines(&left, half), lines(&right, 0).into_iter());
    let mut out: Vec<String> =
        left.into_iter().map(|line| format!("{line}{}", right.next().unwrap_or_default())).collect();
    out.extend(right.map(|line| format!("{}{line}", " ".repeat(half))));
    out.join("\n")
}

/// Blocks as lines, filled up to a width.
fn lines(blocks: &[Block], width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let fill = |used: usize| " ".repeat(width.saturating_sub(used));
    for (title, pairs) in blocks.iter().filter(|(_, pairs)| !pairs.is_empty()) {
        if !lines.is_empty() {
            lines.push(fill(0));
        }
        lines.push(format!("{}{}", bold(title), fill(text::width(title))));
        let wide = pairs.iter().map(|(usage, _)| text::width(usage)).max().unwrap_or(0).max(16);
        for (usage, what) in pairs {
            // In two columns none reaches into the other.
            let room = if width == 0 { usize::MAX } else { width.saturating_sub(wide + 6) };
            let what = text::end(what, room, "");
            let used = 4 + wide + text::width(&what);
            lines.push(format!("  {}  {what}{}", cyan(&text::fit(usage, wide, "")), fill(used)));
        }
    }
    lines
}
