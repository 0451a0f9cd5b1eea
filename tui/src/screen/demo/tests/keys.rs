//! What keys ask for.

use serde_json::json;

use super::{at_work, well};
use crate::act::Act;
use crate::feed::{FeedEvent, Object, Request};
use crate::msg::{Cmd, Done, Msg};
use crate::testing::Bench;
use crate::testing::demo::{at, idle, key, killed, open, page, system};
use crate::testing::session;
use crate::theme::ThemeName;

fn acts(bench: &mut Bench) -> Vec<Act> {
    let acts = bench.cmds().into_iter().filter_map(|cmd| match cmd {
        Cmd::Feed(Request::Act(act)) => Some(act),
        _ => None,
    });
    acts.collect()
}

fn enter(chapter: i64, entered: i64) -> Act {
    Act::Enter { namespace: "shop".to_owned(), name: format!("tikv-{chapter}"), entered }
}

fn news(objects: Vec<Object>) -> Vec<FeedEvent> {
    objects.into_iter().map(|object| FeedEvent::Applied { object }).collect()
}

#[test]
fn a_page_is_turned_once_however_often_space_is_pressed() {
    let mut bench = well(open(2, "Complete", &json!({})));
    bench.keys("space space right enter");
    assert_eq!(acts(&mut bench), [enter(4, 1)]);
    assert!(bench.screen((120, 36)).contains("entering tikv-4…"));
    bench.msg(Msg::Done(Done::Good("entering tikv-4".to_owned())));
    // The API server has it, the controller does not say so yet.
    let mut asked = json!({"state": "Idle"});
    asked["entered"] = json!(0);
    let Object::Chapter(fourth) = page(3, &asked) else { panic!("no chapter") };
    let mut fourth = (*fourth).clone();
    fourth.spec.entered = 1;
    bench.feed(news(vec![Object::Chapter(std::sync::Arc::new(fourth))]));
    bench.keys("space");
    assert_eq!(acts(&mut bench), []);
    bench.later(9);
    assert!(bench.screen((120, 36)).contains("the controller has not answered"));
    // Two call themselves current for a moment.
    bench.feed(news(vec![page(
        3,
        &json!({"state": "Countdown", "entered": 1, "enteredAt": at("12:00:38"), "actsAt": at("12:02:00")}),
    )]));
    let screen = bench.screen((120, 36));
    assert!(screen.contains("Chapter 4/8  Fault injection"), "{screen}");
    bench.keys("space");
    assert_eq!(acts(&mut bench), [], "not during a countdown");
}

#[test]
fn space_waits_for_what_the_page_waits_for_and_n_does_not() {
    let mut bench = well(open(1, "Waiting", &json!({})));
    bench.keys("space");
    assert_eq!(acts(&mut bench), []);
    let screen = bench.screen((120, 36));
    assert!(screen.contains("it waits for: all stores are up") && screen.contains("N turns the page"), "{screen}");
    bench.keys("N");
    assert_eq!(acts(&mut bench), [enter(3, 1)]);
}

#[test]
fn what_was_refused_can_be_tried_again() {
    let mut bench = well(idle());
    bench.keys("space");
    assert_eq!(acts(&mut bench), [enter(1, 1)]);
    bench.msg(Msg::Done(Done::Bad("could not enter the chapter tikv-1: etcd is slow".to_owned())));
    assert!(bench.screen((120, 36)).contains("etcd is slow"));
    bench.keys("space");
    assert_eq!(acts(&mut bench), [enter(1, 1)], "the same number: it is entered once, whichever came through");
}

#[test]
fn what_is_never_heard_of_again_is_given_up() {
    let mut bench = well(idle());
    bench.keys("space");
    bench.later(21);
    assert!(bench.screen((120, 36)).contains("the page was not turned"));
    let _ = acts(&mut bench);
    bench.keys("space");
    assert_eq!(acts(&mut bench).len(), 1);
}

#[test]
fn back_enters_the_page_before_again() {
    let mut bench = well(open(2, "Complete", &json!({})));
    bench.keys("b b");
    assert_eq!(acts(&mut bench), [enter(2, 2)]);
    let mut bench = well(open(0, "Complete", &json!({})));
    bench.keys("left");
    assert_eq!(acts(&mut bench), []);
    assert!(bench.screen((120, 36)).contains("this is the first chapter"));
}

