//! Timeloop v4: `architecture` with its nodes, `problem` with shape and instance, and the `ERT` that Accelergy writes.
//!
//! An architecture has no energies; they are read from an `ERT` in the same file, and are 0 without one.
//! Widths stand in the memories (`datawidth`), not in the problem.
//! Attributes are an open list, of which the plug-ins of Accelergy read most: those that nothing here reads are left out.
//!
//! # Source
//! Timeloop documentation, version 4, input formats.

use std::collections::BTreeMap;

use ir::tree::{Component, Compute, Direction, Fanout, Memory, Overlap, Port, Tree};
use ir::workload::{Role, Unit, Workload};

use crate::build::{self, CLOCK_HZ, Part, Parts, Tensor};
use crate::expression::Roles;
use crate::finding::Findings;
use crate::table::{At, Named, Names, Table, float};

const SEARCH: &str = "steers the search of Timeloop";
const ACCELERGY: &str = "is for the energy and area of Accelergy";
const SPACE: &str = "narrows the search only; mappings outside it are found too";
const MODEL: &str = "is not in the cost model";
const LEAK: &str = "leakage is not here";
const SPARSE: &str = "sparsity is not here";

/// Attributes of a memory that say how large or how fast it is.
const SIZES: [&str; 12] = [
    "datawidth",
    "word_bits",
    "width",
    "memory_width",
    "depth",
    "memory_depth",
    "block_size",
    "cluster_size",
    "read_bandwidth",
    "write_bandwidth",
    "shared_bandwidth",
    "multiple_buffering",
];

/// What the older form of the format has in place of `nodes`.
const OLDER: &str = "an architecture of Timeloop v3: write it with `nodes`, as v4 does, each component with a tag, \
                     and `PE[0..167]` as `spatial: {meshX: 168}`";

/// Reads the architecture and the problem of the file.
pub(crate) fn read(
    name: &str,
    root: &At<'_>,
    findings: &Findings,
) -> (Option<Tree>, Option<Workload>) {
    let Some(file) = root.fields(findings) else {
        return (None, None);
    };
    let names = Names::variables(&file, findings);
    let energies = file.get("ERT").map(|ert| energies(&ert, findings));
    let problem_at = file.get("problem");
    let problem = problem_at
        .as_ref()
        .and_then(|at| self::problem(at, &names, findings));
    if let Some(variables) = file.get("variables").and_then(|v| v.table()) {
        // The version stands among the variables, as if it were one.
        names.get("version");
        version(&variables, findings);
    }
    let tree = file.get("architecture").and_then(|architecture| {
        let mut reader = Reader {
            findings,
            names: &names,
            energies: energies.as_ref(),
            problem: problem.as_ref(),
            parts: Vec::new(),
            cycle_seconds: names.get("global_cycle_seconds").copied(),
        };
        reader.architecture(name, &architecture)
    });
    names.close("no expression that is read names it", findings);
    if let Some(energies) = &energies {
        energies.close("no component here has this action", findings);
    }
    if let Some(sparse) = file.any(&["sparse_optimizations", "sparse-optimizations"]) {
        sparse.fault(findings, SPARSE);
    }
    file.close(
        &[
            (&["mapper", "mapspace", "globals"], SEARCH),
            (&["mapping"], "a mapping is searched for, not read"),
            (
                &[
                    "components",
                    "compound_components",
                    "ART",
                    "ART_summary",
                    "ERT_summary",
                ],
                ACCELERGY,
            ),
            (
                &[
                    "constraints",
                    "mapspace_constraints",
                    "architecture_constraints",
                ],
                "constraints are read at the nodes of the architecture only",
            ),
        ],
        findings,
    );
    let workload = problem.zip(problem_at).and_then(|(problem, at)| {
        let einsum = build::einsum(&problem.parts, &at, findings)?;
        build::workload(name, vec![einsum], &at, findings)
    });
    (tree, workload)
}

/// Picojoules of each action of each component, `component.action`.
type Energies<'a> = Named<'a, f64>;

