//! A demo, played against a cluster and an engine that do as they are told.

mod crash;
mod house;

use crds::DemoChapter;
use crds::demo_chapter::{ActionState, ChapterState as State};

use crate::fault::{Error, Outcome};
use house::House;

/// A chapter in YAML.
fn page(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: operator.dev/v1alpha1\nkind: DemoChapter\nmetadata: {{name: {name}}}\n\
         spec: {{demo: d, title: '{name}', subjectRef: {{name: shop}}, {spec}}}\n"
    )
}

/// Six pages: two with actions, three that wait.
fn story() -> String {
    [
        page("welcome", "order: 1, narration: 'told by {{model}}'"),
        page(
            "load",
            "order: 2, actions: [{says: load, undo: Reset, run: {target: {service: node1}, command: [load], detach: true}}], \
             restore: [{says: flush, exec: {target: {service: redis}, command: [redis-cli, FLUSHALL]}}]",
        ),
        page(
            "fault",
            "order: 3, countdown: 3s, actions: [{kill: {target: {service: node2}}}, \
             {undo: Leave, pause: {target: {cel: 'probes.leader.value'}}}], waitFor: 'false', waiting: the end",
        ),
        page("detect", "order: 4, waitFor: 'incident != null', waiting: an Incident, advance: Auto"),
        page("repair", "order: 5, waitFor: \"incident.status.phase == 'Resolved'\""),
        page("end", "order: 6"),
    ]
    .concat()
}

async fn entered(names: &[&str]) -> House {
    let house = House::with(&story());
    for name in names {
        house.enter(name);
        house.play().await;
    }
    house
}

#[tokio::test]
async fn a_chapter_without_anything_to_do_is_complete_at_once() {
    let house = entered(&["welcome"]).await;
    let status = house.status("welcome");
    assert_eq!((status.state, status.entered, status.model.as_deref()), (State::Complete, 1, Some("offline-shop")));
    assert!(status.entered_at.is_some() && status.completed_at.is_some());
    assert_eq!(house.states()[1..], [State::Idle; 5]);
    assert_eq!(house.told(), ["welcome ChapterEntered", "welcome ChapterComplete"]);
}

#[tokio::test]
async fn actions_are_done_in_order_after_the_countdown_and_once() {
    let house = House::with(&story());
    house.enter("fault");
    let mut player = house.begin(None);
    for _ in 0..3 {
        player.once().await;
    }
    player.show().await;
    let status = house.status("fault");
    assert_eq!((status.state, house.calls().len()), (State::Countdown, 0));
    let (entered, acts) = (status.entered_at.unwrap().0, status.acts_at.unwrap().0);
    assert_eq!(acts.duration_since(entered).as_secs(), 3);
    // Another process counts on.
    house.play().await;
    assert_eq!(house.calls(), ["act kill node2", "act pause node3"]);
    let status = house.status("fault");
    assert_eq!((status.state, status.acts_at.unwrap().0), (State::Waiting, acts));
    assert_eq!(status.message.as_deref(), Some("the end"));
    let told: Vec<_> = status.actions.iter().map(|one| (one.says.as_str(), one.state, one.targets.clone())).collect();
    let done = ActionState::Done;
    assert_eq!(told, [("kill node2", done, vec!["node2".into()]), ("pause node3", done, vec!["node3".into()])]);
    house.play().await;
    assert_eq!(house.calls().len(), 2, "nothing is done again");
}

#[tokio::test]
async fn another_chapter_takes_back_what_is_to_be_left_and_an_earlier_one_the_rest() {
    let house = entered(&["load", "fault", "detect"]).await;
    assert_eq!(house.calls(), ["act load", "act kill node2", "act pause node3", "undo pause node3"]);
    assert_eq!(house.states()[1..4], [State::Left, State::Left, State::Waiting]);
    assert_eq!(house.status("fault").actions[1].state, ActionState::Undone);
    house.enter("welcome");
    house.play().await;
    assert_eq!(house.calls()[4..], ["undo kill node2"], "the load goes on: only a reset ends it");
    assert_eq!(house.standing(), ["load"]);
    house.enter("fault");
    house.play().await;
    assert_eq!(house.calls()[5..], ["act kill node2", "act pause node3"]);
    // Entered again, it begins anew.
    house.enter("fault");
    house.play().await;
    assert_eq!(house.calls()[7..], ["undo pause node3", "undo kill node2", "act kill node2", "act pause node3"]);
}

#[tokio::test]
async fn what_is_waited_for_comes_and_the_next_page_turns_itself() {
    let house = entered(&["fault", "detect"]).await;
    assert_eq!(house.status("detect").state, State::Waiting);
    house.open("inc");
    house.play().await;
    assert_eq!(house.states()[2..], [State::Left, State::Left, State::Waiting, State::Idle]);
    assert_eq!(house.status("repair").entered, 1, "raised once");
    house.resolve("inc");
    house.play().await;
    assert_eq!(house.status("repair").state, State::Complete);
    assert_eq!(house.status("end").state, State::Idle, "who watches turns the last one");
}

