//! Property tests: any messages, in any order and on a screen of any size.

use proptest::prelude::*;

use super::*;

/// Returns a strategy for messages that can come at any time.
fn anything() -> impl Strategy<Value = Msg> {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let keys = prop_oneof![
        proptest::char::range(' ', '~').prop_map(KeyCode::Char),
        Just(KeyCode::Enter),
        Just(KeyCode::Esc),
        Just(KeyCode::Tab),
        Just(KeyCode::PageUp),
        Just(KeyCode::Backspace),
    ];
    let mouse = prop_oneof![
        Just(MouseEventKind::Down(MouseButton::Left)),
        Just(MouseEventKind::ScrollUp),
        Just(MouseEventKind::ScrollDown),
    ];
    let count = records().len() + rest().len();
    prop_oneof![
        4 => keys.prop_map(|code| Msg::Key(KeyEvent::new(code, KeyModifiers::NONE))),
        2 => (mouse, 0_u16..250, 0_u16..80).prop_map(|(kind, column, row)| {
            Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
        }),
        2 => (1_u16..250, 1_u16..80).prop_map(|(width, height)| Msg::Resize(width, height)),
        2 => (0..count, 0_usize..20).prop_map(|(first, count)| {
            let all: Vec<Record> = records().into_iter().chain(rest()).collect();
            let records = all.into_iter().skip(first).take(count).collect();
            Msg::Feed(Feed::Records { run: run(), records })
        }),
        1 => Just(Msg::Feed(Feed::Removed(run()))),
        1 => Just(Msg::Feed(Feed::Opened(header(run())))),
        1 => (0_u64..10_000_000).prop_map(|past| Msg::Tick(Timestamp(START + past))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Drawing never panics, whatever the messages, their order and the size of the screen.
    #[test]
    fn there_is_always_a_picture(messages in prop::collection::vec(anything(), 1..60), ascii in any::<bool>()) {
        let glyphs = if ascii { Glyphs::Ascii } else { Glyphs::Unicode };
        let mut driver = Driver::showing(80, 24, glyphs);
        for msg in messages {
            match msg {
                Msg::Resize(width, height) => driver.resize(width, height),
                msg => driver.send(msg),
            };
            let screen = driver.screen();
            prop_assert!(!ascii || screen.is_ascii(), "{}", screen);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// After any sequence of sizes, every panel that has room is framed and titled, and nothing is drawn over it.
    #[test]
    fn a_storm_of_sizes_leaves_every_panel_whole(sizes in prop::collection::vec((1_u16..220, 1_u16..70), 1..12), focus in 0..7_usize) {
        let mut driver = Driver::showing(80, 24, Glyphs::Unicode);
        driver.press(&(focus + 1).to_string());
        for (width, height) in sizes {
            driver.resize(width, height);
            let buffer = driver.buffer();
            prop_assert_eq!(buffer.area, Rect::new(0, 0, width, height));
            let Some(screen) = driver.app.screen() else {
                let words = driver.screen().split_whitespace().collect::<Vec<_>>().join(" ");
                prop_assert!(width < 5 || height < 2 || words.ends_with("q quits"), "{}", words);
                continue;
            };
            for (panel, area) in screen.panels {
                let row = |y: u16| (area.left()..area.right()).map(|x| buffer[(x, y)].symbol()).collect::<String>();
                let title = format!(" {} {}", panel.number(), panel.name());
                prop_assert!(row(area.y).contains(&title) || usize::from(area.width) < title.len() + 6, "{}", driver.screen());
                for y in area.top() + 1..area.bottom() - 1 {
                    for x in [area.left(), area.right() - 1] {
                        prop_assert!("│├┤┼┃".contains(buffer[(x, y)].symbol()), "{panel:?} {x},{y}\n{}", driver.screen());
                    }
                }
            }
        }
    }
}
