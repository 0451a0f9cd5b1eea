//! The stream to a supervisor or gateway through the engine's exec.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures::StreamExt as _;
use tokio_util::io::StreamReader;

use super::engine::{Engine, QUICK};
use crate::sandbox::SandboxError;
use crate::sandbox::dial::{Aside, Condition, Dial, Pipe};

/// Reaches the supervisor or the gateway in one container.
pub(super) struct ExecDial {
    pub(super) engine: Engine,
    pub(super) container: String,
    /// What joins standard input and output to the socket there.
    pub(super) command: Vec<String>,
}

impl ExecDial {
    async fn open(&self) -> Result<Pipe, SandboxError> {
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            user: Some("0:0".into()),
            cmd: Some(self.command.clone()),
            ..ExecConfig::default()
        };
        let limit = QUICK + Duration::from_secs(5);
        let made = self.engine.call(limit, |docker| async move { docker.create_exec(&self.container, config).await });
        let id = made.await?.id;
        let options = StartExecOptions { output_capacity: Some(64 << 10), ..StartExecOptions::default() };
        let started = self.engine.call(limit, |docker| async move { docker.start_exec(&id, Some(options)).await });
        let StartExecResults::Attached { output, input } = started.await? else {
            return Err(SandboxError::Refused("the exec stream was not attached".into()));
        };
        let aside = Aside::default();
        let others = aside.clone();
        let bytes = output.filter_map(move |item| {
            let bytes = match item {
                Ok(LogOutput::StdOut { message }) => Some(Ok(message)),
                Ok(other) => {
                    others.add(&other.into_bytes());
                    None
                }
                Err(error) => Some(Err(io::Error::other(error))),
            };
            std::future::ready(bytes)
        });
        Ok(Pipe { read: Box::new(StreamReader::new(bytes)), write: Box::new(input), aside })
    }
}

#[async_trait]
impl Dial for ExecDial {
    async fn dial(&self) -> Result<Pipe, String> {
        self.open().await.map_err(|error| error.to_string())
    }

    async fn look(&self) -> Condition {
        self.engine.look(&self.container).await
    }
}
