//! The command line: one file a subcommand.

pub mod audit;
pub mod check;
pub mod cluster;
pub mod crd;
pub mod fault;
pub mod gateway;
pub mod halt;
pub mod migrate;
pub mod observe;
pub mod run;
pub mod supervise;
pub mod wall;
