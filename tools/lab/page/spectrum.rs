//! The percentile spectrum, a panel an accept mode: how long the slowest 1 in 2, 10, 100, 1000 waited.
//!
//! x is 1/(1−p) on a logarithmic axis, so that the tail gets as much room as the rest; y is logarithmic too.
//! The other modes stand behind in grey: the eye compares without a legend for ten lines. Beyond the last
//! quantile with ten samples a curve would only show the luck of a few messages: it ends there.

use hdrhistogram::Histogram;

use super::{
    Panel,
    bars::accept,
    frame::{Frame, PANEL},
    svg::{Scale, decade_ticks, decades},
};
use crate::{results::Results, summary::Summary};

/// Points a decade of 1/(1−p).
const STEPS_PER_DECADE: i32 = 24;
/// The rarest share that is ever drawn, 1 in 100,000.
const TAIL_DECADES: i32 = 5;
const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// The spectra of one scenario: one curve a mode, on one pair of axes.
#[derive(Debug)]
pub struct Spectra {
    heading: String,
    curves: Vec<Curve>,
    rarest: f64,
    domain_ms: (f64, f64),
}

#[derive(Debug)]
struct Curve {
    mode: String,
    overloaded: bool,
    /// (1/(1−p), milliseconds)
    points: Vec<(f64, f64)>,
}

impl Spectra {
    /// `None` where nothing was measured.
    pub fn new(results: &Results, scenario: &str, heading: String) -> Option<Self> {
        let curve = |mode: &String| {
            let summary = Summary::of(results, scenario, |name| name == mode);
            let points = points(&summary.latency()?);
            Some(Curve { mode: mode.clone(), overloaded: summary.overload().is_some(), points })
        };
        let curves: Vec<Curve> =
            results.modes.iter().filter_map(curve).filter(|c| c.points.len() > 1).collect();
        let all = || curves.iter().flat_map(|curve| &curve.points);
        let range = |low: f64, high: f64, value: f64| (low.min(value), high.max(value));
        let (low, high) = all().fold((f64::INFINITY, 0.0), |(low, high), &(_, ms)| range(low, high, ms));
        let rarest = all().fold(10.0, |rarest: f64, &(rarity, _)| rarest.max(rarity));
        (high > 0.0).then(|| Self { heading, rarest, domain_ms: decades((low.max(1e-4), high)), curves })
    }

    /// The panel of one accept mode: level solid, edge dashed.
    pub fn panel(&self, of: &str) -> Option<Panel> {
        let (own, others): (Vec<&Curve>, Vec<_>) =
            self.curves.iter().partition(|curve| accept(&curve.mode) == of);
        if own.is_empty() {
            return None;
        }
        let label = format!("Latency spectrum of {of} at {}", self.heading);
        let mut frame = Frame::new(&label, PANEL);
        let x = Scale::logarithmic((1.0, self.rarest), frame.x_range());
        let y = Scale::logarithmic(self.domain_ms, frame.y_range());
        for ms in decade_ticks(self.domain_ms) {
            frame.y_tick(y.at(ms), &format!("{ms}"), "grid");
        }
        for (rarity, text) in
            [(1.0, "0"), (2.0, "50"), (10.0, "90"), (100.0, "99"), (1e3, "99.9"), (1e4, "99.99")]
        {
            if rarity <= self.rarest {
                frame.x_grid(x.at(rarity), text);
            }
        }
        let place =
            |curve: &Curve| -> Vec<_> { curve.points.iter().map(|&(r, ms)| (x.at(r), y.at(ms))).collect() };
        for curve in others {
            frame.svg.path("curve other", &place(curve), &curve.mode);
        }
        for curve in &own {
            let dash = if curve.mode.split('/').nth(1) == Some("level") { "" } else { " dashed" };
            frame.svg.path(&format!("curve {of}{dash}"), &place(curve), &curve.mode);
        }
        frame.titles("percentile of messages", "response time, ms");
        let note = if own.iter().any(|curve| curve.overloaded) { "OVERLOADED" } else { "" };
        Some(Panel { name: of.to_owned(), note: note.to_owned(), svg: frame.svg.finish() })
    }
}

/// The curve of a histogram, up to the last quantile with enough samples beyond it.
fn points(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    // From the second step on: the minimum says nothing, and would cost the axis a decade.
    (1..=STEPS_PER_DECADE * TAIL_DECADES)
        .map(|step| 10f64.powf(f64::from(step) / f64::from(STEPS_PER_DECADE)))
        .take_while(|rarity| latency.len() as f64 / rarity >= SAMPLES_BEYOND_MIN)
        .map(|rarity| (rarity, latency.value_at_quantile(1.0 - 1.0 / rarity) as f64 / 1e6))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_curve_rises_and_ends_where_samples_do() {
        let mut histogram = Histogram::new(3).unwrap();
        (1..=10_000u64).for_each(|us| histogram.record(us * 1_000).unwrap());
        let points = points(&histogram);
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        let (rarity, ms) = points[points.len() - 1];
        assert!((rarity - 1_000.0).abs() < 1.0 && (ms - 9.99).abs() < 0.05, "{rarity} {ms}");
    }

    #[test]
    fn a_panel_has_its_twins_in_front_and_the_others_behind() {
        let results = fixture::results();
        let spectra = Spectra::new(&results, "busy", "busy".into()).unwrap();
        let Panel { note, svg, .. } = spectra.panel("exclusive").unwrap();
        assert_eq!(svg.matches("curve other").count(), 8);
        assert_eq!(svg.matches("\"curve exclusive\"").count(), 1);
        assert_eq!(svg.matches("\"curve exclusive dashed\"").count(), 1);
        assert!(note == "OVERLOADED" && spectra.panel("rotate").unwrap().note.is_empty());
        assert!(spectra.panel("local").is_none());
    }

    #[test]
    fn without_load_there_are_no_spectra() {
        assert!(Spectra::new(&fixture::results(), "trickle", String::new()).is_none());
    }
}
