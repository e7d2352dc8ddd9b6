//! Where activations lie: which tensors stay in a bank, and in how many rows at a time the others pass through.
//!
//! Einsums are planned in order. A tensor stays in one bank from its producer to its last consumer if there is room;
//! otherwise it lies in memory and goes through the banks in strips of whole rows, two strips at a time if possible.
//! In a depth-first run it passes from einsum to einsum in strips and is never in memory.
//! Where an einsum finds no room at all, the largest tensor that stays without need is sent to memory, and planning
//! starts again.

use ir::fit::Fit;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ir::arch::Arch;
use ir::directive::Residency;
use ir::network::{Network, TensorId};
use ir::op::{Kind, Window};

use crate::depth_first::{Run, Runs};
use crate::error::MapError;
use crate::sums::{input_rows, select_window};

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
    /// It is in memory, and goes through these areas in strips.
    Strips(Vec<Area>),
    /// It passes through these areas in strips, from the einsum that computes it to its readers in the same
    /// depth-first run.
    Passes {
        areas: Vec<Area>,
        /// Rows that each strip keeps from the one before.
        halo: usize,
    },
}

/// The strips of the output rows of an einsum: `first` rows, then `rows` at a time, and last what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strips {
    pub(crate) height: usize,
    pub(crate) first: usize,
    pub(crate) rows: usize,
}

/// The plan of one einsum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EinsumPlan {
    /// The strips of output rows; one where all tensors are whole.
    pub(crate) strips: Strips,
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
            Access::Passes { .. } => 1,
            Access::Fetch(_) => 2,
            Access::Strips(_) => 3,
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
            && self.strips.tallest() >= other.strips.tallest()
    }

    fn areas(&mut self) -> impl Iterator<Item = &mut Area> {
        let accesses = self.inputs.iter_mut().chain([&mut self.output]);
        let areas = accesses.flat_map(|access| match access {
            Access::Bank(area) | Access::Fetch(area) => std::slice::from_mut(area),
            Access::Strips(areas) | Access::Passes { areas, .. } => areas,
        });
        areas.chain(&mut self.packed)
    }

    /// Whether the output stays where it stays with `other`.
    pub(crate) fn output_as_good_as(&self, other: &EinsumPlan) -> bool {
        self.output.as_good_as(&other.output) && self.stored <= other.stored
    }
}

/// The same plans with the banks numbered in the order in which they come up. Which bank is which changes no cycle, so
/// plans of a layer or a run for which this is the same cost the same.
pub(crate) fn canonical(plans: &[EinsumPlan], arch: &Arch) -> Vec<EinsumPlan> {
    let mut plans = plans.to_vec();
    let words = arch.activations.words;
    let mut banks: Vec<u32> = Vec::new();
    for area in plans.iter_mut().flat_map(EinsumPlan::areas) {
        let bank = area.start / words;
        let known = banks.iter().position(|other| *other == bank);
        let number = known.unwrap_or_else(|| {
            banks.push(bank);
            banks.len() - 1
        });
        area.start = number.fit::<u32>() * words + area.start % words;
    }
    plans
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
    (t.channels.div_ceil(arch.word_bytes() as usize) * t.width).fit::<u32>()
}

/// The window of an operator; of one value where it has none.
pub(crate) fn window(kind: &Kind) -> Window {
    match kind {
        Kind::Conv(op) => op.window,
        Kind::AveragePool(op) => op.window,
        Kind::MaxPool(op) => op.window,
        Kind::ConvAdd(op) => op.conv.window,
        Kind::Select(op) => select_window(op).map_or(Window::dense([1, 1]), |found| found.0),
        Kind::Add(_) | Kind::Concat(_) | Kind::Table(_) | Kind::Mul(_) => Window::dense([1, 1]),
    }
}

