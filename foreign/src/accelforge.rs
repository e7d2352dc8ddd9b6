//! AccelForge 1.0: `arch` with its nodes, and `workload` with its Einsums.
//!
//! Units there are joule, second and bit; per bit if an action does not say how many bits it moves.
//! A component without energies leaves them to a model of its class, which is not here: they are 0.
//!
//! # Source
//! AccelForge 1.0.467, documentation of `Spec`.

use std::collections::BTreeMap;

use ir::tree::{Component, Compute, Direction, Fanout, Memory, Overlap, Port, Tree};
use ir::workload::{Role, Unit, Workload};

use crate::build::{self, CLOCK_HZ, Part, Parts, Tensor};
use crate::expression::{self, Roles};
use crate::finding::Findings;
use crate::table::{At, Named, Names, Table};

const MODELS: &str = "is for the component models, which are not here";
const SCALE: &str = "a scale other than 1 is not here";
const FETCHES: &str = "outputs that begin with a value from above are not here";
const LEAK: &str = "leakage is not here";
const SPACE: &str = "narrows the search only; mappings outside it are found too";
const SEARCH: &str = "steers the search of AccelForge";

/// Reads the architecture and the workload of the file.
pub(crate) fn read(
    name: &str,
    root: &At<'_>,
    findings: &Findings,
) -> (Option<Tree>, Option<Workload>) {
    let Some(file) = root.fields(findings) else {
        return (None, None);
    };
    let names = Names::variables(&file, findings);
    let workload = file
        .get("workload")
        .and_then(|w| workload(name, &w, &names, findings));
    let tree = file.get("arch").and_then(|arch| {
        let reader = Reader {
            findings,
            names: &names,
            parts: Vec::new(),
            kept: BTreeMap::new(),
            clock_hz: None,
            pending: Vec::new(),
        };
        reader.arch(name, &arch)
    });
    let renames = "says which tensor is `input`, `weight` and `output`; here the weights of an Einsum are its second input";
    names.close("no expression that is read names it", findings);
    file.close(
        &[
            (&["renames"], renames),
            (&["mapper", "model", "config"], SEARCH),
            (&["mapping"], "a mapping is searched for, not read"),
        ],
        findings,
    );
    (tree, workload)
}

/// The key that says whether sums begin with what stands in the memory above.
const SKIPS: [(&str, &str); 1] = [("skip_initial_output_write", "true")];

/// The name of a node to which nothing refers.
fn names_itself(table: &Table<'_>) {
    if let Some(name) = table.get("name") {
        name.accept();
    }
}

/// A bandwidth in bits per second, to be divided by the clock, which stands at the compute.
struct PendingPort {
    part: usize,
    does: Vec<Direction>,
    bits_per_second: f64,
}

struct Reader<'a, 'f> {
    findings: &'f Findings,
    names: &'f Names<'f>,
    parts: Vec<Part<'a>>,
    /// What each memory must keep.
    kept: BTreeMap<String, Roles>,
    clock_hz: Option<u64>,
    pending: Vec<PendingPort>,
}

