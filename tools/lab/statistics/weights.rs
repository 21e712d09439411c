//! Connections that differ: how many there are in effect, and whether it is the worker that makes the difference.

/// How many equal connections would spread as well as these, which carry different amounts: (Σw)²/Σw² (Kish). `None`
/// where nothing is carried.
pub fn effective_n(weights: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, squares) = weights.into_iter().fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
    (squares > 0.0).then(|| sum * sum / squares)
}

/// The share of the variance of `values` that lies between their groups, η²: 0 where it doesn't matter to which group a
/// value belongs, 1 where nothing else matters. Chance alone gives (groups − 1)/(values − 1). `None` where all
/// values are equal, or in one group.
pub fn variance_between(values: impl IntoIterator<Item = (usize, f64)>) -> Option<f64> {
    let values: Vec<(usize, f64)> = values.into_iter().filter(|(_, value)| value.is_finite()).collect();
    let most = values.iter().map(|(group, _)| group + 1).max()?;
    let mut groups = vec![(0.0, 0.0); most];
    for &(group, value) in &values {
        groups[group].0 += 1.0;
        groups[group].1 += value;
    }
    let (count, sum) =
        groups.iter().fold((0.0, 0.0), |all: (f64, f64), group| (all.0 + group.0, all.1 + group.1));
    let mean = sum / count;
    let total: f64 = values.iter().map(|(_, value)| (value - mean).powi(2)).sum();
    let taken = groups.iter().filter(|(count, _)| *count > 0.0);
    let between: f64 = taken.clone().map(|(count, sum)| count * (sum / count - mean).powi(2)).sum();
    // Equal values may differ from their mean in the last bit.
    let is_spread = total > count * (mean * 1e-12).powi(2);
    (is_spread && taken.count() > 1).then(|| between / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_connections_count_fully_and_one_that_has_all_counts_alone() {
        assert_eq!(effective_n([3.0; 64]), Some(64.0));
        assert_eq!(effective_n([0.0, 5.0, 0.0]), Some(1.0));
        assert_eq!((effective_n([0.0; 4]), effective_n([])), (None, None));
        // 10 % of 100 connections carry 90 %: (810 + 90)² / (10·81² + 90).
        let heavy = (0..100).map(|i| if i < 10 { 81.0 } else { 1.0 });
        assert!((effective_n(heavy).unwrap() - 810_000.0 / 65_700.0).abs() < 1e-12);
    }

    #[test]
    fn variance_is_split_as_textbooks_split_it() {
        // Groups (1, 2, 3) and (4, 5, 6): 13.5 of 17.5 lie between them.
        let values = [(0, 1.0), (0, 2.0), (0, 3.0), (3, 4.0), (3, 5.0), (3, 6.0)];
        assert!((variance_between(values).unwrap() - 13.5 / 17.5).abs() < 1e-12);
        assert_eq!(variance_between([(0, 1.0), (1, 2.0), (0, 1.0)]), Some(1.0));
        let same = variance_between([(0, 1.0), (0, 3.0), (1, 1.0), (1, 3.0)]);
        assert_eq!(same, Some(0.0));
    }

    #[test]
    fn without_groups_or_variance_there_is_no_share() {
        assert_eq!(variance_between([(0, 1.0), (0, 2.0)]), None);
        assert_eq!(variance_between([(0, 0.1), (1, 0.1), (1, 0.1)]), None);
        assert_eq!(variance_between([]), None);
    }
}
