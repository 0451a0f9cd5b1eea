//! What the whole loop takes for a scripted incident of 20 commands, beside the sum of its model
//! turns and commands.
//!
//! `bench_loop [IMAGE]` plays the offline model over HTTP, writes the trail to a private Postgres
//! that waits for the disk, and runs the commands in a container of an agent's image; without an
//! engine or the image in a fake sandbox, and says so. Prints one line of JSON.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::NetworkCreateRequest;
use controller::agent::verify::NoInvariants;
use controller::agent::{self, AgentDeps, Budgets, Progress, SandboxSource, Summariser, Wanted};
use controller::audit::testing::TestServer;
use controller::audit::{AuditStore as _, PostgresStore, Recorder};
use controller::model::anthropic::AnthropicOptions;
use controller::model::{Anthropic, Model, ModelError, ModelMessage, ModelRequest, OnEvent};
use controller::redact::Redactor;
use controller::sandbox::docker::{DockerProvider, names};
use controller::sandbox::fake::{FakeProvider, MemoryLedger};
use controller::sandbox::{
    Access, Command, CommandResult, ContainerLimits, Recovered, Sandbox, SandboxError, SandboxProvider, SandboxRequest,
};
use controller::session::SessionId;
use offline_model::{Options, ScriptSet, Server};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[path = "support/session.rs"]
mod session;

type Outcome<T> = Result<T, Box<dyn Error>>;

const COMMANDS: u32 = 20;
/// Each course is played so often, in turns with the others; the middle one counts.
const ROUNDS: usize = 3;
const SMALL: &str = "offline-summary";
/// The output is long enough to be given to the small model.
const SCRIPT: &str = r#"
rules:
  - name: work
    when: {turn: {max: 19}}
    answer: {text: I look., tools: [{name: shell, input: {command: "echo {1..400}", reasoning: to see}}]}
  - name: end
    answer: {tools: [{name: conclude, input: {outcome: resolved, root_cause: c, summary: s, evidence: []}}]}
"#;

#[tokio::main]
async fn main() -> Outcome<()> {
    let image = std::env::args().nth(1).unwrap_or_else(|| "operator-agent:dev".into());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = TestServer::start_durable();
    let database = server.database().await;
    let project = format!("bench-{}", SessionId::new(jiff::Timestamp::now())).to_lowercase();
    let (engine, sandbox) = match Engine::find(&image, &project).await {
        Ok(engine) => (Some(engine), format!("a container of {image}")),
        Err(why) => (None, format!("a fake, because {why}")),
    };
    let rig = Rig {
        store: database.store(),
        provider: engine.as_ref().map_or_else(fake, |engine| Arc::new(engine.provider.clone())),
        project,
        image,
    };
    let measured = Box::pin(rig.measure()).await;
    if let Some(engine) = engine {
        engine.docker.remove_network(&rig.project).await?;
    }
    let mut figures = measured?;
    figures["sandbox"] = sandbox.into();
    figures["commands"] = COMMANDS.into();
    println!("{figures}");
    Ok(())
}

fn fake() -> Arc<dyn SandboxProvider> {
    Arc::new(FakeProvider::new(|_| CommandResult::exited(0, &"1234 ".repeat(300), "")))
}

/// An engine that has the image, and a throwaway network on it.
struct Engine {
    docker: Docker,
    provider: DockerProvider,
}

impl Engine {
    async fn find(image: &str, project: &str) -> Outcome<Self> {
        let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
        let docker = Docker::connect_with_host(&host)?;
        docker.inspect_image(image).await?;
        let provider = DockerProvider::connect(&host, project)?;
        // The second one lets `make down` find what a run that was cut off left.
        let labels = [names::COMPOSE_PROJECT, names::INSTALLATION].map(|label| (label.to_owned(), project.to_owned()));
        let network = NetworkCreateRequest { name: project.into(), labels: Some(labels.into()), ..Default::default() };
        docker.create_network(network).await?;
        Ok(Self { docker, provider })
    }
}

/// How an incident is played.
#[derive(Clone, Copy)]
struct Course {
    /// What a turn takes.
    delay_ms: u64,
    /// What a summary takes, if there are any.
    small_ms: Option<u64>,
    /// Whether the container is made before the clock starts.
    standing: bool,
}

struct Rig {
    store: PostgresStore,
    provider: Arc<dyn SandboxProvider>,
    project: String,
    image: String,
}

impl Rig {
    async fn measure(&self) -> Outcome<Value> {
        const WITH: Course = Course { delay_ms: 0, small_ms: Some(0), standing: true };
        let courses = [
            ("model_300_ms", Course { delay_ms: 300, small_ms: Some(150), standing: false }),
            ("model_300_ms_standing", Course { delay_ms: 300, small_ms: Some(150), standing: true }),
            ("model_at_once", Course { small_ms: None, ..WITH }),
            ("model_at_once_summaries", WITH),
            ("model_at_once_new_container", Course { small_ms: None, standing: false, ..WITH }),
        ];
        // The first ever opens connections and fills caches that the controller has open and full.
        self.session(WITH).await?;
        let mut rounds: [Vec<Value>; 5] = Default::default();
        for _ in 0..ROUNDS {
            for (results, (_, course)) in rounds.iter_mut().zip(courses) {
                results.push(self.session(course).await?);
            }
        }
        let mut figures = json!({"rounds": ROUNDS});
        for (mut results, (name, _)) in rounds.into_iter().zip(courses) {
            results.sort_by(|a, b| a["ratio"].as_f64().unwrap_or(0.0).total_cmp(&b["ratio"].as_f64().unwrap_or(0.0)));
            // The one in the middle, whole, so that its figures belong together.
            figures[name] = results.swap_remove(ROUNDS / 2);
        }
        Ok(figures)
    }

