//! From a request to its answer: read, parsed, judged, aimed at the subject's own things, written anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{CONNECTION, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio::time::timeout;

use super::answer;
use super::body::{Body, refused};
use super::call::{self, EngineCall};
use super::engine::{Engine, EngineBody, EngineError, written};
use super::execs::Execs;
use super::inventory::{Container, Inventory};
use super::ledger::Ledger;
use super::limits::Limits;
use super::policy::{Mode, Policy};
use super::refusal::Refusal;
use super::request::{self, Ask, ContainerAsk, parse, wants_body};

/// One of the connections that may stand at once; kept until the connection is done with.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// How many refused attaches a wait may not have heard of yet.
const REFUSED_ATTACHES: usize = 64;

/// A session's gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    /// What the session may do.
    pub(super) policy: Policy,
    /// Its bounds.
    pub(super) limits: Limits,
    /// The engine.
    pub(super) engine: Engine,
    /// The subject's things.
    pub(super) inventory: Arc<Inventory>,
    /// The changes.
    pub(super) ledger: Arc<Ledger>,
    /// The containers to which an attach was refused, as that happens.
    pub(super) refused_attaches: broadcast::Sender<String>,
    execs: Mutex<Execs>,
}

/// What a client has beside its call: a stream to send, a connection to give up.
pub(super) struct Caller {
    /// The rest of the request's body.
    pub(super) body: Incoming,
    /// The connection, if it was offered.
    pub(super) upgrade: Option<OnUpgrade>,
    /// Its place among the connections.
    pub(super) place: Place,
}

impl Gateway {
    /// A gateway to this engine.
    #[must_use]
    pub(super) fn new(policy: Policy, limits: Limits, engine: Engine) -> Arc<Self> {
        let inventory = Arc::new(Inventory::new(engine.clone(), &policy.project, &limits));
        let ledger = Ledger::new(&limits);
        let (refused_attaches, _) = broadcast::channel(REFUSED_ATTACHES);
        Arc::new(Self { policy, limits, engine, inventory, ledger, refused_attaches, execs: Mutex::default() })
    }

