//! Speed of graph layout and of drawing long lines.
//!
//! `cargo bench --bench screen` prints a table. Nothing is asserted, because machines differ.

use std::time::Instant;

use cuelight::ui::graph::{Gaps, Layout, Node};
use cuelight::ui::log::Line;
use cuelight::ui::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

mod table;

use table::{median, ms, row};

fn layout(what: &str, nodes: &[Node], budget: &str) {
    let timed = |_| {
        let started = Instant::now();
        drop(Layout::new(nodes, Gaps::Wide));
        started.elapsed()
    };
    row(what, &format!("{:.2} ms", ms(median((0..15).map(timed).collect()))), budget);
}

/// Returns jobs in layers of `width` jobs. Each job needs a few of the previous layer.
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
    layout("graph layout, 500 jobs in 20 layers", &five_hundred, "at most 5 ms");
    let two_hundred = layers(200, 25);
    layout("graph layout, 200 jobs in 8 layers", &two_hundred, "");
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
    layout("graph layout, matrix of 256 legs, unfolded", &wide, "");
    long_lines();
}

/// Measures parsing and drawing the lines around a screen of 40 rows, all of them extremely long.
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
        let figure = format!("{:.1} ms parsed, {:.2} ms drawn", ms(parsed), ms(drawn));
        row(&format!("60 lines of 90,000 bytes of {what}"), &figure, "16 ms drawn, parsed in the background");
    }
}
