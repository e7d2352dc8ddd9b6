//! The charts of the page, each at any width.

use plotters::coord::combinators::{IntoLogRange, LogCoord};
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;

use super::canvas::{Anchor, Canvas, Ink, TEXT, Words, draw, fit, text_width};
use super::markup::{percent, short, whole};
use super::{Activity, Exploration, Layer, Report, Timeline};

const SMALL: f64 = 11.0;

/// The causes of cycles, as readers see them, in the order of [`super::Cycles::causes`].
pub(super) const CAUSES: [&str; 7] = [
    "busy",
    "configure",
    "wait for LOAD",
    "wait for EXEC",
    "wait for VEC",
    "wait for STORE",
    "queue empty",
];

/// A position on an axis, by plotters' coordinates.
enum Axis {
    Linear(RangedCoordf64, [f64; 2]),
    Log(LogCoord<f64>, [f64; 2]),
}

impl Axis {
    fn linear(to: f64, pixels: [f64; 2]) -> Axis {
        Axis::Linear((0.0..to.max(1e-9)).into(), pixels)
    }

    fn log(from: f64, to: f64, pixels: [f64; 2]) -> Axis {
        Axis::Log((from..to).log_scale().into(), pixels)
    }

    /// The pixel of a value, to a hundredth.
    fn at(&self, value: f64) -> f64 {
        let ends = |[a, b]: &[f64; 2]| ((a * 100.0) as i32, (b * 100.0) as i32);
        f64::from(match self {
            Axis::Linear(coord, pixels) => coord.map(&value, ends(pixels)),
            Axis::Log(coord, pixels) => coord.map(&value, ends(pixels)),
        }) / 100.0
    }

    /// Round values for about `most` marks.
    fn ticks(&self, most: usize) -> Vec<f64> {
        match self {
            Axis::Linear(coord, _) => coord.key_points(most),
            Axis::Log(coord, _) => {
                let range = coord.range();
                let steps: [&[f64]; 4] = [
                    &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
                    &[1.0, 2.0, 3.0, 5.0],
                    &[1.0, 2.0, 5.0],
                    &[1.0],
                ];
                let of = |steps: &[f64]| -> Vec<f64> {
                    let decades = DECADES
                        .iter()
                        .flat_map(|decade| steps.iter().map(move |step| step * decade));
                    decades.filter(|value| range.contains(value)).collect()
                };
                steps
                    .iter()
                    .map(|steps| of(steps))
                    .find(|ticks| ticks.len() <= most)
                    .unwrap_or_else(|| of(&[1.0]))
            }
        }
    }
}

/// The decades that an axis can show.
const DECADES: [f64; 16] = [
    1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
];

