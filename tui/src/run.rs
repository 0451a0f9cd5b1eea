//! The loop: messages in, effects out, one picture.
//!
//! All messages that wait are taken before anything is drawn, and nothing is drawn more than thirty times a second. While
//! nothing on the screen changes by itself the loop sleeps.

mod signals;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::feed::record::Recorder;
use crate::feed::{Closed, Feed, Outlet};
use crate::model::Model;
use crate::msg::{Cmd, Done, Msg};
use crate::terminal::Screen;
use crate::update::{begin, update};

/// Between two pictures.
const FRAME: Duration = Duration::from_millis(33);
/// How long messages are taken without a picture in between.
const DRAIN: Duration = Duration::from_millis(20);

/// Why the program ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The terminal does not obey.
    #[error("the terminal cannot be used: {0}; --plain needs none")]
    Terminal(#[from] std::io::Error),
    /// What comes cannot be written down.
    #[error("the recording cannot be written: {0}")]
    Record(std::io::Error),
}

/// Shows a model until it ends, and answers the exit code.
///
/// # Errors
/// [`RunError`].
pub async fn run(
    mut model: Model,
    feed: Arc<dyn Feed>,
    mut recorder: Option<Recorder>,
    mouse: bool,
) -> Result<u8, RunError> {
    let mut screen = Screen::enter(mouse)?;
    let (outlet, mut messages) = Outlet::new();
    tokio::spawn(keys(outlet.clone()));
    let mut signals = signals::Signals::new(outlet.clone())?;
    feed.start(outlet.clone());

    model.size = screen.size()?;
    model.now = feed.now();
    let first = begin(&mut model);
    effects(first, &mut screen, feed.as_ref(), &outlet, &mut signals)?;
    screen.draw(&model)?;
    let mut drawn = Instant::now();
    let mut due: Option<Instant> = None;

    while model.end.is_none() {
        let wake = due.or_else(|| model.tick().map(|wait| Instant::now() + wait.max(FRAME)));
        let sleep = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        let first = tokio::select! {
            message = messages.recv() => message,
            () = sleep => None,
        };
        let mut cmds = update(&mut model, Msg::Clock(feed.now()));
        let began = Instant::now();
        let mut next = first;
        while let Some(message) = next {
            if let (Msg::Feed(events), Some(recorder)) = (&message, &mut recorder) {
                recorder.write(model.now, events).map_err(RunError::Record)?;
            }
            cmds.extend(update(&mut model, message));
            next = if began.elapsed() < DRAIN { messages.try_recv().ok() } else { None };
        }
        effects(cmds, &mut screen, feed.as_ref(), &outlet, &mut signals)?;
        if drawn.elapsed() >= FRAME {
            screen.draw(&model)?;
            (drawn, due) = (Instant::now(), None);
        } else {
            due = Some(drawn + FRAME);
        }
    }
    drop(screen);
    if let Some(words) = &model.farewell {
        eprintln!("{}", crate::text::one_line(words));
    }
    Ok(model.end.unwrap_or_default())
}

fn effects(
    cmds: Vec<Cmd>,
    screen: &mut Screen,
    feed: &dyn Feed,
    outlet: &Outlet,
    signals: &mut signals::Signals,
) -> std::io::Result<()> {
    for cmd in cmds {
        match cmd {
            Cmd::Feed(request) => feed.ask(request),
            Cmd::Redraw => screen.forget()?,
            Cmd::Suspend => {
                if signals.may_stop() {
                    screen.suspend()?;
                }
            }
            Cmd::Resume => screen.resume()?,
            Cmd::Copy(text) => {
                if let Err(why) = screen.copy(&text) {
                    tell(outlet, Done::Bad(why));
                }
            }
            Cmd::Write { path, text } => {
                let outlet = outlet.clone();
                tokio::task::spawn_blocking(move || tell(&outlet, write(&path, &text)));
            }
        }
    }
    Ok(())
}

/// Into a new file: what is there is not overwritten.
fn write(path: &str, text: &str) -> Done {
    let made = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    match made.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Done::Good(format!("wrote {path}")),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Done::Bad(format!("{path} is there already: it is not overwritten"))
        }
        Err(error) => Done::Bad(format!("{path} cannot be written: {error}")),
    }
}

fn tell(outlet: &Outlet, done: Done) {
    let outlet = outlet.clone();
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move { outlet.done(done).await });
    }
}

/// Keys come through a task of their own: the stream wakes the first one that waited for it, whoever waits later.
async fn keys(outlet: Outlet) -> Result<(), Closed> {
    let mut events = EventStream::new();
    while let Some(event) = events.next().await {
        let message = match event {
            Ok(Event::Key(key)) => Msg::Key(key),
            Ok(Event::Paste(text)) => Msg::Paste(text),
            Ok(Event::Mouse(mouse)) => Msg::Mouse(mouse),
            Ok(Event::Resize(width, height)) => Msg::Resize(width, height),
            Ok(Event::FocusGained | Event::FocusLost) => continue,
            Err(_) => break,
        };
        outlet.message(message).await?;
    }
    // No terminal, no program.
    outlet.message(Msg::End(129)).await
}

/// The messages of a feed without a terminal: for `--plain`.
#[must_use]
pub fn listen(feed: &dyn Feed) -> (Outlet, mpsc::Receiver<Msg>) {
    let (outlet, messages) = Outlet::new();
    feed.start(outlet.clone());
    (outlet, messages)
}

/// Makes a feed do what a model without a terminal wants of it.
pub fn ask_all(feed: &dyn Feed, cmds: Vec<Cmd>) {
    for cmd in cmds {
        if let Cmd::Feed(request) = cmd {
            feed.ask(request);
        }
    }
}
