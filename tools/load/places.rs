//! The connections one by one: who served each place for a connection, and how long its messages took.

use serde::{Deserialize, Serialize};

use super::buckets::Buckets;

/// The most connections that a run may tell one by one.
pub const PLACES_MAX: usize = 20_000;

/// What was seen of one place, whatever sockets came and went in it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    worker: Served,
    messages: u64,
    latency: Buckets<3>,
}

/// Who served a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Served {
    #[default]
    ByNobodyKnown,
    By(u64),
    BySeveral,
}

impl Place {
    /// A connection of this place was greeted by `worker`.
    pub fn greeted(&mut self, worker: u64) {
        self.worker = match self.worker {
            Served::ByNobodyKnown => Served::By(worker),
            Served::By(before) if before == worker => Served::By(worker),
            Served::By(_) | Served::BySeveral => Served::BySeveral,
        };
    }

    /// A measured message was answered.
    pub fn answered(&mut self, latency_ns: u64) {
        self.messages += 1;
        self.latency.record(latency_ns);
    }

    /// A measured message has waited this long in vain.
    pub fn gave_up(&mut self, latency_ns: u64) {
        self.latency.record(latency_ns);
    }
}

/// The places as the report has them: a column each.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PlacesJson {
    /// `None` where nobody greeted, or one worker after another did.
    worker: Vec<Option<u64>>,
    messages: Vec<u64>,
    p50_ns: Vec<Option<u64>>,
    p99_ns: Vec<Option<u64>>,
}

impl PlacesJson {
    /// Adds other places behind these.
    pub fn append(&mut self, mut other: Self) {
        self.worker.append(&mut other.worker);
        self.messages.append(&mut other.messages);
        self.p50_ns.append(&mut other.p50_ns);
        self.p99_ns.append(&mut other.p99_ns);
    }

    /// Sums up all places.
    pub fn new(places: &[Place]) -> Self {
        let worker = |place: &Place| match place.worker {
            Served::By(worker) => Some(worker),
            Served::ByNobodyKnown | Served::BySeveral => None,
        };
        let quantile =
            |quantile: f64| places.iter().map(|place| place.latency.value_at_quantile(quantile)).collect();
        Self {
            worker: places.iter().map(worker).collect(),
            messages: places.iter().map(|place| place.messages).collect(),
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_worker_while_it_has_only_one() {
        let mut places = vec![Place::default(); 3];
        [(1, 7), (1, 7), (2, 7), (2, 8), (2, 7)]
            .into_iter()
            .for_each(|(place, worker)| places[place].greeted(worker));
        assert_eq!(PlacesJson::new(&places).worker, [None, Some(7), None]);
    }

    #[test]
    fn what_was_given_up_is_in_the_quantiles_and_not_in_the_count() {
        let mut place = Place::default();
        (0..99).for_each(|_| place.answered(10_000));
        place.gave_up(5_000_000_000);
        let json = PlacesJson::new(&[place, Place::default()]);
        assert_eq!(json.messages, [99, 0]);
        assert_eq!((json.p50_ns[1], json.p99_ns[1]), (None, None));
        assert!(json.p50_ns[0].is_some_and(|ns| ns.abs_diff(10_000) < 1_250), "{json:?}");
        assert!(json.p99_ns[0].is_some_and(|ns| ns < 20_000), "{json:?}");
    }
}
