//! Probes: what the observer looks at inside of a Subject's networks, and how often.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that is looked at, again and again. Exactly one of the kinds `http`, `prometheus`, `tcp`, `redis`,
/// `exec` and `docker`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.http), has(self.prometheus), has(self.tcp), has(self.redis), has(self.exec), has(self.docker)].filter(x, x).size() == 1").message("a probe is exactly one of http, prometheus, tcp, redis, exec and docker"),
    validation = Rule::new("!has(self.docker) || !has(self.targets) || self.targets.size() == 0").message("a docker probe sees every container of the project: it has no targets").field_path(".targets")
)]
pub struct Probe {
    /// Its name in CEL: `probes.NAME`.
    #[x_kube(validation = Rule::new("self.matches('^[a-z][a-zA-Z0-9_]*$')").message("a probe's name is used in CEL: a lower-case letter, then letters, digits and '_'"))]
    #[validate(length(min = 1, max = 63))]
    pub name: String,
    /// Between the beginnings of two rounds. 5s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('1h')").message("interval is a duration between 1s and 1h, such as 5s"))]
    pub interval: Option<Duration>,
    /// For one target. 3s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    #[validate(length(min = 2, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) >= duration('50ms') && duration(self) <= duration('60s')").message("timeout is a duration between 50ms and 60s, such as 3s"))]
    pub timeout: Option<Duration>,
    /// What `{{target}}` stands for, one after the other. Then `probes.NAME` is a map from target to reading; without
    /// targets it is the reading itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[validate(length(max = 64))]
    #[schemars(inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub targets: Vec<String>,
    /// What is kept of the reading's `value`: a name, and a CEL expression over `value`, `status` and `target`. Without
    /// it the whole value is kept, as far as a round's 64 KiB reach.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub select: BTreeMap<String, String>,
    /// A request over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// Metrics of a process, or a query to a Prometheus server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusProbe>,
    /// A connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// Commands to a Redis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisProbe>,
    /// A command in the observer's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecProbe>,
    /// The containers of the project, as the engine sees them. Run by the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<DockerProbe>,
}

/// A request over HTTP. The reading has `status`, and the body as `value`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpProbe {
    /// With `{{target}}` in it, if the probe has targets.
    #[validate(length(min = 8, max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("url begins with http:// or https://"))]
    pub url: String,
    /// `GET` if absent.
    #[serde(default)]
    pub method: HttpMethod,
    /// Headers; values may have `{{target}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub headers: BTreeMap<String, String>,
    /// What is sent; may have `{{target}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(max = 16384))]
    pub body: Option<String>,
    /// How the answer is read.
    #[serde(default, rename = "as")]
    pub read_as: ReadAs,
    /// Whether a certificate that cannot be verified is accepted.
    #[serde(default)]
    pub insecure: bool,
}

/// A method of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET.
    #[default]
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// OPTIONS.
    Options,
}

/// How what came is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadAs {
    /// As JSON; what is none makes the reading fail.
    #[default]
    Json,
    /// As text, invalid UTF-8 replaced.
    Text,
}

/// Metrics in the text format of Prometheus, or a query in `PromQL`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.query) != has(self.metrics)").message("metrics (what is kept of a scrape) or query (PromQL for a server): exactly one of the two"))]
pub struct PrometheusProbe {
    /// The page of metrics, `http://{{target}}:8080/metrics`; with `query` the server, `http://prometheus:9090`.
    #[validate(length(min = 8, max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("url begins with http:// or https://"))]
    pub url: String,
    /// Names of metrics that are kept. `value` is then a map from name to a list of `{labels, value}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 128))]
    #[schemars(inner(length(min = 1, max = 256)))]
    pub metrics: Option<Vec<String>>,
    /// `PromQL`. `value` is then a list of `{labels, value}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[validate(length(min = 1, max = 4096))]
    pub query: Option<String>,
}

/// A connection that is opened and closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpProbe {
    /// `HOST:PORT`, with `{{target}}`.
    #[validate(length(min = 3, max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^.+:([0-9]{1,5}|[{][{]target[}][}])$')").message("address is HOST:PORT"))]
    pub address: String,
}

/// Commands to a Redis; `value` is the list of the answers, `INFO` as a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedisProbe {
    /// `HOST:PORT`, with `{{target}}`.
    #[validate(length(min = 3, max = 300))]
    #[x_kube(validation = Rule::new("self.matches('^.+:([0-9]{1,5}|[{][{]target[}][}])$')").message("address is HOST:PORT"))]
    pub address: String,
    /// Each command with its arguments, such as `[INFO, replication]`.
    #[validate(length(min = 1, max = 16))]
    #[schemars(inner(length(min = 1, max = 64)))]
    pub commands: Vec<Vec<String>>,
}

/// A command in the observer's container, which has the tools of the agent's image. The reading has the exit code as
/// `status`, and the standard output as `value`; another code than 0 is a reading that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecProbe {
    /// Program and arguments, with `{{target}}`.
    #[validate(length(min = 1, max = 64))]
    #[schemars(inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// How the output is read.
    #[serde(default, rename = "as")]
    pub read_as: ReadAs,
}

/// The project's containers: a map from service and number (`node1`, from the second on `node1-2`) to `{name, id, state,
/// health, restarts, exitCode, oomKilled, startedAt, image}`. A container that is gone is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DockerProbe {
    /// Only these services; all if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub services: Vec<String>,
}