fn energies<'a>(ert: &At<'a>, findings: &Findings) -> Energies<'a> {
    let mut energies = Energies::default();
    let Some(ert) = ert.fields(findings) else {
        return energies;
    };
    version(&ert, findings);
    let tables = ert.need("tables", findings);
    for table in tables.iter().flat_map(|t| t.items(findings)) {
        let Some(table) = table.fields(findings) else {
            continue;
        };
        let Some(name) = table.need("name", findings).and_then(|n| n.text(findings)) else {
            continue;
        };
        // `system.buffer[1..16]`
        let name = name.split('[').next().unwrap_or(name);
        let name = name.rsplit('.').next().unwrap_or(name);
        let actions = table.need("actions", findings);
        for at in actions.iter().flat_map(|a| a.items(findings)) {
            let Some(action) = at.fields(findings) else {
                continue;
            };
            let kind = action.need("name", findings).and_then(|n| n.text(findings));
            let energy = action.need("energy", findings);
            let energy = energy.and_then(|e| e.number(&Names::default(), findings));
            if let Some(arguments) = action.get("arguments")
                && arguments
                    .fields(findings)
                    .is_some_and(|a| !a.all().is_empty())
            {
                arguments.ignore(findings, "one energy per action is read");
            }
            action.close(&[], findings);
            let (Some(kind), Some(energy)) = (kind, energy) else {
                continue;
            };
            let key = format!("{name}.{kind}");
            if energies.has(&key) {
                let message = format!("a second energy of `{kind}` of `{name}`: one is possible");
                at.fault(findings, message);
            }
            energies.insert(&key, energy, at);
        }
        table.close(&[], findings);
    }
    ert.close(&[], findings);
    energies
}

/// Notes a version other than that of the documentation that this follows.
fn version(table: &Table<'_>, findings: &Findings) {
    if let Some(version) = table.get("version")
        && version.node.text() != Some("0.4")
    {
        version.ignore(findings, "is not 0.4, and is read as if it were");
    }
}

/// The problem, with what the constraints of an architecture refer to.
struct Problem {
    parts: Parts,
    /// What each data space is.
    roles: BTreeMap<String, Role>,
    /// Every dimension of the shape, also those of bound 1.
    dimensions: Vec<String>,
}

