//! One stage on which row after row is played.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::Incident;
use kube::api::ListParams;
use operator_tests::checks::Tally;
use operator_tests::counter::{docker, try_docker};
use operator_tests::gate::Hold;
use operator_tests::process::Controller;
use operator_tests::stage::{LONG, Stage};
use operator_tests::{condition, phase, wait_until};
use serde_json::json;
use tokio::process::Command;

use super::rows::{self, Fault, Place, Row};

/// A stage with the controller that leads on it.
pub(crate) struct Lane {
    stage: Stage,
    leader: Controller,
    /// How many rows and controllers there were.
    rows: usize,
    controllers: usize,
}

/// Where a row has come to, and how it goes on from there.
enum At {
    Held(Arc<Hold>),
    Working(String),
}

type Wrong = Vec<String>;

impl Lane {
    /// The one that there is, or a new one.
    pub(crate) async fn take_or_open(lane: Option<Self>) -> Result<Self, String> {
        if let Some(lane) = lane {
            return Ok(lane);
        }
        let stage = Stage::set("matrix", 1).await;
        let mut leader = stage.controller("controller-0");
        leader.ready().await?;
        stage.watch().await?;
        Ok(Self { stage, leader, rows: 0, controllers: 1 })
    }

    /// Plays a row; what came of its commands, or what is wrong.
    pub(crate) async fn play(&mut self, row: &Row) -> Result<Tally, Wrong> {
        self.rows += 1;
        let name = format!("row{}", self.rows);
        let at = self.arm(row, &name).await;
        self.stage.apply(&name, 0, json!({})).await;
        self.reached(&at).await.map_err(|why| vec![why])?;
        self.strike(row.fault, &name, &at).await.map_err(|why| vec![why])?;
        let incident = self.finished(&name).await.map_err(|why| vec![why])?;
        // All that it may still say has been said.
        self.stage.calm();
        if row.fault == Fault::KillAndClock {
            self.leader.kill();
            self.start(&[]).await.map_err(|why| vec![why])?;
        }
        let tally = self.stage.judge(&incident, &self.stage.counters[0]).await?;
        // Nothing is resolved unproven, and nothing is opened besides.
        if phase(&incident) != "Resolved" || condition(&incident, "Verified").0 != "True" {
            return Err(vec![format!("it ended {}", shown(&incident))]);
        }
        let opened = self.stage.namespace.api::<Incident>().list(&ListParams::default()).await;
        let opened = opened.map_err(|error| vec![error.to_string()])?.items.len();
        if opened != self.rows {
            return Err(vec![format!("there are {opened} Incidents after {} rows", self.rows)]);
        }
        let odd = |(command, outcome): (&String, &String)| {
            let allowed = outcome == "exited" || row.may.contains(&(command.as_str(), outcome.as_str()));
            (!allowed).then(|| format!("{command} ended as {outcome}"))
        };
        let wrong: Wrong = tally.outcomes.iter().filter_map(odd).collect();
        if wrong.is_empty() { Ok(tally) } else { Err(wrong) }
    }

    async fn arm(&self, row: &Row, name: &str) -> At {
        match row.at {
            Place::Store(side, matches) => At::Held(self.stage.calls.hold(row.place, side, matches)),
            Place::Engine(direction, texts) => At::Held(self.stage.engine.hold(direction, texts)),
            Place::Model(direction, texts) => At::Held(self.stage.answers.hold(direction, texts)),
            Place::Working(command) => {
                let token = format!("{name}-{command}");
                self.counter().hold(&token).await;
                At::Working(token)
            }
        }
    }

    async fn reached(&self, at: &At) -> Result<(), String> {
        match at {
            At::Held(hold) => hold.caught(LONG).await,
            At::Working(token) => self.token(token).await,
        }
    }

