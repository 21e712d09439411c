//! Service time, emulated: what a worker would compute, or wait for, for each message.
//!
//! `spin` burns the core. `block` puts the worker to sleep, which makes it as unavailable as computing
//! would; so a run with more workers than cores queues as it would on that many cores.

use std::{fmt, hint, str::FromStr, thread, time::Duration};

use crate::{config::units, sys::clock};

/// What is done for each message.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    how: How,
    time: Distribution,
    random: fastrand::Rng,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Spin,
    Block,
}

/// How long it takes, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Distribution {
    Fixed(f64),
    Exponential { mean_ns: f64 },
    Bimodal { short_ns: f64, long_ns: f64, long_share: f64 },
}

impl Work {
    /// The same work with random numbers of its own: another sequence for each worker, the same in each run.
    #[must_use]
    pub fn seeded(&self, seed: u64, worker: usize) -> Self {
        // Workers' seeds must differ in more than a low bit for the generator's first numbers to differ.
        let seed = seed ^ (worker as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { random: fastrand::Rng::with_seed(seed), ..self.clone() }
    }

    /// Takes the time of one message.
    pub fn perform(&mut self) {
        let nanos = self.time.sample(&mut self.random);
        match self.how {
            How::Block => thread::sleep(Duration::from_nanos(nanos as u64)),
            How::Spin => {
                let until_ns = clock::now_ns() + nanos as u64;
                while clock::now_ns() < until_ns {
                    hint::spin_loop();
                }
            }
        }
    }
}

impl Distribution {
    fn sample(self, random: &mut fastrand::Rng) -> f64 {
        match self {
            Self::Fixed(nanos) => nanos,
            // Inverse transform; 1 - [0, 1) is never 0.
            Self::Exponential { mean_ns } => -mean_ns * (1.0 - random.f64()).ln(),
            Self::Bimodal { short_ns, long_ns, long_share } => {
                if random.f64() < long_share {
                    long_ns
                } else {
                    short_ns
                }
            }
        }
    }
}

impl FromStr for Work {
    type Err = String;

    /// `spin:DIST` or `block:DIST`; DIST is `fixed:50us`, `exp:50us` or `bimodal:50us,5ms,0.01`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| {
            format!(
                "'{text}' is no work ({why}): write spin:DIST or block:DIST with DIST fixed:50us, exp:50us or \
                 bimodal:50us,5ms,0.01"
            )
        };
        let (how, time) = text.split_once(':').ok_or_else(|| wrong("no distribution".into()))?;
        let how = match how {
            "spin" => How::Spin,
            "block" => How::Block,
            _ => return Err(wrong(format!("'{how}' is neither spin nor block"))),
        };
        let time = time.parse().map_err(wrong)?;
        Ok(Self { how, time, random: fastrand::Rng::with_seed(0) })
    }
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, parameters) = text.split_once(':').ok_or("no distribution with a time")?;
        match name {
            "fixed" => nanos(parameters).map(Self::Fixed),
            "exp" => Ok(Self::Exponential { mean_ns: nanos(parameters)? }),
            "bimodal" => {
                let parts: Vec<&str> = parameters.split(',').collect();
                let [short, long, share] = parts[..] else {
                    return Err("bimodal takes two times and a share".into());
                };
                let long_share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share));
                let long_share =
                    long_share.ok_or_else(|| format!("the share '{share}' is not between 0 and 1"))?;
                Ok(Self::Bimodal { short_ns: nanos(short)?, long_ns: nanos(long)?, long_share })
            }
            _ => Err(format!("'{name}' is none of fixed, exp, bimodal")),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            How::Spin => "spin",
            How::Block => "block",
        };
        write!(f, "{how}:{}", self.time)
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |nanos: f64| units::write_duration(Duration::from_nanos(nanos as u64));
        match *self {
            Self::Fixed(nanos) => write!(f, "fixed:{}", time(nanos)),
            Self::Exponential { mean_ns } => write!(f, "exp:{}", time(mean_ns)),
            Self::Bimodal { short_ns, long_ns, long_share } => {
                write!(f, "bimodal:{},{},{long_share}", time(short_ns), time(long_ns))
            }
        }
    }
}

fn nanos(text: &str) -> Result<f64, String> {
    let duration = units::duration(text)?;
    // A message that takes more than a minute is surely a slip, and would outlast every drain.
    if duration > Duration::from_secs(60) {
        return Err(format!("'{text}' a message is more than a minute"));
    }
    Ok(duration.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(text: &str) -> f64 {
        let mut work = text.parse::<Work>().expect("valid").seeded(7, 0);
        (0..100_000).map(|_| work.time.sample(&mut work.random)).sum::<f64>() / 1e5
    }

    #[test]
    fn distributions_have_their_means() {
        assert_eq!(mean("spin:fixed:50us"), 50_000.0);
        assert!((mean("spin:exp:50us") / 50_000.0 - 1.0).abs() < 0.02);
        assert!((mean("block:bimodal:50us,5ms,0.01") / (0.99 * 50_000.0 + 0.01 * 5e6) - 1.0).abs() < 0.05);
    }

    #[test]
    fn a_seed_gives_the_same_times_again() {
        let times = |seed, worker| {
            let mut work = "spin:exp:50us".parse::<Work>().expect("valid").seeded(seed, worker);
            [(); 4].map(|()| work.time.sample(&mut work.random))
        };
        assert_eq!(times(1, 0), times(1, 0));
        assert_ne!(times(1, 0), times(1, 1));
        assert_ne!(times(1, 0), times(2, 0));
    }

    #[test]
    fn work_survives_a_round_trip() {
        for text in ["spin:fixed:50us", "block:exp:1500ns", "spin:bimodal:0s,5ms,0.01"] {
            assert_eq!(text.parse::<Work>().map(|work| work.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("spin", "no distribution"),
            ("burn:fixed:1ms", "neither spin nor block"),
            ("spin:50us", "no distribution"),
            ("spin:fixed:50", "not a duration"),
            ("spin:gauss:50us", "none of fixed"),
            ("spin:bimodal:50us,5ms", "two times and a share"),
            ("spin:bimodal:50us,5ms,1.5", "between 0 and 1"),
            ("block:fixed:1h", "more than a minute"),
        ] {
            let message = text.parse::<Work>().expect_err(text);
            assert!(message.contains(why) && !message.contains('\n'), "{text}: {message}");
        }
    }
}
