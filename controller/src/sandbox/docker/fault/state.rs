//! What the engine itself does to a container, and what that came to: the container's state says it.

use std::time::{Duration, Instant};

use bollard::models::ContainerUpdateBody;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RestartContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use tokio::time::sleep;

use super::super::DockerProvider;
use super::super::engine::{CallError, QUICK, SLOW};
use super::view::view;
use crate::fault::view::{ContainerView, Cpus, State};
use crate::fault::{Done, Error, Outcome, Resolved, Verb};
use crate::sandbox::SandboxError;

/// Between the signal that asks and the one that does not, in seconds: as Docker's client has it.
const GRACE: i32 = 10;
/// A process that was killed has gone by then.
const DIES: Duration = Duration::from_secs(10);

impl DockerProvider {
    /// Does it to the very container that was planned for.
    pub(super) async fn do_to(&self, target: &Resolved, verb: &Verb) -> Result<Done, Error> {
        let now = self.as_it_is(&target.id).await?;
        let Some(now) = now else {
            return Err(Error::Failed(format!(
                "{} is not the container any more that it was planned for: it was removed",
                target.name
            )));
        };
        match verb {
            Verb::Kill { signal } => self.signal(&now, signal).await?,
            Verb::Stop => self.stop_container(&now.id).await?,
            Verb::Start if now.state == State::Stopped => self.start_container(&now.id).await?,
            Verb::Restart => {
                let (id, options) = (&now.id, RestartContainerOptionsBuilder::default().t(GRACE).build());
                let call =
                    self.engine.call(SLOW, |docker| async move { docker.restart_container(id, Some(options)).await });
                call.await.map_err(SandboxError::from)?;
            }
            Verb::Pause if now.state == State::Running => {
                let id = &now.id;
                let call = self.engine.call(QUICK, |docker| async move { docker.pause_container(id).await });
                call.await.map_err(SandboxError::from)?;
            }
            Verb::Pause if now.state == State::Stopped => {
                return Err(Error::Failed(format!("{} does not run any more, so it cannot be paused", now.name)));
            }
            Verb::Unpause if now.state == State::Paused => self.unpause_container(&now.id).await?,
            Verb::Throttle { cpus } => self.share(&now.id, *cpus).await?,
            // It is so already.
            _ => {}
        }
        Ok(Done::default())
    }

    /// A container as it is now; nothing if it was removed.
    pub(super) async fn as_it_is(&self, id: &str) -> Result<Option<ContainerView>, Error> {
        Ok(self.inspected(id).await?.map(|found| view(&found)))
    }

    async fn signal(&self, now: &ContainerView, signal: &str) -> Result<(), Error> {
        if now.state == State::Stopped {
            return if signal == "SIGKILL" {
                Ok(())
            } else {
                Err(Error::Failed(format!("{} does not run any more, so it hears no signal", now.name)))
            };
        }
        let id = &now.id;
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        let call = self.engine.call(QUICK, |docker| async move { docker.kill_container(id, Some(options)).await });
        call.await.map_err(SandboxError::from)?;
        // Whoever looks next is to see what it came to.
        let until = Instant::now() + DIES;
        while signal == "SIGKILL" && Instant::now() < until {
            match self.as_it_is(id).await? {
                Some(after) if after.state != State::Stopped && after.started_at == now.started_at => {
                    sleep(Duration::from_millis(50)).await;
                }
                _ => break,
            }
        }
        Ok(())
    }

    pub(super) async fn stop_container(&self, id: &str) -> Result<(), Error> {
        let options = StopContainerOptionsBuilder::default().t(GRACE).build();
        let call = self.engine.call(SLOW, |docker| async move { docker.stop_container(id, Some(options)).await });
        Ok(call.await.map_err(SandboxError::from)?)
    }

    pub(super) async fn start_container(&self, id: &str) -> Result<(), Error> {
        let options = None::<StartContainerOptions>;
        let call = self.engine.call(SLOW, |docker| async move { docker.start_container(id, options).await });
        Ok(call.await.map_err(SandboxError::from)?)
    }

    pub(super) async fn unpause_container(&self, id: &str) -> Result<(), Error> {
        let call = self.engine.call(QUICK, |docker| async move { docker.unpause_container(id).await });
        Ok(call.await.map_err(SandboxError::from)?)
    }

    /// Sets the share of the processor.
    pub(super) async fn share(&self, id: &str, cpus: Cpus) -> Result<(), Error> {
        let said = |number: i64| (number != 0).then_some(number);
        let body = ContainerUpdateBody {
            nano_cpus: said(cpus.nano),
            cpu_quota: said(cpus.quota),
            cpu_period: said(cpus.period),
            ..ContainerUpdateBody::default()
        };
        let call = self.engine.call(QUICK, |docker| async move { docker.update_container(id, body).await });
        match call.await {
            Ok(()) => Ok(()),
            Err(CallError::NotFound(why)) => Err(Error::Failed(why)),
            Err(error) => Err(SandboxError::from(error).into()),
        }
    }

