//! ZigZag 3.9: an accelerator with `memories` and an `operational_array`, and a list of layers.
//!
//! Memories stand from the innermost outwards, and `served_dimensions` say over which axes of the array one is shared.
//! Energies are of an access as wide as the port; operands are `I1` (inputs), `I2` (weights) and `O`.
//!
//! # Source
//! ZigZag 3.9.1, documentation of hardware and workload files, and the schemas of its validators.

use std::collections::BTreeMap;

use ir::tree::{Component, Compute, Direction, Fanout, Memory, Overlap, Port, Tree};
use ir::workload::{Role, Unit, Workload};

use crate::build::{self, CLOCK_HZ, Part, Parts, Tensor};
use crate::expression;
use crate::finding::Findings;
use crate::table::{At, Named, Names, Table};

const MODEL: &str = "is not in the cost model";
const SPACE: &str = "narrows the search only; mappings outside it are found too";

/// A memory with the axes over which it is shared.
struct Level<'a> {
    at: At<'a>,
    memory: Memory,
    served: Vec<String>,
}

/// Reads an accelerator.
pub(crate) fn tree<'a>(root: &At<'a>, findings: &Findings) -> Option<Tree> {
    let names = Names::default();
    let file = root.fields(findings)?;
    let name = file.need("name", findings)?.text(findings)?;
    let array = file.need("operational_array", findings)?.fields(findings)?;
    let is_true = |key: &str| array.get(key).and_then(|v| v.truth(findings)) == Some(true);
    if is_true("is_imc") {
        array.at().fault(findings, "compute in memory is not here");
    }
    let axes = array.need("dimensions", findings)?;
    let axes = axes.texts(findings);
    let sizes = array.need("sizes", findings)?;
    let sizes: Vec<At<'a>> = sizes.items(findings);
    if axes.len() != sizes.len() {
        array.at().fault(
            findings,
            format!("{} `dimensions`, but {} `sizes`", axes.len(), sizes.len()),
        );
    }
    let energy = array.need("unit_energy", findings);
    let energy = energy
        .and_then(|e| e.number(&names, findings))
        .unwrap_or(0.0);
    let compute_at = array.at().clone();
    array.close(
        &[
            (
                &["unit_area", "systolic_dimensions", "input_precision"],
                MODEL,
            ),
            (
                &["imc_type", "adc_resolution", "bit_serial_precision"],
                "is for compute in memory",
            ),
        ],
        findings,
    );
    let memories = file.need("memories", findings)?.fields(findings)?;
    let mut levels: Vec<Level<'a>> = memories
        .all()
        .into_iter()
        .rev()
        .filter_map(|(name, at)| level(name, &at, findings))
        .collect();
    for level in &levels {
        if let Some(other) = level.served.iter().find(|s| !axes.contains(&s.as_str())) {
            let message = format!("serves `{other}`, which is no axis of the array");
            level.at.fault(findings, message);
        }
    }
    let allowed = dataflows(&file, &axes, findings);
    file.close(&[], findings);

    if let Some(outermost) = levels.first_mut() {
        if let Some(size) = outermost.at.table().and_then(|t| t.get("size")) {
            size.ignore(findings, build::OUTERMOST);
        }
        outermost.memory.size_bits = None;
        if !axes
            .iter()
            .all(|axis| outermost.served.iter().any(|s| s == axis))
        {
            outermost.at.fault(
                findings,
                "the outermost memory does not serve every axis of the array",
            );
        }
    }
    // A memory stands below the fan-outs of the axes that it does not serve; those of an outer one are among them.
    let serves = |level: &Level<'_>, axis: &str| level.served.iter().any(|s| s == axis);
    levels.sort_by_key(|level| axes.iter().filter(|axis| !serves(level, axis)).count());
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut above: Vec<&str> = Vec::new();
    let fan = |axis: &str, parts: &mut Vec<Part<'a>>| {
        let size = axes
            .iter()
            .position(|a| *a == axis)
            .and_then(|index| sizes.get(index));
        let size = size.and_then(|size| size.whole(1..=1 << 20, &names, findings));
        let fanout = Fanout {
            name: build::name(axis),
            size: size.unwrap_or(1),
            ranks: allowed.get(axis).cloned(),
            shares: Vec::new(),
            multicasts: vec![Role::Input, Role::Weights],
            reduces: true,
        };
        parts.push((Component::Fanout(fanout), compute_at.clone()));
    };
    for level in levels {
        if let Some(axis) = above
            .iter()
            .find(|axis| level.served.iter().any(|s| s == *axis))
        {
            let message = format!(
                "serves `{axis}`, which a memory outside of it does not: the axes that memories serve make no tree"
            );
            level.at.fault(findings, message);
        }
        for axis in &axes {
            if !serves(&level, axis) && !above.contains(axis) {
                above.push(axis);
                fan(axis, &mut parts);
            }
        }
        parts.push((Component::Memory(level.memory), level.at));
    }
    for axis in axes.iter().filter(|axis| !above.contains(axis)) {
        fan(axis, &mut parts);
    }
    let compute = Compute {
        name: "operational_array".to_owned(),
        pj_per_operation: energy,
        vector: None,
    };
    parts.push((Component::Compute(compute), compute_at.clone()));
    root.note(findings, "no clock in the format: it is 1 GHz");
    build::tree(name, "ZigZag", CLOCK_HZ, parts, root, findings)
}