/// A tick as text: 2 000 000 is `2M`.
fn tick(value: f64) -> String {
    let scaled = |v: f64, unit: &str| {
        let text = format!("{v:.2}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match value {
        v if v >= 1e9 => scaled(v / 1e9, "G"),
        v if v >= 1e6 => scaled(v / 1e6, "M"),
        v if v >= 1e4 => scaled(v / 1e3, "k"),
        v if v >= 1000.0 => whole(v as u64),
        v => scaled(v, ""),
    }
}

/// Entries side by side, in as many lines as they need; returns the height of all.
fn legend(canvas: &Canvas, entries: &[(Ink, &str)], left: f64, width: f64) -> f64 {
    let (mut x, mut y) = (left, 8.0);
    for (ink, label) in entries {
        let needs = 18.0 + text_width(label, SMALL) + 12.0;
        if x + needs > width && x > left {
            (x, y) = (left, y + 18.0);
        }
        let swatch = [x, y - 5.0, x + 12.0, y + 5.0];
        canvas.rectangle(swatch, *ink);
        canvas.outline(swatch, Ink::Axis, 0.6);
        canvas.text(label, (x + 17.0, y), SMALL, Ink::Text, Anchor::Start);
        x += needs;
    }
    y + 14.0
}

fn legend_height(entries: &[(Ink, &str)], left: f64, width: f64) -> f64 {
    let (mut x, mut y) = (left, 8.0);
    for (_, label) in entries {
        let needs = 18.0 + text_width(label, SMALL) + 12.0;
        if x + needs > width && x > left {
            (x, y) = (left, y + 18.0);
        }
        x += needs;
    }
    y + 14.0
}

/// The number and name of a layer, in front of its row.
fn row_label(canvas: &mut Canvas, index: usize, name: &str, y: f64, left: f64) {
    let number = format!("{}", index + 1);
    canvas.text(&number, (18.0, y), SMALL, Ink::Muted, Anchor::End);
    canvas.text(
        &fit(name, left - 32.0, TEXT),
        (24.0, y),
        TEXT,
        Ink::Text,
        Anchor::Start,
    );
}

fn horizontal_axis(
    canvas: &Canvas,
    axis: &Axis,
    most: usize,
    [top, bottom]: [f64; 2],
    label: &dyn Fn(f64) -> String,
) {
    for value in axis.ticks(most) {
        let x = axis.at(value);
        canvas.line(&[(x, top), (x, bottom)], Ink::Grid, 0.8);
        canvas.text(
            &label(value),
            (x, bottom + 10.0),
            SMALL,
            Ink::Muted,
            Anchor::Middle,
        );
    }
}

/// Room for the names of all layers, within reason.
fn label_width(report: &Report, width: f64) -> f64 {
    let longest = report
        .layers
        .iter()
        .map(|layer| text_width(&layer.name, TEXT))
        .fold(0.0, f64::max);
    let most = if width < 500.0 { 118.0 } else { 220.0 };
    (36.0 + longest.max(text_width(TAIL, TEXT))).min(most)
}

/// The name of the row below the layers.
const TAIL: &str = "at the end";

const ROW: f64 = 22.0;

/// Stacked bars: the cycles of EXEC by cause, a row for each layer and one for the tail.
pub(super) fn cycles(report: &Report, id: &str, width: f64) -> String {
    let seen = |i: &usize| rows(report).iter().any(|(_, c)| c[*i] > 0);
    let shown: Vec<usize> = (0..CAUSES.len()).filter(seen).collect();
    let entries: Vec<(Ink, &str)> = shown.iter().map(|&i| (Ink::Cause(i), CAUSES[i])).collect();
    let top = legend_height(&entries, 0.0, width) + 4.0;
    let rows = rows(report);
    let bottom = top + ROW * rows.len() as f64;
    let left = label_width(report, width);
    let most = rows
        .iter()
        .map(|(_, c)| c.iter().sum::<u64>())
        .max()
        .unwrap_or(0);
    let axis = Axis::linear(most as f64, [left, width - 62.0]);
    let description = "Horizontal stacked bars, one for each layer: cycles of the engine EXEC by cause. The table of layers has the same numbers.";
    let words = Words {
        id,
        title: "Cycles of each layer by cause",
        description,
    };
    draw(&words, width, bottom + 34.0, |canvas| {
        legend(canvas, &entries, 0.0, width);
        horizontal_axis(
            canvas,
            &axis,
            if width < 500.0 { 3 } else { 7 },
            [top, bottom],
            &tick,
        );
        canvas.text(
            "cycles",
            (left, bottom + 26.0),
            SMALL,
            Ink::Muted,
            Anchor::Start,
        );
        for (i, (name, causes)) in rows.iter().enumerate() {
            let y = top + ROW * (i as f64 + 0.5);
            if i < report.layers.len() {
                row_label(canvas, i, name, y, left);
            } else {
                canvas.text(
                    &fit(name, left - 28.0, TEXT),
                    (24.0, y),
                    TEXT,
                    Ink::Muted,
                    Anchor::Start,
                );
            }
            let mut sum = 0;
            for &cause in shown.iter().filter(|&&cause| causes[cause] > 0) {
                let (from, to) = (axis.at(sum as f64), axis.at((sum + causes[cause]) as f64));
                let bar = [from, y - 7.0, to, y + 7.0];
                canvas.rectangle(bar, Ink::Cause(cause));
                canvas.tip(
                    bar,
                    &format!("{name}: {} {} cycles", CAUSES[cause], whole(causes[cause])),
                );
                sum += causes[cause];
            }
            if sum > 0 {
                canvas.outline(
                    [left, y - 7.0, axis.at(sum as f64), y + 7.0],
                    Ink::Axis,
                    0.6,
                );
            }
            let text = if sum > 0 {
                whole(sum)
            } else {
                "not on EXEC".to_owned()
            };
            canvas.text(
                &text,
                (axis.at(sum as f64) + 5.0, y),
                SMALL,
                Ink::Text,
                Anchor::Start,
            );
        }
        canvas.line(&[(left, top), (left, bottom)], Ink::Axis, 1.0);
    })
}

/// Names and causes of the layers, and of the tail if EXEC has one.
fn rows(report: &Report) -> Vec<(&str, [u64; 7])> {
    let causes = |cycles: &super::Cycles| cycles.causes().map(|(_, n)| n);
    let layers = report
        .layers
        .iter()
        .map(|layer| (layer.name.as_str(), causes(&layer.engines.exec)));
    let tail = (report.tail.exec.total() > 0).then(|| (TAIL, causes(&report.tail.exec)));
    layers.chain(tail).collect()
}

/// Bars: utilisation of each layer, with a line at that of the whole network.
pub(super) fn utilisation(report: &Report, id: &str, width: f64) -> String {
    let left = label_width(report, width);
    let top = 22.0;
    let bottom = top + ROW * report.layers.len() as f64;
    let axis = Axis::linear(1.0, [left, width - 22.0]);
    let words = Words {
        id,
        title: "Utilisation of each layer",
        description: "Horizontal bars, one for each layer: useful multiplications as a share of those possible. A vertical line marks the whole network. The table of layers has the same numbers.",
    };
    draw(&words, width, bottom + 20.0, |canvas| {
        let percent_tick = |v: f64| format!("{:.0} %", v * 100.0);
        horizontal_axis(canvas, &axis, 6, [top, bottom], &percent_tick);
        for (i, layer) in report.layers.iter().enumerate() {
            let y = top + ROW * (i as f64 + 0.5);
            row_label(canvas, i, &layer.name, y, left);
            match layer.utilisation {
                Some(share) => {
                    let to = axis.at(share.value.min(1.0));
                    let bar = [left, y - 7.0, to, y + 7.0];
                    canvas.rectangle(bar, Ink::Cause(0));
                    canvas.tip(bar, &format!("{}: {}", layer.name, percent(share.value)));
                    let text = percent(share.value);
                    let inside = to + 6.0 + text_width(&text, SMALL) > width - 8.0;
                    let (x, ink, anchor) = if inside {
                        (to - 5.0, Ink::OnDark, Anchor::End)
                    } else {
                        (to + 5.0, Ink::Text, Anchor::Start)
                    };
                    canvas.text(&text, (x, y), SMALL, ink, anchor);
                }
                None => canvas.text(
                    "no MACs of the network",
                    (left + 5.0, y),
                    SMALL,
                    Ink::Muted,
                    Anchor::Start,
                ),
            }
        }
        let x = axis.at(report.run.utilisation.value.min(1.0));
        canvas.line(&[(x, top - 4.0), (x, bottom)], Ink::Accent, 1.4);
        let text = format!("whole network {}", percent(report.run.utilisation.value));
        let half = text_width(&text, SMALL) / 2.0;
        let middle = x.clamp(left + half, (width - half).max(left + half));
        canvas.text(
            &text,
            (middle, top - 12.0),
            SMALL,
            Ink::Accent,
            Anchor::Middle,
        );
        canvas.line(&[(left, top), (left, bottom)], Ink::Axis, 1.0);
    })
}

/// A layer on the roofline.
pub(super) struct RoofPoint<'a> {
    pub(super) index: usize,
    pub(super) layer: &'a Layer,
    /// Useful multiplications for each byte moved; infinite when nothing is moved.
    pub(super) intensity: f64,
    /// Useful multiplications for each cycle of EXEC.
    pub(super) rate: f64,
}

