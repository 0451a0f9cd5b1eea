//! Whatever comes and however large the screen is: nothing panics, and one page is turned at a time.

use proptest::prelude::*;
use serde_json::json;

use super::bench;
use crate::feed::{FeedEvent, Object};
use crate::msg::{Cmd, Done, Msg};
use crate::testing::demo::{at, incident, killed, open, page, readings, system};
use crate::testing::session;
use crate::theme::ThemeName;

fn state() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["Idle", "Countdown", "Acting", "Waiting", "Complete", "Failed", "Left", "Resetting"])
}

fn objects() -> impl Strategy<Value = Vec<Object>> {
    let actions = prop::sample::select(vec!["Planned", "Begun", "Done", "Failed", "Unknown", "Undone"]);
    let phases = prop::sample::select(vec!["Pending", "Running", "Verifying", "Resolved", "Escalated", "Cancelled"]);
    let stores = prop::sample::select(vec!["Ok", "Pending", "Violated", "Unknown"]);
    prop_oneof![
        (0usize..8, state(), actions).prop_map(|(index, state, action)| {
            open(
                index,
                state,
                &json!({"actions": killed(action), "actsAt": at("12:01:04"), "message": "why\u{1b}[2J 漢字"}),
            )
        }),
        (0usize..8, state(), 0i64..3)
            .prop_map(|(index, state, entered)| vec![page(index, &json!({"state": state, "entered": entered}))]),
        stores.prop_map(|state| vec![system(state)]),
        phases.prop_map(|phase| vec![incident(phase, &json!({"message": "so\u{202e}"}))]),
    ]
}

fn message() -> impl Strategy<Value = Msg> {
    let key = prop::sample::select(" bNRyn12345zfjk".chars().collect::<Vec<_>>());
    prop_oneof![
        4 => key.prop_map(|key| Msg::Key(crossterm::event::KeyCode::Char(key).into())),
        4 => objects().prop_map(|objects| Msg::Feed(objects.into_iter().map(|object| FeedEvent::Applied { object }).collect())),
        1 => any::<bool>().prop_map(|down| Msg::Feed(readings(down))),
        1 => Just(Msg::Feed(vec![session::news(session::hostile())])),
        1 => any::<bool>().prop_map(|good| Msg::Done(if good { Done::Good(String::new()) } else { Done::Bad("no".to_owned()) })),
        1 => (0i64..60).prop_map(|seconds| Msg::Clock(crate::testing::now() + jiff::SignedDuration::from_secs(seconds))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn nothing_panics(messages in prop::collection::vec(message(), 1..40), width in 1_u16..300, height in 1_u16..100, ascii: bool) {
        let mut bench = bench(ThemeName::Ansi, ascii, open(0, "Complete", &json!({})));
        for message in messages {
            bench.msg(message);
            let acts = bench.cmds().into_iter().filter(|cmd| matches!(cmd, Cmd::Feed(crate::feed::Request::Act(_)))).count();
            prop_assert!(acts <= 1);
            let screen = bench.screen((width, height));
            prop_assert!(!screen.replace('\n', "").chars().any(crate::text::is_dropped), "{screen:?}");
        }
        let _ = bench.screen((120, 36));
    }
}
