//! The benchmark's own arithmetic, apart from any measurement.

#[path = "statistics.rs"]
mod statistics;

use statistics::{Ratio, median, outer_rank, ratio};

#[test]
fn ranks_of_the_wilcoxon_interval_are_the_tabled_ones() {
    let ranks = [5, 6, 8, 10, 12, 20].map(outer_rank);
    assert_eq!(ranks, [None, Some(1), Some(4), Some(9), Some(14), Some(53)]);
}

#[test]
fn a_constant_factor_is_found_in_any_noise_that_the_round_shares() {
    let floor = [100.0, 250.0, 90.0, 400.0, 130.0, 70.0];
    let twice = floor.map(|cost| 2.0 * cost);
    let Ratio { estimate, interval: Some((low, high)) } = ratio(&twice, &floor) else {
        panic!("no interval")
    };
    assert!([estimate, low, high].iter().all(|ratio| (ratio - 2.0).abs() < 1e-9));
}

#[test]
fn one_bad_round_does_not_move_the_estimate_far() {
    let floor = [100.0; 20];
    let mut costs = [103.0; 20];
    costs[7] = 1000.0;
    let found = ratio(&costs, &floor);
    assert!((found.estimate - 1.03).abs() < 1e-9);
    assert!(found.interval.is_some_and(|(_, high)| high < 1.04));
}

#[test]
fn too_few_rounds_have_an_estimate_and_no_interval() {
    assert_eq!(ratio(&[1.0; 5], &[1.0; 5]), Ratio { estimate: 1.0, interval: None });
}

#[test]
fn the_median_is_the_middle() {
    assert_eq!([median(&[]), median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])], [0.0, 2.0, 2.5]);
}
