//! Makes the pictures of the documentation: plays a demo in a real terminal, on the cluster that KUBECONFIG names, and
//! keeps what stood on the screen; then opens each other screen once.
//!
//! `pictures FOLDER DEMO NAMESPACE`; `scripts/pictures` sets all up before. Exit code 1 if the demo did not come to its
//! end: there is no picture of a demo that went wrong.

// A program for the desk, not for users: what fails ends it, and says so.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use operator_tests::picture::{Screen, moving};
use operator_tests::tmux::Terminal;

const SIZE: (u16, u16) = (120, 36);
/// How often the screen is kept.
const LOOK: Duration = Duration::from_millis(500);
/// How long a frame stands at most in the recording, whatever it stood on the screen: nobody watches a clock.
const STANDS: Duration = Duration::from_millis(2500);
/// Frames of the recording; more make a large file and tell no more.
const FRAMES: usize = 36;
const PLAYS: Duration = Duration::from_mins(15);
const SOON: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, demo, namespace] = &arguments[..] else {
        eprintln!("usage: pictures FOLDER DEMO NAMESPACE");
        return ExitCode::from(2);
    };
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder).expect("a folder for the pictures");
    let write = |name: &str, svg: String| {
        let file = folder.join(name);
        std::fs::write(&file, &svg).expect("a picture is written");
        eprintln!("{} ({} KiB)", file.display(), svg.len() / 1024);
    };

    let (frames, code) = play(demo, namespace);
    if code != "0" {
        eprintln!("error: the demo ended with {code}:\n{}", frames.last().map_or("", |(screen, _)| &screen.text));
        return ExitCode::FAILURE;
    }
    write("demo.svg", moving(&thinned(frames), &format!("The demo {demo}, from welcome to complete")));

    for (name, arguments, keys, wanted) in [
        ("incidents.svg", "incidents", &[][..], "Resolved"),
        ("session.svg", "incidents", &["Enter"][..], "concludes"),
        ("subjects.svg", "subjects", &[][..], "Healthy"),
        ("help.svg", "incidents", &["?"][..], "quit"),
    ] {
        let terminal = Terminal::operator(SIZE.0, SIZE.1, &format!("{arguments} --namespace {namespace}"));
        terminal.wait("LIVE", SOON);
        terminal.press(keys);
        terminal.wait(wanted, SOON);
        std::thread::sleep(LOOK);
        write(name, kept(&terminal).svg(&format!("The screen {}", name.trim_end_matches(".svg"))));
    }
    ExitCode::SUCCESS
}

fn kept(terminal: &Terminal) -> Screen {
    Screen { text: terminal.coloured(), columns: SIZE.0, rows: SIZE.1 }
}

/// What stood on the screen, for how long, and the exit code.
fn play(demo: &str, namespace: &str) -> (Vec<(Screen, Duration)>, String) {
    let arguments = format!("demo {demo} --namespace {namespace} --auto --pause 3");
    let terminal = Terminal::operator(SIZE.0, SIZE.1, &arguments);
    terminal.wait("LIVE", SOON);
    let begun = Instant::now();
    let mut frames: Vec<(Screen, Duration)> = Vec::new();
    loop {
        let screen = kept(&terminal);
        if let Some(code) = exit_code(&terminal.screen()) {
            return (frames, code);
        }
        match frames.last_mut() {
            Some((last, stood)) if *last == screen => *stood += LOOK,
            _ => frames.push((screen, LOOK)),
        }
        if begun.elapsed() > PLAYS {
            return (frames, format!("no end within {PLAYS:?}"));
        }
        std::thread::sleep(LOOK);
    }
}

fn exit_code(screen: &str) -> Option<String> {
    let (_, code) = screen.rsplit_once("EXIT=")?;
    Some(code.split_whitespace().next().unwrap_or_default().to_owned())
}

/// So few that they are a picture: every n-th, the first and the last among them, none standing longer than `STANDS`.
fn thinned(frames: Vec<(Screen, Duration)>) -> Vec<(Screen, Duration)> {
    let every = frames.len().div_ceil(FRAMES).max(1);
    let last = frames.len().saturating_sub(1);
    let mut kept: Vec<(Screen, Duration)> = Vec::new();
    for (index, (screen, stood)) in frames.into_iter().enumerate() {
        match kept.last_mut() {
            Some((_, stands)) if index % every != 0 && index != last => *stands += stood,
            _ => kept.push((screen, stood)),
        }
    }
    for (_, stood) in &mut kept {
        *stood = (*stood).min(STANDS);
    }
    kept
}