    async fn token(&self, token: &str) -> Result<(), String> {
        let begun = Instant::now();
        while !self.counter().tokens().await.contains_key(token) {
            if begun.elapsed() > LONG {
                return Err(format!("{token} did not come within {LONG:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn counter(&self) -> &operator_tests::counter::Counter {
        &self.stage.counters[0]
    }

    /// Does it, and lets the session go on.
    async fn strike(&mut self, fault: Fault, name: &str, at: &At) -> Result<(), String> {
        match fault {
            Fault::Kill => {
                self.kill(at);
                self.start(&[]).await?;
            }
            Fault::Late => {
                let epoch = self.stage.epoch().await;
                self.leader.kill();
                self.start(&[]).await?;
                self.stage.succeeded(epoch).await?;
            }
            Fault::Pause => return self.pause(name, at, 0).await,
            // That it goes on, that it has the container again, and one more.
            Fault::PauseLonger => return self.pause(name, at, 3).await,
            Fault::Terminate => {
                self.leader.terminate();
                let begun = Instant::now();
                while self.leader.lives() {
                    if begun.elapsed() > LONG {
                        return Err("it does not end at SIGTERM".into());
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                self.kill(at);
                self.start(&[]).await?;
            }
            Fault::KillAndRemove => {
                self.kill(at);
                self.remove(name, "agent").await;
                self.start(&[]).await?;
            }
            Fault::KillAndClock => {
                self.kill(at);
                let library = rows::faketime().unwrap_or_default();
                self.start(&[("LD_PRELOAD", library), ("FAKETIME", "+10m"), ("DONT_FAKE_MONOTONIC", "1")]).await?;
            }
            Fault::DatabaseRestart => {
                tokio::task::block_in_place(|| self.stage.server.stop());
                self.go_on(at).await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                tokio::task::block_in_place(|| self.stage.server.start_again());
            }
            Fault::DatabaseAway => self.away(&self.stage.to_database, at, 4).await,
            Fault::EngineAway => self.away(&self.stage.to_engine, at, 4).await,
            Fault::EngineRestart => {
                restart_engine().await?;
            }
            Fault::ModelAway => self.away(&self.stage.to_model, at, 1).await,
            Fault::ClusterAway => {
                let begun = Instant::now();
                self.stage.to_cluster.close();
                self.go_on(at).await;
                self.stage.sealed(name).await?;
                tokio::time::sleep(Duration::from_secs(30).saturating_sub(begun.elapsed())).await;
                self.stage.to_cluster.open();
            }
            Fault::AgentRemoved => self.remove(name, "agent").await,
            Fault::GatewayRemoved => {
                self.remove(name, "gateway").await;
                // The agent needs it again only once another one stands.
                let filters = self.filters(name, "gateway").await;
                wait_until("another gateway stands", LONG, || async {
                    !docker(&["ps", "-q", "--filter", &filters[0], "--filter", &filters[1]]).await.is_empty()
                })
                .await;
            }
        }
        self.go_on(at).await;
        Ok(())
    }

    /// Whoever it is, it is cut off, cannot come back for so many seconds, and the session meets that.
    async fn away(&self, gate: &operator_tests::gate::Gate, at: &At, seconds: u64) {
        gate.close();
        self.go_on(at).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        gate.open();
    }

    async fn go_on(&self, at: &At) {
        match at {
            At::Held(hold) => hold.let_go(),
            At::Working(token) => self.counter().let_go(token).await,
        }
    }

    fn kill(&mut self, at: &At) {
        self.leader.kill();
        if let At::Held(hold) = at {
            hold.discard();
        }
    }

    /// Another controller, as soon as the dead one's lease has run out, which is now.
    async fn start(&mut self, more: &[(&str, &str)]) -> Result<(), String> {
        self.stage.let_lease_run_out().await;
        self.leader = self.another(more);
        self.leader.ready().await
    }

    fn another(&mut self, more: &[(&str, &str)]) -> Controller {
        let name = format!("controller-{}", self.controllers);
        self.controllers += 1;
        self.stage.controller_with(&name, more)
    }

    /// Stops the leader until another one leads and has written so many entries.
    async fn pause(&mut self, name: &str, at: &At, entries: usize) -> Result<(), String> {
        let epoch = self.stage.epoch().await;
        let mut next = self.another(&[]);
        next.ready().await?;
        self.leader.stop();
        // The lease runs out by itself: what cannot compare epochs (the engine) is guarded by the deposed one's own
        // clock, which has to have gone on.
        let before = self.entries(name).await;
        self.stage.succeeded(epoch).await?;
        let begun = Instant::now();
        while self.entries(name).await < before + entries {
            if begun.elapsed() > LONG {
                return Err(format!("the next one wrote nothing within {LONG:?}: {}", next.last_words()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The sleeper wakes up in the middle of the other's work, and its last words arrive.
        self.leader.go_on();
        self.go_on(at).await;
        let mut sleeper = std::mem::replace(&mut self.leader, next);
        let begun = Instant::now();
        while sleeper.lives() {
            if begun.elapsed() > LONG {
                return Err(format!("the deposed controller does not end within {LONG:?}: {}", sleeper.last_words()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn entries(&self, name: &str) -> usize {
        self.stage.trails(name).await.iter().map(|trail| trail.entries.len()).sum()
    }

    /// Removes one of the session's containers from under it.
    async fn remove(&self, name: &str, role: &str) {
        let filters = self.filters(name, role).await;
        let ids = docker(&["ps", "-aq", "--filter", &filters[0], "--filter", &filters[1]]).await;
        for id in ids.lines() {
            docker(&["rm", "-f", id]).await;
        }
    }

    /// Finds the session's container of a role.
    async fn filters(&self, name: &str, role: &str) -> [String; 2] {
        let trails = self.stage.trails(name).await;
        let session = trails.last().map(|trail| trail.session.clone()).unwrap_or_default();
        [format!("label=operator.dev/session={session}"), format!("label=operator.dev/role={role}")]
    }

    async fn finished(&self, name: &str) -> Result<Incident, String> {
        let begun = Instant::now();
        loop {
            let incident = self.stage.namespace.api::<Incident>().get(name).await.map_err(|error| error.to_string())?;
            if condition(&incident, "Finished").0 == "True" {
                return Ok(incident);
            }
            if begun.elapsed() > LONG {
                return Err(format!("not finished within {LONG:?}: {}", shown(&incident)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What helps to find out why a row does not hold.
    pub(crate) async fn diagnosis(&self) -> String {
        let trails = self.stage.trails(&format!("row{}", self.rows)).await;
        let entries = trails.iter().flat_map(|trail| trail.entries.iter());
        let lines: Vec<String> = entries
            .map(|(seq, kind, data)| {
                let text: String = data.to_string().chars().take(220).collect();
                format!("    {seq:>3} {kind:<11} {text}")
            })
            .collect();
        format!("  rows:\n{}\n  log:\n{}", lines.join("\n"), self.leader.last_words())
    }

    pub(crate) async fn close(self) {
        drop(self.leader);
        self.stage.namespace.abandon().await;
    }

    /// When nothing is left to play: nothing may be left on the engine, and the whole trail verifies.
    pub(crate) async fn finish(self) -> Wrong {
        let mut wrong = Vec::new();
        if let Err(why) = self.stage.verify().await {
            wrong.push(format!("the trail does not verify: {why}"));
        }
        let stage = &self.stage;
        wait_until("nothing is left on the engine", LONG, || async { stage.left_on_engine().await.is_empty() }).await;
        self.close().await;
        wrong
    }
}

/// Ends the engine's process and starts it again. What ran before is started again by who looks after it: that is this
/// test for all but the sessions' containers.
async fn restart_engine() -> Result<(), String> {
    let running = docker(&["ps", "-q"]).await;
    let of_sessions = docker(&["ps", "-q", "--filter", "label=operator.dev/session"]).await;
    let restarted = Command::new(operator_tests::root().join("scripts/docker-engine")).arg("restart").output().await;
    let restarted = restarted.map_err(|error| error.to_string())?;
    if !restarted.status.success() {
        return Err(format!("the engine was not restarted: {}", String::from_utf8_lossy(&restarted.stderr)));
    }
    for container in running.lines().filter(|id| !of_sessions.lines().any(|session| session == *id)) {
        // One that the engine clears away by itself is gone.
        let _ = try_docker(&["start", container]).await;
    }
    Ok(())
}

/// Where an Incident stands, in a line.
fn shown(incident: &Incident) -> String {
    let message = incident.status.as_ref().and_then(|status| status.message.clone()).unwrap_or_default();
    format!("{} ({message})", operator_tests::phase(incident))
}
