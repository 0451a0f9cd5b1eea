//! A demo as a story: what is told, what is done, what the monitor saw, and the agent at work. It plays by itself with
//! `--auto`; without, it tells what others turn to.

use std::collections::HashMap;

use crds::demo_chapter::{ActionState, ChapterState};
use jiff::Timestamp;

use super::{Known, Log, Wants};
use crate::feed::{FeedEvent, Kind, Link, Request, SubjectKey};
use crate::msg::{Cmd, Done};
use crate::screen::demo::agent::{Kind as Of, Line, Story};
use crate::screen::demo::log::{self, Word};
use crate::screen::demo::panel::workload::number;
use crate::screen::demo::stage::{self, Stage};
use crate::screen::demo::turn::{Play, Player};
use crate::screen::demo::{missing, workload::Workload};
use crate::settings::Settings;
use crate::text;
use crate::time;
use crate::world::Named as _;

/// As wide as a page.
const COLUMNS: usize = 100;
/// Below this many percent of its baseline the workload is worth a line, and above that again.
const DROP: f64 = -25.0;

/// What was told of a page.
#[derive(Debug, Default)]
struct Told {
    entered: i64,
    actions: Vec<ActionState>,
    counted: bool,
    waits: bool,
    over: bool,
}

/// The story.
#[derive(Debug)]
pub(super) struct DemoLog {
    name: String,
    player: Option<Player>,
    log: log::Log,
    story: Story,
    /// The number of lines of the session that were told.
    told_lines: usize,
    pages: HashMap<String, Told>,
    observed: Option<SubjectKey>,
    dropped: bool,
    began: Option<Timestamp>,
    refused: Option<String>,
}

impl DemoLog {
    pub(super) fn new(name: &str, settings: &Settings) -> Self {
        let demo = &settings.demo;
        Self {
            name: name.to_owned(),
            player: demo.auto.then(|| Player::new(demo.pause, demo.limit)),
            log: log::Log::default(),
            story: Story::default(),
            told_lines: 0,
            pages: HashMap::new(),
            observed: None,
            dropped: false,
            began: None,
            refused: None,
        }
    }

    fn step(&mut self, known: &Known) -> Wants {
        let mut wants = Wants { is_story: true, ..Wants::default() };
        if let Some(why) = self.refused.take() {
            return self.end(Err(why), None, known, wants);
        }
        match known.world.link(Kind::Chapters) {
            Link::Missing { reason } | Link::Forbidden { reason } => {
                let why = format!("{reason}; demos are off by default: demo.enabled=true in the chart");
                return self.end(Err(why), None, known, wants);
            }
            _ => {}
        }
        if !Kind::ALL.iter().all(|kind| known.world.is_listed(*kind)) {
            return wants;
        }
        let stage = Stage::of(known.world, &self.name);
        if stage.chapters.is_empty() {
            let why = format!(
                "{}; kubectl apply -f subjects/NAME/chapters.yaml brings some",
                missing(&self.name, known.world)
            );
            return self.end(Err(why), None, known, wants);
        }
        self.began.get_or_insert(known.now);
        self.follow(&stage, &mut wants);
        let resetting = stage.is_resetting();
        if !resetting {
            self.page(&stage, known, &mut wants.lines);
            self.monitor(&stage, known, &mut wants.lines);
            self.agent(false, &mut wants.lines);
            self.workload(&stage, known, &mut wants.lines);
        }
        let Some(player) = &mut self.player else { return wants };
        match player.play(&stage, known.now) {
            Play::Wait => wants,
            Play::Do(act) => {
                wants.cmds.push(Cmd::Feed(Request::Act(act)));
                wants
            }
            Play::End(end) => {
                let count = stage.chapters.len();
                self.agent(true, &mut wants.lines);
                self.end(end, Some((count, &stage)), known, wants)
            }
        }
    }

