//! Everything that the program knows. It changes in [`crate::update`] alone.

use std::time::Duration;

use jiff::Timestamp;
use ratatui::layout::Rect;

use crate::ask::Target;
use crate::keymap::Press;
use crate::overlay::{Overlay, Prompt};
use crate::page::{Ctx, Page};
use crate::rights::Rights;
use crate::screen;
use crate::settings::Settings;
use crate::time;
use crate::world::World;

/// The smallest terminal that can be worked in.
pub const SMALLEST: (u16, u16) = (60, 12);
/// How long a line above the footer stays.
pub const SAID: Duration = Duration::from_secs(4);
/// The same for what went wrong.
pub const COMPLAINED: Duration = Duration::from_secs(10);
/// Lines of header, status line and footer.
const AROUND: u16 = 3;

/// A line above the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub text: String,
    /// Whether something went wrong.
    pub bad: bool,
    /// Until when.
    pub until: Timestamp,
}

/// The place of a screen in a terminal of this size, without header, status line and footer.
#[must_use]
pub fn body_of(size: (u16, u16)) -> Rect {
    let (width, height) = size;
    Rect::new(0, 1.min(height), width, height.saturating_sub(AROUND))
}

/// The state of the program.
pub struct Model {
    /// The clock.
    pub now: Timestamp,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// What is known.
    pub world: World,
    /// How things look and what is looked at.
    pub settings: Settings,
    /// What may be done.
    pub rights: Rights,
    /// The screens, each opened from the one before it. Never empty.
    pub screens: Vec<Box<dyn Page>>,
    /// The screens that `-` goes back to.
    pub last: Option<Vec<Box<dyn Page>>>,
    /// What lies over the screen.
    pub overlay: Option<Overlay>,
    /// A line that is being typed.
    pub prompt: Option<Prompt>,
    /// The lines that were typed before, the oldest first.
    pub history: Vec<(crate::page::Purpose, String)>,
    /// Keys of a sequence that is not complete.
    pub pressed: Vec<Press>,
    /// A line above the footer.
    pub notice: Option<Notice>,
    /// What is being done and has not ended.
    pub busy: usize,
    /// Whether the program is to end, and how.
    pub end: Option<u8>,
    /// What is said once the terminal is given back.
    pub farewell: Option<String>,
}

impl Model {
    /// A program that opens with a screen.
    #[must_use]
    pub fn new(settings: Settings, target: &Target, now: Timestamp) -> Self {
        let rights = Rights::new(settings.read_only);
        Self {
            now,
            size: (80, 24),
            world: World::default(),
            settings,
            rights,
            screens: vec![screen::open(target)],
            last: None,
            overlay: None,
            prompt: None,
            history: Vec::new(),
            pressed: Vec::new(),
            notice: None,
            busy: 0,
            end: None,
            farewell: None,
        }
    }

    /// What screens may read.
    #[must_use]
    pub fn ctx(&self) -> Ctx<'_> {
        let body = body_of(self.size);
        Ctx { now: self.now, world: &self.world, settings: &self.settings, rights: &self.rights, body }
    }

    /// Lets the screen in front do something with what it may read.
    pub fn with_screen<T: Default>(&mut self, does: impl FnOnce(&mut dyn Page, &Ctx) -> T) -> T {
        let Self { screens, world, settings, rights, now, size, .. } = self;
        let ctx = Ctx { now: *now, world, settings, rights, body: body_of(*size) };
        screens.last_mut().map(|screen| does(screen.as_mut(), &ctx)).unwrap_or_default()
    }

    /// The screen in front.
    #[must_use]
    pub fn screen(&self) -> &dyn Page {
        match self.screens.last() {
            Some(screen) => screen.as_ref(),
            // There is always one: the last is never taken away.
            None => &screen::NOTHING,
        }
    }

    /// Whether the terminal is too small.
    #[must_use]
    pub fn is_too_small(&self) -> bool {
        self.size.0 < SMALLEST.0 || self.size.1 < SMALLEST.1
    }

    /// How long until something that is shown changes by itself. `None`: the program may sleep.
    #[must_use]
    pub fn tick(&self) -> Option<Duration> {
        let notice = self.notice.as_ref().map(|notice| time::elapsed(self.now, notice.until));
        let link = crate::view::header::tick(self);
        let screen = if self.is_too_small() { None } else { self.screen().tick(&self.ctx()) };
        let activity = self.world.activity.tick(self.now).filter(|_| self.size.0 >= 100);
        [notice, link, activity, screen].into_iter().flatten().min().map(|wait| wait.max(Duration::from_millis(30)))
    }
}
