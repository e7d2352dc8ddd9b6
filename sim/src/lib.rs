//! Program x Arch to Outcome and Trace.
