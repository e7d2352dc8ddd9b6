//! `tilewright map` on a tree: the best nest of each einsum, with proof; no design is generated from a tree.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ir::mapping::Schedule;
use ir::tree::Tree;
use ir::workload::{Einsum, Workload};
use mapper::exact::{
    self, Binds, Certificate, Cost, Found, Fused, FusedStep, FusionCertificate, Hooks, Limits,
    Mapped as Nest, Model, Objective, StopReason,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::map::ObjectiveArg;
use crate::cache::CacheArgs;
use crate::console::{Console, thousands};
use crate::failure::{Failure, Outcome};
use crate::input::{self, Ignored, NetworkArgs};
use crate::limits::{Budget, LimitArgs};
use crate::{interrupt, output};

/// Options that only trees have.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TreeArgs {
    /// What is charged on a tree; what a machine does unless given
    #[arg(long)]
    model: Option<ModelArg>,
    /// Only tiles that divide their rank, on a tree
    #[arg(long)]
    perfect: bool,
    /// Let einsums share loops and keep tensors on chip between them, on a tree
    #[arg(long, conflicts_with_all = ["replay", "output"])]
    fuse: bool,
    /// Print all nests that no other beats in energy and cycles, instead of the best one, on a tree
    #[arg(long, conflicts_with_all = ["replay", "output", "fuse"])]
    pareto: bool,
    /// Count what the nests of this schedule file cost on a tree, instead of searching
    #[arg(long, value_name = "FILE", conflicts_with_all = ["time_limit", "output"])]
    replay: Option<PathBuf>,
}

impl TreeArgs {
    /// An option of trees that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            (self.model.is_some(), "--model"),
            (self.perfect, "--perfect"),
            (self.fuse, "--fuse"),
            (self.pareto, "--pareto"),
            (self.replay.is_some(), "--replay"),
        ];
        let given = given.into_iter().find(|(is_given, _)| *is_given);
        given.map(|(_, option)| option)
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ModelArg {
    /// Double buffers, first and last tiles, waits for memories without double buffers
    Machine,
    /// The assumptions of AccelForge 1.0
    Accelforge,
}

/// What was searched, and in which model.
#[derive(Serialize)]
struct Subject {
    workload: String,
    tree: String,
    tree_hash: String,
    model: Model,
    /// What files of other tools say and has no effect.
    ignored: Vec<Ignored>,
    /// What stopped the search before its end.
    stopped_by: Option<String>,
}

impl Subject {
    fn new(workload: &Workload, tree: &Tree, model: Model, ignored: Vec<Ignored>) -> Subject {
        Subject {
            ignored,
            stopped_by: None,
            workload: workload.name.clone(),
            tree: tree.name.clone(),
            tree_hash: format!("{:016x}", tree.hash()),
            model,
        }
    }
}

#[derive(Serialize)]
struct Mapped {
    #[serde(flatten)]
    subject: Subject,
    objective: Objective,
    /// Over all einsums, as often as they occur, one after the other; none if the search was stopped before it found a
    /// nest of each.
    modelled_energy_pj: Option<f64>,
    modelled_cycles: Option<f64>,
    /// Whether every search came to its end.
    proven: bool,
    einsums: Vec<Value>,
}

/// How a tree is searched.
pub(crate) struct Search<'a> {
    pub(crate) objective: ObjectiveArg,
    pub(crate) args: &'a TreeArgs,
    pub(crate) limits: &'a LimitArgs,
    pub(crate) cache: &'a CacheArgs,
    /// Where the loop nests go.
    pub(crate) file: Option<&'a Path>,
}