/// The layers that multiply, and whose traffic is known.
pub(super) fn roof_points(report: &Report) -> Vec<RoofPoint<'_>> {
    let point = |(index, layer): (usize, &'_ Layer)| {
        let traffic = layer.traffic.present()?.value;
        let cycles = layer.engines.exec.total();
        layer.utilisation?;
        let bytes = (traffic.load_words + traffic.store_words) * u64::from(report.arch.word_bytes);
        Some((
            index,
            layer.macs as f64 / bytes as f64,
            layer.macs as f64 / cycles as f64,
        ))
    };
    let found = report.layers.iter().enumerate().filter_map(point);
    found
        .map(|(index, intensity, rate)| RoofPoint {
            index,
            layer: &report.layers[index],
            intensity,
            rate,
        })
        .collect()
}

/// Roofline: useful multiplications a cycle over those for each byte, under the two roofs of the machine.
pub(super) fn roofline(report: &Report, id: &str, width: f64) -> String {
    let points = roof_points(report);
    let peak = f64::from(report.arch.macs_per_cycle);
    let bandwidth = f64::from(report.arch.word_bytes);
    let ridge = peak / bandwidth;
    let finite = || {
        points
            .iter()
            .map(|p| p.intensity)
            .filter(|i| i.is_finite() && *i > 0.0)
    };
    let x_from = finite().fold(ridge / 8.0, f64::min) / 1.6;
    let x_to = finite().fold(ridge * 16.0, f64::max) * 1.8;
    let y_from = points.iter().map(|p| p.rate).fold(peak / 16.0, f64::min) / 1.8;
    let (left, right, top, bottom) = (
        46.0,
        width - 16.0,
        14.0,
        if width < 500.0 { 230.0 } else { 330.0 },
    );
    let x = Axis::log(x_from, x_to, [left, right]);
    let y = Axis::log(y_from, peak * 1.7, [bottom, top]);
    let words = Words {
        id,
        title: "Roofline of the layers",
        description: "Scatter plot on logarithmic axes: useful multiplications a cycle over useful multiplications for each byte moved, below the roofs of array and memory. The table below has the same numbers.",
    };
    draw(&words, width, bottom + 38.0, |canvas| {
        grid(canvas, &x, &y, [left, right, top, bottom], width);
        canvas.text(
            "useful MACs per byte moved",
            ((left + right) / 2.0, bottom + 28.0),
            SMALL,
            Ink::Text,
            Anchor::Middle,
        );
        canvas.text(
            "useful MACs per cycle",
            (left + 4.0, top + 2.0),
            SMALL,
            Ink::Text,
            Anchor::Start,
        );
        let start = if x_from * bandwidth > y_from {
            x_from
        } else {
            y_from / bandwidth
        };
        let roof = [
            (x.at(start), y.at(start * bandwidth)),
            (x.at(ridge), y.at(peak)),
            (right, y.at(peak)),
        ];
        canvas.line(&roof, Ink::Accent, 1.6);
        canvas.text(
            &format!("array: {} MACs a cycle", short(peak)),
            (right - 4.0, y.at(peak) - 9.0),
            SMALL,
            Ink::Accent,
            Anchor::End,
        );
        let mut labels = Labels::default();
        labels.take([right - 160.0, y.at(peak) - 16.0, right, y.at(peak) - 2.0]);
        labels.take([x.at(ridge), y.at(peak) - 1.5, right, y.at(peak) + 1.5]);
        let (mx, my) = (
            x.at((start * ridge).sqrt()),
            y.at((start * ridge).sqrt() * bandwidth),
        );
        let text = format!("memory: {} B a cycle", short(bandwidth));
        canvas.text(
            &text,
            (mx + 12.0, my + 8.0),
            SMALL,
            Ink::Accent,
            Anchor::Start,
        );
        labels.take([
            mx + 12.0,
            my,
            mx + 12.0 + text_width(&text, SMALL),
            my + 16.0,
        ]);
        let place = |p: &RoofPoint| {
            (
                if p.intensity.is_finite() {
                    x.at(p.intensity)
                } else {
                    right - 6.0
                },
                y.at(p.rate),
            )
        };
        for point in &points {
            let (px, py) = place(point);
            labels.take([px - 5.0, py - 5.0, px + 5.0, py + 5.0]);
        }
        for point in &points {
            let (px, py) = place(point);
            if point.intensity.is_finite() {
                canvas.disc((px, py), 4.0, Ink::Cause(0));
            } else {
                canvas.triangle((px, py), 4.5, Ink::Cause(0));
            }
            let number = (point.index + 1).to_string();
            let long = format!("{number} {}", fit(&point.layer.name, 120.0, SMALL));
            let choice = if width >= 500.0 && points.len() <= 12 {
                &long
            } else {
                &number
            };
            if let Some((lx, ly, anchor)) =
                labels.place(choice, (px, py), [left, right, top, bottom])
            {
                canvas.text(choice, (lx, ly), SMALL, Ink::Text, anchor);
            }
            let tip = format!(
                "{number} {}: {} MACs a byte, {} MACs a cycle",
                point.layer.name,
                short(point.intensity),
                short(point.rate)
            );
            canvas.tip([px - 7.0, py - 7.0, px + 7.0, py + 7.0], &tip);
        }
    })
}

