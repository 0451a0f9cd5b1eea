//! The page that is open: what is done, what is told, what is waited for.

use crds::DemoChapter;
use crds::demo_chapter::{ActionState, ActionStatus, Advance, ChapterState, DemoChapterStatus};
use ratatui::text::Line;

use super::{Shown, dots, hanging, items, paragraphs, row};
use crate::page::Ctx;
use crate::rights::Right;
use crate::screen::demo::stage::{self, Stage, is_fault};
use crate::screen::demo::turn::{Asked, Keys, waits_for};
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;

/// What it shows. `auto`: it plays by itself.
#[must_use]
pub fn show(stage: &Stage, asked: Option<&Asked>, auto: bool, ctx: &Ctx, columns: usize) -> Shown {
    let mut shown = match stage.chapter() {
        Some(chapter) if !stage.is_resetting() => open(stage, chapter, ctx, columns),
        _ => beginning(stage, ctx, columns),
    };
    let (words, role) = state(stage, asked, auto, ctx);
    shown.foot = hanging(ctx.settings, ("", role), &words, role, columns, 2);
    shown
}

/// How many lines the open chapter would like to have, borders included: the same in all of its states.
#[must_use]
pub fn wanted(stage: &Stage, ctx: &Ctx, columns: usize) -> u16 {
    let chapter = stage.chapter().or_else(|| stage.chapters.first().map(|chapter| &***chapter));
    let Some(chapter) = chapter else { return 0 };
    let told = paragraphs(ctx.settings, &stage::narration(chapter), columns, Role::Text).len();
    // One more for what was done before, or for why something failed.
    let more = usize::from(!stage.faults_before().is_empty() || !trouble(&stage::status(chapter)).is_empty());
    u16::try_from(told + chapter.spec.actions.len() + more + 4).unwrap_or(u16::MAX)
}

/// Before the first page, and on the way back there.
fn beginning(stage: &Stage, ctx: &Ctx, columns: usize) -> Shown {
    let settings = ctx.settings;
    let mut shown = Shown::named(&format!("Chapter 0/{}", stage.chapters.len()));
    let titles: Vec<String> = (1..)
        .zip(&stage.chapters)
        .map(|(number, chapter)| format!("{number} {}", text::one_line(&chapter.spec.title)))
        .collect();
    shown.lines = items(settings, &titles, columns, Role::Text);
    shown
}

fn open(stage: &Stage, chapter: &DemoChapter, ctx: &Ctx, columns: usize) -> Shown {
    let settings = ctx.settings;
    let status = stage::status(chapter);
    let number = stage.current.unwrap_or_default() + 1;
    let title = text::one_line(&chapter.spec.title);
    let mut shown = Shown::named(&format!("Chapter {number}/{}  {title}", stage.chapters.len()));
    if let Some((at, says)) = stage.faults_before().last() {
        let ago = time::age(time::elapsed(*at, ctx.now));
        let said = format!("{} fault injected {ago} ago: {}", settings.glyphs.event, text::one_line(says));
        shown.lines.push(row(settings, &[(&said, Role::Dim)], columns));
    }
    for (index, action) in status.actions.iter().enumerate() {
        shown.lines.extend(one(action, is_fault(chapter, index), settings, columns));
    }
    trouble(&status).clone_into(&mut shown.trouble);
    shown.lines.extend(paragraphs(settings, &stage::narration(chapter), columns, Role::Text));
    shown
}

fn trouble(status: &DemoChapterStatus) -> &'static str {
    let has = |state| status.actions.iter().any(|action| action.state == state);
    if status.state == ChapterState::Failed || has(ActionState::Failed) {
        "FAILED"
    } else if has(ActionState::Unknown) {
        "UNKNOWN"
    } else {
        ""
    }
}