fn problem(at: &At<'_>, names: &Names<'_>, findings: &Findings) -> Option<Problem> {
    let table = at.fields(findings)?;
    let shape = table.need("shape", findings)?;
    if let Some(known) = shape.node.text() {
        let message = format!("the shape `{known}` that Timeloop knows by name: write it out");
        shape.fault(findings, message);
        return None;
    }
    let shape = shape.fields(findings)?;
    let instance = table.need("instance", findings)?.fields(findings)?;
    let dimensions = shape.need("dimensions", findings)?;
    let dimensions: Vec<String> = dimensions
        .texts(findings)
        .into_iter()
        .map(str::to_owned)
        .collect();

    let mut coefficients: BTreeMap<String, u64> = BTreeMap::new();
    for item in shape
        .get("coefficients")
        .iter()
        .flat_map(|c| c.items(findings))
    {
        let Some(item) = item.fields(findings) else {
            continue;
        };
        let Some(key) = item.need("name", findings).and_then(|n| n.text(findings)) else {
            continue;
        };
        let default = item.get("default");
        if let (Some(default), true) = (&default, instance.at().has(key)) {
            default.accept();
        }
        let value = instance.get(key).or(default);
        item.close(&[], findings);
        let value = value.and_then(|v| v.whole(1..=0xFFFF, names, findings));
        coefficients.insert(key.to_owned(), value.unwrap_or(1));
    }
    let mut ranks = Vec::new();
    for dimension in &dimensions {
        let bound = instance.need(dimension, findings);
        let bound = bound.and_then(|b| b.whole(1..=0xFF_FFFF, names, findings));
        ranks.push((dimension.clone(), bound.unwrap_or(1)));
    }
    for (key, value) in instance.all() {
        // Padding and the size of the input follow from the dimensions.
        if !dimensions.iter().any(|d| d == key)
            && !coefficients.contains_key(key)
            && key != "densities"
        {
            value.ignore(
                findings,
                "is neither a dimension nor a coefficient of the shape",
            );
        }
    }

    let spaces = shape.any(&["data_spaces", "data-spaces"]);
    if spaces.is_none() {
        shape.at().fault(findings, "`data_spaces` is missing");
    }
    let mut inputs = Vec::new();
    let mut output = None;
    for space in spaces.iter().flat_map(|s| s.items(findings)) {
        let Some(space) = space.fields(findings) else {
            continue;
        };
        let name = space.need("name", findings).and_then(|n| n.text(findings));
        let projection = space.need("projection", findings);
        let (Some(name), Some(projection)) = (name, projection) else {
            continue;
        };
        let indices = projection
            .items(findings)
            .iter()
            .map(|index| self::index(index, &dimensions, &coefficients, findings))
            .collect();
        let tensor = Tensor {
            name: name.to_owned(),
            indices,
            bits: 8,
        };
        let writes = space.any(&["read_write", "read-write"]);
        let writes = writes.and_then(|w| w.truth(findings)).unwrap_or(false);
        if !writes {
            inputs.push(tensor);
        } else if output.replace(tensor).is_some() {
            space
                .at()
                .fault(findings, "a second data space that is written");
        }
        space.close(&[], findings);
    }
    let densities = instance.get("densities").and_then(|d| d.fields(findings));
    for (space, density) in densities.iter().flat_map(Table::all) {
        if density.node.text().and_then(|t| t.parse().ok()) != Some(1.0) {
            density.fault(findings, SPARSE);
        } else if !inputs.iter().chain(&output).any(|t| t.name == space) {
            density.ignore(findings, "is no data space of the shape");
        }
    }
    let shape_name = shape
        .get("name")
        .and_then(|n| n.text(findings))
        .unwrap_or("problem");
    shape.close(&[], findings);
    version(&table, findings);
    table.close(&[], findings);
    at.note(
        findings,
        "no widths in the format: 8 bits, and 32 of a partial sum, where a memory has no `datawidth`",
    );
    let Some(output) = output else {
        table.at().fault(findings, "no data space is written");
        return None;
    };
    let weights = inputs
        .iter()
        .find(|t| role_of_name(&t.name) == Some(Role::Weights));
    let weights = weights.or(inputs.get(1)).map(|t| t.name.clone());
    let role = |t: &Tensor| match weights.as_ref() == Some(&t.name) {
        true => (t.name.clone(), Role::Weights),
        false => (t.name.clone(), Role::Input),
    };
    let mut roles: BTreeMap<String, Role> = inputs.iter().map(role).collect();
    roles.insert(output.name.clone(), Role::Output);
    // A rank that indexes nothing is a batch of one in the shapes that come with Timeloop.
    ranks.retain(|(rank, bound)| {
        *bound > 1 || output.uses(rank) || inputs.iter().any(|t| t.uses(rank))
    });
    Some(Problem {
        parts: Parts {
            name: shape_name.to_owned(),
            unit: Unit::Mac,
            repeat: 1,
            ranks,
            inputs,
            output,
            weights,
            partial_bits: 32,
        },
        roles,
        dimensions,
    })
}

/// An index such as `[[P, Wstride], [R, Wdilation]]`.
fn index(
    at: &At<'_>,
    dimensions: &[String],
    coefficients: &BTreeMap<String, u64>,
    findings: &Findings,
) -> Vec<(u64, String)> {
    let mut terms = Vec::new();
    for term in at.items(findings) {
        let texts = term.texts(findings);
        let (Some(rank), factor) = (texts.first(), texts.get(1)) else {
            term.fault(findings, "a term without a dimension");
            continue;
        };
        if !dimensions.iter().any(|d| d == rank) {
            term.fault(findings, format!("`{rank}` is no dimension of the shape"));
            continue;
        }
        let factor = match factor {
            None => Some(1),
            Some(name) => coefficients.get(*name).copied().or(name.parse().ok()),
        };
        match factor {
            Some(factor) if texts.len() <= 2 => terms.push((factor, (*rank).to_owned())),
            _ => term.fault(findings, "is no dimension with a coefficient of the shape"),
        }
    }
    terms
}

/// The words of a list, or of a text with spaces or commas, each with its place.
fn words<'a>(at: &At<'a>, findings: &Findings) -> Vec<(At<'a>, &'a str)> {
    let items = at.list().unwrap_or_else(|| vec![at.clone()]);
    let mut words = Vec::new();
    for item in items {
        let text = item.text(findings).unwrap_or("");
        let split = text.split([' ', ',']).filter(|word| !word.is_empty());
        words.extend(split.map(|word| (item.clone(), word)));
    }
    words
}

