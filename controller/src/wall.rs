//! The walls of the agent's container towards the network.
//!
//! They stand in the container's network namespace and are set from outside of it: a short-lived helper that may
//! administer that namespace, and nothing else, runs `operator wall` there and is done before the first command. A
//! command holds `NET_RAW` at most, so it can neither change a rule nor go round one.
//!
//! There are two of them, made of the same list of destinations. One filters what the kernel's own protocols send,
//! and answers, so that a refused connection fails at once. The other filters frames as they leave an interface, for
//! a program with `NET_RAW` writes frames of its own, which the first one never sees.
//!
//! * `destinations`: what is open and what is not, in order;
//! * `ruleset`: that, in the words of nftables;
//! * `nft`: hands it to the kernel in one transaction, and looks whether it stands.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

mod destinations;
mod nft;
mod ruleset;

pub use nft::{WallError, apply};
pub(crate) use nft::{interfaces, nft};

/// What `operator wall` says when the walls stand.
pub const DONE: &str = "the walls stand";

/// What the walls let through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// The subject's networks.
    pub subnets: Vec<IpNet>,
    /// Addresses in them that are the host's own.
    pub gateways: Vec<IpAddr>,
    /// The container's own addresses: frames say that they come from these, or do not leave.
    pub addresses: Vec<IpAddr>,
    /// Networks beside the subject's own.
    pub egress: Vec<IpNet>,
}