impl<'a> Reader<'a, '_> {
    fn arch(mut self, name: &str, at: &At<'a>) -> Option<Tree> {
        let findings = self.findings;
        let table = at.fields(findings)?;
        let nodes = table.need("nodes", findings)?;
        self.nodes(&nodes);
        table.close(
            &[
                (&["extra_attributes_for_all_component_models"], MODELS),
                (&["variables"], "is not looked at"),
            ],
            findings,
        );
        let clock_hz = self.clock_hz.unwrap_or_else(|| {
            at.note(
                findings,
                "no finite throughput of the compute: the clock is 1 GHz",
            );
            CLOCK_HZ
        });
        for port in std::mem::take(&mut self.pending) {
            if let (Component::Memory(memory), _) = &mut self.parts[port.part] {
                memory.ports.push(Port {
                    does: port.does,
                    bits_per_cycle: port.bits_per_second / crate::table::float(clock_hz),
                });
            }
        }
        if let Some((Component::Memory(memory), _)) = self.parts.first_mut() {
            // Everything begins and ends here; what may stay inside is decided where einsums are fused.
            memory.may_bypass.clear();
        }
        build::tree(name, "AccelForge", clock_hz, self.parts, at, findings)
    }

    fn nodes(&mut self, at: &At<'a>) {
        let findings = self.findings;
        for node in at.items(findings) {
            match node.node.tag() {
                Some("Memory") => self.memory(&node),
                Some("Container") => {
                    let Some(table) = node.fields(findings) else {
                        continue;
                    };
                    self.fanouts(&table);
                    self.common(&table);
                    table.close(&[], findings);
                }
                Some("Compute") => self.compute(&node),
                Some("Hierarchical") => {
                    let Some(table) = node.fields(findings) else {
                        continue;
                    };
                    names_itself(&table);
                    if let Some(nodes) = table.need("nodes", findings) {
                        self.nodes(&nodes);
                    }
                    table.close(&[], findings);
                }
                Some(tag) => node.fault(findings, format!("`!{tag}` is not here")),
                None => node.fault(
                    findings,
                    "a node without `!Memory`, `!Container` or `!Compute`",
                ),
            }
        }
    }

    /// The keys of every component, of which those with a meaning are refused.
    fn common(&self, table: &Table<'a>) {
        let findings = self.findings;
        names_itself(table);
        let defaults = [
            ("energy_scale", "1"),
            ("throughput_scale", "1"),
            ("latency_scale", "1"),
            ("actions_scale", "1"),
            ("n_parallel_instances", "1"),
        ];
        table.only(&defaults, self.names, SCALE, findings);
        if let Some(enabled) = table.get("enabled")
            && enabled
                .node
                .text()
                .is_none_or(|t| !t.eq_ignore_ascii_case("true"))
        {
            enabled.fault(findings, "a component that is there for some Einsums only");
        }
        for (keys, reason) in [
            (
                &["area", "total_area", "area_scale"][..],
                "area is not here",
            ),
            (
                &["leak_power", "total_leak_power", "leak_power_scale"][..],
                LEAK,
            ),
            (
                &[
                    "component_class",
                    "extra_attributes_for_component_model",
                    "component_model",
                ][..],
                MODELS,
            ),
        ] {
            for key in keys {
                if let Some(value) = table.get(key)
                    && value.node.text() != Some("0")
                {
                    value.ignore(findings, reason);
                }
            }
        }
    }

    fn fanouts(&mut self, table: &Table<'a>) {
        let findings = self.findings;
        let owner = table.get("name").and_then(|n| n.node.text()).unwrap_or("");
        for at in table.get("spatial").iter().flat_map(|s| s.items(findings)) {
            let Some(spatial) = at.fields(findings) else {
                continue;
            };
            let name = spatial
                .need("name", findings)
                .and_then(|n| n.text(findings));
            let size = spatial.need("fanout", findings);
            let size = size.and_then(|s| s.whole(1..=1 << 20, self.names, findings));
            let set = |key: &str| spatial.get(key).map(|at| self.roles(&at));
            let (reuse, may_reuse) = (set("reuse"), set("may_reuse"));
            let shared = may_reuse.or(reuse).unwrap_or(Roles::ALL);
            let ranks = spatial
                .get("loop_bounds")
                .and_then(|b| self.loop_bounds(&b));
            spatial.only(&[("usage_scale", "1")], self.names, SCALE, findings);
            spatial.close(
                &[(&["min_usage"], SPACE), (&["power_gateable"], LEAK)],
                findings,
            );
            let (Some(name), Some(size)) = (name, size) else {
                continue;
            };
            let name = build::name(name);
            let is_new = self.parts.iter().all(|(part, _)| part.name() != name);
            let fanout = Fanout {
                name: if is_new {
                    name
                } else {
                    build::name(&format!("{owner}_{name}"))
                },
                size,
                ranks,
                shares: reuse.unwrap_or(Roles::NONE).to_vec(),
                multicasts: shared
                    .and(Roles::of(&[Role::Input, Role::Weights]))
                    .to_vec(),
                reduces: shared.has(Role::Output),
            };
            self.parts.push((Component::Fanout(fanout), at.clone()));
        }
    }

    /// `~m == 1`: only `m` may be unrolled. Others narrow the search.
    fn loop_bounds(&self, at: &At<'a>) -> Option<Vec<String>> {
        let findings = self.findings;
        let mut ranks = None;
        for bound in at.items(findings) {
            let Some(table) = bound.fields(findings) else {
                continue;
            };
            let text = |key: &str| {
                let text = table.need(key, findings);
                text.and_then(|t| t.text(findings)).unwrap_or("")
            };
            let (expression, operator, value) =
                (text("expression"), text("operator"), text("value"));
            let names = expression.strip_prefix('~').unwrap_or("");
            let names = names.trim_matches(['(', ')']).split('|').map(str::trim);
            let names: Vec<String> = names.map(str::to_owned).collect();
            let is_rank = |name: &String| *name == build::name(name);
            if matches!((operator, value), ("==" | "<=", "1"))
                && ranks.is_none()
                && names.iter().all(is_rank)
            {
                ranks = Some(names);
            } else {
                bound.ignore(findings, SPACE);
            }
            table.close(&[], findings);
        }
        ranks
    }

    /// Picojoules and bits per second of each action of `kinds`, per bit; without any action that is not given.
    fn actions<const N: usize>(
        &self,
        table: &Table<'a>,
        kinds: [&str; N],
    ) -> [(Option<f64>, Option<f64>); N] {
        let findings = self.findings;
        let mut read = [None; N];
        let default_bits = table.get("bits_per_action");
        let default_bits = default_bits.and_then(|b| b.number(self.names, findings));
        for at in table.get("actions").iter().flat_map(|a| a.items(findings)) {
            let Some(action) = at.fields(findings) else {
                continue;
            };
            let name = action.need("name", findings).and_then(|n| n.text(findings));
            let Some(index) = kinds.iter().position(|kind| Some(*kind) == name) else {
                at.ignore(findings, "is not among the actions that are counted here");
                continue;
            };
            let number = |key: &str| action.get(key).and_then(|n| n.number(self.names, findings));
            let bits = number("bits_per_action").or(default_bits).unwrap_or(1.0);
            let energy = number("energy").map(|joule| joule * 1e12 / bits);
            let throughput = number("throughput").map(|throughput| throughput * bits);
            let defaults = [
                ("energy_scale", "1"),
                ("throughput_scale", "1"),
                ("latency_scale", "1"),
            ];
            action.only(&defaults, self.names, SCALE, findings);
            action.close(
                &[(&["extra_attributes_for_component_model"], MODELS)],
                findings,
            );
            if read[index].replace((energy, throughput)).is_some() {
                at.fault(findings, "an action that is there already");
            }
        }
        read.map(Option::unwrap_or_default)
    }

    fn memory(&mut self, at: &At<'a>) {
        let findings = self.findings;
        let Some(table) = at.fields(findings) else {
            return;
        };
        let name = table
            .need("name", findings)
            .and_then(|n| n.text(findings))
            .unwrap_or("");
        self.fanouts(&table);
        self.common(&table);
        let size_at = table.need("size", findings);
        let size = size_at
            .as_ref()
            .and_then(|s| s.number(self.names, findings));
        let is_outermost = self.parts.is_empty();
        let size_bits = size.filter(|size| size.is_finite()).map(|size| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a size of nonsense is refused with the tree"
            )]
            let bits = size.floor().min(1e18) as u64;
            bits
        });
        if let (true, Some(_), Some(size_at)) = (is_outermost, size_bits, size_at) {
            size_at.ignore(findings, build::OUTERMOST);
        }
        let (keep, keeps) = self.tensors(&table);
        self.kept.insert(name.to_owned(), keep);
        let values = table.get("values_per_action");
        if let Some(values) = values {
            values.fault(findings, "actions of several values are not here");
        }
        table.only(&SKIPS, self.names, FETCHES, findings);
        let [(read, reads), (write, writes)] = self.actions(&table, ["read", "write"]);
        if read.is_none() || write.is_none() {
            at.note(
                findings,
                "leaves its energies to a component model: they are 0",
            );
        }
        if is_outermost && keeps != Roles::ALL {
            at.fault(findings, "the outermost memory keeps every tensor here");
        }
        let memory = Memory {
            name: build::name(name),
            size_bits: size_bits.filter(|_| !is_outermost),
            keeps: keeps.to_vec(),
            may_bypass: keeps.without(keep).to_vec(),
            value_bits: self.value_bits(&table, keeps),
            double_buffered: false,
            overlap: Overlap::Reuse,
            read_pj_per_bit: read.unwrap_or(0.0),
            write_pj_per_bit: write.unwrap_or(0.0),
            ports: Vec::new(),
        };
        self.ports(&table, reads, writes);
        table.close(&[], findings);
        if keeps == Roles::NONE {
            at.note(findings, "keeps nothing");
            let index = self.parts.len();
            self.pending.retain(|port| port.part != index);
            return;
        }
        self.parts.push((Component::Memory(memory), at.clone()));
    }

    /// What a memory must keep, and what it may keep besides.
    fn tensors(&self, table: &Table<'a>) -> (Roles, Roles) {
        let findings = self.findings;
        let Some(tensors) = table.get("tensors").and_then(|t| t.fields(findings)) else {
            return (Roles::NONE, Roles::ALL);
        };
        let set = |key: &str| tensors.get(key).map(|at| self.roles(&at));
        let (keep, may_keep) = (set("keep"), set("may_keep"));
        for key in ["back", "no_refetch_from_above", "no_resend_to_below"] {
            if let Some(at) = tensors.get(key) {
                at.fault(findings, "is not here");
            }
        }
        tensors.close(
            &[(
                &[
                    "tile_shape",
                    "tensor_order_options",
                    "force_memory_hierarchy_order",
                ],
                SPACE,
            )],
            findings,
        );
        let may_keep = may_keep.unwrap_or(match keep {
            Some(_) => Roles::NONE,
            None => Roles::ALL,
        });
        let keep = keep.unwrap_or(Roles::NONE);
        (keep, keep.or(may_keep))
    }

    fn value_bits(&self, table: &Table<'a>, keeps: Roles) -> BTreeMap<Role, u32> {
        let findings = self.findings;
        let mut widths = BTreeMap::new();
        let Some(bits) = table.get("bits_per_value").and_then(|b| b.fields(findings)) else {
            return widths;
        };
        for (key, value) in bits.all() {
            let Some(bits) = value.whole(1..=64, self.names, findings) else {
                continue;
            };
            match expression::roles(key, &|name| self.named(name)) {
                Ok(roles) => {
                    if roles.and(keeps) == Roles::NONE {
                        value.ignore(findings, "the memory keeps no such tensor");
                    }
                    for role in roles.and(keeps).to_vec() {
                        widths.insert(role, u32::try_from(bits).unwrap_or(64));
                    }
                }
                Err(reason) => value.fault(findings, reason),
            }
        }
        widths
    }

    /// One port for both directions, as the sum over the actions says, or one for each, as their maximum says.
    fn ports(&mut self, table: &Table<'a>, reads: Option<f64>, writes: Option<f64>) {
        let findings = self.findings;
        let latency = table.get("total_latency");
        let text = latency
            .as_ref()
            .and_then(|l| l.node.text())
            .unwrap_or("sum(a.n_calls / a.throughput for a in actions)");
        let finite = |throughput: Option<f64>| throughput.filter(|t| t.is_finite());
        let (reads, writes) = (finite(reads), finite(writes));
        let both = [Direction::Read, Direction::Write];
        let mut port = |does: &[Direction], bits_per_second: f64| {
            let part = self.parts.len();
            self.pending.push(PendingPort {
                part,
                does: does.to_vec(),
                bits_per_second,
            });
        };
        let form: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        match (form.as_str(), reads, writes) {
            (_, None, None) if form.contains("throughput") => {}
            ("sum(a.n_calls/a.throughputforainactions)", Some(reads), Some(writes)) => {
                if (reads - writes).abs() <= 1e-9 * reads {
                    port(&both, reads);
                } else {
                    let message = "reads and writes share a port, but differ in throughput";
                    table.at().fault(findings, message);
                }
            }
            (
                "sum(a.n_calls/a.throughputforainactions)"
                | "max(a.n_calls/a.throughputforainactions)",
                reads,
                writes,
            ) => {
                if let Some(reads) = reads {
                    port(&both[..1], reads);
                }
                if let Some(writes) = writes {
                    port(&both[1..], writes);
                }
            }
            _ => {
                let message = "a latency other than the sum or the maximum over the actions";
                latency
                    .as_ref()
                    .unwrap_or(table.at())
                    .fault(findings, message);
            }
        }
    }

    fn compute(&mut self, at: &At<'a>) {
        let findings = self.findings;
        let Some(table) = at.fields(findings) else {
            return;
        };
        let name = table
            .need("name", findings)
            .and_then(|n| n.text(findings))
            .unwrap_or("");
        self.fanouts(&table);
        self.common(&table);
        table.only(&SKIPS, self.names, FETCHES, findings);
        let [(energy, throughput)] = self.actions(&table, ["compute"]);
        if energy.is_none() {
            at.note(findings, "leaves its energy to a component model: it is 0");
        }
        if let Some(latency) = table.get("total_latency") {
            latency.fault(findings, "a latency of its own");
        }
        if let Some(throughput) = throughput.filter(|t| t.is_finite() && *t >= 1.0 && *t < 1e15) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10^15"
            )]
            let clock_hz = throughput.round() as u64;
            self.clock_hz = Some(clock_hz);
        }
        table.close(&[], findings);
        let compute = Compute {
            name: build::name(name),
            pj_per_operation: energy.unwrap_or(0.0),
            vector: None,
        };
        self.parts.push((Component::Compute(compute), at.clone()));
    }

    /// The value of a set expression.
    fn roles(&self, at: &At<'a>) -> Roles {
        let Some(text) = at.text(self.findings) else {
            return Roles::NONE;
        };
        match expression::roles(text, &|name| self.named(name)) {
            Ok(roles) => roles,
            Err(reason) => {
                at.fault(self.findings, reason);
                Roles::NONE
            }
        }
    }

    /// The sets that have a name: within one Einsum there are no intermediates.
    fn named(&self, name: &str) -> Option<Roles> {
        let name = name.strip_suffix(".tensors").unwrap_or(name);
        Some(match name {
            "All" | "Tensors" => Roles::ALL,
            "Nothing" | "Intermediates" => Roles::NONE,
            "input" | "inputs" => Roles::of(&[Role::Input]),
            "weight" | "weights" => Roles::of(&[Role::Weights]),
            "output" | "outputs" | "Outputs" => Roles::of(&[Role::Output]),
            "Inputs" => Roles::of(&[Role::Input, Role::Weights]),
            _ => return self.kept.get(name).copied(),
        })
    }
}

