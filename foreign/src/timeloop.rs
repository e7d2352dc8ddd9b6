//! Timeloop v4: `architecture` with its nodes, `problem` with shape and instance, and the `ERT` that Accelergy writes.
//!
//! An architecture has no energies; they are read from an `ERT` in the same file, and are 0 without one.
//! Widths stand in the memories (`datawidth`), not in the problem.
//!
//! # Source
//! Timeloop documentation, version 4, input formats.

use std::collections::BTreeMap;

use ir::tree::{Component, Compute, Direction, Fanout, Memory, Overlap, Port, Tree};
use ir::workload::{Role, Unit, Workload};

use crate::build::{self, CLOCK_HZ, Part, Parts, Tensor};
use crate::expression::Roles;
use crate::finding::Findings;
use crate::table::{At, Names, Table, float};

const SEARCH: &str = "steers the search of Timeloop";
const ACCELERGY: &str = "is for the energy and area of Accelergy";
const SPACE: &str = "narrows the search only; mappings outside it are found too";

/// Reads the architecture and the problem of the file.
pub(crate) fn read(
    name: &str,
    root: &At<'_>,
    findings: &Findings,
) -> (Option<Tree>, Option<Workload>) {
    let Some(file) = root.fields(findings) else {
        return (None, None);
    };
    let names = variables(&file, findings);
    let energies = file.get("ERT").map(|ert| energies(&ert, findings));
    let problem_at = file.get("problem");
    let problem = problem_at
        .as_ref()
        .and_then(|at| self::problem(at, &names, findings));
    let tree = file.get("architecture").and_then(|architecture| {
        let mut reader = Reader {
            findings,
            names: &names,
            energies: energies.as_ref(),
            problem: problem.as_ref(),
            parts: Vec::new(),
            spans_seconds: names.get("global_cycle_seconds").copied(),
        };
        reader.architecture(name, &architecture)
    });
    if let Some(sparse) = file.any(&["sparse_optimizations", "sparse-optimizations"]) {
        sparse.fault(findings, "sparsity is not here");
    }
    file.close(
        &[
            (&["mapper", "mapping", "globals", "mapspace"], SEARCH),
            (&["components", "ART"], ACCELERGY),
            (
                &[
                    "constraints",
                    "mapspace_constraints",
                    "architecture_constraints",
                ],
                SPACE,
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

/// The numbers of `variables`, which expressions may name.
fn variables(file: &Table<'_>, findings: &Findings) -> Names {
    let mut names = Names::new();
    for (key, value) in file
        .get("variables")
        .iter()
        .filter_map(At::table)
        .flat_map(|t| t.all())
    {
        if let Some(Ok(number)) = value
            .node
            .text()
            .map(|t| crate::expression::number(t, &names))
        {
            names.insert(key.to_owned(), number);
        } else if key != "technology" {
            value.ignore(findings, "is no number");
        }
    }
    names
}

/// Picojoules of each action of each component.
type Energies = BTreeMap<String, BTreeMap<String, f64>>;

fn energies(ert: &At<'_>, findings: &Findings) -> Energies {
    let mut energies = Energies::new();
    let tables = ert
        .fields(findings)
        .and_then(|t| t.need("tables", findings));
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
        for action in actions.iter().flat_map(|a| a.items(findings)) {
            let Some(action) = action.fields(findings) else {
                continue;
            };
            let kind = action.need("name", findings).and_then(|n| n.text(findings));
            let energy = action.need("energy", findings);
            let energy = energy.and_then(|e| e.number(&Names::new(), findings));
            if let (Some(kind), Some(energy)) = (kind, energy) {
                let actions = energies.entry(name.to_owned()).or_default();
                actions.insert(kind.to_owned(), energy);
            }
        }
    }
    energies
}

/// The problem, with what the constraints of an architecture refer to.
struct Problem {
    parts: Parts,
    /// What each data space is.
    roles: BTreeMap<String, Role>,
    /// Every dimension of the shape, also those of bound 1.
    dimensions: Vec<String>,
}

fn problem(at: &At<'_>, names: &Names, findings: &Findings) -> Option<Problem> {
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
        let value = instance.get(key).or_else(|| item.get("default"));
        item.get("default");
        let value = value.and_then(|v| v.whole(1..=0xFFFF, names, findings));
        coefficients.insert(key.to_owned(), value.unwrap_or(1));
    }
    let mut ranks = Vec::new();
    for dimension in &dimensions {
        let bound = instance.need(dimension, findings);
        let bound = bound.and_then(|b| b.whole(1..=0xFF_FFFF, names, findings));
        ranks.push((dimension.clone(), bound.unwrap_or(1)));
    }
    let densities = instance.get("densities");
    for (_, density) in densities.iter().filter_map(At::table).flat_map(|t| t.all()) {
        if density.node.text().and_then(|t| t.parse().ok()) != Some(1.0) {
            density.fault(findings, "sparsity is not here");
        }
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
    let shape_name = shape
        .get("name")
        .and_then(|n| n.node.text())
        .unwrap_or("problem");
    shape.close(&[], findings);
    table.get("version");
    table.close(&[], findings);
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

/// The words of a list, or of a text with spaces or commas.
fn words<'a>(at: &At<'a>, findings: &Findings) -> Vec<&'a str> {
    let split = |text: &'a str| text.split([' ', ',']).filter(|word| !word.is_empty());
    at.texts(findings).into_iter().flat_map(split).collect()
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

struct Reader<'a, 'f> {
    findings: &'f Findings,
    names: &'f Names,
    energies: Option<&'f Energies>,
    problem: Option<&'f Problem>,
    parts: Vec<Part<'a>>,
    spans_seconds: Option<f64>,
}

impl<'a> Reader<'a, '_> {
    fn architecture(&mut self, name: &str, at: &At<'a>) -> Option<Tree> {
        let findings = self.findings;
        let table = at.fields(findings)?;
        if let Some(subtree) = table.get("subtree") {
            let message = "an architecture of Timeloop v3: `nodes` are read, as in v4";
            subtree.fault(findings, message);
            return None;
        }
        let nodes = table.need("nodes", findings)?;
        self.nodes(&nodes);
        table.get("version");
        table.close(&[], findings);
        if self.energies.is_none() {
            let message =
                "no energies: they are 0; append the ERT that Accelergy writes to this file";
            at.ignore(findings, message);
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
        match self.spans_seconds {
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
                at.ignore(
                    self.findings,
                    "no `global_cycle_seconds`: the clock is 1 GHz",
                );
                CLOCK_HZ
            }
        }
    }

    fn nodes(&mut self, at: &At<'a>) {
        for node in at.items(self.findings) {
            match node.node.tag.as_deref() {
                Some("Container") => self.container(&node),
                Some("Component") => self.component(&node),
                // Memories of different tensors beside each other need no order.
                Some("Hierarchical" | "Parallel") => {
                    let Some(table) = node.fields(self.findings) else {
                        continue;
                    };
                    if let Some(nodes) = table.need("nodes", self.findings) {
                        self.nodes(&nodes);
                    }
                    table.close(&[], self.findings);
                }
                Some("Nothing") => {}
                Some(tag) => node.fault(self.findings, format!("`!{tag}` is not here")),
                None => node.fault(self.findings, "a node without `!Component` or `!Container`"),
            }
        }
    }

    fn container(&mut self, at: &At<'a>) {
        let findings = self.findings;
        let Some(table) = at.fields(findings) else {
            return;
        };
        let name = table
            .need("name", findings)
            .and_then(|n| n.text(findings))
            .unwrap_or("");
        self.attributes_of_container(&table);
        let constraints = table.get("constraints");
        self.fanouts(name, &table, constraints.as_ref());
        if let Some(constraints) = constraints.as_ref().and_then(|c| c.fields(findings)) {
            constraints.get("spatial");
            constraints.close(&[(&["temporal", "dataspace"], SPACE)], findings);
        }
        table.close(&[(&["class", "subclass"], ACCELERGY)], findings);
    }

    fn attributes_of_container(&mut self, table: &Table<'a>) {
        let Some(attributes) = table.get("attributes") else {
            return;
        };
        for (key, value) in attributes.table().iter().flat_map(Table::all) {
            if key == "global_cycle_seconds" {
                self.spans_seconds = value.number(self.names, self.findings);
            } else {
                value.ignore(self.findings, ACCELERGY);
            }
        }
    }

    /// The copies along X and Y.
    fn fanouts(&mut self, name: &str, table: &Table<'a>, constraints: Option<&At<'a>>) {
        let findings = self.findings;
        let Some(spatial) = table.get("spatial") else {
            return;
        };
        let Some(spatial) = spatial.fields(findings) else {
            return;
        };
        let sizes: Vec<(&str, At<'a>)> = ["meshX", "meshY"]
            .into_iter()
            .filter_map(|key| Some((key, spatial.get(key)?)))
            .collect();
        let constraints = constraints
            .and_then(At::table)
            .and_then(|c| c.get("spatial"));
        let (ranks, shared) = self.spatial_constraints(constraints.as_ref());
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
        spatial.close(&[], findings);
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
        if let Some(factors) = table.get("factors") {
            let mut universe: Vec<String> = match self.problem {
                Some(problem) => problem.dimensions.clone(),
                None => permutation
                    .iter()
                    .flat_map(|p| words(p, findings))
                    .map(str::to_owned)
                    .collect(),
            };
            if universe.is_empty() {
                let message = "excludes dimensions, but without `permutation` or `problem` no list of all is there";
                factors.fault(findings, message);
            }
            for factor in words(&factors, findings) {
                match factor.split_once('=') {
                    Some((rank, "1")) => universe.retain(|r| r != rank.trim()),
                    _ => factors.ignore(findings, format!("`{factor}` {SPACE}")),
                }
            }
            ranks = Some(universe);
        }
        if let Some(no_reuse) = table.get("no_reuse") {
            shared = Roles::ALL.without(self.roles(&no_reuse));
        }
        table.close(
            &[(
                &[
                    "split",
                    "maximize_dims",
                    "min_parallelism",
                    "type",
                    "target",
                ],
                SPACE,
            )],
            findings,
        );
        (ranks, shared)
    }

    fn component(&mut self, at: &At<'a>) {
        let findings = self.findings;
        let Some(table) = at.fields(findings) else {
            return;
        };
        let name = table
            .need("name", findings)
            .and_then(|n| n.text(findings))
            .unwrap_or("");
        let class = table
            .need("class", findings)
            .and_then(|c| c.text(findings))
            .unwrap_or("");
        let constraints = table.get("constraints");
        self.fanouts(name, &table, constraints.as_ref());
        table.get("subclass");
        if table.get("enabled").and_then(|e| e.truth(findings)) == Some(false) {
            at.fault(findings, "a component that is not enabled");
        }
        let lower = class.to_ascii_lowercase();
        let is_any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        if is_any(&["mac", "compute", "multiplier", "alu"]) {
            self.compute(name, at, &table);
        } else if is_any(&[
            "dram", "sram", "buffer", "regfile", "register", "storage", "memory", "reg",
        ]) {
            self.memory(name, &lower, at, &table, constraints.as_ref());
        } else {
            let message = format!("class `{class}` is neither a memory nor a multiplier");
            at.fault(findings, message);
            table.get("attributes");
        }
        table.close(
            &[(
                &["required_actions", "area_scale", "energy_scale"],
                ACCELERGY,
            )],
            findings,
        );
    }

    fn energy(&self, component: &str, action: &str) -> f64 {
        let actions = self.energies.and_then(|energies| energies.get(component));
        actions.and_then(|a| a.get(action)).copied().unwrap_or(0.0)
    }

    fn known_energies(&self, name: &str, action: &str, at: &At<'a>) {
        let known = |e: &Energies| e.get(name).is_some_and(|a| a.contains_key(action));
        if self.energies.is_some_and(|e| !known(e)) {
            let message = format!("the ERT has no `{action}` of `{name}`: its energy is 0");
            at.ignore(self.findings, message);
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
        constraints: Option<&At<'a>>,
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
        if let (true, Some(_)) = (is_outermost, size_bits) {
            at.ignore(
                findings,
                "the size of the outermost memory: it is as large as needed",
            );
        }
        for key in [
            "metadata_storage_width",
            "metadata_storage_depth",
            "metadata_datawidth",
        ] {
            if let Some(metadata) = attributes.get(key) {
                metadata.fault(findings, "sparsity is not here");
            }
        }
        let buffering = number(&["multiple_buffering"]).unwrap_or(1.0);
        if buffering != 1.0 && buffering != 2.0 {
            let message = format!("`multiple_buffering` is {buffering}: 1 and 2 are here");
            at.fault(findings, message);
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
        let (keeps, may_bypass) = self.data_spaces(constraints);
        let access_bits = width.map_or(bits, float);
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
        attributes.close(
            &[
                (
                    &[
                        "technology",
                        "type",
                        "n_banks",
                        "n_ports",
                        "num_ports",
                        "n_rdwr_ports",
                        "n_rd_ports",
                        "n_wr_ports",
                        "nports",
                        "cluster_size",
                        "update_fifo_depth",
                        "latency",
                        "has_power_gating",
                        "action_latency_cycles",
                        "block_size",
                        "cycle_time",
                        "global_cycle_seconds",
                    ],
                    ACCELERGY,
                ),
                (&["min_utilization"], SPACE),
            ],
            findings,
        );
        self.parts.push((Component::Memory(memory), at.clone()));
    }

    /// What a memory keeps and what may pass it by: Timeloop is free in what it does not name.
    fn data_spaces(&self, constraints: Option<&At<'a>>) -> (Vec<Role>, Vec<Role>) {
        let findings = self.findings;
        let mut keep = Roles::NONE;
        let mut keeps = Roles::ALL;
        if let Some(constraints) = constraints.and_then(|c| c.fields(findings)) {
            let table = constraints.any(&["dataspace", "data_space"]);
            if let Some(table) = table.and_then(|t| t.fields(findings)) {
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
                table.close(&[], findings);
            }
            constraints.get("spatial");
            constraints.close(&[(&["temporal"], SPACE)], findings);
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
