//! The normal curve, for samples so large that counting every case would take too long.

/// The share of the standard normal distribution below `z`, to seven digits (Abramowitz and Stegun, 26.2.17).
pub fn below(z: f64) -> f64 {
    const TERMS: [f64; 5] = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let polynomial = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    let above = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * polynomial;
    if z < 0.0 { above } else { 1.0 - above }
}

/// The z below which a `share` of it lies.
pub fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if below(middle) < share { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_curve_of_the_tables() {
        for (z, share) in
            [(0.0, 0.5), (1.0, 0.841_344_7), (-1.959_964, 0.025), (2.575_829, 0.995), (-3.0, 0.001_349_9)]
        {
            assert!((below(z) - share).abs() < 2e-7, "{z}: {}", below(z));
            assert!((quantile(share) - z).abs() < 2e-4);
        }
    }
}