/// Maps `network` to `tree`, whose file says what is in `ignored` in vain.
pub(crate) fn run(
    network: &NetworkArgs,
    tree: &Tree,
    mut ignored: Vec<Ignored>,
    search: &Search,
    console: &Console,
) -> Result<Outcome, Failure> {
    let budget = search.limits.start();
    let args = search.args;
    let objective = match search.objective {
        ObjectiveArg::Cycles => Objective::Latency,
        ObjectiveArg::Energy => Objective::Energy,
        ObjectiveArg::EnergyDelay => Objective::EnergyDelay,
        ObjectiveArg::Traffic => {
            let help = "use `--objective cycles`, `energy` or `energy-delay`";
            return Err(Failure::usage("trees have no objective `traffic`", help));
        }
    };
    let model = match args.model.unwrap_or(ModelArg::Machine) {
        ModelArg::Machine => Model {
            perfect: args.perfect,
            ..Model::MACHINE
        },
        ModelArg::Accelforge => Model::ACCELFORGE,
    };
    let workload = input::workload(network, &mut ignored)?;
    Ignored::note(&ignored, console);
    let mut subject = Subject::new(&workload, tree, model, ignored);
    if let Some(file) = &args.replay {
        return replay(&workload, tree, subject, file, console);
    }
    let spinner = console.spinner(&format!("mapping {} to {}", workload.name, tree.name));
    // Ctrl-C is no failure here: the best so far is printed with its gap.
    interrupt::allow(60);
    let stop = |_| budget.is_spent();
    let cache = search.cache.open(console);
    let hooks = Hooks {
        cache: &*cache,
        stop: &stop,
    };
    if args.fuse {
        let fused = exact::fuse(&workload, tree, model, objective, &hooks)?;
        spinner.finish_and_clear();
        let Some(fused) = fused else {
            return Err(budget.nothing_found());
        };
        subject.stopped_by = stopped_by(&budget);
        return print_fused(&workload, tree, subject, objective, &fused, console);
    }
    if args.pareto {
        let fronts = exact::pareto_workload(&workload, tree, model, &hooks);
        let fronts = fronts.into_iter().collect::<Result<Vec<_>, _>>()?;
        spinner.finish_and_clear();
        if fronts.iter().all(|(points, _)| points.is_empty()) && !fronts.is_empty() {
            return Err(budget.nothing_found());
        }
        subject.stopped_by = stopped_by(&budget);
        return print_fronts(&workload, subject, &fronts, console);
    }
    let found = exact::map_workload(&workload, tree, model, objective, &hooks);
    let mut parts = Vec::new();
    let buffers = exact::buffer_bounds(&workload, tree, model, &hooks);
    for ((einsum, found), buffer) in workload.einsums.iter().zip(found).zip(buffers) {
        let limits = exact::limits(einsum, tree, model);
        parts.push(Part {
            einsum,
            found: found?,
            limits,
            buffer,
        });
    }
    spinner.finish_and_clear();
    if parts.iter().all(|part| part.found.best.is_none()) && !parts.is_empty() {
        return Err(budget.nothing_found());
    }
    subject.stopped_by = stopped_by(&budget);
    if let Some(file) = search.file {
        let mappings = parts
            .iter()
            .filter_map(|p| Some(p.found.best.as_ref()?.mapping.clone()));
        let schedule = Schedule {
            network: workload.name.clone(),
            arch: tree.name.clone(),
            mappings: mappings.collect(),
        };
        output::write(file, schedule.to_string())?;
    }
    let sum = |of: fn(&Cost) -> f64| -> Option<f64> {
        let part = |p: &Part| Some(of(&p.found.best.as_ref()?.cost) * p.einsum.repeat as f64);
        parts.iter().map(part).sum()
    };
    let mapped = Mapped {
        subject,
        objective,
        modelled_energy_pj: sum(|c| c.energy_pj),
        modelled_cycles: sum(|c| c.cycles),
        proven: parts
            .iter()
            .all(|p| p.found.certificate.stop == StopReason::Exhausted),
        einsums: parts.iter().map(|p| p.json(tree, objective)).collect(),
    };
    console.result("map", &mapped, || text(&mapped, &parts, tree))?;
    Ok(Outcome::good_if(mapped.modelled_cycles.is_some()))
}

fn stopped_by(budget: &Budget) -> Option<String> {
    Some(budget.reached()?.to_string())
}

/// The line of a result that says what stopped the search.
fn stopped_line(subject: &Subject) -> String {
    let by = subject.stopped_by.as_ref();
    by.map_or(String::new(), |by| format!("stopped by {by}\n"))
}

#[derive(Serialize)]
struct Fronts {
    #[serde(flatten)]
    subject: Subject,
    /// Whether every search came to its end.
    proven: bool,
    holds: &'static str,
    einsums: Vec<Value>,
}

