//! What directives decide about a network: the settings of each einsum and the place of each tensor, or which of them
//! contradict each other or a limit.

use std::collections::BTreeMap;

use ir::arch::{Arch, Dataflow};
use ir::directive::{Place, Placed, Residency, Setting};
use ir::mapping::{Order, RowMapping};
use ir::network::{Network, TensorId};
use ir::op::Kind;

use crate::depth_first::{self, Runs};
use crate::error::{Conflict, MapError};
use crate::mapspace::{Infeasible, Mapspace, Shortfall};
use crate::plan::{self, Given, row_words};
use crate::sums::Sums;

/// What is decided about the mapping of one einsum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) dataflow: Option<Dataflow>,
    pub(crate) order: Option<Order>,
    pub(crate) tile_rows: Option<usize>,
    pub(crate) tile_cols: Option<usize>,
    pub(crate) group_tiles: Option<usize>,
}

impl Decided {
    fn of<'a>(cites: impl IntoIterator<Item = &'a Cite>) -> Decided {
        let mut decided = Decided::default();
        for cite in cites {
            match cite.setting {
                Setting::Dataflow(dataflow) => decided.dataflow = Some(dataflow),
                Setting::Order(order) => decided.order = Some(order),
                Setting::TileRows(n) => decided.tile_rows = Some(n),
                Setting::TileCols(n) => decided.tile_cols = Some(n),
                Setting::GroupTiles(n) => decided.group_tiles = Some(n),
                Setting::Rows(_)
                | Setting::StripRows(_)
                | Setting::Inputs(_)
                | Setting::Output(_) => {}
            }
        }
        decided
    }
}

/// A setting of an einsum, and the directive that says so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cite {
    pub(crate) einsum: usize,
    pub(crate) setting: Setting,
    pub(crate) place: Place,
}

/// The settings of all einsums, free of contradictions among themselves.
pub(crate) struct Settled {
    cites: Vec<Vec<Cite>>,
}

/// A directive without effect on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// The directive.
    pub directive: Placed,
    /// Why it has none.
    pub reason: &'static str,
}

/// The directives that say nothing about `network`.
pub fn idle(network: &Network, directives: &[Placed]) -> Vec<Idle> {
    let reason = |placed: &Placed| {
        let directive = &placed.directive;
        let mut selected = network
            .einsums
            .iter()
            .filter(|einsum| directive.selects(network, einsum))
            .peekable();
        if selected.peek().is_none() {
            return Some("it selects no layer");
        }
        let of_array = directive.settings.iter().all(Setting::is_of_array);
        (of_array && !selected.any(|einsum| is_on_array(&einsum.kind)))
            .then_some("the layers it selects do not run on the array")
    };
    let one = |placed: &Placed| {
        reason(placed).map(|reason| Idle {
            directive: placed.clone(),
            reason,
        })
    };
    directives.iter().filter_map(one).collect()
}

fn is_on_array(kind: &Kind) -> bool {
    match kind {
        Kind::Conv(_) | Kind::AveragePool(_) => true,
        Kind::Select(op) => !op.repeats(),
        _ => false,
    }
}

