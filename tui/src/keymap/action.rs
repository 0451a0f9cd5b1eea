//! What keys can do, and where.

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a key does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// Its name in the configuration.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

actions! {
    /// The help.
    Help = "help",
    /// The command line.
    Command = "command",
    /// A filter, or a search.
    Filter = "filter",
    /// Back.
    Back = "back",
    /// End, from the first screen; else back.
    Quit = "quit",
    /// End at once.
    ForceQuit = "force-quit",
    /// Draw anew.
    Redraw = "redraw",
    /// Stop, as a shell's job.
    Suspend = "suspend",
    /// The screen before this one.
    LastView = "last-view",
    /// Connect again now.
    Reconnect = "reconnect",
    /// All namespaces, or the one again.
    AllNamespaces = "all-namespaces",
    /// One down.
    Down = "down",
    /// One up.
    Up = "up",
    /// To the first.
    Top = "top",
    /// To the last.
    Bottom = "bottom",
    /// Half a page down.
    HalfDown = "half-down",
    /// Half a page up.
    HalfUp = "half-up",
    /// A page down.
    PageDown = "page-down",
    /// A page up.
    PageUp = "page-up",
    /// To the left.
    Left = "left",
    /// To the right.
    Right = "right",
    /// What is selected, opened.
    Open = "open",
    /// What is selected, as YAML.
    Yaml = "yaml",
    /// What is selected, described.
    Describe = "describe",
    /// Copy the name.
    Copy = "copy",
    /// The preview, on or off.
    Preview = "preview",
    /// Mark a row.
    Mark = "mark",
    /// Sort by the next column.
    Sort = "sort",
    /// Sort the other way round.
    SortReverse = "sort-reverse",
    /// End an attempt.
    Cancel = "cancel",
    /// Begin an attempt.
    Retry = "retry",
    /// Say something to the agent.
    Note = "note",
    /// Open or fold a step.
    Fold = "fold",
    /// Open or fold all steps.
    FoldAll = "fold-all",
    /// The command before.
    PreviousCommand = "previous-command",
    /// The next command.
    NextCommand = "next-command",
    /// The attempt before.
    PreviousAttempt = "previous-attempt",
    /// The attempt after.
    NextAttempt = "next-attempt",
    /// The failed step before.
    PreviousFailed = "previous-failed",
    /// The next failed step.
    NextFailed = "next-failed",
    /// The next match.
    NextMatch = "next-match",
    /// The match before.
    PreviousMatch = "previous-match",
    /// Copy a step's output.
    CopyOutput = "copy-output",
    /// Into a file.
    Export = "export",
    /// The next chapter.
    Next = "next",
    /// The chapter before.
    Previous = "previous",
    /// The next chapter, whatever this one waits for.
    Force = "force",
    /// Back to the beginning.
    Reset = "reset",
    /// The first panel.
    Panel1 = "panel-1",
    /// The second panel.
    Panel2 = "panel-2",
    /// The third panel.
    Panel3 = "panel-3",
    /// The fourth panel.
    Panel4 = "panel-4",
    /// The fifth panel.
    Panel5 = "panel-5",
    /// The panel alone, or all of them.
    Zoom = "zoom",
    /// Hold the panel still.
    Freeze = "freeze",
}

/// Where keys hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// Everywhere.
    Global,
    /// Where there is something to move in.
    Move,
    /// On the Incidents screen.
    Incidents,
    /// On the Subjects screen.
    Subjects,
    /// On the Session screen.
    Session,
    /// On the Demo screen.
    Demo,
    /// In the pager and in the help.
    Pager,
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Global, Self::Move, Self::Incidents, Self::Subjects, Self::Session, Self::Demo, Self::Pager];

    /// Above its keys, in the help.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::Move => "Move",
            Self::Incidents => "Incidents",
            Self::Subjects => "Subjects",
            Self::Session => "Session",
            Self::Demo => "Demo",
            Self::Pager => "Pager and help",
        }
    }

    /// Those that a screen can have.
    pub const SCREENS: [Self; 5] = [Self::Incidents, Self::Subjects, Self::Session, Self::Demo, Self::Pager];

    /// Its name, in the configuration and in the help.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Move => "move",
            Self::Incidents => "incidents",
            Self::Subjects => "subjects",
            Self::Session => "session",
            Self::Demo => "demo",
            Self::Pager => "pager",
        }
    }

    /// The contexts whose keys hold there, its own first.
    #[must_use]
    pub fn layers(self) -> &'static [Self] {
        match self {
            Self::Global => &[Self::Global],
            Self::Move => &[Self::Move],
            Self::Incidents => &[Self::Incidents, Self::Move, Self::Global],
            Self::Subjects => &[Self::Subjects, Self::Move, Self::Global],
            Self::Session => &[Self::Session, Self::Move, Self::Global],
            Self::Demo => &[Self::Demo, Self::Global],
            Self::Pager => &[Self::Pager, Self::Move, Self::Global],
        }
    }
}