    fn end(&self, end: Result<(), String>, of: Option<(usize, &Stage)>, known: &Known, mut wants: Wants) -> Wants {
        wants.end = Some(u8::from(end.is_err()));
        let took = self.began.map(|began| time::elapsed(began, known.now).as_secs()).unwrap_or_default();
        match end {
            Ok(()) => {
                let (count, stage) = of.map_or((0, None), |(count, stage)| (count, Some(stage)));
                wants.lines.push(String::new());
                wants.lines.push(format!("The demo {} is complete: {count} chapters in {took} s.", self.name));
                for incident in stage.into_iter().flat_map(|stage| &stage.incidents) {
                    let status = incident.status.clone().unwrap_or_default();
                    wants.lines.push(format!(
                        "  {}: {}, {} turns, {} commands, {}",
                        incident.named(),
                        status.phase.as_str(),
                        status.turns.unwrap_or_default(),
                        status.commands.unwrap_or_default(),
                        status.cost.unwrap_or_else(|| "no cost".to_owned()),
                    ));
                    if let Some(cause) = status.root_cause {
                        wants.lines.extend(indented(&format!("root cause: {cause}"), "  ", "    "));
                    }
                }
            }
            // A log's reader looks at the end; a script's at what is on the other stream.
            Err(why) => {
                eprintln!("operator-tui: the demo {} did not come to its end: {}", self.name, text::one_line(&why));
            }
        }
        wants
    }

    fn follow(&mut self, stage: &Stage, wants: &mut Wants) {
        if self.observed != stage.subject {
            self.observed.clone_from(&stage.subject);
            if let Some(subject) = stage.subject.clone() {
                wants.cmds.push(Cmd::Feed(Request::Observe { subject }));
            }
        }
        let session = stage.session().unwrap_or_default();
        if !session.is_empty() && self.story.session != session {
            if !self.story.session.is_empty() {
                wants.cmds.push(Cmd::Feed(Request::Unfollow { session: self.story.session.clone() }));
            }
            (self.story, self.told_lines) = (Story::of(session), 0);
            wants.cmds.push(Cmd::Feed(Request::Follow { session: session.to_owned(), after: 0 }));
        }
    }

    fn page(&mut self, stage: &Stage, known: &Known, lines: &mut Vec<String>) {
        let Some(chapter) = stage.chapter() else { return };
        let status = stage::status(chapter);
        let told = self.pages.entry(chapter.named().to_owned()).or_default();
        let glyphs = known.settings.glyphs;
        if told.entered != status.entered {
            *told = Told { entered: status.entered, ..Told::default() };
            let number = stage.current.unwrap_or_default() + 1;
            let title = text::one_line(&chapter.spec.title);
            let head = format!("{0}{0} {number}/{1}  {title} ", glyphs.rule, stage.chapters.len());
            lines.push(String::new());
            lines.push(format!("{head}{}", glyphs.rule.repeat(COLUMNS.saturating_sub(text::width(&head)))));
            for (index, paragraph) in stage::narration(chapter).split("\n\n").enumerate() {
                if index > 0 {
                    lines.push(String::new());
                }
                lines.extend(indented(paragraph, "", ""));
            }
        }
        if status.state == ChapterState::Countdown && !told.counted {
            told.counted = true;
            let left =
                status.acts_at.as_ref().map(|at| time::elapsed(known.now, at.0).as_secs_f64()).unwrap_or_default();
            lines.push(format!("  in {left:.0} s"));
        }
        for (index, action) in status.actions.iter().enumerate() {
            let before = told.actions.get(index).copied().unwrap_or_default();
            if before == action.state || matches!(action.state, ActionState::Planned | ActionState::Begun) {
                continue;
            }
            let targets = action.targets.join(", ");
            let at = if targets.is_empty() || action.says.contains(&targets) {
                String::new()
            } else {
                format!(" ({targets})")
            };
            let said = action.message.as_ref().filter(|said| !said.is_empty());
            let said = said.map(|said| format!(": {}", text::one_line(said))).unwrap_or_default();
            lines.push(format!(
                "  {} {}: {}{at}{said}",
                glyphs.event,
                stage::action_words(action.state),
                text::one_line(&action.says)
            ));
        }
        told.actions = status.actions.iter().map(|action| action.state).collect();
        if status.state == ChapterState::Waiting && !told.waits && !chapter.spec.waiting.is_empty() {
            told.waits = true;
            lines.push(format!("  {} waiting until {}", glyphs.wait, text::one_line(&chapter.spec.waiting)));
        }
        if status.state == ChapterState::Complete && told.waits && !told.over {
            told.over = true;
            let took = status.entered_at.zip(status.completed_at).map(|(from, to)| time::elapsed(from.0, to.0));
            lines.push(format!("  {} complete after {}", glyphs.good, time::took(took.unwrap_or_default())));
        }
    }