/// An access of a tensor: of each dimension the rank, and the factors and variables of its index.
struct Access {
    tensor: String,
    dimensions: Vec<(String, Vec<(u64, String)>)>,
    is_output: bool,
    bits: Option<u64>,
}

fn workload(name: &str, at: &At<'_>, names: &Names<'_>, findings: &Findings) -> Option<Workload> {
    let table = at.fields(findings)?;
    let bits = table.get("bits_per_value").and_then(|bits| {
        let table = bits.fields(findings)?;
        let mut all = None;
        for (key, value) in table.all() {
            let bits = value.whole(1..=64, names, findings);
            match key {
                "All" => all = bits,
                _ => value.fault(
                    findings,
                    "only `All` has a width here; write the others at the accesses",
                ),
            }
        }
        all
    });
    let repeat = table
        .get("n_instances")
        .and_then(|n| n.whole(1..=u64::from(u32::MAX), names, findings));
    let mut outer = Outer {
        extents: Extents::read(&table, names, findings),
        bits,
        repeat: repeat.unwrap_or(1),
        outputs: Vec::new(),
    };
    let mut einsums = Vec::new();
    let list = table.need("einsums", findings)?;
    for item in list.items(findings) {
        if let Some(parts) = einsum(&item, &mut outer, names, findings) {
            einsums.extend(build::einsum(&parts, &item, findings));
        }
    }
    outer.extents.close(findings);
    table.close(
        &[(
            &["persistent_tensors"],
            "does not change what one Einsum costs",
        )],
        findings,
    );
    build::workload(name, einsums, at, findings)
}

