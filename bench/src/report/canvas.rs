//! A canvas over plotters' SVG backend.
//!
//! The backend has whole pixels, so the canvas is ten times as large as it is shown, and scaled by its `viewBox`.
//! Colours are stood in for by codes that become classes, so that the page's style sheet decides about light, dark and
//! patterns. What plotters cannot say (titles, descriptions, tooltips) is added around what it wrote.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, TextStyle};

use super::markup::{escape, visible};

/// Why drawing cannot fail.
const ENDLESS: &str = "a string takes all that is written";

/// Canvas units per pixel.
const SCALE: f64 = 10.0;

/// What a shape is drawn with; the style sheet gives it a colour or a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Text,
    Muted,
    Axis,
    Grid,
    Accent,
    OnDark,
    Idle,
    Cause(usize),
    Layer(usize),
}

/// Inks of layers; more layers take them in turn.
pub(super) const LAYER_INKS: usize = 6;

impl Ink {
    fn code(self) -> u8 {
        match self {
            Ink::Text => 1,
            Ink::Muted => 2,
            Ink::Axis => 3,
            Ink::Grid => 4,
            Ink::Accent => 5,
            Ink::OnDark => 6,
            Ink::Idle => 7,
            Ink::Cause(i) => 0x10 + i as u8,
            Ink::Layer(i) => 0x20 + (i % LAYER_INKS) as u8,
        }
    }

    fn color(self) -> RGBColor {
        RGBColor(0, 0, self.code())
    }
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in pixels, origin at the top left.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    overlay: &'a mut String,
}

/// The size of ordinary text in pixels.
pub(super) const TEXT: f64 = 12.0;

/// The width of `text` in pixels, roughly.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.56
}

/// `text` cut to `width` pixels.
pub(super) fn fit(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let room = (width / (size * 0.56)) as usize;
    // The ends of long names tell them apart better than their beginnings.
    let n = text.chars().count();
    let head = room.saturating_sub(1) / 3;
    let tail = room.saturating_sub(1 + head);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(n - tail.min(n)).collect();
    format!("{start}\u{2026}{end}")
}

fn units(pixels: f64) -> i32 {
    (pixels * SCALE).round() as i32
}

impl Canvas<'_> {
    pub(super) fn rectangle(&self, [x0, y0, x1, y1]: [f64; 4], ink: Ink) {
        let corners = [(units(x0), units(y0)), (units(x1), units(y1))];
        self.area
            .draw(&Rectangle::new(corners, ink.color().filled()))
            .expect(ENDLESS);
    }

    pub(super) fn outline(&self, [x0, y0, x1, y1]: [f64; 4], ink: Ink, width: f64) {
        self.line(
            &[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)],
            ink,
            width,
        );
    }

    pub(super) fn line(&self, points: &[(f64, f64)], ink: Ink, width: f64) {
        let points: Vec<(i32, i32)> = points.iter().map(|&(x, y)| (units(x), units(y))).collect();
        self.area
            .draw(&PathElement::new(
                points,
                ink.color().stroke_width(units(width) as u32),
            ))
            .expect(ENDLESS);
    }

    pub(super) fn disc(&self, (x, y): (f64, f64), radius: f64, ink: Ink) {
        self.area
            .draw(&Circle::new(
                (units(x), units(y)),
                units(radius),
                ink.color().filled(),
            ))
            .expect(ENDLESS);
    }

    pub(super) fn ring(&self, (x, y): (f64, f64), radius: f64, ink: Ink) {
        self.area
            .draw(&Circle::new(
                (units(x), units(y)),
                units(radius),
                ink.color().stroke_width(units(1.2) as u32),
            ))
            .expect(ENDLESS);
    }

    pub(super) fn triangle(&self, (x, y): (f64, f64), radius: f64, ink: Ink) {
        let points = [
            (x + radius, y),
            (x - radius, y - radius),
            (x - radius, y + radius),
        ];
        self.area
            .draw(&Polygon::new(
                points.map(|(x, y)| (units(x), units(y))).to_vec(),
                ink.color().filled(),
            ))
            .expect(ENDLESS);
    }

    /// A text whose middle line is at `y`.
    pub(super) fn text(&self, text: &str, (x, y): (f64, f64), size: f64, ink: Ink, anchor: Anchor) {
        let h = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // The backend makes the size of the font smaller by this factor.
        let font = ("sans-serif", size * SCALE * 1.24)
            .into_font()
            .color(&ink.color());
        let style: TextStyle = font.pos(Pos::new(h, VPos::Center));
        let text: String = text.chars().map(visible).collect();
        self.area
            .draw(&Text::new(text, (units(x), units(y)), style))
            .expect(ENDLESS);
    }

    /// An invisible area that shows `tip` when it is pointed at.
    pub(super) fn tip(&mut self, [x0, y0, x1, y1]: [f64; 4], tip: &str) {
        let (x, y, w, h) = (units(x0), units(y0), units(x1 - x0), units(y1 - y0));
        let tip = escape(tip);
        *self.overlay += &format!(
            "<rect class=\"tip\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"><title>{tip}</title></rect>\n"
        );
    }
}

/// What assistive technology says about a drawing.
pub(super) struct Words<'a> {
    /// A name that no other drawing of the page has.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
}

/// Draws an SVG element of `width` by `height` pixels.
pub(super) fn draw(
    words: &Words,
    width: f64,
    height: f64,
    paint: impl FnOnce(&mut Canvas),
) -> String {
    let mut svg = String::new();
    let mut overlay = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (units(width) as u32, units(height) as u32))
            .into_drawing_area();
        let mut canvas = Canvas {
            area,
            overlay: &mut overlay,
        };
        paint(&mut canvas);
        canvas.area.present().expect(ENDLESS);
    }
    let inside = svg.split_once('>').map_or("", |(_, inside)| inside);
    let inside = inside.trim_end().trim_end_matches("</svg>");
    let Words {
        id,
        title,
        description,
    } = words;
    let (w, h) = (units(width), units(height));
    format!(
        "<svg role=\"img\" aria-labelledby=\"{id}-t {id}-d\" viewBox=\"0 0 {w} {h}\" width=\"{width}\" height=\"{height}\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{}{overlay}</svg>",
        escape(title),
        escape(description),
        classes(inside)
    )
}

/// Replaces the stand-ins of inks by classes: `fill="#000010"` becomes `class="f10"`.
fn classes(svg: &str) -> String {
    let fills = svg
        .replace("fill=\"#0000", "class=\"f")
        .replace("stroke=\"#0000", "class=\"s");
    fills
        .replace(" font-family=\"sans-serif\"", "")
        .replace(" opacity=\"1\"", "")
        .replace(" stroke=\"none\"", "")
}
