//! Wires everything once: clients, caches, controllers, HTTP, leadership, shutdown.
//!
//! The start waits for what is missing (definitions, database) and says so on `/readyz`; a setting
//! that is wrong ends it with one sentence. Then this process stands by: it serves its metrics and the
//! trail, and is ready. What acts (controllers, sweep, sessions) begins once it leads, and ends with
//! that. SIGTERM stops the controllers, leaves running sessions where they stand (their rows and
//! containers are there for the next leader), and only then gives the lease back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::{Incident, Subject};
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alert::desk::Desk;
use crate::alert::http::{Token, Webhooks};
use crate::alert::kubernetes::Cluster;
use crate::audit::proof::Signer;
use crate::audit::{AuditError, PostgresStore};
use crate::cli::run::RunArgs;
use crate::config::Config;
use crate::context::Context;
use crate::demo_chapter::scopes::ChapterScopes;
use crate::demo_chapter::stage::Stage;
use crate::error::chain;
use crate::events::Events;
use crate::halt::{self, Halt};
use crate::http::{self, Readiness};
use crate::incident::places::Places;
use crate::incident::retire;
use crate::incident::validate::Defaults;
use crate::leader::{Held, Leadership, Lease, Loss, Pace, Seen};
use crate::metrics::{Installation, Metrics};
use crate::model::Anthropic;
use crate::model::anthropic::AnthropicOptions;
use crate::monitor;
use crate::notice;
use crate::notice::board::Leaving;
use crate::redact::{self, Redaction};
use crate::sandbox::docker::DockerProvider;
use crate::scope::{Scopes, route};
use crate::session::dispatch::{self, Dispatch};
use crate::session::spend::Spending;
use crate::session::{Engine, sweep};
use crate::status::StatusWriter;
use crate::subject::Looks;

/// Between two looks at something that is missing at the start.
const LOOK: Duration = Duration::from_secs(2);

/// How long an end in good order waits for what is under way: a reconcile may wait for an engine that pulls an
/// image. Less than the grace period of the pod, with what comes after.
const ENDING: Duration = Duration::from_secs(8);

/// Runs the controller until SIGTERM or SIGINT, or until it has lost the lease. An error is a sentence that names
/// what is wrong.
pub async fn run(args: RunArgs) -> Result<(), String> {
    let config = Config::load(args.config.as_deref()).map_err(|error| error.to_string())?;
    let token = args.webhook_token.as_ref().map(Token::new).transpose()?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(stop_on_signal(stop.clone())?);
    let readiness = Readiness::default();
    let metrics = Arc::new(Metrics::default());
    readiness.pending("start", "the controller is starting");
    let listener = http::bind("OPERATOR_LISTEN", args.listen).await?;
    let webhooks = Webhooks::new(token, config.webhooks.generic.clone(), metrics.clone());
    let router = webhooks.router();
    tasks.spawn(http::serve(listener, readiness.clone(), metrics.clone(), router, stop.clone()));

    let (notices, name) = (config.notices.clone(), args.installation.clone());
    tasks.spawn(notice::waiting::run(notices, name, readiness.clone(), metrics.clone(), stop.clone()));

    let connected = tokio::select! {
        connected = connect(&args, config, &readiness, metrics, &stop) => Some(connected?),
        () = stop.cancelled() => None,
    };
    let mut ended = Ok(());
    if let Some(connected) = connected {
        webhooks.open(desk(&args, &connected));
        let store = connected.store.clone();
        let audit = http::bind("OPERATOR_AUDIT_LISTEN", args.audit_listen).await?;
        let watched = monitor::api::router(connected.watched.clone(), connected.redaction.clone());
        let router = crate::audit::api::router_with(Arc::new(store.clone()), watched);
        tasks.spawn(http::run(audit, router, stop.clone()));
        ended = take_a_seat(&args, connected, &readiness, &stop).await;
        store.close().await;
    }
    stop.cancel();
    // Follow-streams of the audit API may be open: they are not waited for for ever.
    let done = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(3), done).await.is_err() {
        tracing::debug!("some connections were still open");
    }
    tracing::info!("stopped");
    ended
}

