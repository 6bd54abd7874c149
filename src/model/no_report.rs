//! Why a target of deployments did not report what it runs.

/// Why a target did not report what it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoReport {
    /// It did not answer in time.
    NoAnswer,
    /// It could not be asked, or answered with an error. One line.
    Failed(String),
}

impl NoReport {
    /// Maximum number of characters of an error that are kept.
    const MAX_LENGTH: usize = 160;

    /// Returns the reason for an error, of which the first line is kept.
    #[must_use]
    pub fn failed(error: &str) -> Self {
        let line = error.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("unknown error");
        let mut kept: String = line.chars().take(Self::MAX_LENGTH).collect();
        if kept.len() < line.len() {
            kept.push('…');
        }
        Self::Failed(kept)
    }

    /// Returns the reason as a sentence without its full stop.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::NoAnswer => "its target does not answer".to_owned(),
            Self::Failed(error) => format!("its target reports nothing: {error}"),
        }
    }

    /// Returns the reason in a few columns.
    #[must_use]
    pub fn short(&self) -> &'static str {
        match self {
            Self::NoAnswer => "no answer",
            Self::Failed(_) => "no report",
        }
    }

    /// Returns the end of a line with the last report: `no answer since`, `no report since: exit code 1`.
    #[must_use]
    pub fn since(&self) -> String {
        match self {
            Self::NoAnswer => format!("{} since", self.short()),
            Self::Failed(error) => format!("{} since: {error}", self.short()),
        }
    }
}
