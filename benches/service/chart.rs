//! The results as an SVG: the throughput of single cancels over clients, and the cost per order
//! over the number of orders. Readable on a light and on a dark page.

use std::fmt::Write as _;

use crate::report::Point;
use crate::targets::grouped;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 380.0;
/// The space around the lines of a panel.
const LEFT: f64 = 64.0;
const TOP: f64 = 44.0;
const RIGHT: f64 = 36.0;
const BOTTOM: f64 = 124.0;

const STYLE: &str = "text { font: 12px system-ui, sans-serif; fill: #24292f }\n\
    .title { font-weight: 600; font-size: 14px }\n\
    .grid { stroke: #8c959f; stroke-opacity: .35 }\n\
    .line { fill: none; stroke-width: 2 }\n\
    .dashed { stroke-dasharray: 5 4 }\n\
    .c0 { stroke: #0969da } circle.c0 { fill: #0969da }\n\
    .c1 { stroke: #bc4c00 } circle.c1 { fill: #bc4c00 }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6edf3 }\n\
    .c0 { stroke: #58a6ff } circle.c0 { fill: #58a6ff }\n\
    .c1 { stroke: #f0883e } circle.c1 { fill: #f0883e }\n\
    }\n";

/// An axis from the lowest to the highest value, logarithmic.
struct Axis {
    lowest: f64,
    highest: f64,
    /// Where the lowest and the highest value are.
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let whole = (self.highest / self.lowest).ln();
        self.from + (self.to - self.from) * (value / self.lowest).ln() / whole
    }
}

/// Draws both panels; one without points stays empty.
pub fn draw(points: &[Point]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {HEIGHT}\" role=\"img\">\n\
         <title>Throughput of single cancels, and cost per cancelled order</title>\n\
         <style>\n{STYLE}</style>\n",
        2.0 * WIDTH
    );
    for (is_throughput, place, title, unit) in [
        (true, 0.0, "Single cancels per second", "clients (both scales are logarithmic)"),
        (
            false,
            WIDTH,
            "Microseconds per cancelled order",
            "orders in one request (both scales are logarithmic)",
        ),
    ] {
        let points: Vec<&Point> =
            points.iter().filter(|point| point.is_throughput == is_throughput).collect();
        let _ = writeln!(svg, "<g transform=\"translate({place} 0)\">");
        let _ = writeln!(svg, "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{title}</text>");
        if !points.is_empty() {
            panel(&mut svg, &points, unit);
        }
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, points: &[&Point], unit: &str) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let lowest = |of: fn(&Point) -> f64| points.iter().map(|p| of(p)).fold(f64::INFINITY, f64::min);
    let highest = |of: fn(&Point) -> f64| points.iter().map(|p| of(p)).fold(0.0, f64::max);
    let x =
        Axis { lowest: lowest(|p| p.x), highest: highest(|p| p.x), from: LEFT + 8.0, to: right };
    let (low, high) = (lowest(|p| p.y), highest(|p| p.y));
    let ticks = ticks(low, high);
    let y = Axis {
        lowest: ticks.first().copied().unwrap_or(low),
        highest: ticks.last().copied().unwrap_or(high),
        from: bottom,
        to: TOP,
    };
    for tick in &ticks {
        let at = y.at(*tick);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            shown(*tick)
        );
    }
    let mut xs: Vec<f64> = points.iter().map(|point| point.x).collect();
    xs.sort_unstable_by(f64::total_cmp);
    xs.dedup();
    for value in xs {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x.at(value),
            bottom + 18.0,
            shown(value)
        );
    }
    let middle = f64::midpoint(LEFT, right);
    let _ = writeln!(
        svg,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{unit}</text>",
        bottom + 36.0
    );
    lines(svg, points, (&x, &y), bottom + 58.0);
}

/// A line for each series, and below them what it stands for: a colour for each database, dashed
/// for the baseline.
fn lines(svg: &mut String, points: &[&Point], (x, y): (&Axis, &Axis), mut legend: f64) {
    let mut series: Vec<&str> = points.iter().map(|point| point.series.as_str()).collect();
    series.dedup();
    series.sort_unstable();
    series.dedup();
    for name in series {
        let colour = if name.starts_with("PostgreSQL") { "c0" } else { "c1" };
        let dashed = if name.ends_with("service") { "" } else { " dashed" };
        let class = format!("line {colour}{dashed}");
        let mut path = String::new();
        for point in points.iter().filter(|point| point.series == name) {
            let (x, y) = (x.at(point.x), y.at(point.y));
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { 'M' } else { 'L' });
            let _ =
                writeln!(svg, "<circle class=\"{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"{path}\"/>\n\
             <path class=\"{class}\" d=\"M{LEFT} {legend}h28\"/>\
             <text x=\"{}\" y=\"{}\">{name}</text>",
            LEFT + 36.0,
            legend + 4.0
        );
        legend += 17.0;
    }
}

/// 1, 2 and 5 times powers of ten, from the last at or below the lowest value to the first at or
/// above the highest; only the powers if that is many.
fn ticks(lowest: f64, highest: f64) -> Vec<f64> {
    let factors: &[f64] = if highest / lowest > 100.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all: Vec<f64> = (-3..9)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
        .collect();
    let first = all.iter().rposition(|tick| *tick <= lowest).unwrap_or_default();
    let last = all.iter().position(|tick| *tick >= highest).unwrap_or(all.len() - 1);
    all.get(first..=last.max(first + 1)).map(<[f64]>::to_vec).unwrap_or_default()
}

fn shown(value: f64) -> String {
    if value < 1.0 { value.to_string() } else { grouped(value.round() as usize) }
}
