//! Sessions of any length.

use serde_json::json;

use super::{incident, with};
use crate::ask::Target;
use crate::feed::{Entry, Place, Request};
use crate::msg::Cmd;
use crate::testing::Bench;
use crate::testing::session::{call, news, page, result, thought};

const ALL: i64 = 50_000;

/// The entries from one number to another of a long session.
fn part(from: i64, to: i64) -> Vec<Entry> {
    let entry = |seq: i64| match seq % 3 {
        0 => thought(seq, seq * 10, &format!("thought {seq}")),
        1 => call(seq, seq * 10, &format!("command {seq}"), "why"),
        _ => result(seq, seq * 10, seq - 1, 0, 5, &format!("printed {seq}\n"), ""),
    };
    (from..=to).map(entry).collect()
}

/// Answers pages as the audit API would; how many there were.
fn serve(bench: &mut Bench) -> usize {
    let mut pages = 0;
    loop {
        let asked: Vec<(Place, i64)> = bench
            .cmds()
            .into_iter()
            .filter_map(|cmd| match cmd {
                Cmd::Feed(Request::Page { place, limit, .. }) => Some((place, i64::try_from(limit).unwrap())),
                _ => None,
            })
            .collect();
        if asked.is_empty() {
            return pages;
        }
        for (place, limit) in asked {
            pages += 1;
            let entries = match place {
                Place::Before(before) => part((before.min(ALL + 1) - limit).max(1), before.min(ALL + 1) - 1),
                Place::After(after) => part(after + 1, (after + limit).min(ALL)),
            };
            bench.feed(vec![page(place, entries)]);
        }
        assert!(pages < 200, "it asks for ever");
    }
}

#[test]
fn one_that_is_opened_from_the_list_is_read() {
    let mut bench =
        Bench::new(&Target::Incidents { filter: String::new() }).listed(vec![incident("Running", &json!({}))]);
    bench.screen((120, 36));
    bench.cmds();
    bench.keys("enter");
    assert_eq!(serve(&mut bench), 1);
    let screen = bench.screen((120, 36));
    assert!(screen.contains("command 49999") && !screen.contains("Reading the session"), "{screen}");
}

#[test]
fn a_long_session_is_read_page_by_page_in_both_directions() {
    let mut bench = with("Running", part(ALL - 399, ALL));
    bench.screen((120, 36));
    serve(&mut bench);
    bench.keys("g g");
    assert!(bench.screen((120, 36)).contains("Reading the session") || bench.screen((120, 36)).contains("loading"));
    assert!(serve(&mut bench) >= 1);
    let top = bench.screen((120, 36));
    assert!(top.contains("command 1 ") && top.contains("PAUSED at step 1 "), "{top}");
    // Down, a page at a time: what is needed is there.
    for _ in 0..60 {
        bench.keys("ctrl-f");
        serve(&mut bench);
    }
    let middle = bench.screen((120, 36));
    let number = |shown: &str| {
        let at = shown.find("PAUSED at step ").unwrap() + "PAUSED at step ".len();
        shown[at..].split(' ').next().unwrap().replace(',', "").parse::<i64>().unwrap()
    };
    assert!(number(&middle) > 2_500, "{middle}");
    assert!(bench.screen((120, 36)).contains("new"), "what is behind the window counts as new: {middle}");
    for _ in 0..60 {
        bench.keys("ctrl-b");
        serve(&mut bench);
    }
    assert_eq!(number(&bench.screen((120, 36))), 1);
    bench.keys("G");
    serve(&mut bench);
    let end = bench.screen((120, 36));
    assert!(end.contains("printed") || end.contains("command 49999"), "{end}");
    assert!(end.contains("FOLLOW"), "{end}");
}

#[test]
fn a_search_goes_beyond_what_is_here() {
    let mut bench = with("Running", part(ALL - 399, ALL));
    bench.screen((120, 36));
    serve(&mut bench);
    bench.keys("/");
    bench.types("printed 44000$");
    bench.keys("enter");
    assert!(bench.screen((120, 36)).contains("searching, at"));
    let pages = serve(&mut bench);
    let found = bench.screen((120, 36));
    assert!((12..=20).contains(&pages) && found.contains("PAUSED at step 43,999"), "{pages} pages\n{found}");
    // A key stops it.
    bench.keys("N");
    bench.keys("j");
    serve(&mut bench);
    assert!(!bench.screen((120, 36)).contains("searching"));
}

#[test]
fn fifty_thousand_entries_written_live_take_bounded_room() {
    let mut bench = with("Running", part(1, 10));
    bench.screen((120, 36));
    for start in (11..=ALL).step_by(1_000) {
        bench.feed(vec![news(part(start, (start + 999).min(ALL)))]);
    }
    let shown = bench.screen((120, 36));
    assert!(shown.contains("step 50,000") && shown.contains("FOLLOW"), "{shown}");
    assert!(bench.cmds().iter().filter(|cmd| matches!(cmd, Cmd::Feed(Request::Page { .. }))).count() <= 2);
}

#[test]
fn a_line_of_a_megabyte_is_bounded() {
    let long = "x".repeat(1 << 20);
    let mut entries = part(1, 3);
    entries.push(call(4, 50, &long, &long));
    entries.push(result(5, 60, 4, 1, 5, &long, &long));
    entries.push(thought(6, 70, &long));
    let mut bench = with("Running", entries);
    bench.keys("T");
    for size in [(60, 12), (80, 24), (200, 50)] {
        let shown = bench.screen(size);
        assert!(shown.lines().count() <= usize::from(size.1), "{shown}");
    }
    bench.keys("k enter");
    bench.screen((80, 24));
}
