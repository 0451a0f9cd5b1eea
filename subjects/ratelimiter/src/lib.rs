//! A small sliding-window rate limiter on Redis: the first system that Operator looks after.
//!
//! `serve` is one node: [`http`] answers, [`window`] decides inside Redis, [`store`] keeps the
//! connection, [`audit`] compares the node's own [`tally`] with Redis' record. `load` ([`mod@load`])
//! keeps nodes busy and says how that goes.

pub mod audit;
pub mod cli;
pub mod error;
pub mod http;
pub mod latency;
pub mod limits;
pub mod load;
pub mod metrics;
pub mod serve;
pub mod shutdown;
pub mod store;
pub mod tally;
pub mod window;
