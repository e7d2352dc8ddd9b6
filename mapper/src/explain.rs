//! Why a mapping was chosen: what binds it, what the next best would cost, and which limit stands before a better one.
//!
//! Everything is said in the cost model's terms and costed by it; nothing is measured here.

use ir::arch::Arch;
use ir::fit::Fit;
use serde::{Deserialize, Serialize};

use crate::cost::Cost;
use crate::mapspace::{Choice, Infeasible, Mapspace};
use crate::search::{Found, Problem};

/// Why the best mapping of a layer is the best.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What the best mapping spends its cycles on.
    pub bound: Bound,
    /// How far the array is used, for layers that multiply.
    pub array: Option<ArrayUse>,
    /// The strips that tensors pass through the banks in, if they do.
    pub strips: Option<Strips>,
    /// The best of all other mappings, if there is another that fits.
    pub next_best: Option<Alternative>,
    /// For each part of the mapping that can differ, the best mapping in which it does.
    pub others: Vec<Alternative>,
    /// The best mapping that is better and does not fit.
    pub blocked: Option<Blocked>,
}

/// The unit that is busy for the largest part of the cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// What binds.
    pub by: By,
    /// Its busy cycles.
    pub cycles: u64,
    /// Cycles in all.
    pub of: u64,
}

/// What can bind a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The multipliers: EXEC.
    Array,
    /// The port through which results leave the accumulators: VEC.
    Port,
    /// Reads from memory: LOAD.
    DramReads,
    /// Writes to memory: STORE.
    DramWrites,
    /// Instructions: FETCH.
    Fetch,
}

impl By {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            By::Array => "array",
            By::Port => "requantise port",
            By::DramReads => "DRAM reads",
            By::DramWrites => "DRAM writes",
            By::Fetch => "instruction fetch",
        }
    }
}

/// How far the rows and columns of the array are used, and what the unused ones cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayUse {
    /// Cycles in which the array multiplies.
    pub steps: u64,
    /// Those of them that would be enough if all multipliers were used.
    pub ideal: u64,
    /// Useful lanes of the rows, and the lanes that all reduction steps have.
    pub rows: (u64, u64),
    /// Useful columns, and the columns of all column tiles.
    pub cols: (u64, u64),
}

impl ArrayUse {
    /// Cycles that are lost where the layer does not fill rows or columns.
    pub fn edge_cycles(&self) -> u64 {
        self.steps.saturating_sub(self.ideal)
    }
}

/// Tensors that pass through the banks in strips, because there is no room for them as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strips {
    /// Output rows of a strip.
    pub rows: u64,
    /// Output rows in all.
    pub of: u64,
    /// Words of the largest tensor that passes.
    pub words: u64,
    /// Words of a bank.
    pub bank_words: u64,
}

/// Another mapping, and what it costs more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alternative {
    /// The parts that differ, as directives would say them.
    pub differs: Vec<String>,
    /// Cycles more than the best.
    pub more_cycles: i64,
    /// Words moved more than the best.
    pub more_words: i64,
    /// What it spends its cycles on.
    pub bound: Bound,
}

/// A better mapping that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The mapping.
    #[serde(flatten)]
    pub alternative: Alternative,
    /// The limit.
    pub reason: Infeasible,
    /// The limit, with what is needed and what there is.
    pub limit: String,
}

/// The parts of a choice, each as a directive says it.
fn parts(choice: &Choice) -> [String; 5] {
    [
        format!("dataflow={}", choice.dataflow.name()),
        format!("tile_rows={}", choice.tile_rows),
        format!("tile_cols={}", choice.tile_cols),
        format!("group_tiles={}", choice.group_tiles),
        format!("order={}", choice.order.name()),
    ]
}