    pub(super) fn execs(&self) -> MutexGuard<'_, Execs> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request of the agent.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>, place: Place) -> Response<Body> {
        match self.followed(request, place).await {
            Ok(response) => response,
            Err(refusal) => refused(&refusal),
        }
    }

    async fn followed(self: Arc<Self>, request: Request<Incoming>, place: Place) -> Result<Response<Body>, Refusal> {
        let (ask, caller) = self.intake(request, place).await?;
        match &ask {
            Ask::Container(_, ContainerAsk::Attach(_)) => self.streamed(ask, caller).await,
            Ask::Container(_, ContainerAsk::Wait { .. }) => self.waited(ask, caller).await,
            Ask::Container(..) => self.of_container(ask, caller).await,
            Ask::Create(_) => self.create(ask).await,
            Ask::ExecInspect(id) => self.exec_inspect(id).await,
            Ask::ExecResize(id, size) => self.exec_resize(id, *size).await,
            Ask::ExecStart(_, start) if start.detach => self.exec_start(ask, caller).await,
            Ask::ExecStart(..) => self.streamed(ask, caller).await,
            Ask::NetworkConnect(..) | Ask::NetworkDisconnect { .. } => self.connect(ask).await,
            Ask::VolumeRemove { .. } => self.volume_remove(ask).await,
            _ => self.look(ask).await,
        }
    }

    /// Reads as much of a request as its call needs.
    async fn intake(&self, mut request: Request<Incoming>, place: Place) -> Result<(Ask, Caller), Refusal> {
        let wanted = wants_body(request.method(), request.uri().path());
        let chunked = request.headers().contains_key(TRANSFER_ENCODING);
        // A length beside it is dropped before it comes here. Where both could stand there is one reading only
        // if chunks are refused; an archive's connection is closed after it.
        if chunked && wanted != request::Body::Stream {
            return Err(Refusal::bad("this call takes no Transfer-Encoding: send a Content-Length"));
        }
        if wanted == request::Body::None && !request.body().is_end_stream() {
            return Err(Refusal::bad("this call has no body: leave it out"));
        }
        let offered = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"tcp");
        let upgrade = request.headers().contains_key(CONNECTION) && request.headers().get(UPGRADE).is_some_and(offered);
        let upgrade = upgrade.then(|| hyper::upgrade::on(&mut request));
        let (head, mut body) = request.into_parts();
        let json = if wanted == request::Body::Json { self.read(&mut body).await? } else { bytes::Bytes::new() };
        let ask = parse(&head.method, &head.uri, &json)?;
        Ok((ask, Caller { body, upgrade, place }))
    }

    async fn read(&self, body: &mut Incoming) -> Result<bytes::Bytes, Refusal> {
        let most = self.limits.body_bytes;
        let too_long =
            || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request's body is longer than {most} bytes"));
        if body.size_hint().lower() > most as u64 {
            return Err(too_long());
        }
        match timeout(self.limits.body, Limited::new(body, most).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_long()),
            Ok(Err(error)) => Err(Refusal::bad(format!("the request's body cannot be read: {error}"))),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request's body did not come in time")),
        }
    }

    /// Sends a call and passes the answer on as it comes.
    pub(super) async fn pass(&self, call: &EngineCall, within: Option<Duration>) -> Result<Response<Body>, Refusal> {
        self.send(call, within).await.map(passed)
    }

    pub(super) async fn send(
        &self,
        call: &EngineCall,
        within: Option<Duration>,
    ) -> Result<Response<EngineBody>, Refusal> {
        let sent = async { self.engine.send(written(call)?, within).await };
        sent.await.map_err(|error: EngineError| error.refusal())
    }

    /// Refuses whoever may only look.
    pub(super) fn may_change(&self) -> Result<(), Refusal> {
        match self.policy.mode {
            Mode::Act => Ok(()),
            Mode::Observe => Err(Refusal::forbidden(
                "this session may only look (mode: Observe): nothing can be changed. Find the cause and say in your \
                 conclusion what should be done",
            )),
        }
    }

    /// Refuses what would open a container that gives the host away.
    pub(super) async fn is_open(&self, container: &Container) -> Result<(), Refusal> {
        if self.policy.trust_host_access {
            return Ok(());
        }
        let reasons = self.inventory.host_access(&container.id).await.map_err(|error| error.refusal())?;
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Refusal::forbidden(format!(
            "{} can reach its host ({}), so exec, cp, attach and start are closed for it. Look at it with logs, inspect \
             and top; if that is not enough, say in your conclusion that a person has to set policy.trustHostAccess",
            container.name(),
            reasons.join(", ")
        )))
    }

    /// What only looks at something of the subject: aimed at what was known a moment ago, and once more at what
    /// is there now if that is gone.
    pub(super) async fn look_at(
        &self,
        reference: &request::Reference,
        ask: &ContainerAsk,
        within: Option<Duration>,
    ) -> Result<Response<Body>, Refusal> {
        let container = self.inventory.container(reference, false).await?;
        let response = self.send(&call::container(ask, &container.id)?, within).await?;
        if response.status() != StatusCode::NOT_FOUND {
            return Ok(passed(response));
        }
        self.inventory.forget();
        let now = self.inventory.container(reference, true).await?;
        if now.id == container.id {
            return Ok(passed(response));
        }
        self.pass(&call::container(ask, &now.id)?, within).await
    }
}

/// An answer of the engine as the agent gets it.
pub(super) fn passed(response: Response<EngineBody>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let mut passed = Response::new(body.boxed_unsync());
    *passed.status_mut() = head.status;
    *passed.headers_mut() = answer::headers(&head.headers);
    passed
}