/// The input rows that the output rows `rows` of an einsum read of each operand.
pub(crate) fn operand_rows(network: &Network, einsum: usize, rows: &Range<usize>) -> Range<usize> {
    let einsum = &network.einsums[einsum];
    let height = network.tensor(einsum.inputs[0]).height;
    if let Kind::Select(op) = &einsum.kind
        && op.repeats()
    {
        return rows.start / op.rows.repeat..rows.end.div_ceil(op.rows.repeat);
    }
    input_rows(&window(&einsum.kind), height, rows)
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

impl Given {
    /// The tensors with a place.
    fn placed(&self, place: Residency) -> BTreeSet<TensorId> {
        let tensors = self.residency.iter().filter(|(_, p)| **p == place);
        tensors.map(|(id, _)| *id).collect()
    }

    fn passes(&self, tensor: TensorId) -> bool {
        self.residency.get(&tensor) == Some(&Residency::Passes)
    }
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
                start: bank.fit::<u32>() * self.words + start,
                words,
            };
            self.used[bank].push(area);
            self.used[bank].sort();
            Some(area)
        })
    }

    fn gap(&self, bank: usize, words: u32) -> Option<u32> {
        let base = bank.fit::<u32>() * self.words;
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

/// The plans of one einsum, or of the einsums of a depth-first run, and the state that they leave.
pub(crate) type Step = (Vec<EinsumPlan>, State);

/// The plans that the einsum `index` can have after `state`, alone or with those that follow it in a depth-first run:
/// operands in memory loaded whole or in strips, the last output staying or not, and where tensors come in strips, each
/// of the [`STRIP_HEIGHTS`] tallest heights that fit twice, or the tallest that fits once; for a run only the tallest.
/// A run is left out where all that passes in it can stay in the banks instead.
pub(crate) fn steps(
    network: &Network,
    arch: &Arch,
    keep_all: bool,
    runs: &Runs,
    given: &Given,
    index: usize,
    state: &State,
) -> Vec<Step> {
    let planner = Planner {
        network,
        arch,
        keep_all,
        runs,
        given,
        stays: &given.placed(Residency::Stays),
        spilled: &given.placed(Residency::Spills),
        state: state.clone(),
    };
    let mut steps: Vec<Step> = Vec::new();
    for members in planner.members(index) {
        if planner.can_stay(&members) {
            continue;
        }
        for (fetch, stay) in MODES {
            let most = if members.len() > 1 { 1 } else { STRIP_HEIGHTS };
            for (slots, most) in [(2, most), (1, 1)] {
                let of_slots = planner.strip_choices(members.end - 1).into_iter();
                let fitting = of_slots
                    .filter(|choice| choice.1 == slots)
                    .filter_map(|choice| planner.step(&members, fetch, stay, &[choice]));
                for step in fitting.take(most) {
                    if !steps.contains(&step) {
                        steps.push(step);
                    }
                }
            }
        }
    }
    steps
}

/// Strip heights that a search tries for one einsum.
const STRIP_HEIGHTS: usize = 3;

/// Whether operands are loaded whole, and whether the output stays; what moves least first.
const MODES: [(bool, bool); 4] = [(true, true), (false, true), (true, false), (false, false)];

/// Plans all einsums of `network`, as far as they are not given.
pub(crate) fn plan(
    network: &Network,
    arch: &Arch,
    keep_all: bool,
    runs: &Runs,
    given: &Given,
) -> Result<Vec<EinsumPlan>, MapError> {
    let stays = given.placed(Residency::Stays);
    let mut spilled = given.placed(Residency::Spills);
    loop {
        let mut planner = Planner {
            network,
            arch,
            keep_all,
            runs,
            given,
            stays: &stays,
            spilled: &spilled,
            state: State::empty(arch),
        };
        let mut plans = Vec::new();
        while plans.len() < network.einsums.len() && planner.next(&mut plans) {}
        let stuck = plans.len();
        if stuck == network.einsums.len() {
            return Ok(plans);
        }
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

/// Every reason why `network` has no plan; none if it has one.
pub(crate) fn problems(network: &Network, arch: &Arch) -> Vec<MapError> {
    let given = Given::default();
    let no_runs = vec![Vec::new(); network.einsums.len()];
    let Err(stuck) = plan(network, arch, false, &no_runs, &given) else {
        return Vec::new();
    };
    // Planning ends where it is stuck, but what is too large by itself is so behind that place, too.
    let alone = |index| no_room(network, arch, &given, index, 0);
    let mut problems: Vec<MapError> = (0..network.einsums.len())
        .map(alone)
        .filter(|problem| matches!(problem, MapError::Capacity { .. }))
        .collect();
    if problems.is_empty() {
        problems.push(stuck);
    }
    problems
}

/// The least that an einsum needs: one strip of the output, and of each operand the rows for it, beside the words that
/// are `held` by others.
fn no_room(network: &Network, arch: &Arch, given: &Given, index: usize, held: u32) -> MapError {
    let einsum = &network.einsums[index];
    if given.passes(einsum.output) {
        return MapError::Unsupported {
            einsum: einsum.name.clone(),
            reason: "no run of layers from here has strips that fit: those of the last layer decide all others, none may \
                     be empty, and what passes takes two strips in the banks"
                .to_owned(),
            help: "raise `activations.words` in the arch".to_owned(),
        };
    }
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
        rows.fit::<u32>() * row_words(network, arch, *id)
    };
    let operand = Strips::even(height, rows)
        .ranges()
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
    let taps = packed.map(|size| (einsum.inputs[0], size.row_words * rows.fit::<u32>()));
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
    runs: &'a Runs,
    given: &'a Given,
    stays: &'a BTreeSet<TensorId>,
    spilled: &'a BTreeSet<TensorId>,
    /// What is on chip at the moment.
    state: State,
}

impl Planner<'_> {
    /// Plans the next einsum, or the shortest depth-first run from it that what is given allows.
    fn next(&mut self, plans: &mut Vec<EinsumPlan>) -> bool {
        let mut fitting = self
            .members(plans.len())
            .filter(|members| self.allows(members));
        let Some(members) = fitting.next() else {
            return false;
        };
        drop(fitting);
        let strips = self.strip_choices(members.end - 1);
        let mut steps = MODES
            .into_iter()
            .filter_map(|(fetch, stay)| self.step(&members, fetch, stay, &strips));
        let Some((more, state)) = steps.next() else {
            return false;
        };
        self.state = state;
        plans.extend(more);
        true
    }

    /// The einsum `first` alone, and the runs that start with it.
    fn members(&self, first: usize) -> impl Iterator<Item = Range<usize>> {
        std::iter::once(first..first + 1).chain(self.runs[first].iter().cloned())
    }

    /// Whether all outputs of `members` but the last can stay in the banks; not if one of them is to pass.
    fn can_stay(&self, members: &Range<usize>) -> bool {
        let mut state = self.state.clone();
        let mut between = members.start..members.end - 1;
        !between.is_empty()
            && between.all(|index| {
                let planner = Planner {
                    state: state.clone(),
                    ..*self
                };
                let mut modes = MODES.into_iter().filter(|(_, stay)| *stay);
                let strips = planner.strip_choices(index);
                let step = modes.find_map(|(fetch, stay)| {
                    planner.step(&(index..index + 1), fetch, stay, &strips)
                });
                step.map(|(_, next)| state = next).is_some()
            })
    }

    /// Whether all that passes does so inside of `members`, and nothing else must.
    fn allows(&self, members: &Range<usize>) -> bool {
        let output = |index: usize| self.network.einsums[index].output;
        let between = |index: usize| {
            !self.stays.contains(&output(index))
                && self.given.residency.get(&output(index)) != Some(&Residency::Spills)
                && !self.given.strip_rows.contains_key(&index)
        };
        (members.start..members.end - 1).all(between) && !self.given.passes(output(members.end - 1))
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

    /// The plans of `members`, one einsum or a run, with the first of `strips` that fits, and the state that they leave.
    fn step(
        &self,
        members: &Range<usize>,
        fetch: bool,
        stay: bool,
        strips: &[(usize, usize)],
    ) -> Option<Step> {
        if !self.allows(members) {
            return None;
        }
        let State {
            mut banks,
            mut staying,
        } = self.state.clone();
        let plans = match members.len() {
            1 => vec![self.mode(members.start, &mut banks, (fetch, stay), strips)?],
            _ => {
                let mut fitting = strips.iter().filter_map(|&(rows, slots)| {
                    let run = Run::new(self.network, members.clone(), rows)?;
                    let mut trial = banks.clone();
                    let plans = self.run(&run, &mut trial, (fetch, stay), slots)?;
                    Some((plans, trial))
                });
                let (plans, trial) = fitting.next()?;
                banks = trial;
                plans
            }
        };
        for (einsum, plan) in self.network.einsums[members.clone()].iter().zip(&plans) {
            for (&id, access) in einsum
                .inputs
                .iter()
                .zip(&plan.inputs)
                .chain([(&einsum.output, &plan.output)])
            {
                match access {
                    Access::Bank(area) | Access::Fetch(area) => drop(staying.insert(id, *area)),
                    Access::Strips(areas) | Access::Passes { areas, .. } => {
                        areas.iter().for_each(|area| banks.release(*area));
                    }
                }
            }
            plan.packed.iter().for_each(|area| banks.release(*area));
        }
        let later = &self.network.einsums[members.end..];
        staying.retain(|id, area| {
            let needed = later.iter().any(|e| e.inputs.contains(id));
            if !needed {
                banks.release(*area);
            }
            needed
        });
        Some((plans, State { banks, staying }))
    }

    /// Plans of a run, with all room taken until its end.
    fn run(
        &self,
        run: &Run,
        banks: &mut Banks,
        (fetch, stay): (bool, bool),
        slots: usize,
    ) -> Option<Vec<EinsumPlan>> {
        // Rows are copied from one strip to the next by the vector engine.
        let copies = run.halos.iter().any(|halo| *halo > 0);
        if copies && (slots < 2 || !self.arch.vector.max_pool) {
            return None;
        }
        let last = run.members.end - 1;
        let mut known: BTreeMap<TensorId, Access> = BTreeMap::new();
        let mut plans = Vec::new();
        for (at, index) in run.members.clone().enumerate() {
            let (einsum, strips) = (&self.network.einsums[index], run.strips[at]);
            let packed = self.given.packed.get(&index);
            let mut inputs = Vec::new();
            for (position, &id) in einsum.inputs.iter().enumerate() {
                if let Some(twice) = einsum.inputs[..position]
                    .iter()
                    .position(|other| *other == id)
                {
                    inputs.push(Access::clone(&inputs[twice]));
                    continue;
                }
                let access = match known.get(&id) {
                    Some(access) => access.clone(),
                    None => self.operand(id, packed, fetch, banks, &|banks| {
                        self.slots(index, id, &strips, slots, banks)
                    })?,
                };
                if let Access::Fetch(area) = access {
                    known.insert(id, Access::Bank(area));
                }
                inputs.push(access);
            }
            let output = einsum.output;
            let access = if index < last {
                let rows = strips
                    .tallest()
                    .max(strips.rows + run.halos[at])
                    .min(strips.height);
                let words =
                    rows.fit::<u32>()
                        .checked_mul(row_words(self.network, self.arch, output))?;
                let areas = (0..slots).map(|_| self.take(banks, words));
                Access::Passes {
                    areas: areas.collect::<Option<_>>()?,
                    halo: run.halos[at],
                }
            } else if stay && !self.spilled.contains(&output) {
                Access::Bank(banks.take(self.whole(output)?)?)
            } else {
                Access::Strips(self.slots(index, output, &strips, slots, banks)?)
            };
            known.insert(output, access.clone());
            let placed = (einsum.inputs.iter().zip(&inputs)).chain([(&output, &access)]);
            let in_strips = placed.filter(|(_, access)| matches!(access, Access::Strips(_)));
            if in_strips.into_iter().any(|(id, _)| self.stays.contains(id)) {
                return None;
            }
            let packed = match packed {
                Some(size) => {
                    let words = size.row_words.checked_mul(strips.tallest().fit::<u32>())?;
                    (0..slots)
                        .map(|_| self.take(banks, words))
                        .collect::<Option<_>>()?
                }
                None => Vec::new(),
            };
            let to_memory = matches!(access, Access::Strips(_));
            plans.push(EinsumPlan {
                strips,
                inputs,
                output: access,
                packed,
                stored: to_memory || self.keep_all || self.network.outputs.contains(&output),
            });
        }
        Some(plans)
    }

    /// How an operand is reached that no einsum of the run has brought: where it stays, loaded whole, or in strips.
    fn operand(
        &self,
        id: TensorId,
        packed: Option<&PackedSize>,
        fetch: bool,
        banks: &mut Banks,
        strips: &dyn Fn(&mut Banks) -> Option<Vec<Area>>,
    ) -> Option<Access> {
        if let Some(area) = self.state.staying.get(&id) {
            return Some(Access::Bank(*area));
        }
        if let Some(size) = packed {
            return Some(Access::Fetch(self.take(banks, size.image_words)?));
        }
        if fetch && !self.spilled.contains(&id) {
            return Some(Access::Fetch(banks.take(self.whole(id)?)?));
        }
        strips(banks).map(Access::Strips)
    }

    /// The words of a whole tensor, if a bank holds them.
    fn whole(&self, id: TensorId) -> Option<u32> {
        let rows = self.network.tensor(id).height.fit::<u32>();
        rows.checked_mul(row_words(self.network, self.arch, id))
            .filter(|words| *words <= self.arch.activations.words)
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
        let packed = self.given.packed.get(&index);
        let mut known: BTreeMap<TensorId, Access> = BTreeMap::new();
        for &id in &einsum.inputs {
            if known.contains_key(&id) {
                continue;
            }
            let access = self.operand(id, packed, fetch, banks, &|_| Some(Vec::new()))?;
            known.insert(id, access);
        }
        let output = if stay && !self.spilled.contains(&einsum.output) {
            Access::Bank(banks.take(self.whole(einsum.output)?)?)
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
            let words = size.row_words.checked_mul(height.fit::<u32>());
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
                let strips = Strips::even(height, rows);
                let areas = passing
                    .iter()
                    .map(|&id| self.slots(index, id, &strips, slots, &mut trial));
                let areas: Vec<Vec<Area>> = areas.collect::<Option<_>>()?;
                if let Some(size) = packed {
                    let words = size.row_words.checked_mul(rows.fit::<u32>())?;
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
            strips: Strips::even(height, strip_rows),
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

    /// Areas for strips of `tensor`, at most as many as there are strips.
    fn slots(
        &self,
        index: usize,
        tensor: TensorId,
        strips: &Strips,
        slots: usize,
        banks: &mut Banks,
    ) -> Option<Vec<Area>> {
        let is_output = self.network.einsums[index].output == tensor;
        let of = |strip: &Range<usize>| {
            if is_output {
                strip.len()
            } else {
                operand_rows(self.network, index, strip).len()
            }
        };
        let most = strips.ranges().iter().map(of).max()?.max(1).fit::<u32>();
        let words = most.checked_mul(row_words(self.network, self.arch, tensor))?;
        if words > self.arch.activations.words {
            return None;
        }
        (0..slots.min(strips.count()))
            .map(|_| banks.take(words))
            .collect()
    }
}

impl Strips {
    /// Strips of equal height, the last of what is left.
    pub(crate) fn even(height: usize, rows: usize) -> Strips {
        Strips {
            height,
            first: rows.min(height),
            rows,
        }
    }

    /// The output rows of each strip.
    pub(crate) fn ranges(&self) -> Vec<Range<usize>> {
        let rest = (self.first..self.height).step_by(self.rows.max(1));
        let rest = rest.map(|start| start..(start + self.rows).min(self.height));
        std::iter::once(0..self.first).chain(rest).collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        1 + (self.height - self.first).div_ceil(self.rows.max(1))
    }

    /// The rows of the tallest strip.
    pub(crate) fn tallest(&self) -> usize {
        self.first.max(self.rows).min(self.height)
    }
}

/// All distinct heights of equal strips, from the whole image down to one row.
pub(crate) fn strip_heights(height: usize) -> Vec<usize> {
    let mut heights: Vec<usize> = (1..=height).map(|n| height.div_ceil(n)).collect();
    heights.dedup();
    heights
}