/// The layer dimensions that `dataflows` allow on each axis.
fn dataflows(
    file: &Table<'_>,
    axes: &[&str],
    findings: &Findings,
) -> BTreeMap<String, Vec<String>> {
    let mut allowed = BTreeMap::new();
    let dataflows = file.get("dataflows").and_then(|d| d.fields(findings));
    for (axis, list) in dataflows.iter().flat_map(Table::all) {
        if !axes.contains(&axis) {
            list.fault(findings, "is no axis of the array");
            continue;
        }
        let mut ranks = Vec::new();
        for item in list.items(findings) {
            let Some(text) = item.text(findings) else {
                continue;
            };
            let (rank, size) = text.split_once(',').unwrap_or((text, ""));
            ranks.push(rank.trim().to_owned());
            if !size.is_empty() {
                item.note(findings, format!("the size of the loop {SPACE}"));
            }
        }
        allowed.insert(axis.to_owned(), ranks);
    }
    allowed
}

fn level<'a>(name: &str, at: &At<'a>, findings: &Findings) -> Option<Level<'a>> {
    let names = Names::default();
    let table = at.fields(findings)?;
    let size_bits = table
        .need("size", findings)?
        .whole(1..=1 << 50, &names, findings);
    let operands = table.need("operands", findings)?;
    let mut keeps = Vec::new();
    for operand in operands.texts(findings) {
        match role(operand) {
            Some(role) => keeps.push(role),
            None => operands.fault(findings, format!("`{operand}` is not `I1`, `I2` or `O`")),
        }
    }
    keeps.sort_unstable();
    keeps.dedup();
    let served = table.need("served_dimensions", findings)?;
    let served: Vec<String> = served
        .texts(findings)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let ports = table.need("ports", findings)?;
    let mut widths = BTreeMap::new();
    let mut all_ports: Vec<Port> = Vec::new();
    for item in ports.items(findings) {
        let Some(port) = item.fields(findings) else {
            continue;
        };
        let kind = port
            .need("type", findings)
            .and_then(|t| t.text(findings))
            .unwrap_or("");
        let does = match kind {
            "read" => vec![Direction::Read],
            "write" => vec![Direction::Write],
            "read_write" => vec![Direction::Read, Direction::Write],
            _ => {
                port.at().fault(
                    findings,
                    format!("`{kind}` is not `read`, `write` or `read_write`"),
                );
                continue;
            }
        };
        let bits = port.need("bandwidth_max", findings);
        let bits = bits.and_then(|b| b.number(&names, findings)).unwrap_or(1.0);
        for direction in &does {
            let width: &mut f64 = widths.entry(*direction).or_insert(bits);
            *width = width.max(bits);
        }
        if let Some(name) = port.get("name") {
            name.accept();
        }
        let overlaps = |p: &Port| p.does != does && p.does.iter().any(|d| does.contains(d));
        if all_ports.iter().any(overlaps) {
            item.fault(
                findings,
                "a port of both directions beside one of a single direction",
            );
        } else if let Some(known) = all_ports.iter_mut().find(|p| p.does == does) {
            item.note(
                findings,
                "added to the port of the same directions, which every operand may use",
            );
            known.bits_per_cycle += bits;
        } else {
            all_ports.push(Port {
                does,
                bits_per_cycle: bits,
            });
        }
        port.close(&[(&["bandwidth_min", "allocation"], MODEL)], findings);
    }
    let cacti = table
        .get("auto_cost_extraction")
        .and_then(|a| a.truth(findings))
        == Some(true);
    let energy = |key: &str, direction: Direction| {
        let cost = table.get(key);
        let cost = cost.and_then(|cost| cost.number(&names, findings));
        if cacti {
            let taken = match cost {
                Some(_) => "as written",
                None => "0",
            };
            at.note(
                findings,
                format!("leaves its `{key}` to CACTI: it is {taken}"),
            );
        }
        if cost.is_none() && !cacti {
            table.at().fault(findings, format!("`{key}` is missing"));
        }
        cost.unwrap_or(0.0) / widths.get(&direction).copied().unwrap_or(1.0)
    };
    let (read_pj_per_bit, write_pj_per_bit) = (
        energy("r_cost", Direction::Read),
        energy("w_cost", Direction::Write),
    );
    let doubled = table
        .get("force_double_buffering")
        .and_then(|d| d.truth(findings));
    table.close(&[(&["area", "latency", "mem_type"], MODEL)], findings);
    let memory = Memory {
        name: build::name(name),
        size_bits,
        keeps,
        may_bypass: Vec::new(),
        value_bits: BTreeMap::new(),
        double_buffered: doubled == Some(true),
        overlap: Overlap::Reuse,
        read_pj_per_bit,
        write_pj_per_bit,
        ports: all_ports,
    };
    Some(Level {
        at: at.clone(),
        memory,
        served,
    })
}

