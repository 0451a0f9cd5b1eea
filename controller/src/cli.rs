//! The command line: one file a subcommand.

pub mod audit;
pub mod crd;
pub mod gateway;
pub mod migrate;
pub mod run;
pub mod supervise;
pub mod wall;
