//! How a helper runs to its end, once.
//!
//! The engine refuses a second container of the same name, so whoever comes second finds the first, goes on with it
//! where it stands, and reads its end. One that was made and not started was not begun.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::{CreateContainerOptions, KillContainerOptionsBuilder, StartContainerOptions};
use jiff::Timestamp;
use tokio::time::sleep;

use super::super::engine::{CallError, QUICK, SLOW};
use super::super::{DockerProvider, names};
use super::body::Helper;
use crate::fault::{Done, Error, Key, Outcome};
use crate::printable;
use crate::sandbox::SandboxError;

/// How long a job of our own may take.
pub(super) const JOB_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks at one that runs.
const LOOK: Duration = Duration::from_millis(150);
/// One that is to go on is looked at once more after this: what cannot run at all has ended by then.
const SETTLES: Duration = Duration::from_secs(1);
/// Of its words.
const LONGEST: usize = 400;

impl DockerProvider {
    /// Makes it if it is not there, starts it if it was not begun, and waits for its end; of one that is detached, only
    /// until it runs.
    pub(super) async fn run_helper(&self, key: &Key, helper: &Helper, detached: bool) -> Result<Done, Error> {
        let mut found = Box::pin(self.begin_helper(key, helper, detached)).await?;
        loop {
            match self.judge(helper, &found, detached).await? {
                Outcome::Done(done) => return Ok(done),
                Outcome::Failed(why) | Outcome::Unknown(why) => return Err(Error::Failed(why)),
                Outcome::NotBegun => return Err(Error::Failed(format!("{} was removed meanwhile", helper.name))),
                Outcome::Running => sleep(LOOK).await,
            }
            found = self.helper_state(helper).await?.unwrap_or_default();
        }
    }

    /// Makes and starts it, unless that was done. A container that has ended would be started again, so of two that
    /// come at once the second looks once the first has started it.
    async fn begin_helper(
        &self,
        key: &Key,
        helper: &Helper,
        detached: bool,
    ) -> Result<ContainerInspectResponse, Error> {
        let starting = self.starting.lock().await;
        let found = match self.helper_state(helper).await? {
            Some(found) => found,
            None => Box::pin(self.make_helper(key, helper)).await?,
        };
        if !is_unbegun(&found) {
            return Ok(found);
        }
        for network in helper.further_networks() {
            self.join(network, &helper.name).await?;
        }
        self.start_helper(&helper.name).await?;
        drop(starting);
        if detached {
            sleep(SETTLES).await;
        }
        Ok(self.helper_state(helper).await?.unwrap_or_default())
    }

    /// What came of it, without beginning it.
    pub(super) async fn helper_outcome(&self, helper: &Helper, detached: bool) -> Result<Outcome, Error> {
        match self.helper_state(helper).await? {
            None => Ok(Outcome::NotBegun),
            Some(found) => self.judge(helper, &found, detached).await,
        }
    }