fn print_fronts(
    workload: &Workload,
    subject: Subject,
    fronts: &[(Vec<Nest>, Certificate)],
    console: &Console,
) -> Result<Outcome, Failure> {
    let is_proven = |certificate: &Certificate| certificate.stop == StopReason::Exhausted;
    let einsum = |(einsum, (points, certificate)): (&Einsum, &(Vec<Nest>, Certificate))| {
        let points = points.iter().map(
            |point| json!({ "modelled_cost": point.cost, "mapping": point.mapping.to_string() }),
        );
        json!({
            "name": einsum.name, "equation": einsum.equation(), "repeat": einsum.repeat,
            "certificate": certificate, "points": points.collect::<Vec<_>>(),
        })
    };
    let json = Fronts {
        subject,
        proven: fronts.iter().all(|(_, certificate)| is_proven(certificate)),
        holds: HOLDS,
        einsums: workload.einsums.iter().zip(fronts).map(einsum).collect(),
    };
    let text = || {
        let mut text = format!(
            "workload `{}` on tree `{}`: what no other nest beats in energy and cycles (modelled)\n",
            json.subject.workload, json.subject.tree
        );
        for (einsum, (points, certificate)) in workload.einsums.iter().zip(fronts) {
            let what = match is_proven(certificate) {
                true => "proven complete",
                false => "stopped, those found so far",
            };
            let _ = writeln!(
                text,
                "\n{}  {}\n{:>14} {:>14}",
                einsum.name,
                einsum.equation(),
                "energy, uJ",
                "cycles"
            );
            for point in points {
                let _ = writeln!(
                    text,
                    "{:>14.3} {:>14}",
                    point.cost.energy_pj * 1e-6,
                    thousands(point.cost.cycles.ceil() as u64)
                );
            }
            let _ = writeln!(
                text,
                "certificate: {what} {HOLDS}: {} nodes, {} points",
                thousands(certificate.nodes),
                points.len()
            );
        }
        text + &stopped_line(&json.subject) + "the nests themselves are in `--json`\n"
    };
    console.result("map", &json, text)?;
    let is_whole = fronts.iter().all(|(points, _)| !points.is_empty());
    Ok(Outcome::good_if(is_whole))
}

#[derive(Serialize)]
struct FusedJson {
    #[serde(flatten)]
    subject: Subject,
    objective: Objective,
    modelled_energy_pj: f64,
    modelled_cycles: f64,
    outermost_bits: u64,
    /// The best nest of each einsum alone, one after the other.
    modelled_unfused_energy_pj: f64,
    modelled_unfused_cycles: f64,
    /// Whether the search came to its end.
    proven: bool,
    /// How far another schedule could be better, as a part of the objective.
    gap: f64,
    holds: &'static str,
    certificate: FusionCertificate,
    /// Einsums that share loops.
    groups: Vec<Vec<String>>,
    einsums: Vec<Value>,
}

fn print_fused(
    workload: &Workload,
    tree: &Tree,
    subject: Subject,
    objective: Objective,
    fused: &Fused,
    console: &Console,
) -> Result<Outcome, Failure> {
    let names = |steps: &[FusedStep]| steps.iter().map(|s| s.mapping.einsum.clone()).collect();
    let einsum = |(einsum, step): (&Einsum, &FusedStep)| {
        json!({
            "name": einsum.name, "equation": einsum.equation(), "repeat": einsum.repeat,
            "shared_loops": step.shared_loops, "modelled_cost": step.cost, "mapping": step.mapping.to_string(),
        })
    };
    let best = objective.rank(fused.energy_pj, fused.cycles).0;
    let json = FusedJson {
        subject,
        objective,
        modelled_energy_pj: fused.energy_pj,
        modelled_cycles: fused.cycles,
        outermost_bits: fused.outermost_bits,
        modelled_unfused_energy_pj: fused.unfused.0,
        modelled_unfused_cycles: fused.unfused.1,
        proven: fused.certificate.stop == StopReason::Exhausted,
        gap: fused.certificate.gap(best),
        holds: HOLDS,
        certificate: fused.certificate.clone(),
        groups: fused.groups().map(names).collect(),
        einsums: workload
            .einsums
            .iter()
            .zip(&fused.steps)
            .map(einsum)
            .collect(),
    };
    console.result("map", &json, || fused_text(&json, workload, fused, tree))?;
    Ok(Outcome::Good)
}

