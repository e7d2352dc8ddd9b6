//! Where activations lie: which tensors stay in a bank, and in how many rows at a time the others pass through.
//!
//! Einsums are planned in order. A tensor stays in one bank from its producer to its last consumer if there is room;
//! otherwise it lies in memory and passes through the banks in strips of whole rows, two strips at a time if possible.
//! Where an einsum finds no room at all, the largest tensor that stays without need is sent to memory, and planning
//! starts again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ir::arch::Arch;
use ir::directive::Residency;
use ir::network::{Network, TensorId};
use ir::op::Kind;

use crate::error::MapError;
use crate::sums::input_rows;

/// Words of the activation banks, in one bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Area {
    pub(crate) start: u32,
    pub(crate) words: u32,
}

/// How an einsum reaches one of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It lies in a bank already, or is written to where it stays.
    Bank(Area),
    /// It is loaded whole, and stays.
    Fetch(Area),
    /// It passes through these areas in strips.
    Strips(Vec<Area>),
}

/// The plan of one einsum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EinsumPlan {
    /// Output rows of each strip; one strip where nothing passes through.
    pub(crate) strip_rows: usize,
    pub(crate) inputs: Vec<Access>,
    pub(crate) output: Access,
    /// Where the packed words of the row mapping `taps` lie, strip after strip; empty for the row mapping `channels`.
    pub(crate) packed: Vec<Area>,
    /// Whether the output must be in memory.
    pub(crate) stored: bool,
}

impl Access {
    fn as_good_as(&self, other: &Access) -> bool {
        let rank = |access: &Access| match access {
            Access::Bank(_) => 0,
            Access::Fetch(_) => 1,
            Access::Strips(_) => 2,
        };
        rank(self) <= rank(other)
    }
}

impl EinsumPlan {
    /// Whether every tensor is reached at least as directly as with `other`, in strips that are not smaller.
    pub(crate) fn as_good_as(&self, other: &EinsumPlan) -> bool {
        let mut inputs = self.inputs.iter().zip(&other.inputs);
        inputs.all(|(mine, theirs)| mine.as_good_as(theirs))
            && self.output_as_good_as(other)
            && self.strip_rows >= other.strip_rows
    }

    /// The same with bank 0 in the place of the first bank that it uses: plans for which it is the same have programs
    /// that take the same time.
    pub(crate) fn relative(&self, arch: &Arch) -> EinsumPlan {
        let mut plan = self.clone();
        let accesses = plan.inputs.iter_mut().chain([&mut plan.output]);
        let areas = accesses.flat_map(|access| match access {
            Access::Bank(area) | Access::Fetch(area) => std::slice::from_mut(area),
            Access::Strips(areas) => areas,
        });
        let areas: Vec<&mut Area> = areas.chain(&mut plan.packed).collect();
        let least = areas.iter().map(|area| area.start).min().unwrap_or(0);
        let words = arch.activations.words;
        for area in areas {
            area.start -= least / words * words;
        }
        plan
    }

    /// Whether the output stays where it stays with `other`.
    pub(crate) fn output_as_good_as(&self, other: &EinsumPlan) -> bool {
        self.output.as_good_as(&other.output) && self.stored <= other.stored
    }
}

/// The words that the row mapping `taps` needs in the banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedSize {
    /// The image, as plain bytes.
    pub(crate) image_words: u32,
    /// One output row of packed words.
    pub(crate) row_words: u32,
}

/// The words of one row of a tensor: all blocks of all columns.
pub(crate) fn row_words(network: &Network, arch: &Arch, tensor: TensorId) -> u32 {
    let t = network.tensor(tensor);
    (t.channels.div_ceil(arch.word_bytes() as usize) * t.width) as u32
}

/// The input rows that the output rows `rows` of an einsum read of each operand.
pub(crate) fn operand_rows(network: &Network, einsum: usize, rows: &Range<usize>) -> Range<usize> {
    let einsum = &network.einsums[einsum];
    let height = network.tensor(einsum.inputs[0]).height;
    match &einsum.kind {
        Kind::Conv(op) => input_rows(&op.window, height, rows),
        Kind::AveragePool(op) => input_rows(&op.window, height, rows),
        Kind::MaxPool(op) => input_rows(&op.window, height, rows),
        Kind::Add(_) | Kind::Concat(_) | Kind::Table(_) => rows.clone(),
    }
}

