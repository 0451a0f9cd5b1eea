//! How long a change and the frame after it take, with 10,000 Incidents in the list. Prints one line of JSON.

// A measurement: whatever fails ends it with a sentence.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use operator_tui::ask::Target;
use operator_tui::feed::FeedEvent;
use operator_tui::testing::{Bench, incident, incidents};
use operator_tui::view;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

const INCIDENTS: usize = 10_000;
const FRAMES: usize = 500;

fn main() {
    let mut bench = Bench::new(&Target::Incidents { filter: String::new() }).listed(incidents(INCIDENTS));
    let mut terminal = Terminal::new(TestBackend::new(120, 36)).expect("a terminal");
    let _ = bench.screen((120, 36));
    let mut times: Vec<Duration> = Vec::with_capacity(FRAMES);
    for frame in 0..FRAMES {
        let name = format!("inc-{:05}", frame * 17 % INCIDENTS);
        let more = json!({"status": {"phase": "Running", "attempt": 1, "message": format!("change {frame}"), "commands": frame}});
        let begun = Instant::now();
        bench.feed(vec![FeedEvent::Applied { object: incident(&name, "tikv", &more) }]);
        terminal.draw(|frame| view::draw(&bench.model, frame)).expect("a frame");
        times.push(begun.elapsed());
    }
    times.sort();
    let ms = |time: Duration| (time.as_secs_f64() * 100_000.0).round() / 100.0;
    let (p50, p99) = (ms(times[FRAMES / 2]), ms(times[FRAMES * 99 / 100]));
    println!("{}", json!({"incidents": INCIDENTS, "frames": FRAMES, "frame_ms": {"p50": p50, "p99": p99}}));
}
