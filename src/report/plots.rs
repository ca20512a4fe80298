//! The timeline's pictures: stacked plots over one shared time axis, as SVG without scripts.
//!
//! Every colour is a plain presentation attribute, so that the picture stands without any style
//! sheet; the page's style sheet maps those colours to others in the dark. The canvas is ten
//! times finer than the page's pixels because the backend knows only whole pixels.

mod axis;
mod campaign;

pub(super) use campaign::{campaign, query};

use super::units;
use super::value::{Point, Report};
use axis::{Scale, clock_ticks, decade_ticks, thin, value_ticks};
use plotters::backend::SVGBackend;
use plotters::drawing::{DrawingArea, IntoDrawingArea as _};
use plotters::element::{PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontDesc, FontFamily, FontStyle, IntoTextStyle as _, RGBColor};

/// Canvas units per page pixel.
const FINENESS: i32 = 10;
const WIDTH: i32 = 1_080 * FINENESS;
const LEFT: i32 = 62 * FINENESS;
const RIGHT: i32 = 16 * FINENESS;
const BODY: i32 = 118 * FINENESS;
/// Room above the body of each plot, so that the uppermost label is not cut.
const TOP: i32 = 8 * FINENESS;
/// Room for phase and fault labels above the first plot.
const LABELS: i32 = 36 * FINENESS;
/// Room for the time axis below the last plot.
const TIMES: i32 = 22 * FINENESS;
const FONT: i32 = 11 * FINENESS;
/// The backend divides font sizes by this.
const FONT_FACTOR: f64 = 1.24;
/// Guessed width of a character of labels.
const CHARACTER: i32 = 6 * FINENESS;

/// What a line shows; the name of its CSS class and its colour on a white page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// The main quantity.
    Main,
    /// What was wanted.
    Wanted,
    /// Between the two.
    Middle,
    /// The worst.
    Worst,
    /// A limit, or what must not be.
    Limit,
    /// What is done and well.
    Good,
    /// What has hardly begun.
    Pale,
    /// What is left out.
    Dark,
}

impl Ink {
    /// CSS class of the legend's swatch.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Main => "ink-main",
            Self::Wanted => "ink-wanted",
            Self::Middle => "ink-middle",
            Self::Worst => "ink-worst",
            Self::Limit => "ink-limit",
            Self::Good => "ink-good",
            Self::Pale => "ink-pale",
            Self::Dark => "ink-dark",
        }
    }

    /// On a white page.
    pub(super) const fn rgb(self) -> RGBColor {
        match self {
            Self::Main => RGBColor(0x1F, 0x6F, 0xD6),
            Self::Wanted => RGBColor(0x8A, 0x93, 0x9F),
            Self::Middle => RGBColor(0xE0, 0x7B, 0x00),
            Self::Worst => RGBColor(0x9B, 0x3F, 0xB5),
            Self::Limit => RGBColor(0xD0, 0x2F, 0x2F),
            Self::Good => RGBColor(0x2C, 0x9A, 0x64),
            Self::Pale => RGBColor(0x9C, 0xC3, 0xF2),
            Self::Dark => RGBColor(0x4A, 0x52, 0x5D),
        }
    }
}

/// Colours of what is not data, on a white page.
const GRID: RGBColor = RGBColor(0xE2, 0xE6, 0xEB);
const LABEL: RGBColor = RGBColor(0x5B, 0x64, 0x70);
const BAND: RGBColor = RGBColor(0x9A, 0xA5, 0xB4);
const FAULT: RGBColor = RGBColor(0xE5, 0x48, 0x4D);

/// One plot with its caption.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    /// What it shows, with the unit.
    pub(super) title: &'static str,
    /// Ink and name of each line.
    pub(super) legend: Vec<(Ink, String)>,
    /// The picture; contains no text from outside but phase names and fault labels, escaped.
    pub(super) svg: String,
}

/// The plots of a run, top to bottom; empty if no second was recorded.
pub(super) fn timeline(report: &Report) -> Vec<Plot> {
    if report.timeline.is_empty() {
        return Vec::new();
    }
    let mut plots = vec![
        plot(report, "Devices", true, false, &devices(&report.timeline)),
        plot(
            report,
            "Connections per second",
            false,
            false,
            &connects(&report.timeline),
        ),
        plot(
            report,
            "Publishes per second",
            false,
            false,
            &publishes(&report.timeline),
        ),
    ];
    plots.push(latencies(report));
    plots
}

