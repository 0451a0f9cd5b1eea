//! Sets the walls of an agent's network from outside its container.
//!
//! A helper of its own, on the agent's network namespace, with the one capability that this takes and without the
//! agent's files or processes. It is waited for: no wall, no sandbox. What the walls let through is asked of the
//! engine each time, for a project that came back has other networks than it went with.

use std::net::IpAddr;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HealthConfig, HostConfig, HostConfigLogConfig, IpamConfig, Network,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, StartContainerOptions, WaitContainerOptions,
};
use futures::StreamExt as _;
use ipnet::IpNet;

use super::engine::{CallError, QUICK, SLOW};
use super::{DockerProvider, OPERATOR, names};
use crate::sandbox::SandboxError;
use crate::wall::Rules;

/// What the helper may use; it runs for some tens of milliseconds.
const MEMORY: i64 = 64 << 20;
const PIDS: i64 = 32;

impl DockerProvider {
    /// Sets the walls around a running container of ours, paused or not, in place of those that stood there.
    pub(super) async fn enclose(&self, agent: &str) -> Result<(), SandboxError> {
        let inspect = self.engine.call(QUICK, |docker| async move {
            docker.inspect_container(agent, None::<InspectContainerOptions>).await
        });
        let (found, image) = tokio::join!(inspect, self.image(&self.operator_image));
        let (found, image) = (found?, image?);
        let label = |name| found.config.as_ref().and_then(|config| config.labels.as_ref()?.get(name)).cloned();
        let project = label(names::PROJECT).unwrap_or_default();
        let networks = self.network_details(&project).await?;
        let rules = rules(&networks, &found, &label(names::EGRESS).unwrap_or_default());
        let helper = self.helper(&found, agent, image, &rules).await?;
        let set = self.run_helper(&helper).await;
        let removed = self.remove_container(&helper).await;
        set?;
        tracing::debug!(agent, ?rules, "the walls stand");
        removed
    }

    async fn helper(
        &self,
        agent: &ContainerInspectResponse,
        id: &str,
        image: String,
        rules: &Rules,
    ) -> Result<String, SandboxError> {
        let rules = serde_json::to_string(rules)
            .map_err(|error| SandboxError::Refused(format!("the walls cannot be written down: {error}")))?;
        let mut labels = agent.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        let name = names::wall(labels.get(names::SESSION).map_or("unknown", String::as_str), self.epoch);
        // Cleanup finds it; nobody takes it for an agent that stands beside the project.
        labels.retain(|name, _| [names::INSTALLATION, names::SESSION, names::SUBJECT].contains(&name.as_str()));
        labels.insert(names::EPOCH.into(), self.epoch.to_string());
        let body = ContainerCreateBody {
            user: Some("0:0".into()),
            image: Some(image),
            entrypoint: Some(vec![OPERATOR.to_owned()]),
            cmd: Some(vec!["wall".into(), "--rules".into(), rules]),
            env: Some(Vec::new()),
            healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() }),
            labels: Some(labels),
            host_config: Some(HostConfig {
                network_mode: Some(format!("container:{id}")),
                cap_drop: Some(vec!["ALL".into()]),
                cap_add: Some(vec!["NET_ADMIN".into()]),
                security_opt: Some(vec!["no-new-privileges".into()]),
                readonly_rootfs: Some(true),
                ipc_mode: Some("none".into()),
                memory: Some(MEMORY),
                memory_swap: Some(MEMORY),
                pids_limit: Some(PIDS),
                log_config: Some(HostConfigLogConfig { typ: Some("local".into()), config: None }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let made =
            self.engine.call(SLOW, |docker| async move { docker.create_container(Some(options), body).await }).await?;
        Ok(made.id)
    }

    /// Runs the helper to its end; an end other than success is an error with its words.
    async fn run_helper(&self, helper: &str) -> Result<(), SandboxError> {
        let start = self
            .engine
            .call(SLOW, |docker| async move { docker.start_container(helper, None::<StartContainerOptions>).await });
        start.await?;
        let wait = self.engine.call(SLOW, |docker| async move {
            match docker.wait_container(helper, None::<WaitContainerOptions>).next().await {
                Some(Ok(_)) => Ok(0),
                // This client takes any other code for an error.
                Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
                Some(Err(error)) => Err(error),
                None => Ok(-1),
            }
        });
        match wait.await {
            Ok(0) => Ok(()),
            Ok(code) => {
                let words = self.last_words(helper).await;
                Err(SandboxError::Refused(format!(
                    "the walls around the agent's network could not be set (exit code {code}): {words}"
                )))
            }
            Err(CallError::Other(error)) => Err(error),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the walls let through for a container on these networks.
fn rules(networks: &[Network], agent: &ContainerInspectResponse, egress: &str) -> Rules {
    let mut rules =
        Rules { egress: egress.split(',').filter_map(|net| net.parse().ok()).collect(), ..Rules::default() };
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
    use std::collections::HashMap;

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
        let rules = rules(&networks, &agent, "10.9.0.0/24,192.0.2.7/32");
        let closed = "10.1.0.254 10.2.0.0 10.2.0.1 10.2.0.9 10.3.5.0 10.3.5.1 fd00:4::1";
        assert_eq!(rules.gateways.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), closed);
        assert_eq!(rules.addresses, ["10.2.0.8".parse::<IpAddr>().unwrap()]);
        assert_eq!((rules.subnets.len(), rules.egress.len()), (4, 2));
        assert!(super::rules(&[], &agent, "").egress.is_empty());
    }
}