    fn monitor(&mut self, stage: &Stage, known: &Known, lines: &mut Vec<String>) {
        for line in self.log.see(stage, known.now) {
            // What is only unknown for a moment is noise in a story.
            if line.word == Word::Unknown {
                continue;
            }
            let (clock, word) = (time::clock(line.at), text::fit(line.word.text(), 7, ""));
            lines.extend(indented(&format!("{clock} {word} {}  {}", line.name, line.text), "  ", "                  "));
        }
    }

    fn agent(&mut self, all: bool, lines: &mut Vec<String>) {
        while let Some(line) = self.story.lines.get(self.told_lines) {
            if line.kind == (Of::Command { good: None }) && !all {
                break;
            }
            lines.extend(spoken(line));
            self.told_lines += 1;
        }
    }

    fn workload(&mut self, stage: &Stage, known: &Known, lines: &mut Vec<String>) {
        let workload = Workload::of(known.world, stage);
        let (Some(now), Some(change), Some(baseline)) = (workload.now, workload.change(), workload.baseline) else {
            return;
        };
        if (change < DROP) != self.dropped {
            self.dropped = change < DROP;
            let label = text::one_line(&workload.label);
            lines.push(format!(
                "  {label}: {}{} ({change:+.0}% of baseline {})",
                number(now),
                workload.unit,
                number(baseline)
            ));
        }
    }
}

/// A line of the session, as it is told.
fn spoken(line: &Line) -> Vec<String> {
    let (sign, more) = match line.kind {
        Of::Thought => ("    ∴ ", "      "),
        Of::Command { good: Some(true) } => ("    ✓ $ ", "        "),
        Of::Command { good: Some(false) } => ("    ✗ $ ", "        "),
        Of::Command { good: None } => ("    ● $ ", "        "),
        Of::Output => ("      └ ", "        "),
        Of::Change => ("    ► ", "      "),
        Of::Conclusion => ("    ■ ", "      "),
        Of::Check { good: Some(false) } => ("    ✗ ", "      "),
        Of::Check { good: None } => ("    ◎ ", "      "),
        Of::Check { good: Some(true) } => ("    ✓ ", "      "),
        Of::Control => ("    ! ", "      "),
    };
    if line.end.is_empty() {
        let one = matches!(line.kind, Of::Output);
        let mut lines = indented(&line.text, sign, more);
        if one {
            lines.truncate(1);
        }
        return lines;
    }
    let room = COLUMNS.saturating_sub(text::width(sign) + text::width(&line.end) + 2);
    vec![format!("{sign}{}  {}", text::fit(&line.text, room, "…"), line.end)]
}

/// A text over several lines, the first after `first` and the others after `more`.
fn indented(words: &str, first: &str, more: &str) -> Vec<String> {
    let columns = COLUMNS.saturating_sub(text::width(more).max(text::width(first)));
    let wrapped = text::wrap(&text::one_line(words), columns, 12);
    let mark = |index: usize| if index == 0 { first } else { more };
    wrapped.iter().enumerate().map(|(index, line)| format!("{}{line}", mark(index))).collect()
}

impl Log for DemoLog {
    fn begin(&mut self, _: &Known) -> Wants {
        Wants::default()
    }

    fn feed(&mut self, event: &FeedEvent, known: &Known) -> Wants {
        if let FeedEvent::Entries { session, entries, .. } = event
            && *session == self.story.session
        {
            self.story.take(entries);
        }
        self.step(known)
    }

    fn done(&mut self, done: &Done, known: &Known) -> Wants {
        if let Done::Bad(why) = done {
            self.refused = Some(why.clone());
        }
        self.step(known)
    }

    fn tick(&mut self, known: &Known) -> Wants {
        self.step(known)
    }
}
