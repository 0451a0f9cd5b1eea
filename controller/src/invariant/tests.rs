//! How invariants stand over time, what proves that they hold, and what is said of what is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use crds::SubjectSpec;
use crds::incident::Violated;
use crds::invariant::InvariantState::{self, Ok as Holds, Pending, Unknown, Violated as Broken};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::probe::{Reading, Round};

fn spec(invariants: &Value) -> SubjectSpec {
    serde_json::from_value(json!({
        "where": {"docker": {"project": "shop"}},
        "probes": [
            {"name": "web", "interval": "1s", "timeout": "1s", "tcp": {"address": "{{target}}:80"}, "targets": ["a", "b"]},
            {"name": "db", "interval": "1s", "timeout": "1s", "tcp": {"address": "db:1"}},
        ],
        "invariants": invariants,
    }))
    .unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn reading(ok: bool, value: Value) -> Reading {
    Reading { ok, error: (!ok).then(|| "refused".to_owned()), ms: 1, status: None, value: Some(value) }
}

fn round(probe: &str, seconds: i64, readings: &[(&str, Reading)]) -> Round {
    let readings = readings.iter().map(|(target, reading)| ((*target).to_owned(), reading.clone())).collect();
    Round { probe: probe.into(), at: at(seconds), readings }
}

fn web(seconds: i64, a: bool, b: bool) -> Round {
    round("web", seconds, &[("a", reading(a, json!(1))), ("b", reading(b, json!(1)))])
}

fn db(seconds: i64, value: Value) -> Round {
    round("db", seconds, &[("", reading(true, value))])
}

fn judge(invariants: &Value) -> Judge {
    let (compiled, mistakes) = Compiled::new(&spec(invariants));
    assert!(mistakes.is_empty(), "{mistakes:?}");
    Judge::new(Arc::new(compiled))
}

fn down(grace: &str) -> Value {
    json!([{"name": "down", "forEach": "probes.web", "violated": "!item.ok", "grace": grace,
            "message": "{{ key }} says {{ item.error }}"}])
}

fn state(judge: &Judge) -> (InvariantState, String) {
    let view = judge.views().remove(0);
    (view.state, view.message)
}

fn must(key: &str) -> Vec<Violated> {
    vec![Violated { invariant: "down".into(), key: key.into() }]
}

fn names(proof: Proof) -> (&'static str, Vec<String>) {
    let all = |of: Vec<(String, KeyView)>| {
        of.into_iter().map(|(name, key)| format!("{name}[{}]: {}", key.key, key.message)).collect()
    };
    match proof {
        Proof::Holds => ("holds", Vec::new()),
        Proof::Violated(what) => ("violated", all(what)),
        Proof::Unknown(why) => ("unknown", all(why)),
    }
}

#[test]
fn nothing_is_known_before_anything_was_read() {
    let mut judge = judge(&down("0s"));
    judge.look(at(0));
    assert_eq!(state(&judge), (Unknown, "the probe web was not read yet".into()));
    judge.take(&web(1, true, true));
    assert_eq!(state(&judge).0, Holds);
}

#[test]
fn grace_is_the_time_for_which_it_is_seen_to_be_violated() {
    let mut judge = judge(&down("5s"));
    judge.take(&web(0, true, true));
    judge.take(&web(1, true, false));
    assert_eq!(state(&judge), (Pending, "b says refused".into()));
    // Stale: nobody can say, and that does not count.
    judge.look(at(11));
    assert_eq!(state(&judge).0, Unknown);
    judge.take(&web(20, true, false));
    assert_eq!(state(&judge).0, Broken, "it was seen for ten seconds before the gap");

    let mut judge = super::tests::judge(&down("5s"));
    judge.take(&web(1, true, false));
    judge.look(at(5));
    assert_eq!(state(&judge).0, Pending);
    judge.look(at(6));
    let view = judge.views().remove(0);
    assert_eq!((view.state, view.since), (Broken, Some(at(1))), "since it began");
    judge.take(&web(7, true, true));
    judge.take(&web(8, true, false));
    assert_eq!(state(&judge).0, Pending, "after a break it begins anew");
}

#[test]
fn a_reading_that_is_old_says_nothing() {
    let mut judge = judge(&down("0s"));
    judge.take(&web(0, true, true));
    judge.look(at(7));
    assert_eq!(state(&judge).0, Holds);
    judge.look(at(8));
    assert_eq!(state(&judge), (Unknown, "the probe web was read 8 s ago, which is too old".into()));
    let keys = judge.views().remove(0).keys;
    assert!(keys.len() == 2 && keys.iter().all(|key| key.state == Unknown), "{keys:?}");
}

#[test]
fn who_takes_away_what_is_sick_has_not_made_it_well() {
    let mut judge = judge(&down("0s"));
    judge.take(&web(0, true, false));
    let only_a = |seconds| round("web", seconds, &[("a", reading(true, json!(1)))]);
    judge.take(&only_a(1));
    let view = judge.views().remove(0);
    assert_eq!((view.state, view.message.as_str()), (Broken, "it is not there any more"));
    assert!(view.keys.iter().any(|key| key.key == "b" && key.gone));
    assert_eq!(names(judge.all_hold(at(1), &must("b"))).0, "violated");
    judge.forget("down", "b");
    assert_eq!(state(&judge).0, Holds);
    // A later judge that never saw it: who asks for it is told all the same.
    let (verdict, what) = names(judge.all_hold(at(1), &must("b")));
    assert_eq!((verdict, what), ("violated", vec!["down[b]: it is not there any more".to_owned()]));
    // What was well and goes is nobody's loss; what comes back is judged.
    judge.take(&round("web", 2, &[("b", reading(true, json!(1)))]));
    assert_eq!(judge.views().remove(0).keys.len(), 1);
    assert_eq!(names(judge.all_hold(at(2), &must("b"))).0, "holds");
}

#[test]
fn a_proof_needs_readings_that_are_new() {
    let invariants = json!([
        {"name": "down", "forEach": "probes.web", "violated": "!item.ok"},
        {"name": "full", "violated": "probes.db.value > 9"},
    ]);
    let mut judge = judge(&invariants);
    judge.take(&web(0, true, true));
    judge.take(&db(0, json!(1)));
    assert_eq!(names(judge.all_hold(at(0), &[])).0, "holds");
    judge.take(&web(2, true, true));
    let (verdict, why) = names(judge.all_hold(at(1), &[]));
    assert_eq!((verdict, why), ("unknown", vec!["full[]: the probe db was not read anew yet".to_owned()]));
    judge.take(&db(3, json!(10)));
    assert_eq!(names(judge.all_hold(at(1), &[])), ("violated", vec!["full[]: full".to_owned()]));
    // One that the Subject has lost meanwhile cannot be proven.
    judge.take(&db(4, json!(1)));
    let lost = [Violated { invariant: "lost".into(), key: String::new() }];
    assert_eq!(names(judge.all_hold(at(1), &lost)).0, "unknown");
}

#[test]
fn what_is_in_its_grace_neither_holds_nor_refutes() {
    let mut judge = judge(&down("5s"));
    judge.take(&web(0, true, false));
    assert_eq!(names(judge.all_hold(at(0), &[])).0, "unknown");
    judge.take(&web(5, true, false));
    assert_eq!(names(judge.all_hold(at(0), &[])).0, "violated");
}

#[test]
fn values_over_time() {
    let invariants = json!([{"name": "grows", "over": {"n": {"value": "probes.db.value", "window": "10s"}},
        "violated": "n.increase > 4", "message": "{{n.first}} {{n.last}} {{n.changes}} {{n.increase}} {{n.rate}} {{n.held}} {{n.span}} {{n.samples}}"}]);
    let mut judge = judge(&invariants);
    judge.take(&db(0, json!(7)));
    assert_eq!(state(&judge), (Unknown, "n has 1 of the two samples that it needs".into()));
    judge.take(&db(1, json!(7)));
    assert_eq!(state(&judge).0, Holds);
    // It begins anew at 0: what it went up by is 2, and then 3.
    judge.take(&db(2, json!(2)));
    judge.take(&db(3, json!("no number")));
    judge.take(&db(4, json!(5)));
    assert_eq!(state(&judge).0, Unknown, "there is a word among the numbers, so there is no increase");
    for second in 5..15 {
        judge.take(&db(second, json!(5)));
    }
    assert_eq!(state(&judge).0, Holds);
    judge.take(&db(15, json!(10)));
    assert_eq!(state(&judge), (Broken, "5 10 1 5.0 0.5 0.0 10.0 11".into()));
    // What is violated only by what was before is not refuted, until the window is over.
    assert_eq!(names(judge.all_hold(at(15), &[])).0, "unknown");
    judge.take(&db(25, json!(10)));
    assert_eq!(names(judge.all_hold(at(15), &[])).0, "holds");
}

#[test]
fn what_cannot_be_evaluated_is_unknown_and_says_why() {
    let mut judge = judge(&json!([{"name": "full", "violated": "probes.db.value.used > 9"}]));
    judge.take(&round("db", 0, &[("", Reading { ok: false, error: Some("timed out".into()), ..Reading::default() })]));
    let (state_, message) = state(&judge);
    assert_eq!(state_, Unknown);
    assert!(message.contains("the probe db says: timed out"), "{message}");
    let mut odd = super::tests::judge(&json!([{"name": "odd", "violated": "probes.db.value"}]));
    odd.take(&db(0, json!("yes")));
    assert_eq!(state(&odd), (Unknown, "violated gives text, and not true or false".into()));
}

#[test]
fn lists_have_keys_of_their_own() {
    let each = json!([{"name": "slow", "forEach": "probes.db.value", "key": "item.name", "violated": "item.ms > 5",
                       "message": "{{ {'k': key}.k }} takes {{ item.ms }} ms"}]);
    let mut judge = judge(&each);
    judge.take(&db(0, json!([{"name": "x", "ms": 9}, {"name": "y", "ms": 1}])));
    assert_eq!(state(&judge), (Broken, "x takes 9 ms".into()));
    judge.take(&db(1, json!([{"name": "x", "ms": 9}, {"name": "x", "ms": 1}])));
    assert_eq!(state(&judge), (Unknown, "two elements of forEach have the key \"x\"".into()));
    judge.take(&db(2, json!(3)));
    assert_eq!(state(&judge).1, "forEach gives a number, which is neither a list nor a map");
    judge.take(&db(3, json!((0..1001).map(|n| json!({"name": format!("n{n}"), "ms": 1})).collect::<Vec<_>>())));
    assert_eq!(state(&judge).1, "forEach has more than 1000 elements");
}

#[test]
fn a_message_that_cannot_be_made_says_so_and_the_violation_stands() {
    let mut judge =
        judge(&json!([{"name": "full", "violated": "probes.db.value > 9", "message": "{{ probes.db.value / 0 }}"}]));
    judge.take(&db(0, json!(10)));
    let (state_, message) = state(&judge);
    assert_eq!(state_, Broken);
    assert!(message.starts_with("full (its message cannot be made: "), "{message}");
}

#[test]
fn what_was_read_is_told_in_lines() {
    let mut judge = judge(&down("0s"));
    judge.take(&web(0, true, false));
    let lines = judge.readings_of("down", "b");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("web[b] at 1970-01-12T13:46:40Z: failed in 1 ms: refused"), "{lines:?}");
    assert_eq!(judge.readings_of("down", "").len(), 2);
}

