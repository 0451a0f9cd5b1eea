//! The body of `POST /containers/create`: the form that any replacement has. Whether it is no more powerful
//! than what it replaces is asked in the comparison with it.

use bollard::models::{ContainerCreateBody, HealthConfig, NetworkingConfig};

use super::fields::Fields;
use super::{host_config, network, target};
use crate::gateway::refusal::Refusal;

/// What no replacement says, with what to do instead.
const NEVER: &[(&str, &str)] = &[
    ("ArgsEscaped", "this is for Windows: leave it out"),
    ("NetworkDisabled", "use --network none"),
    ("MacAddress", "the engine says what it is: leave out --mac-address"),
    ("OnBuild", "this is for images: leave it out"),
    ("Shell", "this is for images: write the shell into Cmd"),
    ("Runtime", "leave out --runtime"),
];

/// Reads it.
pub(super) fn body(json: &[u8]) -> Result<ContainerCreateBody, Refusal> {
    let mut body = Fields::of_body(json)?;
    body.nothing_of(NEVER)?;
    let image =
        body.text("Image")?.ok_or_else(|| Refusal::bad("Image is missing: name that of the container to replace"))?;
    let create = ContainerCreateBody {
        hostname: body.text("Hostname")?,
        domainname: body.text("Domainname")?,
        user: body.text("User")?,
        attach_stdin: body.flag("AttachStdin")?,
        attach_stdout: body.flag("AttachStdout")?,
        attach_stderr: body.flag("AttachStderr")?,
        exposed_ports: body.set("ExposedPorts")?,
        tty: body.flag("Tty")?,
        open_stdin: body.flag("OpenStdin")?,
        stdin_once: body.flag("StdinOnce")?,
        env: body.texts("Env")?,
        cmd: body.texts("Cmd")?,
        healthcheck: healthcheck(&mut body)?,
        image: Some(target::image(&image)?.0),
        volumes: volumes(&mut body)?,
        working_dir: body.text("WorkingDir")?,
        entrypoint: body.texts("Entrypoint")?,
        labels: body.text_map("Labels")?,
        stop_signal: body.text("StopSignal")?,
        stop_timeout: body.whole("StopTimeout")?,
        host_config: Some(host_config::read(body.object("HostConfig")?)?),
        networking_config: networking(&mut body)?,
        ..ContainerCreateBody::default()
    };
    body.done()?;
    Ok(create)
}

fn healthcheck(body: &mut Fields) -> Result<Option<HealthConfig>, Refusal> {
    let any = body.has("Healthcheck");
    let mut health = body.object("Healthcheck")?;
    let config = HealthConfig {
        test: health.texts("Test")?,
        interval: health.whole("Interval")?,
        timeout: health.whole("Timeout")?,
        retries: health.whole("Retries")?,
        start_period: health.whole("StartPeriod")?,
        start_interval: health.whole("StartInterval")?,
    };
    health.done()?;
    Ok(any.then_some(config))
}

fn volumes(body: &mut Fields) -> Result<Option<Vec<String>>, Refusal> {
    let volumes = body.set("Volumes")?.unwrap_or_default();
    for path in &volumes {
        host_config::destination(path)?;
    }
    Ok((!volumes.is_empty()).then_some(volumes))
}

fn networking(body: &mut Fields) -> Result<Option<NetworkingConfig>, Refusal> {
    let mut config = body.object("NetworkingConfig")?;
    let endpoints = config.objects("EndpointsConfig")?.unwrap_or_default();
    config.done()?;
    let endpoints =
        endpoints.into_iter().map(|(name, endpoint)| Ok((target::reference(&name)?.0, network::endpoint(endpoint)?)));
    let endpoints: std::collections::HashMap<_, _> = endpoints.collect::<Result<_, Refusal>>()?;
    Ok((!endpoints.is_empty()).then_some(NetworkingConfig { endpoints_config: Some(endpoints) }))
}
