//! `tilewright doctor`: which tools and devices are here, and what each missing one disables.

use hw::flow::{ToolState, ToolStatus};
use serde_json::json;

use crate::console::{Console, Table};
use crate::failure::{Failure, Outcome};

/// Show which tools and devices are here, and what each missing one disables
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, console: &Console) -> Result<Outcome, Failure> {
    let tools = hw::flow::doctor();
    let devices: Vec<(&str, &str, Option<String>)> =
        host_runtime::devices(host_runtime::Settings::default())
            .iter()
            .map(|device| {
                (
                    device.name(),
                    device.description(),
                    missing(device.name(), &tools),
                )
            })
            .collect();
    let result = json!({
        "tools": tools,
        "devices": devices.iter().map(|(name, description, reason)| json!({
            "device": name, "description": description, "available": reason.is_none(), "reason": reason,
        })).collect::<Vec<_>>(),
    });
    console.result("doctor", &result, || text(&tools, &devices))?;
    Ok(Outcome::Good)
}

/// The tools that stand between the device and its use.
fn missing(device: &str, tools: &[ToolStatus]) -> Option<String> {
    if device != "rtl" {
        return None;
    }
    let names: Vec<&str> = tools
        .iter()
        .filter(|status| {
            [hw::flow::VERILATOR.name, hw::flow::GXX.name].contains(&status.tool.as_str())
        })
        .filter(|status| !matches!(status.state, ToolState::Found { .. }))
        .map(|status| status.tool.as_str())
        .collect();
    (!names.is_empty()).then(|| format!("needs {}", names.join(" and ")))
}

fn text(tools: &[ToolStatus], devices: &[(&str, &str, Option<String>)]) -> String {
    let mut table = Table::new(["tool", "state", "where"]);
    for status in tools {
        let (state, place) = match &status.state {
            ToolState::Found { version, path } => {
                // A tool that cannot say its version is known by its contents.
                let shown = match version.strip_prefix("blake3:") {
                    Some(hash) => format!("no version; hash {hash}"),
                    None => version.clone(),
                };
                (shown, path.display().to_string())
            }
            ToolState::Missing => ("missing".to_owned(), String::new()),
            ToolState::Broken { path, .. } => ("broken".to_owned(), path.display().to_string()),
        };
        table.row([status.tool.clone(), state, place]);
    }
    let mut text = table.to_string();
    let mut table = Table::new(["device", "state", "is"]);
    for (name, description, reason) in devices {
        table.row([
            (*name).to_owned(),
            reason.clone().unwrap_or_else(|| "ready".to_owned()),
            (*description).to_owned(),
        ]);
    }
    text += &format!("\n{table}");
    for status in tools {
        let reason = match &status.state {
            ToolState::Found { .. } => continue,
            ToolState::Missing => "is not installed".to_owned(),
            ToolState::Broken { reason, .. } => format!("does not run: {reason}"),
        };
        text += &format!(
            "\n`{}` {reason}\n  disables: {}\n  help: {}, or run `make setup`\n",
            status.tool, status.disables, status.install
        );
    }
    text
}
