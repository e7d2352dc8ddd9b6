//! Checks of the netlist that synthesis made: counts of hard cells, and every setting of every multiplier.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::board::Resources;
use super::build::BuildError;

/// The cell that `prim_mac_pair` instantiates.
const MULTIPLIER: &str = "SB_MAC16";

/// The instantiation by hand, from which the expected settings are read.
const PRIMITIVE: &str = include_str!("../../rtl/ice40/prim_mac_pair.sv");

#[derive(Deserialize)]
struct Netlist {
    modules: BTreeMap<String, Module>,
}

#[derive(Deserialize)]
struct Module {
    cells: BTreeMap<String, Cell>,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(rename = "type")]
    kind: String,
    parameters: BTreeMap<String, String>,
    connections: BTreeMap<String, Vec<serde_json::Value>>,
}

/// Checks the netlist `json` of yosys, whose top is `top`, against `expected` hard cells; gives all counts.
///
/// # Errors
/// [`BuildError::Count`], [`BuildError::Setting`], or [`BuildError::Output`] for text that is no netlist.
pub(super) fn check(json: &[u8], top: &str, expected: Resources) -> Result<Resources, BuildError> {
    let output = |reason: String| BuildError::Output {
        tool: "yosys",
        reason,
    };
    let netlist: Netlist = serde_json::from_slice(json).map_err(|e| output(e.to_string()))?;
    let module = (netlist.modules.get(top)).ok_or_else(|| output(format!("no module `{top}`")))?;
    let count = |kind: &str| {
        module
            .cells
            .values()
            .filter(|cell| cell.kind == kind)
            .count() as u64
    };
    let found = Resources {
        logic_cells: count("SB_LUT4"),
        multipliers: count(MULTIPLIER),
        block_rams: count("SB_RAM40_4K"),
        single_port_rams: count("SB_SPRAM256KA"),
    };
    let pairs = [
        (
            "multipliers (SB_MAC16)",
            expected.multipliers,
            found.multipliers,
        ),
        (
            "block memories (SB_RAM40_4K)",
            expected.block_rams,
            found.block_rams,
        ),
        (
            "single-port memories (SB_SPRAM256KA)",
            expected.single_port_rams,
            found.single_port_rams,
        ),
    ];
    for (what, expected, found) in pairs {
        if expected != found {
            return Err(BuildError::Count {
                what,
                expected,
                found,
            });
        }
    }
    let settings = settings(PRIMITIVE);
    for (name, cell) in module
        .cells
        .iter()
        .filter(|(_, cell)| cell.kind == MULTIPLIER)
    {
        for (setting, expected) in &settings {
            let found = cell.setting(setting);
            if found.as_ref() != Some(expected) {
                return Err(BuildError::Setting {
                    cell: name.clone(),
                    setting: setting.clone(),
                    expected: expected.clone(),
                    found: found.unwrap_or_else(|| "nothing".to_owned()),
                });
            }
        }
    }
    Ok(found)
}

impl Cell {
    /// The bits of a parameter, or of a pin that constants drive.
    fn setting(&self, name: &str) -> Option<String> {
        if let Some(bits) = self.parameters.get(name) {
            return Some(bits.clone());
        }
        let bits = self.connections.get(name)?.iter().rev();
        bits.map(|bit| bit.as_str()).collect::<Option<String>>()
    }
}

/// The parameters and constant pins of the one instance in the text of a primitive: name and bits.
fn settings(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let (name, rest) = line.trim().strip_prefix('.')?.split_once('(')?;
        let (width, digits) = rest.split_once(')')?.0.split_once('\'')?;
        let width: usize = width.parse().ok()?;
        let bits = match digits.split_at(1) {
            ("b", bits) => bits.to_owned(),
            ("d", number) => format!("{:0width$b}", number.parse::<u64>().ok()?),
            _ => return None,
        };
        (bits.len() == width).then(|| (name.trim().to_owned(), bits))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A netlist of one multiplier, with its settings changed by `change`.
    fn netlist(change: &dyn Fn(&str, &str) -> String) -> String {
        let (mut parameters, mut connections) = (vec![], vec![]);
        for (name, bits) in settings(PRIMITIVE) {
            let bits = change(&name, &bits);
            let is_pin = matches!(
                name.as_str(),
                "C" | "D" | "CE" | "CI" | "ACCUMCI" | "SIGNEXTIN"
            ) || ["HOLD", "RST", "OLOAD", "ADDSUBTOP", "ADDSUBBOT"]
                .iter()
                .any(|part| name.contains(part));
            if is_pin {
                let bits: Vec<String> =
                    bits.chars().rev().map(|bit| format!("\"{bit}\"")).collect();
                connections.push(format!("\"{name}\": [{}]", bits.join(",")));
            } else {
                parameters.push(format!("\"{name}\": \"{bits}\""));
            }
        }
        format!(
            r#"{{"modules": {{"top": {{"cells": {{"u_mac": {{"type": "SB_MAC16", "parameters": {{{}}}, "connections": {{{}}}}}}}}}}}}}"#,
            parameters.join(","),
            connections.join(",")
        )
    }

    const ONE: Resources = Resources {
        logic_cells: 0,
        multipliers: 1,
        block_rams: 0,
        single_port_rams: 0,
    };

    #[test]
    fn every_setting_of_the_multiplier_counts() {
        let all = settings(PRIMITIVE);
        assert_eq!(all.len(), 20 + 20);
        let right = netlist(&|_, bits| bits.to_owned());
        assert_eq!(
            check(right.as_bytes(), "top", ONE).expect("it is right"),
            ONE
        );
        for (name, bits) in all {
            let flipped: String = bits
                .chars()
                .map(|bit| if bit == '0' { '1' } else { '0' })
                .collect();
            let wrong = netlist(&|n, bits| {
                if n == name {
                    flipped.clone()
                } else {
                    bits.to_owned()
                }
            });
            let error = check(wrong.as_bytes(), "top", ONE).expect_err("it is wrong");
            assert!(
                matches!(&error, BuildError::Setting { setting, .. } if *setting == name),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn counts_must_be_equal() {
        let text = netlist(&|_, bits| bits.to_owned());
        let error = check(text.as_bytes(), "top", Resources::default()).expect_err("one too many");
        assert_eq!(error.exit_code(), 1);
        assert!(check(b"{}", "top", ONE).is_err());
    }
}