/// What is given of a plan.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Einsums with the row mapping `taps`.
    pub(crate) packed: BTreeMap<usize, PackedSize>,
    /// Tensors whose place is decided.
    pub(crate) residency: BTreeMap<TensorId, Residency>,
    /// Output rows of a strip, where they are decided.
    pub(crate) strip_rows: BTreeMap<usize, usize>,
}

/// Free room in the banks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Banks {
    words: u32,
    used: Vec<Vec<Area>>,
}

impl Banks {
    fn new(arch: &Arch) -> Self {
        Banks {
            words: arch.activations.words,
            used: vec![Vec::new(); arch.activations.banks as usize],
        }
    }

    /// Takes `words` of an empty bank, or of the bank with the fewest tensors that has room.
    fn take(&mut self, words: u32) -> Option<Area> {
        let mut order: Vec<usize> = (0..self.used.len()).collect();
        order.sort_by_key(|&bank| self.used[bank].len());
        order.into_iter().find_map(|bank| {
            let start = self.gap(bank, words)?;
            let area = Area {
                start: bank as u32 * self.words + start,
                words,
            };
            self.used[bank].push(area);
            self.used[bank].sort();
            Some(area)
        })
    }

    fn gap(&self, bank: usize, words: u32) -> Option<u32> {
        let base = bank as u32 * self.words;
        let starts =
            std::iter::once(0).chain(self.used[bank].iter().map(|a| a.start - base + a.words));
        let ends = self.used[bank]
            .iter()
            .map(|a| a.start - base)
            .chain(std::iter::once(self.words));
        starts
            .zip(ends)
            .find(|(start, end)| end - start >= words)
            .map(|(start, _)| start)
    }

    fn release(&mut self, area: Area) {
        self.used
            .iter_mut()
            .for_each(|bank| bank.retain(|a| *a != area));
    }
}

/// What is on chip between two einsums.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    banks: Banks,
    /// The tensors that stay in a bank.
    staying: BTreeMap<TensorId, Area>,
}

impl State {
    pub(crate) fn empty(arch: &Arch) -> State {
        State {
            banks: Banks::new(arch),
            staying: BTreeMap::new(),
        }
    }
}

