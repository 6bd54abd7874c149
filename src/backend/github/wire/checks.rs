//! Annotations and check runs.

use super::words::{AnnotationLevel, Ending, Status};
use super::{Message, Time, answers};

answers! {
    /// An annotation of a check run. The check run of a job has the job's id.
    pub struct Annotation {
        /// Path relative to the repository; `.github` for one about the job itself.
        path: String,
        /// First line, from 1.
        start_line: u32,
        /// Last line.
        end_line: u32,
        /// First column, from 1.
        start_column: u32,
        /// Last column.
        end_column: u32,
        /// Severity.
        annotation_level: AnnotationLevel,
        /// Title.
        title: String,
        /// Message.
        message: Message,
        /// Details.
        raw_details: Message,
    }

    /// A check run on a commit, of any app.
    pub struct CheckRun {
        /// Id of the check run.
        id: u64,
        /// Name.
        name: String,
        /// State.
        status: Status,
        /// How it ended.
        conclusion: Ending,
        /// Start.
        started_at: Time,
        /// End.
        completed_at: Time,
        /// Page about the check run on the site of the app.
        details_url: String,
        /// Page of the check run in a browser.
        html_url: String,
        /// The app.
        app: App,
        /// What the app reports.
        output: CheckOutput,
        /// Check suite of the check run.
        check_suite: CheckSuite,
    }

    /// An app.
    pub struct App {
        /// Id of the app.
        id: u64,
        /// Name in addresses.
        slug: String,
        /// Name.
        name: String,
    }

    /// Report of a check run.
    pub struct CheckOutput {
        /// Title.
        title: String,
        /// Summary, in Markdown.
        summary: Message,
        /// Number of annotations.
        annotations_count: u64,
    }

    /// A check suite: the check runs of an app on a commit.
    pub struct CheckSuite {
        /// Id of the check suite.
        id: u64,
    }
}