#[tokio::test]
async fn incidents_of_what_was_gone_back_over_end_and_do_not_count() {
    let house = entered(&["fault", "detect"]).await;
    house.open("first");
    house.play().await;
    house.enter("fault");
    house.play().await;
    assert_eq!(house.incidents(), [], "cancelled, and taken away: what is violated yet is opened anew");
    house.enter("detect");
    house.play().await;
    assert_eq!(house.status("detect").state, State::Waiting, "it waits for a new one");
    house.open("second");
    house.play().await;
    assert_eq!(house.status("repair").state, State::Waiting);
}

#[tokio::test]
async fn a_reset_takes_everything_back_and_brings_the_project_to_run() {
    let house = entered(&["load", "fault", "detect"]).await;
    house.open("inc");
    house.play().await;
    house.stop_service("node1");
    house.change("end", |chapter| chapter.spec.reset = 1);
    house.play().await;
    let calls = house.calls();
    assert_eq!(calls[4..], ["act start node1", "undo kill node2", "undo load", "act flush"], "{calls:?}");
    assert_eq!(house.states(), [State::Idle; 6]);
    assert!(house.standing().is_empty() && house.incidents().is_empty(), "{:?}", house.incidents());
    let status = house.status("fault");
    assert_eq!((status.entered, status.entered_at, status.actions.len()), (1, None, 0));
    assert_eq!(house.status("end").reset, 1);
    assert!(house.told().contains(&"end DemoReset".to_owned()), "{:?}", house.told());
    // And again, from the beginning.
    house.change("welcome", |chapter| chapter.spec.reset = 1);
    house.play().await;
    assert_eq!(house.calls()[8..], ["act flush"]);
    house.enter("fault");
    house.play().await;
    assert_eq!(house.status("fault").state, State::Waiting);
}

#[tokio::test]
async fn the_first_failure_ends_a_chapter_which_can_be_entered_again() {
    let house = House::with(&story());
    house.fails("kill node2", Some(Error::Failed("no such container".into())));
    house.enter("fault");
    house.play().await;
    let status = house.status("fault");
    assert_eq!((status.state, status.message.as_deref()), (State::Failed, Some("kill node2: no such container")));
    assert_eq!(
        status.actions.iter().map(|one| one.state).collect::<Vec<_>>(),
        [ActionState::Failed, ActionState::Planned]
    );
    house.fails("kill node2", None);
    house.enter("fault");
    house.play().await;
    assert_eq!(house.status("fault").state, State::Waiting);
}

#[tokio::test]
async fn what_is_aimed_at_nothing_fails_in_words() {
    let house = House::with(&story());
    house.change("load", |chapter| {
        chapter.spec.actions[0].run.as_mut().unwrap().target.service = Some("node9".into());
    });
    house.enter("load");
    house.play().await;
    let status = house.status("load");
    assert_eq!(status.state, State::Failed);
    assert!(status.message.unwrap().contains("no container of the service \"node9\""));
}

#[tokio::test]
async fn what_cannot_be_known_is_not_repeated_and_the_chapter_says_so() {
    let house = House::with(&story());
    house.fails("kill node2", Some(Error::Unavailable("the engine went".into())));
    house.came_of("kill node2", Outcome::Unknown("it may have been sent".into()));
    house.enter("fault");
    house.play().await;
    let status = house.status("fault");
    assert_eq!((status.state, status.actions[0].state), (State::Waiting, ActionState::Unknown));
    assert!(status.message.unwrap().contains("not known, and it is not repeated: kill node2"));
    assert_eq!(house.calls(), ["act kill node2", "act pause node3"]);
    assert!(house.told().contains(&"fault OutcomeUnknown".to_owned()));
}

#[tokio::test]
async fn the_newest_raise_wins_and_the_others_do_nothing() {
    let house = House::with(&story());
    house.enter("fault");
    house.enter("detect");
    house.play().await;
    assert_eq!(house.calls(), Vec::<String>::new());
    assert_eq!((house.status("fault").state, house.status("fault").entered), (State::Left, 1));
    assert_eq!(house.status("detect").state, State::Waiting);
}

#[tokio::test]
async fn nothing_is_done_while_the_subject_is_suspended_or_all_is_halted() {
    let house = House::with(&story());
    house.suspend(true);
    house.enter("load");
    house.play().await;
    let status = house.status("load");
    let accepted = crds::condition::find(&status.conditions, "Accepted").unwrap();
    assert_eq!((status.state, accepted.reason.as_str()), (State::Idle, "SubjectSuspended"));
    house.suspend(false);
    house.halt(true);
    house.play().await;
    assert!(house.calls().is_empty());
    house.halt(false);
    house.play().await;
    assert_eq!(house.calls(), ["act load"]);
}

#[tokio::test]
async fn a_demo_without_chapters_leaves_nothing_behind() {
    let house = entered(&["load", "fault"]).await;
    house.remove_all();
    house.play().await;
    assert_eq!(house.calls()[3..], ["undo pause node3", "undo kill node2", "undo load"]);
    assert!(house.standing().is_empty());
    house.play().await;
    assert_eq!(house.calls().len(), 6);
}

#[tokio::test]
async fn a_lost_record_repeats_nothing() {
    let house = entered(&["fault"]).await;
    let new = House::with(&story());
    new.change("fault", |chapter: &mut DemoChapter| {
        (chapter.spec.entered, chapter.status) = (1, Some(house.status("fault")));
    });
    new.play().await;
    assert!(new.calls().is_empty());
    assert_eq!(new.status("fault").state, State::Idle);
}