/// The plans that the einsum `index` can have after `state`, each with the state that it leaves: operands in memory
/// loaded whole or in strips, the output staying or not, and where tensors pass, strips of each of the
/// [`STRIP_HEIGHTS`] tallest heights that fit twice, or the tallest that fits once.
pub(crate) fn steps(
    network: &Network,
    arch: &Arch,
    keep_all: bool,
    given: &Given,
    index: usize,
    state: &State,
) -> Vec<(EinsumPlan, State)> {
    let decided = |place: Residency| {
        let tensors = given.residency.iter().filter(move |(_, p)| **p == place);
        tensors.map(|(id, _)| *id).collect::<BTreeSet<_>>()
    };
    let planner = Planner {
        network,
        arch,
        keep_all,
        given,
        stays: &decided(Residency::Stays),
        spilled: &decided(Residency::Spills),
        state: state.clone(),
    };
    let mut steps: Vec<(EinsumPlan, State)> = Vec::new();
    for (fetch, stay) in MODES {
        for (slots, most) in [(2, STRIP_HEIGHTS), (1, 1)] {
            let of_slots = planner.strip_choices(index).into_iter();
            let fitting = of_slots
                .filter(|choice| choice.1 == slots)
                .filter_map(|choice| planner.step(index, fetch, stay, &[choice]));
            for step in fitting.take(most) {
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
        }
    }
    steps
}

/// Strip heights that a search tries.
const STRIP_HEIGHTS: usize = 3;

/// Whether operands are loaded whole, and whether the output stays; what moves least first.
const MODES: [(bool, bool); 4] = [(true, true), (false, true), (true, false), (false, false)];

/// Plans all einsums of `network`, as far as they are not given.
pub(crate) fn plan(
    network: &Network,
    arch: &Arch,
    keep_all: bool,
    given: &Given,
) -> Result<Vec<EinsumPlan>, MapError> {
    let decided = |place: Residency| {
        let tensors = given.residency.iter().filter(move |(_, p)| **p == place);
        tensors.map(|(id, _)| *id).collect::<BTreeSet<_>>()
    };
    let stays = decided(Residency::Stays);
    let mut spilled = decided(Residency::Spills);
    loop {
        let mut planner = Planner {
            network,
            arch,
            keep_all,
            given,
            stays: &stays,
            spilled: &spilled,
            state: State::empty(arch),
        };
        let plans: Result<Vec<EinsumPlan>, usize> = (0..network.einsums.len())
            .map(|i| planner.einsum(i).ok_or(i))
            .collect();
        let stuck = match plans {
            Ok(plans) => return Ok(plans),
            Err(stuck) => stuck,
        };
        let victim = planner
            .state
            .staying
            .iter()
            .filter(|(id, _)| !stays.contains(id))
            .max_by_key(|(id, area)| (!network.einsums[stuck].inputs.contains(id), area.words));
        match victim {
            Some((&id, _)) => spilled.insert(id),
            None => {
                let einsum = &network.einsums[stuck];
                let of_others = planner
                    .state
                    .staying
                    .iter()
                    .filter(|(id, _)| !einsum.inputs.contains(id));
                let held = of_others.map(|(_, area)| area.words).sum();
                return Err(no_room(network, arch, given, stuck, held));
            }
        };
    }
}

/// The least that an einsum needs: one strip of the output, and of each operand the rows for it, beside the words that
/// are `held` by others.
fn no_room(network: &Network, arch: &Arch, given: &Given, index: usize, held: u32) -> MapError {
    let einsum = &network.einsums[index];
    let height = network.tensor(einsum.output).height;
    let rows = given
        .strip_rows
        .get(&index)
        .map_or(1, |rows| *rows.min(&height));
    let words = |id: &TensorId, rows: usize| {
        let stays = given.residency.get(id) == Some(&Residency::Stays);
        let rows = if stays {
            network.tensor(*id).height
        } else {
            rows.max(1)
        };
        rows as u32 * row_words(network, arch, *id)
    };
    let strips = strips(height, rows);
    let operand = strips
        .iter()
        .map(|strip| operand_rows(network, index, strip).len())
        .max();
    let operands: BTreeSet<TensorId> = einsum.inputs.iter().copied().collect();
    let packed = given.packed.get(&index);
    let inputs = operands.iter().map(|id| {
        let image = packed.map(|size| size.image_words);
        (
            *id,
            image.unwrap_or_else(|| words(id, operand.unwrap_or(1))),
        )
    });
    let output = (einsum.output, words(&einsum.output, rows));
    let taps = packed.map(|size| (einsum.inputs[0], size.row_words * rows as u32));
    let needs: Vec<(TensorId, u32)> = inputs.chain([output]).chain(taps).collect();
    let of_rows = match rows {
        1 => "one row".to_owned(),
        _ => format!("{rows} rows"),
    };
    let (bank, banks) = (arch.activations.words, arch.activations.banks);
    let capacity = |what: String, needed: u32, available: u32| MapError::Capacity {
        einsum: einsum.name.clone(),
        arch: arch.name.clone(),
        what,
        needed: needed.into(),
        available: available.into(),
        unit: "words",
        help: "raise `activations.words` in the arch".to_owned(),
    };
    if let Some((id, words)) = needs.iter().find(|(_, words)| *words > bank) {
        let name = &network.tensor(*id).name;
        let what = match packed {
            Some(_) if *id == einsum.inputs[0] => format!("`{name}` for its taps in a bank"),
            _ => format!("a strip of {of_rows} of `{name}` in a bank"),
        };
        return capacity(what, *words, bank);
    }
    let total = held + needs.iter().map(|(_, words)| words).sum::<u32>();
    if total > bank * banks {
        return capacity(
            format!("a strip of {of_rows} of each tensor"),
            total,
            bank * banks,
        );
    }
    let parts: Vec<String> = needs.iter().map(|(_, words)| words.to_string()).collect();
    MapError::Unsupported {
        einsum: einsum.name.clone(),
        reason: format!(
            "no room for {} words, each in one of the {banks} banks of {bank} words of arch `{}`, beside {held} that stay",
            parts.join(" and "),
            arch.name
        ),
        help: "raise `activations.words` in the arch".to_owned(),
    }
}

struct Planner<'a> {
    network: &'a Network,
    arch: &'a Arch,
    keep_all: bool,
    given: &'a Given,
    stays: &'a BTreeSet<TensorId>,
    spilled: &'a BTreeSet<TensorId>,
    /// What is on chip at the moment.
    state: State,
}

