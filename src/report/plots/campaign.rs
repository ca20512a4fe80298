//! The pictures of a campaign: states of its targets stacked over time, and its rollout rate against
//! the plan; and what a query matched.

use super::axis::{self, Scale, value_ticks};
use super::{
    Area, BODY, Drawn, FINENESS, FONT, Frame, GRID, Ink, LABEL, LABELS, LEFT, Line, Look, Plot,
    RIGHT, TOP, WIDTH, label, look, path, responsive, shade,
};
use crate::report::value::{Campaign, Query, Report, StatePoint};
use plotters::backend::SVGBackend;
use plotters::drawing::IntoDrawingArea as _;
use plotters::element::{Polygon, Rectangle};
use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, VPos};

/// Of each state, bottom to top: what is done lies at the bottom, what has not begun on top.
const STACK: [(usize, Ink); 8] = [
    (5, Ink::Good),
    (6, Ink::Limit),
    (4, Ink::Worst),
    (3, Ink::Middle),
    (2, Ink::Main),
    (1, Ink::Pale),
    (0, Ink::Wanted),
    (7, Ink::Dark),
];

/// States and rate, top to bottom; empty if the campaign left no row, or the run no second.
pub(in crate::report) fn campaign(report: &Report, campaign: &Campaign) -> Vec<Plot> {
    if campaign.states.is_empty() || report.timeline.is_empty() {
        return Vec::new();
    }
    let mut svg = String::new();
    stacked(report, campaign, &mut svg).expect("a String accepts every write");
    let title = "Targets by state";
    let is_used = |state: usize| campaign.states.iter().any(|point| point.counts[state] > 0);
    let used = STACK.iter().rev().filter(|(state, _)| is_used(*state));
    let states = Plot {
        title,
        legend: used
            .map(|(state, ink)| (*ink, StatePoint::NAMES[*state].to_owned()))
            .collect(),
        svg: responsive(&svg, title),
    };
    vec![states, rate(report, campaign)]
}

fn stacked(report: &Report, campaign: &Campaign, svg: &mut String) -> Drawn {
    let top = LABELS + TOP;
    let bottom = top + BODY * 3 / 2;
    let size = (WIDTH.unsigned_abs(), (bottom + FONT / 2).unsigned_abs());
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    let frame = Frame {
        x: Scale::linear(0.0, end_s(report), LEFT, WIDTH - RIGHT),
        y: Scale::linear(0.0, campaign.targets.max(1) as f64, bottom, top),
        top,
        bottom,
    };
    shade(&area, report, &frame, true)?;
    let mut below = vec![0u64; campaign.states.len()];
    for (state, ink) in STACK {
        let floor = below.clone();
        for (below, point) in below.iter_mut().zip(&campaign.states) {
            *below += point.counts[state];
        }
        if below == floor {
            continue;
        }
        let at = |(point, n): (&StatePoint, &u64)| (frame.x.at(point.at_s), frame.y.at(*n as f64));
        let mut outline: Vec<(i32, i32)> = campaign.states.iter().zip(&below).map(at).collect();
        let mut lower: Vec<(i32, i32)> = campaign.states.iter().zip(&floor).map(at).collect();
        lower.reverse();
        outline.extend(lower);
        let outline = without_repeats(outline);
        // Who was left out is most of a halted campaign, and must not drown what happened.
        let strength = if ink == Ink::Dark { 0.3 } else { 0.75 };
        area.draw(&Polygon::new(outline, ink.rgb().mix(strength).filled()))?;
    }
    for tick in value_ticks(&frame.y) {
        let y = frame.y.at(tick);
        path(&area, vec![(LEFT, y), (WIDTH - RIGHT, y)], GRID, FINENESS)?;
        let place = (LEFT - 8 * FINENESS, y);
        label(
            &area,
            &axis::short(tick),
            place,
            HPos::Right,
            VPos::Center,
            LABEL,
        )?;
    }
    marks(&area, campaign, &frame)?;
    path(
        &area,
        vec![(LEFT, bottom), (WIDTH - RIGHT, bottom)],
        LABEL,
        FINENESS,
    )?;
    area.present()?;
    Ok(())
}

/// Points that lie on a line with their neighbours say nothing more.
fn without_repeats(outline: Vec<(i32, i32)>) -> Vec<(i32, i32)> {
    let mut kept: Vec<(i32, i32)> = Vec::with_capacity(outline.len());
    for point in outline {
        if let [.., before, last] = kept[..]
            && before.1 == last.1
            && last.1 == point.1
        {
            kept.pop();
        }
        kept.push(point);
    }
    kept
}

