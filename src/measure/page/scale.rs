//! From values to coordinates, along a straight or a logarithmic axis, and where an axis has its ticks.

/// An axis: which values lie where.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    domain: (f64, f64),
    range: (f64, f64),
    logarithmic: bool,
}

impl Scale {
    /// Equal steps are equally far apart.
    pub fn linear(domain: (f64, f64), range: (f64, f64)) -> Self {
        Self { domain, range, logarithmic: false }
    }

    /// Equal ratios are equally far apart. The domain must lie above zero.
    pub fn logarithmic((low, high): (f64, f64), range: (f64, f64)) -> Self {
        Self { domain: (low.log10(), high.log10()), range, logarithmic: true }
    }

    /// Where a value lies; what is outside of the domain lies on its edge.
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let (low, high) = self.domain;
        let share = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
        self.range.0 + share * (self.range.1 - self.range.0)
    }
}

/// The smallest and the largest of some values; `None` without any that is finite.
pub fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |extent, value| {
        let (low, high) = extent.unwrap_or((value, value));
        Some((f64::min(low, value), f64::max(high, value)))
    })
}

/// Round values from zero on, some `count` of them; the last is the end of the axis, at least `high`.
pub fn ticks_from_zero(high: f64, count: usize) -> Vec<f64> {
    if !high.is_finite() || high <= 0.0 {
        return vec![0.0, 1.0];
    }
    let step = round_up(high / count.max(1) as f64);
    let steps = (high / step - 1e-9).ceil().max(1.0) as usize;
    (0..=steps).map(|index| index as f64 * step).collect()
}

/// Round values within a range, some `count` of them.
pub fn ticks_between((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let length = high - low;
    if !length.is_finite() || length <= 0.0 {
        return vec![low];
    }
    let step = round_up(length / count.max(1) as f64);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|index| index as f64 * step).collect()
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    factors.map(|factor| factor * power).into_iter().find(|&it| it >= value * (1.0 - 1e-9)).unwrap_or(value)
}

/// The powers of ten that enclose a range of positive values: the domain of a logarithmic axis.
pub fn decades((low, high): (f64, f64)) -> (f64, f64) {
    let low = 10f64.powf(low.log10().floor());
    (low, 10f64.powf(high.log10().ceil()).max(low * 10.0))
}

/// Where a logarithmic axis has its ticks: the powers of ten within it, and 2 and 5 of each where it spans
/// few of them.
pub fn decade_ticks((low, high): (f64, f64)) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let between: &[f64] = match (high / low).log10() {
        decades if decades > 6.0 => &[],
        decades if decades > 2.0 => &[1.0],
        _ => &[1.0, 2.0, 5.0],
    };
    let decade = |exponent: i32| between.iter().map(move |tick| tick * 10f64.powi(exponent));
    let sparse =
        (first..=last).filter(|_| between.is_empty()).step_by(2).map(|exponent| 10f64.powi(exponent));
    let ticks = (first..=last).flat_map(decade).chain(sparse);
    ticks.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).collect()
}

/// A value as an axis shows it: no more digits than tell ticks apart, thousands as `10k`.
pub fn tick_text(value: f64) -> String {
    match value.abs() {
        // 0.30000000000000004 is 0.3.
        size if size < 1e4 => format!("{}", (value * 1e6).round() / 1e6),
        size if size < 1e6 => format!("{}k", (value / 1e3 * 1e3).round() / 1e3),
        _ => format!("{}M", (value / 1e6 * 1e3).round() / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hit_their_ends_and_never_leave_them() {
        let linear = Scale::linear((0.0, 400.0), (100.0, 0.0));
        assert_eq!([0.0, 100.0, 400.0, 500.0].map(|value| linear.at(value)), [100.0, 75.0, 0.0, 0.0]);
        let log = Scale::logarithmic((0.1, 1000.0), (0.0, 40.0));
        assert_eq!([0.1, 1.0, 100.0, 0.0].map(|value| log.at(value).round()), [0.0, 10.0, 30.0, 0.0]);
        assert_eq!(Scale::linear((3.0, 3.0), (7.0, 9.0)).at(3.0), 7.0, "an empty domain");
    }

    #[test]
    fn decades_enclose() {
        assert_eq!(decades((0.4, 30.0)), (0.1, 100.0));
        assert_eq!(decades((1.0, 1.0)), (1.0, 10.0));
        assert_eq!(decade_ticks((0.1, 1000.0)), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(decade_ticks((1.0, 10.0)), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(decade_ticks((0.3, 3.0)), [0.5, 1.0, 2.0]);
        assert_eq!(decade_ticks((1.0, 1e8)), [1.0, 100.0, 1e4, 1e6, 1e8]);
    }

    #[test]
    fn ticks_are_round_and_reach_the_highest() {
        assert_eq!(ticks_from_zero(400.0, 4), [0.0, 100.0, 200.0, 300.0, 400.0]);
        assert_eq!(ticks_from_zero(0.7, 4).last(), Some(&0.8));
        assert_eq!(ticks_from_zero(17.0, 4).last(), Some(&20.0));
        assert_eq!(ticks_from_zero(0.0, 4), [0.0, 1.0]);
        assert_eq!(ticks_from_zero(f64::NAN, 4), [0.0, 1.0]);
        assert_eq!(ticks_between((37.0, 241.0), 4), [100.0, 200.0]);
        assert_eq!(ticks_between((0.0, 6.0), 4), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(ticks_between((5.0, 5.0), 4), [5.0]);
    }

    #[test]
    fn an_axis_shows_no_more_digits_than_it_needs() {
        assert_eq!(
            [0.1 + 0.2, 5.0, 1e4, 2.5e6, 0.0001].map(tick_text),
            ["0.3", "5", "10k", "2.5M", "0.0001"]
        );
    }

    #[test]
    fn the_extent_of_nothing_is_none() {
        assert_eq!(extent([]), None);
        assert_eq!(extent([f64::NAN, 3.0, -1.0, f64::INFINITY]), Some((-1.0, 3.0)));
    }
}
