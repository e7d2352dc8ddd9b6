//! Experiments, Report, plots, criterion benches.
