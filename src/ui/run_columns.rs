//! The list of runs in columns, for the screen and for `cuelight runs`: which columns fit, and how wide each is.

use crate::model::{Phase, Summary, Timestamp};

use super::terminal_text::clean;
use super::text;

/// Blank columns between two columns of the list.
const GAP: usize = 2;

/// Minimum width in which a note is shown, in columns.
const MIN_NOTE: usize = 12;

/// A column of the list, in the order from left to right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Column {
    /// Word for the state, with the number of the attempt after the first.
    Status,
    /// Name of the workflow; for a run on a server with the number of the run.
    Workflow,
    /// Title of a run on a server.
    Title,
    /// Repository, in a list with several.
    Repository,
    /// Branch or tag with the commit.
    Ref,
    /// Event.
    Event,
    /// User who started the run, if a server named one.
    Who,
    /// Time since the run was created.
    Age,
    /// Time for which the run lasted.
    Time,
    /// Id of the run, or its end.
    Id,
    /// Why the run waits, or why it ended as it did.
    Note,
}

/// Number of columns, without the note.
const COUNT: usize = Column::Note as usize;

/// All columns but the note, from left to right.
const ALL: [Column; COUNT] = [
    Column::Status,
    Column::Workflow,
    Column::Title,
    Column::Repository,
    Column::Ref,
    Column::Event,
    Column::Who,
    Column::Age,
    Column::Time,
    Column::Id,
];

/// How the reader of a list names a run, which decides the columns that a narrow list keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    /// By a cursor, as on the screen.
    Cursor,
    /// By its id, in the next command.
    Id,
}

impl Naming {
    /// Returns the columns that are left out of a narrow list, in this order. The others, workflow and age, are always
    /// shown. The word for the state stays long: a glyph alone is hard to tell from others, and a screen reader may not
    /// know it. The number of the attempt goes before the repository, which tells equal workflows of a list apart. An id
    /// that is to be typed goes last.
    const fn left_out(self) -> [Column; COUNT - 2] {
        use Column::{Event, Id, Ref, Repository, Status, Time, Title, Who};
        match self {
            Self::Cursor => [Who, Title, Event, Id, Time, Ref, Repository, Status],
            Self::Id => [Who, Title, Event, Time, Ref, Repository, Status, Id],
        }
    }
}

/// Columns whose texts may be clipped, each with the width to which it shrinks before a column is left out. Room that
/// is left is given to them in this order.
const ELASTIC: [(Column, usize); 4] =
    [(Column::Workflow, 12), (Column::Ref, 8), (Column::Title, 16), (Column::Repository, 10)];

/// The texts of a run's row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    texts: [String; COUNT],
    /// Word for the state without the number of the attempt, for a narrow list.
    short_status: String,
    /// Branch or tag without the commit, for a narrow list.
    short_ref: String,
    /// Name of the repository without its owner, for a narrow list.
    short_repository: String,
    note: String,
    /// Whether the note is more important than the columns between workflow and age.
    is_urgent: bool,
}

impl Row {
    /// Returns the texts of a run. Its state is shown as `status`, and `note` is a remark about it, which may be empty.
    #[must_use]
    pub fn new(run: &Summary, status: &str, note: String, now: Timestamp) -> Self {
        let info = &run.info;
        let (workflow, title) = match info.numbered() {
            Some(numbered) => (numbered, run.name.clone()),
            None if run.name.is_empty() => (file_name(&info.workflow).to_owned(), String::new()),
            None => (run.name.clone(), String::new()),
        };
        // In front, where it is not clipped.
        let workflow = match info.part() {
            Some(part) => format!("{part} of {workflow}"),
            None => workflow,
        };
        let age = match text::ago(now.since(info.created)) {
            age if age == "now" => age,
            age => format!("{age} ago"),
        };
        let attempt = if run.attempt > 1 { format!(" attempt {}", run.attempt) } else { String::new() };
        let time = run.started.map(|started| text::spent(started, run.finished, now)).unwrap_or_default();
        let who = info.remote.as_ref().map(|remote| remote.actor.clone()).unwrap_or_default();
        let texts = [
            format!("{status}{attempt}"),
            workflow,
            title,
            info.repository.clone(),
            info.version(),
            info.event.clone(),
            who,
            age,
            time,
            info.id.to_string(),
        ];
        let texts = texts.map(|text| clean(&text).into_owned());
        let is_urgent = matches!(run.phase, Phase::Waiting(_)) || !run.reviews.is_empty();
        let short_ref = match (info.branch(), info.changed) {
            ("", _) => info.commit(),
            (branch, 0) => branch.to_owned(),
            (branch, changed) => format!("{branch}+{changed}"),
        };
        let short_ref = clean(&short_ref).into_owned();
        let short_repository = file_name(&texts[Column::Repository as usize]).to_owned();
        let short_status = clean(status).into_owned();
        Self { texts, short_status, short_ref, short_repository, note: clean(&note).into_owned(), is_urgent }
    }

