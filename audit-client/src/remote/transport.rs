//! The way to the audit API: a TCP connection, or a stream through the API server.

use std::fmt;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::client::UpgradeConnectionError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::error::chain;

/// Labels of the pods that serve the audit API.
pub const LABELS: &str = "app.kubernetes.io/name=operator,app.kubernetes.io/component=controller";
/// The port of the audit API on the pod's loopback.
pub const PORT: u16 = 8081;

/// How long opening a way may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// Why there is no way to the audit API.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one that can be used.
    #[error("{0}")]
    Url(String),
    /// The API server, or the address, cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// Rights are missing.
    #[error("{0}")]
    Forbidden(String),
    /// There is no pod of Operator to talk to.
    #[error("{0}")]
    NoPod(String),
}

impl ConnectError {
    /// Whether it may pass by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NoPod(_))
    }
}

/// The way to the audit API.
#[derive(Clone)]
pub enum Transport {
    /// Straight to an address.
    Direct {
        /// Host and port.
        authority: String,
    },
    /// Through the API server, into the controller's pod.
    PortForward {
        /// Access to the API server.
        client: kube::Client,
        /// Where the controller runs.
        namespace: String,
    },
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { authority } => write!(f, "Direct({authority})"),
            Self::PortForward { namespace, .. } => write!(f, "PortForward({namespace})"),
        }
    }
}

/// A stream in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open way.
pub(super) struct Way {
    pub(super) stream: Box<dyn Duplex>,
    /// What the kubelet says when the stream fails; a refused port otherwise looks like a silent end.
    pub(super) trouble: Trouble,
}

/// Resolves with the kubelet's words, if it has any.
pub(super) type Trouble = Shared<BoxFuture<'static, Option<String>>>;

impl Transport {
    /// Straight to `url`, which is `http://HOST:PORT`.
    ///
    /// # Errors
    /// [`ConnectError::Url`].
    pub fn direct(url: &str) -> Result<Self, ConnectError> {
        let wrong = || ConnectError::Url(format!("{url:?} is not the audit API's URL: expected http://HOST:PORT"));
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        let authority = uri.authority().filter(|a| plain && !a.host().is_empty() && !a.as_str().contains('@'));
        let authority = authority.ok_or_else(wrong)?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self::Direct { authority: format!("{}:{port}", authority.host()) })
    }

    /// `pod` chooses among the pods of the controller, should there be several.
    pub(super) async fn open(&self, pod: usize) -> Result<Way, ConnectError> {
        let opening = async {
            match self {
                Self::Direct { authority } => direct(authority).await,
                Self::PortForward { client, namespace } => forward(client, namespace, pod).await,
            }
        };
        let late =
            |_| Err(ConnectError::Unreachable(format!("no connection to the audit API within {CONNECT_LIMIT:?}")));
        tokio::time::timeout(CONNECT_LIMIT, opening).await.unwrap_or_else(late)
    }
}

async fn direct(authority: &str) -> Result<Way, ConnectError> {
    let stream = TcpStream::connect(authority).await.map_err(|error| {
        ConnectError::Unreachable(format!("the audit API at {authority} cannot be reached: {error}"))
    })?;
    // Without it a request waits for the peer's delayed acknowledgement. A refusal costs only that.
    let _ = stream.set_nodelay(true);
    Ok(Way { stream: Box::new(stream), trouble: std::future::ready(None).boxed().shared() })
}

async fn forward(client: &kube::Client, namespace: &str, pod: usize) -> Result<Way, ConnectError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = pods
        .list(&ListParams::default().labels(LABELS))
        .await
        .map_err(|error| explain(&error, "list pods", namespace))?;
    let total = listed.items.len();
    let mut running: Vec<Pod> = listed.items.into_iter().filter(is_running).collect();
    running.sort_by_key(|pod| (!is_ready(pod), pod.metadata.name.clone()));
    let chosen = pod.checked_rem(running.len()).unwrap_or(0);
    let Some(name) = running.into_iter().nth(chosen).and_then(|pod| pod.metadata.name) else {
        return Err(ConnectError::NoPod(if total == 0 {
            format!(
                "no pod of Operator in the namespace {namespace:?} (labels {LABELS}): is it installed there? (--operator-namespace)"
            )
        } else {
            format!(
                "none of the {total} pods of Operator in the namespace {namespace:?} runs: kubectl -n {namespace} get pods"
            )
        }));
    };
    let mut forwarder = pods
        .portforward(&name, &[PORT])
        .await
        .map_err(|error| explain(&error, "port-forward to pods (create and get on pods/portforward)", namespace))?;
    let gone = || ConnectError::Unreachable(format!("the port-forward to the pod {name} has no stream"));
    let stream = forwarder.take_stream(PORT).ok_or_else(gone)?;
    let trouble = forwarder.take_error(PORT).ok_or_else(gone)?;
    // The forwarder's task goes on by itself until the stream ends.
    Ok(Way { stream: Box::new(stream), trouble: trouble.boxed().shared() })
}

fn is_running(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What an error of the API server means to who wants to read.
fn explain(error: &kube::Error, what: &str, namespace: &str) -> ConnectError {
    let code = match error {
        kube::Error::Api(status) => Some(status.code),
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(status)) => Some(status.as_u16()),
        _ => None,
    };
    match code {
        Some(401) => ConnectError::Forbidden(format!("the API server does not know you (401): {error}")),
        Some(403) => ConnectError::Forbidden(format!(
            "you may not {what} in the namespace {namespace:?}. Who may read every session needs that right; \
             everybody else finds the course of an Incident in its status (kubectl describe incident)"
        )),
        Some(_) => ConnectError::Unreachable(format!(
            "the API server refused to {what} in the namespace {namespace:?}: {error}"
        )),
        None => ConnectError::Unreachable(format!("the API server cannot be reached: {}", chain(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls() {
        for (url, authority) in
            [("http://localhost:8081", "localhost:8081"), ("http://[::1]:9/", "[::1]:9"), ("http://a", "a:80")]
        {
            match Transport::direct(url) {
                Ok(Transport::Direct { authority: found }) => assert_eq!(found, authority),
                other => panic!("{url}: {other:?}"),
            }
        }
        for url in ["localhost:8081", "https://a", "http://", "http://u:p@a", "http://a/x", "http://a/?q", ""] {
            assert!(Transport::direct(url).is_err(), "{url}");
        }
    }
}
