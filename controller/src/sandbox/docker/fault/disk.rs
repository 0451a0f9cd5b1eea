//! A file that fills a disk.
//!
//! On a volume it is written by a helper that has nothing but that volume. In a container's own file system, or in a
//! tmpfs of it, only a program inside of it can write: its image must have `dd` and `rm`, it must run, and the engine's
//! events show that something was run there, as they show a kill.

use super::super::DockerProvider;
use super::super::engine::{CallError, QUICK, SLOW};
use crate::fault::view::State;
use crate::fault::{Done, Error, Resolved};
use crate::printable;
use crate::sandbox::SandboxError;

const ROOT: &str = "0:0";

impl DockerProvider {
    /// That a volume is there, for the engine would make one that is not, and that it is no path of the host in
    /// disguise, for what is the host's is not filled.
    pub(super) async fn may_fill(&self, volume: &str) -> Result<(), Error> {
        if !self.has_volume(volume).await? {
            return Err(Error::Failed(format!("the volume {volume} is not there any more")));
        }
        if self.bound_volumes().await?.contains(volume) {
            return Err(Error::Failed(format!(
                "the volume {volume} is a path of its host, and a host's disk is not filled: choose another folder"
            )));
        }
        Ok(())
    }

    pub(super) async fn has_volume(&self, volume: &str) -> Result<bool, Error> {
        match self.engine.call(QUICK, |docker| async move { docker.inspect_volume(volume).await }).await {
            Ok(_) => Ok(true),
            Err(CallError::NotFound(_)) => Ok(false),
            Err(error) => Err(SandboxError::from(error).into()),
        }
    }

    /// Writes it, or as much of it as there is room for.
    pub(super) async fn fill_inside(&self, target: &Resolved, file: &str, mebibytes: u64) -> Result<Done, Error> {
        let (out, count) = (format!("of={file}"), format!("count={mebibytes}"));
        let command = ["dd", "if=/dev/zero", &out, "bs=1048576", &count];
        let (code, said) = self.run_in(&target.id, ROOT, SLOW, &command).await?;
        match code {
            Some(0) => Ok(Done { words: format!("{mebibytes} MiB written") }),
            Some(_) if said.contains("No space left on device") => Ok(Done { words: "it is full".into() }),
            code => Err(Error::Failed(without(code, &said, "dd", &target.name))),
        }
    }

    /// Removes it.
    pub(super) async fn empty_inside(&self, target: &Resolved, file: &str) -> Result<(), Error> {
        let Some(now) = self.as_it_is(&target.id).await? else { return Ok(()) };
        if now.state != State::Running {
            return Err(Error::Failed(format!(
                "{file} cannot be removed from {}, which does not run: start it first",
                target.name
            )));
        }
        match self.run_in(&target.id, ROOT, SLOW, &["rm", "-f", file]).await? {
            (Some(0), _) => Ok(()),
            (code, said) => Err(Error::Failed(without(code, &said, "rm", &target.name))),
        }
    }
}

fn without(code: Option<i64>, said: &str, program: &str, container: &str) -> String {
    let said = printable::short_line(said, 300);
    if matches!(code, Some(126 | 127)) {
        return format!(
            "the image of {container} has no {program}, so only folders on its volumes can be filled ({said})"
        );
    }
    format!("{program} in {container} ended with exit code {}: {said}", code.unwrap_or(-1))
}
