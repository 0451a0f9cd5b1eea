//! A log instead of a screen: one line for each thing that happens. For screen readers, pipes and files.

mod demo;
mod incidents;
mod paint;
mod session;
mod subjects;

use std::io::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use ratatui::text::Line;
use tokio::signal::unix::{SignalKind, signal};

use crate::ask::Target;
use crate::feed::record::Recorder;
use crate::feed::{Feed, FeedEvent, Kind, Link, Source};
use crate::msg::{Cmd, Done, Msg};
use crate::run::{RunError, ask_all, listen};
use crate::settings::Settings;
use crate::text;
use crate::world::World;

/// What a log may read.
pub struct Known<'a> {
    /// What is known, the news included.
    pub world: &'a World,
    /// The clock.
    pub now: Timestamp,
    /// Scope and demo.
    pub settings: &'a Settings,
}

/// What a log wants.
#[derive(Debug, Default)]
pub struct Wants {
    /// Lines to print, without their time. They are made harmless when they are printed.
    pub lines: Vec<String>,
    /// Lines to print as they stand, in their looks: a story, and not a log.
    pub story: Vec<Line<'static>>,
    /// What went wrong, for the other stream.
    pub complaint: Option<String>,
    /// Effects on the feed.
    pub cmds: Vec<Cmd>,
    /// The end, with an exit code.
    pub end: Option<u8>,
}

/// The log of a screen.
pub trait Log: Send {
    /// At the beginning.
    fn begin(&mut self, known: &Known) -> Wants;
    /// Something came from the feed; the world knows it already.
    fn feed(&mut self, event: &FeedEvent, known: &Known) -> Wants;
    /// A change was made, or was not.
    fn done(&mut self, done: &Done, _known: &Known) -> Wants {
        let line = match done {
            Done::Good(text) => text.clone(),
            Done::Bad(text) => format!("error: {text}"),
        };
        Wants { lines: vec![line], ..Wants::default() }
    }
    /// A connection stands otherwise than before, in a line.
    fn link(&mut self, line: String, _known: &Known) -> Wants {
        Wants { lines: vec![line], ..Wants::default() }
    }
    /// Whether there is more to come although nothing is watched any more: a recording is over, and what it has of a
    /// session is not told yet.
    fn waits(&self) -> bool {
        false
    }
    /// A second is over.
    fn tick(&mut self, _known: &Known) -> Wants {
        Wants::default()
    }
}

/// The log for a screen.
#[must_use]
pub fn open(target: &Target, settings: &Settings) -> Box<dyn Log> {
    match target {
        Target::Subjects => Box::new(subjects::SubjectLog::default()),
        Target::Session(session) => Box::new(session::SessionLog::new(session.clone())),
        Target::Demo(name) => Box::new(demo::DemoLog::new(name, settings)),
        Target::Incidents { .. } => Box::new(incidents::IncidentLog::new(target)),
    }
}

/// Prints until the feed or the log ends, or somebody wants the end.
///
/// # Errors
/// [`RunError`].
pub async fn run(
    settings: Settings,
    target: &Target,
    feed: Arc<dyn Feed>,
    mut recorder: Option<Recorder>,
) -> Result<u8, RunError> {
    let (_outlet, mut messages) = listen(feed.as_ref());
    let mut world = World::default();
    let mut log = open(target, &settings);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut clock = tokio::time::interval(std::time::Duration::from_secs(1));
    let known = Known { world: &world, now: feed.now(), settings: &settings };
    let wants = log.begin(&known);
    if let Some(code) = fulfil(wants, feed.as_ref(), feed.now()) {
        return Ok(code);
    }
    loop {
        let message = tokio::select! {
            message = messages.recv() => message,
            _ = clock.tick() => Some(Msg::Clock(feed.now())),
            _ = interrupt.recv() => return Ok(130),
            _ = terminate.recv() => return Ok(143),
        };
        let now = feed.now();
        match message {
            None => return Ok(0),
            Some(Msg::Feed(events)) => {
                if let Some(recorder) = &mut recorder {
                    recorder.write(now, &events).map_err(RunError::Record)?;
                }
                for event in events {
                    if let Some(line) = link(&event, &world) {
                        let wants = log.link(line, &Known { world: &world, now, settings: &settings });
                        fulfil(wants, feed.as_ref(), now);
                    }
                    world.apply(&event, now);
                    let wants = log.feed(&event, &Known { world: &world, now, settings: &settings });
                    if let Some(code) = fulfil(wants, feed.as_ref(), now) {
                        return Ok(code);
                    }
                }
                if Kind::ALL.iter().all(|kind| *world.link(*kind) == Link::Ended) && !log.waits() {
                    return Ok(0);
                }
            }
            Some(Msg::Done(done)) => {
                let wants = log.done(&done, &Known { world: &world, now, settings: &settings });
                if let Some(code) = fulfil(wants, feed.as_ref(), now) {
                    return Ok(code);
                }
            }
            Some(Msg::Clock(_)) => {
                let wants = log.tick(&Known { world: &world, now, settings: &settings });
                if let Some(code) = fulfil(wants, feed.as_ref(), now) {
                    return Ok(code);
                }
            }
            Some(Msg::Failed(why)) => {
                let wants = Wants { complaint: Some(why), end: Some(1), ..Wants::default() };
                return Ok(fulfil(wants, feed.as_ref(), now).unwrap_or(1));
            }
            Some(_) => {}
        }
    }
}

fn fulfil(wants: Wants, feed: &dyn Feed, now: Timestamp) -> Option<u8> {
    for line in &wants.lines {
        print(line, now);
    }
    for line in &wants.story {
        write(&paint::line(line));
    }
    if let Some(complaint) = &wants.complaint {
        eprintln!("operator-tui: {}", text::one_line(complaint));
    }
    ask_all(feed, wants.cmds);
    wants.end
}

/// A connection that stands otherwise than before.
fn link(event: &FeedEvent, world: &World) -> Option<String> {
    let FeedEvent::Link { source: Source::Kind(kind), link } = event else { return None };
    let before = world.link(*kind);
    if std::mem::discriminant(before) == std::mem::discriminant(link) {
        return None;
    }
    let name = kind.label();
    match link {
        Link::Live => (*before != Link::Connecting).then(|| format!("{name}: connected again")),
        Link::Lost { reason } => Some(format!("{name}: connection lost: {reason}")),
        // Demos are a part that may be absent.
        Link::Missing { .. } if *kind == Kind::Chapters => None,
        Link::Forbidden { reason } | Link::Missing { reason } => Some(format!("{name}: {reason}")),
        Link::Connecting | Link::Ended => None,
    }
}

/// A line with its time.
fn print(line: &str, now: Timestamp) {
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    write(&format!("{second} {}", text::one_line(line)));
}

/// Nobody may be left to read it; then there is nothing left to do.
fn write(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