    /// What came of it, by the state that the container is in now.
    pub(super) async fn came_of(&self, target: &Resolved, verb: &Verb) -> Result<Outcome, Error> {
        let now = self.as_it_is(&target.id).await?;
        Ok(judge(target, verb, now.as_ref()))
    }
}

/// What the state of a container says of what was planned for it when it was in another.
fn judge(target: &Resolved, verb: &Verb, now: Option<&ContainerView>) -> Outcome {
    let done = || Outcome::Done(Done::default());
    let name = &target.name;
    let Some(now) = now else {
        return Outcome::Unknown(format!("{name} was removed meanwhile, so nobody can say whether it had been done"));
    };
    let same_life = now.started_at == target.started_at;
    let again = || Outcome::Unknown(format!("{name} was started again meanwhile: nobody can say by what it had ended"));
    match (verb, now.state) {
        (Verb::Kill { signal }, state) if signal != "SIGKILL" && state != State::Stopped && same_life => {
            Outcome::Unknown(format!("{name} may have been sent {signal} and live on"))
        }
        (Verb::Kill { .. } | Verb::Stop, State::Stopped)
        | (Verb::Start, State::Running | State::Paused)
        | (Verb::Pause, State::Paused)
        | (Verb::Unpause, State::Running | State::Stopped) => done(),
        (Verb::Kill { .. } | Verb::Stop, _) if !same_life => again(),
        // It was started, and ended.
        (Verb::Start | Verb::Restart, _) if !same_life => done(),
        (Verb::Pause, State::Stopped) => Outcome::Failed(format!("{name} does not run any more")),
        (Verb::Throttle { cpus }, _) if is_share(now.cpus, *cpus) => done(),
        // Nothing of it is to be seen, or doing it again comes to the same.
        _ => Outcome::NotBegun,
    }
}

/// Whether a container has this share.
pub(super) fn is_share(has: Cpus, wanted: Cpus) -> bool {
    if wanted.nano != 0 { has.nano == wanted.nano } else { has.quota == wanted.quota }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(state: State, started_at: &str) -> ContainerView {
        ContainerView { id: "i".into(), state, started_at: started_at.into(), ..ContainerView::default() }
    }

    fn came(verb: &Verb, now: Option<&ContainerView>) -> String {
        let target = Resolved {
            service: "web".into(),
            id: "i".into(),
            name: "shop-web-1".into(),
            state: State::Running,
            started_at: "1".into(),
        };
        match judge(&target, verb, now) {
            Outcome::Done(_) => "done".into(),
            Outcome::NotBegun => "not begun".into(),
            Outcome::Running => "running".into(),
            Outcome::Failed(why) => format!("failed: {why}"),
            Outcome::Unknown(why) => format!("unknown: {why}"),
        }
    }

    #[test]
    fn the_state_says_what_came_of_it() {
        let kill = |signal: &str| Verb::Kill { signal: signal.into() };
        let (runs, stopped, paused) = (now(State::Running, "1"), now(State::Stopped, "1"), now(State::Paused, "1"));
        let again = now(State::Running, "2");
        for (verb, state, said) in [
            (kill("SIGKILL"), &runs, "not begun"),
            (kill("SIGKILL"), &stopped, "done"),
            (kill("SIGKILL"), &again, "unknown: shop-web-1 was started again"),
            (kill("SIGHUP"), &runs, "unknown: shop-web-1 may have been sent SIGHUP"),
            (kill("SIGHUP"), &stopped, "done"),
            (Verb::Stop, &runs, "not begun"),
            (Verb::Stop, &stopped, "done"),
            (Verb::Start, &stopped, "not begun"),
            (Verb::Start, &runs, "done"),
            (Verb::Restart, &runs, "not begun"),
            (Verb::Restart, &again, "done"),
            (Verb::Pause, &paused, "done"),
            (Verb::Pause, &runs, "not begun"),
            (Verb::Pause, &stopped, "failed: shop-web-1 does not run"),
            (Verb::Unpause, &paused, "not begun"),
            (Verb::Unpause, &runs, "done"),
        ] {
            let came = came(&verb, Some(state));
            assert!(came.starts_with(said), "{verb:?} {:?}: {came}", state.state);
        }
        assert!(came(&Verb::Stop, None).starts_with("unknown: shop-web-1 was removed"));
    }

    #[test]
    fn a_share_is_seen_by_what_was_set() {
        let wanted = Cpus { quota: 20_000, period: 100_000, ..Cpus::default() };
        let throttled = ContainerView { cpus: wanted, ..now(State::Running, "1") };
        assert_eq!(came(&Verb::Throttle { cpus: wanted }, Some(&throttled)), "done");
        assert_eq!(came(&Verb::Throttle { cpus: wanted }, Some(&now(State::Running, "1"))), "not begun");
        assert!(is_share(Cpus { nano: 5, ..Cpus::default() }, Cpus { nano: 5, ..Cpus::default() }));
    }
}
