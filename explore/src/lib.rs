//! Design spaces, evaluator, Pareto front, store.