/// What a data space of the usual names is.
fn role_of_name(name: &str) -> Option<Role> {
    match name.to_ascii_lowercase().as_str() {
        "weights" | "weight" | "filters" | "filter" | "w" | "b" => Some(Role::Weights),
        "inputs" | "input" | "ifmap" | "i" | "a" => Some(Role::Input),
        "outputs" | "output" | "ofmap" | "psum" | "psums" | "o" | "z" | "c" => Some(Role::Output),
        _ => None,
    }
}

/// What the memories among `parts` must keep.
fn must(parts: &[Part<'_>]) -> Roles {
    let must = |part: &Component| match part {
        Component::Memory(m) => Roles::of(&m.keeps).without(Roles::of(&m.may_bypass)),
        _ => Roles::NONE,
    };
    let parts = parts.iter().map(|(part, _)| must(part));
    parts.fold(Roles::NONE, Roles::or)
}

/// Constraints of a node.
#[derive(Default)]
struct Constraints<'a> {
    table: Option<Table<'a>>,
    spatial: Option<At<'a>>,
    dataspace: Option<At<'a>>,
}

impl Constraints<'_> {
    /// Ends the table, when `spatial` and `dataspace` have been read.
    fn close(&self, findings: &Findings) {
        if let Some(table) = &self.table {
            table.close(&[], findings);
        }
    }
}

struct Reader<'a, 'f> {
    findings: &'f Findings,
    names: &'f Names<'f>,
    energies: Option<&'f Energies<'f>>,
    problem: Option<&'f Problem>,
    parts: Vec<Part<'a>>,
    /// The time of a cycle.
    cycle_seconds: Option<f64>,
}