#[test]
fn a_reset_is_asked_for_and_no_is_the_answer_unless_it_is_said() {
    let mut bench = well(open(5, "Waiting", &json!({})));
    bench.keys("R");
    let screen = bench.screen((120, 36));
    assert!(screen.contains("spec.reset") && screen.contains("[ No ]"), "{screen}");
    bench.keys("enter");
    assert_eq!(acts(&mut bench), []);
    bench.keys("R y");
    let reset = Act::Reset { namespace: "shop".to_owned(), name: "tikv-1".to_owned(), reset: 1 };
    assert_eq!(acts(&mut bench), [reset]);
    let status = json!({"state": "Resetting", "entered": 1, "enteredAt": at("12:00:38")});
    bench.feed(news((0..8).map(|index| page(index, &status)).collect()));
    assert!(bench.screen((120, 36)).contains("resetting…"));
    bench.keys("space N b R");
    assert_eq!(acts(&mut bench), [], "nothing is turned on the way back");
    bench.feed(news(idle()));
    assert!(bench.screen((120, 36)).contains("space begins"));
}

#[test]
fn the_last_page_has_no_next() {
    let mut bench = well(open(7, "Complete", &json!({})));
    bench.keys("space N");
    assert_eq!(acts(&mut bench), []);
    assert!(bench.screen((120, 36)).contains("this is the last chapter"));
}

#[test]
fn enter_opens_the_session_where_the_agent_is_looked_at() {
    let mut bench = at_work(ThemeName::Ansi, false);
    bench.keys("4 enter");
    assert!(bench.screen((120, 36)).contains("Store 1 missed heartbeats") || bench.model.screens.len() == 2);
    assert_eq!(bench.model.screens.len(), 2);
    let _ = bench.cmds();
    // What happens meanwhile is not missed, and the session is followed again.
    bench.feed(news(vec![system("Ok")]));
    bench.keys("esc");
    let follows =
        |cmd: &Cmd| matches!(cmd, Cmd::Feed(Request::Follow { session, after: 12 }) if session == session::SESSION);
    assert!(bench.cmds().iter().any(follows));
    bench.feed(news(vec![system("Violated")]));
    let screen = bench.screen((120, 36));
    assert!(screen.contains("holds again"), "{screen}");
    bench.keys("esc");
    assert_eq!(bench.model.screens.len(), 1, "there is nothing below the demo");
}

#[test]
fn what_is_followed_is_let_go() {
    let mut bench = at_work(ThemeName::Ansi, false);
    let followed = bench.cmds();
    assert!(followed.contains(&Cmd::Feed(Request::Observe { subject: key() })));
    assert!(followed.contains(&Cmd::Feed(Request::Follow { session: session::SESSION.to_owned(), after: 0 })));
    bench.keys(":").types("incidents").keys("enter :").types("subjects").keys("enter");
    let gone = bench.cmds();
    assert!(gone.contains(&Cmd::Feed(Request::Unobserve { subject: key() })));
    assert!(gone.contains(&Cmd::Feed(Request::Unfollow { session: session::SESSION.to_owned() })));
}

#[test]
fn who_scrolls_up_stays_there() {
    let mut bench = at_work(ThemeName::Ansi, false);
    let _ = bench.screen((120, 36));
    bench.keys("4 k");
    let top = |screen: &str| screen.lines().find(|line| line.contains("4 Agent")).map(str::to_owned);
    let before = bench.screen((120, 36));
    assert!(top(&before).unwrap().contains("1 below"), "{before}");
    bench.feed(vec![session::news(session::ended())]);
    let after = bench.screen((120, 36));
    assert!(!top(&after).unwrap().contains("FOLLOW"), "{after}");
    bench.keys("j j j j j j j j j j j j j j");
    assert!(top(&bench.screen((120, 36))).unwrap().contains("FOLLOW"));
}

#[test]
fn it_sleeps_at_the_beginning_and_counts_down_smoothly() {
    let mut bench = well(idle());
    let _ = bench.screen((120, 36));
    bench.later(20);
    assert_eq!(bench.model.screen().tick(&bench.model.ctx()), None);
    let more = json!({"actsAt": at("12:01:04"), "actions": killed("Planned")});
    let bench = well(open(3, "Countdown", &more));
    assert!(bench.model.tick().unwrap().as_millis() <= 250);
}