fn fused_text(json: &FusedJson, workload: &Workload, fused: &Fused, tree: &Tree) -> String {
    let mut text = format!(
        "workload `{}` on tree `{}`, fused\n",
        json.subject.workload, json.subject.tree
    );
    let mut einsums = workload.einsums.iter();
    for (names, steps) in json.groups.iter().zip(fused.groups()) {
        let _ = writeln!(text, "\n# group: {}", names.join(", "));
        for (step, einsum) in steps.iter().zip(&mut einsums) {
            let times = match einsum.repeat {
                1 => String::new(),
                n => format!(", {n} times"),
            };
            let _ = writeln!(
                text,
                "{}  # {} shared loops; modelled: {:.3} uJ, {} cycles{times}",
                step.mapping,
                step.shared_loops,
                step.cost.energy_pj * 1e-6,
                thousands(step.cost.cycles.ceil() as u64)
            );
        }
    }
    let certificate = &fused.certificate;
    let what = match certificate.stop {
        StopReason::Exhausted => format!("proven best {HOLDS}"),
        StopReason::Stopped => format!(
            "stopped, the best so far; {HOLDS} none is more than {:.1} % better",
            100.0 * json.gap
        ),
    };
    let _ = writeln!(
        text,
        "\ncertificate: {what}: {} keys, {} pruned by bound and {} by capacity, {} searches, {} nodes",
        thousands(certificate.keys),
        thousands(certificate.pruned_by_bound),
        thousands(certificate.pruned_by_capacity),
        thousands(certificate.searches),
        thousands(certificate.nodes)
    );
    let _ = writeln!(
        text,
        "{:.3} uJ and {} cycles in all, {} bits cross `{}`; each einsum alone: {:.3} uJ and {} cycles",
        fused.energy_pj * 1e-6,
        thousands(fused.cycles.ceil() as u64),
        thousands(fused.outermost_bits),
        tree.components[0].name(),
        fused.unfused.0 * 1e-6,
        thousands(fused.unfused.1.ceil() as u64),
    );
    let _ = writeln!(
        text,
        "modelled, one einsum after the other; no design is generated from a tree"
    );
    text + &stopped_line(&json.subject)
}

#[derive(Serialize)]
struct Replayed {
    #[serde(flatten)]
    subject: Subject,
    einsums: Vec<Value>,
}

/// Counts what given nests cost.
fn replay(
    workload: &Workload,
    tree: &Tree,
    subject: Subject,
    file: &Path,
    console: &Console,
) -> Result<Outcome, Failure> {
    let schedule: Schedule = input::text(file, SCHEDULE_BYTES)?.parse()?;
    let mut text = format!("workload `{}` on tree `{}`\n", workload.name, tree.name);
    let mut einsums = Vec::new();
    for mapping in &schedule.mappings {
        let Some(einsum) = workload.einsums.iter().find(|e| e.name == mapping.einsum) else {
            let message = format!(
                "`{}` maps einsum `{}`, which is not in `{}`",
                file.display(),
                mapping.einsum,
                workload.name
            );
            return Err(Failure::usage(
                message,
                "replay a schedule with the workload that it was made for",
            ));
        };
        let cost = exact::evaluate(einsum, tree, subject.model, mapping)?;
        let _ = writeln!(
            text,
            "{}: {:.3} uJ, {} cycles, {} bits cross `{}` (modelled)",
            einsum.name,
            cost.energy_pj * 1e-6,
            thousands(cost.cycles.ceil() as u64),
            thousands(cost.outermost_bits),
            tree.components[0].name()
        );
        einsums.push(json!({ "name": einsum.name, "modelled_cost": cost, "bound_by": exact::binds(tree, &cost) }));
    }
    let replayed = Replayed { subject, einsums };
    console.result("map", &replayed, || text)?;
    Ok(Outcome::Good)
}

/// Schedule files above this size are none.
const SCHEDULE_BYTES: u64 = 1 << 24;

/// One einsum with its result.
struct Part<'a> {
    einsum: &'a Einsum,
    found: Found,
    limits: Limits,
    /// The least bits of the outermost memory for all memory on chip in one.
    buffer: Option<u64>,
}

