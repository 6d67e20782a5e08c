//! Counters and gauges for operators, in the Prometheus text format.
