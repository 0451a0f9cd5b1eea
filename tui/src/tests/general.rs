//! What all screens share.

use insta::assert_snapshot;
use serde_json::json;

use super::sizes;
use crate::ask::Target;
use crate::feed::Request;
use crate::msg::{Cmd, Msg};
use crate::settings::Scope;
use crate::testing::{Bench, incident, incidents};

const ALL: Target = Target::Incidents { filter: String::new() };

#[test]
fn help() {
    let mut bench = Bench::new(&ALL).listed(incidents(10));
    bench.keys("?");
    assert_snapshot!(sizes(&mut bench));
    let _ = bench.screen((60, 12));
    bench.keys("/").types("copy").keys("enter");
    assert!(bench.screen((60, 12)).contains("copy the name"));
    bench.keys("?");
    assert!(bench.screen((80, 24)).contains("inc-"));
}

#[test]
fn too_small() {
    let mut bench = Bench::new(&ALL).listed(incidents(10));
    assert_snapshot!("too_small_59x12", bench.screen((59, 12)));
    assert_snapshot!("too_small_60x11", bench.screen((60, 11)));
    assert!(bench.screen((60, 12)).contains("inc-"));
    assert!(bench.model.tick().is_some());
    let _ = bench.screen((1, 1));
    assert_eq!(bench.model.tick(), None, "nothing on a screen that is too small changes by itself");
}

#[test]
fn the_command_line() {
    let mut bench = Bench::new(&ALL).listed(incidents(10));
    bench.keys(":").types("subj");
    assert_snapshot!("command_typed", bench.screen((80, 24)));
    bench.keys("enter");
    assert!(bench.screen((80, 24)).contains("operator ▸ subjects"));
    bench.keys("-");
    assert!(bench.screen((80, 24)).contains("operator ▸ incidents"));
    bench.keys(":").types("fly me").keys("enter");
    assert!(bench.screen((120, 36)).contains("there is no command \"fly\""));
    bench.keys("esc :").types("q").keys("enter");
    assert_eq!(bench.model.end, Some(0));
}

#[test]
fn what_was_typed_comes_back() {
    let mut bench = Bench::new(&ALL).listed(incidents(10));
    for text in ["incidents one", "incidents two"] {
        bench.keys(":").types(text).keys("enter");
    }
    bench.keys(": up up");
    assert_eq!(bench.model.prompt.as_ref().unwrap().input.text(), "incidents one");
    bench.keys("down");
    assert_eq!(bench.model.prompt.as_ref().unwrap().input.text(), "incidents two");
}

#[test]
fn another_namespace() {
    let mut bench = Bench::new(&ALL).listed(incidents(10));
    let _ = bench.cmds();
    bench.keys(":").types("ns shop").keys("enter");
    assert_eq!(bench.cmds(), [Cmd::Feed(Request::Scope(Scope::Namespace("shop".to_owned())))]);
    let screen = bench.screen((80, 24));
    assert!(screen.contains("ns:shop") && screen.contains("Reading Incidents"), "{screen}");
    bench.keys("0");
    assert_eq!(bench.cmds(), [Cmd::Feed(Request::Scope(Scope::All))]);
}

#[test]
fn the_way_back_and_out() {
    let mut bench = Bench::new(&ALL).listed(vec![incident("inc-1", "tikv", &json!({}))]);
    bench.keys("enter");
    assert_eq!(bench.model.screens.len(), 2);
    bench.keys("q");
    assert_eq!((bench.model.screens.len(), bench.model.end), (1, None));
    bench.keys("esc");
    assert_eq!(bench.model.end, None, "esc never ends the program");
    bench.keys("q");
    assert_eq!(bench.model.end, Some(0));
    let mut bench = Bench::new(&ALL);
    bench.keys(": ctrl-c");
    assert_eq!(bench.model.end, Some(0), "^C ends it everywhere");
    let mut bench = Bench::new(&ALL);
    bench.msg(Msg::End(143));
    assert_eq!(bench.model.end, Some(143));
}

#[test]
fn signals_and_effects() {
    let mut bench = Bench::new(&ALL).listed(incidents(1));
    let _ = bench.cmds();
    bench.keys("ctrl-z ctrl-l c");
    bench.msg(Msg::Resumed);
    assert_eq!(bench.cmds(), [Cmd::Suspend, Cmd::Redraw, Cmd::Copy("inc-00000".to_owned()), Cmd::Resume]);
    assert!(bench.screen((80, 24)).contains("✓ copied inc-00000"));
    bench.later(5);
    assert!(!bench.screen((80, 24)).contains("copied"));
}

#[test]
fn an_idle_screen_sleeps() {
    let mut bench = Bench::new(&ALL).listed(Vec::new());
    let _ = bench.screen((80, 24));
    assert_eq!(bench.model.tick(), None);
    let old = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Resolved"}});
    let mut bench = Bench::new(&ALL).listed(vec![incident("inc-1", "tikv", &old)]);
    let _ = bench.screen((80, 24));
    assert!(bench.model.tick().unwrap().as_secs() > 600);
}
