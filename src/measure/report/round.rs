//! Numbers as a report writes them: short, and always finite, because JSON has no word for NaN.

/// Rounds to `places` decimal places; what isn't finite becomes 0.
pub(crate) fn to_places(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    let rounded = (value * scale).round() / scale;
    if rounded.is_finite() { rounded } else { 0.0 }
}

/// Rounds to `digits` significant digits, so that a p-value of 1e-12 stays one; what isn't finite becomes 0.
pub(crate) fn to_digits(value: f64, digits: usize) -> f64 {
    if !value.is_finite() {
        return 0.0;
    }
    // By way of decimal text: scaling by powers of ten over- and underflows at the ends of the range.
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_keeps_what_matters() {
        assert_eq!(to_places(1.234_56, 3), 1.235);
        assert_eq!(to_digits(1.234_56e-12, 4), 1.235e-12);
        assert_eq!(to_digits(98_765_432.0, 4), 98_770_000.0);
        assert_eq!(to_digits(0.0, 4), 0.0);
    }

    #[test]
    fn what_json_cannot_write_becomes_zero() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!((to_places(value, 3), to_digits(value, 3)), (0.0, 0.0));
        }
        assert_eq!(to_places(1e308, 6), 0.0);
    }
}
