//! The player, step by step.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::act::Act;
use crate::ask::Target;
use crate::feed::{FeedEvent, Kind, Link, Object};
use crate::model::Model;
use crate::screen::demo::player::{Play, Player};
use crate::screen::demo::stage::Stage;
use crate::settings::{DemoSettings, Settings};
use crate::testing;
use crate::testing::demo::{at, idle, incident, killed, open, page, system};
use crate::theme::ThemeName;
use crate::world::World;

/// A player and its clock.
struct Game {
    player: Player,
    now: Timestamp,
}

impl Game {
    fn new() -> Self {
        Self { player: Player::new(Duration::from_secs(3), Duration::from_mins(15)), now: testing::now() }
    }

    /// One that has seen the beginning.
    fn begun() -> Self {
        let mut game = Self::new();
        assert_eq!(game.see(idle()), enter(1, 1));
        game
    }

    fn see(&mut self, objects: Vec<Object>) -> Play {
        let mut world = World::default();
        for object in objects {
            world.apply(&FeedEvent::Applied { object }, self.now);
        }
        self.player.play(&Stage::of(&world, "tikv"), self.now)
    }

    fn after(&mut self, seconds: i64, objects: Vec<Object>) -> Play {
        self.now += SignedDuration::from_secs(seconds);
        self.see(objects)
    }
}

fn enter(chapter: i64, entered: i64) -> Play {
    Play::Do(Act::Enter { namespace: "shop".to_owned(), name: format!("tikv-{chapter}"), entered })
}

fn reset(reset: i64) -> Play {
    Play::Do(Act::Reset { namespace: "shop".to_owned(), name: "tikv-1".to_owned(), reset })
}

fn why(play: Play) -> String {
    let Play::End(Err(why)) = play else { panic!("{play:?}") };
    why
}

#[test]
fn from_the_beginning_to_the_end() {
    let mut game = Game::begun();
    for index in 0..8 {
        let (chapter, next) = (i64::try_from(index).unwrap() + 1, i64::try_from(index).unwrap() + 2);
        assert_eq!(game.after(1, open(index, "Waiting", &json!({}))), Play::Wait, "{chapter} waits");
        assert_eq!(game.after(1, open(index, "Complete", &json!({}))), Play::Wait, "{chapter}: a pause");
        let mut objects = open(index, "Complete", &json!({}));
        objects.push(incident("Resolved", &json!({})));
        let play = game.after(4, objects);
        match index {
            // The controller turns this page.
            4 => assert_eq!(play, Play::Wait),
            7 => assert_eq!(play, Play::End(Ok(()))),
            _ => assert_eq!(play, enter(next, 1)),
        }
        assert!(index == 7 || game.after(1, open(index, "Complete", &json!({}))) == Play::Wait, "asked for once");
    }
}

#[test]
fn what_was_played_before_is_brought_back_first() {
    let mut game = Game::new();
    assert_eq!(game.see(open(5, "Complete", &json!({}))), reset(1));
    let on_the_way = |reset: i64| {
        let status = json!({"state": "Resetting", "entered": 1, "enteredAt": at("12:00:38"), "reset": reset});
        (0..8).map(|index| page(index, &status)).collect::<Vec<_>>()
    };
    assert_eq!(game.after(1, on_the_way(0)), Play::Wait);
    // Chapter by chapter is idle.
    let status = |index: usize| {
        if index < 4 {
            json!({"state": "Idle", "entered": 1, "reset": 1})
        } else {
            json!({"state": "Left", "entered": 1, "enteredAt": at("12:00:38")})
        }
    };
    assert_eq!(
        game.after(
            1,
            (0..4)
                .map(|index| page(index, &status(index)))
                .chain((4..8).map(|index| page(index, &json!({"state": "Resetting", "entered": 1}))))
                .collect()
        ),
        Play::Wait
    );
    let back: Vec<Object> =
        (0..8).map(|index| page(index, &json!({"state": "Idle", "entered": 1, "reset": 1}))).collect();
    assert_eq!(game.after(1, back), enter(1, 2));
}

