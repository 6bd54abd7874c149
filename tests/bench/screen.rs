//! How long the screen's own work takes.
//!
//! `cargo bench --bench screen` prints a table. Nothing is asserted: machines differ.

use std::time::{Duration, Instant};

use cuelight::ui::graph::{Layout, Node};

#[expect(clippy::print_stdout, reason = "the table is what the benchmark is for")]
fn say(what: &str, time: Duration, budget: &str) {
    println!("{what:<58} {:<40} {budget}", format!("{:.2} ms", time.as_secs_f64() * 1e3));
}

fn median(act: impl Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..15)
        .map(|_| {
            let started = Instant::now();
            act();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Jobs in layers of a width; each needs a few of the layer before.
fn layers(count: usize, width: usize) -> Vec<Node> {
    let needs = |job: usize| -> Vec<usize> {
        if job < width {
            return Vec::new();
        }
        let first = (job / width - 1) * width;
        [job % width, (job * 7 + 3) % width, (job * 13 + 5) % width].map(|place| first + place).into()
    };
    (0..count).map(|job| Node { width: 20, height: 1, needs: needs(job) }).collect()
}

fn main() {
    let five_hundred = layers(500, 25);
    say("layout of a graph of 500 jobs in 20 layers", median(|| drop(Layout::new(&five_hundred))), "5 ms at most");
    let two_hundred = layers(200, 25);
    say("the same of 200 jobs in 8 layers", median(|| drop(Layout::new(&two_hundred))), "");
    let wide: Vec<Node> = (0..258)
        .map(|job| Node {
            width: 20,
            height: 1,
            needs: if job == 0 {
                vec![]
            } else if job == 257 {
                (1..257).collect()
            } else {
                vec![0]
            },
        })
        .collect();
    say("the same of a matrix of 256 legs, unfolded", median(|| drop(Layout::new(&wide))), "");
}