/// The pictures of a recovery, top to bottom: the storm, what became of it and, if anything waited, the
/// backlog. Empty if no second was recorded.
pub(super) fn recovery(report: &Report) -> Vec<Plot> {
    let points = &report.timeline;
    if points.is_empty() {
        return Vec::new();
    }
    let storm = [
        Line::over(Ink::Middle, "attempts", points, |p| Some(p.attempts)),
        Line::over(Ink::Worst, "wasted", points, |p| Some(p.wasted)),
        Line::over(Ink::Main, "accepted", points, |p| Some(p.connects)).filled(),
    ];
    let shares = [
        Line::over(
            Ink::Worst,
            "attempts wasted, of those that ended",
            points,
            |p| percent(p.wasted, p.connects + p.attempt_failures),
        ),
        Line::over(
            Ink::Main,
            "devices connected, of those with power",
            points,
            |p| percent(p.connected, p.powered),
        ),
    ];
    let backlog = [Line::level(Ink::Main, "publishes waiting", points, |p| p.waiting).filled()];
    let mut drawn: Vec<(&'static str, &[Line])> = vec![
        ("Connection attempts per second", &storm),
        ("Wasted attempts and connected devices, percent", &shares),
    ];
    if points.iter().any(|point| point.waiting > 0) {
        drawn.push((
            "Backlog: publishes due and not sent, on all devices",
            &backlog,
        ));
    }
    let last = drawn.len() - 1;
    let looks = drawn.into_iter().enumerate();
    looks
        .map(|(index, (title, lines))| {
            let look_of = Look {
                is_first: index == 0,
                is_log: false,
                has_times: index == last,
            };
            look(report, title, look_of, lines)
        })
        .collect()
}

fn percent(part: u64, of: u64) -> Option<u64> {
    (of > 0).then(|| (part as f64 / of as f64 * 100.0).round() as u64)
}

/// A line of a plot before it is drawn.
struct Line {
    ink: Ink,
    name: &'static str,
    filled: bool,
    points: Vec<(f64, Option<f64>)>,
}

impl Line {
    /// A level at the end of each second.
    fn level(ink: Ink, name: &'static str, points: &[Point], of: fn(&Point) -> u64) -> Self {
        let of = |p: &Point| (p.at_s, Some(of(p) as f64));
        Self {
            ink,
            name,
            filled: false,
            points: points.iter().map(of).collect(),
        }
    }

    /// Something counted or measured over each second, so it stands at the second's middle.
    fn over(ink: Ink, name: &'static str, points: &[Point], of: fn(&Point) -> Option<u64>) -> Self {
        let of = |p: &Point| (p.at_s - 0.5, of(p).map(|n| n as f64));
        Self {
            ink,
            name,
            filled: false,
            points: points.iter().map(of).collect(),
        }
    }

    fn filled(self) -> Self {
        Self {
            filled: true,
            ..self
        }
    }
}

fn devices(points: &[Point]) -> [Line; 2] {
    [
        Line::level(Ink::Wanted, "powered on", points, |p| p.powered),
        Line::level(Ink::Main, "connected", points, |p| p.connected).filled(),
    ]
}

fn connects(points: &[Point]) -> [Line; 2] {
    [
        Line::over(Ink::Middle, "attempts", points, |p| Some(p.attempts)),
        Line::over(Ink::Main, "accepted", points, |p| Some(p.connects)).filled(),
    ]
}

fn publishes(points: &[Point]) -> [Line; 3] {
    let acked = "acknowledged or written";
    [
        Line::over(Ink::Wanted, "planned", points, |p| Some(p.planned)),
        Line::over(Ink::Middle, "sent", points, |p| Some(p.sent)),
        Line::over(Ink::Main, acked, points, |p| Some(p.acked)).filled(),
    ]
}

fn latencies(report: &Report) -> Plot {
    let lines = [
        Line::over(Ink::Worst, "p99.9", &report.timeline, |p| p.p99_9_us),
        Line::over(Ink::Middle, "p99", &report.timeline, |p| p.p99_us),
        Line::over(Ink::Main, "p50", &report.timeline, |p| p.p50_us),
    ];
    let title = "Time from schedule to acknowledgement (each second, log scale)";
    let mut plot = plot(report, title, false, true, &lines);
    if !latency_limits(report).is_empty() {
        plot.legend
            .push((Ink::Limit, "limit of an objective".to_owned()));
    }
    plot
}

fn plot(
    report: &Report,
    title: &'static str,
    is_first: bool,
    is_log: bool,
    lines: &[Line],
) -> Plot {
    let look_of = Look {
        is_first,
        is_log,
        // Of the timeline's plots the last has a logarithmic scale.
        has_times: is_log,
    };
    look(report, title, look_of, lines)
}

