//! What people type: the subcommands that are not seats of the controller.

pub mod audit;
pub mod migrate;