/// Collects what `directives` say about each einsum, and checks each setting alone and against the others.
pub(crate) fn settle(
    network: &Network,
    arch: &Arch,
    directives: &[Placed],
    taps: &[Result<Sums, String>],
    runs: &Runs,
) -> Result<Settled, MapError> {
    let mut cites: Vec<Vec<Cite>> = Vec::new();
    for (index, einsum) in network.einsums.iter().enumerate() {
        let mut of_einsum: Vec<Cite> = Vec::new();
        let output = network.tensor(einsum.output);
        let clamp = |setting| match setting {
            Setting::TileRows(n) => Setting::TileRows(n.min(output.height)),
            Setting::StripRows(n) => Setting::StripRows(n.min(output.height)),
            Setting::TileCols(n) => Setting::TileCols(n.min(output.width)),
            Setting::GroupTiles(n) => {
                let n_tiles = output.channels.div_ceil(arch.array.cols as usize);
                Setting::GroupTiles(n.min(n_tiles))
            }
            other => other,
        };
        for placed in directives
            .iter()
            .filter(|placed| placed.directive.selects(network, einsum))
        {
            for (&setting, place) in placed.directive.settings.iter().zip(&placed.settings) {
                if setting.is_of_array() && !is_on_array(&einsum.kind) {
                    continue;
                }
                let cite = Cite {
                    einsum: index,
                    setting,
                    place: place.clone(),
                };
                let same = of_einsum
                    .iter()
                    .find(|other| other.setting.key() == setting.key());
                match same {
                    Some(other) if clamp(other.setting) == clamp(setting) => {}
                    Some(other) => {
                        let (a, b) = (other.setting, setting);
                        return Err(Conflict::of(
                            &[other, &cite],
                            format!("`{}`: `{a}` and `{b}` cannot both hold", einsum.name),
                            "change one of them, or select fewer layers with it",
                        ));
                    }
                    None => of_einsum.push(cite),
                }
            }
        }
        of_einsum
            .iter()
            .try_for_each(|cite| check_alone(network, arch, cite, &taps[index]))?;
        check_strip(network, index, &of_einsum)?;
        cites.push(of_einsum);
    }
    check_tensors(network, arch, &cites, runs)?;
    Ok(Settled { cites })
}

/// Whether an arch can obey a setting whatever else holds.
fn check_alone(
    network: &Network,
    arch: &Arch,
    cite: &Cite,
    taps: &Result<Sums, String>,
) -> Result<(), MapError> {
    let einsum = &network.einsums[cite.einsum].name;
    match (cite.setting, taps) {
        (Setting::Dataflow(dataflow), _) if !arch.has(dataflow) => Err(Conflict::of(
            &[cite],
            // Without the arch's name, so that an exploration can count it.
            format!("`{einsum}`: the arch has no `{}` dataflow", dataflow.name()),
            "add it to `array.dataflows` in the arch",
        )),
        (Setting::Rows(RowMapping::Taps), Err(obstacle)) => Err(Conflict::of(
            &[cite],
            format!("`{einsum}` cannot pack taps: {obstacle}"),
            "use `rows=channels`, or select fewer layers",
        )),
        _ => Ok(()),
    }
}

/// A tile lies in a strip.
fn check_strip(network: &Network, index: usize, cites: &[Cite]) -> Result<(), MapError> {
    let einsum = &network.einsums[index];
    let height = network.tensor(einsum.output).height;
    let find = |key: fn(&Setting) -> Option<usize>| {
        cites
            .iter()
            .find_map(|cite| Some((cite, key(&cite.setting)?.min(height))))
    };
    let tile = find(|setting| match setting {
        Setting::TileRows(n) => Some(*n),
        _ => None,
    });
    let strip = find(|setting| match setting {
        Setting::StripRows(n) => Some(*n),
        _ => None,
    });
    match (tile, strip) {
        (Some((tile, rows)), Some((strip, available))) if rows > available => Err(Conflict::of(
            &[tile, strip],
            format!(
                "`{}`: a tile of {rows} rows is larger than a strip of {available}",
                einsum.name
            ),
            "decide smaller tiles or larger strips",
        )),
        _ => Ok(()),
    }
}

/// The tensors that a setting places, with their place.
fn tensors<'a>(
    network: &'a Network,
    cite: &Cite,
) -> impl Iterator<Item = (TensorId, Residency)> + 'a {
    let einsum = &network.einsums[cite.einsum];
    let (ids, place): (&[TensorId], _) = match cite.setting {
        Setting::Inputs(place) => (&einsum.inputs, place),
        Setting::Output(place) => (std::slice::from_ref(&einsum.output), place),
        _ => (&[], Residency::Stays),
    };
    ids.iter().map(move |id| (*id, place))
}