/// What a plot has besides its lines.
#[derive(Copy, Clone)]
struct Look {
    /// Room for the labels of phases and faults above it.
    is_first: bool,
    /// A logarithmic scale, with the limits on latency.
    is_log: bool,
    /// The time axis below it.
    has_times: bool,
}

fn look(report: &Report, title: &'static str, look: Look, lines: &[Line]) -> Plot {
    let mut svg = String::new();
    draw(report, look, lines, &mut svg).expect("a String accepts every write");
    Plot {
        title,
        legend: lines
            .iter()
            .rev()
            .map(|l| (l.ink, l.name.to_owned()))
            .collect(),
        svg: responsive(&svg, title),
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Where things are on the canvas of one plot.
struct Frame {
    x: Scale,
    y: Scale,
    top: i32,
    bottom: i32,
}

fn draw(report: &Report, look: Look, lines: &[Line], svg: &mut String) -> Drawn {
    let (is_first, is_log) = (look.is_first, look.is_log);
    let top = if is_first { LABELS + TOP } else { TOP };
    let bottom = top + BODY;
    // The time axis stands below the last plot only.
    let height = if look.has_times {
        bottom + TIMES
    } else {
        bottom + FONT / 2
    };
    let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    let end_s = report
        .timeline
        .last()
        .map_or(1.0, |p| p.at_s)
        .max(report.run.planned_s);
    let limits = if is_log {
        latency_limits(report)
    } else {
        Vec::new()
    };
    let values = || lines.iter().flat_map(|l| &l.points).filter_map(|(_, v)| *v);
    let frame = Frame {
        x: Scale::linear(0.0, end_s, LEFT, WIDTH - RIGHT),
        y: if is_log {
            let all = || values().chain(limits.iter().map(|l| l.us));
            Scale::log(
                all().fold(f64::MAX, f64::min),
                all().fold(1.0, f64::max),
                bottom,
                top,
            )
        } else {
            Scale::linear(
                0.0,
                axis::round_up(values().fold(1.0, f64::max)),
                bottom,
                top,
            )
        },
        top,
        bottom,
    };
    shade(&area, report, &frame, is_first)?;
    let ticks = if is_log {
        decade_ticks(&frame.y)
    } else {
        value_ticks(&frame.y)
    };
    for tick in ticks {
        let y = frame.y.at(tick);
        path(&area, vec![(LEFT, y), (WIDTH - RIGHT, y)], GRID, FINENESS)?;
        let text = if is_log {
            axis::decade(tick)
        } else {
            axis::short(tick)
        };
        label(
            &area,
            &text,
            (LEFT - 8 * FINENESS, y),
            HPos::Right,
            VPos::Center,
            LABEL,
        )?;
    }
    for limit in &limits {
        let y = frame.y.at(limit.us);
        let ends = vec![(frame.x.at(limit.from_s), y), (frame.x.at(limit.to_s), y)];
        path(&area, ends, Ink::Limit.rgb(), 2 * FINENESS)?;
        let place = (frame.x.at(limit.from_s) + 5 * FINENESS, y);
        label(
            &area,
            &limit.text,
            place,
            HPos::Left,
            VPos::Bottom,
            Ink::Limit.rgb(),
        )?;
    }
    for line in lines {
        trace(&area, &frame, line)?;
    }
    path(
        &area,
        vec![(LEFT, bottom), (WIDTH - RIGHT, bottom)],
        LABEL,
        FINENESS,
    )?;
    if look.has_times {
        times(&area, &frame, end_s)?;
    }
    area.present()?;
    Ok(())
}

/// Phases as alternating bands, fault windows over them; labels above the first plot.
fn shade(area: &Area<'_>, report: &Report, frame: &Frame, is_first: bool) -> Drawn {
    let top = if is_first { 0 } else { frame.top };
    for (index, phase) in report.phases.iter().enumerate() {
        let (from, to) = (frame.x.at(phase.start_s), frame.x.at(phase.end_s));
        if index % 2 == 1 {
            let shape = Rectangle::new([(from, top), (to, frame.bottom)], BAND.mix(0.13).filled());
            area.draw(&shape)?;
        }
        if is_first && fits(&phase.name, to - from) {
            let place = (from + 5 * FINENESS, 4 * FINENESS);
            label(area, &phase.name, place, HPos::Left, VPos::Top, LABEL)?;
        }
    }
    let mut free_from = 0;
    for fault in &report.faults {
        let (from, to) = (frame.x.at(fault.start_s), frame.x.at(fault.clear_s));
        let top = if is_first { LABELS / 2 } else { frame.top };
        // A fault of no length is still seen.
        let to = to.max(from + 2 * FINENESS);
        area.draw(&Rectangle::new(
            [(from, top), (to, frame.bottom)],
            FAULT.mix(0.16).filled(),
        ))?;
        if is_first {
            let text = super::words::printable(&fault.label);
            let width =
                CHARACTER * i32::try_from(text.chars().count()).unwrap_or(i32::MAX / CHARACTER);
            let start = (from + 5 * FINENESS).min(WIDTH - RIGHT - width).max(LEFT);
            // Labels that would run into each other are left to the list of faults.
            if start >= free_from {
                let place = (start, LABELS / 2 + 4 * FINENESS);
                label(area, &text, place, HPos::Left, VPos::Top, FAULT)?;
                free_from = start + width;
            }
        }
    }
    Ok(())
}

fn trace(area: &Area<'_>, frame: &Frame, line: &Line) -> Drawn {
    let columns = usize::try_from((WIDTH - LEFT - RIGHT) / FINENESS).unwrap_or(1);
    for piece in thin(&line.points, columns) {
        let mut pixels: Vec<(i32, i32)> = (piece.iter())
            .map(|&(x, y)| (frame.x.at(x), frame.y.at(y)))
            .collect();
        if let [only] = pixels[..] {
            // A single second between two gaps is drawn as a short dash.
            pixels = vec![(only.0 - FINENESS, only.1), (only.0 + FINENESS, only.1)];
        }
        if line.filled {
            let (first, last) = (pixels[0].0, pixels[pixels.len() - 1].0);
            let mut outline = pixels.clone();
            outline.extend([(last, frame.bottom), (first, frame.bottom)]);
            area.draw(&Polygon::new(outline, line.ink.rgb().mix(0.14).filled()))?;
        }
        path(area, pixels, line.ink.rgb(), FINENESS * 8 / 5)?;
    }
    Ok(())
}

fn times(area: &Area<'_>, frame: &Frame, end_s: f64) -> Drawn {
    for tick in clock_ticks(end_s) {
        let x = frame.x.at(tick);
        path(
            area,
            vec![(x, frame.bottom), (x, frame.bottom + 4 * FINENESS)],
            LABEL,
            FINENESS,
        )?;
        let place = (x, frame.bottom + 6 * FINENESS);
        label(
            area,
            &units::clock_s(tick),
            place,
            HPos::Center,
            VPos::Top,
            LABEL,
        )?;
    }
    Ok(())
}

/// A limit on acknowledgement latency over the time it holds for.
struct LimitLine {
    us: f64,
    from_s: f64,
    to_s: f64,
    text: String,
}

fn latency_limits(report: &Report) -> Vec<LimitLine> {
    let objectives = report.objectives.iter();
    let ours = objectives.filter(|o| o.indicator == "publish.ack_latency" && o.unit == "s");
    ours.flat_map(|o| {
        o.spans_s.iter().map(|&(from_s, to_s)| LimitLine {
            us: o.target.unwrap_or(0.0) * 1e6,
            from_s,
            to_s,
            text: format!("{} {}", o.statistic, o.target_text),
        })
    })
    .collect()
}

fn fits(text: &str, width: i32) -> bool {
    let characters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX / CHARACTER);
    characters * CHARACTER + 5 * FINENESS <= width
}

fn path(area: &Area<'_>, points: Vec<(i32, i32)>, color: RGBColor, width: i32) -> Drawn {
    let style = color.stroke_width(width.unsigned_abs());
    area.draw(&PathElement::new(points, style))?;
    Ok(())
}

fn label(
    area: &Area<'_>,
    text: &str,
    place: (i32, i32),
    h: HPos,
    v: VPos,
    color: RGBColor,
) -> Drawn {
    let size = f64::from(FONT) * FONT_FACTOR;
    let font = FontDesc::new(FontFamily::SansSerif, size, FontStyle::Normal);
    let style = font.into_text_style(area).color(&color).pos(Pos::new(h, v));
    area.draw(&Text::new(text.to_owned(), place, style))?;
    Ok(())
}

/// The picture without a fixed size, so that it fills the page's width, and with a name for those
/// who do not see it.
fn responsive(svg: &str, title: &str) -> String {
    let body = svg.find('>').map_or("", |end| &svg[end + 1..]);
    let open = svg.find("viewBox").and_then(|from| {
        let rest = &svg[from..];
        rest.find(" xmlns").map(|to| &rest[..to])
    });
    format!(
        "<svg {} xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{title}\">{}",
        open.unwrap_or_default(),
        body.replace(">\n", ">").replace(" opacity=\"1\"", "")
    )
}
