//! A Subject in words, for the pager.

use std::fmt::Write as _;

use crds::Subject;

use super::row;
use crate::page::Ctx;
use crate::screen::describe::{bold, cyan, dim};
use crate::text;
use crate::time;
use crate::world::Named as _;

/// All that is known of it.
pub(super) fn describe(ctx: &Ctx, subject: &Subject) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(ctx, subject, &mut out);
    out
}

fn write(ctx: &Ctx, subject: &Subject, out: &mut String) -> std::fmt::Result {
    let glyphs = ctx.settings.glyphs;
    let status = subject.status.clone().unwrap_or_default();
    let field = |out: &mut String, label: &str, value: &str| {
        if value.trim().is_empty() {
            return Ok(());
        }
        writeln!(out, "{} {}", dim(&format!("{label:<14}")), text::one_line(value))
    };
    let health = row::health(subject);
    let (sign, _) = row::sign(health, glyphs);
    writeln!(out, "{}\n", bold(&format!("{}/{}", subject.space(), subject.named())))?;
    field(out, "State", &format!("{sign} {}", health.label()))?;
    let project = subject.spec.r#where.docker.as_ref().map(|docker| docker.project.as_str()).unwrap_or_default();
    field(out, "Project", project)?;
    field(out, "Suspended", if subject.spec.suspend { "yes: no session starts" } else { "" })?;
    field(out, "Violated", &status.violated)?;
    field(out, "Open", status.open_incident.as_deref().unwrap_or_default())?;
    field(out, "Last Incident", status.last_incident.as_deref().unwrap_or_default())?;
    if let Some(observer) = &status.observer {
        let age = row::observer(subject, ctx.now).map(time::age).unwrap_or_default();
        field(out, "Observer", &format!("{} {age}", observer.container))?;
    }
    let invariants = row::invariants(subject);
    if !invariants.is_empty() {
        writeln!(out, "\n{}", bold("Invariants"))?;
    }
    for invariant in invariants {
        let (sign, word, _) = row::invariant_sign(invariant.state, glyphs);
        let since = invariant.since.as_ref().map(|at| time::age(time::elapsed(at.0, ctx.now)));
        let since = since.map_or_else(String::new, |age| dim(&format!(" for {age}")));
        writeln!(out, "  {sign} {} {word}{since}", cyan(&text::one_line(&invariant.name)))?;
        let about = subject.spec.invariants.iter().find(|spec| spec.name == invariant.name);
        if let Some(about) = about.filter(|about| !about.description.is_empty()) {
            writeln!(out, "      {}", dim(&text::one_line(&about.description)))?;
        }
        if !invariant.message.is_empty() {
            writeln!(out, "      {}", text::one_line(&invariant.message))?;
        }
        for key in &invariant.keys {
            let (sign, word, _) = row::invariant_sign(key.state, glyphs);
            writeln!(out, "      {sign} {} {word} {}", text::one_line(&key.key), text::one_line(&key.message))?;
        }
    }
    if !status.conditions.is_empty() {
        writeln!(out, "\n{}", bold("Conditions"))?;
        for condition in &status.conditions {
            let kind = cyan(&format!("{:<11}", text::one_line(&condition.type_)));
            let (reason, message) = (text::one_line(&condition.reason), text::one_line(&condition.message));
            writeln!(out, "  {kind} {:<7} {reason}: {message}", text::one_line(&condition.status))?;
        }
    }
    if !subject.spec.description.trim().is_empty() {
        writeln!(out, "\n{}", bold("Description"))?;
        for line in text::clean(&subject.spec.description).lines() {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}
