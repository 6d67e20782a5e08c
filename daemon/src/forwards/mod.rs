//! What passed through this node and what it earned.
