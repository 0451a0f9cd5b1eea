//! The terminal: taken, and always given back.
//!
//! Whatever ends the program (a key, a signal, a panic) or stops it (^Z), the terminal is as it was before: main screen,
//! cursor, echo. Giving back twice does no harm.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;

use crate::model::Model;
use crate::view;

/// Whether the terminal is ours now.
static OURS: AtomicBool = AtomicBool::new(false);
/// Whether the wheel was asked for.
static MOUSE: AtomicBool = AtomicBool::new(false);

/// The most bytes that are copied: terminals drop more.
const MOST_COPIED: usize = 74_994;
/// What is written at once.
const BUFFER: usize = 64 << 10;

/// The terminal while it is ours.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// If it is none, or does not obey.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        MOUSE.store(mouse, Ordering::SeqCst);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
            // Whichever task it was: half a program must not go on drawing.
            std::process::exit(101);
        }));
        take()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, io::stdout()));
        Ok(Self { terminal: Terminal::new(backend)? })
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Shows the model.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| view::draw(model, frame))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Forgets what is on the screen, so that all of it is drawn.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn forget(&mut self) -> io::Result<()> {
        // Not clear(): it asks the terminal where its cursor is, and waits for the answer.
        let (width, height) = self.size()?;
        self.terminal.resize(Rect::new(0, 0, width, height))
    }

    /// Puts a text into the terminal's clipboard.
    ///
    /// # Errors
    /// A sentence.
    pub fn copy(&mut self, text: &str) -> Result<(), String> {
        if text.len() > MOST_COPIED {
            return Err(format!("this is too long to be copied ({} bytes of at most {MOST_COPIED})", text.len()));
        }
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        let writer = self.terminal.backend_mut();
        write!(writer, "\x1b]52;c;{encoded}\x07")
            .and_then(|()| io::Write::flush(writer))
            .map_err(|error| format!("the terminal does not take it: {error}"))
    }

    /// Stops the program as a job of the shell, and comes back when it goes on.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        // The whole job: a shell that waits for `make` would not get its terminal back if only we stopped.
        rustix::process::kill_current_process_group(rustix::process::Signal::TSTP)?;
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        self.resume()
    }

    /// Takes the terminal again after a stop.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn resume(&mut self) -> io::Result<()> {
        take()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    OURS.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)?;
    if MOUSE.load(Ordering::SeqCst) {
        execute!(io::stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

/// Gives the terminal back, if it is ours.
pub fn restore() {
    if !OURS.swap(false, Ordering::SeqCst) {
        return;
    }
    // A terminal that is gone needs nothing back.
    if MOUSE.load(Ordering::SeqCst) {
        let _ = execute!(io::stdout(), DisableMouseCapture);
    }
    let _ = execute!(io::stdout(), EndSynchronizedUpdate, DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
