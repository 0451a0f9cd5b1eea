//! A terminal with a program in it, driven as a person drives it: keys in, the screen out.
//!
//! Each is a tmux server of its own, so that no test sees another's windows or a person's settings.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(40);

/// A terminal. It is closed, with whatever runs in it, when this is dropped.
pub struct Terminal {
    server: String,
    runs: String,
}

impl Terminal {
    /// Opens one of that size and types a command line of `sh` into it. When the program has ended, `EXIT=` and its code
    /// stand on the screen, and the screen stays.
    ///
    /// # Panics
    /// When tmux cannot be started.
    #[must_use]
    pub fn open(columns: u16, rows: u16, command_line: &str) -> Self {
        let terminal =
            Self { server: format!("operator-{:08x}", rand::random::<u32>()), runs: command_line.to_owned() };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let script = format!("{command_line}; echo EXIT=$?; exec cat");
        let size = ["-x", &columns, "-y", &rows];
        terminal.tmux(&[&["new-session", "-d", "-s", "t"], &size[..], &[&script]].concat());
        terminal.tmux(&["set-option", "-g", "status", "off"]);
        terminal.tmux(&["resize-window", "-t", "t", "-x", &columns, "-y", &rows]);
        terminal
    }

    /// The `operator-tui` that the workspace built, with these arguments.
    #[must_use]
    pub fn operator(columns: u16, rows: u16, arguments: &str) -> Self {
        Self::open(columns, rows, &format!("{} {arguments}", binary()))
    }

    /// Presses keys, in tmux's names: `Enter`, `Escape`, `C-c`, `Space`, `j`.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "-t", "t"], keys].concat());
    }

    /// Types text, character by character.
    pub fn type_text(&self, text: &str) {
        self.tmux(&["send-keys", "-t", "t", "-l", text]);
    }

    /// Makes it larger or smaller.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-t", "t", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What stands on the screen.
    #[must_use]
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "t"])
    }

    /// The same with its colours, as escape sequences.
    #[must_use]
    pub fn coloured(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e", "-t", "t"])
    }

    /// The process that runs in it: the shell, and not the program.
    #[must_use]
    pub fn shell(&self) -> i32 {
        self.tmux(&["display", "-p", "-t", "t", "#{pane_pid}"]).trim().parse().expect("a process id")
    }

    /// The title that programs gave it.
    #[must_use]
    pub fn title(&self) -> String {
        self.tmux(&["display", "-p", "-t", "t", "#{pane_title}"])
    }

    /// Whether the terminal is as a program found it: not on its alternate screen, the cursor visible.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.tmux(&["display", "-p", "-t", "t", "#{alternate_on}#{cursor_flag}"]).trim() == "01"
    }

    /// Waits until the text stands on the screen, and returns the screen.
    #[allow(clippy::must_use_candidate)] // often only that it comes matters
    pub fn wait(&self, text: &str, limit: Duration) -> String {
        self.until(&format!("{text:?} on the screen"), limit, |screen| screen.contains(text))
    }

    /// Waits until the text stands there no more.
    #[allow(clippy::must_use_candidate)] // as above
    pub fn wait_gone(&self, text: &str, limit: Duration) -> String {
        self.until(&format!("{text:?} gone from the screen"), limit, |screen| !screen.contains(text))
    }

    /// Waits until the screen is as wanted.
    ///
    /// # Panics
    /// When it is not in time: with what stands there.
    #[allow(clippy::must_use_candidate)] // as above
    pub fn until(&self, what: &str, limit: Duration, holds: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if holds(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < limit, "{}: not within {limit:?}: {what}\n{screen}", self.runs);
            std::thread::sleep(LOOK);
        }
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "tmux {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        // Its own settings, and no others; and a client of a tmux in which the tests themselves run it is not.
        Command::new("tmux")
            .args(["-u", "-L", &self.server, "-f", "/dev/null"])
            .args(arguments)
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("tmux: scripts/setup installs it")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.run(&["kill-server"]);
    }
}

/// The `operator-tui` that the workspace built.
#[must_use]
pub fn binary() -> String {
    crate::process::binary().with_file_name("operator-tui").to_string_lossy().into_owned()
}
