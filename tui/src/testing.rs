//! Fixtures, a model that is ready, and a terminal that is text: for tests and benchmarks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

pub mod demo;
mod objects;
pub mod session;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

pub use objects::{chapter, incident, incidents, subject, with_status};

use crate::ask::Target;
use crate::feed::{FeedEvent, Kind, Link, Object, Source};
use crate::keymap::Chord;
use crate::model::Model;
use crate::msg::{Cmd, Msg};
use crate::settings::Settings;
use crate::theme::ThemeName;
use crate::update::{begin, update};
use crate::view;

/// The sizes at which everything is looked at.
pub const SIZES: [(u16, u16); 4] = [(60, 12), (80, 24), (120, 36), (200, 50)];

/// The time in tests.
#[must_use]
pub fn now() -> Timestamp {
    "2026-01-28T12:01:02Z".parse().unwrap()
}

/// A model, and a hand at it.
pub struct Bench {
    /// It.
    pub model: Model,
    /// What it wanted to be done since [`Self::cmds`] was last asked.
    cmds: Vec<Cmd>,
}

impl Bench {
    /// A program that has just begun with this screen: nothing is known.
    #[must_use]
    pub fn new(target: &Target) -> Self {
        Self::with(target, ThemeName::Ansi, false)
    }

    /// The same with other looks.
    #[must_use]
    pub fn with(target: &Target, theme: ThemeName, ascii: bool) -> Self {
        let mut settings = Settings::new(theme, ascii);
        settings.context.push_str("prod-eu");
        let mut model = Model::new(settings, target, now());
        let cmds = begin(&mut model);
        Self { model, cmds }
    }

    /// All kinds listed, with these resources.
    #[must_use]
    pub fn listed(mut self, objects: Vec<Object>) -> Self {
        let mut events = Vec::new();
        events.extend(Kind::ALL.map(|of| FeedEvent::Listing { of }));
        events.extend(objects.into_iter().map(|object| FeedEvent::Applied { object }));
        events.extend(Kind::ALL.map(|of| FeedEvent::Listed { of }));
        events.extend(Kind::ALL.map(|kind| FeedEvent::Link { source: Source::Kind(kind), link: Link::Live }));
        self.feed(events);
        self
    }

    /// News.
    pub fn feed(&mut self, events: Vec<FeedEvent>) {
        self.msg(Msg::Feed(events));
    }

    /// Any message.
    pub fn msg(&mut self, msg: Msg) {
        let cmds = update(&mut self.model, msg);
        self.cmds.extend(cmds);
    }

    /// Keys, as in the configuration: `"j j enter"`.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        for press in Chord::parse(keys).expect("keys").0 {
            self.msg(Msg::Key(press.event()));
        }
        self
    }

    /// Text, key by key.
    pub fn types(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.msg(Msg::Key(KeyEvent::from(crossterm::event::KeyCode::Char(c))));
        }
        self
    }

    /// The clock goes on.
    pub fn later(&mut self, seconds: i64) {
        let now = self.model.now + jiff::SignedDuration::from_secs(seconds);
        self.msg(Msg::Clock(now));
    }

    /// Takes what was to be done.
    pub fn cmds(&mut self) -> Vec<Cmd> {
        std::mem::take(&mut self.cmds)
    }

    /// What a terminal of this size shows: text alone, without colours; ends of lines are trimmed.
    pub fn screen(&mut self, (width, height): (u16, u16)) -> String {
        self.msg(Msg::Resize(width, height));
        render(&self.model, (width, height))
    }
}

/// A model as text.
#[must_use]
pub fn render(model: &Model, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(model, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in 0..height {
        let mut line = String::new();
        let mut hidden = 0;
        for column in 0..width {
            let symbol = buffer[(column, row)].symbol();
            if hidden > 0 {
                hidden -= 1;
                continue;
            }
            line.push_str(symbol);
            hidden = crate::text::width(symbol).saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