/// Takes alerts, whether this process leads or stands by.
fn desk(args: &RunArgs, connected: &Connected) -> Desk {
    let Connected { client, redaction, config, metrics, .. } = connected;
    let cluster = Cluster::new(client.clone(), args.namespaces(), args.installation.clone(), redaction.clone());
    Desk::new(Arc::new(cluster), config.tenants.clone(), metrics.clone())
}

/// What both seats need.
struct Connected {
    config: Config,
    metrics: Arc<Metrics>,
    /// Reads; what leads writes.
    store: PostgresStore,
    lease: Lease,
    redaction: Arc<Redaction>,
    /// What is watched: nothing while this process stands by.
    watched: monitor::Registry,
    model: Anthropic,
    client: Client,
    docker: DockerProvider,
    /// Whether the installation is halted.
    halt: watch::Receiver<Option<Halt>>,
}

/// Connects to everything, waiting for what is not there yet.
async fn connect(
    args: &RunArgs,
    config: Config,
    readiness: &Readiness,
    metrics: Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<Connected, String> {
    use secrecy::ExposeSecret;
    let url = args.database_url.expose_secret();
    let wrong = |error: AuditError| format!("DATABASE_URL: {}", chain(&error));
    let store = PostgresStore::connect(url).map_err(wrong)?;
    let store = store.with_signer(Arc::new(Signer::at(args.signing_key.clone())));
    let lease = Lease::new(url, &Lease::holder_name(), Pace::default()).map_err(wrong)?;
    let mut own = redact::passwords_in(url);
    own.push(args.anthropic_api_key.expose_secret().to_owned());
    own.extend(args.webhook_token.iter().map(|token| token.expose_secret().to_owned()));
    let rules = redact::Rules::compile(&config.redaction, &own).map_err(|error| chain(&error))?;
    let options = AnthropicOptions::new(&args.anthropic_base_url, Some(args.anthropic_api_key.clone()));
    let model = Anthropic::new(options).map_err(|error| format!("ANTHROPIC_BASE_URL: {}", chain(&error)))?;
    let client = Client::try_default()
        .await
        .map_err(|error| format!("no Kubernetes cluster: set KUBECONFIG, or run in one: {}", chain(&error)))?;
    wait_for_definitions(&client, readiness, args.demo).await;
    let database = wait_for_database(&store, readiness).await?;
    let secret = store.installation_secret().await.map_err(|error| chain(&error))?;
    let installation = format!("{}-{database}", args.installation);
    let docker = DockerProvider::connect(&args.docker_host, &installation)
        .map_err(|error| format!("DOCKER_HOST: {}", chain(&error)))?
        .with_operator_image(&args.operator_image)
        .with_engine_socket(&args.engine_socket);
    metrics.installation.get_or_create(&Installation { name: installation.clone() }).set(1);
    tracing::info!(installation, model = args.model, docker = args.docker_host, "connected");
    let namespace = args.operator_namespace.as_deref().unwrap_or(client.default_namespace()).to_owned();
    let halt = halt::watch::follow(client.clone(), &namespace, &args.installation, readiness, stop.clone()).await;
    let (redaction, watched) = (Arc::new(rules.with(secret)), monitor::Registry::default());
    Ok(Connected { config, metrics, store, lease, redaction, watched, model, client, docker, halt })
}

/// Stands by until the lease is had, leads until it is lost or `stop`, and gives it back.
async fn take_a_seat(
    args: &RunArgs,
    connected: Connected,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> Result<(), String> {
    readiness.done("start");
    let metrics = connected.metrics.clone();
    let seen = |seen| match seen {
        Seen::Held { holder } => {
            readiness.done("database");
            readiness.seat(&format!("standby: {holder} leads"));
        }
        // One that cannot know whether it should lead is not ready to.
        Seen::Unknown { why } => {
            metrics.lease_errors.inc();
            readiness.pending("database", &format!("it is not known who leads: {why}"));
        }
    };
    let Some(held) = connected.lease.acquire(stop, seen).await else { return Ok(()) };
    let leadership = held.leadership().clone();
    readiness.done("database");
    readiness.pending("resources", "they are being listed");
    readiness.seat(&format!("leader: {} leads in epoch {}", connected.lease.holder(), leadership.epoch()));
    metrics.leader.set(1);
    metrics.lease_epoch.set(leadership.number());

    let (leading, done) = (stop.child_token(), CancellationToken::new());
    let keeper = tokio::spawn(keep(held, leading.clone(), done.clone(), metrics.clone()));
    control(start(args, connected, leadership.clone()), readiness, &leading, &leadership).await;
    // Nothing acts any more. The lease was kept until now, for it did until now.
    done.cancel();
    metrics.leader.set(0);
    metrics.lease_epoch.set(0);
    let (held, loss) = keeper.await.map_err(|error| format!("the lease is lost: its task ended: {error}"))?;
    held.release().await;
    match loss {
        Some(loss) => Err(format!("this controller does not lead any more, and ends to begin anew: {loss}")),
        None => Ok(()),
    }
}

/// Keeps the lease until `done`; whatever else ends this ends the leading.
async fn keep(
    mut held: Held,
    leading: CancellationToken,
    done: CancellationToken,
    metrics: Arc<Metrics>,
) -> (Held, Option<Loss>) {
    let _ended = leading.drop_guard();
    let loss = held
        .keep(&done, |why| {
            metrics.lease_errors.inc();
            tracing::warn!(why, "the lease could not be renewed; trying again");
        })
        .await;
    if let Some(loss) = &loss {
        tracing::error!(%loss, "this controller does not lead any more");
    }
    (held, loss)
}

/// Builds what leads.
fn start(args: &RunArgs, connected: Connected, leadership: Leadership) -> Started {
    let Connected { config, metrics, store, redaction, watched, model, client, docker, halt, .. } = connected;
    let docker = docker.led_by(&leadership);
    let scopes = Scopes::new(&client, &args.namespaces());
    let chapters = args.demo.then(|| ChapterScopes::new(&client, &args.namespaces()));
    let led = Arc::new(store.led_by(&leadership));
    let (engine, incidents_changed) = Engine::new(args.max_sessions.into());
    let (subjects_changed, subjects_wanted) = mpsc::unbounded_channel();
    let instance = std::env::var("HOSTNAME").ok();
    let spending = Spending {
        store: Arc::new(store.led_by(&leadership)),
        per_day: config.budgets.per_day,
        prices: config.prices.clone(),
        metrics: metrics.clone(),
    };
    let context = Context {
        redaction,
        spending,
        installation: args.installation.clone(),
        defaults: Defaults { model: args.model.clone(), image: args.agent_image.clone(), config },
        incidents: scopes.incidents(),
        subjects: scopes.subjects(),
        subjects_changed,
        subjects_seen: Mutex::default(),
        looks: Looks::default(),
        watch: monitor::Watch::new(Arc::new(docker.clone()), watched, metrics.clone()),
        engine,
        dispatch: Dispatch::default(),
        places: Places::default(),
        halt,
        leaving: Leaving::default(),
        audit: led.clone(),
        sandboxes: Arc::new(docker.clone()),
        model: Arc::new(model),
        summary_model: Some(args.summary_model.clone()).filter(|name| !name.is_empty()),
        status: StatusWriter::new(client.clone(), leadership.clone()),
        events: Events::new(client.clone(), instance, leadership.clone()),
        leadership,
        metrics,
        client,
    };
    let context = Arc::new(context);
    let demo = chapters.map(|scopes| {
        let stage = Stage::new(context.clone(), scopes.chapters(), led, Arc::new(docker.clone()));
        Demo { stage: Arc::new(stage), scopes }
    });
    Started { context, scopes, docker, incidents_changed, subjects_wanted, demo }
}

/// What plays demos, where they are on.
struct Demo {
    stage: Arc<Stage>,
    scopes: ChapterScopes,
}

/// Everything built, nothing running yet.
struct Started {
    context: Arc<Context>,
    scopes: Scopes,
    docker: DockerProvider,
    incidents_changed: UnboundedReceiver<ObjectRef<Incident>>,
    subjects_wanted: UnboundedReceiver<ObjectRef<Subject>>,
    demo: Option<Demo>,
}

/// The resources must be defined before they can be watched. Asked of the API server's discovery,
/// which everybody may read. Chapters of demos need not be defined where demos are off.
async fn wait_for_definitions(client: &Client, readiness: &Readiness, demo: bool) {
    const WHAT: &str = "definitions";
    let group = format!("{}/{}", crds::GROUP, crds::VERSION);
    let limit = Duration::from_secs(10);
    let off = <crds::DemoChapter as kube::Resource>::plural(&()).into_owned();
    loop {
        let why = match tokio::time::timeout(limit, client.list_api_group_resources(&group)).await {
            Ok(Ok(there)) => {
                let missing = |plural: &String| !there.resources.iter().any(|resource| resource.name == *plural);
                let needed = crds::all().into_iter().map(|crd| crd.spec.names.plural);
                let missing: Vec<_> = needed.filter(|plural| demo || *plural != off).filter(missing).collect();
                if missing.is_empty() {
                    return readiness.done(WHAT);
                }
                format!("{} of {group} missing: install the chart operator-crds", missing.join(", "))
            }
            Ok(Err(kube::Error::Api(error))) if error.is_not_found() => {
                format!("{group} is not defined: install the chart operator-crds")
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => "the API server does not answer".into(),
        };
        readiness.pending(WHAT, &why);
        tokio::time::sleep(LOOK).await;
    }
}

/// The schema must be this version's; `operator migrate` makes it so, the controller never does.
async fn wait_for_database(store: &PostgresStore, readiness: &Readiness) -> Result<String, String> {
    const WHAT: &str = "database";
    loop {
        let checked = async {
            store.check_schema().await?;
            store.check_key().await?;
            store.installation_id().await
        };
        match checked.await {
            Ok(id) => {
                readiness.done(WHAT);
                return Ok(id);
            }
            // Too new a schema does not go away by waiting, but the migration of this version may come.
            Err(error) => readiness.pending(WHAT, &chain(&error)),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Runs the controllers until `stop`, and then leaves everything where it stands.
async fn control(started: Started, readiness: &Readiness, stop: &CancellationToken, leadership: &Leadership) {
    let Started { context, scopes, docker, incidents_changed, subjects_wanted, demo } = started;
    let mut running = JoinSet::new();
    // First of all: a session that is to be gone on with must not be taken for a free place or for a leftover.
    sweep::expect(&context, stop).await;
    let (incidents, subjects) = scopes.run(&context, stop, &mut running);
    let (of, readiness, until) = (context.clone(), readiness.clone(), stop.clone());
    running.spawn(async move {
        let listed = async { tokio::join!(of.incidents.are_listed(), of.subjects.are_listed()) };
        if until.run_until_cancelled(listed).await.is_some() {
            readiness.done("resources");
        }
    });
    let stage = demo.map(|demo| {
        demo.scopes.run(&demo.stage, stop, &mut running);
        running.spawn(demo.stage.clone().survey(stop.clone()));
        demo.stage
    });
    running.spawn(route(incidents_changed, incidents, stop.clone()));
    running.spawn(route(subjects_wanted, subjects, stop.clone()));
    running.spawn(sweep::run(context.clone(), stop.clone()));
    running.spawn(dispatch::run(context.clone(), stop.clone()));
    running.spawn(retire::run(context.clone(), stop.clone()));
    running.spawn(monitor::survey::run(context.clone(), stop.clone()));
    running.spawn(notice::desk::run(context.clone(), stop.clone()));
    running.spawn(halt::watch::tell(context.clone(), stop.clone()));
    // Our containers leave the networks of a project that goes, so that it can go.
    let gone = stop.clone();
    running.spawn(async move {
        tokio::select! {
            () = docker.watch_projects() => {}
            () = gone.cancelled() => {}
        }
    });
    stop.cancelled().await;
    let ended = async {
        let drained = async { while running.join_next().await.is_some() {} };
        let played = async {
            if let Some(stage) = &stage {
                stage.abandon().await;
            }
        };
        tokio::join!(drained, played, context.engine.abandon());
    };
    // Who lost the lease has nothing to bring to an end: it may do nothing more.
    let patience = if leadership.check().is_ok() { ENDING } else { Duration::ZERO };
    if tokio::time::timeout(patience, ended).await.is_err() {
        tracing::info!("what was under way is left where it stands");
    }
    running.shutdown().await;
    if tokio::time::timeout(ENDING, context.engine.abandon()).await.is_err() {
        tracing::warn!("some sessions do not let go; they can do nothing more");
    }
}

/// Cancels `stop` at SIGTERM or SIGINT.
fn stop_on_signal(stop: CancellationToken) -> Result<impl Future<Output = ()>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| format!("SIGTERM: {error}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| format!("SIGINT: {error}"))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            () = stop.cancelled() => {}
        }
        stop.cancel();
    })
}