impl Part<'_> {
    fn json(&self, tree: &Tree, objective: Objective) -> Value {
        let certificate = &self.found.certificate;
        let mut json = json!({
            "name": self.einsum.name, "equation": self.einsum.equation(), "repeat": self.einsum.repeat,
            "operations": self.einsum.n_operations(), "certificate": certificate, "limits": self.limits,
            "buffer_bound_bits": self.buffer, "holds": HOLDS,
        });
        if let Some(best) = &self.found.best {
            json["modelled_cost"] = json!(best.cost);
            json["energy_delay_pj_cycles"] = json!(best.cost.energy_delay());
            json["bound_by"] = json!(exact::binds(tree, &best.cost));
            json["gap"] = json!(certificate.gap(rank(objective, &best.cost)));
            json["mapping"] = json!(best.mapping.to_string());
        }
        json
    }
}

/// Where a certificate holds.
const HOLDS: &str = "in this model and space";

fn rank(objective: Objective, cost: &Cost) -> f64 {
    objective.rank(cost.energy_pj, cost.cycles).0
}

fn text(mapped: &Mapped, parts: &[Part], tree: &Tree) -> String {
    let mut text = format!(
        "workload `{}` on tree `{}`\n",
        mapped.subject.workload, mapped.subject.tree
    );
    for part in parts {
        let certificate = &part.found.certificate;
        let Some(best) = &part.found.best else {
            let _ = writeln!(
                text,
                "\neinsum {:?}\n  # stopped before a nest was found",
                part.einsum.name
            );
            continue;
        };
        let cost = &best.cost;
        let _ = write!(text, "\n{}", best.mapping);
        let times = if part.einsum.repeat > 1 {
            format!(", {} times", part.einsum.repeat)
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "  # modelled: {:.3} uJ, {} cycles, {:.1} % of peak{times}",
            cost.energy_pj * 1e-6,
            thousands(cost.cycles.ceil() as u64),
            100.0 * part.limits.compute_cycles as f64 / cost.cycles
        );
        let by = match exact::binds(tree, cost) {
            Binds::Compute => "compute".to_owned(),
            Binds::Port(memory) => format!("the port of `{memory}`"),
        };
        let _ = writeln!(
            text,
            "  # bound by {by}; {} bits cross `{}`",
            thousands(cost.outermost_bits),
            tree.components[0].name()
        );
        let bound = part.buffer.map_or("unknown".to_owned(), thousands);
        let _ = writeln!(
            text,
            "  # roofline {} cycles; at least {} bits cross, {bound} with all memory on chip in one",
            thousands(part.limits.roofline_cycles.ceil() as u64),
            thousands(part.limits.compulsory_bits)
        );
        let _ = writeln!(
            text,
            "  # certificate: {}",
            sentence(certificate, rank(mapped.objective, cost))
        );
    }
    let _ = match mapped.modelled_energy_pj.zip(mapped.modelled_cycles) {
        Some((energy_pj, cycles)) => writeln!(
            text,
            "\n{:.3} uJ and {} cycles in all (modelled, one einsum after the other); a tree is for mapping: no design is generated from it",
            energy_pj * 1e-6,
            thousands(cycles.ceil() as u64)
        ),
        None => writeln!(
            text,
            "\nno nest of {} of {} einsums was found, so there is no sum",
            parts.iter().filter(|p| p.found.best.is_none()).count(),
            parts.len()
        ),
    };
    text + &stopped_line(&mapped.subject)
}

fn sentence(certificate: &Certificate, best: f64) -> String {
    let what = match certificate.stop {
        StopReason::Exhausted => "proven best".to_owned(),
        StopReason::Stopped => format!(
            "stopped; at most {:.2} % better exists",
            100.0 * certificate.gap(best)
        ),
    };
    format!(
        "{what} {HOLDS}: {} nodes, {} pruned by bound and {} by capacity, {} counted, gap {:.2} %",
        thousands(certificate.nodes),
        thousands(certificate.pruned_by_bound),
        thousands(certificate.pruned_by_capacity),
        thousands(certificate.leaves),
        100.0 * certificate.gap(best)
    )
}