/// Where it was halted or cancelled, and when nobody got a turn.
fn marks(area: &Area<'_>, campaign: &Campaign, frame: &Frame) -> Drawn {
    for (from_s, to_s) in &campaign.pauses_s {
        let (from, to) = (frame.x.at(*from_s), frame.x.at(*to_s));
        let corner = (from, frame.top);
        let shape = Rectangle::new([corner, (to, frame.bottom)], LABEL.mix(0.22).filled());
        area.draw(&shape)?;
        let place = (from + 4 * FINENESS, frame.bottom - 4 * FINENESS);
        label(area, "paused", place, HPos::Left, VPos::Bottom, LABEL)?;
    }
    let halted = campaign.halt.as_ref().map(|halt| (halt.at_s, "halted"));
    let cancelled = campaign.cancelled_s.map(|at_s| (at_s, "cancelled"));
    for (at_s, text) in halted.into_iter().chain(cancelled) {
        let x = frame.x.at(at_s);
        let ends = vec![(x, frame.top), (x, frame.bottom)];
        path(area, ends, Ink::Limit.rgb(), 2 * FINENESS)?;
        let place = (x + 5 * FINENESS, frame.top + 3 * FINENESS);
        label(area, text, place, HPos::Left, VPos::Top, Ink::Limit.rgb())?;
    }
    Ok(())
}

fn end_s(report: &Report) -> f64 {
    let last = report.timeline.last().map_or(1.0, |point| point.at_s);
    last.max(report.run.planned_s)
}

/// Notifications per minute, against the rungs of the plan if it has any.
fn rate(report: &Report, campaign: &Campaign) -> Plot {
    let mut measured: Vec<(f64, Option<f64>)> = vec![(campaign.start_s, Some(0.0))];
    let mut from_s = campaign.start_s;
    for (to_s, per_minute) in &campaign.notified {
        measured.push((from_s, Some(*per_minute)));
        measured.push((*to_s, Some(*per_minute)));
        from_s = *to_s;
    }
    let mut planned = Vec::new();
    let last = (campaign.halt.as_ref().map(|halt| halt.at_s))
        .or(campaign.cancelled_s)
        .unwrap_or_else(|| last_notified_s(campaign));
    for (index, rung) in campaign.rungs.iter().enumerate() {
        let to_s = campaign.rungs.get(index + 1).map_or(last, |next| next.at_s);
        planned.push((rung.at_s, Some(rung.planned_per_min)));
        planned.push((to_s.max(rung.at_s), Some(rung.planned_per_min)));
    }
    let measured = Line {
        ink: Ink::Main,
        name: "notified",
        filled: true,
        points: measured,
    };
    let mut lines = vec![measured];
    if !planned.is_empty() {
        lines.push(Line {
            ink: Ink::Middle,
            name: "planned",
            filled: false,
            points: planned,
        });
    }
    let look_of = Look {
        is_first: false,
        is_log: false,
        has_times: true,
    };
    look(report, "Devices notified per minute", look_of, &lines)
}

fn last_notified_s(campaign: &Campaign) -> f64 {
    let bins = campaign.notified.iter().rev();
    let mut busy = bins.skip_while(|(_, rate)| *rate <= 0.0);
    busy.next().map_or(campaign.start_s, |(to_s, _)| *to_s)
}

/// What a query matched, if it was asked more than once.
pub(in crate::report) fn query(report: &Report, query: &Query) -> Vec<Plot> {
    if report.timeline.is_empty() || query.answers.len() < 2 {
        return Vec::new();
    }
    let line = |ink, name, of: fn(&crate::report::value::QueryAnswer) -> u64| Line {
        ink,
        name,
        filled: false,
        points: (query.answers.iter())
            .map(|answer| (answer.at_s, Some(of(answer) as f64)))
            .collect(),
    };
    let lines = [
        line(Ink::Wanted, "never reported", |answer| answer.unknown),
        line(Ink::Main, "matched", |answer| answer.matched),
    ];
    let look_of = Look {
        is_first: true,
        is_log: false,
        has_times: true,
    };
    vec![look(report, "Devices that match", look_of, &lines)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_in_the_stack_once() {
        let mut states: Vec<usize> = STACK.iter().map(|(state, _)| *state).collect();
        states.sort_unstable();
        assert_eq!(states, (0..StatePoint::NAMES.len()).collect::<Vec<_>>());
    }

    #[test]
    fn flat_stretches_are_thinned_and_corners_kept() {
        let outline = vec![(0, 5), (1, 5), (2, 5), (3, 6), (4, 6), (5, 6), (6, 5)];
        let kept = without_repeats(outline);
        assert_eq!(kept, [(0, 5), (2, 5), (3, 6), (5, 6), (6, 5)]);
    }
}