/// Each tensor has one place, and packed taps come from an image that stays.
fn check_tensors(
    network: &Network,
    arch: &Arch,
    cites: &[Vec<Cite>],
    runs: &Runs,
) -> Result<(), MapError> {
    let mut places: BTreeMap<TensorId, (Residency, &Cite)> = BTreeMap::new();
    let describe = |cite: &Cite| {
        let einsum = &network.einsums[cite.einsum];
        format!("`{}` of `{}`", cite.setting, einsum.name)
    };
    for cite in cites.iter().flatten() {
        for (id, place) in tensors(network, cite) {
            let tensor = network.tensor(id);
            match places.insert(id, (place, cite)) {
                Some((other, before)) if other != place => {
                    return Err(Conflict::of(
                        &[before, cite],
                        format!(
                            "tensor `{}`: {} and {} cannot both hold",
                            tensor.name,
                            describe(before),
                            describe(cite)
                        ),
                        "change one of them, or select fewer layers with it",
                    ));
                }
                _ => {}
            }
        }
    }
    let taps = |cite: &&Cite| cite.setting == Setting::Rows(RowMapping::Taps);
    for packing in cites.iter().flatten().filter(taps) {
        let image = network.einsums[packing.einsum].inputs[0];
        if let Some((Residency::Spills, cite)) = places.get(&image) {
            return Err(Conflict::of(
                &[packing, cite],
                format!(
                    "tensor `{}`: {} needs it whole, {} does not let it stay",
                    network.tensor(image).name,
                    describe(packing),
                    describe(cite)
                ),
                "use `rows=channels`, or let it stay",
            ));
        }
    }
    for (id, (place, cite)) in places {
        let tensor = network.tensor(id);
        let producer = network.einsums.iter().position(|e| e.output == id);
        if place == Residency::Passes && producer.is_none_or(|from| runs[from].is_empty()) {
            return Err(Conflict::of(
                &[cite],
                format!(
                    "tensor `{}`: {} needs a run of at most {} layers from the one that computes it, whose results \
                     nobody else reads and whose constants fit arch `{}` together",
                    tensor.name,
                    describe(cite),
                    depth_first::LONGEST,
                    arch.name
                ),
                "let it stay or spill, or raise `weights.words` and `parameters.channels` in the arch",
            ));
        }
        let words = u64::from(row_words(network, arch, id)) * tensor.height as u64;
        let available = arch.activations.words;
        // The image of packed taps is smaller; the plan knows.
        let may_pack = network.inputs.contains(&id);
        if place == Residency::Stays && words > available.into() && !may_pack {
            return Err(Conflict::of(
                &[cite],
                format!(
                    "tensor `{}`: {} needs {words} words in one bank, arch `{}` has {available}",
                    tensor.name,
                    describe(cite),
                    arch.name
                ),
                "let it spill, or raise `activations.words` in the arch",
            ));
        }
    }
    Ok(())
}

impl Settled {
    /// What is decided about the mapping of an einsum.
    pub(crate) fn decided(&self, index: usize) -> Decided {
        Decided::of(&self.cites[index])
    }

    /// What the rows of the array stand for in an einsum, if that is decided.
    pub(crate) fn rows(&self, index: usize) -> Option<RowMapping> {
        self.cites[index]
            .iter()
            .find_map(|cite| match cite.setting {
                Setting::Rows(rows) => Some(rows),
                _ => None,
            })
    }

    /// What is given of a plan.
    pub(crate) fn given(
        &self,
        network: &Network,
        packed: &dyn Fn(usize) -> plan::PackedSize,
    ) -> Given {
        given(network, self.cites.iter().flatten(), packed)
    }

