use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the layout in each width of the gaps.
fn layouts(nodes: &[Node]) -> [Layout; 3] {
    [Gaps::Wide, Gaps::Narrow, Gaps::Joined].map(|gaps| Layout::new(nodes, gaps))
}

fn node(width: u16, needs: &[usize]) -> Node {
    Node { width, height: 1, needs: needs.to_vec() }
}

/// Draws the layout as text, with letters as nodes.
fn picture(nodes: &[Node]) -> String {
    drawn(nodes, &Layout::new(nodes, Gaps::Wide))
}

fn drawn(nodes: &[Node], layout: &Layout) -> String {
    let mut rows = vec![vec![" ".to_owned(); usize::from(layout.width)]; usize::from(layout.height)];
    for cell in &layout.cells {
        rows[usize::from(cell.y)][usize::from(cell.x)] = sign(cell, Glyphs::Unicode).to_owned();
    }
    for (index, ((x, y), node)) in layout.places.iter().zip(nodes).enumerate() {
        for (row, column) in (0..node.height).flat_map(|row| (0..node.width).map(move |column| (row, column))) {
            let letter = char::from(b'a' + (index % 26) as u8);
            rows[usize::from(y + row)][usize::from(x + column)] = letter.to_string();
        }
    }
    rows.iter().map(|row| row.concat().trim_end().to_owned() + "\n").collect()
}

#[test]
fn a_long_chain_of_wide_nodes_has_a_layout() {
    let chain: Vec<Node> = (0..500_usize).map(|at| node(u16::MAX, at.checked_sub(1).as_slice())).collect();
    let layout = Layout::new(&chain, Gaps::Wide);
    assert!(layout.width < u16::MAX / 2 + 5_000, "{}", layout.width);
    assert!(layout.places.is_sorted());
}

#[test]
fn pictures() {
    let chain = [node(4, &[]), node(4, &[0]), node(4, &[1])];
    let fan = [node(4, &[]), node(6, &[0]), node(4, &[0]), node(5, &[0]), node(3, &[1, 2, 3])];
    let seed = [node(4, &[]), node(4, &[0]), node(8, &[1]), node(8, &[0])];
    let long = [node(2, &[]), node(2, &[0]), node(2, &[1]), node(2, &[0]), node(2, &[2, 3])];
    let swap = [node(2, &[]), node(2, &[]), node(2, &[]), node(2, &[1, 2]), node(2, &[0]), node(2, &[0, 1])];
    let alone = [node(2, &[]), node(2, &[]), node(2, &[0])];
    let tall = [node(2, &[]), Node { height: 3, ..node(4, &[0]) }, node(2, &[0]), node(2, &[1, 2])];
    let all: Vec<String> = [&chain[..], &fan, &seed, &long, &swap, &alone, &tall, &[]].map(picture).into();
    insta::assert_snapshot!(all.join("\n~~~\n"));
}

#[test]
fn lines_are_straight_where_they_can_be_and_a_crossing_is_no_joint() {
    let of = |needs: &[&[usize]]| -> Vec<Node> { needs.iter().map(|needs| node(3, needs)).collect() };
    let demo = of(&[&[], &[0], &[0], &[0], &[1], &[1], &[4, 2]]);
    let outside = of(&[&[], &[0], &[1], &[2], &[0], &[3, 4], &[1], &[6, 5]]);
    let crossing = of(&[&[], &[], &[0, 1], &[0], &[1], &[2, 3, 4], &[2, 4]]);
    let every_pair = of(&[&[], &[], &[], &[0, 2], &[0, 1], &[1, 2], &[3, 5], &[4, 0], &[6, 7, 1]]);
    let all = [demo, outside, crossing, every_pair];
    let pictures = all.iter().flat_map(|nodes| layouts(nodes).map(|layout| drawn(nodes, &layout)));
    insta::assert_snapshot!(pictures.collect::<Vec<_>>().join("\n~~~\n"));
}

/// Generates nodes with needs among the earlier ones.
fn graphs() -> impl Strategy<Value = Vec<Node>> {
    let node = (1_u16..12, 1_u16..4, proptest::collection::vec(0_usize..40, 0..4));
    proptest::collection::vec(node, 0..40).prop_map(|nodes| {
        let nodes = nodes.into_iter().enumerate();
        nodes
            .map(|(at, (width, height, mut needs))| {
                needs.retain(|need| *need < at);
                Node { width, height, needs }
            })
            .collect()
    })
}