impl Planner<'_> {
    fn einsum(&mut self, index: usize) -> Option<EinsumPlan> {
        let strips = self.strip_choices(index);
        let mut steps = MODES
            .into_iter()
            .filter_map(|(fetch, stay)| self.step(index, fetch, stay, &strips));
        let (plan, state) = steps.next()?;
        self.state = state;
        Some(plan)
    }

    /// Output rows of a strip, and strips at a time; what moves most at once first.
    fn strip_choices(&self, index: usize) -> Vec<(usize, usize)> {
        let height = self
            .network
            .tensor(self.network.einsums[index].output)
            .height;
        let heights = match self.given.strip_rows.get(&index) {
            Some(rows) => vec![*rows.min(&height)],
            None => strip_heights(height),
        };
        [2, 1]
            .into_iter()
            .flat_map(|slots| heights.iter().map(move |rows| (*rows, slots)))
            .collect()
    }

    /// The plan of an einsum with the first of `strips` that fits, and the state that it leaves.
    fn step(
        &self,
        index: usize,
        fetch: bool,
        stay: bool,
        strips: &[(usize, usize)],
    ) -> Option<(EinsumPlan, State)> {
        let State {
            mut banks,
            mut staying,
        } = self.state.clone();
        let plan = self.mode(index, &mut banks, (fetch, stay), strips)?;
        let einsum = &self.network.einsums[index];
        for (&id, access) in einsum
            .inputs
            .iter()
            .zip(&plan.inputs)
            .chain([(&einsum.output, &plan.output)])
        {
            match access {
                Access::Bank(area) | Access::Fetch(area) => drop(staying.insert(id, *area)),
                Access::Strips(areas) => areas.iter().for_each(|area| banks.release(*area)),
            }
        }
        plan.packed.iter().for_each(|area| banks.release(*area));
        let later = &self.network.einsums[index + 1..];
        staying.retain(|id, area| {
            let needed = later.iter().any(|e| e.inputs.contains(id));
            if !needed {
                banks.release(*area);
            }
            needed
        });
        Some((plan, State { banks, staying }))
    }

    /// Plans with operands in memory loaded whole or not, and the output staying or not.
    fn mode(
        &self,
        index: usize,
        banks: &mut Banks,
        (fetch, stay): (bool, bool),
        strips: &[(usize, usize)],
    ) -> Option<EinsumPlan> {
        let einsum = &self.network.einsums[index];
        let whole = |id: TensorId| {
            let rows = self.network.tensor(id).height as u32;
            rows.checked_mul(row_words(self.network, self.arch, id))
                .filter(|w| *w <= self.arch.activations.words)
        };
        let packed = self.given.packed.get(&index);
        let mut known: BTreeMap<TensorId, Access> = BTreeMap::new();
        for &id in &einsum.inputs {
            if known.contains_key(&id) {
                continue;
            }
            let access = match self.state.staying.get(&id) {
                Some(area) => Access::Bank(*area),
                None if packed.is_some() => Access::Fetch(self.take(banks, packed?.image_words)?),
                None if fetch && !self.spilled.contains(&id) => {
                    Access::Fetch(banks.take(whole(id)?)?)
                }
                None => Access::Strips(Vec::new()),
            };
            known.insert(id, access);
        }
        let output = if stay && !self.spilled.contains(&einsum.output) {
            Access::Bank(banks.take(whole(einsum.output)?)?)
        } else {
            Access::Strips(Vec::new())
        };
        let height = self.network.tensor(einsum.output).height;
        let is_output = self.network.outputs.contains(&einsum.output);
        let stored = is_output || self.keep_all || output == Access::Strips(Vec::new());
        known.insert(einsum.output, output);
        let passing: Vec<TensorId> = known
            .iter()
            .filter(|(_, a)| matches!(a, Access::Strips(_)))
            .map(|(id, _)| *id)
            .collect();
        if passing.iter().any(|id| self.stays.contains(id)) {
            return None;
        }
        let decided = self.given.strip_rows.get(&index).copied();
        let one_strip = passing.is_empty() && decided.is_none_or(|rows| rows >= height);
        let packed_whole = packed.map(|size| {
            let words = size.row_words.checked_mul(height as u32);
            let area = words.and_then(|words| self.take(banks, words));
            area.map(|area| vec![area])
        });
        let mut packed_areas = Vec::new();
        let strip_rows = if one_strip && packed_whole != Some(None) {
            packed_areas = packed_whole.flatten().unwrap_or_default();
            height
        } else {
            packed_whole
                .flatten()
                .iter()
                .flatten()
                .for_each(|area| banks.release(*area));
            let (rows, areas) = strips.iter().copied().find_map(|(rows, slots)| {
                let mut trial = banks.clone();
                let areas = passing
                    .iter()
                    .map(|&id| self.slots(index, id, rows, slots, &mut trial));
                let areas: Vec<Vec<Area>> = areas.collect::<Option<_>>()?;
                if let Some(size) = packed {
                    let words = size.row_words.checked_mul(rows as u32)?;
                    packed_areas = (0..slots.min(height.div_ceil(rows)))
                        .map(|_| self.take(&mut trial, words))
                        .collect::<Option<_>>()?;
                }
                *banks = trial;
                Some((rows, areas))
            })?;
            for (id, areas) in passing.into_iter().zip(areas) {
                known.insert(id, Access::Strips(areas));
            }
            rows
        };
        Some(EinsumPlan {
            strip_rows,
            inputs: einsum.inputs.iter().map(|id| known[id].clone()).collect(),
            output: known[&einsum.output].clone(),
            packed: packed_areas,
            stored,
        })
    }

    /// Room for `words` in one bank.
    fn take(&self, banks: &mut Banks, words: u32) -> Option<Area> {
        (words <= self.arch.activations.words)
            .then(|| banks.take(words))
            .flatten()
    }

    /// Areas for strips of `rows` output rows of `tensor`, at most as many as there are strips.
    fn slots(
        &self,
        index: usize,
        tensor: TensorId,
        rows: usize,
        slots: usize,
        banks: &mut Banks,
    ) -> Option<Vec<Area>> {
        let height = self
            .network
            .tensor(self.network.einsums[index].output)
            .height;
        let strips = strips(height, rows);
        let is_output = self.network.einsums[index].output == tensor;
        let of = |strip: &Range<usize>| {
            if is_output {
                strip.len()
            } else {
                operand_rows(self.network, index, strip).len()
            }
        };
        let most = strips.iter().map(of).max()?.max(1) as u32;
        let words = most.checked_mul(row_words(self.network, self.arch, tensor))?;
        if words > self.arch.activations.words {
            return None;
        }
        (0..slots.min(strips.len()))
            .map(|_| banks.take(words))
            .collect()
    }
}

/// The output rows of all strips.
pub(crate) fn strips(height: usize, rows: usize) -> Vec<Range<usize>> {
    (0..height)
        .step_by(rows.max(1))
        .map(|start| start..(start + rows).min(height))
        .collect()
}

/// All distinct heights of equal strips, from the whole image down to one row.
pub(crate) fn strip_heights(height: usize) -> Vec<usize> {
    let mut heights: Vec<usize> = (1..=height).map(|n| height.div_ceil(n)).collect();
    heights.dedup();
    heights
}
