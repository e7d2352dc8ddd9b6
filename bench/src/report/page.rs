//! The page: one HTML file without scripts, in the manner of a paper.
//!
//! Every chart has a table with the same numbers, every number has the class of its origin, and every text that comes
//! from outside is escaped. Charts are drawn twice, for wide and for narrow screens.

use super::markup::{
    Cell, Table, class, code, escape, figure, id, mhz, number, percent, sentence, short, whole,
};
use super::{Cycles, Part, PerEngine, Provenance, Report, chart};

const STYLE: &str = include_str!("page.css");

/// Patterns that tell the causes of cycles apart without colour, in canvas units.
const PATTERNS: &str = "<svg class=\"defs\" aria-hidden=\"true\"><defs>\
<pattern id=\"k1\" width=\"40\" height=\"40\" patternUnits=\"userSpaceOnUse\"><path class=\"k1\" d=\"M0 0h40v40h-40z\"/><circle class=\"kd\" cx=\"20\" cy=\"20\" r=\"7\"/></pattern>\
<pattern id=\"k2\" width=\"50\" height=\"50\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path class=\"k2\" d=\"M0 0h50v50h-50z\"/><path class=\"kl\" stroke-width=\"10\" d=\"M0 0v50\"/></pattern>\
<pattern id=\"k3\" width=\"50\" height=\"50\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(-45)\"><path class=\"k3\" d=\"M0 0h50v50h-50z\"/><path class=\"kl\" stroke-width=\"10\" d=\"M0 0v50\"/></pattern>\
<pattern id=\"k4\" width=\"50\" height=\"50\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path class=\"k4\" d=\"M0 0h50v50h-50z\"/><path class=\"kl\" stroke-width=\"10\" d=\"M0 0v50M0 0h50\"/></pattern>\
<pattern id=\"k5\" width=\"40\" height=\"40\" patternUnits=\"userSpaceOnUse\"><path class=\"k5\" d=\"M0 0h40v40h-40z\"/><path class=\"kl\" stroke-width=\"10\" d=\"M0 20h40\"/></pattern>\
</defs></svg>";

const SIM: Provenance = Provenance::Simulated;
const GIVEN: Provenance = Provenance::Given;

/// Widths of charts in pixels: wide and narrow screens.
const WIDTHS: [(&str, f64); 2] = [("wide", 700.0), ("narrow", 340.0)];

/// A page under construction.
struct Page<'a> {
    report: &'a Report,
    html: String,
    tables: usize,
    figures: usize,
}

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut page = Page {
        report,
        html: String::new(),
        tables: 0,
        figures: 0,
    };
    page.head();
    page.findings();
    page.machine();
    page.devices();
    page.layers();
    page.roofline();
    page.timeline();
    page.fpga();
    page.exploration();
    page.nests();
    page.origin();
    page.html.push_str("</main></body></html>\n");
    page.html
}

