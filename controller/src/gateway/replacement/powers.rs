//! What a replacement may do to its surroundings: no more than what it replaces.

use std::collections::HashMap;

use bollard::models::HostConfig;

use super::Refusal;
use crate::gateway::host_access::effective;

/// Everything of the host's part that can be compared one by one.
pub(super) fn check(asked: &HostConfig, template: &HostConfig) -> Result<(), Refusal> {
    capabilities(asked, template)?;
    protections(asked.security_opt.as_deref(), template.security_opt.as_deref())?;
    ports(asked, template)?;
    subset("--add-host", asked.extra_hosts.as_deref(), template.extra_hosts.as_deref())?;
    subset("--group-add", asked.group_add.as_deref(), template.group_add.as_deref())?;
    subset("--dns", asked.dns.as_deref(), template.dns.as_deref())?;
    subset("--dns-option", asked.dns_options.as_deref(), template.dns_options.as_deref())?;
    subset("--dns-search", asked.dns_search.as_deref(), template.dns_search.as_deref())?;
    subset("--ulimit", asked.ulimits.as_deref(), template.ulimits.as_deref())?;
    let none = HashMap::new();
    let settings = template.sysctls.as_ref().unwrap_or(&none);
    if asked.sysctls.iter().flatten().any(|(name, value)| settings.get(name) != Some(value)) {
        return Err(beyond("--sysctl"));
    }
    if asked.log_config.is_some() && asked.log_config != bare(template) {
        return Err(beyond("--log-driver and --log-opt"));
    }
    Ok(())
}

/// The template's, with an empty map as good as none.
fn bare(template: &HostConfig) -> Option<bollard::models::HostConfigLogConfig> {
    let mut log = template.log_config.clone()?;
    log.config = log.config.filter(|config| !config.is_empty());
    Some(log)
}

/// Not what is added counts, but what there is in the end: to leave out a `--cap-drop` adds, too.
fn capabilities(asked: &HostConfig, template: &HostConfig) -> Result<(), Refusal> {
    let had = effective(template.cap_add.as_deref(), template.cap_drop.as_deref());
    let wanted = effective(asked.cap_add.as_deref(), asked.cap_drop.as_deref());
    let Some(more) = wanted.iter().find(|capability| !had.contains(*capability)) else { return Ok(()) };
    let dropped = template.cap_drop.as_deref().unwrap_or_default().join(",");
    let instead =
        if dropped.is_empty() { "leave out --cap-add".to_owned() } else { format!("use --cap-drop {dropped}") };
    Err(Refusal::forbidden(format!("what is replaced does not have the capability {more}: {instead}")))
}

fn protections(asked: Option<&[String]>, template: Option<&[String]>) -> Result<(), Refusal> {
    let bare = |option: &String| option.replacen(':', "=", 1);
    let is_closed = |option: &str| matches!(option, "no-new-privileges" | "no-new-privileges=true");
    let asked: Vec<String> = asked.into_iter().flatten().map(bare).collect();
    let had: Vec<String> = template.into_iter().flatten().map(bare).collect();
    if let Some(more) = asked.iter().find(|option| !is_closed(option) && !had.contains(option)) {
        let shown: String = more.chars().take(100).collect();
        return Err(Refusal::forbidden(format!(
            "what is replaced does not have the option {shown:?}: leave out --security-opt"
        )));
    }
    // What restricts the template must restrict its replacement, too.
    let kept = |option: &String| {
        option.ends_with("=unconfined")
            || matches!(option.as_str(), "label=disable" | "no-new-privileges=false")
            || asked.contains(option)
            || (is_closed(option) && asked.iter().any(|asked| is_closed(asked)))
    };
    match had.iter().find(|option| !kept(option)) {
        None => Ok(()),
        Some(option) => Err(Refusal::forbidden(format!(
            "what is replaced is restricted, and so is its replacement: use --security-opt {}",
            option.chars().take(200).collect::<String>()
        ))),
    }
}

fn ports(asked: &HostConfig, template: &HostConfig) -> Result<(), Refusal> {
    let keyed = |port: &str| if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
    let plain = |text: &Option<String>| text.clone().unwrap_or_default();
    let pairs = |host: &HostConfig| -> Vec<(String, String, String)> {
        let all = host.port_bindings.iter().flatten();
        all.flat_map(|(port, bindings)| {
            bindings.iter().flatten().map(move |b| (keyed(port), plain(&b.host_ip), plain(&b.host_port)))
        })
        .collect()
    };
    let had = pairs(template);
    match pairs(asked).into_iter().find(|pair| !had.contains(pair)) {
        None => Ok(()),
        Some((port, _, _)) => Err(Refusal::forbidden(format!(
            "what is replaced does not publish {} like this: publish what it does, or nothing",
            port.chars().take(100).collect::<String>()
        ))),
    }
}

fn subset<T: PartialEq>(option: &str, asked: Option<&[T]>, template: Option<&[T]>) -> Result<(), Refusal> {
    let had = template.unwrap_or_default();
    if asked.unwrap_or_default().iter().all(|item| had.contains(item)) { Ok(()) } else { Err(beyond(option)) }
}

fn beyond(option: &str) -> Refusal {
    Refusal::forbidden(format!("what is replaced is not set up like this: leave out {option}, or write what it has"))
}
