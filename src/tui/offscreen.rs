//! The screen without a terminal: folds records up to a moment, presses keys, and returns the frame as a picture.

use std::ops::ControlFlow;
use std::time::Duration;

use crossterm::event::KeyEvent;

use crate::app::App;
use crate::app::keymap::Keymap;
use crate::app::msg::{Effect, Msg, RenderedPage};
use crate::model::Timestamp;
use crate::model::feed::Feed;
use crate::store::folder::RunFolder;
use crate::store::logs::LogFiles;
use crate::store::logs::query::{LogSearchResult, Logs, RunSearchResult};
use crate::store::{StoreError, history};
use crate::ui::export::Picture;
use crate::ui::theme::Theme;

/// Returns a picture of a run at a moment after its start, or at its end, which is also drawn for later moments. `keys`
/// are pressed first. `size` is in columns and rows.
///
/// # Errors
/// The run's folder cannot be read.
pub fn picture(
    folder: &RunFolder,
    moment: Option<Duration>,
    size: (u16, u16),
    keys: &[KeyEvent],
    theme: Theme,
) -> Result<Picture, StoreError> {
    let header = history::info(folder)?;
    let mut records = history::records(folder, &header)?;
    let start = records.first().map_or(header.created, |record| record.at);
    let end = records.last().map_or(start, |record| record.at);
    let at = |moment: Duration| Timestamp(start.0.saturating_add(moment.as_millis() as u64));
    let now = moment.map_or(end, |moment| at(moment).min(end));
    records.retain(|record| record.at <= now);

    let mut screen = Screen { app: App::new(theme, Keymap::default()), logs: LogFiles::new(folder.runs()) };
    screen.send(Msg::Tick(now));
    screen.send(Msg::Resize(size.0, size.1));
    let id = header.id.clone();
    screen.send(Msg::Feed(Feed::Opened(header)));
    screen.send(Msg::Feed(Feed::Records { run: id, records }));
    for key in keys {
        screen.send(Msg::Key(*key));
    }
    Ok(Picture::draw(size.0, size.1, |buffer| screen.app.draw(buffer)))
}

/// The screen without a terminal: its requests for logs are answered at once, and other effects are ignored.
struct Screen {
    app: App,
    logs: LogFiles,
}

impl Screen {
    fn send(&mut self, msg: Msg) {
        let mut effects = self.app.update(msg);
        while let Some(effect) = effects.pop() {
            let answer = match effect {
                Effect::LoadPage(request) => Msg::Page(RenderedPage::new(self.logs.pages(request), self.app.theme())),
                Effect::SearchLog(search) => {
                    let mut lines = Vec::new();
                    let ended = self.logs.search(&search, &|| false, &mut |line| {
                        lines.push(line);
                        ControlFlow::Continue(())
                    });
                    Msg::LogSearched(LogSearchResult { search, found: ended.map(|()| lines), done: true })
                }
                Effect::SearchRun(search) => {
                    let mut hits = Vec::new();
                    let ended = self.logs.search_run(&search, &|| false, &mut |log, text| {
                        hits.push((log, text));
                        ControlFlow::Continue(())
                    });
                    Msg::RunSearched(RunSearchResult { id: search.id, hits: ended.map(|()| hits), done: true })
                }
                _ => continue,
            };
            effects.extend(self.app.update(answer));
        }
    }
}
