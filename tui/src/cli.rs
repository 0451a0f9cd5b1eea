//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::ask::{SessionTarget, Target};
use crate::theme::ThemeName;

/// Watch Incidents being solved, live.
#[derive(Debug, Parser)]
#[command(name = "operator-tui", version, max_term_width = 100, args_conflicts_with_subcommands = false)]
pub struct Cli {
    /// The screen to begin with; Incidents if absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Everything else.
    #[command(flatten)]
    pub options: Options,
}

/// What to begin with.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// All Incidents.
    #[command(visible_alias = "inc")]
    Incidents {
        /// What the filter is at first: a regular expression, `!REGEX`, `-l LABELS`, `sev<=warning`.
        #[arg(allow_hyphen_values = true)]
        filter: Vec<String>,
    },
    /// All Subjects, and what is violated.
    #[command(visible_alias = "subj")]
    Subjects,
    /// One session, live or of the past.
    Session {
        /// Its id, as `operator audit list` prints it.
        id: String,
    },
    /// A demo, chapter by chapter.
    Demo {
        /// Its name.
        name: String,
    },
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What holds for all screens.
#[derive(Clone, Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
pub struct Options {
    /// The context of the kubeconfig.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The kubeconfig; KUBECONFIG or ~/.kube/config if absent.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The namespace; that of the context if absent.
    #[arg(short, long, global = true, conflicts_with = "all_namespaces")]
    pub namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, global = true)]
    pub all_namespaces: bool,
    /// Where Operator itself runs: sessions are read through its pod.
    #[arg(long, global = true, value_name = "NAMESPACE", default_value = "operator-system")]
    pub operator_namespace: String,
    /// Play a recording instead of looking at a cluster.
    #[arg(long, global = true, value_name = "FILE", conflicts_with_all = ["context", "kubeconfig", "namespace", "record", "auto"])]
    pub replay: Option<PathBuf>,
    /// How fast a recording plays: 2 is twice as fast, 0 all at once.
    #[arg(long, global = true, value_name = "TIMES", default_value = "1", requires = "replay", value_parser = speed)]
    pub speed: f64,
    /// Write down what comes from the cluster, to be played by --replay. The file must not exist.
    #[arg(long, global = true, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Print a log instead of drawing a screen: for screen readers, pipes and files.
    #[arg(long, global = true)]
    pub plain: bool,
    /// Nothing but ASCII.
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Colours. `NO_COLOR` means mono.
    #[arg(long, global = true)]
    pub theme: Option<ThemeName>,
    /// A demo plays by itself.
    #[arg(long, global = true)]
    pub auto: bool,
    /// Seconds between two chapters of a demo that plays by itself.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub pause: Duration,
    /// Seconds that a demo may take that plays by itself.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
    pub limit: Duration,
    /// Change nothing: what would change something is not offered.
    #[arg(long, global = true)]
    pub read_only: bool,
    /// The wheel scrolls. Selecting text then needs shift in most terminals.
    #[arg(long, global = true)]
    pub mouse: bool,
    /// The configuration file; `operator-tui/config.yaml` in the XDG configuration folder if absent.
    #[arg(long, global = true, value_name = "FILE", env = "OPERATOR_TUI_CONFIG")]
    pub config: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a number of seconds between 0 and 86400");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..=86_400.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

fn speed(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is not a number between 0 and 1000");
    let speed: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..=1000.0).contains(&speed) { Ok(speed) } else { Err(wrong()) }
}

impl Command {
    /// The screen that it means; `None` for what is no screen.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        match self {
            Self::Incidents { filter } => Some(Target::Incidents { filter: filter.join(" ") }),
            Self::Subjects => Some(Target::Subjects),
            Self::Session { id } => Some(Target::Session(SessionTarget::Id(id.clone()))),
            Self::Demo { name } => Some(Target::Demo(name.clone())),
            Self::Completions { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["operator-tui", "demo", "x", "--auto", "--pause", "0.5", "-n", "a"]);
        assert_eq!(cli.options.pause, Duration::from_millis(500));
        assert!(cli.options.auto && matches!(cli.command, Some(Command::Demo { .. })));
        let cli = Cli::parse_from(["operator-tui", "incidents", "-l", "team=store", "-A"]);
        assert!(cli.command.is_some());
        for wrong in [
            &["-n", "a", "-A"][..],
            &["--speed", "2"],
            &["--pause", "-1"],
            &["--replay", "f", "--context", "c"],
            &["--replay", "f", "--auto"],
        ] {
            assert!(Cli::try_parse_from(std::iter::once(&"operator-tui").chain(wrong)).is_err(), "{wrong:?}");
        }
    }
}
