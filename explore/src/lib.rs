//! Design spaces, evaluator, Pareto front.
//!
//! - [`space`]: a grid of archs around a base arch, as TOML.
//! - [`run`]: every point mapped and simulated in timing mode, in parallel, always with the same result.
//! - [`alone`]: the cost model against the simulator, for whole programs and each layer alone.
//! - [`pareto`]: the points that no other point makes pointless.
//! - [`mod@print`]: points as a table and as JSON lines.
//!
//! A point that is no legal arch, or on which the network has no program, stays in the result with its reason.
//! Deliberately not here: where results are kept from run to run, and the hardware of a point; that is `hw`.

pub mod alone;
pub mod evaluate;
pub mod pareto;
pub mod print;
pub mod space;

pub use evaluate::{Metrics, Options, Outcome, Point, Progress, evaluate, run};
pub use pareto::front;
pub use space::{Coordinates, Space, SpaceError};
