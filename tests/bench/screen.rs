//! How long the screen's own work takes.
//!
//! `cargo bench --bench screen` prints a table. Nothing is asserted: machines differ.

use std::time::Instant;

use cuelight::ui::graph::{Layout, Node};
use cuelight::ui::log::Line;
use cuelight::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

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
    long_lines();
}

/// What is loaded around a screen of 40 rows where every line is as long as the longest that people have met.
fn long_lines() {
    for (what, piece) in [("letters", "x"), ("colours", "\x1b[31mred\x1b[0m "), ("wide characters", "日本語")] {
        let line = piece.repeat(90_000 / piece.len());
        let page: Vec<Line> = (0..60).map(|_| Line::parse(line.as_bytes(), Theme::default())).collect();
        let parse = |_| {
            let started = Instant::now();
            for _ in 0..60 {
                drop(Line::parse(line.as_bytes(), Theme::default()));
            }
            started.elapsed()
        };
        let draw = |_| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 40));
            let started = Instant::now();
            for y in 0..20 {
                page[usize::from(y)].draw(Rect::new(0, y, 120, 1), 0, &mut buffer);
            }
            page[20].draw(Rect::new(0, 20, 120, 20), 0, &mut buffer);
            started.elapsed()
        };
        let (parsed, drawn) = (median((0..9).map(parse).collect()), median((0..9).map(draw).collect()));
        let figure = format!("{:.1} ms read, {:.2} ms drawn", ms(parsed), ms(drawn));
        say(&format!("60 lines of 90,000 bytes of {what}"), &figure, "16 ms drawn; read aside");
    }
}
