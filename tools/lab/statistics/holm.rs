//! Several comparisons at once: of twenty modes that don't differ, one would look as if it did.

/// Holm's adjusted p-values, in the order given. Who believes those of at most 0.05 believes anything that is luck in
/// one family of twenty, however its tests depend on each other (Holm 1979).
pub fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&one, &other| p_values[one].total_cmp(&p_values[other]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (before, &index) in order.iter().enumerate() {
        // None is more certain than one with a smaller p.
        least = least.max(p_values[index] * (p_values.len() - before) as f64).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: &[f64], expected: &[f64]) {
        let far = found.iter().zip(expected).any(|(a, b)| (a - b).abs() > 1e-12);
        assert!(!far && found.len() == expected.len(), "{found:?} for {expected:?}");
    }

    #[test]
    fn they_are_as_the_procedure_has_them() {
        assert_close(&adjusted(&[0.01, 0.02, 0.03, 0.04, 0.05]), &[0.05, 0.08, 0.09, 0.09, 0.09]);
        // Sorted and times 5 … 1: 0.025, 0.044, 0.06, 0.08, 0.13.
        assert_close(&adjusted(&[0.02, 0.13, 0.005, 0.04, 0.011]), &[0.06, 0.13, 0.025, 0.08, 0.044]);
    }

    #[test]
    fn one_test_needs_no_adjustment_and_none_exceeds_one() {
        assert_close(&adjusted(&[0.03]), &[0.03]);
        assert_close(&adjusted(&[0.9, 0.8]), &[1.0, 1.0]);
        assert_close(&adjusted(&[]), &[]);
    }
}
