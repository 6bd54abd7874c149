//! The screen: its theme and settings, and its backend.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::app::App;
use crate::backend::local::demo::Demo;
use crate::backend::registry;
use crate::backend::registry::Source;
use crate::config::{BackgroundChoice, ColourChoice, Config, GlyphChoice};
use crate::model::RunId;
use crate::model::capabilities::Unavailable;
use crate::repo::git::Repository;
use crate::report::style;
use crate::store::folder::RunFolder;
use crate::tui;
use crate::tui::{Alerts, Options, TuiError};
use crate::ui::theme::{Background, Colours, Glyphs, Theme};

use super::{Exit, Failure, Outcome, config};

/// Whether there is a terminal that can show the screen, and the user can see it.
pub(super) fn is_possible() -> bool {
    !style::is_linear()
        && std::io::stdout().is_terminal()
        && std::io::stdin().is_terminal()
        && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

/// What the screen shows first, and what it allows.
#[derive(Default)]
pub(super) struct Opening {
    /// The selected run.
    pub(super) run: Option<RunId>,
    /// Whether nothing can be started or changed.
    pub(super) read_only: bool,
    /// Whether the runs of all repositories are listed.
    pub(super) all: bool,
}

impl Opening {
    /// Shows a run first.
    pub(super) fn on(run: RunId) -> Self {
        Self { run: Some(run), ..Self::default() }
    }
}

/// Shows the screen until the user quits. Runs continue unless the user cancels them.
pub(super) fn open(opening: Opening) -> Outcome {
    with(opening, None)
}

/// Shows the screen with the run of the demo.
pub(super) fn demo(demo: Demo) -> Outcome {
    with(Opening::on(demo.run.clone()), Some(Box::new(demo)))
}

fn with(opening: Opening, demo: Option<Box<Demo>>) -> Outcome {
    let config = settings()?;
    let (mut app, options) = app(&config)?;
    let folder = std::env::current_dir()?;
    if let Some(run) = opening.run {
        app = app.showing(run);
    }
    if opening.all {
        app = app.everywhere();
    }
    if opening.read_only {
        app = app.refusing(Unavailable::ReadOnly);
    }
    if let Ok(repository) = Repository::discover(&folder) {
        app = app.at_home(repository.id());
    }
    show(app, options, Source::of_user(folder, config.github, demo)?)
}

/// Shows a past run from its beginning on, until the user quits.
pub(super) fn replay(run: RunFolder) -> Outcome {
    let (app, options) = app(&settings()?)?;
    show(app, options, Source::Replay(run))
}

/// Reads the settings, after starting to collect the log of this program for the screen.
fn settings() -> Result<Config, Failure> {
    tracing_subscriber::registry().with(tui::diagnostics()).init();
    config::load(None)
}

fn app(config: &Config) -> Result<(App, Options), Failure> {
    let app = App::new(theme(config), config::keymap(config)?);
    let screen = &config.screen;
    Ok((app, Options { alerts: Alerts::new(screen), scroll_region: screen.scroll_region, ..Options::detect() }))
}

/// Shows the runs of a source on the screen until the user quits, and then prints a summary.
fn show(app: App, options: Options, source: Source) -> Outcome {
    let backend = registry::open(source)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ending = runtime.block_on(tui::run(app, backend, options));
    runtime.shutdown_background();
    match ending {
        Ok(ending) => {
            for line in ending.farewell {
                style::line(&line)?;
            }
            Ok(Exit::Success)
        }
        Err(error @ TuiError::Unsupported { .. }) => Err(Failure::new(Exit::Usage, error.to_string())),
        Err(error @ TuiError::Terminal(_)) => Err(Failure::new(Exit::Unavailable, error.to_string())),
    }
}

fn theme(config: &Config) -> Theme {
    let style = style::Style::of_output();
    let ascii = match config.screen.glyphs {
        GlyphChoice::Auto => style.glyphs() == Glyphs::Ascii,
        GlyphChoice::Unicode => false,
        GlyphChoice::Ascii => true,
    };
    Theme {
        glyphs: if ascii { Glyphs::Ascii } else { Glyphs::Unicode },
        colours: match config.screen.colours {
            ColourChoice::Auto if style.colours() == Colours::Terminal => Colours::Terminal,
            ColourChoice::Terminal => Colours::Terminal,
            ColourChoice::ColourBlind => Colours::ColourBlind,
            ColourChoice::Auto | ColourChoice::None => Colours::None,
        },
        background: match config.screen.background {
            BackgroundChoice::Auto => style::background(),
            BackgroundChoice::Dark => Background::Dark,
            BackgroundChoice::Light => Background::Light,
        },
        motion: config.screen.motion,
    }
}