    /// Returns the text of a column. In a list of limited width, an id is shortened; `is_narrow` is whether a branch is
    /// shown without its commit, and a repository without its owner.
    fn text(&self, column: Column, is_limited: bool, is_narrow: bool) -> &str {
        let text = self.texts[column as usize].as_str();
        match column {
            Column::Id if is_limited => short(text),
            Column::Ref if is_narrow => &self.short_ref,
            Column::Repository if is_narrow => &self.short_repository,
            _ => text,
        }
    }

    /// Leaves out the text of a column.
    #[must_use]
    pub fn without(mut self, column: Column) -> Self {
        self.texts[column as usize].clear();
        if column == Column::Repository {
            self.short_repository.clear();
        }
        self
    }

    /// Puts a mark in front of the workflow.
    #[must_use]
    pub fn marked(mut self, mark: &str) -> Self {
        self.texts[Column::Workflow as usize].insert_str(0, mark);
        self
    }
}

/// Returns the name of a workflow's file without its folder, or of a repository without its owner.
#[must_use]
pub fn file_name(workflow: &str) -> &str {
    workflow.rsplit('/').next().unwrap_or(workflow)
}

/// Returns the end of a run's id, which commands accept in its place.
#[must_use]
pub fn short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

/// Widths of the columns of a list.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Width of each column; `None` for one that is not shown.
    widths: [Option<usize>; COUNT],
    /// Width of the list; `None` if it is not limited.
    room: Option<usize>,
    /// Whether branches are shown without their commits.
    is_narrow: bool,
    /// Whether states are shown without the number of the attempt.
    is_terse: bool,
}

impl Columns {
    /// Fits the columns of these rows into a width. Without one, every text is shown in full. Columns without any text
    /// are not shown. Ids are shortened in a list of limited width.
    #[must_use]
    pub fn fit(rows: &[Row], room: Option<usize>, naming: Naming) -> Self {
        let natural = |is_narrow: bool| {
            ALL.map(|column| {
                let texts = rows.iter().map(|row| row.text(column, room.is_some(), is_narrow));
                texts.map(text::width).max().filter(|width| *width > 0)
            })
        };
        let whole = natural(false);
        let Some(room) = room else { return Self { widths: whole, room: None, is_narrow: false, is_terse: false } };
        let is_narrow = total(&whole) > room;
        let natural = if is_narrow { natural(true) } else { whole };
        let mut widths = natural;
        for (column, least) in ELASTIC {
            widths[column as usize] = widths[column as usize].map(|width| width.min(least));
        }
        let mut is_terse = false;
        for column in naming.left_out() {
            if total(&widths) <= room {
                break;
            }
            if column == Column::Repository {
                is_terse = true;
                let status = rows.iter().map(|row| text::width(&row.short_status)).max();
                widths[Column::Status as usize] = status.filter(|width| *width > 0);
                if total(&widths) <= room {
                    break;
                }
            }
            widths[column as usize] = None;
        }
        for (column, _) in ELASTIC {
            let left = room.saturating_sub(total(&widths));
            if let (Some(width), Some(natural)) = (&mut widths[column as usize], natural[column as usize]) {
                *width = (*width + left).min(natural);
            }
        }
        // A row that needs attention shows the reason. The columns of the other rows stay.
        let urgent = rows.iter().filter(|row| row.is_urgent).map(|row| text::width(&row.note)).max();
        let urgent = urgent.unwrap_or_default().min(room * 2 / 3);
        let missing = urgent.saturating_sub(span(&widths).saturating_sub(GAP));
        let left = room.saturating_sub(total(&widths));
        if let Some(width) = &mut widths[Column::Ref as usize] {
            *width += missing.min(left);
        }
        // In a list that is too narrow for any two columns, the age keeps its width.
        let excess = total(&widths).saturating_sub(room);
        if let Some(width) = &mut widths[Column::Workflow as usize] {
            *width = width.saturating_sub(excess);
        }
        Self { widths, room: Some(room), is_narrow, is_terse }
    }

