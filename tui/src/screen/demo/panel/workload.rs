//! How much the system does: a graph, the number, and how far it is from its baseline.

use ratatui::text::{Line, Span};

use super::{Shown, row};
use crate::screen::demo::workload::{Gauge, TROUBLE, number, percent};
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;

/// What it shows, in so many lines.
#[must_use]
pub fn show(gauge: &Gauge, settings: &Settings, columns: usize, lines: usize) -> Shown {
    let mut shown = Shown::named("Workload");
    if gauge.label.is_empty() {
        shown.say(settings, "no readings yet", Role::Dim, columns, 1);
        return shown;
    }
    let unit = if gauge.unit.is_empty() { String::new() } else { format!(" {}", gauge.unit) };
    shown.title = format!("Workload  {}{unit}", gauge.label);
    if gauge.is_low() {
        shown.trouble = format!("{} LOW", percent(gauge.change().unwrap_or_default(), settings.glyphs.minus));
    }
    let height = lines.saturating_sub(1).clamp(1, 40);
    if lines < 2 {
        let facts = facts(gauge, settings);
        let wide: usize = facts.iter().map(|(part, _)| text::width(part)).sum();
        let graph = graph(gauge, settings, columns.saturating_sub(wide + 2), 1);
        let mut line = graph.into_iter().next().unwrap_or_default();
        line.push_span(Span::raw("  "));
        for (part, role) in &facts {
            line.push_span(Span::styled(part.clone(), settings.theme.style(*role)));
        }
        shown.lines.push(line);
        return shown;
    }
    shown.lines.extend(graph(gauge, settings, columns, height));
    let facts = facts(gauge, settings);
    let parts: Vec<(&str, Role)> = facts.iter().map(|(part, role)| (part.as_str(), *role)).collect();
    shown.foot.push(row(settings, &parts, columns));
    shown
}

/// The number, and what it is compared with.
fn facts(gauge: &Gauge, settings: &Settings) -> Vec<(String, Role)> {
    let now = gauge.now.map_or_else(|| "unknown".to_owned(), |now| format!("{}{}", number(now), gauge.unit));
    let role = if gauge.is_low() { Role::Bad } else { Role::Strong };
    let mut facts = vec![("now ".to_owned(), Role::Dim), (now, role)];
    match (gauge.change(), gauge.baseline) {
        (Some(change), Some(baseline)) => {
            let role = if change < TROUBLE { Role::Bad } else { Role::Text };
            facts.push((format!("  ({} vs baseline ", percent(change, settings.glyphs.minus)), role));
            facts.push((format!("{})", number(baseline)), role));
        }
        (None, Some(baseline)) => facts.push((format!("  (baseline {})", number(baseline)), Role::Text)),
        _ if gauge.fault.is_some() => facts.push(("  (nobody watched before the fault)".to_owned(), Role::Dim)),
        _ => facts.push(("  (no baseline yet)".to_owned(), Role::Dim)),
    }
    facts
}

/// The last seconds as bars, from nothing to the highest of them and the baseline; the highest is written beside it.
fn graph(gauge: &Gauge, settings: &Settings, columns: usize, height: usize) -> Vec<Line<'static>> {
    let top_label = number(gauge.top(columns));
    let labelled = height > 1 && columns > 30;
    let beside = if labelled { text::width(&top_label) + 2 } else { 0 };
    let columns = columns.saturating_sub(beside).min(super::super::workload::GRAPH);
    let top = gauge.top(columns);
    let values = gauge.columns(columns);
    let low = gauge.baseline.map(|baseline| baseline * (1.0 + TROUBLE / 100.0));
    let style = |value: Option<f64>| {
        let is_low = gauge.fault.is_some() && value.zip(low).is_some_and(|(value, low)| value < low);
        settings.theme.style(if is_low { Role::Bad } else { Role::Good })
    };
    let mut rows = Vec::with_capacity(height);
    for row in (0..height).rev() {
        let mut line = Line::default();
        for value in &values {
            let cell = value.map_or(" ", |value| cell(value, top, row, height, &settings.glyphs.bars));
            line.push_span(Span::styled(cell, style(*value)));
        }
        if labelled {
            let label = if row + 1 == height {
                top_label.as_str()
            } else if row == 0 {
                "0"
            } else {
                ""
            };
            line.push_span(Span::styled(format!("  {label}"), settings.theme.style(Role::Dim)));
        }
        rows.push(line);
    }
    rows
}

/// What stands in one row of a bar.
fn cell(value: f64, top: f64, row: usize, height: usize, bars: &[&'static str; 8]) -> &'static str {
    #[allow(clippy::cast_precision_loss)] // small numbers
    let eighths = if top > 0.0 { value.max(0.0) / top * (height * 8) as f64 } else { 0.0 };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a float to an integer saturates
    let eighths = (eighths.round() as usize).saturating_sub(row * 8);
    match eighths {
        // Nothing at all is seen, too: the lowest bar says that there is a reading.
        0 if row == 0 => bars[0],
        0 => " ",
        some => bars[some.min(8) - 1],
    }
}
