//! Sets the walls of an agent's network from outside its container.
//!
//! A helper of its own, on the agent's network namespace, with the one capability that this takes and without the
//! agent's files or processes. It is waited for: no wall, no sandbox. It is made while the agent's container starts,
//! so it hears what to let through on its standard input, and answers there when the walls stand. What the walls let
//! through is asked of the engine each time, for a project that came back has other networks than it went with.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, HostConfigLogConfig, IpamConfig, Network,
};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures::StreamExt as _;
use ipnet::IpNet;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::engine::{QUICK, SLOW};
use super::{DockerProvider, OPERATOR, body, names};
use crate::sandbox::SandboxError;
use crate::sandbox::dial::Aside;
use crate::wall::{DONE, Rules};

/// What the helper may use; it runs for some tens of milliseconds.
const MEMORY: i64 = 64 << 20;
const PIDS: i64 = 32;

/// A container that was made to set walls and does not run yet, and the streams to it.
pub(super) struct Helper {
    id: String,
    streams: AttachContainerResults,
}

impl DockerProvider {
    /// Sets the walls around a running container of ours, paused or not, in place of those that stood there.
    pub(super) async fn enclose(&self, agent: &str) -> Result<(), SandboxError> {
        let found = self.inspect(agent).await?;
        let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        let label = |name| labels.get(name).map(String::as_str).unwrap_or_default();
        // In a box each: this is awaited deep inside of other futures.
        let helper = Box::pin(self.helper(agent, &labels));
        let (helper, networks) = tokio::join!(helper, self.network_details(label(names::PROJECT)));
        let egress: Vec<IpNet> = label(names::EGRESS).split(',').filter_map(|net| net.parse().ok()).collect();
        // Both to their ends, and a helper that is not needed goes at once.
        match (helper, networks) {
            (Ok(helper), Ok(networks)) => Box::pin(self.set(helper, &rules(&networks, &found, &egress))).await,
            (Ok(helper), Err(error)) => {
                self.remove_container(&helper.id).await?;
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Makes what sets the walls of this container, which has these labels and need not run yet.
    pub(super) async fn helper(&self, agent: &str, labels: &HashMap<String, String>) -> Result<Helper, SandboxError> {
        let mut labels = labels.clone();
        let name = names::wall(labels.get(names::SESSION).map_or("unknown", String::as_str), self.epoch);
        // Cleanup finds it; nobody takes it for an agent that stands beside the project.
        labels.retain(|name, _| [names::INSTALLATION, names::SESSION, names::SUBJECT].contains(&name.as_str()));
        labels.insert(names::EPOCH.into(), self.epoch.to_string());
        let body = ContainerCreateBody {
            user: Some("0:0".into()),
            image: Some(self.operator_image.clone()),
            entrypoint: Some(vec![OPERATOR.to_owned()]),
            cmd: Some(vec!["wall".into()]),
            env: Some(Vec::new()),
            healthcheck: Some(body::no_healthcheck()),
            labels: Some(labels),
            attach_stdin: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            host_config: Some(HostConfig {
                network_mode: Some(format!("container:{agent}")),
                cap_add: Some(vec!["NET_ADMIN".into()]),
                ipc_mode: Some("none".into()),
                // Its words are heard as they are said, and the engine clears it away.
                log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
                auto_remove: Some(true),
                ..body::shut_in(MEMORY, PIDS)
            }),
            ..ContainerCreateBody::default()
        };
        let id = Box::pin(self.make(body, &name)).await?;
        let options = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true);
        let attach = self.engine.call(QUICK, |docker| {
            let id = &id;
            async move { docker.attach_container(id, Some(options.build())).await }
        });
        match attach.await {
            Ok(streams) => Ok(Helper { id, streams }),
            Err(error) => {
                self.remove_container(&id).await?;
                Err(error.into())
            }
        }
    }

    /// Runs a helper until the walls stand; that they do not is an error with its words.
    pub(super) async fn set(&self, helper: Helper, rules: &Rules) -> Result<(), SandboxError> {
        let Helper { id, streams } = helper;
        let said = async {
            self.start(&id).await?;
            let heard = Aside::default();
            match timeout(SLOW, converse(streams, rules, &heard)).await {
                Ok(Ok(true)) => Ok(()),
                Ok(Ok(false)) => Err(heard.text()),
                Ok(Err(error)) => Err(format!("{error}; {}", heard.text())),
                Err(_) => Err(format!("nothing was heard for {} s", SLOW.as_secs())),
            }
            .map_err(|words| {
                SandboxError::Refused(format!("the walls around the agent's network could not be set: {words}"))
            })
        };
        let said = said.await;
        if said.is_err() {
            // It may never have run.
            self.remove_container(&id).await?;
        }
        said.inspect(|()| tracing::debug!(?rules, "the walls stand"))
    }
}

/// Says the rules to a helper that runs. Whether it answers that they stand; other words are kept.
async fn converse(streams: AttachContainerResults, rules: &Rules, heard: &Aside) -> std::io::Result<bool> {
    let AttachContainerResults { mut output, mut input } = streams;
    let mut line = serde_json::to_vec(rules)?;
    line.push(b'\n');
    // One that ended at once reads nothing; what it said is heard all the same.
    let written = async { input.write_all(&line).await.and(input.flush().await) }.await;
    while let Some(said) = output.next().await {
        match said.map_err(std::io::Error::other)? {
            LogOutput::StdOut { message } if message.trim_ascii() == DONE.as_bytes() => return Ok(true),
            other => heard.add(&other.into_bytes()),
        }
    }
    written.map(|()| false)
}

/// What the walls let through for a container on these networks.
pub(super) fn rules(networks: &[Network], agent: &ContainerInspectResponse, egress: &[IpNet]) -> Rules {
    let mut rules = Rules { egress: egress.to_vec(), ..Rules::default() };
    let ends = agent.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    for end in ends.into_iter().flat_map(|ends| ends.values()) {
        let said = [&end.gateway, &end.ipv6_gateway].into_iter().flatten();
        rules.gateways.extend(said.filter_map(|address| address.parse::<IpAddr>().ok()));
        let own = [&end.ip_address, &end.global_ipv6_address].into_iter().flatten();
        rules.addresses.extend(own.filter_map(|address| address.parse::<IpAddr>().ok()));
    }
    for config in networks.iter().filter_map(|network| network.ipam.as_ref()?.config.as_ref()).flatten() {
        let Some(subnet) = config.subnet.as_ref().and_then(|subnet| subnet.parse::<IpNet>().ok()) else { continue };
        rules.subnets.push(subnet.trunc());
        rules.gateways.extend(gateways(&subnet, config));
    }
    rules.gateways.sort_unstable();
    rules.gateways.dedup();
    rules.addresses.sort_unstable();
    rules
}

/// The host's addresses in a subnet. An engine lists the one that it was told, and not the one that it took itself:
/// then that is the first of the range that it had to choose from (on some engines the range's own number).
fn gateways(subnet: &IpNet, config: &IpamConfig) -> Vec<IpAddr> {
    // Written with or without the length of the prefix.
    let listed = config.gateway.as_ref().and_then(|gateway| gateway.split('/').next()?.parse().ok());
    if let Some(listed) = listed {
        return vec![listed];
    }
    let range = config.ip_range.as_ref().and_then(|range| range.parse().ok()).unwrap_or(*subnet);
    let first = match range.network() {
        IpAddr::V4(network) => IpAddr::from(std::net::Ipv4Addr::from_bits(network.to_bits().saturating_add(1))),
        IpAddr::V6(network) => IpAddr::from(std::net::Ipv6Addr::from_bits(network.to_bits().saturating_add(1))),
    };
    vec![range.network(), first]
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::{EndpointSettings, Ipam, NetworkSettings};

    fn network(subnet: &str, range: Option<&str>, gateway: Option<&str>) -> Network {
        let config = IpamConfig {
            subnet: Some(subnet.into()),
            ip_range: range.map(Into::into),
            gateway: gateway.map(Into::into),
            auxiliary_addresses: None,
        };
        Network { ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }), ..Network::default() }
    }

