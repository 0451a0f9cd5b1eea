//! An action in a few words.

use crds::fault::{Action, Http, Target};

use crate::printable;

/// As long as a line on the screen.
const LONGEST: usize = 200;

/// What an action is, before its target is known: what its author says, or `kill node2`.
#[must_use]
pub fn says(action: &Action) -> String {
    with(action, None)
}

/// The same with the service that was found.
pub(super) fn with(action: &Action, found: Option<&str>) -> String {
    if !action.says.trim().is_empty() {
        return printable::short_line(&action.says, LONGEST);
    }
    let of = |target: &Target| found.map_or_else(|| aim(target), str::to_owned);
    let said = if let Some(kill) = &action.kill {
        match kill.signal.as_deref() {
            None | Some("SIGKILL") => format!("kill {}", of(&kill.target)),
            Some(signal) => format!("send {signal} to {}", of(&kill.target)),
        }
    } else if let Some(exec) = &action.exec {
        format!("{} at {}", exec.command.join(" "), of(&exec.target))
    } else if let Some(run) = &action.run {
        let beside = if run.detach { "go on running" } else { "run" };
        format!("{beside} {} from the image of {}", run.command.join(" "), of(&run.target))
    } else if let Some(http) = &action.http {
        requests(http)
    } else if let Some(partition) = &action.partition {
        let from: Vec<_> = partition.from.iter().map(aim).collect();
        let from = if from.is_empty() { "all others".to_owned() } else { from.join(", ") };
        format!("cut {} off from {from}", of(&partition.target))
    } else if let Some(latency) = &action.latency {
        let delay = std::time::Duration::from(latency.delay);
        format!("delay what {} sends by {} ms", of(&latency.target), delay.as_millis())
    } else if let Some(throttle) = &action.throttle {
        format!("give {} {} thousandths of a core", of(&throttle.target), throttle.milli_cpus)
    } else if let Some(fill) = &action.fill_disk {
        format!("fill {} of {} with {} MiB", fill.folder, of(&fill.target), fill.mebibytes)
    } else {
        let plain = [
            ("stop", &action.stop),
            ("start", &action.start),
            ("restart", &action.restart),
            ("pause", &action.pause),
            ("unpause", &action.unpause),
            ("heal the network of", &action.heal),
        ];
        let verb = plain.iter().find_map(|(verb, on)| on.as_ref().map(|on| format!("{verb} {}", of(&on.target))));
        verb.unwrap_or_else(|| "nothing".to_owned())
    };
    printable::short_line(&said, LONGEST)
}

fn requests(http: &Http) -> String {
    let method = http.method.as_deref().unwrap_or("GET");
    match http.times.unwrap_or(1) {
        1 => format!("{method} {}", http.url),
        times => format!("{method} {} {times} times", http.url),
    }
}

/// What a target aims at.
pub(super) fn aim(target: &Target) -> String {
    match (&target.service, &target.any_of) {
        (Some(service), _) => service.clone(),
        (None, Some(services)) => format!("one of {}", services.join(", ")),
        (None, None) => "the container that an expression names".to_owned(),
    }
}
