//! `operator check`: a Subject's invariants, judged once.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use crds::Subject;
use jiff::{SignedDuration, Timestamp};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use super::audit::output::style;
use crate::check::listen::{self, Heard};
use crate::check::manifest::{self, UnknownField};
use crate::check::report::{Report, Verdict};
use crate::check::{Enough, judge, last};
use crate::config::Config;
use crate::error::chain;
use crate::incident::validate::Defaults;
use crate::monitor::observers::Observers;
use crate::monitor::order::Order;
use crate::printable::short_line;
use crate::probe::Round;
use crate::sandbox::docker::{self, DockerProvider};

/// The installation to which a check's observer belongs: no controller looks for it there.
const INSTALLATION: &str = "operator-check";
/// The most rounds that are kept of one look.
const MOST_ROUNDS: usize = 100_000;

/// Judge a Subject's invariants once, against the live system or a recording, and print how they stand.
///
/// The Subject need not be applied, and no cluster is needed: FILE is read, its probes and expressions are compiled as the
/// controller does it, and what is wrong is said with its place. Then each probe is read, from an observer in the Subject's
/// networks that is made for this and removed again. Nothing is opened, and nothing is written to the cluster.
///
/// Exit code: 0 all invariants hold; 1 at least one is violated (also within its grace); 2 the Subject has mistakes, or
/// cannot be looked at; 3 of at least one nobody can say.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The file with the Subject, YAML or JSON; `-` for standard input
    #[arg(value_name = "FILE")]
    subject: PathBuf,
    /// Which Subject, if there are several in the file
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Judge this recording instead of the live system: lines of JSON as `operator observe` and --record write them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["here", "record", "look_for"])]
    input: Option<PathBuf>,
    /// Keep what was read in this file, for --input
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Look from this machine instead of from an observer in the Subject's networks
    #[arg(long)]
    here: bool,
    /// Go on looking for this long, such as 2m, so that graces run out and windows fill. Without it each probe is read
    /// once, and twice where something is watched over time
    #[arg(long = "for", value_name = "DURATION")]
    look_for: Option<SignedDuration>,
    /// How to print it
    #[arg(long, short, default_value = "table", value_name = "FORMAT")]
    output: Format,
    /// The Docker engine on which the system runs
    #[arg(long, env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock", value_name = "URL")]
    docker_host: String,
    /// The image of the observer
    #[arg(long, env = "OPERATOR_AGENT_IMAGE", default_value = "operator-agent:dev", value_name = "IMAGE")]
    agent_image: String,
    /// The image of the helper that shuts the observer in
    #[arg(long, env = "OPERATOR_IMAGE", default_value = docker::OPERATOR_IMAGE, value_name = "IMAGE")]
    operator_image: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Runs it to its end.
pub async fn run(args: CheckArgs) -> ExitCode {
    let checked = async {
        let report = check(&args).await?;
        let text = match args.output {
            Format::Table => report.text(style()),
            Format::Json => format!("{:#}\n", report.json()),
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| format!("standard output: {error}"))?;
        Ok::<_, String>(report.verdict())
    };
    match checked.await {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(message) => {
            eprintln!("operator: {message}");
            ExitCode::from(Verdict::Wrong.exit_code())
        }
    }
}

async fn check(args: &CheckArgs) -> Result<Report, String> {
    let text = read(&args.subject).await?;
    let (subject, unknown) = manifest::read(&text, args.name.as_deref()).map_err(|why| named(&args.subject, &why))?;
    if let Some(file) = &args.input {
        let rounds = listen::recording(&read(file).await?).map_err(|why| named(file, &why))?;
        let at = last(&rounds).unwrap_or_else(Timestamp::now);
        return Ok(report(&subject, &unknown, &rounds, at));
    }
    let rounds = look(args, &subject).await?;
    if let Some(file) = &args.record {
        let lines: String = rounds.iter().map(crate::probe::line).collect();
        tokio::fs::write(file, lines).await.map_err(|error| named(file, &error.to_string()))?;
    }
    Ok(report(&subject, &unknown, &rounds, Timestamp::now()))
}