/// Both axes of a scatter plot, with their grid.
fn grid(canvas: &Canvas, x: &Axis, y: &Axis, [left, right, top, bottom]: [f64; 4], width: f64) {
    horizontal_axis(
        canvas,
        x,
        if width < 500.0 { 4 } else { 9 },
        [top, bottom],
        &tick,
    );
    for value in y.ticks(8) {
        let at = y.at(value);
        canvas.line(&[(left, at), (right, at)], Ink::Grid, 0.8);
        canvas.text(
            &tick(value),
            (left - 5.0, at),
            SMALL,
            Ink::Muted,
            Anchor::End,
        );
    }
    canvas.line(
        &[(left, top), (left, bottom), (right, bottom)],
        Ink::Axis,
        1.0,
    );
}

/// Boxes that are taken, so that labels do not lie on each other.
#[derive(Default)]
struct Labels {
    taken: Vec<[f64; 4]>,
}

impl Labels {
    fn take(&mut self, area: [f64; 4]) {
        self.taken.push(area);
    }

    /// A free place for `text` beside a marker, if there is one.
    fn place(
        &mut self,
        text: &str,
        (x, y): (f64, f64),
        [left, right, top, bottom]: [f64; 4],
    ) -> Option<(f64, f64, Anchor)> {
        let w = text_width(text, SMALL);
        let around = [
            (8.0, 0.0),
            (-8.0, 0.0),
            (7.0, -11.0),
            (7.0, 11.0),
            (-7.0, -11.0),
            (-7.0, 11.0),
            (7.0, -22.0),
            (7.0, 22.0),
            (-7.0, 22.0),
        ];
        for (dx, dy) in around {
            let (x0, x1) = if dx > 0.0 {
                (x + dx, x + dx + w)
            } else {
                (x + dx - w, x + dx)
            };
            let area = [x0, y + dy - 6.0, x1, y + dy + 6.0];
            let inside =
                area[0] >= left && area[2] <= right && area[1] >= top - 8.0 && area[3] <= bottom;
            let free = |t: &[f64; 4]| {
                area[2] <= t[0] || area[0] >= t[2] || area[3] <= t[1] || area[1] >= t[3]
            };
            if inside && self.taken.iter().all(free) {
                self.take(area);
                let anchor = if dx > 0.0 { Anchor::Start } else { Anchor::End };
                return Some((x + dx, y + dy, anchor));
            }
        }
        None
    }
}