    /// Returns the cells of a row from left to right, each with its column and its text, which is padded to the width
    /// of the column. Blanks separate the cells.
    #[must_use]
    pub fn cells(&self, row: &Row, ellipsis: &str) -> Vec<(Column, String)> {
        let left = self.room.map(|room| room.saturating_sub(total(&self.widths) + GAP));
        let shown = |column: &Column| self.widths[*column as usize];
        let span = span(&self.widths);
        let is_replacing = row.is_urgent && span >= MIN_NOTE + GAP;
        let note_fits = left.is_none_or(|left| text::width(&row.note) <= left || (left >= MIN_NOTE && !is_replacing));
        let replaces = !note_fits && is_replacing;
        let mut cells = Vec::new();
        for column in ALL {
            let Some(width) = shown(&column) else { continue };
            if replaces && REPLACED.contains(&column) {
                continue;
            }
            if replaces && column == Column::Age {
                cells.push((Column::Note, padded(&row.note, span - GAP, false, ellipsis)));
            }
            let text = match column {
                Column::Status if self.is_terse => row.short_status.as_str(),
                _ => row.text(column, self.room.is_some(), self.is_narrow),
            };
            let is_number = matches!(column, Column::Age | Column::Time);
            cells.push((column, padded(text, width, is_number, ellipsis)));
        }
        if note_fits && !row.note.is_empty() {
            let note = text::clip(&row.note, left.unwrap_or(usize::MAX), ellipsis).into_owned();
            cells.push((Column::Note, note));
        }
        let gap = " ".repeat(GAP);
        let last = cells.len().saturating_sub(1);
        cells.iter_mut().take(last).for_each(|(_, text)| text.push_str(&gap));
        cells
    }
}

/// Columns that an urgent note replaces: those between workflow and age.
const REPLACED: std::ops::RangeInclusive<Column> = Column::Title..=Column::Who;

/// Returns the width of the columns that an urgent note replaces, with the blanks after each.
fn span(widths: &[Option<usize>; COUNT]) -> usize {
    let replaced = ALL.into_iter().filter(|column| REPLACED.contains(column));
    replaced.filter_map(|column| widths[column as usize]).map(|width| width + GAP).sum()
}

/// Returns the width of the columns with the blanks between them.
fn total(widths: &[Option<usize>; COUNT]) -> usize {
    widths.iter().flatten().map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
}

