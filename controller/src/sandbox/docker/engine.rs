//! The engine's API: where it is, how long it may take, and what its errors mean.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::ContainerState;
use bollard::query_parameters::InspectContainerOptions;
use bollard::{ClientVersion, Docker};

use crate::leader::Leadership;
use crate::sandbox::SandboxError;
use crate::sandbox::dial::Condition;

/// For a call that answers at once, or not.
pub(super) const QUICK: Duration = Duration::from_secs(10);
/// For a call that makes or removes something.
pub(super) const SLOW: Duration = Duration::from_mins(1);

/// The oldest engine that is supported speaks this version, and newer ones still do.
const VERSION: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

/// A way to the engine. Clones share it.
#[derive(Clone)]
pub(super) struct Engine {
    host: Arc<str>,
    client: Arc<Mutex<Option<Docker>>>,
    leadership: Option<Leadership>,
}

impl Engine {
    /// Reads the address; nothing is opened before the first call, for the engine may come later.
    pub(super) fn new(host: &str) -> Result<Self, SandboxError> {
        let host = match host {
            "" => "unix:///var/run/docker.sock".to_owned(),
            path if path.starts_with('/') => format!("unix://{path}"),
            host if ["unix:///", "tcp://", "http://"].iter().any(|scheme| host.starts_with(scheme)) => host.to_owned(),
            other => {
                return Err(SandboxError::Refused(format!(
                    "DOCKER_HOST {other:?} is neither unix:///PATH nor tcp://HOST:PORT"
                )));
            }
        };
        Ok(Self { host: host.into(), client: Arc::default(), leadership: None })
    }

    /// The same way, open only for as long as this process leads.
    pub(super) fn led_by(self, leadership: &Leadership) -> Self {
        Self { leadership: Some(leadership.clone()), ..self }
    }

    /// The engine knows no epochs, so a controller that does not lead any more sends it nothing at all:
    /// one that stood still may not know yet that it was followed. It is told that the engine is away,
    /// which no session takes for its end.
    pub(super) fn leading(&self) -> Result<(), SandboxError> {
        match &self.leadership {
            Some(leadership) => {
                leadership.check().map_err(|error| SandboxError::EngineUnavailable { reason: error.to_string() })
            }
            None => Ok(()),
        }
    }

    /// The client, for a call that is bounded elsewhere and made at once.
    pub(super) fn client(&self) -> Result<Docker, SandboxError> {
        self.leading()?;
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client.as_ref() {
            return Ok(client.clone());
        }
        let made = if self.host.starts_with("unix://") {
            Docker::connect_with_unix(&self.host, SLOW.as_secs(), &VERSION)
        } else {
            Docker::connect_with_http(&self.host, SLOW.as_secs(), &VERSION)
        };
        let made = made.map_err(|error| self.error(&error))?;
        Ok(client.insert(made).clone())
    }

    /// A call, bounded in time.
    pub(super) async fn call<T, F, C>(&self, limit: Duration, call: C) -> Result<T, CallError>
    where
        C: FnOnce(Docker) -> F,
        F: Future<Output = Result<T, Error>>,
    {
        let client = self.client().map_err(CallError::Other)?;
        match tokio::time::timeout(limit, call(client)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Error::DockerResponseServerError { status_code: 404, message })) => {
                Err(CallError::NotFound(message))
            }
            Ok(Err(Error::DockerResponseServerError { status_code: 409, message })) => {
                Err(CallError::Conflict(message))
            }
            Ok(Err(error)) => Err(CallError::Other(self.error(&error))),
            Err(_) => {
                let reason = format!("{} did not answer within {} s", self.host, limit.as_secs());
                Err(CallError::Other(SandboxError::EngineUnavailable { reason }))
            }
        }
    }

    fn error(&self, error: &Error) -> SandboxError {
        match error {
            Error::DockerResponseServerError { message, .. } => SandboxError::Refused(message.clone()),
            Error::DockerStreamError { error } => SandboxError::Refused(error.clone()),
            Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => {
                SandboxError::Refused(format!("its answer was not understood: {error}"))
            }
            error => {
                // The outer text is "client error (Connect)"; the reason is at the bottom.
                let mut deepest: &dyn std::error::Error = error;
                while let Some(source) = deepest.source() {
                    deepest = source;
                }
                SandboxError::EngineUnavailable { reason: format!("{}: {deepest}", self.host) }
            }
        }
    }

    /// What has become of a container.
    pub(super) async fn look(&self, container: &str) -> Condition {
        let inspect = self.call(QUICK, |docker| async move {
            docker.inspect_container(container, None::<InspectContainerOptions>).await
        });
        match inspect.await {
            Ok(found) => condition(&found.state.unwrap_or_default()),
            Err(CallError::NotFound(_)) => Condition::Gone("the container was removed".into()),
            Err(error) => Condition::Unknown(SandboxError::from(error).to_string()),
        }
    }
}

fn condition(state: &ContainerState) -> Condition {
    if state.paused == Some(true) {
        return Condition::Paused;
    }
    if state.running == Some(true) {
        return Condition::Running;
    }
    let mut how = format!("the container ended with exit code {}", state.exit_code.unwrap_or_default());
    if state.oom_killed == Some(true) {
        how += ", and the kernel had killed something in it for want of memory";
    }
    if let Some(error) = state.error.as_ref().filter(|error| !error.is_empty()) {
        how = format!("{how}: {error}");
    }
    Condition::Gone(how)
}

/// An error whose meaning depends on the call.
#[derive(Debug)]
pub(super) enum CallError {
    NotFound(String),
    Conflict(String),
    Other(SandboxError),
}

impl From<CallError> for SandboxError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotFound(message) | CallError::Conflict(message) => Self::Refused(message),
            CallError::Other(error) => error,
        }
    }
}

/// For a call whose aim is that something is not there.
pub(super) fn not_found_is_fine(result: Result<(), CallError>) -> Result<(), SandboxError> {
    match result {
        Err(CallError::NotFound(_)) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_sent_by_one_who_does_not_lead() {
        let leadership = Leadership::for_ever(3);
        // Nobody listens there, and nobody is asked: the calls are answered here.
        let engine = Engine::new("tcp://127.0.0.1:1").unwrap().led_by(&leadership);
        let call = async || engine.call(QUICK, |_| async { Ok(()) }).await.map_err(SandboxError::from);
        assert_eq!(call().await, Ok(()));
        leadership.end();
        let error = call().await.unwrap_err();
        assert!(error.is_transient() && error.to_string().contains("does not lead any more"), "{error}");
        assert!(matches!(engine.look("x").await, Condition::Unknown(_)), "it knows nothing of a container either");
    }
}