    /// Why no mapping of `mapspace` fits: the fewest settings that leave none, and the limit that they are closest to.
    pub(crate) fn no_mapping(&self, network: &Network, index: usize, space: &Mapspace) -> MapError {
        let einsum = &network.einsums[index].name;
        let narrowed = |cites: &[&Cite]| {
            let decided = Decided::of(cites.iter().copied());
            space.narrowed(decided)
        };
        let open = |cites: &[&Cite]| {
            let space = narrowed(cites);
            let choices = space.choices();
            choices
                .iter()
                .any(|choice| space.infeasible(choice).is_none())
        };
        let all = self.cites[index]
            .iter()
            .filter(|cite| Decided::of([*cite]) != Decided::default());
        let core = fewest(all.collect(), &open);
        let space = narrowed(&core);
        let mut shortfalls: Vec<Shortfall> = space
            .choices()
            .iter()
            .filter_map(|choice| space.shortfall(choice))
            .collect();
        // What is exceeded by the smallest part.
        shortfalls.sort_by(|a, b| {
            let excess =
                |a: &Shortfall, b: &Shortfall| u128::from(a.needed) * u128::from(b.available);
            excess(a, b).cmp(&excess(b, a)).then(a.cmp(b))
        });
        let Some(shortfall) = shortfalls.first() else {
            unreachable!("a space without a mapping has points that do not fit")
        };
        let why = shortfall.sentence(space.arch);
        let mut core = core;
        if !core.is_empty() && shortfall.reason == Infeasible::Order && !space.split {
            let spills = |cite: &&Cite| cite.setting == Setting::Output(Residency::Spills);
            core.extend(self.cites[index].iter().find(spills));
        }
        if core.is_empty() {
            return MapError::Unsupported {
                einsum: einsum.clone(),
                reason: format!("no mapping fits: {why}"),
                help: shortfall.help().to_owned(),
            };
        }
        Conflict::of(
            &core,
            format!("`{einsum}`: no mapping obeys {}: {why}", settings(&core)),
            shortfall.help(),
        )
    }

    /// Why there is no plan: the fewest settings without which there would be one.
    pub(crate) fn no_plan(
        &self,
        network: &Network,
        error: MapError,
        packed: &dyn Fn(usize) -> plan::PackedSize,
        plan: &dyn Fn(&Given) -> Result<(), MapError>,
    ) -> MapError {
        let open = |cites: &[&Cite]| {
            let given = given(network, cites.iter().copied(), packed);
            plan(&given).is_ok()
        };
        let all = self.cites.iter().flatten();
        let core = fewest(all.filter(|cite| is_of_plan(cite)).collect(), &open);
        if core.is_empty() {
            return error;
        }
        let error = match plan(&given(network, core.iter().copied(), packed)) {
            Err(error) => error,
            Ok(()) => error,
        };
        let listed: Vec<String> = core
            .iter()
            .map(|cite| {
                format!(
                    "`{}` of `{}`",
                    cite.setting, network.einsums[cite.einsum].name
                )
            })
            .collect();
        Conflict::of(
            &core,
            format!("no plan of the banks obeys {}: {error}", listed.join(", ")),
            "let tensors spill, decide smaller strips, or raise `activations.words` in the arch",
        )
    }
}

/// Whether a plan depends on a setting.
fn is_of_plan(cite: &Cite) -> bool {
    matches!(
        cite.setting,
        Setting::StripRows(_)
            | Setting::Inputs(_)
            | Setting::Output(_)
            | Setting::Rows(RowMapping::Taps)
    )
}

fn given<'a>(
    network: &Network,
    cites: impl Iterator<Item = &'a Cite>,
    packed: &dyn Fn(usize) -> plan::PackedSize,
) -> Given {
    let mut given = Given::default();
    for cite in cites {
        given.residency.extend(tensors(network, cite));
        match cite.setting {
            Setting::StripRows(rows) => drop(given.strip_rows.insert(cite.einsum, rows)),
            Setting::Rows(RowMapping::Taps) => {
                given.packed.insert(cite.einsum, packed(cite.einsum));
            }
            _ => {}
        }
    }
    given
}

/// Leaves out of `cites`, one after the other, those without which the rest still leaves nothing open.
fn fewest<'a>(mut cites: Vec<&'a Cite>, open: &dyn Fn(&[&'a Cite]) -> bool) -> Vec<&'a Cite> {
    let mut at = 0;
    while at < cites.len() {
        let mut fewer = cites.clone();
        fewer.remove(at);
        if open(&fewer) {
            at += 1;
        } else {
            cites = fewer;
        }
    }
    cites
}

fn settings(cites: &[&Cite]) -> String {
    let list: Vec<String> = cites
        .iter()
        .map(|cite| format!("`{}`", cite.setting))
        .collect();
    list.join(" with ")
}
