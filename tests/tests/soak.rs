//! Two controllers, fifty Incidents, and one fault after the other at random for some minutes. Then the same books
//! are compared as in the matrix. `make soak` runs it; `SOAK_SECONDS`, `SOAK_INCIDENTS` and `SOAK_SEED` change it.

// Helpers of tests: outside a #[test] the lints do not know that.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crds::Incident;
use kube::api::ListParams;
use operator_tests::process::Controller;
use operator_tests::stage::{LONG, Stage};
use operator_tests::{condition, phase, wait_until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

/// Sessions of one subject come one after the other, so there are some.
const SUBJECTS: usize = 4;
/// How long the last sessions may take when nobody disturbs them any more.
const CALM: Duration = Duration::from_mins(5);
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
#[ignore = "takes minutes: `make soak`"]
async fn fifty_incidents_under_two_controllers_that_die_at_random() {
    let seconds = setting("SOAK_SECONDS", 240);
    let incidents = usize::try_from(setting("SOAK_INCIDENTS", 50)).unwrap();
    let seed = setting("SOAK_SEED", rand::random::<u32>().into());
    println!("soak: {incidents} incidents in {seconds} s; SOAK_SEED={seed} plays these faults again");

    let stage = Stage::set("soak", SUBJECTS).await;
    let mut pair = Pair::start(&stage, StdRng::seed_from_u64(seed)).await;
    // They come over the first three quarters of the time.
    let pace = Duration::from_secs(seconds) * 3 / 4 / u32::try_from(incidents).unwrap();
    let apply = async {
        let mut tick = tokio::time::interval(pace);
        for number in 1..=incidents {
            tick.tick().await;
            let severity = SEVERITIES[number % SEVERITIES.len()];
            stage.apply(&format!("row{number}"), number % SUBJECTS, json!({"severity": severity})).await;
        }
    };
    let watch = async {
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            println!("soak: {}", phases(&stage).await);
        }
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(apply, pair.disturb(Duration::from_secs(seconds))) } => {}
        () = watch => {}
    }
    println!("soak: {} faults; from here on nobody is disturbed", pair.faults);
    let ended = wait_until("every session has ended", CALM, || async {
        let all = stage.namespace.api::<Incident>().list(&ListParams::default()).await.unwrap();
        all.items.len() == incidents && all.iter().all(|incident| condition(incident, "Finished").0 == "True")
    });
    tokio::select! {
        () = ended => {}
        () = pair.tend() => {}
    }
    println!("soak: {}", phases(&stage).await);

    let (mut wrong, mut outcomes, mut resumed) = (Vec::new(), BTreeMap::<String, usize>::new(), 0);
    for number in 1..=incidents {
        let name = format!("row{number}");
        let incident = stage.namespace.api::<Incident>().get(&name).await.unwrap();
        match stage.judge(&incident, &stage.counters[number % SUBJECTS]).await {
            Ok(tally) => {
                resumed += tally.resumed;
                tally.outcomes.into_values().for_each(|outcome| *outcomes.entry(outcome).or_default() += 1);
            }
            Err(why) => wrong.push(format!("{name}: {}", why.join("; "))),
        }
        if phase(&incident) != "Concluded" {
            wrong.push(format!("{name} is {}: {:?}", phase(&incident), incident.status.unwrap_or_default().message));
        }
    }
    if let Err(why) = stage.verify().await {
        wrong.push(format!("the trail does not verify: {why}"));
    }
    wait_until("nothing is left on the engine", LONG, || async { stage.left_on_engine().await.is_empty() }).await;
    println!("soak: {} faults, {resumed} resumptions, commands: {outcomes:?}", pair.faults);
    assert!(wrong.is_empty(), "SOAK_SEED={seed}:\n{}\n{}", wrong.join("\n"), pair.last_words());
    drop(pair);
    stage.namespace.abandon().await;
}

async fn phases(stage: &Stage) -> String {
    let mut phases = BTreeMap::<&str, usize>::new();
    // The API server is nobody's victim here.
    let all = stage.namespace.api::<Incident>().list(&ListParams::default()).await.unwrap();
    for incident in &all {
        *phases.entry(phase(incident)).or_default() += 1;
    }
    format!("{phases:?}, epoch {}", stage.epoch().await)
}

/// Two controllers, of which at most one is dead or asleep at a time.
struct Pair<'a> {
    stage: &'a Stage,
    controllers: [Controller; 2],
    random: StdRng,
    faults: usize,
}

impl<'a> Pair<'a> {
    async fn start(stage: &'a Stage, random: StdRng) -> Self {
        let mut controllers = [stage.controller("left"), stage.controller("right")];
        for controller in &mut controllers {
            controller.ready().await.unwrap();
        }
        Self { stage, controllers, random, faults: 0 }
    }

    /// One fault after the other.
    async fn disturb(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            let pause = self.random.random_range(2_000..20_000);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let (index, kill) = (self.random.random_range(0..2), self.random.random_bool(0.6));
            let away = Duration::from_millis(self.random.random_range(0..25_000));
            self.faults += 1;
            println!(
                "soak: {} {} for {} ms",
                ["left", "right"][index],
                if kill { "killed" } else { "stopped" },
                away.as_millis()
            );
            if kill {
                self.controllers[index].kill();
                tokio::time::sleep(away / 5).await;
                self.controllers[index] = self.stage.controller(["left", "right"][index]);
            } else {
                self.controllers[index].stop();
                tokio::time::sleep(away).await;
                self.controllers[index].go_on();
            }
            self.raise();
        }
    }

    /// A controller that ended by itself, because it does not lead any more, is started again, as its pod would be.
    fn raise(&mut self) {
        for (controller, name) in self.controllers.iter_mut().zip(["left", "right"]) {
            if !controller.lives() {
                *controller = self.stage.controller(name);
            }
        }
    }

    /// For ever: whoever ends is started again.
    async fn tend(&mut self) {
        loop {
            self.raise();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn last_words(&self) -> String {
        self.controllers.iter().map(Controller::last_words).collect::<Vec<_>>().join("\n---\n")
    }
}
