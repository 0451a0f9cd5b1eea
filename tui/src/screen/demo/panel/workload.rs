//! How much the system does: a line of bars, the number, and how far it is from its baseline.

use super::{Shown, row};
use crate::screen::demo::workload::Workload;
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;

/// Below this many percent of its baseline it is in trouble.
const TROUBLE: f64 = -25.0;

/// What it shows.
#[must_use]
pub fn show(workload: &Workload, settings: &Settings, columns: usize) -> Shown {
    let mut shown = Shown { title: "Workload".to_owned(), ..Shown::default() };
    if workload.label.is_empty() {
        shown.lines.push(row(settings, &[("no readings yet", Role::Dim)], columns));
        return shown;
    }
    shown.title = format!("Workload  {}", text::one_line(&workload.label));
    let now = workload.now.map_or_else(|| "unknown".to_owned(), |now| format!("{}{}", number(now), workload.unit));
    let change = workload.change();
    shown.trouble = change.is_some_and(|change| change < TROUBLE);
    let against = match (change, workload.baseline) {
        (Some(change), Some(baseline)) => format!("  ({change:+.0}% of baseline {})", number(baseline)),
        _ => "  (no baseline yet)".to_owned(),
    };
    let words = text::width(&now) + text::width(&against) + 8;
    let bars = bars(workload, settings, columns.saturating_sub(words).min(60));
    let role = if shown.trouble { Role::Bad } else { Role::Good };
    let (bars, now) = (format!(" {bars}  now "), now);
    shown.lines.push(row(settings, &[(&bars, role), (&now, Role::Strong), (&against, Role::Text)], columns));
    shown
}

/// The last readings as bars, from nothing to the highest of them and the baseline.
fn bars(workload: &Workload, settings: &Settings, columns: usize) -> String {
    let top = workload.readings.iter().copied().chain(workload.baseline).fold(0.0, f64::max);
    let readings = &workload.readings[workload.readings.len().saturating_sub(columns)..];
    let bars = settings.glyphs.bars;
    let of = |value: &f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let step = if top > 0.0 { ((value / top) * (bars.len() - 1) as f64).round().max(0.0) as usize } else { 0 };
        bars[step.min(bars.len() - 1)]
    };
    readings.iter().map(of).collect()
}

/// `3,120`, `29.5`.
#[must_use]
pub fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = value.abs().round() as u64;
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", text::number(whole))
}