#[test]
fn each_mistake_has_its_place_and_its_sentence() {
    let wrong = |invariant: Value| {
        let (compiled, mistakes) =
            Compiled::new(&spec(&json!([invariant, {"name": "good", "violated": "probes.db.ok"}])));
        let mut judge = Judge::new(Arc::new(compiled));
        judge.take(&db(0, json!(1)));
        assert_eq!(judge.views()[0].state, Unknown, "a wrong one is unknown");
        assert_eq!(judge.views()[1].state, Broken, "and the rest go on");
        assert!(matches!(judge.all_hold(at(0), &[]), Proof::Violated(_)));
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        mistakes[0].to_string()
    };
    for (invariant, said) in [
        (json!({"name": "x", "violated": "probes.db.ok &&\n  )"}), "spec.invariants[0].violated (x): 2:3: "),
        (
            json!({"name": "x", "violated": "probe.db.ok"}),
            "violated (x): there is no `probe` here (did you mean `probes`?); there are probes",
        ),
        (
            json!({"name": "x", "violated": "probes.dbs.ok"}),
            "violated (x): there is no probe `dbs` (did you mean `db`?); there are web, db",
        ),
        (json!({"name": "x", "violated": "probes['nothing'].ok"}), "there is no probe `nothing`; there are web, db"),
        (json!({"name": "x", "violated": "probes.db.value.siz() > 1"}), "there is no function `siz`"),
        (json!({"name": "x", "violated": "key == 'a' && probes.db.ok"}), "there is no `key` here; there are probes"),
        (json!({"name": "x", "violated": "1 + 1"}), "it is always 2, and not true or false"),
        (json!({"name": "x", "violated": "true"}), "it reads no probe: it says the same for ever"),
        (
            json!({"name": "x", "forEach": "probes.web", "violated": "!itm.ok"}),
            "there is no `itm` here (did you mean `item`?); there are probes, key, item",
        ),
        (
            json!({"name": "x", "key": "item", "violated": "probes.db.ok"}),
            "key (x): a key tells the elements of forEach apart, and there is no forEach",
        ),
        (
            json!({"name": "x", "forEach": "probes.web", "key": "{{ key }}", "violated": "!item.ok"}),
            "this is an expression and no text: it stands without `{{ }}`",
        ),
        (
            json!({"name": "x", "violated": "probes.db.ok", "message": "{{ probes.db.ok"}),
            "message (x): `{{` is not closed by `}}`",
        ),
        (json!({"name": "x", "violated": "probes.db.ok", "message": "{{ probes.db. }}"}), "message (x): 1:"),
        (
            json!({"name": "x", "over": {"n": {"value": "probes.db.value", "window": "1500ms"}}, "violated": "n.max > 1"}),
            "over.n.window (x): the window of 1 s holds fewer than two rounds of the probe db, which is read every 1 s",
        ),
        (
            json!({"name": "x", "over": {"n": {"value": "1", "window": "5s"}}, "violated": "n.max > 1"}),
            "over.n.value (x): it reads no probe",
        ),
        (
            json!({"name": "x", "over": {"item": {"value": "probes.db.value", "window": "5s"}}, "violated": "probes.db.ok"}),
            "over.item (x): the name of a series is",
        ),
    ] {
        let message = wrong(invariant.clone());
        assert!(message.contains(said), "{invariant}: {message}");
    }
    let mut display = spec(&json!([]));
    display.display = serde_json::from_value(json!({
        "groups": [{"title": "G", "state": "nothing"}],
        "workload": {"label": "W", "value": "rate", "unit": "/s"},
    }))
    .unwrap();
    let mistakes: Vec<_> = Compiled::new(&display).1.iter().map(ToString::to_string).collect();
    assert_eq!(mistakes.len(), 2);
    assert!(mistakes[0].starts_with("spec.display.groups[0].state (G): there is no `nothing` here"), "{mistakes:?}");
    assert!(mistakes[1].starts_with("spec.display.workload.value: there is no `rate` here"), "{mistakes:?}");
    let mut probes = spec(&json!([]));
    probes.probes[0].targets.clear();
    assert!(Compiled::new(&probes).1[0].to_string().starts_with("spec.probes[0]"));
}