impl<'a> Reader<'a, '_> {
    fn architecture(&mut self, name: &str, at: &At<'a>) -> Option<Tree> {
        let findings = self.findings;
        let table = at.fields(findings)?;
        if let Some(older) = table.any(&["subtree", "local"]) {
            older.fault(findings, OLDER);
            return None;
        }
        let nodes = table.need("nodes", findings)?;
        self.nodes(&nodes);
        version(&table, findings);
        table.close(&[], findings);
        if self.energies.is_none() {
            let message =
                "no energies: they are 0; append the ERT that Accelergy writes to this file";
            at.note(findings, message);
        }
        let clock_hz = self.clock_hz(at);
        let outermost = self.parts.iter_mut().find_map(|(part, _)| match part {
            Component::Memory(memory) => Some(memory),
            _ => None,
        });
        if let Some(memory) = outermost {
            // What is free to bypass elsewhere begins and ends here.
            memory.may_bypass.clear();
        }
        let parts = std::mem::take(&mut self.parts);
        build::tree(name, "Timeloop", clock_hz, parts, at, findings)
    }

    fn clock_hz(&self, at: &At<'a>) -> u64 {
        match self.cycle_seconds {
            Some(seconds) if seconds > 1e-15 && seconds <= 1.0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 1 and 10^15"
                )]
                let clock_hz = (1.0 / seconds).round() as u64;
                clock_hz
            }
            _ => {
                at.note(
                    self.findings,
                    "no `global_cycle_seconds` from 1e-15 to 1: the clock is 1 GHz",
                );
                CLOCK_HZ
            }
        }
    }

    fn nodes(&mut self, at: &At<'a>) {
        for node in at.items(self.findings) {
            self.node(&node);
        }
    }

    fn node(&mut self, at: &At<'a>) {
        let findings = self.findings;
        match at.node.tag() {
            Some("Container") => self.container(at),
            Some("Component") => self.component(at),
            Some("Hierarchical") => self.inner(at, Self::nodes),
            Some("Parallel") => self.inner(at, Self::parallel),
            Some("Nothing") => at.ignore(findings, "is nothing"),
            Some(tag) => at.fault(findings, format!("`!{tag}` is not here")),
            None => at.fault(findings, "a node without `!Component` or `!Container`"),
        }
    }

    /// Reads the nodes inside of `at`.
    fn inner(&mut self, at: &At<'a>, read: fn(&mut Self, &At<'a>)) {
        let findings = self.findings;
        let Some(table) = at.fields(findings) else {
            return;
        };
        if let Some(nodes) = table.need("nodes", findings) {
            read(self, &nodes);
        }
        table.close(&[], findings);
    }

    /// Memories of different tensors beside each other need no order; whatever else stands beside something would
    /// stand above it here. What one branch must keep does not pass through the others.
    fn parallel(&mut self, at: &At<'a>) {
        let findings = self.findings;
        let nodes = at.items(findings);
        let mut branches = Vec::new();
        for node in &nodes {
            let first = self.parts.len();
            self.node(node);
            branches.push(first..self.parts.len());
        }
        let must: Vec<Roles> = branches
            .iter()
            .map(|b| must(&self.parts[b.clone()]))
            .collect();
        let mut kept = Roles::NONE;
        for (index, (node, branch)) in nodes.iter().zip(branches).enumerate() {
            let others = must.iter().enumerate().filter(|(other, _)| *other != index);
            let others = others.fold(Roles::NONE, |all, (_, roles)| all.or(*roles));
            let mut keeps = must[index];
            for (part, _) in &mut self.parts[branch] {
                if let Component::Memory(memory) = part {
                    let passes = |role: &Role| !others.has(*role);
                    memory.keeps.retain(passes);
                    memory.may_bypass.retain(passes);
                    memory.value_bits.retain(|role, _| passes(role));
                    keeps = keeps.or(Roles::of(&memory.keeps));
                } else if index + 1 < nodes.len() {
                    let message = "only memories can stand beside each other: put the rest behind `!Parallel`";
                    node.fault(findings, message);
                }
            }
            if keeps.and(kept) != Roles::NONE {
                let message =
                    "may keep what its neighbour keeps: say with `keep` what each of them has";
                node.fault(findings, message);
            }
            kept = kept.or(keeps);
        }
    }

    /// The name, of a single thing.
    fn name(&self, table: &Table<'a>) -> &'a str {
        let at = table.need("name", self.findings);
        let name = at.as_ref().and_then(|n| n.text(self.findings));
        if let (Some(at), Some(name)) = (&at, name)
            && name.contains('[')
        {
            let message = format!("`{name}`: how many there are stands in `spatial` as `meshX`");
            at.fault(self.findings, message);
        }
        name.unwrap_or("")
    }

    fn container(&mut self, at: &At<'a>) {
        let findings = self.findings;
        let Some(table) = at.fields(findings) else {
            return;
        };
        let name = self.name(&table);
        self.attributes_of_container(&table);
        let constraints = self.constraints(&table, false);
        self.fanouts(name, &table, &constraints);
        constraints.close(findings);
        table.close(&[(&["class", "subclass"], ACCELERGY)], findings);
    }

    fn attributes_of_container(&mut self, table: &Table<'a>) {
        let findings = self.findings;
        let attributes = table.get("attributes").and_then(|a| a.fields(findings));
        for (key, value) in attributes.iter().flat_map(Table::all) {
            match key {
                "global_cycle_seconds" => {
                    self.cycle_seconds = value.number(self.names, findings);
                }
                "has_power_gating" | "power_gated_at" => value.ignore(findings, LEAK),
                key if SIZES.contains(&key) => {
                    let message = "a container hands no attributes on here: write it at the components inside";
                    value.fault(findings, message);
                }
                _ => value.ignore(findings, ACCELERGY),
            }
        }
    }

    /// The constraints of a node that have a meaning here.
    fn constraints(&self, table: &Table<'a>, is_memory: bool) -> Constraints<'a> {
        let findings = self.findings;
        let mut read = Constraints::default();
        let Some(at) = table.get("constraints") else {
            return read;
        };
        let Some(constraints) = at.fields(findings) else {
            return read;
        };
        read.spatial = constraints.get("spatial");
        read.dataspace = constraints.any(&["dataspace", "data_space"]);
        if let (false, Some(dataspace)) = (is_memory, &read.dataspace) {
            dataspace.ignore(findings, "only a memory keeps anything");
        }
        if let Some(temporal) = constraints.get("temporal").and_then(|t| t.fields(findings)) {
            temporal.leave(&[(&["no_reuse", "rmw_first_update"], MODEL)], findings);
            temporal.leave_rest(SPACE, findings);
        }
        if let Some(overbooked) = constraints.get("max_overbooked_proportion") {
            overbooked.ignore(findings, "a tile must fit into its memory here");
        }
        read.table = Some(constraints);
        read
    }

    /// The copies along X and Y.
    fn fanouts(&mut self, name: &str, table: &Table<'a>, constraints: &Constraints<'a>) {
        let findings = self.findings;
        let spatial = table.get("spatial").and_then(|s| s.fields(findings));
        let sizes: Vec<(&str, At<'a>)> = ["meshX", "meshY"]
            .into_iter()
            .filter_map(|key| Some((key, spatial.as_ref()?.get(key)?)))
            .collect();
        if let (Some(constraint), true) = (&constraints.spatial, sizes.is_empty()) {
            constraint.ignore(
                findings,
                "constrains a fan-out, and without `meshX` or `meshY` is none",
            );
            return;
        }
        let (ranks, shared) = self.spatial_constraints(constraints.spatial.as_ref());
        for (key, size) in &sizes {
            let Some(size_of) = size.whole(1..=1 << 20, self.names, findings) else {
                continue;
            };
            let axis = if sizes.len() > 1 { &key[4..] } else { "" };
            let fanout = Fanout {
                name: build::name(&format!("{name}{axis}")),
                size: size_of,
                ranks: ranks.clone(),
                shares: Vec::new(),
                multicasts: shared
                    .and(Roles::of(&[Role::Input, Role::Weights]))
                    .to_vec(),
                reduces: shared.has(Role::Output),
            };
            self.parts.push((Component::Fanout(fanout), size.clone()));
        }
        if let Some(spatial) = spatial {
            spatial.close(&[], findings);
        }
    }

    /// The ranks that may be unrolled, and the tensors that neighbours share.
    fn spatial_constraints(&self, at: Option<&At<'a>>) -> (Option<Vec<String>>, Roles) {
        let findings = self.findings;
        let mut ranks = None;
        let mut shared = Roles::ALL;
        let Some(table) = at.and_then(|at| at.fields(findings)) else {
            return (ranks, shared);
        };
        let permutation = table.get("permutation");
        let mut universe: Vec<String> = match self.problem {
            Some(problem) => problem.dimensions.clone(),
            None => permutation
                .iter()
                .flat_map(|p| words(p, findings))
                .map(|(_, word)| word.to_owned())
                .collect(),
        };
        if let Some(permutation) = &permutation {
            permutation.ignore(findings, format!("as an order {SPACE}"));
        }
        if let Some(factors) = table.get("factors") {
            if universe.is_empty() {
                let message = "excludes dimensions, but without `permutation` or `problem` no list of all is there";
                factors.fault(findings, message);
            }
            for (at, factor) in words(&factors, findings) {
                let (rank, bound) = factor.split_once('=').unwrap_or((factor, ""));
                let rank = rank.trim_end_matches('<').trim();
                if !universe.iter().any(|r| r == rank) {
                    let message =
                        format!("`{factor}` is of no dimension that is known, or of one twice");
                    at.note(findings, message);
                } else if bound.trim() == "1" {
                    universe.retain(|r| r != rank);
                } else {
                    at.note(findings, format!("`{factor}` {SPACE}"));
                }
            }
            ranks = Some(universe);
        }
        if let Some(no_reuse) = table.get("no_reuse") {
            shared = Roles::ALL.without(self.roles(&no_reuse));
        }
        table.close(
            &[
                (
                    &[
                        "split",
                        "factors_only",
                        "default_max_factor",
                        "default_min_factor",
                        "remainders",
                        "no_iteration_over_dataspaces",
                        "maximize_dims",
                        "min_parallelism",
                        "type",
                        "target",
                    ],
                    SPACE,
                ),
                (&["no_link_transfer"], MODEL),
            ],
            findings,
        );
        (ranks, shared)
    }

    fn component(&mut self, at: &At<'a>) {
        let findings = self.findings;
        let Some(table) = at.fields(findings) else {
            return;
        };
        let name = self.name(&table);
        let class = table
            .need("class", findings)
            .and_then(|c| c.text(findings))
            .unwrap_or("");
        let lower = class.to_ascii_lowercase();
        let is_any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let is_compute = is_any(&["mac", "compute", "multiplier", "alu"]);
        let constraints = self.constraints(&table, !is_compute);
        self.fanouts(name, &table, &constraints);
        if table.get("enabled").and_then(|e| e.truth(findings)) == Some(false) {
            at.fault(findings, "a component that is not enabled");
        }
        if let Some(sparse) = table.get("sparse_optimizations") {
            sparse.fault(findings, SPARSE);
        }
        if is_compute {
            self.compute(name, at, &table);
        } else if is_any(&[
            "dram", "sram", "buffer", "regfile", "register", "storage", "memory", "reg",
        ]) {
            self.memory(name, &lower, at, &table, constraints.dataspace.as_ref());
        } else {
            let message = format!("class `{class}` is neither a memory nor a multiplier");
            at.fault(findings, message);
            return;
        }
        constraints.close(findings);
        table.close(
            &[(
                &[
                    "subclass",
                    "required_actions",
                    "area_scale",
                    "area_share",
                    "energy_scale",
                ],
                ACCELERGY,
            )],
            findings,
        );
    }

    fn energy(&self, component: &str, action: &str) -> f64 {
        let energies = self.energies;
        let energy = energies.and_then(|e| e.get(&format!("{component}.{action}")));
        energy.copied().unwrap_or(0.0)
    }

    fn known_energies(&self, name: &str, action: &str, at: &At<'a>) {
        let key = format!("{name}.{action}");
        if self.energies.is_some_and(|e| !e.has(&key)) {
            let message = format!("the ERT has no `{action}` of `{name}`: its energy is 0");
            at.note(self.findings, message);
        }
    }

    fn compute(&mut self, name: &str, at: &At<'a>, table: &Table<'a>) {
        self.known_energies(name, "compute", at);
        if let Some(attributes) = table.get("attributes") {
            attributes.ignore(self.findings, ACCELERGY);
        }
        let compute = Compute {
            name: build::name(name),
            pj_per_operation: self.energy(name, "compute"),
            vector: None,
        };
        self.parts.push((Component::Compute(compute), at.clone()));
    }

    fn memory(
        &mut self,
        name: &str,
        class: &str,
        at: &At<'a>,
        table: &Table<'a>,
        dataspace: Option<&At<'a>>,
    ) {
        let findings = self.findings;
        let Some(attributes) = table.need("attributes", findings) else {
            return;
        };
        let Some(attributes) = attributes.fields(findings) else {
            return;
        };
        let number = |keys: &[&str]| {
            let at = attributes.any(keys)?;
            at.number(self.names, findings)
        };
        let whole = |keys: &[&str], last: u64| {
            let at = attributes.any(keys)?;
            at.whole(1..=last, self.names, findings)
        };
        let data_bits = whole(&["datawidth", "word_bits", "word-bits"], 64);
        let width = whole(&["width", "memory_width"], 1 << 30);
        let depth = whole(&["depth", "memory_depth"], 1 << 40);
        let is_outermost = !self
            .parts
            .iter()
            .any(|(c, _)| matches!(c, Component::Memory(_)));
        let size_bits = depth
            .zip(width)
            .and_then(|(depth, width)| depth.checked_mul(width));
        if size_bits.is_none() && !is_outermost && !class.contains("dram") {
            at.fault(findings, "a memory without `depth` and `width`");
        }
        if is_outermost && let Some(depth) = attributes.any(&["depth", "memory_depth"]) {
            depth.ignore(findings, build::OUTERMOST);
        }
        for key in [
            "metadata_storage_width",
            "metadata_storage_depth",
            "metadata_datawidth",
            "metadata_block_size",
            "concordant_compressed_tile_traversal",
            "tile_partition_supported",
            "decompression_supported",
            "compression_supported",
        ] {
            if let Some(metadata) = attributes.get(key) {
                metadata.fault(findings, SPARSE);
            }
        }
        for key in [
            "entries",
            "sizeKB",
            "per_dataspace_bandwidth_consumption_scale",
        ] {
            if let Some(other) = attributes.get(key) {
                let message = "is not here: say it with `depth`, `width` and `datawidth`";
                other.fault(findings, message);
            }
        }
        let defaults = [
            ("reduction_supported", "true"),
            ("allow_overbooking", "false"),
            ("network_fill_latency", "0"),
            ("network_drain_latency", "0"),
        ];
        let message = "another value than where it is left out is not here";
        attributes.only(&defaults, self.names, message, findings);
        let buffering = number(&["multiple_buffering"]).unwrap_or(1.0);
        if buffering != 1.0 && buffering != 2.0 {
            let message = format!("`multiple_buffering` is {buffering}: 1 and 2 are here");
            at.fault(findings, message);
        }
        if data_bits.is_none() {
            at.note(findings, "no `datawidth`: a word has 8 bits");
        }
        let bits = data_bits.map_or(8.0, float);
        let port = |bandwidth: Option<f64>, does: &[Direction]| {
            let bandwidth = bandwidth.filter(|b| b.is_finite())?;
            Some(Port {
                does: does.to_vec(),
                bits_per_cycle: bandwidth * bits,
            })
        };
        let both = [Direction::Read, Direction::Write];
        let ports = [
            port(number(&["read_bandwidth"]), &both[..1]),
            port(number(&["write_bandwidth"]), &both[1..]),
            port(number(&["shared_bandwidth"]), &both),
        ];
        let (keeps, may_bypass) = self.data_spaces(dataspace);
        let access_bits = match width {
            Some(width) => float(width),
            None => {
                let words = number(&["block_size"]).unwrap_or(1.0);
                bits * words * number(&["cluster_size"]).unwrap_or(1.0)
            }
        };
        self.known_energies(name, "read", at);
        self.known_energies(name, "write", at);
        let value_bits = data_bits.and_then(|bits| u32::try_from(bits).ok());
        let memory = Memory {
            name: build::name(name),
            size_bits: size_bits.filter(|_| !is_outermost),
            value_bits: keeps
                .iter()
                .filter_map(|r| Some((*r, value_bits?)))
                .collect(),
            keeps,
            may_bypass,
            double_buffered: buffering == 2.0,
            overlap: Overlap::Reuse,
            read_pj_per_bit: self.energy(name, "read") / access_bits,
            write_pj_per_bit: self.energy(name, "write") / access_bits,
            ports: ports.into_iter().flatten().collect(),
        };
        attributes.leave(
            &[
                (&["has_power_gating", "power_gated_at"], LEAK),
                (&["min_utilization"], SPACE),
            ],
            findings,
        );
        attributes.leave_rest(ACCELERGY, findings);
        self.parts.push((Component::Memory(memory), at.clone()));
    }

    /// What a memory keeps and what may pass it by: Timeloop is free in what it does not name.
    fn data_spaces(&self, dataspace: Option<&At<'a>>) -> (Vec<Role>, Vec<Role>) {
        let findings = self.findings;
        let mut keep = Roles::NONE;
        let mut keeps = Roles::ALL;
        if let Some(table) = dataspace.and_then(|d| d.fields(findings)) {
            if let Some(list) = table.get("keep") {
                keep = self.roles(&list);
            }
            if let Some(list) = table.get("keep_only") {
                keep = self.roles(&list);
                keeps = keep;
            }
            if let Some(list) = table.get("bypass") {
                keeps = keeps.without(self.roles(&list));
            }
            table.close(
                &[(&["no_coalesce"], MODEL), (&["type", "target"], SPACE)],
                findings,
            );
        }
        (keeps.to_vec(), keeps.without(keep).to_vec())
    }

    /// The roles of a list of data spaces.
    fn roles(&self, at: &At<'a>) -> Roles {
        let mut roles = Roles::NONE;
        for name in at.texts(self.findings) {
            let role = match self.problem {
                Some(problem) => problem.roles.get(name).copied(),
                None => role_of_name(name),
            };
            match role {
                Some(role) => roles = roles.or(Roles::of(&[role])),
                None => at.fault(
                    self.findings,
                    format!("`{name}` is no data space of the problem"),
                ),
            }
        }
        roles
    }
}
