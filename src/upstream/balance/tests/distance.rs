//! How far workers that choose each for itself are from one that chooses for all: the figures of docs/balancing.md.
//!
//! The kernel gives each session to a worker by chance. So many workers as there are choose at the same instant and see
//! nothing of each other's choice, which is the worst that can happen; what they chose is counted before the next do.
//! Nothing of this is timed: the figures are the same on any machine.

use fastrand::Rng;

use super::*;

const UPSTREAMS: usize = 10;
/// Sessions that are open at a time.
const OPEN: usize = 3_200;
const RUNS: usize = 51;
const WORKERS: [usize; 4] = [1, 2, 8, 32];

/// The sessions of ten equal upstreams, and the workers that give them out.
struct Site {
    workers: usize,
    balancers: Vec<Balancer>,
    loads: Loads,
    random: Rng,
    /// The open ones: whose they are, and where.
    open: Vec<(usize, usize)>,
    chosen: Vec<(usize, usize)>,
}

impl Site {
    fn new(balance: Balance, workers: usize) -> Self {
        let new = |worker| balancer(balance, &[1; UPSTREAMS], 0, worker, 1);
        // All tables of sources are the same: one will do.
        let makers = if balance == Balance::Maglev { 1 } else { workers };
        Self {
            workers,
            balancers: (0..makers).map(new).collect(),
            loads: Loads::new(workers, UPSTREAMS),
            random: Rng::with_seed(1),
            open: Vec::new(),
            chosen: Vec::new(),
        }
    }

    /// As many sessions as there are workers come at once.
    fn come(&mut self) {
        for _ in 0..self.workers {
            let worker = self.random.usize(..self.workers);
            let source = IpAddr::from(self.random.u32(..).to_be_bytes());
            let maker = worker % self.balancers.len();
            let upstream = self.balancers[maker].choose(&self.loads, |_| true, Some(source), 0);
            self.chosen.push((worker, upstream.expect("all are up")));
        }
        for (worker, upstream) in self.chosen.drain(..) {
            self.loads.add(worker, upstream);
            self.open.push((worker, upstream));
        }
    }

    /// So many end, whichever.
    fn go(&mut self, sessions: usize) {
        for _ in 0..sessions {
            let (worker, upstream) = self.open.swap_remove(self.random.usize(..self.open.len()));
            self.loads.remove(worker, upstream);
        }
    }

    /// By how many sessions the fullest is above its share.
    fn excess(&self) -> f64 {
        let most = (0..UPSTREAMS).map(|upstream| self.loads.total(upstream)).max();
        most.expect("ten") as f64 - self.open.len() as f64 / UPSTREAMS as f64
    }
}

/// 3,200 sessions that stay: the median and the most of many runs.
fn of_those_that_stay(balance: Balance, workers: usize) -> [f64; 2] {
    let mut site = Site::new(balance, workers);
    let run = |_| {
        site.go(site.open.len());
        (0..OPEN / workers).for_each(|_| site.come());
        site.excess()
    };
    let mut runs: Vec<_> = (0..RUNS).map(run).collect();
    runs.sort_by(f64::total_cmp);
    [runs[runs.len() / 2], runs[runs.len() - 1]]
}

/// 3,200 sessions stay open while others come and go: the mean over 16,000 of them.
fn of_those_that_change(balance: Balance, workers: usize) -> f64 {
    const SESSIONS: usize = 16_000;
    let mut site = Site::new(balance, workers);
    (0..OPEN / workers).for_each(|_| site.come());
    let rounds = SESSIONS / workers;
    let excess = (0..rounds).map(|_| {
        site.go(workers);
        site.come();
        site.excess()
    });
    excess.sum::<f64>() / rounds as f64
}

#[test]
fn workers_are_this_far_from_one_that_chooses_for_all() {
    println!("3,200 sessions, 10 equal upstreams: the fullest is above its share of 320 by");
    for &balance in Balance::ALL {
        for workers in WORKERS {
            let [median, most] = of_those_that_stay(balance, workers);
            println!("{balance}, {workers} workers: median {median} most {most}");
            let bound = match balance {
                // Each of those that choose at once may take the same one; ties are left to chance.
                Balance::LeastConnections => workers as f64,
                // A worker's own turns are even to within one.
                Balance::RoundRobin => workers as f64,
                Balance::P2c => 5.0 + workers as f64,
                // By chance: six standard deviations of 3,200 tenths.
                Balance::Random | Balance::Maglev => 102.0,
            };
            assert!(most <= bound, "{balance}, {workers} workers: {most} over {bound}");
        }
    }
}

#[test]
fn and_while_sessions_come_and_go() {
    println!("3,200 of 16,000 sessions open: on average the fullest is above its share of 320 by");
    for &balance in Balance::ALL {
        let means = WORKERS.map(|workers| of_those_that_change(balance, workers));
        println!("{balance}: {}", means.map(|mean| format!("{mean:.1}")).join(" "));
        let [one, .., most] = means;
        match balance {
            Balance::LeastConnections | Balance::P2c => assert!(most <= one + 32.0, "{balance}: {means:?}"),
            // What ends is by chance, whoever hands out: it is no worse for many.
            Balance::RoundRobin | Balance::Random | Balance::Maglev => {
                assert!(most <= 2.0 * one, "{balance}: {means:?}")
            }
        }
    }
}
