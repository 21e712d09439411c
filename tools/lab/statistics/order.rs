//! Which of the sorted values enclose a quantile: no assumption but that the values are independent.

/// The order statistics, counted from 1, between which the quantile `q` of so many values lies with at least
/// `confidence`: exact binomial ranks. `None` where there are too few values to have one on either side: the
/// median takes 6 for 95 %, the 99th percentile 368.
pub fn ranks(count: usize, q: f64, confidence: f64) -> Option<(usize, usize)> {
    let tail = (1.0 - confidence) / 2.0;
    let mut log_probability = count as f64 * (1.0 - q).ln();
    let (mut below, mut low) = (0.0, None);
    for k in 0..count {
        // Now of k values below the quantile or fewer.
        below += log_probability.exp();
        if below <= tail {
            low = Some(k + 1);
        }
        if below >= 1.0 - tail {
            return low.map(|low| (low, k + 1));
        }
        log_probability += ((count - k) as f64 / (k + 1) as f64 * q / (1.0 - q)).ln();
    }
    None
}

/// The median, and the values that enclose it with at least 95 % where there are six or more; all of them otherwise.
pub fn median_with_interval(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let (low, high) = ranks(sorted.len(), 0.5, 0.95)
        .map_or((first, last), |(low, high)| (sorted[low - 1], sorted[high - 1]));
    Some((super::median(&sorted), low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        for (count, expected) in [(6, (1, 6)), (10, (2, 9)), (20, (6, 15)), (5, (0, 0))] {
            assert_eq!(ranks(count, 0.5, 0.95).unwrap_or_default(), expected, "median of {count}");
        }
    }

    #[test]
    fn a_tail_takes_many_values() {
        // n > ln 0.025 / ln q.
        for (q, least) in [(0.99, 368), (0.999, 3_688), (0.9999, 36_887)] {
            assert!(ranks(least - 1, q, 0.95).is_none(), "{q}");
            assert!(ranks(least, q, 0.95).is_some_and(|(_, high)| high == least), "{q}");
        }
    }

    #[test]
    fn a_median_comes_with_what_encloses_it() {
        let values = [7.0, 1.0, 2.0, 6.0, 3.0, 5.0, 4.0, 9.0, 8.0, 10.0];
        assert_eq!(median_with_interval(&values), Some((5.5, 2.0, 9.0)));
        assert_eq!(median_with_interval(&[4.0, 2.0, f64::NAN]), Some((3.0, 2.0, 4.0)));
        assert_eq!(median_with_interval(&[]), None);
    }
}