fn report(subject: &Subject, unknown: &[UnknownField], rounds: &[Round], at: Timestamp) -> Report {
    let (mut judge, mistakes) = judge(subject);
    for round in rounds {
        judge.take(round);
    }
    judge.look(at);
    Report::new(subject, &judge, mistakes, unknown, (rounds.len(), at))
}

/// Looks at the live system.
async fn look(args: &CheckArgs, subject: &Subject) -> Result<Vec<Round>, String> {
    let mistakes = crate::probe::mistakes(&subject.spec.probes);
    if !mistakes.is_empty() {
        // An observer with a wrong probe runs none. What is wrong with them is said by the report.
        return Ok(Vec::new());
    }
    let provider = DockerProvider::connect(&args.docker_host, INSTALLATION).map_err(|error| chain(&error))?;
    let engine: Arc<dyn Observers> = Arc::new(provider.with_operator_image(&args.operator_image));
    let mut subject = subject.clone();
    // One check of a Subject has one observer, which the next check finds if this one is killed.
    let name = subject.metadata.name.clone().unwrap_or_default();
    subject.metadata.uid = Some(format!("check-{name}"));
    subject.metadata.namespace.get_or_insert_with(|| "check".into());
    let defaults = Defaults { model: String::new(), image: args.agent_image.clone(), config: Config::default() };
    let order = Order::new(&Arc::new(subject.clone()), &defaults).map_err(|rejected| rejected.message)?;

    if args.here {
        let (heard, tasks) = listen::here(&subject, &order, &engine)?;
        let rounds = until_enough(args, &subject, heard).await;
        drop(tasks);
        return rounds;
    }
    if order.observer.is_some() {
        say("looking from an observer in the Subject's networks");
    }
    let looked = match ended(listen::inside(&order, engine.clone())).await {
        Ok(Ok((heard, tasks))) => {
            let rounds = ended(until_enough(args, &subject, heard)).await.and_then(|rounds| rounds);
            drop(tasks);
            rounds
        }
        Ok(Err(why)) | Err(why) => Err(why),
    };
    match (looked, listen::leave(&order, &*engine).await) {
        (Ok(rounds), Ok(())) => Ok(rounds),
        (Ok(_), Err(why)) => Err(format!("the observer could not be removed: {why}")),
        (Err(why), _) => Err(why),
    }
}

/// Until it is done, or somebody ends this program: what was made is then still removed.
async fn ended<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return Err("signals cannot be received".into()) };
    tokio::select! {
        done = work => Ok(done),
        _ = terminate.recv() => Err("ended before all was read".into()),
        _ = interrupt.recv() => Err("ended before all was read".into()),
    }
}

/// Listens until enough was heard, or for as long as was asked for.
async fn until_enough(args: &CheckArgs, subject: &Subject, mut heard: Heard) -> Result<Vec<Round>, String> {
    let all = Enough::of(subject);
    let (mut enough, mut rounds, begun) = (all.clone(), Vec::new(), Instant::now());
    let wanted = args.look_for.map(|wanted| Duration::try_from(wanted).unwrap_or_default());
    let mut end = begun + listen::patience(subject, all.rounds).max(wanted.unwrap_or_default());
    while rounds.len() < MOST_ROUNDS {
        match timeout_at(end, heard.recv()).await {
            Ok(Some(Ok(round))) => {
                enough.hear(&round.probe);
                rounds.push(round);
            }
            Ok(Some(Err(why))) => return Err(why),
            Ok(None) => break,
            Err(_) => {
                if !enough.is_there() {
                    say(&format!("not all was read in time: {}", enough.silent().join(", ")));
                }
                break;
            }
        }
        match wanted {
            None if enough.is_there() => break,
            Some(wanted) if enough.has_begun(&all) => end = end.min(begun + wanted),
            _ => {}
        }
    }
    Ok(rounds)
}

async fn read(file: &Path) -> Result<String, String> {
    if file == Path::new("-") {
        let mut text = String::new();
        tokio::io::stdin().read_to_string(&mut text).await.map_err(|error| format!("standard input: {error}"))?;
        return Ok(text);
    }
    tokio::fs::read_to_string(file).await.map_err(|error| named(file, &error.to_string()))
}

fn named(file: &Path, why: &str) -> String {
    format!("{}: {}", file.display(), short_line(why, 2000))
}

fn say(what: &str) {
    eprintln!("operator: {what}");
}