#[test]
fn what_a_screen_shows() {
    let mut spec = spec(&json!([]));
    spec.display = serde_json::from_value(json!({
        "groups": [
            {"title": "Web", "forEach": "probes.web", "state": "item.ok ? 'ok' : 'bad'", "text": "{{ item.ms }} ms"},
            {"title": "Base", "state": "probes.db.ok ? 'fine' : 'bad'"},
        ],
        "workload": {"label": "Done", "counter": "probes.db.value", "value": "rate", "unit": "/s"},
    }))
    .unwrap();
    let (compiled, mistakes) = Compiled::new(&spec);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let mut judge = Judge::new(Arc::new(compiled));
    assert_eq!(judge.shown().groups[0].rows[0].state, "unknown");
    judge.take(&web(0, true, false));
    judge.take(&db(0, json!(10)));
    judge.take(&db(2, json!(30)));
    let shown = serde_json::to_value(judge.shown()).unwrap();
    assert_eq!(
        shown,
        json!({
            "groups": [
                {"title": "Web", "rows": [
                    {"key": "a", "label": "a", "state": "ok", "text": "1 ms"},
                    {"key": "b", "label": "b", "state": "bad", "text": "1 ms"},
                ]},
                {"title": "Base", "rows": [
                    {"key": "", "label": "Base", "state": "unknown", "text": "state gives \"fine\", and not ok, warn, bad or unknown"},
                ]},
            ],
            "workload": {"label": "Done", "value": 10.0, "unit": "/s"},
        })
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_that_is_read_makes_it_panic(values in proptest::collection::vec((any_json(), 0i64..60), 1..12)) {
        let mut judge = judge(&json!([
            {"name": "one", "violated": "probes.db.value > 3", "message": "{{ probes.db.value }}"},
            {"name": "each", "forEach": "probes.db.value", "violated": "item == 3", "grace": "3s"},
            {"name": "over", "over": {"n": {"value": "probes.db.value", "window": "10s"}}, "violated": "n.rate > 1.0"},
        ]));
        for (value, seconds) in values {
            judge.take(&db(seconds, value));
            judge.look(at(seconds));
            let _ = (judge.views(), judge.shown(), judge.all_hold(at(seconds), &must("x")), judge.readings_of("each", "a"));
        }
    }

    #[test]
    fn a_counter_never_goes_down(numbers in proptest::collection::vec(0.0..1e9f64, 0..30)) {
        let up = series::increase(&numbers);
        let net = numbers.last().unwrap_or(&0.0) - numbers.first().unwrap_or(&0.0);
        prop_assert!(up >= 0.0 && up >= net - 1e-3, "{} {}", up, net);
    }
}
