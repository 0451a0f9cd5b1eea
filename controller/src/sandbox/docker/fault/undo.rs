//! How what was done is taken back. Each of these finds out first what there is to take back.

use super::super::DockerProvider;
use super::body::{Helper, Stands, undo_name};
use super::helper::{JOB_LIMIT, is_unbegun};
use super::state::is_share;
use super::{Way, seated};
use crate::fault::job::{self, Job};
use crate::fault::plan::{Command, Place, Seat};
use crate::fault::view::{ContainerView, State};
use crate::fault::{Error, Key, Plan, Undo, Verb};

impl DockerProvider {
    pub(super) async fn take_back(&self, key: &Key, plan: &Plan, undo: &Undo) -> Result<(), Error> {
        let mark = key.hash(&self.installation);
        // Nothing of it is to be under way while it is taken back.
        let mut was_begun = true;
        if let Way::Helper(helper) = self.way(key, plan)? {
            if let Some(found) = self.helper_state(&helper).await? {
                was_begun = !is_unbegun(&found);
                self.remove_container(&helper.name).await?;
            }
            if matches!(undo, Undo::Remove) {
                return Ok(());
            }
        }
        if let (Undo::Empty, Verb::FillDisk { place, .. }) = (undo, &plan.verb) {
            return self.empty(key, plan, place, &mark).await;
        }
        let Some(target) = plan.targets.first() else { return Ok(()) };
        // Gone altogether: there is nothing left to give anything back to.
        let Some(now) = self.current(&key.project, target).await? else { return Ok(()) };
        let is_same = now.id == target.id;
        match undo {
            Undo::Start if now.state == State::Stopped => self.start_container(&now.id).await,
            Undo::Stop if now.state == State::Running => self.stop_container(&now.id).await,
            Undo::Unpause if now.state == State::Paused => self.unpause_container(&now.id).await,
            Undo::Command(command) if was_begun => self.run_opposite(key, &mark, command, &now).await,
            // A network namespace goes with its container, and with each of its lives.
            Undo::Rejoin if is_same && now.state != State::Stopped => {
                self.run_once(
                    key,
                    Helper::job(&mark, Stands::In(now.id), &Job::Rejoin { mark: mark.clone() }, JOB_LIMIT),
                )
                .await
            }
            Undo::Hasten if is_same && now.state != State::Stopped => {
                self.run_once(
                    key,
                    Helper::job(&mark, Stands::In(now.id), &Job::Hasten { mark: mark.clone() }, JOB_LIMIT),
                )
                .await
            }
            Undo::Cpus { cpus } => match &plan.verb {
                // One that was made anew has what whoever made it gave it.
                Verb::Throttle { cpus: given } if is_share(now.cpus, *given) => self.share(&now.id, *cpus).await,
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Runs a helper that takes back, anew each time: what it does can be done again.
    async fn run_once(&self, key: &Key, helper: Helper) -> Result<(), Error> {
        let helper = helper.undoing();
        self.remove_container(&helper.name).await?;
        let ran = Box::pin(self.run_helper(key, &helper, false)).await;
        if !matches!(ran, Err(Error::Unavailable(_))) {
            self.remove_container(&helper.name).await?;
        }
        ran.map(|_| ())
    }

    /// Runs a command's opposite: once, unless it failed. The helper stands until it is swept, so that this is known.
    async fn run_opposite(&self, key: &Key, mark: &str, command: &Command, now: &ContainerView) -> Result<(), Error> {
        let seat = if now.state == State::Running && now.own_network {
            Seat::In(now.id.clone())
        } else {
            let networks = self.view_project(&key.project).await?.networks;
            // The project has gone, and all that the command could have changed.
            if networks.is_empty() {
                return Ok(());
            }
            Seat::On(networks)
        };
        let helper = Helper::command(mark, &seated(command, seat)).undoing();
        // It has another name elsewhere: one that ran there has done it.
        let elsewhere = [crate::sandbox::docker::names::client(mark), crate::sandbox::docker::names::fault(mark)];
        for name in elsewhere.map(|name| undo_name(&name)) {
            let stands = helper.clone().called(name);
            let Some(found) = self.helper_state(&stands).await? else { continue };
            let ended_well = found
                .state
                .as_ref()
                .is_some_and(|state| state.running != Some(true) && state.exit_code == Some(0) && !is_unbegun(&found));
            let runs = found.state.as_ref().is_some_and(|state| state.running == Some(true));
            if ended_well {
                return Ok(());
            }
            if runs {
                return Box::pin(self.run_helper(key, &stands, false)).await.map(|_| ());
            }
            self.remove_container(&stands.name).await?;
        }
        Box::pin(self.run_helper(key, &helper, false)).await.map(|_| ())
    }

    async fn empty(&self, key: &Key, plan: &Plan, place: &Place, mark: &str) -> Result<(), Error> {
        match place {
            Place::Volume { volume, folder, overrides } => {
                // A helper would make a volume anew that has gone.
                if !self.has_volume(volume).await? {
                    return Ok(());
                }
                let file = job::file(&format!("{}/{folder}", job::VOLUME), mark);
                let stands = Stands::At { volume: volume.clone(), overrides: *overrides };
                self.run_once(key, Helper::job(mark, stands, &Job::Empty { file }, JOB_LIMIT)).await
            }
            Place::Inside { folder } => match plan.targets.first() {
                Some(target) => self.empty_inside(target, &job::file(folder, mark)).await,
                None => Ok(()),
            },
        }
    }
}
