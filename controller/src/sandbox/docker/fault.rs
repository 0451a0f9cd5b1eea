//! What a chapter of a demo does to a project, on a real engine.
//!
//! * `view`: what a project's containers are; `body`: what helpers are, and what they are called;
//! * `helper`: how one runs to its end, once; `state`: what the engine itself does to a container, and what that came to;
//! * `disk`: a file that fills one; `undo`: how all of it is taken back.

use async_trait::async_trait;

use super::{DockerProvider, names};
use crate::fault::job::{self, Job};
use crate::fault::plan::{Command, Place};
use crate::fault::work::TOGETHER;
use crate::fault::{Done, Error, Faults, Key, Outcome, Plan, ProjectView, Resolved, Verb};
use crate::sandbox::SandboxError;
use body::{Helper, Stands};
use helper::JOB_LIMIT;

mod body;
mod disk;
mod helper;
mod state;
mod undo;
mod view;

impl From<SandboxError> for Error {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::EngineUnavailable { reason } | SandboxError::Lost { reason } => Self::Unavailable(reason),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// How a plan is carried out.
enum Way<'a> {
    /// By a call of the engine, to this container.
    Call(&'a Resolved),
    /// By a program inside of this container.
    Inside(&'a Resolved, String, u64),
    /// By a container of its own, made as soon as it is needed.
    Helper(Box<Helper>),
}

impl DockerProvider {
    fn way<'a>(&self, key: &Key, plan: &'a Plan) -> Result<Way<'a>, Error> {
        let mark = key.hash(&self.installation);
        let target = || plan.targets.first().ok_or_else(|| Error::Failed(format!("{} has no target", plan.says)));
        let job = |stands: Stands, job: Job| Way::Helper(Box::new(Helper::job(&mark, stands, &job, JOB_LIMIT)));
        Ok(match &plan.verb {
            Verb::Kill { .. }
            | Verb::Stop
            | Verb::Start
            | Verb::Restart
            | Verb::Pause
            | Verb::Unpause
            | Verb::Throttle { .. } => Way::Call(target()?),
            Verb::Exec(command) | Verb::Run { command, .. } => Way::Helper(Box::new(Helper::command(&mark, command))),
            Verb::Http { request, networks } => {
                let made = Job::Request { request: request.clone() };
                let stands = Stands::On(networks.clone());
                Way::Helper(Box::new(Helper::job(&mark, stands, &made, TOGETHER + JOB_LIMIT)))
            }
            Verb::Partition { from } => {
                let made = Job::Partition { mark: mark.clone(), from: from.clone() };
                job(Stands::In(target()?.id.clone()), made)
            }
            Verb::Heal => job(Stands::In(target()?.id.clone()), Job::Heal),
            Verb::Latency { delay_ms, jitter_ms } => {
                let made = Job::Delay { mark: mark.clone(), delay_ms: *delay_ms, jitter_ms: *jitter_ms };
                job(Stands::In(target()?.id.clone()), made)
            }
            Verb::FillDisk { place: Place::Volume { volume, folder, overrides }, mebibytes } => {
                let file = job::file(&format!("{}/{folder}", job::VOLUME), &mark);
                let stands = Stands::At { volume: volume.clone(), overrides: *overrides };
                job(stands, Job::Fill { file, mebibytes: *mebibytes })
            }
            Verb::FillDisk { place: Place::Inside { folder }, mebibytes } => {
                Way::Inside(target()?, job::file(folder, &mark), *mebibytes)
            }
        })
    }
}

/// Whether it goes on beside what follows.
fn is_detached(plan: &Plan) -> bool {
    matches!(&plan.verb, Verb::Run { detach: true, .. })
}

/// A command that is the same as this, but somewhere else.
fn seated(command: &Command, seat: crate::fault::plan::Seat) -> Command {
    Command { seat, ..command.clone() }
}

#[async_trait]
impl Faults for DockerProvider {
    async fn look(&self, project: &str) -> Result<ProjectView, Error> {
        Ok(self.view_project(project).await?)
    }

    async fn act(&self, key: &Key, plan: &Plan) -> Result<Done, Error> {
        tracing::info!(%key, says = plan.says, "a demo's chapter acts on its subject");
        match self.way(key, plan)? {
            Way::Call(target) => self.do_to(target, &plan.verb).await,
            Way::Inside(target, file, mebibytes) => self.fill_inside(target, &file, mebibytes).await,
            Way::Helper(helper) => {
                if let Stands::At { volume, .. } = &helper.stands {
                    self.may_fill(volume).await?;
                }
                Box::pin(self.run_helper(key, &helper, is_detached(plan))).await
            }
        }
    }

    async fn outcome(&self, key: &Key, plan: &Plan) -> Result<Outcome, Error> {
        match self.way(key, plan)? {
            Way::Call(target) => self.came_of(target, &plan.verb).await,
            // The same file of the same size: writing it again is no harm.
            Way::Inside(..) => Ok(Outcome::NotBegun),
            Way::Helper(helper) => self.helper_outcome(&helper, is_detached(plan)).await,
        }
    }

    async fn undo(&self, key: &Key, plan: &Plan) -> Result<(), Error> {
        let Some(undo) = &plan.undo else { return Ok(()) };
        tracing::info!(%key, says = plan.says, "what a demo's chapter did to its subject is taken back");
        Box::pin(self.take_back(key, plan, undo)).await
    }

    async fn sweep(&self, project: Option<&str>, keep: &[Key]) -> Result<usize, Error> {
        let keep: Vec<String> = keep.iter().map(|key| key.hash(&self.installation)).collect();
        let mut swept = 0;
        for role in [names::Role::Fault, names::Role::Client] {
            let mut labels = vec![(names::INSTALLATION, self.installation.as_str()), (names::ROLE, role.as_str())];
            labels.extend(project.map(|project| (names::PROJECT, project)));
            let found = self.containers(&labels, true).await?;
            self.none_is_later(&found)?;
            for helper in found {
                let mark = helper.labels.as_ref().and_then(|labels| labels.get(names::FAULT));
                if mark.is_none_or(|mark| !keep.contains(mark)) {
                    self.remove_container(helper.id.as_deref().unwrap_or_default()).await?;
                    swept += 1;
                }
            }
        }
        Ok(swept)
    }
}
