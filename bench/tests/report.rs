//! The report: its schema, its page, and what a page must never do.

mod common;

use std::path::Path;

use bench::report::{
    Check, Dataset, Device, DeviceRun, Exploration, ExploredDesign, Figure, Fpga, OutputsCompared,
    Part, Provenance, Rejected, Report, Resource, Tool,
};
use common::{digits, preset, report};

const HOSTILE: &str = "a\"><script>alert(1)</script><svg onload='x'>&amp;\u{202e}\u{1b}[31m]]>7";

/// A report in which all parts are there, with `name` wherever a name can come from outside.
fn full(name: &str) -> Report {
    let mut report = report(&digits(), &preset("edge"));
    let text = || name.to_owned();
    report.network.name = text();
    report.network.hash = text();
    report.arch.name = text();
    report.arch.description = text();
    report.arch.memory_model = text();
    for memory in &mut report.arch.memories {
        memory.name = text();
    }
    for layer in &mut report.layers {
        layer.name = text();
        layer.kind = text();
        layer.mapping = text();
        if let Some(certificate) = &mut layer.certificate {
            certificate.search = text();
            certificate.sentence = text();
        }
    }
    report.dataset = Part::Present(Dataset {
        name: text(),
        device: text(),
        images: 360,
        correct: 354,
        outputs: Part::Present(OutputsCompared {
            with: text(),
            compared: 3600,
            equal: 3599,
        }),
        provenance: Provenance::Simulated,
    });
    report.devices = vec![
        Device {
            name: text(),
            description: text(),
            ran: Part::Present(DeviceRun {
                images: 360,
                cycles: Some(9),
                provenance: Provenance::RtlSimulated,
            }),
        },
        Device {
            name: text(),
            description: text(),
            ran: Part::absent(name),
        },
    ];
    let measured = |value| Figure::new(value, Provenance::Measured);
    report.fpga = Part::Present(Fpga {
        device: text(),
        board: Some(text()),
        resources: vec![Resource {
            name: text(),
            used: measured(4321),
            available: 5280,
        }],
        clock_hz: Figure::new(24_000_000, Provenance::Given),
        fmax_hz: Figure::new(26_120_000, Provenance::Estimated),
        bitstream_bytes: measured(104_090),
        checks: vec![Check {
            name: text(),
            passed: false,
            detail: text(),
        }],
        tools: vec![Tool {
            name: text(),
            version: text(),
        }],
    });
    let design = |cycles, on_front| ExploredDesign {
        name: text(),
        cycles,
        utilisation: 0.5,
        multipliers: 256,
        memory_bits: 1 << 20,
        traffic_bytes: 4096,
        on_front,
    };
    report.exploration = Part::Present(Exploration {
        space: text(),
        points_in_space: 3,
        designs: vec![design(1000, true), design(2000, false)],
        rejected: vec![Rejected {
            reason: text(),
            points: 1,
        }],
    });
    report.origin.command = Some(text());
    report.origin.tools = vec![Tool {
        name: text(),
        version: text(),
    }];
    report.origin.seeds = vec![(text(), 7)];
    report.origin.inputs = vec![(text(), text())];
    report
}

#[test]
fn the_json_reads_back() {
    let report = full("plain");
    assert_eq!(Report::from_json(&report.to_json()), Ok(report));
}

#[test]
fn another_schema_version_is_refused() {
    let report = Report {
        schema_version: 99,
        ..report(&digits(), &preset("edge"))
    };
    assert!(Report::from_json(&report.to_json()).is_err());
}

#[test]
fn the_schema_is_the_committed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report.schema.json");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, Report::json_schema()).expect("the folder is there");
    }
    let committed = std::fs::read_to_string(&path).expect("the schema is committed");
    assert!(
        committed == Report::json_schema(),
        "the schema changed: raise SCHEMA_VERSION if old readers break, run with UPDATE_EXPECT=1"
    );
}

#[test]
fn the_same_report_gives_the_same_page() {
    let page = || report(&digits(), &preset("edge")).to_html();
    assert_eq!(page(), page());
}