/// An action, and how it stands.
fn one(action: &ActionStatus, is_fault: bool, settings: &Settings, columns: usize) -> Vec<Line<'static>> {
    let glyphs = settings.glyphs;
    let (glyph, word, role) = match action.state {
        ActionState::Planned => (glyphs.wait, "planned", Role::Dim),
        ActionState::Begun => (glyphs.run, "begun", Role::Busy),
        ActionState::Done if is_fault => (glyphs.event, "FAULT INJECTED", Role::Bad),
        ActionState::Done => (glyphs.good, "done", Role::Good),
        ActionState::Failed => (glyphs.bad, "FAILED", Role::Bad),
        ActionState::Unknown => (glyphs.ask, "UNKNOWN", Role::Person),
        ActionState::Undone => (glyphs.good, "taken back", Role::Dim),
    };
    let sign = format!("{glyph} {word}: ");
    let said = words(action);
    let role_of = if action.state == ActionState::Planned { Role::Dim } else { Role::Strong };
    if let Some(message) = action.message.as_deref().filter(|message| !message.is_empty()) {
        return hanging(settings, (&sign, role), &format!("{said} ({message})"), role_of, columns, 2);
    }
    vec![row(settings, &[(&sign, role), (&said, role_of)], columns)]
}

/// What an action is, and what it was aimed at where its words do not say that.
#[must_use]
pub fn words(action: &ActionStatus) -> String {
    let says = text::one_line(&action.says);
    let targets: Vec<String> = action.targets.iter().map(|target| text::one_line(target)).collect();
    if targets.iter().all(|target| says.split(' ').any(|word| word.trim_matches(',') == target)) && targets.len() < 2 {
        return says;
    }
    format!("{says} ({})", targets.join(", "))
}

/// What comes next, and which key does it.
fn state(stage: &Stage, asked: Option<&Asked>, auto: bool, ctx: &Ctx) -> (String, Role) {
    let glyphs = ctx.settings.glyphs;
    let more = dots(ctx.settings);
    if let Some(asked) = asked {
        return (asked.words(stage, ctx.now, more), Role::Busy);
    }
    if stage.is_resetting() {
        let said = stage.chapters.iter().find_map(|chapter| {
            let status = chapter.status.as_ref().filter(|status| status.state == ChapterState::Resetting)?;
            status.message.clone()
        });
        let said = said.unwrap_or_else(|| "what was done is taken back, and the system put in order".to_owned());
        return (format!("resetting{more} {said}"), Role::Busy);
    }
    if let Some(why) = stage.refused() {
        return (format!("{} cannot be played: {why}", glyphs.alarm), Role::Bad);
    }
    let Keys { next, force, reset } = Keys::of(ctx.settings);
    let may = ctx.rights.may(Right::PatchChapters);
    let keys = |words: &str| match (auto, may) {
        (true, _) => "it plays by itself".to_owned(),
        (false, true) => words.to_owned(),
        (false, false) => "you may only watch: pages are turned by who may patch demochapters".to_owned(),
    };
    let Some(chapter) = stage.chapter() else {
        return (keys(&format!("{next} begins")), Role::Key);
    };
    let status = stage::status(chapter);
    let is_last = stage.current.is_some_and(|index| index + 1 == stage.chapters.len());
    match status.state {
        ChapterState::Countdown => {
            let left = status.acts_at.as_ref().map(|at| time::elapsed(ctx.now, at.0)).unwrap_or_default();
            let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            (format!("{} in {seconds} s{more}", glyphs.event), Role::Warn)
        }
        ChapterState::Acting => (format!("{} acting{more}", glyphs.run), Role::Busy),
        ChapterState::Waiting => {
            let keys = keys(&format!("{next} unlocks then, {force} turns the page now"));
            (format!("{} waiting for: {}{more} {keys}", glyphs.wait, waits_for(chapter)), Role::Busy)
        }
        ChapterState::Failed => {
            let keys = keys(&format!("{force} goes on all the same, {reset} brings everything back"));
            // An action that failed says itself why.
            let is_said = status.actions.iter().any(|action| action.state == ActionState::Failed);
            let why = status.message.as_deref().filter(|_| !is_said).unwrap_or("an action failed");
            (format!("{} FAILED, {why}: {keys}", glyphs.bad), Role::Bad)
        }
        ChapterState::Complete if is_last => (
            format!("{} Complete, the end: {}", glyphs.good, keys(&format!("{reset} brings everything back"))),
            Role::Good,
        ),
        ChapterState::Complete if chapter.spec.advance == Advance::Auto => {
            (format!("{} Complete: the next page turns by itself", glyphs.good), Role::Good)
        }
        ChapterState::Complete => {
            (format!("{} Complete: {}", glyphs.good, keys(&format!("{next} turns the page"))), Role::Good)
        }
        ChapterState::Idle | ChapterState::Left | ChapterState::Resetting => {
            (status.message.unwrap_or_else(|| format!("another page is turned to{more}")), Role::Dim)
        }
    }
}