fn role(operand: &str) -> Option<Role> {
    match operand {
        "I1" => Some(Role::Input),
        "I2" => Some(Role::Weights),
        "O" => Some(Role::Output),
        _ => None,
    }
}

/// Reads a list of layers.
pub(crate) fn workload(name: &str, root: &At<'_>, findings: &Findings) -> Option<Workload> {
    let mut einsums = Vec::new();
    let mut outputs: Vec<String> = Vec::new();
    for at in root.items(findings) {
        let Some(parts) = layer(&at, findings) else {
            continue;
        };
        // Outputs are named after the `id`, by which later layers ask for them.
        if outputs.contains(&parts.output.name) {
            at.fault(findings, "its `id` is there already");
        }
        outputs.push(parts.output.name.clone());
        einsums.extend(build::einsum(&parts, &at, findings));
    }
    build::workload(name, einsums, root, findings)
}

fn layer(at: &At<'_>, findings: &Findings) -> Option<Parts> {
    let names = Names::default();
    let table = at.fields(findings)?;
    let id = table
        .need("id", findings)?
        .whole(0..=1 << 32, &names, findings)?;
    let name = table.get("name").and_then(|n| n.text(findings));
    let name = name.map_or_else(|| format!("Layer{id}"), str::to_owned);
    let operator = table.need("operator_type", findings)?;
    let unit = unit(operator.text(findings)?).unwrap_or_else(|| {
        operator.note(findings, "is not known, and goes to the vector engine");
        Unit::Vector
    });
    let dims = table.need("loop_dims", findings)?;
    let dims = dims.texts(findings);
    let sizes = table.need("loop_sizes", findings)?.items(findings);
    if dims.len() != sizes.len() {
        at.fault(
            findings,
            format!(
                "{} `loop_dims`, but {} `loop_sizes`",
                dims.len(),
                sizes.len()
            ),
        );
        return None;
    }
    let bounds = sizes
        .iter()
        .map(|s| s.whole(1..=0xFF_FFFF, &names, findings).unwrap_or(1));
    let mut ranks: Vec<(String, u64)> = dims.iter().map(|d| (*d).to_owned()).zip(bounds).collect();

    let mut relations: Named<'_, Vec<(u64, String)>> = Named::default();
    for relation in table
        .get("dimension_relations")
        .iter()
        .flat_map(|r| r.items(findings))
    {
        let Some(text) = relation.text(findings) else {
            continue;
        };
        let terms = text
            .split_once('=')
            .map(|(left, right)| (left.trim(), expression::terms(right)));
        match terms {
            Some((left, Ok(terms))) => {
                let terms = terms
                    .into_iter()
                    .map(|(factor, rank)| (factor, rank.to_uppercase()));
                let index = left.to_uppercase();
                if relations.has(&index) {
                    relation.fault(findings, format!("`{left}` is there already"));
                }
                relations.insert(&index, terms.collect(), relation);
            }
            Some((_, Err(reason))) => {
                relation.fault(findings, reason);
                return None;
            }
            None => {
                relation.fault(findings, "no `=`");
                return None;
            }
        }
    }
    let precision = table
        .need("operand_precision", findings)?
        .fields(findings)?;
    let bits = |key: &str| {
        precision
            .get(key)
            .and_then(|b| b.whole(0..=64, &names, findings))
    };
    let (partial_bits, final_bits) = (bits("O"), bits("O_final"));
    let sources = table.get("operand_source").and_then(|s| s.fields(findings));
    let source = |operand: &str| {
        let at = sources.as_ref()?.get(operand)?;
        at.whole(0..=1 << 32, &names, findings)
            .filter(|source| *source != id)
    };

    let equation = table.need("equation", findings)?;
    let text = equation.text(findings)?;
    let (left, right) = text.split_once('=').unwrap_or((text, ""));
    let mut inputs = Vec::new();
    let mut output = None;
    for (operand, is_output) in right
        .split(['*', '+'])
        .map(|operand| (operand, false))
        .chain([(left.trim_end().trim_end_matches('+'), true)])
    {
        let Some((symbol, indices)) = self::operand(operand) else {
            equation.fault(
                findings,
                format!("`{}` is no operand such as `W[k][c]`", operand.trim()),
            );
            return None;
        };
        let index = |index: &String| match relations.get(index) {
            Some(terms) => terms.clone(),
            None => vec![(1, index.clone())],
        };
        let indices: Vec<Vec<(u64, String)>> = indices.iter().map(index).collect();
        if is_output {
            let bits = final_bits.or(partial_bits).unwrap_or(8);
            output = Some(Tensor {
                name: format!("O{id}"),
                indices,
                bits,
            });
            continue;
        }
        let bits = bits(symbol).unwrap_or_else(|| {
            let message = format!("no width of `{symbol}`: it has 8 bits");
            precision.at().note(findings, message);
            8
        });
        let source = source(symbol);
        // A constant of no bits, such as the weights of a pooling, is no tensor.
        if bits == 0 {
            if let Some(source) = sources.as_ref().and_then(|s| s.get(symbol)) {
                source.ignore(findings, "an operand of 0 bits is none");
            }
            continue;
        }
        let name = match source {
            Some(source) => format!("O{source}"),
            None => format!("{symbol}{id}"),
        };
        inputs.push((
            symbol,
            Tensor {
                name,
                indices,
                bits,
            },
        ));
    }
    let output = output?;
    relations.close("no operand is indexed by it", findings);
    if let Some(sources) = &sources {
        sources.close(&[], findings);
    }
    precision.close(&[], findings);
    table.close(
        &[(
            &["pr_loop_dims", "pr_loop_sizes", "padding"],
            "padding is part of the input here",
        )],
        findings,
    );
    let weights = inputs
        .iter()
        .find(|(symbol, _)| *symbol == "W")
        .map(|(_, t)| t.name.clone());
    let mut inputs: Vec<Tensor> = inputs.into_iter().map(|(_, tensor)| tensor).collect();
    // Inputs first, as everywhere here.
    inputs.sort_by_key(|tensor| weights.as_ref() == Some(&tensor.name));
    ranks.retain(|(rank, bound)| {
        *bound > 1 || output.uses(rank) || inputs.iter().any(|t| t.uses(rank))
    });
    Some(Parts {
        name,
        unit,
        repeat: 1,
        ranks,
        inputs,
        output,
        weights,
        partial_bits: partial_bits.filter(|b| *b > 0).unwrap_or(32),
    })
}

/// What computes the operator, if it is known.
fn unit(operator: &str) -> Option<Unit> {
    match operator {
        "Conv" | "Conv_downsample" | "Gemm" => Some(Unit::Mac),
        "Add" | "Mul" | "Max" | "Pool" | "Pooling" | "MaxPool" | "AveragePool"
        | "GlobalAveragePool" => Some(Unit::Vector),
        _ => None,
    }
}

/// Symbol and indices, in capitals, of `W[k][c]`.
fn operand(text: &str) -> Option<(&str, Vec<String>)> {
    let (symbol, indices) = text.trim().split_once('[')?;
    let indices = indices.strip_suffix(']')?;
    let indices: Vec<String> = indices
        .split("][")
        .filter(|i| !i.is_empty())
        .map(str::to_uppercase)
        .collect();
    (symbol.len() == 1 && symbol.starts_with(|c: char| c.is_ascii_uppercase()))
        .then_some((symbol, indices))
}