/// What the workload says for all its Einsums.
struct Outer<'a> {
    extents: Extents<'a>,
    bits: Option<u64>,
    repeat: u64,
    /// Tensors that Einsums before have written.
    outputs: Vec<String>,
}

/// How far ranks and their variables go.
#[derive(Default)]
struct Extents<'a> {
    /// By rank.
    sizes: Named<'a, u64>,
    /// By variable.
    bounds: Named<'a, u64>,
}

impl<'a> Extents<'a> {
    fn read(table: &Table<'a>, names: &Names<'_>, findings: &Findings) -> Extents<'a> {
        let mut extents = Extents::default();
        let sizes = table.get("rank_sizes").and_then(|s| s.fields(findings));
        for (rank, at) in sizes.iter().flat_map(Table::all) {
            if let Some(size) = at.whole(1..=0xFF_FFFF, names, findings) {
                extents.sizes.insert(rank, size, at);
            }
        }
        if let Some(shape) = table.get("iteration_space_shape") {
            extents.bounds = bounds(&shape, names, findings);
        }
        extents
    }

    fn close(&self, findings: &Findings) {
        let message = "no tensor of an Einsum has this rank";
        self.sizes.close(message, findings);
        self.bounds.close("no tensor is indexed by it", findings);
    }
}

/// The bounds in `0 <= m < 128`.
fn bounds<'a>(at: &At<'a>, names: &Names<'_>, findings: &Findings) -> Named<'a, u64> {
    let items = match (at.table(), at.list()) {
        (Some(table), _) => table.all().into_iter().map(|(_, value)| value).collect(),
        (_, Some(items)) => items,
        _ => vec![at.clone()],
    };
    let mut bounds = Named::default();
    for item in items {
        let Some(text) = item.text(findings) else {
            continue;
        };
        let parts: Vec<&str> = text.split('<').collect();
        let bound = match parts.as_slice() {
            [zero, rank, size] => {
                // `<=` leaves its `=` at the start of what follows.
                let rank = rank.strip_prefix('=').map(str::trim);
                let (size, more) = match size.strip_prefix('=') {
                    Some(size) => (size, 1.0),
                    None => (*size, 0.0),
                };
                let size = expression::number(size, names).map(|n| n + more);
                match (zero.trim(), rank, size) {
                    ("0", Some(rank), Ok(size))
                        if (1.0..16_777_216.0).contains(&size) && size.fract() == 0.0 =>
                    {
                        Some((rank.to_owned(), size))
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        match bound {
            Some((rank, size)) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number in range"
                )]
                bounds.insert(&rank, size as u64, item);
            }
            None => item.fault(findings, "is not of the form `0 <= m < 128`"),
        }
    }
    bounds
}

fn einsum(
    at: &At<'_>,
    outer: &mut Outer<'_>,
    names: &Names<'_>,
    findings: &Findings,
) -> Option<Parts> {
    let mut own = Extents::default();
    let mut repeat = outer.repeat;
    let mut renames = None;
    let (accesses, name) = if let Some(text) = at.node.text() {
        (equation(text, at, findings)?, None)
    } else {
        let table = at.fields(findings)?;
        own = Extents::read(&table, names, findings);
        if let Some(n) = table
            .get("n_instances")
            .and_then(|n| n.whole(1..=1 << 20, names, findings))
        {
            repeat = repeat.saturating_mul(n);
        }
        if let Some(copy) = table.get("is_copy_operation")
            && copy.truth(findings) == Some(true)
        {
            copy.note(findings, "a copy; here it is an operation for each value");
        }
        renames = table.get("renames").and_then(|r| r.fields(findings));
        let accesses = match (table.get("einsum"), table.get("tensor_accesses")) {
            (Some(text), None) => equation(text.text(findings)?, &text, findings)?,
            (None, Some(list)) => list
                .items(findings)
                .iter()
                .map(|a| access(a, names, findings))
                .collect::<Option<_>>()?,
            _ => {
                table
                    .at()
                    .fault(findings, "has not one of `einsum` and `tensor_accesses`");
                return None;
            }
        };
        let name = table
            .get("name")
            .and_then(|n| n.text(findings))
            .map(str::to_owned);
        table.close(&[], findings);
        (accesses, name)
    };
    let mut tensors = Vec::new();
    let mut limits: BTreeMap<String, u64> = BTreeMap::new();
    for access in &accesses {
        let mut indices = Vec::new();
        for (rank, terms) in &access.dimensions {
            if let [(1, variable)] = terms.as_slice()
                && let Some(&size) = own
                    .sizes
                    .get(rank)
                    .or_else(|| outer.extents.sizes.get(rank))
            {
                let limit = limits.entry(variable.clone()).or_insert(size);
                *limit = (*limit).min(size);
            }
            indices.push(terms.clone());
        }
        let bits = access.bits.or(outer.bits).unwrap_or_else(|| {
            let message = format!("no `bits_per_value`: `{}` has 8 bits", access.tensor);
            at.note(findings, message);
            8
        });
        tensors.push(Tensor {
            name: access.tensor.clone(),
            indices,
            bits,
        });
    }
    let mut ranks: Vec<(String, u64)> = Vec::new();
    for (_, variable) in tensors.iter().flat_map(|t| &t.indices).flatten() {
        if ranks.iter().any(|(known, _)| known == variable) {
            continue;
        }
        let bound = own.bounds.get(variable);
        let bound = bound.or_else(|| outer.extents.bounds.get(variable));
        match bound.into_iter().chain(limits.get(variable)).min() {
            Some(bound) => ranks.push((variable.clone(), *bound)),
            None => {
                let message =
                    format!("`{variable}` has no bound in `rank_sizes` or `iteration_space_shape`");
                at.fault(findings, message);
                return None;
            }
        }
    }
    own.close(findings);
    let outputs = accesses.iter().filter(|a| a.is_output).count();
    let output = accesses.iter().position(|a| a.is_output);
    let (Some(output), 1) = (output, outputs) else {
        at.fault(findings, format!("{outputs} outputs: an Einsum has one"));
        return None;
    };
    let output = tensors.remove(output);
    let renames = renames.map(|r| self::renames(&r, &tensors, &output, findings));
    let weights = weights(&tensors, &renames.unwrap_or_default(), &outer.outputs);
    outer.outputs.push(output.name.clone());
    Some(Parts {
        name: name.unwrap_or_else(|| output.name.clone()),
        unit: Unit::Mac,
        repeat,
        ranks,
        inputs: tensors,
        partial_bits: output.bits,
        output,
        weights,
    })
}

/// The tensors that are renamed to `input` and `weight`.
fn renames<'a>(
    table: &Table<'a>,
    inputs: &[Tensor],
    output: &Tensor,
    findings: &Findings,
) -> BTreeMap<&'a str, &'a str> {
    let mut renames = BTreeMap::new();
    for (key, value) in table.all() {
        let Some(tensor) = value.text(findings) else {
            continue;
        };
        let is_input = inputs.iter().any(|t| t.name == tensor);
        match key {
            "input" | "weight" if is_input => {
                renames.insert(key, tensor);
            }
            "weight" if tensor == "Nothing" => {}
            "output" if tensor == output.name => {}
            _ => value.ignore(
                findings,
                "only the inputs have use here, as `input` and `weight`",
            ),
        }
    }
    renames
}