/// Timeline: what each unit did when, coloured by layer.
pub(super) fn timeline(report: &Report, timeline: &Timeline, id: &str, width: f64) -> String {
    const TRACK: f64 = 34.0;
    let left = 50.0;
    let top = 44.0;
    let bottom = top + TRACK * timeline.tracks.len() as f64;
    let axis = Axis::linear(timeline.cycles as f64, [left, width - 16.0]);
    let words = Words {
        id,
        title: "One run, unit by unit",
        description: "A row for each unit over the cycles of one run: full height while an operation runs, in the colour of its layer and with its number, a thin line while it waits. The numbers above are the layers that EXEC is at. The table of engines has the sums.",
    };
    draw(&words, width, bottom + 34.0, |canvas| {
        let mut x = left;
        for (ink, label, thick) in [
            (Ink::Layer(0), "operations", 6.0),
            (Ink::Muted, "registers, dispatch", 3.0),
            (Ink::Idle, "waits", 1.0),
        ] {
            canvas.rectangle([x, 8.0 - thick, x + 12.0, 8.0 + thick], ink);
            canvas.text(label, (x + 17.0, 8.0), SMALL, Ink::Text, Anchor::Start);
            x += 17.0 + text_width(label, SMALL) + 10.0;
        }
        horizontal_axis(
            canvas,
            &axis,
            if width < 500.0 { 4 } else { 9 },
            [top, bottom],
            &tick,
        );
        canvas.text(
            "cycle",
            (left, bottom + 26.0),
            SMALL,
            Ink::Muted,
            Anchor::Start,
        );
        layer_band(canvas, timeline, &axis, [top, bottom]);
        for (i, track) in timeline.tracks.iter().enumerate() {
            let y = top + TRACK * (i as f64 + 0.5);
            canvas.text(
                &track.unit.to_uppercase(),
                (left - 6.0, y),
                SMALL,
                Ink::Text,
                Anchor::End,
            );
            for stretch in &track.stretches {
                let (from, to) = (
                    axis.at(stretch.from as f64),
                    axis.at((stretch.from + stretch.cycles) as f64),
                );
                let (half, ink) = match (stretch.activity, stretch.layer) {
                    (Activity::Busy, Some(layer)) => (12.0, Ink::Layer(usize::from(layer))),
                    (Activity::Busy, None) => (5.0, Ink::Muted),
                    (Activity::Configure, _) => (5.0, Ink::Muted),
                    (Activity::Wait, _) => (1.0, Ink::Idle),
                };
                let to = to.max(from + 0.2);
                canvas.rectangle([from, y - half, to, y + half], ink);
                let Some(layer) = stretch.layer.filter(|_| stretch.activity == Activity::Busy)
                else {
                    continue;
                };
                let number = (layer + 1).to_string();
                if to - from > text_width(&number, SMALL) + 5.0 {
                    canvas.text(
                        &number,
                        ((from + to) / 2.0, y),
                        SMALL,
                        Ink::OnDark,
                        Anchor::Middle,
                    );
                }
                if to - from > 1.5 {
                    let name = report
                        .layers
                        .get(usize::from(layer))
                        .map_or("", |l| l.name.as_str());
                    let last = stretch.from + stretch.cycles - 1;
                    canvas.tip(
                        [from, y - half, to, y + half],
                        &format!("{name}: cycles {} to {}", whole(stretch.from), whole(last)),
                    );
                }
            }
            canvas.line(
                &[(left, y + TRACK / 2.0), (width - 16.0, y + TRACK / 2.0)],
                Ink::Grid,
                0.8,
            );
        }
        canvas.line(&[(left, top), (left, bottom)], Ink::Axis, 1.0);
    })
}

