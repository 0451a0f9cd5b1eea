//! The story, from the beginning to the end.

use insta::assert_snapshot;
use jiff::{SignedDuration, Timestamp};
use ratatui::text::Line;
use serde_json::{Value, json};

use super::super::{Known, Log as _, Wants, paint};
use super::DemoLog;
use crate::feed::{FeedEvent, Kind, Link, Object, Request, Source};
use crate::msg::{Cmd, Done};
use crate::rights::Right;
use crate::settings::{DemoSettings, Settings};
use crate::testing::demo::{at, idle, incident, killed, open, page, readings, system};
use crate::testing::session;
use crate::theme::ThemeName;
use crate::world::World;

/// A log and what it printed.
struct Reader {
    log: DemoLog,
    world: World,
    settings: Settings,
    now: Timestamp,
    printed: String,
    cmds: Vec<Cmd>,
    end: Option<u8>,
    complaint: Option<String>,
}

impl Reader {
    fn new(auto: bool, clock: &str) -> Self {
        let mut settings = Settings::new(ThemeName::Ansi, false);
        settings.demo = DemoSettings { auto, ..DemoSettings::default() };
        let log = DemoLog::new("tikv", &settings);
        let now = at(clock).parse().unwrap();
        let (world, printed, cmds) = (World::default(), String::new(), Vec::new());
        let mut reader = Self { log, world, settings, now, printed, cmds, end: None, complaint: None };
        let wants = reader.log.begin(&Known { world: &reader.world, now, settings: &reader.settings });
        reader.take(wants);
        reader
    }

    fn listed(mut self, objects: Vec<Object>) -> Self {
        self.objects(objects);
        self.feed(Kind::ALL.map(|of| FeedEvent::Listed { of }).into());
        self
    }

    fn take(&mut self, wants: Wants) {
        assert!(self.end.is_none() || wants.story.is_empty(), "nothing is told after the end");
        let text = |line: &Line| format!("{}\n", paint::painted(line, false));
        self.printed.extend(wants.story.iter().map(text));
        self.printed.extend(wants.lines.iter().map(|line| format!("{line}\n")));
        self.cmds.extend(wants.cmds);
        self.end = self.end.or(wants.end);
        self.complaint = self.complaint.take().or(wants.complaint);
    }

    fn feed(&mut self, events: Vec<FeedEvent>) {
        for event in events {
            if self.end.is_some() {
                return;
            }
            self.world.apply(&event, self.now);
            let known = Known { world: &self.world, now: self.now, settings: &self.settings };
            let wants = self.log.feed(&event, &known);
            self.take(wants);
        }
    }

    fn objects(&mut self, objects: Vec<Object>) {
        self.feed(objects.into_iter().map(|object| FeedEvent::Applied { object }).collect());
    }

    /// At this time these are so.
    fn at(&mut self, clock: &str, objects: Vec<Object>) {
        self.now = at(clock).parse().unwrap();
        self.objects(objects);
        if self.end.is_none() {
            let known = Known { world: &self.world, now: self.now, settings: &self.settings };
            let wants = self.log.tick(&known);
            self.take(wants);
        }
    }

    fn acts(&mut self) -> Vec<String> {
        let acts = std::mem::take(&mut self.cmds).into_iter().filter_map(|cmd| match cmd {
            Cmd::Feed(Request::Act(act)) => Some(act.says()),
            _ => None,
        });
        acts.collect()
    }
}

/// A chapter is complete, and three seconds later the next one is asked for.
fn complete(reader: &mut Reader, index: usize, clock: &str, later: &str, more: &Value) {
    let mut more = more.clone();
    more["completedAt"] = json!(at(clock));
    reader.at(clock, open(index, "Complete", &more));
    reader.at(later, Vec::new());
}

fn whole() -> Reader {
    let mut reader = Reader::new(true, "11:58:58").listed([idle(), vec![system("Ok")]].concat());
    let none = json!({});
    complete(&mut reader, 0, "11:59:00", "11:59:03", &none);
    reader.at("11:59:20", open(1, "Waiting", &none));
    complete(&mut reader, 1, "11:59:21", "11:59:24", &none);
    reader.at("11:59:40", open(2, "Waiting", &none));
    reader.feed(readings(false).into_iter().take(90).collect());
    complete(&mut reader, 2, "11:59:41", "12:00:37", &none);
    reader.at("12:00:38", open(3, "Countdown", &json!({"actsAt": at("12:00:41"), "actions": killed("Planned")})));
    complete(&mut reader, 3, "12:00:41", "12:00:44", &json!({"actions": killed("Done")}));
    reader.at("12:00:45", open(4, "Waiting", &none));
    reader.at("12:00:46", vec![system("Pending")]);
    reader.feed(readings(true).into_iter().skip(90).take(20).collect());
    reader.at("12:00:51", vec![system("Violated"), incident("Pending", &json!({"sessionId": ""}))]);
    complete(&mut reader, 4, "12:00:51", "12:00:52", &none);
    reader.at("12:00:52", [open(5, "Waiting", &none), vec![incident("Running", &none)]].concat());
    reader.feed(vec![session::news(session::running())]);
    reader.at("12:01:40", Vec::new());
    reader.feed(vec![session::news(session::ended())]);
    reader.feed(readings(false).into_iter().map(later).collect());
    let over = json!({"finishedAt": at("12:02:26"), "message": "all invariants held for 30 s", "rootCause": "The container of tikv1 was killed (exit 137), so store 1 was down."});
    reader.at("12:02:26", vec![system("Ok"), incident("Resolved", &over)]);
    complete(&mut reader, 5, "12:02:27", "12:02:30", &none);
    reader.at("12:02:31", open(6, "Waiting", &none));
    complete(&mut reader, 6, "12:02:31", "12:02:34", &none);
    complete(&mut reader, 7, "12:02:35", "12:02:38", &none);
    reader
}

