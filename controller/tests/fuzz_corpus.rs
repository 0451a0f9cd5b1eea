//! The fuzzer's kept inputs, through the same doors: what it found once stays found, and the doors stay alive.

#![allow(clippy::unwrap_used)] // tests

use std::fs;
use std::path::Path;

/// Plays every input of a target; how many there were.
fn play(target: &str, door: fn(&[u8])) -> usize {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    for input in &inputs {
        let bytes = fs::read(input).unwrap();
        // The door's panic says what did not hold; this line says for which input.
        println!("{}", input.display());
        door(&bytes);
    }
    inputs.len()
}

#[test]
fn requests_to_the_gateway() {
    assert!(play("request", controller::fuzz::request) > 100);
}

#[test]
fn frames_of_both_protocols() {
    assert!(play("frames", controller::fuzz::frames) > 100);
}

#[test]
fn events_of_the_model() {
    assert!(play("events", controller::fuzz::events) > 100);
}