/// Returns the nodes reached from a node by following lines cell by cell, to the right and vertically, but never back.
fn traced(layout: &Layout, nodes: &[Node], pad: u16, from: usize) -> BTreeSet<usize> {
    let cells: BTreeMap<(u16, u16), &Cell> = layout.cells.iter().map(|cell| ((cell.x, cell.y), cell)).collect();
    let (x, y) = layout.places[from];
    let first = x + nodes[from].width + pad;
    let mut reached = BTreeSet::new();
    let mut seen = BTreeSet::new();
    // Each entry is a position and the direction of the line, because a line that is interrupted at a crossing
    // continues straight.
    let mut todo = vec![((first, y), RIGHT)];
    while let Some(((x, y), towards)) = todo.pop() {
        if !seen.insert((x, y, towards)) {
            continue;
        }
        if let Some(target) = (0..nodes.len()).find(|node| layout.places[*node] == (x, y)) {
            reached.insert(target);
            continue;
        }
        let Some(cell) = cells.get(&(x, y)) else {
            // This is the column between an arrow head and its node.
            if towards == RIGHT && cells.get(&(x.wrapping_sub(1), y)).is_some_and(|cell| cell.head) {
                todo.push(((x + 1, y), RIGHT));
            }
            continue;
        };
        let vertical = cell.directions & (UP | DOWN) != 0;
        let horizontal = cell.directions & (LEFT | RIGHT) != 0;
        match towards {
            // A row interrupted by a vertical line continues behind it.
            RIGHT if !vertical || !horizontal => todo.push(((x + 1, y), RIGHT)),
            _ => {
                if cell.directions & RIGHT != 0 {
                    todo.push(((x + 1, y), RIGHT));
                }
                if cell.directions & UP != 0 && towards != DOWN {
                    todo.push(((x, y - 1), UP));
                }
                if cell.directions & DOWN != 0 && towards != UP {
                    todo.push(((x, y + 1), DOWN));
                }
            }
        }
    }
    reached
}

proptest! {
    #[test]
    fn nodes_never_overlap_and_lines_stay_off_them(nodes in graphs()) {
        for layout in layouts(&nodes) {
            let mut taken = BTreeSet::new();
            for (node, (x, y)) in nodes.iter().zip(&layout.places) {
                for place in (0..node.width).flat_map(|column| (0..node.height).map(move |row| (x + column, y + row))) {
                    prop_assert!(taken.insert(place), "{place:?} is taken twice");
                    prop_assert!(place.0 < layout.width && place.1 < layout.height);
                }
            }
            let mut lines = BTreeSet::new();
            for cell in &layout.cells {
                prop_assert!(!taken.contains(&(cell.x, cell.y)), "a line runs over a node at {}, {}", cell.x, cell.y);
                prop_assert!(lines.insert((cell.x, cell.y)), "two cells at {}, {}", cell.x, cell.y);
                prop_assert!(cell.x < layout.width && cell.y < layout.height);
            }
        }
    }

    #[test]
    fn every_need_can_be_traced_cell_by_cell(nodes in graphs()) {
        for (layout, gaps) in layouts(&nodes).iter().zip([Gaps::Wide, Gaps::Narrow, Gaps::Joined]) {
            for source in 0..nodes.len() {
                let reached = traced(layout, &nodes, gaps.pad(), source);
                for target in (0..nodes.len()).filter(|target| layout.needs[*target].contains(&source)) {
                    prop_assert!(reached.contains(&target), "{source} does not lead to {target}\n{}", picture(&nodes));
                }
            }
        }
    }

    #[test]
    fn what_touches_is_joined(nodes in graphs()) {
        for layout in layouts(&nodes) {
            let cells: BTreeMap<_, _> = layout.cells.iter().map(|cell| ((cell.x, cell.y), cell)).collect();
            for cell in layout.cells.iter().filter(|cell| !cell.head) {
                for (side, x, y, back) in
                    [(RIGHT, cell.x + 1, cell.y, LEFT), (DOWN, cell.x, cell.y + 1, UP)]
                {
                    let Some(next) = cells.get(&(x, y)) else { continue };
                    let (there, here) = (cell.directions & side != 0, next.directions & back != 0);
                    prop_assert!(there == here, "at {}, {}:\n{}", cell.x, cell.y, drawn(&nodes, &layout));
                }
            }
        }
    }

    #[test]
    fn the_same_structure_gives_the_same_picture_and_implied_needs_stay_implied(nodes in graphs()) {
        let layout = Layout::new(&nodes, Gaps::Wide);
        prop_assert_eq!(&layout, &Layout::new(&nodes, Gaps::Wide));
        for (node, (own, layer)) in nodes.iter().zip(layout.needs.iter().zip(&layout.layers)) {
            prop_assert!(own.iter().all(|need| node.needs.contains(need) && layout.layers[*need] < *layer));
        }
    }

    #[test]
    fn whatever_is_needed_there_is_a_picture(needs in proptest::collection::vec(proptest::collection::vec(0_usize..9, 0..3), 0..8)) {
        let nodes: Vec<Node> = needs.into_iter().map(|needs| Node { width: 2, height: 1, needs }).collect();
        let layout = Layout::new(&nodes, Gaps::Wide);
        prop_assert_eq!(layout.places.len(), nodes.len());
    }
}
