//! Each demo by the space key, from welcome to complete; and back, and again.

use std::time::Duration;

use crds::demo_chapter::{Advance, ChapterState};
use kube::ResourceExt as _;
use operator_tests::demo::{Demo, is_over, state};
use operator_tests::phase;
use operator_tests::tmux::Terminal;

use super::SOON;

/// How long a chapter may take that waits for an agent and a proof.
const CHAPTER: Duration = Duration::from_mins(4);

/// Presses space until the last chapter is complete, each time once the chapter on the screen is.
async fn by_the_space_key(demo: &Demo, terminal: &Terminal) {
    for chapter in demo.chapters().await {
        let name = chapter.name_any();
        terminal.press(&["Space"]);
        terminal.wait(&chapter.spec.title, SOON);
        let over = tokio::time::timeout(CHAPTER, demo.until(&name, "over", is_over)).await;
        let over = over.unwrap_or_else(|_| panic!("{name}\n{}", terminal.screen()));
        let status = over.status.clone().unwrap_or_default();
        assert!(status.completed_at.is_some(), "{name}: {status:?}\n{}", terminal.screen());
        assert_eq!(over.spec.entered, 1, "{name} was entered once\n{}", terminal.screen());
        // The screen knows it before the next key; some pages turn by themselves.
        if over.spec.advance == Advance::Manual {
            terminal.until("the chapter as complete", SOON, |screen| {
                screen.contains(&chapter.spec.title) && screen.contains("✓ Complete")
            });
        }
    }
}

/// A demo that was played by the space key to its end, with so many Incidents, each resolved; and the screen, still open.
async fn played(folder: &str, name: &str, incidents: usize) -> (Demo, Terminal) {
    let demo = Demo::set(folder, name).await;
    let terminal = Terminal::operator(120, 36, &format!("demo {name} --namespace {}", demo.namespace.name));
    terminal.wait("LIVE", SOON);
    by_the_space_key(&demo, &terminal).await;
    let all = demo.incidents().await;
    assert_eq!(all.iter().map(phase).collect::<Vec<_>>(), vec!["Resolved"; incidents]);
    assert!(demo.flows());
    (demo, terminal)
}

async fn end(demo: Demo, terminal: &Terminal) {
    terminal.press(&["q"]);
    terminal.wait("EXIT=0", SOON);
    demo.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_limiter_is_played_by_the_space_key_and_back_and_again() {
    let (demo, terminal) = played("ratelimiter", "ratelimiter", 1).await;

    // Back to the page before, and the beginning again.
    let chapters = demo.chapters().await;
    let before = &chapters[chapters.len() - 2];
    terminal.press(&["b"]);
    demo.until(&before.name_any(), "entered again", |chapter| chapter.spec.entered == 2).await;
    terminal.press(&["R"]);
    terminal.wait("spec.reset", SOON);
    terminal.press(&["y"]);
    for chapter in &chapters {
        demo.until(&chapter.name_any(), "idle", |chapter| state(chapter) == ChapterState::Idle).await;
    }
    assert_eq!(demo.helpers(), Vec::<String>::new(), "a reset leaves nothing");
    demo.healthy().await;
    end(demo, &terminal).await;

    // The second path, on the same system.
    let (demo, terminal) = played("ratelimiter", "ratelimiter-node", 1).await;
    end(demo, &terminal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_played_by_the_space_key() {
    let (demo, terminal) = played("etcd", "etcd", 2).await;
    end(demo, &terminal).await;
}
