//! Times contenders side by side. In: contenders. Out: nanoseconds an operation, of each contender in each round.
//! Always: the rounds are interleaved (A B C A B C), so that what slows the machine down for a while slows all of them;
//! ratios are taken within a round.

use std::time::{Duration, Instant};

use crate::Contender;

/// How long a race may take.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    /// What each contender gets in each round. Less than what a scheduler gives, so that most rounds are undisturbed.
    pub slice: Duration,
    /// An odd number has a middle.
    pub round_count: usize,
}

/// What a contender took.
#[derive(Debug)]
pub struct Figure {
    /// The contender.
    pub name: String,
    /// Nanoseconds an operation, by round.
    pub rounds: Vec<f64>,
}

impl Race {
    /// Warms up each contender, then runs all of them in turn, round by round.
    pub fn run(self, contenders: &mut [Contender<'_>]) -> Vec<Figure> {
        let times: Vec<u64> = contenders
            .iter_mut()
            .map(|contender| self.times(contender))
            .collect();
        let mut figures: Vec<Figure> = contenders
            .iter()
            .map(|contender| Figure {
                name: contender.name.clone(),
                rounds: Vec::with_capacity(self.round_count),
            })
            .collect();
        for _ in 0..self.round_count {
            for ((contender, figure), &times) in contenders.iter_mut().zip(&mut figures).zip(&times)
            {
                figure.rounds.push(nanoseconds(contender, times));
            }
        }
        figures
    }

    /// How often a contender can do its job in a slice.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a rough count of at least one"
    )]
    fn times(self, contender: &mut Contender<'_>) -> u64 {
        let slice = self.slice.as_nanos() as f64;
        let mut times = 1;
        loop {
            let took = nanoseconds(contender, times) * times as f64;
            if took * 8.0 > slice {
                return ((slice / took * times as f64) as u64).max(1);
            }
            times *= 2;
        }
    }
}

impl Figure {
    /// The middle of all rounds.
    pub fn median(&self) -> f64 {
        middle(self.rounds.clone())
    }

    /// What a twentieth of the rounds stayed below, and what a twentieth went above.
    pub fn range(&self) -> (f64, f64) {
        let rounds = sorted(self.rounds.clone());
        let margin = rounds.len() / 20;
        let at = |index| rounds.get(index).copied().unwrap_or(f64::NAN);
        (at(margin), at(rounds.len() - margin - 1))
    }

    /// How many times as long as `other` this one took: the middle of the rounds' ratios.
    pub fn times(&self, other: &Self) -> f64 {
        let pairs = self.rounds.iter().zip(&other.rounds);
        middle(pairs.map(|(this, other)| this / other).collect())
    }
}

fn middle(values: Vec<f64>) -> f64 {
    let values = sorted(values);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no run takes long enough to matter"
)]
fn nanoseconds(contender: &mut Contender<'_>, times: u64) -> f64 {
    time(contender, times).as_nanos() as f64 / times as f64
}

/// How long a contender takes to do its job so many times.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock of the benches"
)]
pub fn time(contender: &mut Contender<'_>, times: u64) -> Duration {
    let started = Instant::now();
    contender.run(times);
    started.elapsed()
}