    #[test]
    fn a_gateway_that_the_engine_does_not_list_is_closed_all_the_same() {
        let networks = [
            network("10.1.0.0/16", None, Some("10.1.0.254")),
            network("10.2.0.0/16", None, None),
            network("10.3.0.0/16", Some("10.3.5.0/24"), None),
            network("fd00:4::/64", None, Some("fd00:4::1/64")),
        ];
        let end = EndpointSettings {
            gateway: Some("10.2.0.9".into()),
            ip_address: Some("10.2.0.8".into()),
            ..EndpointSettings::default()
        };
        let agent = ContainerInspectResponse {
            network_settings: Some(NetworkSettings {
                networks: Some(HashMap::from([("a".into(), end)])),
                ..NetworkSettings::default()
            }),
            ..ContainerInspectResponse::default()
        };
        let egress = ["10.9.0.0/24", "192.0.2.7/32"].map(|net| net.parse().unwrap());
        let rules = rules(&networks, &agent, &egress);
        let closed = "10.1.0.254 10.2.0.0 10.2.0.1 10.2.0.9 10.3.5.0 10.3.5.1 fd00:4::1";
        assert_eq!(rules.gateways.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), closed);
        assert_eq!(rules.addresses, ["10.2.0.8".parse::<IpAddr>().unwrap()]);
        assert_eq!((rules.subnets.len(), rules.egress.len()), (4, 2));
    }
}
