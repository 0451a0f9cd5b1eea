//! A subject that counts: every command of a session leaves its own token there, so that what really happened can be
//! compared with what is on record.
//!
//! A compose-like project made by labels: one network, one container. It writes the tokens that it is sent (one a
//! line, by TCP) into a file, and keeps the sender waiting as long as a file `/hold-TOKEN` is there: so a test knows
//! that a command is in the middle of its work.

use std::collections::BTreeMap;

use tokio::process::Command;

/// What is in every Debian image, perl included.
const IMAGE: &str = "debian:trixie-slim";

const SERVER: &str = r#"
use IO::Socket::INET; $| = 1; $SIG{CHLD} = 'IGNORE';
my $door = IO::Socket::INET->new(LocalPort => 7000, Listen => 64, ReuseAddr => 1) or die "no port: $!";
open(my $ready, '>', '/ready'); close $ready;
while (1) {
  my $guest = $door->accept or next;
  if (fork) { close $guest; next }
  my ($token) = (scalar <$guest> // '') =~ /^([\w-]+)$/;
  if (defined $token) {
    open(my $log, '>>', '/log'); syswrite $log, "$token\n"; close $log;
    select(undef, undef, undef, 0.03) while -e "/hold-$token";
  }
  syswrite $guest, "noted\n"; exit 0;
}
"#;

/// Runs Docker's client on the machine's own engine; a failure is the test's.
///
/// # Panics
/// When it fails.
pub async fn docker(arguments: &[&str]) -> String {
    try_docker(arguments).await.unwrap_or_else(|error| panic!("docker {arguments:?}: {error}"))
}

/// Runs Docker's client; what it complains about is the error.
///
/// # Errors
/// When it fails.
pub async fn try_docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).kill_on_drop(true).output().await;
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The subject. Its container and network carry `label`, by which they are removed (see `stage`).
pub struct Counter {
    /// The compose project.
    pub project: String,
}

impl Counter {
    /// Makes it.
    ///
    /// # Panics
    /// When the engine does not.
    pub async fn up(project: &str, label: &str) -> Self {
        let own = format!("com.docker.compose.project={project}");
        let network = format!("{project}_default");
        docker(&["network", "create", "--label", &own, "--label", label, &network]).await;
        let container = format!("{project}-counter-1");
        let service = "com.docker.compose.service=counter";
        let mut run = vec!["run", "--detach", "--init", "--name", &container, "--label", &own, "--label", service];
        run.extend(["--label", label, "--network", &network, "--network-alias", "counter"]);
        run.extend([IMAGE, "perl", "-e", SERVER]);
        docker(&run).await;
        crate::wait_until("the counter listens", std::time::Duration::from_secs(30), || async {
            try_docker(&["exec", &container, "test", "-e", "/ready"]).await.is_ok()
        })
        .await;
        Self { project: project.to_owned() }
    }

    /// Its container's name.
    #[must_use]
    pub fn container(&self) -> String {
        format!("{}-counter-1", self.project)
    }

    /// Whoever says this token waits from now on.
    pub async fn hold(&self, token: &str) {
        docker(&["exec", &self.container(), "touch", &format!("/hold-{token}")]).await;
    }

    /// They go on.
    pub async fn let_go(&self, token: &str) {
        docker(&["exec", &self.container(), "rm", "-f", &format!("/hold-{token}")]).await;
    }

    /// How often each token came.
    pub async fn tokens(&self) -> BTreeMap<String, usize> {
        let log = try_docker(&["exec", &self.container(), "cat", "/log"]).await.unwrap_or_default();
        let mut tokens = BTreeMap::new();
        for token in log.lines() {
            *tokens.entry(token.to_owned()).or_default() += 1;
        }
        tokens
    }
}

/// A script of the offline model: four commands in three turns, each with its own token, and a conclusion. The token
/// begins with the first word of the Incident's title that looks like `row17`. `counter` is the container of the
/// subject.
///
/// * `c1` and `c2` say their tokens, in one turn;
/// * `c3` prints, says its token, prints again;
/// * `c4` changes the subject through the Docker CLI.
///
/// Where the proof does not hold, it looks again and concludes anew: an engine that was stopped brings the subject's
/// container back, but not at once, and whoever looks in between sees that it does not run. Its look may be lost with
/// its own container: it concludes all the same.
#[must_use]
pub fn script(counter: &str) -> String {
    let say =
        |what: &str| format!("exec 3<>/dev/tcp/counter/7000; echo '{what}' >&3; read -r answer <&3; echo $answer");
    let print = |what: &str| format!("for i in $(seq {PRINTED}); do echo {what} $i; done");
    let conclude = serde_json::json!({"name": "conclude", "input": {
        "outcome": "resolved", "root_cause": "There was none.", "summary": "Four commands ran.", "evidence": [1],
    }});
    let look = serde_json::json!({"name": "shell", "input": {"command": "sleep 5; echo looked again",
        "reasoning": "What does not run may be about to start."}});
    let rules = serde_json::json!({
        "description": "Four commands that leave a mark each.",
        "rules": [
            rule("first", 0, &[&say("{{row}}-c1"), &say("{{row}}-c2")]),
            rule("second", 1, &[&format!("{}; {}; {}", print("before"), say("{{row}}-c3"), print("after"))]),
            rule("third", 2, &[&format!("docker exec {counter} sh -c 'echo {{{{row}}}}-c4 >>/log'; echo exec: $?")]),
            {"name": "last", "when": {"turn": 3}, "answer": {"thinking": "That was all.", "tools": [conclude]}},
            {"name": "refuted", "when": {"last_tool": "conclude", "uses": 2}, "answer": {"tools": [look]}},
            {"name": "anew", "when": {"turn": {"min": 4}, "uses": 2}, "answer": {"tools": [conclude]}},
        ],
    });
    rules.to_string()
}

/// How many lines `c3` prints before and after it says its token.
pub const PRINTED: usize = 200;

fn rule(name: &str, turn: usize, commands: &[&str]) -> serde_json::Value {
    let tool = |command: &&str| serde_json::json!({"name": "shell", "input": {"command": command, "reasoning": "The script says so."}});
    let tools: Vec<_> = commands.iter().map(tool).collect();
    serde_json::json!({
        "name": name,
        "when": {"turn": turn, "user": r"(?<row>row\d+)\b"},
        "answer": {"thinking": format!("This is turn {turn}."), "text": "I look.", "tools": tools},
    })
}
