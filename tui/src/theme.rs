//! Colours by meaning, from the sixteen that every terminal has.
//!
//! A colour never says anything alone: a word or a sign is beside it. So `mono` loses nothing but comfort.

use clap::ValueEnum;
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// The themes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ThemeName {
    /// The terminal's sixteen colours.
    #[default]
    Ansi,
    /// No colour at all: bold, dim, reverse.
    Mono,
    /// Black and white with bright colours, for tired eyes and projectors.
    Contrast,
}

/// What something means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Plain text.
    Text,
    /// What matters less.
    Dim,
    /// What is read first.
    Strong,
    /// The program's and the screen's name.
    Title,
    /// Names of columns and fields.
    Heading,
    /// A key that can be pressed.
    Key,
    /// Healthy, done.
    Good,
    /// Will be bad, or nobody knows.
    Warn,
    /// Bad.
    Bad,
    /// At work.
    Busy,
    /// A person is needed.
    Person,
    /// The selected row.
    Selected,
    /// A marked row.
    Marked,
    /// Where a search matched.
    Match,
    /// The border of a panel.
    Border,
    /// The border of the panel that has the focus.
    Focus,
    /// The border of a panel that reports trouble.
    Trouble,
    /// What the agent thinks.
    Thought,
    /// A command.
    Command,
}

/// A theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    name: ThemeName,
}

impl Theme {
    /// The theme of that name.
    #[must_use]
    pub fn new(name: ThemeName) -> Self {
        Self { name }
    }

    /// Whether colours of what commands printed are shown.
    #[must_use]
    pub fn has_colour(self) -> bool {
        self.name != ThemeName::Mono
    }

    /// How something looks that means this.
    #[must_use]
    pub fn style(self, role: Role) -> Style {
        match self.name {
            ThemeName::Ansi => ansi(role),
            ThemeName::Mono => mono(role),
            ThemeName::Contrast => contrast(role),
        }
    }
}

fn ansi(role: Role) -> Style {
    let plain = Style::new();
    match role {
        Role::Text => plain,
        Role::Dim | Role::Border => plain.fg(Color::DarkGray),
        Role::Strong => plain.add_modifier(Modifier::BOLD),
        Role::Title | Role::Focus => plain.fg(Color::Cyan).add_modifier(Modifier::BOLD),
        Role::Heading => plain.fg(Color::Gray).add_modifier(Modifier::BOLD),
        Role::Key | Role::Command => plain.fg(Color::Cyan),
        Role::Good => plain.fg(Color::Green),
        Role::Warn => plain.fg(Color::Yellow),
        Role::Bad => plain.fg(Color::Red),
        Role::Trouble => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
        Role::Busy => plain.fg(Color::Blue),
        Role::Person | Role::Thought => plain.fg(Color::Magenta),
        // Not reversed: half of the screen's light in one line dazzles.
        Role::Selected => plain.fg(Color::White).bg(Color::Blue).add_modifier(Modifier::BOLD),
        Role::Marked => plain.fg(Color::Yellow).add_modifier(Modifier::BOLD),
        Role::Match => plain.fg(Color::Black).bg(Color::Yellow),
    }
}

fn mono(role: Role) -> Style {
    let plain = Style::new();
    match role {
        Role::Text | Role::Good | Role::Command | Role::Busy => plain,
        Role::Dim | Role::Border => plain.add_modifier(Modifier::DIM),
        Role::Strong | Role::Title | Role::Heading | Role::Key | Role::Warn | Role::Focus | Role::Trouble => {
            plain.add_modifier(Modifier::BOLD)
        }
        Role::Bad | Role::Person | Role::Marked => plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        Role::Thought => plain.add_modifier(Modifier::ITALIC),
        Role::Selected | Role::Match => plain.add_modifier(Modifier::REVERSED),
    }
}

fn contrast(role: Role) -> Style {
    let plain = Style::new().fg(Color::White);
    let bold = plain.add_modifier(Modifier::BOLD);
    match role {
        Role::Text | Role::Dim | Role::Border => plain,
        Role::Strong | Role::Heading | Role::Title => bold,
        Role::Key | Role::Command | Role::Focus => bold.fg(Color::LightCyan),
        Role::Good => bold.fg(Color::LightGreen),
        Role::Warn | Role::Marked => bold.fg(Color::LightYellow),
        Role::Bad | Role::Trouble => bold.fg(Color::LightRed),
        Role::Busy => bold.fg(Color::LightBlue),
        Role::Person | Role::Thought => bold.fg(Color::LightMagenta),
        Role::Selected => Style::new().fg(Color::Black).bg(Color::White).add_modifier(Modifier::BOLD),
        Role::Match => Style::new().fg(Color::Black).bg(Color::LightYellow).add_modifier(Modifier::BOLD),
    }
}