impl Page<'_> {
    fn put(&mut self, html: &str) {
        self.html.push_str(html);
        self.html.push('\n');
    }

    fn table(&mut self, table: &Table) {
        self.tables += 1;
        let html = table.html(self.tables);
        self.put(&html);
    }

    fn chart(&mut self, caption: &str, provenance: Provenance, draw: impl Fn(&str, f64) -> String) {
        self.figures += 1;
        let n = self.figures;
        let drawings = WIDTHS.map(|(name, width)| {
            format!(
                "<div class=\"{name}\">{}</div>",
                draw(&format!("f{n}{name}"), width)
            )
        });
        let class = class(provenance);
        let html = format!(
            "<figure class=\"{class}\">{}\n<figcaption><b class=\"id\">Figure {n}.</b> {caption} All numbers are {}.</figcaption></figure>",
            drawings.concat(),
            provenance.name()
        );
        self.put(&html);
    }

    fn absent(&mut self, what: &str, reason: &str) {
        let html = format!(
            "<p class=\"absent\">{what}: not stated. {}.</p>",
            sentence(reason)
        );
        self.put(&html);
    }

    fn head(&mut self) {
        let Report { network, arch, .. } = self.report;
        let title = format!("{} on {}", escape(&network.name), escape(&arch.name));
        let policy =
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
        let html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{title} - Tilewright report</title>\n<style>\n{STYLE}</style></head>\n<body>{PATTERNS}\n<main>\n\
             <h1 class=\"id\">{title}</h1>\n<p class=\"lead\">Tilewright report. {}.</p>",
            id(arch.description.trim_end_matches('.'))
        );
        self.put(&html);
    }

    /// What a reader takes home, in sentences.
    fn findings(&mut self) {
        let Report { run, arch, .. } = self.report;
        let busy = run.engines.exec.busy;
        let mut html = String::from("<section class=\"abstract\" aria-label=\"Findings\">");
        html += &format!(
            "<p>One image takes {} cycles. At the arch's clock of {} that is {} images per second: simulated cycles at a stated clock, with no wall time in it.</p>\n",
            figure(run.cycles),
            number(&mhz(arch.clock_hz), GIVEN),
            number(
                &short(run.images_per_second.value),
                run.images_per_second.provenance
            )
        );
        html += &format!(
            "<p>Utilisation is {}: multiply-accumulates of the network, over rows, columns and cycles. EXEC runs in {} of the cycles, and while it runs, {} of the array's multiplications are useful.{}</p>\n",
            number(&percent(run.utilisation.value), run.utilisation.provenance),
            number(&percent(busy as f64 / run.cycles.value as f64), SIM),
            number(
                &percent(run.utilisation.value * run.cycles.value as f64 / busy.max(1) as f64),
                SIM
            ),
            self.loss()
        );
        html += &match &self.report.dataset {
            Part::Present(data) => {
                let origin = data.provenance;
                let outputs = match &data.outputs {
                    Part::Present(o) if o.equal == o.compared => {
                        format!(
                            " All {} outputs are equal to those of {}, bit for bit.",
                            number(&whole(o.compared), origin),
                            id(&o.with)
                        )
                    }
                    Part::Present(o) => format!(
                        " <span class=\"bad\">Only {} of {} outputs are equal to those of {}.</span>",
                        number(&whole(o.equal), origin),
                        number(&whole(o.compared), origin),
                        id(&o.with)
                    ),
                    Part::Absent { .. } => String::new(),
                };
                format!(
                    "<p>{} of {} images of {} are right, {}, counted on device {}.{outputs}</p>\n",
                    number(&whole(data.correct), origin),
                    number(&whole(data.images), origin),
                    id(&data.name),
                    number(&percent(data.correct as f64 / data.images as f64), origin),
                    code(&data.device)
                )
            }
            Part::Absent { reason } => format!(
                "<p class=\"absent\">Accuracy: not stated. {}.</p>\n",
                sentence(reason)
            ),
        };
        html += &self.agreement();
        html += "</section>";
        self.put(&html);
    }

    /// Where the cycles of the array went, other than into work.
    fn loss(&self) -> String {
        let run = &self.report.run;
        let causes = run.engines.exec.causes();
        let Some((cause, (_, most))) = causes
            .iter()
            .enumerate()
            .skip(1)
            .max_by_key(|(_, (_, n))| *n)
            .filter(|(_, (_, n))| *n > 0)
        else {
            return String::new();
        };
        let of = |cycles: &Cycles| cycles.causes()[cause].1;
        let layer = self
            .report
            .layers
            .iter()
            .max_by_key(|layer| of(&layer.engines.exec));
        let share = percent(*most as f64 / run.cycles.value as f64);
        let place =
            layer
                .filter(|layer| of(&layer.engines.exec) > 0)
                .map_or(String::new(), |layer| {
                    let part = percent(of(&layer.engines.exec) as f64 / *most as f64);
                    format!(", {} of it at {}", number(&part, SIM), code(&layer.name))
                });
        format!(
            " The largest share of time in which EXEC does not run is <em>{}</em>: {} of all cycles{place}.",
            chart::CAUSES[cause],
            number(&share, SIM)
        )
    }

    fn agreement(&self) -> String {
        match &self.report.equality {
            Part::Present(equality) => {
                let sum = |of: fn(&super::EqualityConfig) -> u64| {
                    equality.configs.iter().map(of).sum::<u64>()
                };
                let origin = equality.provenance;
                let differences = sum(|c| c.cycle_differences)
                    + sum(|c| c.counter_differences)
                    + sum(|c| c.bit_mismatches);
                let devices: Vec<String> = equality.devices.iter().map(|d| code(d)).collect();
                let compared = format!(
                    "{} values of tensors and {} starts and ends of instructions",
                    number(&whole(sum(|c| c.values_compared)), origin),
                    number(&whole(sum(|c| c.spans_compared)), origin)
                );
                if differences == 0 && equality.first_difference.is_none() {
                    format!(
                        "<p>The devices {} agree: no difference in {compared}.</p>\n",
                        devices.join(", ")
                    )
                } else {
                    let first = equality
                        .first_difference
                        .as_deref()
                        .unwrap_or("not recorded");
                    format!(
                        "<p class=\"bad\">The devices {} do not agree: {} differences in {compared}. First: {}</p>\n",
                        devices.join(", "),
                        number(&whole(differences), origin),
                        code(first)
                    )
                }
            }
            Part::Absent { reason } => format!(
                "<p class=\"absent\">Agreement of devices: not stated. {}.</p>\n",
                sentence(reason)
            ),
        }
    }

    fn machine(&mut self) {
        let Report {
            network, arch, run, ..
        } = self.report;
        self.put("<h2>Network and machine</h2>");
        let mut table = Table::new(
            "The network and the machine it runs on. All numbers are given.",
            &[],
        );
        let mut row = |name: &str, text: String| {
            table.row([Cell::Name(name.to_owned()), Cell::Number(text, GIVEN)])
        };
        row("Layers", whole(network.layers as u64));
        row(
            "Multiply-accumulates of one image, padding included",
            whole(network.macs),
        );
        row("Weights and biases", whole(network.parameters));
        row("Instructions of the program", whole(run.instructions.value));
        row(
            "Array, rows \u{d7} columns",
            format!("{} \u{d7} {}", arch.rows, arch.cols),
        );
        row(
            "Peak multiply-accumulates a cycle",
            whole(arch.macs_per_cycle.into()),
        );
        row("Clock that the design is meant for", mhz(arch.clock_hz));
        for memory in &arch.memories {
            row(
                &format!("Memory: {}, bits", escape(&memory.name)),
                whole(memory.bits),
            );
        }
        self.table(&table);
        let html = format!(
            "<p>Memory model: {}. Network {}, arch {}.</p>",
            id(&arch.memory_model),
            code(&network.hash),
            code(&arch.hash)
        );
        self.put(&html);
    }

    fn devices(&mut self) {
        self.put("<h2>Devices and their agreement</h2>");
        let mut table = Table::new(
            "The devices.",
            &[
                "Device",
                "What it is",
                "#Images",
                "#Cycles of one image",
                "Origin",
            ],
        );
        for device in &self.report.devices {
            let names = [
                Cell::Name(code(&device.name)),
                Cell::Text(id(&device.description)),
            ];
            let rest = match &device.ran {
                Part::Present(ran) => [
                    Cell::whole(ran.images, ran.provenance),
                    ran.cycles
                        .map_or(Cell::Nothing("the device counts no cycles"), |n| {
                            Cell::whole(n, ran.provenance)
                        }),
                    Cell::Text(ran.provenance.name().to_owned()),
                ],
                Part::Absent { reason } => [
                    Cell::Nothing("did not run"),
                    Cell::Nothing("did not run"),
                    Cell::Text(format!(
                        "<span class=\"absent\">did not run: {}</span>",
                        id(reason)
                    )),
                ],
            };
            table.row(names.into_iter().chain(rest));
        }
        self.table(&table);
        let equality = match &self.report.equality {
            Part::Present(equality) => equality,
            Part::Absent { reason } => return self.absent("Agreement of devices", reason),
        };
        let caption = format!(
            "Each program with each memory model, on {} images; values against the reference, starts, ends and counters against the simulator.",
            number(&whole(equality.images), equality.provenance)
        );
        let head = [
            "Program",
            "Memory",
            "#Instruc&shy;tions",
            "#Starts, ends compared",
            "#Values compared",
            "#Cycle differences",
            "#Counter differences",
            "#Bit mismatches",
        ];
        let mut table = Table::new(&caption, &head);
        for config in &equality.configs {
            let n = |n: u64| Cell::whole(n, equality.provenance);
            table.row([
                Cell::name(&config.program),
                Cell::Text(id(&config.memory)),
                Cell::whole(config.instructions, GIVEN),
                n(config.spans_compared),
                n(config.values_compared),
                n(config.cycle_differences),
                n(config.counter_differences),
                n(config.bit_mismatches),
            ]);
        }
        self.table(&table);
        for (device, reason) in &equality.skipped {
            let html = format!(
                "<p class=\"absent\">{} took no part: {}.</p>",
                code(device),
                id(reason.trim_end_matches('.'))
            );
            self.put(&html);
        }
    }

    fn layers(&mut self) {
        let report = self.report;
        self.put("<h2>Where the cycles go</h2>");
        self.put("<p>A cycle of an engine belongs to the layer of the engine's next instruction, so the bars of all layers, end to end, are the whole run as EXEC sees it. What EXEC waits for is the engine that raises the semaphore it lacks.</p>");
        self.chart("Cycles of EXEC by layer and cause.", SIM, |id, width| {
            chart::cycles(report, id, width)
        });
        self.chart(
            "Utilisation of each layer: its multiply-accumulates over rows, columns and the cycles of EXEC in the figure above.",
            SIM,
            |id, width| chart::utilisation(report, id, width),
        );
        let head = [
            "Layer",
            "#MACs",
            "#Cycles",
            "#Busy",
            "#Config&shy;ure",
            "#Wait LOAD",
            "#Wait EXEC",
            "#Wait VEC",
            "#Wait STORE",
            "#Empty",
            "#Utili&shy;sation",
        ];
        let mut table = Table::new(
            "Cycles of EXEC by layer and cause. MACs are given, the rest is simulated.",
            &head,
        );
        for (i, layer) in report.layers.iter().enumerate() {
            let utilisation = match layer.utilisation {
                Some(figure) => Cell::Number(percent(figure.value), figure.provenance),
                None => Cell::Nothing("no MACs of the network on the array"),
            };
            let causes = layer
                .engines
                .exec
                .causes()
                .map(|(_, n)| Cell::whole(n, SIM));
            let names = [
                row_name(i, &layer.name),
                Cell::whole(layer.macs, GIVEN),
                Cell::whole(layer.engines.exec.total(), SIM),
            ];
            table.row(names.into_iter().chain(causes).chain([utilisation]));
        }
        let tail = report.tail.exec.causes().map(|(_, n)| Cell::whole(n, SIM));
        let names = [
            Cell::name("at the end"),
            Cell::Nothing("no layer"),
            Cell::whole(report.tail.exec.total(), SIM),
        ];
        table.row(
            names
                .into_iter()
                .chain(tail)
                .chain([Cell::Nothing("no layer")]),
        );
        let sum = report
            .run
            .engines
            .exec
            .causes()
            .map(|(_, n)| Cell::whole(n, SIM));
        let names = [
            Cell::name("whole run"),
            Cell::whole(report.network.macs, GIVEN),
            Cell::whole(report.run.cycles.value, SIM),
        ];
        table.row(
            names
                .into_iter()
                .chain(sum)
                .chain([Cell::Number(percent(report.run.utilisation.value), SIM)]),
        );
        self.table(&table);

        let head = [
            "Layer",
            "Kind",
            "#Instruc&shy;tions",
            "#Words loaded",
            "#Words stored",
            "#Busy EXEC, simulated",
            "#Busy EXEC, modelled",
            "#Difference",
        ];
        let caption = "Traffic of each layer, and the cost model against the simulator.";
        let mut table = Table::new(caption, &head);
        for (i, layer) in report.layers.iter().enumerate() {
            let [loaded, stored] = match &layer.traffic {
                Part::Present(t) => {
                    [t.value.load_words, t.value.store_words].map(|n| Cell::whole(n, t.provenance))
                }
                Part::Absent { .. } => [(); 2].map(|()| Cell::Nothing("the run was not traced")),
            };
            let (busy, modelled) = (layer.engines.exec.busy, layer.modelled.value.busy.exec);
            let difference = if busy == 0 {
                Cell::Nothing("no part in the array")
            } else {
                Cell::Number(error(modelled, busy), SIM)
            };
            table.row([
                row_name(i, &layer.name),
                Cell::Text(escape(&layer.kind)),
                Cell::whole(layer.instructions, GIVEN),
                loaded,
                stored,
                Cell::whole(busy, SIM),
                Cell::whole(modelled, layer.modelled.provenance),
                difference,
            ]);
        }
        self.table(&table);
        let run = &report.run;
        let html = format!(
            "<p>In all, FETCH read {} words, LOAD {} and STORE wrote {}. For the whole run the cost model predicts {} cycles, {} from the simulator's.</p>",
            number(&whole(run.traffic.fetch_words), SIM),
            number(&whole(run.traffic.load_words), SIM),
            number(&whole(run.traffic.store_words), SIM),
            figure(run.modelled_cycles),
            number(
                &error(run.modelled_cycles.value, run.cycles.value),
                Provenance::Modelled
            )
        );
        self.put(&html);
    }

    fn roofline(&mut self) {
        let report = self.report;
        self.put("<h2>Roofline</h2>");
        let points = chart::roof_points(report);
        if points.is_empty() {
            let reason = report.layers.iter().find_map(|layer| match &layer.traffic {
                Part::Absent { reason } => Some(reason.as_str()),
                Part::Present(_) => None,
            });
            return self.absent("Roofline", reason.unwrap_or("no layer runs on the array"));
        }
        let caption = "Each layer below the two roofs of the machine: its array, and one word of memory a cycle. A triangle at the right edge is a layer that moves nothing.";
        self.chart(caption, SIM, |id, width| chart::roofline(report, id, width));
        let mut table = Table::new(
            "The roofline in numbers.",
            &[
                "Layer",
                "#MACs per byte",
                "#MACs per cycle",
                "#Roof",
                "#Of the roof",
            ],
        );
        for point in &points {
            let memory = point.intensity * f64::from(report.arch.word_bytes);
            let roof = memory.min(f64::from(report.arch.macs_per_cycle));
            table.row([
                row_name(point.index, &point.layer.name),
                Cell::Number(short(point.intensity), SIM),
                Cell::Number(short(point.rate), SIM),
                Cell::Number(short(roof), SIM),
                Cell::Number(percent(point.rate / roof), SIM),
            ]);
        }
        self.table(&table);
    }

    fn timeline(&mut self) {
        let report = self.report;
        self.put("<h2>One run in time</h2>");
        match &report.timeline {
            Part::Present(timeline) => {
                let merged = match timeline.merged_below {
                    0 => String::new(),
                    n => format!(
                        " Neighbours less than {} cycles apart are drawn as one.",
                        whole(n)
                    ),
                };
                let caption = format!(
                    "One run, unit by unit, in the colours of the layers; the numbers above are the layers that EXEC is at.{merged}"
                );
                self.chart(&caption, SIM, |id, width| {
                    chart::timeline(report, timeline, id, width)
                });
            }
            Part::Absent { reason } => self.absent("Timeline", reason),
        }
        let head = [
            "Engine",
            "#Busy",
            "#Configure",
            "#Wait LOAD",
            "#Wait EXEC",
            "#Wait VEC",
            "#Wait STORE",
            "#Empty",
            "#Sum",
        ];
        let mut table = Table::new(
            "Cycles of each engine over the whole run. All numbers are simulated.",
            &head,
        );
        let engines: &PerEngine<Cycles> = &report.run.engines;
        for (name, cycles) in engines.iter() {
            let causes = cycles.causes().map(|(_, n)| Cell::whole(n, SIM));
            table.row(
                [Cell::name(&name.to_uppercase())]
                    .into_iter()
                    .chain(causes)
                    .chain([Cell::whole(cycles.total(), SIM)]),
            );
        }
        self.table(&table);
        let fetch = report.run.fetch;
        let n = |n: u64| number(&whole(n), SIM);
        let html = format!(
            "<p>FETCH dispatches in {} cycles, finds a queue full in {}, waits for memory in {}, and is done for the last {}.</p>",
            n(fetch.dispatch),
            n(fetch.blocked),
            n(fetch.starved),
            n(fetch.done)
        );
        self.put(&html);
    }

    fn fpga(&mut self) {
        self.put("<h2>Bitstream</h2>");
        let fpga = match &self.report.fpga {
            Part::Present(fpga) => fpga,
            Part::Absent { reason } => return self.absent("FPGA utilisation and clock", reason),
        };
        let board = fpga.board.as_ref().map_or(String::new(), |board| {
            format!(" with the pins of {}", id(board))
        });
        let html = format!(
            "<p>Placed and routed for {}{board}. The clock asked for is {}; the highest clock by static timing analysis is {}. The bitstream has {} bytes.</p>",
            id(&fpga.device),
            number(&mhz(fpga.clock_hz.value), fpga.clock_hz.provenance),
            number(&mhz(fpga.fmax_hz.value), fpga.fmax_hz.provenance),
            figure(fpga.bitstream_bytes)
        );
        self.put(&html);
        let mut table = Table::new(
            "Cells of the placed design.",
            &["Cell", "#Used", "#Available", "#Share"],
        );
        for resource in &fpga.resources {
            let share = resource.used.value as f64 / resource.available as f64;
            table.row([
                Cell::name(&resource.name),
                Cell::whole(resource.used.value, resource.used.provenance),
                Cell::whole(resource.available, GIVEN),
                if resource.available > 0 {
                    Cell::Number(percent(share), resource.used.provenance)
                } else {
                    Cell::Nothing("the device has none")
                },
            ]);
        }
        self.table(&table);
        let mut table = Table::new("Checks of the flow.", &["Check", "Result", "Seen"]);
        for check in &fpga.checks {
            let result = if check.passed {
                "holds"
            } else {
                "<span class=\"bad\">fails</span>"
            };
            table.row([
                Cell::name(&check.name),
                Cell::Text(result.to_owned()),
                Cell::Text(id(&check.detail)),
            ]);
        }
        self.table(&table);
        let tools: Vec<String> = fpga
            .tools
            .iter()
            .map(|tool| id(&format!("{} {}", tool.name, tool.version)))
            .collect();
        let html = format!("<p>Tools: {}.</p>", tools.join("; "));
        self.put(&html);
    }

    fn exploration(&mut self) {
        self.put("<h2>Designs around this one</h2>");
        let exploration = match &self.report.exploration {
            Part::Present(exploration) => exploration,
            Part::Absent { reason } => return self.absent("Exploration", reason),
        };
        let html = format!(
            "<p>Of the {} points of the space {}, {} run the network.</p>",
            number(&whole(exploration.points_in_space), GIVEN),
            id(&exploration.space),
            number(&whole(exploration.designs.len() as u64), SIM)
        );
        self.put(&html);
        if !exploration.designs.is_empty() {
            let caption = "Explored designs. On the front is a design that no other beats: at least as good in cycles, multipliers and memory bits, and better in one.";
            self.chart(caption, SIM, |id, width| {
                chart::pareto(exploration, id, width)
            });
            let head = [
                "Design",
                "#Cycles",
                "#Multipliers",
                "#Memory bits",
                "#Utilisation",
                "#Bytes moved",
            ];
            let mut table = Table::new(
                "The Pareto front, fastest first. All numbers are simulated.",
                &head,
            );
            let mut front: Vec<_> = exploration.designs.iter().filter(|d| d.on_front).collect();
            front.sort_by_key(|d| (d.cycles, d.memory_bits));
            for design in front {
                let n = |n: u64| Cell::whole(n, SIM);
                let utilisation = Cell::Number(percent(design.utilisation), SIM);
                let name = Cell::Name(code(&design.name));
                table.row([
                    name,
                    n(design.cycles),
                    n(design.multipliers),
                    n(design.memory_bits),
                    utilisation,
                    n(design.traffic_bytes),
                ]);
            }
            self.table(&table);
        }
        if !exploration.rejected.is_empty() {
            let mut table = Table::new("Points without a result.", &["Reason", "#Points"]);
            for rejected in &exploration.rejected {
                table.row([
                    Cell::name(&rejected.reason),
                    Cell::whole(rejected.points, SIM),
                ]);
            }
            self.table(&table);
        }
    }

    fn nests(&mut self) {
        self.put("<h2>Loop nests and certificates</h2>");
        for (i, layer) in self.report.layers.iter().enumerate() {
            let certificate = match &layer.certificate {
                Some(certificate) => {
                    let class = class(Provenance::Modelled);
                    format!(
                        "<p class=\"{class}\" title=\"modelled\">{}: {}.</p>",
                        escape(&certificate.search),
                        escape(&certificate.sentence)
                    )
                }
                None => "<p class=\"absent\">No search: the layer does not run on the array.</p>"
                    .to_owned(),
            };
            let html = format!(
                "<h3><span class=\"id\">{}. {}</span></h3>{certificate}\n<details open><summary>Loop nest</summary><pre tabindex=\"0\">{}</pre></details>",
                i + 1,
                escape(&layer.name),
                escape(layer.mapping.trim_end())
            );
            self.put(&html);
        }
    }

    fn origin(&mut self) {
        let origin = &self.report.origin;
        self.put("<h2>Origin of the numbers</h2>");
        let key = |p: &Provenance| {
            format!(
                "<dt>{}</dt><dd>{}: {}.</dd>",
                p.mark(),
                p.name(),
                p.meaning()
            )
        };
        let html = format!(
            "<dl class=\"keys\">{}</dl>",
            Provenance::ALL.iter().map(key).collect::<String>()
        );
        self.put(&html);
        if let Some(command) = &origin.command {
            let html = format!("<p>Made by {}.</p>", code(command));
            self.put(&html);
        }
        let mut table = Table::new(
            "What is needed to make this report again.",
            &["What", "Which"],
        );
        for tool in &origin.tools {
            table.row([Cell::name(&tool.name), Cell::Text(id(&tool.version))]);
        }
        for (purpose, seed) in &origin.seeds {
            table.row([
                Cell::name(&format!("seed of {purpose}")),
                Cell::Text(code(&seed.to_string())),
            ]);
        }
        for (name, hash) in &origin.inputs {
            table.row([Cell::name(name), Cell::Text(code(hash))]);
        }
        self.table(&table);
    }
}

fn row_name(index: usize, name: &str) -> Cell {
    Cell::Name(format!(
        "<span class=\"id\">{}. {}</span>",
        index + 1,
        escape(name)
    ))
}

/// How far a prediction is from the truth, in percent with its sign.
fn error(predicted: u64, actual: u64) -> String {
    let share = (predicted as f64 - actual as f64) / actual as f64;
    format!(
        "{}{:.1}\u{202f}%",
        if share < 0.0 { "\u{2212}" } else { "+" },
        100.0 * share.abs()
    )
}
