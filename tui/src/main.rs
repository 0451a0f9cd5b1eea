//! `operator-tui`: see `operator-tui --help`.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser as _};
use jiff::Timestamp;
use operator_tui::ask::Target;
use operator_tui::cli::{Cli, Command, Options};
use operator_tui::feed::Feed;
use operator_tui::feed::cluster::{self, ClusterFeed};
use operator_tui::feed::record::Recorder;
use operator_tui::feed::replay::ReplayFeed;
use operator_tui::model::Model;
use operator_tui::settings::{DemoSettings, Scope, Settings};
use operator_tui::theme::ThemeName;
use operator_tui::{config, plain, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Completions { shell }) = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "operator-tui", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(start(cli));
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(format!("no runtime: {error}")),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("operator-tui: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn start(cli: Cli) -> Result<u8, String> {
    let options = cli.options;
    let (config, keymap) = config::read(options.config.as_deref()).map_err(|error| error.to_string())?;
    let target = cli.command.as_ref().and_then(Command::target);
    let target = target.unwrap_or_else(|| Target::Incidents { filter: String::new() });

    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let theme = options.theme.or(no_colour.then_some(ThemeName::Mono)).or(config.theme).unwrap_or_default();
    let mut settings = Settings::new(theme, options.ascii || config.ascii || !unicode());
    settings.keymap = keymap;
    settings.user = std::env::var("USER").ok().filter(|user| !user.is_empty());
    settings.read_only = options.read_only || config.read_only;
    settings.demo = DemoSettings { auto: options.auto, pause: options.pause, limit: options.limit };
    let everywhere = options.all_namespaces || (config.all_namespaces && options.namespace.is_none());

    let plain = options.plain;
    if !plain && !std::io::stdout().is_terminal() {
        return Err("this is not a terminal: --plain prints a log instead".to_owned());
    }
    let recorder = options
        .record
        .as_deref()
        .map(|path| Recorder::create(path).map_err(|error| format!("{} cannot be made: {error}", path.display())));
    let recorder = recorder.transpose()?;
    let feed = feed(&options, everywhere, &mut settings).await?;
    let mouse = options.mouse || config.mouse;
    let result = if plain {
        plain::run(settings, &target, feed, recorder).await
    } else {
        let model = Model::new(settings, &target, Timestamp::now());
        run::run(model, feed, recorder, mouse).await
    };
    result.map_err(|error| error.to_string())
}

async fn feed(options: &Options, everywhere: bool, settings: &mut Settings) -> Result<Arc<dyn Feed>, String> {
    if let Some(path) = &options.replay {
        settings.context.push_str("replay");
        settings.replay = true;
        let feed = ReplayFeed::open(path, options.speed).map_err(|error| error.to_string())?;
        return Ok(Arc::new(feed));
    }
    // One provider for every TLS client of the process; an error would mean that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let place = cluster::place(options.kubeconfig.as_deref(), options.context.as_deref()).await?;
    settings.context = place.name;
    let home = options.namespace.clone().unwrap_or_else(|| place.config.default_namespace.clone());
    settings.home = Some(home.clone());
    settings.scope = if everywhere { Scope::All } else { Scope::Namespace(home) };
    let client = kube::Client::try_from(place.config)
        .map_err(|error| format!("the cluster's configuration cannot be used: {}", cluster::chain(&error)))?;
    Ok(Arc::new(ClusterFeed::new(client, settings.scope.clone(), &options.operator_namespace)))
}

/// Whether the locale can show more than ASCII. One that says nothing is trusted to.
fn unicode() -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    said.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