/// The layers' numbers above the tracks, where EXEC is at them, so that colours are not needed to tell them apart.
fn layer_band(canvas: &Canvas, timeline: &Timeline, axis: &Axis, [top, bottom]: [f64; 2]) {
    let exec = timeline.tracks.iter().find(|track| track.unit == "exec");
    let mut spans: Vec<(u16, u64, u64)> = Vec::new();
    for stretch in exec.into_iter().flat_map(|track| &track.stretches) {
        let Some(layer) = stretch.layer else { continue };
        let end = stretch.from + stretch.cycles;
        match spans.last_mut() {
            Some((last, _, to)) if *last == layer => *to = end,
            _ => spans.push((layer, stretch.from, end)),
        }
    }
    for (layer, from, to) in spans {
        let (from, to) = (axis.at(from as f64), axis.at(to as f64));
        canvas.line(&[(to, top - 14.0), (to, bottom)], Ink::Grid, 0.8);
        let number = (layer + 1).to_string();
        if to - from > text_width(&number, SMALL) {
            canvas.text(
                &number,
                ((from + to) / 2.0, top - 9.0),
                SMALL,
                Ink::Muted,
                Anchor::Middle,
            );
        }
    }
}

/// Scatter: cycles over memory bits; the front filled and labelled with its multipliers.
pub(super) fn pareto(exploration: &Exploration, id: &str, width: f64) -> String {
    let designs = &exploration.designs;
    let bits = |f: fn(f64, f64) -> f64, start: f64| {
        designs.iter().map(|d| d.memory_bits as f64).fold(start, f)
    };
    let cycles =
        |f: fn(f64, f64) -> f64, start: f64| designs.iter().map(|d| d.cycles as f64).fold(start, f);
    let (left, right, top, bottom) = (
        52.0,
        width - 16.0,
        34.0,
        if width < 500.0 { 270.0 } else { 400.0 },
    );
    let x = Axis::log(
        bits(f64::min, f64::MAX) / 1.25,
        bits(f64::max, 1.0) * 1.25,
        [left, right],
    );
    let y = Axis::log(
        cycles(f64::min, f64::MAX) / 1.3,
        cycles(f64::max, 1.0) * 1.3,
        [bottom, top],
    );
    let words = Words {
        id,
        title: "Explored designs",
        description: "Scatter plot on logarithmic axes: cycles of one image over memory bits. Designs on the Pareto front are filled and labelled with their number of multipliers. The table below lists the front.",
    };
    draw(&words, width, bottom + 38.0, |canvas| {
        canvas.disc((left + 6.0, 8.0), 4.0, Ink::Accent);
        canvas.text(
            "on the front, with its multipliers",
            (left + 15.0, 8.0),
            SMALL,
            Ink::Text,
            Anchor::Start,
        );
        let next = left + 15.0 + text_width("on the front, with its multipliers", SMALL) + 16.0;
        canvas.ring((next, 8.0), 3.0, Ink::Muted);
        canvas.text("others", (next + 9.0, 8.0), SMALL, Ink::Text, Anchor::Start);
        grid(canvas, &x, &y, [left, right, top, bottom], width);
        canvas.text(
            "bits of local memory",
            ((left + right) / 2.0, bottom + 28.0),
            SMALL,
            Ink::Text,
            Anchor::Middle,
        );
        canvas.text(
            "cycles",
            (left + 4.0, top - 6.0),
            SMALL,
            Ink::Text,
            Anchor::Start,
        );
        let at = |d: &super::ExploredDesign| (x.at(d.memory_bits as f64), y.at(d.cycles as f64));
        for design in designs.iter().filter(|d| !d.on_front) {
            canvas.ring(at(design), 2.6, Ink::Muted);
        }
        let front: Vec<_> = designs.iter().filter(|d| d.on_front).collect();
        let mut labels = Labels::default();
        for design in designs {
            let (px, py) = at(design);
            labels.take([px - 3.5, py - 3.5, px + 3.5, py + 3.5]);
        }
        for design in front {
            let (px, py) = at(design);
            canvas.disc((px, py), 4.0, Ink::Accent);
            let text = design.multipliers.to_string();
            if let Some((lx, ly, anchor)) =
                labels.place(&text, (px, py), [left, right, top, bottom])
            {
                canvas.text(&text, (lx, ly), SMALL, Ink::Text, anchor);
            }
            let tip = format!(
                "{}: {} cycles, {} multipliers, {} bits, {}",
                design.name,
                whole(design.cycles),
                design.multipliers,
                whole(design.memory_bits),
                percent(design.utilisation)
            );
            canvas.tip([px - 6.0, py - 6.0, px + 6.0, py + 6.0], &tip);
        }
    })
}
