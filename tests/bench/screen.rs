//! How long the screen's own work takes.
//!
//! `cargo bench --bench screen` prints a table. Nothing is asserted: machines differ.

use std::time::Instant;

use cuelight::ui::graph::{Layout, Node};

mod table;

use table::{median, ms, say};

fn told(what: &str, nodes: &[Node], budget: &str) {
    let timed = |_| {
        let started = Instant::now();
        drop(Layout::new(nodes));
        started.elapsed()
    };
    say(what, &format!("{:.2} ms", ms(median((0..15).map(timed).collect()))), budget);
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
    told("layout of a graph of 500 jobs in 20 layers", &five_hundred, "5 ms at most");
    let two_hundred = layers(200, 25);
    told("the same of 200 jobs in 8 layers", &two_hundred, "");
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
    told("the same of a matrix of 256 legs, unfolded", &wide, "");
}