#[test]
fn a_reset_in_flight_is_waited_for_and_not_repeated() {
    let mut game = Game::new();
    let status = json!({"state": "Resetting", "entered": 1, "enteredAt": at("12:00:38")});
    let resetting = || (0..8).map(|index| page(index, &status)).collect::<Vec<_>>();
    assert_eq!(game.see(resetting()), Play::Wait);
    assert_eq!(game.after(60, resetting()), Play::Wait);
    assert_eq!(game.after(1, idle()), enter(1, 1));
    // One that somebody asks for in the middle begins it anew.
    assert_eq!(game.after(5, open(1, "Waiting", &json!({}))), Play::Wait);
    assert_eq!(game.after(5, resetting()), Play::Wait);
    assert_eq!(game.after(5, idle()), enter(1, 1));
}

#[test]
fn for_a_moment_two_chapters_call_themselves_current() {
    let mut game = Game::begun();
    let mut both = open(2, "Complete", &json!({}));
    both[3] =
        page(3, &json!({"state": "Countdown", "entered": 1, "enteredAt": at("12:00:38"), "actsAt": at("12:00:41")}));
    assert_eq!(game.after(1, both.clone()), Play::Wait);
    assert_eq!(game.after(10, both), Play::Wait, "the later one is, and it counts down");
    // And for a moment none is: the one before was left, and the new one is not there yet.
    let mut none = open(2, "Left", &json!({}));
    none[3] = page(3, &json!({"state": "Idle"}));
    assert_eq!(game.after(10, none), Play::Wait);
}

#[test]
fn a_controller_that_comes_back_changes_nothing() {
    let mut game = Game::begun();
    assert_eq!(game.after(1, open(0, "Complete", &json!({}))), Play::Wait);
    assert_eq!(game.after(3, open(0, "Complete", &json!({}))), enter(2, 1));
    // The number is raised, and nobody answers for minutes.
    let mut raised = open(0, "Complete", &json!({}));
    let Object::Chapter(second) = page(1, &json!({"state": "Idle"})) else { panic!("no chapter") };
    let mut second = (*second).clone();
    second.spec.entered = 1;
    raised[1] = Object::Chapter(std::sync::Arc::new(second));
    for _ in 0..10 {
        assert_eq!(game.after(30, raised.clone()), Play::Wait);
    }
    assert_eq!(game.after(1, open(1, "Waiting", &json!({}))), Play::Wait);
    assert_eq!(game.after(1, open(1, "Complete", &json!({}))), Play::Wait);
    assert_eq!(game.after(3, open(1, "Complete", &json!({}))), enter(3, 1));
}

#[test]
fn a_change_that_is_refused_is_tried_again_and_not_for_ever() {
    let mut game = Game::new();
    for _ in 0..5 {
        assert_eq!(game.after(4, idle()), enter(1, 1));
        assert_eq!(game.see(idle()), Play::Wait);
        game.player.refused("could not enter the chapter tikv-1: etcd is slow", game.now);
        game.now += SignedDuration::from_secs(1);
    }
    assert!(why(game.see(idle())).contains("etcd is slow"));
    // One that never came through is asked for again.
    let mut game = Game::begun();
    assert_eq!(game.after(10, idle()), Play::Wait);
    assert_eq!(game.after(11, idle()), Play::Wait);
    assert_eq!(game.after(4, idle()), enter(1, 1));
}

#[test]
fn a_chapter_that_failed_ends_it() {
    let mut game = Game::begun();
    let more = json!({"actions": killed("Failed"), "message": "kill tikv1: no such container"});
    assert_eq!(why(game.after(1, open(3, "Failed", &more))), "tikv-4: kill tikv1: no such container");
}

