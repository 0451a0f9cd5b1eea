//! Wires everything once: clients, caches, controllers, HTTP, shutdown.
//!
//! The start waits for what is missing (definitions, database) and says so on `/readyz`; a setting
//! that is wrong ends it with one sentence. SIGTERM stops the controllers first, then leaves running
//! sessions where they stand: their rows and containers are there for the next controller.

use std::sync::Arc;
use std::time::Duration;

use crds::{Incident, Subject};
use kube::Client;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::audit::PostgresStore;
use crate::cli::run::RunArgs;
use crate::config::Config;
use crate::context::Context;
use crate::error::chain;
use crate::events::Events;
use crate::http::{self, Readiness};
use crate::incident::validate::Defaults;
use crate::metrics::{Installation, Metrics};
use crate::model::Anthropic;
use crate::model::anthropic::AnthropicOptions;
use crate::sandbox::docker::DockerProvider;
use crate::scope::{Scopes, route};
use crate::session::spend::Spending;
use crate::session::{Engine, sweep};
use crate::status::StatusWriter;

/// Between two looks at something that is missing at the start.
const LOOK: Duration = Duration::from_secs(2);
/// Runs the controller until SIGTERM or SIGINT. An error is a sentence that names what is wrong.
pub async fn run(args: RunArgs) -> Result<(), String> {
    let config = Config::load(args.config.as_deref()).map_err(|error| error.to_string())?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(stop_on_signal(stop.clone())?);
    let readiness = Readiness::default();
    let metrics = Arc::new(Metrics::default());
    readiness.pending("start", "the controller is starting");
    let listener = http::bind("OPERATOR_LISTEN", args.listen).await?;
    tasks.spawn(http::serve(listener, readiness.clone(), metrics.clone(), stop.clone()));

    let started = tokio::select! {
        started = start(&args, config, &readiness, metrics) => Some(started?),
        () = stop.cancelled() => None,
    };
    if let Some(started) = started {
        let store = started.store.clone();
        let audit = http::bind("OPERATOR_AUDIT_LISTEN", args.audit_listen).await?;
        tasks.spawn(http::run(audit, crate::audit::api::router(store.clone()), stop.clone()));
        let context = control(started, &readiness, &stop).await;
        context.engine.abandon().await;
        store.close().await;
    }
    stop.cancel();
    // Follow-streams of the audit API may be open: they are not waited for for ever.
    let ended = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(3), ended).await.is_err() {
        tracing::debug!("some connections were still open");
    }
    tracing::info!("stopped");
    Ok(())
}

/// Connects to everything, waiting for what is not there yet.
async fn start(
    args: &RunArgs,
    config: Config,
    readiness: &Readiness,
    metrics: Arc<Metrics>,
) -> Result<Started, String> {
    use secrecy::ExposeSecret;
    let store = PostgresStore::connect(args.database_url.expose_secret())
        .map_err(|error| format!("DATABASE_URL: {}", chain(&error)))?;
    let store = Arc::new(store);
    let mut own = crate::redact::passwords_in(args.database_url.expose_secret());
    own.push(args.anthropic_api_key.expose_secret().to_owned());
    let rules = crate::redact::Rules::compile(&config.redaction, &own).map_err(|error| chain(&error))?;
    let options = AnthropicOptions::new(&args.anthropic_base_url, Some(args.anthropic_api_key.clone()));
    let model = Anthropic::new(options).map_err(|error| format!("ANTHROPIC_BASE_URL: {}", chain(&error)))?;
    let client = Client::try_default()
        .await
        .map_err(|error| format!("no Kubernetes cluster: set KUBECONFIG, or run in one: {}", chain(&error)))?;
    wait_for_definitions(&client, readiness).await;
    let database = wait_for_database(&store, readiness).await?;
    let secret = store.installation_secret().await.map_err(|error| chain(&error))?;
    let installation = format!("{}-{database}", args.installation);
    let sandboxes = DockerProvider::connect(&args.docker_host, &installation)
        .map_err(|error| format!("DOCKER_HOST: {}", chain(&error)))?
        .with_operator_image(&args.operator_image)
        .with_engine_socket(&args.engine_socket);
    metrics.installation.get_or_create(&Installation { name: installation.clone() }).set(1);
    tracing::info!(installation, model = args.model, docker = args.docker_host, "connected");

    let scopes = Scopes::new(&client, &args.namespaces());
    let (engine, incidents_changed) = Engine::new(args.max_sessions.into());
    let (subjects_changed, subjects_wanted) = mpsc::unbounded_channel();
    let spending = Spending {
        store: store.clone(),
        per_day: config.budgets.per_day,
        prices: config.prices.clone(),
        metrics: metrics.clone(),
    };
    let context = Context {
        redaction: rules.with(secret),
        spending,
        installation: args.installation.clone(),
        defaults: Defaults { model: args.model.clone(), image: args.agent_image.clone(), config },
        incidents: scopes.incidents(),
        subjects: scopes.subjects(),
        subjects_changed,
        engine,
        audit: store.clone(),
        sandboxes: Arc::new(sandboxes.clone()),
        model: Arc::new(model),
        summary_model: Some(args.summary_model.clone()).filter(|name| !name.is_empty()),
        status: StatusWriter::new(client.clone()),
        events: Events::new(client.clone(), std::env::var("HOSTNAME").ok()),
        metrics,
        client,
    };
    Ok(Started { context: Arc::new(context), scopes, store, docker: sandboxes, incidents_changed, subjects_wanted })
}

/// Everything connected, nothing running yet.
struct Started {
    context: Arc<Context>,
    scopes: Scopes,
    store: Arc<PostgresStore>,
    docker: DockerProvider,
    incidents_changed: UnboundedReceiver<ObjectRef<Incident>>,
    subjects_wanted: UnboundedReceiver<ObjectRef<Subject>>,
}

/// The resources must be defined before they can be watched. Asked of the API server's discovery,
/// which everybody may read.
async fn wait_for_definitions(client: &Client, readiness: &Readiness) {
    const WHAT: &str = "definitions";
    let group = format!("{}/{}", crds::GROUP, crds::VERSION);
    let limit = Duration::from_secs(10);
    loop {
        let why = match tokio::time::timeout(limit, client.list_api_group_resources(&group)).await {
            Ok(Ok(there)) => {
                let missing = |plural: &String| !there.resources.iter().any(|resource| resource.name == *plural);
                let missing: Vec<_> =
                    crds::all().into_iter().map(|crd| crd.spec.names.plural).filter(missing).collect();
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

/// Runs the controllers until `stop`.
async fn control(started: Started, readiness: &Readiness, stop: &CancellationToken) -> Arc<Context> {
    let Started { context, scopes, docker, incidents_changed, subjects_wanted, .. } = started;
    let mut running = JoinSet::new();
    // First of all: a session that is to be gone on with must not be taken for a free place or for a leftover.
    sweep::expect(&context, stop).await;
    let (incidents, subjects) = scopes.run(&context, stop, &mut running);
    running.spawn(route(incidents_changed, incidents, stop.clone()));
    running.spawn(route(subjects_wanted, subjects, stop.clone()));
    running.spawn(sweep::run(context.clone(), stop.clone()));
    // Our containers leave the networks of a project that goes, so that it can go.
    let gone = stop.clone();
    running.spawn(async move {
        tokio::select! {
            () = docker.watch_projects() => {}
            () = gone.cancelled() => {}
        }
    });
    readiness.done("start");
    tracing::info!("ready");
    while running.join_next().await.is_some() {}
    context
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
