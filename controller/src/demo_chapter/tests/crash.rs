//! A controller that ends anywhere: the next one goes on, and no action is done twice.

use crds::IncidentPhase;
use crds::demo_chapter::ChapterState as State;

use super::house::{End, House};
use super::story;

/// Plays the story to its end and back, with a process that ends at the `end` of one of its parts, and then another.
/// The number of calls that the part took.
async fn play(part: usize, end: Option<End>) -> usize {
    let house = House::with(&story());
    let parts: [fn(&House); 6] = [
        |house| house.enter("load"),
        |house| house.enter("fault"),
        |house| {
            house.enter("detect");
            house.open("inc");
        },
        |house| house.enter("fault"),
        |house| {
            house.stop_service("node3");
            house.change("end", |chapter| chapter.spec.reset = 1);
        },
        House::remove_all,
    ];
    let mut calls = 0;
    for (number, begin) in parts.into_iter().enumerate() {
        begin(&house);
        if number == part {
            let mut player = house.begin(end);
            house.work(&mut player).await;
            calls = house.calls_made();
        }
        house.play().await;
        let context = format!("part {number}, {end:?} in part {part}: {:?}", house.calls());
        assert!(house.most_often() <= 1, "{context}");
        match number {
            0 => assert_eq!(house.standing(), ["load"], "{context}"),
            1 | 3 => assert_eq!(house.standing(), ["kill node2", "load", "pause node3"], "{context}"),
            2 => {
                assert_eq!(house.states()[3..5], [State::Left, State::Waiting], "{context}");
                assert_eq!(house.incidents(), [("inc".into(), IncidentPhase::Running)]);
            }
            4 => {
                assert!(house.standing().is_empty(), "{context}");
                assert_eq!(house.states(), [State::Idle; 6], "{context}");
                assert_eq!(house.calls().iter().filter(|call| *call == "act start node3").count(), 1, "{context}");
                assert_eq!(house.calls().iter().filter(|call| *call == "act flush").count(), 1, "{context}");
            }
            _ => {}
        }
    }
    let often = |words: &str| house.calls().iter().filter(|call| *call == words).count();
    assert_eq!((often("act load"), often("act kill node2"), often("act pause node3")), (1, 2, 2), "{end:?}");
    calls
}

#[tokio::test]
async fn whatever_is_the_last_call_of_a_controller_no_action_is_done_twice() {
    for part in 0..6 {
        let calls = play(part, None).await;
        for call in 1..=calls {
            for after in [false, true] {
                play(part, Some(End { call, after })).await;
            }
        }
    }
}
