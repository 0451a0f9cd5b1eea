//! The walls of the agent's container towards the network.