#[test]
fn hostile_names_stay_text() {
    let page = full(HOSTILE).to_html();
    assert!(!page.contains("<script"), "a tag came through");
    assert!(!page.contains("onload='x'>"), "an attribute came through");
    assert!(
        !page.contains('\u{202e}') && !page.contains('\u{1b}'),
        "a control character came through"
    );
    let plain = Elements::of(&full("plain").to_html());
    let hostile = Elements::of(&page);
    let names = |elements: &Elements| {
        let mut names: Vec<String> = elements.tags.clone();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(
        names(&plain),
        names(&hostile),
        "hostile names made new elements"
    );
}

#[test]
fn the_page_needs_nothing_else() {
    let page = full("plain").to_html();
    assert!(page.contains("default-src 'none'"), "the policy is missing");
    for outside in [
        "http:",
        "https:",
        "<script",
        "<link",
        "<img",
        "<iframe",
        "@import",
        "javascript:",
        "onclick",
    ] {
        assert!(!page.contains(outside), "`{outside}` is on the page");
    }
}

#[test]
fn every_number_carries_its_origin() {
    for page in [
        full("plain").to_html(),
        report(&digits(), &preset("nano")).to_html(),
    ] {
        for (text, ancestors) in Elements::of(&page).texts {
            let excused = ["head", "style", "code", "pre", "dl"];
            let is_excused = ancestors.iter().any(|(tag, class)| {
                excused.contains(&tag.as_str()) || class.split(' ').any(|c| c == "id")
            });
            let has_origin = ancestors.iter().any(|(_, class)| class.contains("prov-"));
            let is_number = text.chars().any(|c| c.is_ascii_digit());
            assert!(
                !is_number || is_excused || has_origin,
                "`{text}` says not where it comes from: {ancestors:?}"
            );
        }
    }
}

#[test]
fn charts_are_there_and_not_empty() {
    let page = full("plain").to_html();
    let charts: Vec<&str> = page
        .split("<svg role=\"img\"")
        .skip(1)
        .map(|rest| rest.split("</svg>").next().unwrap_or_default())
        .collect();
    assert_eq!(charts.len(), 10, "five charts, each wide and narrow");
    for chart in charts {
        assert!(
            chart.contains("<title id=") && chart.contains("<desc id="),
            "a chart has no name"
        );
        assert!(
            chart.matches("class=\"f").count() >= 5,
            "a chart is empty: {chart}"
        );
        assert!(
            chart.contains("class=\"tip\""),
            "a chart has no data: {chart}"
        );
        assert!(
            !chart.contains("NaN") && !chart.contains("fill=\"#"),
            "a chart has faults: {chart}"
        );
    }
}

#[test]
fn missing_parts_say_why_and_show_no_zero() {
    let page = report(&digits(), &preset("edge")).to_html();
    for reason in [
        "No dataset was given",
        "`verify` was not run",
        "`nextpnr-ice40` is not installed",
        "No space was given",
    ] {
        assert!(page.contains(reason), "`{reason}` is not on the page");
    }
}

#[test]
fn the_cycles_of_each_engine_sum_up_to_the_run() {
    for preset_name in ["edge", "nano"] {
        let report = report(&digits(), &preset(preset_name));
        for (engine, cycles) in report.run.engines.iter() {
            assert_eq!(
                cycles.total(),
                report.run.cycles.value,
                "{engine} of {preset_name}"
            );
        }
        let layers: u64 = report
            .layers
            .iter()
            .map(|layer| layer.engines.exec.total())
            .sum();
        assert_eq!(layers + report.tail.exec.total(), report.run.cycles.value);
    }
}

#[test]
fn the_traffic_of_the_layers_sums_up_to_the_run() {
    for preset_name in ["edge", "nano"] {
        let report = report(&digits(), &preset(preset_name));
        let traffic = || {
            report
                .layers
                .iter()
                .filter_map(|layer| layer.traffic.present())
                .map(|figure| figure.value)
        };
        assert_eq!(
            traffic().map(|t| t.load_words).sum::<u64>(),
            report.run.traffic.load_words
        );
        assert_eq!(
            traffic().map(|t| t.store_words).sum::<u64>(),
            report.run.traffic.store_words
        );
    }
}

/// The elements of a page: names of all tags, and every text with the names and classes around it.
struct Elements {
    tags: Vec<String>,
    texts: Vec<(String, Vec<(String, String)>)>,
}

impl Elements {
    fn of(page: &str) -> Elements {
        let (mut tags, mut texts, mut stack) =
            (Vec::new(), Vec::new(), Vec::<(String, String)>::new());
        let mut rest = page;
        while let Some(open) = rest.find('<') {
            let text = rest[..open].trim();
            if !text.is_empty() {
                texts.push((text.to_owned(), stack.clone()));
            }
            let close = open + rest[open..].find('>').expect("every tag ends");
            let tag = &rest[open + 1..close];
            rest = &rest[close + 1..];
            if tag.starts_with('!') {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let (opened, _) = stack.pop().expect("every end has a start");
                assert_eq!(opened, name.trim(), "elements nest");
                continue;
            }
            let name = tag
                .split([' ', '/', '\n'])
                .next()
                .unwrap_or_default()
                .to_owned();
            let class = tag
                .split("class=\"")
                .nth(1)
                .and_then(|c| c.split('"').next())
                .unwrap_or_default()
                .to_owned();
            tags.push(name.clone());
            if !tag.ends_with('/') && name != "meta" {
                stack.push((name, class));
            }
        }
        assert!(stack.is_empty(), "{stack:?} are not closed");
        Elements { tags, texts }
    }
}
