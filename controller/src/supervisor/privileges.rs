//! What the supervisor gives up before it starts its first command, and with it every command.
//!
//! It is root with a handful of capabilities; a command is an unprivileged user with one, `NET_RAW`, and cannot have
//! another: it is all that is left in the bounding set. The system calls that go round a wall (the network's, or this
//! one) are closed by filters that stand below everything that is started from here on.
//!
//! All of it belongs to a thread and is inherited by the threads and processes that it makes. So it is done while there is
//! one thread.

use std::collections::BTreeMap;
use std::io;

use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, capabilities, capability_is_in_bounding_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// What the supervisor goes on with: to make a command another user's, and to kill it.
const OWN: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID).union(CapabilitySet::KILL);
/// What a command has: `ping`, `traceroute` and `tcpdump` need it. The walls of the network hold against it.
const COMMANDS: CapabilitySet = CapabilitySet::NET_RAW;

/// Kinds of sockets that there are in here: local, both Internet protocols, the kernel's tables and frames. Others
/// go past the network's walls (`AF_XDP` past its filters, `AF_VSOCK` to the host of a virtual machine), or are
/// of no use.
const SOCKETS: [i32; 5] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET];

/// Calls without a use in here that are known as ways out. The engine's own profile has most of them; an engine may
/// be set up without it.
const CLOSED: [i64; 11] = [
    // Work that the kernel does later, and no filter sees.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_setns,
    libc::SYS_kexec_load,
];

/// The numbers by which this processor takes a call: its own, and that of x32.
#[cfg(target_arch = "x86_64")]
fn numbers(call: i64) -> Vec<i64> {
    const X32: i64 = 0x4000_0000;
    // These few have numbers of their own there.
    let other = match call {
        libc::SYS_setsockopt => 541,
        libc::SYS_kexec_load => 528,
        call => call,
    };
    vec![call, X32 + other]
}

/// The number by which this processor takes a call.
#[cfg(not(target_arch = "x86_64"))]
fn numbers(call: i64) -> Vec<i64> {
    vec![call]
}

/// Why the supervisor could not give up what it must.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The capabilities.
    #[error("capabilities cannot be set: {step}")]
    Capabilities {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A filter cannot be written for this machine.
    #[error("the filter of system calls cannot be made")]
    Filter(#[from] BackendError),
    /// The kernel did not take it.
    #[error("the filter of system calls cannot be set")]
    Apply(#[from] seccompiler::Error),
}

/// Gives it up. To be called before there is a second thread.
pub fn confine() -> Result<(), ConfineError> {
    give_up_capabilities()?;
    for filter in filters()? {
        apply_filter(&filter)?;
    }
    Ok(())
}

fn give_up_capabilities() -> Result<(), ConfineError> {
    let failed = |step| move |error: rustix::io::Errno| ConfineError::Capabilities { step, source: error.into() };
    let mut sets = capabilities(None).map_err(failed("they cannot be read"))?;
    let ambient = sets.permitted & COMMANDS;
    if ambient != COMMANDS {
        tracing::debug!("NET_RAW is not there; commands run without it");
    }
    // An ambient capability must be inheritable, and a bounding set may then be narrower than what is permitted.
    sets.inheritable = ambient;
    set_capabilities(None, sets).map_err(failed("NET_RAW does not become inheritable"))?;
    for capability in ambient.iter() {
        configure_capability_in_ambient_set(capability, true).map_err(failed("NET_RAW does not become ambient"))?;
    }
    // Becoming another user would empty the ambient set; so it changes nothing, and neither does being root: a command
    // starts with what is ambient and no more. All of this for ever.
    let bits = CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(bits).map_err(failed("the secure bits are not taken"))?;
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !COMMANDS.contains(capability) => {
                remove_capability_from_bounding_set(capability).map_err(failed("the bounding set stays"))?;
            }
            Ok(_) => {}
            // The kernel knows no further ones.
            Err(_) => break,
        }
    }
    sets.permitted &= OWN | COMMANDS;
    sets.effective = sets.permitted;
    set_capabilities(None, sets).map_err(failed("the others cannot be dropped"))
}

/// Two, for a filter has one answer only.
fn filters() -> Result<[BpfProgram; 2], BackendError> {
    // A C library that hears "no such call" takes the older one, whose arguments a filter can read.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([compile(unknown, libc::ENOSYS)?, compile(refused()?, libc::EPERM)?])
}

fn refused() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let is = |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    let number = |value: i32| u64::from(value.unsigned_abs());
    let other_socket: Result<Vec<_>, _> =
        SOCKETS.iter().map(|family| is(0, SeccompCmpOp::Ne, number(*family))).collect();
    let other_socket = SeccompRule::new(other_socket?)?;
    // A socket that asks for it sends past the queue, where the filter of frames stands.
    let past_the_queue = SeccompRule::new(vec![
        is(1, SeccompCmpOp::Eq, number(libc::SOL_PACKET))?,
        is(2, SeccompCmpOp::Eq, number(libc::PACKET_QDISC_BYPASS))?,
    ])?;
    let new_user = number(libc::CLONE_NEWUSER);
    let own_users = SeccompRule::new(vec![is(0, SeccompCmpOp::MaskedEq(new_user), new_user)?])?;
    let mut rules = BTreeMap::from([
        (libc::SYS_socket, vec![other_socket]),
        (libc::SYS_setsockopt, vec![past_the_queue]),
        (libc::SYS_clone, vec![own_users.clone()]),
        (libc::SYS_unshare, vec![own_users]),
    ]);
    rules.extend(CLOSED.map(|call| (call, Vec::new())));
    Ok(rules)
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, answer: i32) -> Result<BpfProgram, BackendError> {
    let rules: BTreeMap<_, _> = rules
        .into_iter()
        .flat_map(|(call, rules)| numbers(call).into_iter().map(move |number| (number, rules.clone())))
        .collect();
    let answer = SeccompAction::Errno(answer.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, answer, std::env::consts::ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_made_here() {
        assert!(filters().unwrap().iter().all(|filter| !filter.is_empty()));
    }

    #[test]
    fn what_is_given_is_little() {
        assert_eq!((OWN | COMMANDS).iter().count(), 4);
        assert!(!(OWN | COMMANDS).intersects(CapabilitySet::SETPCAP | CapabilitySet::NET_ADMIN));
    }
}
