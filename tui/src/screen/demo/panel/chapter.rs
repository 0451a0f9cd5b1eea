//! The page that is open: what is told, what is done, what is waited for.

use crds::demo_chapter::{ActionState, ChapterState};
use jiff::Timestamp;

use super::{Shown, paragraph, row};
use crate::screen::demo::stage::{self, Stage};
use crate::screen::demo::turn::Asked;
use crate::settings::Settings;
use crate::text;
use crate::theme::Role;
use crate::time;

/// What it shows. `auto`: it plays by itself.
#[must_use]
pub fn show(
    stage: &Stage,
    asked: Option<&Asked>,
    auto: bool,
    settings: &Settings,
    now: Timestamp,
    columns: usize,
) -> Shown {
    let mut shown = Shown::default();
    let of = stage.chapters.len();
    let say = |shown: &mut Shown, words: &str, role| {
        let wrapped = text::wrap(&text::one_line(words), columns.max(1), 4);
        shown.lines.extend(wrapped.iter().map(|line| row(settings, &[(line, role)], columns)));
    };
    if stage.is_resetting() {
        shown.title = format!("Chapter  {of} chapters");
        say(&mut shown, "resetting…  what was done is taken back, and the system is put in order", Role::Busy);
        return shown;
    }
    let Some(chapter) = stage.chapter() else {
        shown.title = format!("Chapter  {of} chapters");
        let titles: Vec<&str> = stage.chapters.iter().map(|chapter| chapter.spec.title.as_str()).collect();
        if let Some(why) = stage.refused() {
            shown.trouble = true;
            say(&mut shown, &why, Role::Bad);
        } else if let Some(asked) = asked {
            say(&mut shown, &asked.words(), Role::Busy);
        } else if !auto {
            say(&mut shown, "space begins", Role::Key);
        }
        shown.lines.extend(paragraph(
            settings,
            &titles.join(&format!(" {} ", settings.glyphs.arrow)),
            columns,
            Role::Dim,
        ));
        return shown;
    };
    let status = stage::status(chapter);
    let number = stage.current.unwrap_or_default() + 1;
    shown.title = format!("Chapter {number}/{of}  {}", text::one_line(&chapter.spec.title));
    stage::words(status.state).clone_into(&mut shown.right);
    actions(&mut shown, &status, settings, columns);
    let last = number == of;
    match status.state {
        _ if asked.is_some() => say(&mut shown, &asked.map(Asked::words).unwrap_or_default(), Role::Busy),
        ChapterState::Countdown => {
            let left = status.acts_at.as_ref().map(|at| time::elapsed(now, at.0)).unwrap_or_default();
            let seconds = left.as_secs() + u64::from(left.subsec_millis() > 0);
            say(&mut shown, &format!("[in {seconds}…]"), Role::Warn);
        }
        ChapterState::Acting => say(&mut shown, "[acting…]", Role::Busy),
        ChapterState::Waiting => {
            let what = if chapter.spec.waiting.is_empty() { "it is complete" } else { &chapter.spec.waiting };
            let keys = if auto { "" } else { "; space unlocks then, N turns the page now" };
            say(&mut shown, &format!("[waiting until {what}{keys}]"), Role::Busy);
        }
        ChapterState::Failed => {
            shown.trouble = true;
            let why = status.message.as_deref().unwrap_or("an action failed");
            say(&mut shown, &format!("FAILED: {why}"), Role::Bad);
        }
        ChapterState::Complete if auto => say(&mut shown, "[complete]", Role::Good),
        ChapterState::Complete if last => say(&mut shown, "[complete: the end; R begins anew]", Role::Good),
        ChapterState::Complete => say(&mut shown, "[complete: space turns the page]", Role::Good),
        _ => {
            if let Some(message) = &status.message {
                say(&mut shown, message, Role::Dim);
            }
        }
    }
    // Last: where there is no room for all, what is told is scrolled, and where it stands is seen.
    shown.lines.push(row(settings, &[], columns));
    shown.lines.extend(paragraph(settings, &stage::narration(chapter), columns, Role::Text));
    shown
}

fn actions(shown: &mut Shown, status: &crds::DemoChapterStatus, settings: &Settings, columns: usize) {
    let glyphs = settings.glyphs;
    for action in &status.actions {
        let (glyph, role) = match action.state {
            ActionState::Planned => (glyphs.wait, Role::Dim),
            ActionState::Begun => (glyphs.run, Role::Busy),
            ActionState::Done => (glyphs.event, Role::Warn),
            ActionState::Failed => (glyphs.bad, Role::Bad),
            ActionState::Unknown => (glyphs.ask, Role::Person),
            ActionState::Undone => (glyphs.good, Role::Dim),
        };
        let says = text::one_line(&action.says);
        let targets = text::one_line(&action.targets.join(", "));
        let at = if targets.is_empty() || says.contains(&targets) { String::new() } else { format!(" ({targets})") };
        let state = format!("{}: ", stage::action_words(action.state));
        let sign = format!("{glyph} ");
        shown.lines.push(row(
            settings,
            &[(&sign, role), (&state, role), (&says, Role::Strong), (&at, Role::Text)],
            columns,
        ));
        if let Some(message) = action.message.as_ref().filter(|message| !message.is_empty()) {
            let said = format!("  {}", text::one_line(message));
            shown.lines.push(row(settings, &[(&said, Role::Dim)], columns));
        }
        shown.trouble |= matches!(action.state, ActionState::Failed | ActionState::Unknown);
    }
    if !status.actions.is_empty() {
        shown.lines.push(row(settings, &[], columns));
    }
}