    /// Plays the incident once.
    async fn session(&self, Course { delay_ms, small_ms, standing }: Course) -> Outcome<Value> {
        let summary_delay_ms = small_ms.unwrap_or(0);
        let options = Options { delay_ms: Some(delay_ms), summary_delay_ms, ..Options::default() };
        let server = Server::start(ScriptSet::new().with("bench", SCRIPT)?, options).await?;
        let mut options = AnthropicOptions::new(server.url(), None);
        options.key = Some("none".to_owned().into());
        let small: Arc<dyn Model> = Arc::new(Anthropic::new(options)?);
        let spent = Arc::new(Spent::default());
        let model = Arc::new(TimedModel { inner: small.clone(), spent: spent.clone() });

        let id = SessionId::new(jiff::Timestamp::now());
        let record = self.store.begin_session(&session::new_session(&id, "bench")).await?;
        let store = Arc::new(self.store.clone());
        let request = SandboxRequest {
            session: id.clone(),
            subject: "bench/bench".into(),
            project: self.project.clone(),
            image: self.image.clone(),
            limits: ContainerLimits::default(),
            access: Access::default(),
            egress: Vec::new(),
            wall_limit: Duration::from_mins(10),
        };
        let mut source = Source { provider: self.provider.clone(), request, spent: spent.clone(), standing: None };
        if standing {
            source.standing = Some(source.open(Wanted::Standing).await?);
        }
        let (progress, seen) = watch::channel(Progress::default());
        let deps = AgentDeps {
            recorder: Arc::new(Recorder::new(store.clone(), &record, CancellationToken::new())),
            model,
            summariser: small_ms.map(|_| Summariser { model: small, name: SMALL.into(), store }),
            sandbox: Arc::new(source),
            redactor: Redactor::for_readers().clone(),
            progress,
            orders: controller::agent::orders::none(),
            verifier: Arc::new(NoInvariants),
        };
        let begun = Instant::now();
        let end = agent::run(deps, session::input(&id, "bench", Budgets::default()), CancellationToken::new()).await;
        let wall = begun.elapsed();
        let summaries = server.requests().iter().filter(|request| request.body["model"] == SMALL).count();
        self.provider.remove(&id).await?;
        server.shutdown().await;

        let progress = seen.borrow().clone();
        if end.phase() != "Concluded" || progress.commands != i64::from(COMMANDS) {
            return Err(format!("the session did not play as written: {end:?}").into());
        }
        let [turns, commands, open] = [&spent.turns, &spent.commands, &spent.open].map(read);
        let overhead = wall.saturating_sub(turns + commands);
        Ok(json!({
            "wall_ms": millis(wall),
            "turns": progress.turns,
            "summaries": summaries,
            "turns_ms": millis(turns),
            "commands_ms": millis(commands),
            "container_ms": millis(open),
            "ratio": (wall.as_secs_f64() / (turns + commands).as_secs_f64() * 1000.0).round() / 1000.0,
            "overhead_per_command_ms": millis(overhead / COMMANDS),
        }))
    }
}

/// What the session cannot help, in microseconds.
#[derive(Default)]
struct Spent {
    turns: AtomicU64,
    commands: AtomicU64,
    open: AtomicU64,
}

fn add(sum: &AtomicU64, time: Duration) {
    sum.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn read(sum: &AtomicU64) -> Duration {
    Duration::from_micros(sum.load(Ordering::Relaxed))
}

struct TimedModel {
    inner: Arc<dyn Model>,
    spent: Arc<Spent>,
}

#[async_trait]
impl Model for TimedModel {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_event: OnEvent<'_>,
        cancel: &CancellationToken,
    ) -> Result<ModelMessage, ModelError> {
        let begun = Instant::now();
        let message = self.inner.complete(request, on_event, cancel).await;
        add(&self.spent.turns, begun.elapsed());
        message
    }
}

struct Source {
    provider: Arc<dyn SandboxProvider>,
    request: SandboxRequest,
    spent: Arc<Spent>,
    standing: Option<Arc<dyn Sandbox>>,
}

#[async_trait]
impl SandboxSource for Source {
    async fn open(&self, _: Wanted) -> Result<Arc<dyn Sandbox>, SandboxError> {
        if let Some(standing) = &self.standing {
            return Ok(standing.clone());
        }
        let begun = Instant::now();
        let plan = self.provider.preflight(&self.request).await?;
        let inner = self.provider.create(&plan, MemoryLedger::new()).await?;
        add(&self.spent.open, begun.elapsed());
        Ok(Arc::new(TimedSandbox { inner, spent: self.spent.clone() }))
    }
}

struct TimedSandbox {
    inner: Arc<dyn Sandbox>,
    spent: Arc<Spent>,
}

#[async_trait]
impl Sandbox for TimedSandbox {
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// The process alone counts as the command's; the way to it is the loop's.
    async fn run(&self, command: &Command) -> Result<CommandResult, SandboxError> {
        let result = self.inner.run(command).await;
        if let Ok(result) = &result {
            add(&self.spent.commands, result.duration);
        }
        result
    }

    async fn recover(&self, command: &Command) -> Result<Recovered, SandboxError> {
        self.inner.recover(command).await
    }

    async fn kill(&self, seq: i64) -> Result<(), SandboxError> {
        self.inner.kill(seq).await
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