/// Clips or pads a text to a width. A number is padded on its left.
fn padded(text: &str, width: usize, is_number: bool, ellipsis: &str) -> String {
    let text = text::clip(text, width, ellipsis);
    let blanks = " ".repeat(width.saturating_sub(text::width(&text)));
    if is_number { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{info, summary};
    use crate::model::{Conclusion, RemoteRun, RunId};

    const NOW: Timestamp = Timestamp(1_764_000_000_000);

    fn run(id: &str, name: &str, branch: &str, minutes: u64) -> Summary {
        let mut info = info(RunId::new(id), Timestamp(NOW.0 - minutes * 60_000));
        info.event = "pull_request".to_owned();
        info.ref_name = branch.to_owned();
        info.sha = "220e8003f2c1ab".to_owned();
        let mut run = summary(info, name, Phase::Done(Conclusion::Failure));
        (run.started, run.finished) = (Some(Timestamp(NOW.0 - 60_000)), Some(Timestamp(NOW.0 - 20_000)));
        run
    }

    fn on_server(mut run: Summary) -> Summary {
        let (number, workflow, actor) = (412, "CI".to_owned(), "ada".to_owned());
        run.info.remote = Some(RemoteRun { number, workflow, actor, ..RemoteRun::default() });
        run
    }

    fn lines(runs: &[(Summary, &str)], room: Option<usize>) -> Vec<String> {
        lines_for(runs, room, Naming::Cursor)
    }

    fn lines_for(runs: &[(Summary, &str)], room: Option<usize>, naming: Naming) -> Vec<String> {
        let rows: Vec<Row> =
            runs.iter().map(|(run, note)| Row::new(run, run.phase.word(), (*note).to_owned(), NOW)).collect();
        let columns = Columns::fit(&rows, room, naming);
        let line = |row: &Row| columns.cells(row, "…").into_iter().map(|(_, text)| text).collect::<String>();
        rows.iter().map(|row| line(row).trim_end().to_owned()).collect()
    }

    fn several() -> Vec<(Summary, &'static str)> {
        let mut waits = run("20261124-000000-0003", "Release", "main", 4);
        waits.phase = Phase::Waiting(crate::model::Gate::Needs);
        vec![
            (on_server(run("20261124-000000-0001", "Log in with a token of the organization", "fix/login", 12)), ""),
            (run("20261124-000000-0002", "データベースの統合テスト", "機能/検索", 3000), "ended by the user"),
            (waits, "waits for review of production by ada"),
        ]
    }

    #[test]
    fn columns_fit_every_width_and_the_age_stays() {
        let shown = [140, 110, 80, 60, 43, 30, 22]
            .map(|room| format!("{room:<5}{}", lines(&several(), Some(room)).join("\n     ")));
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn a_run_that_waits_takes_no_column_of_the_others() {
        let [_, failed, waits] = <[_; 3]>::try_from(several()).expect("three");
        for room in [110, 80, 60, 54, 45] {
            let (calm, urgent) =
                (lines(std::slice::from_ref(&failed), Some(room)), lines(&[failed.clone(), waits.clone()], Some(room)));
            for text in ["failure", "機能", "2d ago"] {
                assert!(calm[0].contains(text) && urgent[0].contains(text), "{room}: {calm:?} {urgent:?}");
            }
            assert_eq!(calm[0].contains("0002"), urgent[0].contains("0002"), "{room}: {urgent:?}");
            assert!(urgent[1].starts_with("waiting"), "{room}: {urgent:?}");
            assert!(room < 60 || urgent[1].contains("waits for"), "{room}: {urgent:?}");
        }
    }

    #[test]
    fn a_narrow_list_of_several_repositories_names_them_before_branches_and_attempts() {
        let mut again = run("20261124-000000-0001", "CI", "main", 2);
        (again.attempt, again.info.repository) = (3, "r1".to_owned());
        let mut other = run("20261124-000000-0002", "CI", "main", 5);
        other.info.repository = "r3".to_owned();
        let runs = [(again, ""), (other, "")];
        assert_eq!(lines(&runs, Some(34)), ["failure attempt 3  CI  r1  2m ago", "failure            CI  r3  5m ago"]);
        assert_eq!(lines(&runs, Some(28)), ["failure  CI  r1  2m ago", "failure  CI  r3  5m ago"]);
    }

    #[test]
    fn a_narrow_list_for_commands_keeps_the_ids_and_the_ages() {
        let ids = |room: usize| lines_for(&several(), Some(room), Naming::Id);
        assert_eq!(ids(38)[0], format!("failure  CI #412{}12m ago  0001", " ".repeat(9)), "without repository and ref");
        assert_eq!(ids(30)[0], format!("CI #412{}12m ago  0001", " ".repeat(10)), "the glyph is the state");
        for room in 27..160 {
            for (line, id) in ids(room).iter().zip(["0001", "0002", "0003"]) {
                assert!(line.contains(id) && line.contains(" ago"), "{room}: {line}");
                assert!(text::width(line) <= room, "{room}: {line}");
            }
        }
        assert!(ids(20).iter().all(|line| line.ends_with(" ago")), "the age stays longest");
    }

    #[test]
    fn a_run_of_a_part_names_it() {
        let mut part = run("20261124-000000-0001", "CI", "main", 4);
        part.info.only = ["lint", "test", "os=linux"].map(str::to_owned).to_vec();
        assert!(lines(&[(part.clone(), "")], None)[0].contains("  lint, test and 1 more of CI  "));
        part.info.only.truncate(1);
        assert!(lines(&[(part, "")], Some(60))[0].contains("  lint of CI  "));
    }

    #[test]
    fn every_width_is_kept_with_wide_characters() {
        for room in 0..160 {
            for line in lines(&several(), Some(room)) {
                assert!(text::width(&line) <= room.max(18), "{room}: {line}");
                assert!(room < 20 || line.contains(" ago"), "{room}: {line}");
            }
        }
    }

    #[test]
    fn without_a_width_nothing_is_clipped() {
        let lines = lines(&several(), None).join("\n");
        for text in
            ["Log in with a token of the organization", "20261124-000000-0002", "機能/検索@220e800", "ended by the"]
        {
            assert!(lines.contains(text), "{lines}");
        }
    }
}
