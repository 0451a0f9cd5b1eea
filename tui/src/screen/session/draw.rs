//! The screen's parts: a word about what is wrong, the steps, a line that says where one is, how it ended.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::State;
use super::rows::{self, Shown};
use super::subject::End;
use crate::feed::Link;
use crate::page::Ctx;
use crate::text;
use crate::theme::Role;
use crate::time;
use crate::view::message;

/// The most lines about one thing that is wrong, if there is room.
const WRONG: usize = 3;
/// From this height on, the end has a place of its own.
const WITH_END: u16 = 16;
/// The most lines of it.
const END: usize = 5;

/// Where the parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    banner: Rect,
    pub(super) rows: Rect,
    rule: Rect,
    end: Rect,
}

/// Shares the place out.
pub(super) fn places(state: &State, ctx: &Ctx) -> Places {
    let body = ctx.body;
    let banner = u16::try_from(banner(state, ctx).len()).unwrap_or(0).min(body.height / 3);
    let end = if body.height >= WITH_END { u16::try_from(end(state, ctx).len()).unwrap_or(0) } else { 0 };
    let rule = 1.min(body.height.saturating_sub(banner + end));
    let rows = body.height.saturating_sub(banner + end + rule);
    let place = |y: u16, height: u16| Rect::new(body.x, body.y + y, body.width, height);
    Places {
        banner: place(0, banner),
        rows: place(banner, rows),
        rule: place(banner + rows, rule),
        end: place(banner + rows + rule, end),
    }
}

/// Draws all of it.
pub(super) fn draw(state: &State, ctx: &Ctx, frame: &mut Frame) {
    let places = places(state, ctx);
    for (line, row) in banner(state, ctx).into_iter().zip(places.banner.rows()) {
        frame.render_widget(line, row);
    }
    if state.layout.steps().is_empty() {
        let (sentence, more) = nothing(state, ctx);
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        message::draw(ctx.settings, frame, places.rows, &sentence, &more);
    } else {
        steps(state, ctx, frame, places.rows);
    }
    if places.rule.height > 0 {
        rule(state, ctx, frame, places.rule);
    }
    for (line, row) in end(state, ctx).into_iter().zip(places.end.rows()) {
        frame.render_widget(line, row);
    }
}

fn steps(state: &State, ctx: &Ctx, frame: &mut Frame, area: Rect) {
    let canvas = state.canvas(ctx);
    let (layout, top) = (&state.layout, state.reading.top);
    let chosen = state.reading.index(layout);
    let height = usize::from(area.height);
    let mut rows = area.rows();
    let first = layout.at_row(top);
    for (index, step) in layout.steps().iter().enumerate().skip(first) {
        let (start, _) = layout.span(index);
        if start >= top + height {
            break;
        }
        let open = layout.is_open(step.seq);
        let shown = Shown { step, entries: state.transcript.entries(), open, selected: index == chosen };
        for line in rows::rows(shown, &canvas).into_iter().skip(top.saturating_sub(start)) {
            let Some(row) = rows.next() else { return };
            frame.render_widget(line, row);
        }
    }
}

