//! How the demo looks, answers to keys, and plays by itself. The pictures are in `snapshots/`.

mod keys;
mod looks;
mod player;
mod random;

use serde_json::json;

use crate::ask::Target;
use crate::feed::{FeedEvent, Link, Object, Source};
use crate::testing::demo::{at, incident, killed, open, readings, system};
use crate::testing::{Bench, session};
use crate::theme::ThemeName;

/// The screen of the demo.
fn bench(theme: ThemeName, ascii: bool, objects: Vec<Object>) -> Bench {
    Bench::with(&Target::Demo("tikv".to_owned()), theme, ascii).listed(objects)
}

/// The screen with these chapters over a system that is well.
fn well(mut chapters: Vec<Object>) -> Bench {
    chapters.push(system("Ok"));
    let mut bench = bench(ThemeName::Ansi, false, chapters);
    bench.feed(readings(false));
    bench
}

/// The screen while the agent works.
fn at_work(theme: ThemeName, ascii: bool) -> Bench {
    let mut before = open(3, "Complete", &json!({"actions": killed("Done"), "completedAt": at("12:00:42")}));
    before.push(system("Ok"));
    let mut bench = bench(theme, ascii, before);
    bench.feed(readings(true));
    let news = |object: Object| FeedEvent::Applied { object };
    bench.feed(vec![news(system("Pending"))]);
    bench.feed(vec![news(system("Violated")), news(incident("Running", &json!({})))]);
    bench.feed(open(5, "Waiting", &json!({})).into_iter().map(news).collect());
    bench.feed(vec![session::link(Link::Live), session::news(session::running())]);
    bench
}

/// How a kind's watch stands.
fn link(kind: crate::feed::Kind, link: Link) -> FeedEvent {
    FeedEvent::Link { source: Source::Kind(kind), link }
}