/// The input that is renamed to `weight`, or is beside the `input`, or comes from outside beside one that does not.
fn weights(
    inputs: &[Tensor],
    renames: &BTreeMap<&str, &str>,
    outputs: &[String],
) -> Option<String> {
    if let Some(weight) = renames.get("weight") {
        return Some((*weight).to_owned());
    }
    let [first, second] = inputs else {
        return None;
    };
    let is_input = |t: &Tensor| renames.get("input") == Some(&t.name.as_str());
    let is_inside = |t: &Tensor| outputs.contains(&t.name);
    let first_is_weights =
        is_input(second) || !is_input(first) && is_inside(second) && !is_inside(first);
    let weights = if first_is_weights { first } else { second };
    Some(weights.name.clone())
}

fn access(at: &At<'_>, names: &Names<'_>, findings: &Findings) -> Option<Access> {
    let table = at.fields(findings)?;
    let tensor = table.need("name", findings)?.text(findings)?.to_owned();
    let projection = table.need("projection", findings)?;
    let items: Vec<(Option<&str>, At<'_>)> = match (projection.table(), projection.list()) {
        (Some(ranks), _) => ranks.all().into_iter().map(|(r, i)| (Some(r), i)).collect(),
        (_, Some(items)) => items.into_iter().map(|index| (None, index)).collect(),
        _ => vec![(None, projection)],
    };
    let mut dimensions = Vec::new();
    for (rank, index) in items {
        let text = index.text(findings)?;
        let read = match rank {
            Some(rank) => expression::terms(text).map(|terms| (rank.to_owned(), terms)),
            None => dimension(text),
        };
        match read {
            Ok(dimension) => dimensions.push(dimension),
            Err(reason) => {
                index.fault(findings, reason);
                return None;
            }
        }
    }
    let is_output = table
        .get("output")
        .and_then(|o| o.truth(findings))
        .unwrap_or(false);
    let bits = table
        .get("bits_per_value")
        .and_then(|b| b.whole(1..=64, names, findings));
    table.only(
        &[("backing_storage_size_scale", "1")],
        names,
        SCALE,
        findings,
    );
    table.close(
        &[(&["persistent"], "does not change what one Einsum costs")],
        findings,
    );
    Some(Access {
        tensor,
        dimensions,
        is_output,
        bits,
    })
}