/// What is to be known before one reads.
fn banner(state: &State, ctx: &Ctx) -> Vec<Line<'static>> {
    let (glyphs, style) = (ctx.settings.glyphs, |role| ctx.settings.theme.style(role));
    let mut lines = Vec::new();
    let mut say = |sign: &str, role: Role, sentence: &str| {
        let room = usize::from(ctx.body.width).saturating_sub(4);
        let most = if ctx.body.height < WITH_END { 1 } else { WRONG };
        let mut wrapped = text::wrap(&text::one_line(sentence), room, most + 1);
        if wrapped.len() > most {
            wrapped.truncate(most);
            let last = wrapped.pop().unwrap_or_default();
            wrapped.push(text::end(&format!("{last} {}", glyphs.more), room, glyphs.more));
        }
        for (index, line) in wrapped.into_iter().enumerate() {
            let sign = if index == 0 { sign } else { " " };
            lines.push(Line::styled(format!(" {sign} {line}"), style(role)));
        }
    };
    if state.subject.deleted {
        let (namespace, name) = state.subject.name().unwrap_or_default();
        say(glyphs.alarm, Role::Warn, &format!("Incident {namespace}/{name} was deleted; its trail stays"));
    }
    match state.link(ctx) {
        Some(Link::Forbidden { reason }) => say(glyphs.stop, Role::Warn, reason),
        Some(Link::Missing { reason }) => say(glyphs.ask, Role::Warn, reason),
        Some(Link::Lost { reason }) => say(glyphs.ring, Role::Bad, reason),
        _ => {}
    }
    if state.recent && !state.transcript.entries().is_empty() {
        say(glyphs.down, Role::Dim, "the last lines of the Incident's status, instead of the session's own entries");
    }
    let own = state.subject.attempt();
    if let Some(newer) = state.attempts.newest().filter(|newest| own.is_some_and(|own| newest.number > own)) {
        let number = newer.number;
        say(glyphs.arrow, Role::Person, &format!("attempt {number} is there: > shows it"));
    }
    lines
}

/// Why there are no steps.
fn nothing(state: &State, ctx: &Ctx) -> (String, Vec<String>) {
    let (status, id) = (state.subject.incident.as_ref().and_then(|i| i.status.as_ref()), state.subject.id.as_ref());
    let message = status.and_then(|status| status.message.clone()).into_iter().collect();
    if id.is_none() {
        if let Some(place) = status.and_then(|status| status.queue_position) {
            return (format!("The session has not begun: place {place} in the queue"), message);
        }
        if state.subject.incident.is_some() {
            return ("The session has not begun".to_owned(), message);
        }
        let listed = ctx.world.is_listed(crate::feed::Kind::Incidents);
        return match &state.named {
            Some(name) if listed => (
                format!("There is no Incident {} here", text::one_line(name)),
                vec!["A session of the past is found by its id: operator audit list -A".to_owned()],
            ),
            _ => ("Looking for the Incident".to_owned(), Vec::new()),
        };
    }
    match state.link(ctx) {
        Some(Link::Lost { .. }) => ("The session cannot be read just now".to_owned(), message),
        Some(Link::Forbidden { .. } | Link::Missing { .. }) => ("The session cannot be read".to_owned(), message),
        _ if !state.transcript.has_begun() || state.transcript.is_waiting() => {
            ("Reading the session".to_owned(), Vec::new())
        }
        _ => ("Nothing is on record yet".to_owned(), message),
    }
}

/// The line that says where one is.
fn rule(state: &State, ctx: &Ctx, frame: &mut Frame, area: Rect) {
    let (glyphs, style) = (ctx.settings.glyphs, |role| ctx.settings.theme.style(role));
    let columns = usize::from(area.width);
    let (said, role) = standing(state, ctx);
    let said = text::end(&format!(" {said}"), columns.saturating_sub(2), glyphs.more);
    let search = match &state.search {
        Some(search) => format!("{}{} /{} ", glyphs.rule, glyphs.rule, text::one_line(search.as_str())),
        None => String::new(),
    };
    let search = text::end(&search, columns.saturating_sub(text::width(&said) + 4), glyphs.more);
    let rest = columns.saturating_sub(text::width(&said) + text::width(&search));
    let spans = vec![
        Span::styled(search, style(Role::Key)),
        Span::styled(glyphs.rule.repeat(rest), style(Role::Border)),
        Span::styled(said, style(role)),
    ];
    frame.render_widget(Line::from(spans), area);
}