    /// The container of this name, if there is one, and if it is this helper.
    pub(super) async fn helper_state(&self, helper: &Helper) -> Result<Option<ContainerInspectResponse>, Error> {
        let found = match self.inspect(&helper.name).await {
            Ok(found) => found,
            Err(CallError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(SandboxError::from(error).into()),
        };
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        let label = |name: &str| labels.and_then(|labels| labels.get(name));
        if label(names::INSTALLATION) != Some(&self.installation) || label(names::FAULT) != Some(&helper.mark) {
            return Err(Error::Failed(format!("the name {} is taken by a container that is not ours", helper.name)));
        }
        Ok(Some(found))
    }

    async fn make_helper(&self, key: &Key, helper: &Helper) -> Result<ContainerInspectResponse, Error> {
        let brought = if let Some(image) = helper.foreign_image() {
            self.labels_of_image(image).await?
        } else {
            self.image(&self.operator_image).await?;
            HashMap::new()
        };
        let body = helper.body(key, &self.installation, &self.operator_image, self.epoch, &brought);
        let options = CreateContainerOptions { name: Some(helper.name.clone()), ..CreateContainerOptions::default() };
        let made = self.engine.call(SLOW, |docker| async move { docker.create_container(Some(options), body).await });
        match made.await {
            // Somebody made it in this moment.
            Ok(_) | Err(CallError::Conflict(_)) => {}
            Err(error) => return Err(SandboxError::from(error).into()),
        }
        let found = self.helper_state(helper).await?;
        found.ok_or_else(|| Error::Failed(format!("{} was removed as soon as it was made", helper.name)))
    }

    async fn labels_of_image(&self, image: &str) -> Result<HashMap<String, String>, Error> {
        match self.engine.call(QUICK, |docker| async move { docker.inspect_image(image).await }).await {
            Ok(found) => Ok(found.config.and_then(|config| config.labels).unwrap_or_default()),
            Err(CallError::NotFound(_)) => Err(Error::Failed(format!(
                "the image {image} is not on the engine any more, so none of its programs can be run"
            ))),
            Err(error) => Err(SandboxError::from(error).into()),
        }
    }

    async fn start_helper(&self, name: &str) -> Result<(), Error> {
        let options = None::<StartContainerOptions>;
        let call = self.engine.call(SLOW, |docker| async move { docker.start_container(name, options).await });
        match call.await {
            Ok(()) => Ok(()),
            Err(CallError::Other(error @ SandboxError::EngineUnavailable { .. })) => Err(error.into()),
            Err(error) => {
                let why = SandboxError::from(error).to_string();
                Err(Error::Failed(format!("it could not be started: {}", printable::short_line(&why, LONGEST))))
            }
        }
    }

    /// What a helper's state means. One that has run for too long is ended here.
    async fn judge(&self, helper: &Helper, found: &ContainerInspectResponse, detached: bool) -> Result<Outcome, Error> {
        let Some(state) = &found.state else { return Ok(Outcome::NotBegun) };
        match stage(state) {
            Stage::Unbegun => Ok(Outcome::NotBegun),
            Stage::Refused(why) => Ok(Outcome::Failed(format!("it could not be started: {why}"))),
            Stage::Runs if detached => Ok(Outcome::Done(Done::default())),
            Stage::Runs if is_over(state, helper.limit, Timestamp::now()) => {
                self.end_helper(&helper.name).await?;
                let words = self.words(&helper.name).await;
                let limit = helper.limit.as_secs();
                Ok(Outcome::Failed(with(&format!("it did not end within {limit} s, and was ended"), &words)))
            }
            Stage::Runs => Ok(Outcome::Running),
            Stage::Ended { code: 0 } => Ok(Outcome::Done(Done { words: self.words(&helper.name).await })),
            Stage::Ended { code } => {
                let killed = if state.oom_killed == Some(true) { " for want of memory" } else { "" };
                let words = self.words(&helper.name).await;
                // Our own program's sentence is the whole of it.
                match words.strip_prefix("operator: ") {
                    Some(sentence) => Ok(Outcome::Failed(sentence.to_owned())),
                    None => Ok(Outcome::Failed(with(&format!("it ended with exit code {code}{killed}"), &words))),
                }
            }
        }
    }

    async fn words(&self, name: &str) -> String {
        printable::short_line(&self.last_words(name).await, LONGEST)
    }

    async fn end_helper(&self, name: &str) -> Result<(), Error> {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let call = self.engine.call(QUICK, |docker| async move { docker.kill_container(name, Some(options)).await });
        match call.await {
            // It ended by itself, or was removed.
            Ok(()) | Err(CallError::Conflict(_) | CallError::NotFound(_)) => Ok(()),
            Err(error) => Err(SandboxError::from(error).into()),
        }
    }
}

fn with(what: &str, words: &str) -> String {
    if words.is_empty() { what.to_owned() } else { format!("{what}: {words}") }
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// It was made and nobody started it.
    Unbegun,
    /// The engine could not start it.
    Refused(String),
    Runs,
    Ended {
        code: i64,
    },
}

fn stage(state: &ContainerState) -> Stage {
    let error = state.error.as_deref().unwrap_or_default();
    match state.status {
        _ if state.running == Some(true) => Stage::Runs,
        Some(ContainerStateStatusEnum::CREATED) if error.is_empty() => Stage::Unbegun,
        Some(ContainerStateStatusEnum::CREATED) => Stage::Refused(printable::short_line(error, LONGEST)),
        _ => Stage::Ended { code: state.exit_code.unwrap_or(-1) },
    }
}

/// Whether it can be started: it was made, and that is all.
pub(super) fn is_unbegun(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().is_some_and(|state| stage(state) == Stage::Unbegun)
}

fn is_over(state: &ContainerState, limit: Duration, now: Timestamp) -> bool {
    let started: Option<Timestamp> = state.started_at.as_deref().and_then(|at| at.parse().ok());
    // By the engine's clock; one that is behind by some seconds is given these.
    started.is_some_and(|started| now.duration_since(started).unsigned_abs() > limit && now > started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(whole: serde_json::Value) -> ContainerState {
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn how_far_a_helper_came_is_seen_by_its_state() {
        let of = |whole| stage(&state(whole));
        assert_eq!(of(json!({"Status": "created", "Running": false, "ExitCode": 0, "Error": ""})), Stage::Unbegun);
        let refused = json!({"Status": "created", "ExitCode": 127, "Error": "no such\nprogram"});
        assert_eq!(of(refused), Stage::Refused("no such program".into()));
        assert_eq!(of(json!({"Status": "running", "Running": true})), Stage::Runs);
        assert_eq!(of(json!({"Status": "paused", "Running": true, "Paused": true})), Stage::Runs);
        assert_eq!(of(json!({"Status": "exited", "Running": false, "ExitCode": 3})), Stage::Ended { code: 3 });
    }

    #[test]
    fn the_limit_is_counted_from_its_start() {
        let running = state(json!({"Running": true, "StartedAt": "2026-01-01T00:00:00Z"}));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let limit = Duration::from_mins(1);
        assert!(!is_over(&running, limit, at("2026-01-01T00:00:59Z")));
        assert!(is_over(&running, limit, at("2026-01-01T00:01:01Z")));
        assert!(!is_over(&running, limit, at("2025-12-31T23:00:00Z")), "a clock that is behind ends nothing");
    }
}