/// A reading, some minutes later.
fn later(event: FeedEvent) -> FeedEvent {
    let FeedEvent::Observations { subject, mut document } = event else { return event };
    let at: Timestamp = document["at"].as_str().unwrap().parse().unwrap();
    document["at"] = json!(at + SignedDuration::from_mins(3));
    FeedEvent::Observations { subject, document }
}

#[test]
fn a_demo_as_a_story() {
    let mut reader = whole();
    assert_eq!((reader.end, reader.complaint.take()), (Some(0), None));
    let acts = reader.acts();
    let expected = [1, 2, 3, 4, 5, 7, 8].map(|chapter| format!("enter the chapter tikv-{chapter}"));
    assert_eq!(acts, expected, "the sixth is entered by the controller");
    assert_snapshot!(reader.printed);
    assert!(!reader.printed.contains('\u{1b}'));
    assert!(reader.printed.lines().all(|line| crate::text::width(line) <= 100 && line.trim_end() == line));
}

#[test]
fn who_only_watches_is_told_the_same() {
    let mut reader =
        Reader::new(false, "12:00:00").listed([open(1, "Waiting", &json!({})), vec![system("Ok")]].concat());
    reader.at("12:00:40", open(3, "Complete", &json!({"actions": killed("Unknown")})));
    assert_eq!((reader.end, reader.acts()), (None, Vec::new()));
    assert_snapshot!(reader.printed);
}

#[test]
fn what_was_played_before_is_not_told() {
    let mut reader =
        Reader::new(true, "12:02:00").listed([open(5, "Complete", &json!({})), vec![system("Violated")]].concat());
    let status = json!({"state": "Resetting", "entered": 1, "enteredAt": at("12:00:38")});
    reader.at("12:02:01", (0..8).map(|index| page(index, &status)).collect());
    reader.at("12:02:10", vec![system("Ok")]);
    reader
        .at("12:02:11", (0..8).map(|index| page(index, &json!({"state": "Idle", "entered": 1, "reset": 1}))).collect());
    reader.at("12:02:12", vec![page(0, &json!({"state": "Complete", "entered": 2, "enteredAt": at("12:02:12"), "completedAt": at("12:02:12"), "reset": 1}))]);
    assert_snapshot!(reader.printed);
    assert_eq!(reader.acts(), ["bring the demo back to its beginning (spec.reset: 1)", "enter the chapter tikv-1"]);
}

#[test]
fn it_ends_where_it_cannot_go_on() {
    let ended = |mut reader: Reader| {
        assert_eq!(reader.end, Some(1), "{}", reader.printed);
        reader.complaint.take().unwrap()
    };
    let why =
        ended(Reader::new(true, "12:00:00").listed(vec![crate::testing::chapter("etcd", 1, "Welcome", &json!({}))]));
    assert!(
        why.contains(
            "there is no demo \"tikv\" here; there are: etcd (shop); kubectl apply -f subjects/NAME/chapters.yaml"
        ),
        "{why}"
    );
    let mut missing = Reader::new(true, "12:00:00");
    let link = Link::Missing { reason: "The cluster does not know DemoChapters".to_owned() };
    missing.feed(vec![FeedEvent::Link { source: Source::Kind(Kind::Chapters), link }]);
    assert!(ended(missing).contains("--set demo.enabled=true"));
    let mut denied = Reader::new(true, "12:00:00");
    denied.feed(vec![FeedEvent::Right { right: Right::PatchChapters, granted: false }]);
    assert!(ended(denied).contains("you may not"));
    let mut silent = Reader::new(true, "12:00:00");
    silent.at("12:15:00", Vec::new());
    assert!(ended(silent).contains("could not be read"));
    let mut failed = Reader::new(true, "12:00:00").listed([idle(), vec![system("Ok")]].concat());
    let more = json!({"actions": killed("Failed"), "message": "kill tikv1: no such container"});
    failed.at("12:00:50", open(3, "Failed", &more));
    assert!(failed.printed.contains("✗ FAILED: kill tikv1"), "{}", failed.printed);
    assert!(ended(failed).contains("tikv-4: kill tikv1: no such container"));
    let mut refused = Reader::new(true, "12:00:00").listed([idle(), vec![system("Ok")]].concat());
    let done = Done::Bad("could not enter the chapter tikv-1: etcd is slow".to_owned());
    let known = Known { world: &refused.world, now: refused.now, settings: &refused.settings };
    let wants = refused.log.done(&done, &known);
    refused.take(wants);
    assert!(refused.end.is_none() && refused.printed.contains("etcd is slow"));
    refused.at("12:00:04", Vec::new());
    assert_eq!(refused.acts().len(), 2, "it is tried again");
}