#[test]
fn a_chapter_that_cannot_be_played_ends_it_after_a_while() {
    let refused = || {
        let condition = json!({"type": "Accepted", "status": "False", "reason": "SubjectMissing", "message": "there is no Subject tikv", "lastTransitionTime": at("12:00:00")});
        let mut chapters = idle();
        chapters[2] = page(2, &json!({"state": "Idle", "conditions": [condition]}));
        chapters
    };
    let mut game = Game::new();
    assert_eq!(game.see(refused()), Play::Wait);
    assert_eq!(game.after(29, refused()), Play::Wait);
    assert_eq!(why(game.after(1, refused())), "tikv-3: there is no Subject tikv");
    let mut game = Game::new();
    let unseen = || (0..8).map(|index| page(index, &Value::Null)).collect::<Vec<_>>();
    assert_eq!(game.see(unseen()), enter(1, 1));
    assert!(why(game.after(30, unseen())).contains("demo.enabled"));
}

#[test]
fn the_time_limit_says_what_was_waited_for() {
    let mut game = Game::begun();
    let mut objects = open(5, "Waiting", &json!({}));
    objects.extend([system("Violated"), incident("Running", &json!({}))]);
    assert_eq!(game.after(899, objects.clone()), Play::Wait);
    let why = why(game.after(1, objects));
    assert_eq!(
        why,
        "the time limit of 15m is over: chapter 6/8 (tikv-6) still waits for: the Incident is Resolved; inc-7f3a is Running"
    );
}

#[test]
fn an_incident_that_ends_badly_ends_it_unless_it_is_tried_again() {
    let with = |phase: &str| {
        let mut objects = open(5, "Waiting", &json!({}));
        objects.push(incident(phase, &json!({"message": "12 of 12 turns"})));
        objects
    };
    let mut game = Game::begun();
    assert_eq!(game.after(1, with("Escalated")), Play::Wait);
    assert_eq!(game.after(20, with("Running")), Play::Wait, "a retry");
    assert_eq!(game.after(20, with("Escalated")), Play::Wait);
    assert_eq!(why(game.after(30, with("Escalated"))), "inc-7f3a ended Escalated: 12 of 12 turns");
}

#[test]
fn the_end_is_only_good_if_all_was() {
    let mut game = Game::begun();
    let end = |game: &mut Game, objects: Vec<Object>| {
        assert_eq!(game.after(1, objects.clone()), Play::Wait);
        game.after(4, objects)
    };
    let mut open_one = open(7, "Complete", &json!({}));
    open_one.push(incident("Running", &json!({})));
    assert!(why(end(&mut game, open_one)).contains("inc-7f3a is Running, and not Resolved"));
    let mut skipped = open(7, "Complete", &json!({}));
    skipped[5] = page(5, &json!({"state": "Left", "entered": 1, "enteredAt": at("12:00:52")}));
    let mut game = Game::begun();
    assert_eq!(why(end(&mut game, skipped)), "tikv-6 was left before it was complete");
}

#[test]
fn on_a_screen_it_ends_with_its_exit_code() {
    let model = |objects: Vec<Object>| {
        let mut settings = Settings::new(ThemeName::Ansi, false);
        settings.demo = DemoSettings { auto: true, ..DemoSettings::default() };
        let mut model = Model::new(settings, &Target::Demo("tikv".to_owned()), testing::now());
        let _ = crate::update::begin(&mut model);
        let mut events: Vec<FeedEvent> = objects.into_iter().map(|object| FeedEvent::Applied { object }).collect();
        events.extend(Kind::ALL.map(|of| FeedEvent::Listed { of }));
        let cmds = crate::update::update(&mut model, crate::msg::Msg::Feed(events));
        (model, cmds)
    };
    let (playing, cmds) = model(idle());
    assert!(
        playing.end.is_none()
            && cmds.iter().any(|cmd| matches!(cmd, crate::msg::Cmd::Feed(crate::feed::Request::Act(_))))
    );
    let (ended, _) = model(Vec::new());
    assert_eq!(ended.end, Some(1));
    assert!(ended.farewell.unwrap().contains("there is no demo \"tikv\" here"));
    let (mut denied, _) = model(idle());
    denied.world.apply(&super::link(Kind::Subjects, Link::Forbidden { reason: "no".to_owned() }), testing::now());
    let _ = crate::update::update(&mut denied, crate::msg::Msg::Clock(testing::now()));
    assert_eq!(denied.end, Some(1));
}
