//! `operator run`: the controller's settings. Each is a flag with the same as an environment
//! variable; what is structured stands in the file that `--config` names.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use crate::sandbox::docker;

/// The official endpoint of the Messages API.
const MESSAGES_API: &str = "https://api.anthropic.com";

/// Arguments of `operator run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// The audit store, as the role that may append and read: `postgres://operator_controller:…@host/operator`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = secret, value_name = "URL")]
    pub database_url: SecretString,

    /// The Docker engine on which subjects and agents run.
    #[arg(long, env = "DOCKER_HOST", default_value = "unix:///var/run/docker.sock", value_name = "URL")]
    pub docker_host: String,

    /// The key of the model's API.
    #[arg(long, env = "ANTHROPIC_API_KEY", hide_env_values = true, value_parser = secret, value_name = "KEY")]
    pub anthropic_api_key: SecretString,

    /// The endpoint of the model's API.
    #[arg(long, env = "ANTHROPIC_BASE_URL", default_value = MESSAGES_API, value_name = "URL")]
    pub anthropic_base_url: String,

    /// The model that works, unless an Incident names another.
    #[arg(long, env = "OPERATOR_MODEL", default_value = "claude-opus-5-5", value_name = "NAME")]
    pub model: String,

    /// The small model that writes summaries; empty for none.
    #[arg(long, env = "OPERATOR_SUMMARY_MODEL", default_value = "claude-haiku-5-5", value_name = "NAME")]
    pub summary_model: String,

    /// The image of the agent's container. It holds this binary as its supervisor.
    #[arg(long, env = "OPERATOR_AGENT_IMAGE", default_value = "operator-agent:dev", value_name = "IMAGE")]
    pub agent_image: String,

    /// This program's own image on the engine: gateways are made from it.
    #[arg(long, env = "OPERATOR_IMAGE", default_value = docker::OPERATOR_IMAGE, value_name = "IMAGE")]
    pub operator_image: String,

    /// The engine's own socket on the engine's host: a gateway gets it.
    #[arg(long, env = "OPERATOR_ENGINE_SOCKET", default_value = docker::ENGINE_SOCKET, value_name = "PATH")]
    pub engine_socket: String,

    /// How many sessions may run at once.
    #[arg(long, env = "OPERATOR_MAX_SESSIONS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
    pub max_sessions: u16,

    /// Namespaces to serve, separated by commas; empty for all.
    #[arg(long, env = "OPERATOR_NAMESPACES", default_value = "", value_name = "LIST")]
    pub namespaces: String,

    /// Where /healthz, /readyz, /metrics and /webhooks listen.
    #[arg(long, env = "OPERATOR_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// The token that webhooks carry (`Authorization: Bearer TOKEN`). Without one there are no webhooks.
    #[arg(long, env = "OPERATOR_WEBHOOK_TOKEN", hide_env_values = true, value_parser = secret, value_name = "TOKEN")]
    pub webhook_token: Option<SecretString>,

    /// Where the audit API listens: on loopback, because it has no authentication of its own.
    #[arg(long, env = "OPERATOR_AUDIT_LISTEN", default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    pub audit_listen: SocketAddr,

    /// This installation's name: objects labelled `operator.dev/installation` with another are left alone.
    #[arg(long, env = "OPERATOR_INSTALLATION", default_value = "operator", value_name = "NAME")]
    pub installation: String,

    /// The key that signs the trail. `operator migrate` makes it.
    #[arg(long, env = "OPERATOR_SIGNING_KEY", value_name = "FILE")]
    pub signing_key: PathBuf,

    /// The namespace of the ConfigMap that halts this installation; the pod's own, or the kubeconfig's, if absent.
    #[arg(long, env = "OPERATOR_NAMESPACE", value_name = "NAMESPACE")]
    pub operator_namespace: Option<String>,

    /// Play demos: carry out the chapters that are entered, faults included. Off, there are no `DemoChapter`s for this
    /// controller.
    #[arg(long, env = "OPERATOR_DEMO", action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true",
          default_value_t = false, value_parser = clap::builder::BoolishValueParser::new(), value_name = "true|false")]
    pub demo: bool,

    /// The configuration file: budgets, prices, agent images, tenants, how long finished Incidents stay.
    #[arg(long, env = "OPERATOR_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

fn secret(text: &str) -> Result<SecretString, String> {
    let text = text.trim();
    if text.is_empty() { Err("it is empty".into()) } else { Ok(text.to_owned().into()) }
}

impl RunArgs {
    /// The namespaces to serve; empty for all.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.namespaces.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}