/// `H: 2*p + r` indexes the rank `H`; `m` alone indexes `M`.
fn dimension(text: &str) -> Result<(String, Vec<(u64, String)>), String> {
    let (rank, index) = match text.split_once(':') {
        Some((rank, index)) => (rank.trim().to_owned(), index),
        None => (text.trim().to_uppercase(), text),
    };
    Ok((rank, expression::terms(index)?))
}

/// The accesses of `O[m, n] = I[m, k] * W[k, n]`.
fn equation(text: &str, at: &At<'_>, findings: &Findings) -> Option<Vec<Access>> {
    let fault = |reason: &str| {
        at.fault(findings, format!("`{text}`: {reason}"));
        None
    };
    let Some((output, inputs)) = text.split_once('=') else {
        return fault("no `=`");
    };
    let mut accesses = Vec::new();
    let mut rest = inputs.trim();
    let mut texts = vec![(output.trim(), true)];
    while !rest.is_empty() {
        let Some(end) = rest.find(']') else {
            return fault("a tensor without indices in brackets");
        };
        texts.push((&rest[..=end], false));
        rest = rest[end + 1..].trim_start();
        // What is computed at a point does not matter, so a sum is read as a product.
        match rest.strip_prefix(['*', '+']) {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => {}
            None => return fault("only products and sums of tensors are read"),
        }
    }
    for (text, is_output) in texts {
        let parts = text.strip_suffix(']').and_then(|t| t.split_once('['));
        let Some((tensor, indices)) = parts else {
            return fault("a tensor without indices in brackets");
        };
        let indices = indices.split(',').filter(|i| !i.trim().is_empty());
        let dimensions = match indices.map(dimension).collect() {
            Ok(dimensions) => dimensions,
            Err(reason) => return fault(&reason),
        };
        accesses.push(Access {
            tensor: tensor.trim().to_owned(),
            dimensions,
            is_output,
            bits: None,
        });
    }
    Some(accesses)
}
