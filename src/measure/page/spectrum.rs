//! The percentile spectrum: how long the slowest 1 in 2, 10, 100, 1000 waited.
//!
//! x is 1/(1−p) on a logarithmic axis, so that the tail gets as much room as the rest; y is logarithmic too.
//! Beyond the last quantile with ten samples a curve would only show the luck of a few messages: it ends there.

use hdrhistogram::Histogram;

use super::{
    Hue,
    frame::Frame,
    scale::{Scale, decade_ticks, decades, extent},
};

/// Points a decade of 1/(1−p).
const STEPS_PER_DECADE: i32 = 12;
/// The rarest share that is ever drawn, 1 in 100,000.
const TAIL_DECADES: i32 = 5;
const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// One curve: (1/(1−p), milliseconds), rising.
pub type Points = Vec<(f64, f64)>;

/// The curve of a histogram of nanoseconds, up to the last quantile with enough samples beyond it.
pub fn points(latency: &Histogram<u64>) -> Points {
    // From the second step on: the minimum says nothing, and would cost the axis a decade.
    (1..=STEPS_PER_DECADE * TAIL_DECADES)
        .map(|step| 10f64.powf(f64::from(step) / f64::from(STEPS_PER_DECADE)))
        .take_while(|rarity| latency.len() as f64 / rarity >= SAMPLES_BEYOND_MIN)
        .map(|rarity| (rarity, latency.value_at_quantile(1.0 - 1.0 / rarity) as f64 / 1e6))
        .collect()
}

/// A curve with what lies around it.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What a pointer is told.
    pub name: String,
    /// Its look.
    pub hue: Hue,
    /// The curve itself.
    pub points: Points,
    /// Curves of single runs; the area between the lowest and the highest is shaded.
    pub runs: Vec<Points>,
    /// Drawn thin, as one that goes with another.
    pub thin: bool,
}

/// The axes on which several panels can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Axes {
    rarest: f64,
    domain_ms: (f64, f64),
}

impl Axes {
    /// Axes that hold all of these curves. `None` where there is nothing to draw.
    pub fn around<'a>(curves: impl IntoIterator<Item = &'a Points>) -> Option<Self> {
        let points: Points =
            curves.into_iter().filter(|points| points.len() > 1).flatten().copied().collect();
        let (low, high) = extent(points.iter().map(|&(_, ms)| ms))?;
        let (_, rarest) = extent(points.iter().map(|&(rarity, _)| rarity))?;
        (high > 0.0).then(|| Self { rarest: rarest.max(10.0), domain_ms: decades((low.max(1e-4), high)) })
    }

    /// Draws the axes; `of_what` is what y shows, with its unit, ms.
    pub fn draw(&self, frame: &mut Frame, of_what: &str) {
        let (x, y) = self.scales(frame);
        frame.y_ticks(&decade_ticks(self.domain_ms), |ms| y.at(ms));
        let percentiles =
            [(1.0, "0"), (2.0, "50"), (10.0, "90"), (100.0, "99"), (1e3, "99.9"), (1e4, "99.99"), (1e5, "")];
        let shown = percentiles.into_iter().filter(|&(rarity, _)| rarity <= self.rarest * 1.001);
        let mut lines = Vec::new();
        for (rarity, text) in shown {
            lines.push([(x.at(rarity), frame.top()), (x.at(rarity), frame.bottom())]);
            frame.x_tick(x.at(rarity), text);
        }
        frame.svg.lines("grid", &lines);
        frame.titles("percentile", of_what);
    }

    /// Draws curves in grey, to compare with.
    pub fn ghosts<'a>(&self, frame: &mut Frame, curves: impl IntoIterator<Item = &'a Points>) {
        for points in curves {
            let placed = self.placed(frame, points);
            frame.svg.path("other", &placed, "");
        }
    }

    /// Draws curves with what lies around them.
    pub fn curves(&self, frame: &mut Frame, curves: &[Curve]) {
        for Curve { hue, runs, .. } in curves {
            let (low, high) = envelope(runs);
            let (low, high) = (self.placed(frame, &low), self.placed(frame, &high));
            frame.svg.ribbon(&format!("ribbon {}", hue.colour()), &low, &high, "");
        }
        for Curve { name, hue, points, thin, .. } in curves {
            let width = if *thin { "thin" } else { "curve" };
            let placed = self.placed(frame, points);
            frame.svg.path(&format!("{width} {hue}"), &placed, name);
        }
    }

    fn scales(&self, frame: &Frame) -> (Scale, Scale) {
        (
            Scale::logarithmic((1.0, self.rarest), frame.x_range()),
            Scale::logarithmic(self.domain_ms, frame.y_range()),
        )
    }

    fn placed(&self, frame: &Frame, points: &Points) -> Vec<(f64, f64)> {
        let (x, y) = self.scales(frame);
        points.iter().map(|&(rarity, ms)| (x.at(rarity), y.at(ms))).collect()
    }
}

/// The lowest and the highest of several curves, as far as all of them reach.
fn envelope(runs: &[Points]) -> (Points, Points) {
    let reach = runs.iter().map(Vec::len).min().unwrap_or(0);
    if runs.len() < 2 {
        return (Vec::new(), Vec::new());
    }
    let bounds = (0..reach).filter_map(|at| {
        let (low, high) = extent(runs.iter().map(|run| run[at].1))?;
        Some(((runs[0][at].0, low), (runs[0][at].0, high)))
    });
    bounds.unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{histograms, page::frame::PANEL};

    #[test]
    fn a_curve_rises_and_ends_where_samples_do() {
        let mut histogram = histograms::histogram();
        (1..=10_000u64).for_each(|us| histogram.record(us * 1_000).unwrap());
        let points = points(&histogram);
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        let (rarity, ms) = points[points.len() - 1];
        assert!((rarity - 1_000.0).abs() < 1.0 && (ms - 9.99).abs() < 0.05, "{rarity} {ms}");
    }

    #[test]
    fn the_ribbon_lies_around_all_runs_as_far_as_all_reach() {
        let runs = vec![vec![(1.0, 5.0), (2.0, 6.0), (4.0, 9.0)], vec![(1.0, 4.0), (2.0, 8.0)]];
        assert_eq!(envelope(&runs), (vec![(1.0, 4.0), (2.0, 6.0)], vec![(1.0, 5.0), (2.0, 8.0)]));
        assert_eq!(envelope(&runs[..1]), (vec![], vec![]), "one run has no spread");
    }

    #[test]
    fn what_was_not_measured_has_no_axes() {
        assert!(Axes::around([&vec![], &vec![(1.0, 1.0)]]).is_none());
        let curve = vec![(1.5, 0.2), (1_000.0, 40.0)];
        let axes = Axes::around([&curve]).unwrap();
        let mut frame = Frame::new(PANEL, "", "");
        let hue = Hue::new(0, 1);
        let drawn = Curve {
            name: "edge".into(),
            hue,
            points: curve.clone(),
            runs: vec![curve.clone(); 2],
            thin: false,
        };
        axes.draw(&mut frame, "response time, ms");
        axes.ghosts(&mut frame, [&curve]);
        axes.curves(&mut frame, &[drawn]);
        let svg = frame.svg.finish();
        for part in [
            "class=\"other\"",
            "class=\"ribbon c0\"",
            "class=\"curve c0 d1\"",
            ">99.9<",
            ">response time, ms<",
        ] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(!svg.contains(">99.99<"));
    }
}