fn standing(state: &State, ctx: &Ctx) -> (String, Role) {
    let glyphs = ctx.settings.glyphs;
    let last = state.transcript.last();
    let seq = |seq: i64| text::number(u64::try_from(seq).unwrap_or(0));
    if let Some(forward) = state.hunting {
        let at = if forward {
            state.transcript.end()
        } else {
            state.transcript.entries().front().map_or(0, |entry| entry.seq)
        };
        return (format!("searching, at {} of {} {} any key stops", seq(at), seq(last), glyphs.middot), Role::Busy);
    }
    if state.errand.is_some() {
        return (format!("fetching the whole output{}", glyphs.more), Role::Busy);
    }
    let loading = if state.transcript.is_waiting() && state.transcript.has_begun() {
        format!("{} loading {} ", glyphs.wait, glyphs.middot)
    } else {
        String::new()
    };
    let chosen = state.layout.steps().get(state.reading.index(&state.layout)).map_or(0, |step| step.seq);
    if state.over() {
        let end = state.subject.end(&state.transcript);
        let phase = end.map_or_else(|| "over".to_owned(), |end| end.phase);
        let place =
            if last > 0 { format!(" {} step {} of {}", glyphs.middot, seq(chosen), seq(last)) } else { String::new() };
        return (format!("{loading}{} {phase}{place}", glyphs.end), Role::Strong);
    }
    if state.layout.steps().is_empty() {
        return (loading, Role::Dim);
    }
    if state.reading.follow {
        return (format!("{loading}{} FOLLOW", glyphs.down), Role::Dim);
    }
    let here = state.layout.steps().iter().rev().take_while(|step| step.seq > state.reading.seen).count();
    let beyond = usize::try_from(last - state.transcript.end()).unwrap_or(0);
    let new = match here + beyond {
        0 => String::new(),
        new => format!(" {} {} new {}", glyphs.middot, text::number(new as u64), glyphs.down),
    };
    let dot = glyphs.middot;
    (format!("{loading}{} PAUSED at step {}{new} {dot} G: follow", glyphs.pause, seq(chosen)), Role::Warn)
}

/// How it ended, if it did.
fn end(state: &State, ctx: &Ctx) -> Vec<Line<'static>> {
    let Some(end) = state.subject.end(&state.transcript) else { return Vec::new() };
    let (glyphs, style) = (ctx.settings.glyphs, |role| ctx.settings.theme.style(role));
    let width = usize::from(ctx.body.width);
    let (sign, role) = match end.phase.as_str() {
        "Resolved" => (glyphs.good, Role::Good),
        "Concluded" => (glyphs.end, Role::Warn),
        "Escalated" => (glyphs.ask, Role::Person),
        "Cancelled" => (glyphs.stop, Role::Warn),
        "Failed" => (glyphs.bad, Role::Bad),
        _ => (glyphs.end, Role::Strong),
    };
    let took = state.subject.took(&state.transcript, ctx.now).map(|took| format!("after {}", time::stopwatch(took)));
    let commands =
        state.subject.commands().map(|commands| text::count(u64::try_from(commands).unwrap_or(0), "command"));
    let facts: Vec<String> =
        [took, commands, state.subject.cost(true).map(|cost| text::one_line(&cost))].into_iter().flatten().collect();
    let first = vec![
        Span::styled(format!(" {sign} {}", end.phase), style(role)),
        Span::styled(format!(" {}", facts.join(", ")), style(Role::Text)),
        Span::styled(
            text::end(&message_of(&end, glyphs.middot), width.saturating_sub(40), glyphs.more),
            style(Role::Dim),
        ),
    ];
    let mut lines = vec![Line::from(first)];
    for (name, said) in [("root cause", end.cause), ("to be done", end.follow_up)] {
        let Some(said) = said else { continue };
        for (index, line) in text::wrap(&said, width.saturating_sub(15), 2).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            lines.push(Line::from(vec![
                Span::styled(format!("   {name:<11}"), style(Role::Heading)),
                Span::styled(line, style(Role::Text)),
            ]));
        }
    }
    lines.truncate(END);
    lines
}

fn message_of(end: &End, middot: &str) -> String {
    if end.message.is_empty() { String::new() } else { format!(" {middot} {}", end.message) }
}