/// Explains what a search has found, by costing the whole space again.
pub(crate) fn explain(problem: &Problem, found: &Found, strips: Option<Strips>) -> Explanation {
    let mapspace = problem.mapspace;
    let arch = mapspace.arch;
    let cost = |choice: &Choice| problem.model.cost(mapspace, choice).ok();
    let alternative = |choice: &Choice, cost: &Cost| {
        let pairs = parts(choice).into_iter().zip(parts(&found.choice));
        Alternative {
            differs: pairs.filter(|(a, b)| a != b).map(|(a, _)| a).collect(),
            more_cycles: cost.cycles.fit::<i64>() - found.cost.cycles.fit::<i64>(),
            more_words: cost.traffic_words.fit::<i64>() - found.cost.traffic_words.fit::<i64>(),
            bound: bound(cost),
        }
    };
    let key = |choice: &Choice, cost: &Cost| problem.objective.key(choice, cost);
    let mut fitting: Vec<(Choice, Cost)> = Vec::new();
    let mut blocked: Option<(Choice, Cost)> = None;
    for choice in mapspace.choices() {
        if choice == found.choice {
            continue;
        }
        match mapspace.infeasible(&choice) {
            None => fitting.extend(cost(&choice).map(|cost| (choice, cost))),
            Some(Infeasible::Accumulators | Infeasible::Weights | Infeasible::Parameters) => {
                let Some(cost) = cost(&choice) else {
                    continue;
                };
                let best = blocked
                    .as_ref()
                    .map_or((&found.choice, &found.cost), |(a, b)| (a, b));
                if key(&choice, &cost) < key(best.0, best.1) {
                    blocked = Some((choice, cost));
                }
            }
            Some(_) => {}
        }
    }
    fitting.sort_by_key(|(choice, cost)| key(choice, cost));
    let others = (0..5).filter_map(|part| {
        let differs = |choice: &Choice| parts(choice)[part] != parts(&found.choice)[part];
        let (choice, cost) = fitting.iter().find(|(choice, _)| differs(choice))?;
        Some(alternative(choice, cost))
    });
    let mut distinct: Vec<Alternative> = Vec::new();
    for other in others {
        if !distinct.contains(&other) {
            distinct.push(other);
        }
    }
    Explanation {
        bound: bound(&found.cost),
        strips,
        array: (problem.macs > 0).then(|| array_use(mapspace, problem.macs)),
        next_best: fitting
            .first()
            .map(|(choice, cost)| alternative(choice, cost)),
        others: distinct,
        blocked: blocked.map(|(choice, cost)| {
            let shortfall = mapspace.shortfall(&choice).expect("it does not fit");
            Blocked {
                alternative: alternative(&choice, &cost),
                reason: shortfall.reason,
                limit: shortfall.sentence(arch),
            }
        }),
    }
}

impl Explanation {
    /// Adds what the other row mapping would cost.
    pub(crate) fn compare_rows(&mut self, best: &Found, other: &Found) {
        let alternative = Alternative {
            differs: vec![format!("rows={}", other.choice.rows.name())],
            more_cycles: other.cost.cycles.fit::<i64>() - best.cost.cycles.fit::<i64>(),
            more_words: other.cost.traffic_words.fit::<i64>()
                - best.cost.traffic_words.fit::<i64>(),
            bound: bound(&other.cost),
        };
        let cycles = |alternative: &Alternative| (alternative.more_cycles, alternative.more_words);
        if self
            .next_best
            .as_ref()
            .is_none_or(|next| cycles(&alternative) < cycles(next))
        {
            self.next_best = Some(alternative.clone());
        }
        self.others.push(alternative);
    }
}

/// The unit that is busy longest; the first of several.
fn bound(cost: &Cost) -> Bound {
    let units = [
        (By::Array, cost.exec),
        (By::Port, cost.vec),
        (By::DramReads, cost.load),
        (By::DramWrites, cost.store),
        (By::Fetch, cost.fetch),
    ];
    let (by, cycles) = units
        .into_iter()
        .rev()
        .max_by_key(|(_, cycles)| *cycles)
        .expect("there are five");
    Bound {
        by,
        cycles,
        of: cost.cycles,
    }
}

fn array_use(mapspace: &Mapspace, macs: u64) -> ArrayUse {
    let (arch, sums): (&Arch, _) = (mapspace.arch, mapspace.sums);
    let (rows, cols) = (u64::from(arch.array.rows), u64::from(arch.array.cols));
    let output = sums.output;
    let pixels = (output.height * output.width) as u64;
    let n_tiles = sums.n_tiles(arch);
    let steps: u64 = (0..n_tiles)
        .map(|n| sums.whole(arch, n).steps() as u64)
        .sum();
    // Multiply-accumulates of one pixel and output channel, over the lanes that its steps have.
    let useful = macs / (pixels * output.channels as u64).max(1);
    let lanes = (0..n_tiles)
        .map(|n| sums.whole(arch, n).steps() as u64 * rows)
        .max();
    ArrayUse {
        steps: steps * pixels,
        ideal: macs.div_ceil(rows * cols),
        rows: (useful, lanes.unwrap_or(0)),
        cols: (output.channels as u64, n_tiles as u64 * cols),
    }
}
