//! How many times a second invariants can be judged, on one core.
//!
//! `bench_invariants [SECONDS]` has one judge take rounds of a Subject with three nodes and six invariants, and prints one
//! line of JSON. An evaluation is one expression `violated` of one element; what goes before it (`forEach`, samples of what
//! is watched over time, the conversion of readings) is in its time.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use controller::invariant::{Compiled, Judge};
use crds::invariant::InvariantState;
use serde_json::json;

#[path = "support/watched.rs"]
mod watched;

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let subject = watched::subject("bench")?;
    let begun = Instant::now();
    let (compiled, mistakes) = Compiled::new(&subject.spec);
    let compiling = begun.elapsed();
    if let Some(mistake) = mistakes.first() {
        return Err(mistake.to_string().into());
    }
    let mut judge = Judge::new(Arc::new(compiled));
    for round in watched::rounds() {
        judge.take(&round);
    }
    // What is watched over time has two samples now, or nothing would be judged.
    std::thread::sleep(Duration::from_millis(2));
    for round in watched::rounds() {
        judge.take(&round);
    }
    if let Some(view) = judge.views().into_iter().find(|view| view.state != InvariantState::Ok) {
        return Err(format!("{} is {:?}: {}", view.name, view.state, view.message).into());
    }
    let (begun, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut looks: u32 = 0;
    while begun.elapsed() < limit {
        judge.look(jiff::Timestamp::now());
        looks += 1;
        // Rounds keep the readings fresh.
        if looks.is_multiple_of(500) {
            for round in watched::rounds() {
                judge.take(&round);
            }
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let evaluations = f64::from(looks) * f64::from(u32::try_from(watched::ELEMENTS)?);
    let rounded = |figure: f64| (figure * 10.0).round() / 10.0;
    println!(
        "{}",
        json!({
            "invariants": subject.spec.invariants.len(),
            "elements": watched::ELEMENTS,
            "evaluations_per_s": (evaluations / took).round(),
            "us_per_look": rounded(took / f64::from(looks) * 1e6),
            "compile_us": rounded(compiling.as_secs_f64() * 1e6),
        })
    );
    Ok(())
}
