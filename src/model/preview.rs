//! Preview of a workflow, shown before the user trusts a repository.

/// Maximum number of lines of a script in a preview.
const MAX_SCRIPT_LINES: usize = 3;

/// Maximum number of characters of a script line in a preview.
const MAX_LINE_CHARS: usize = 100;

/// Preview of a workflow. Texts are unmodified: each interface must sanitize them for its terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Path of the workflow, relative to the repository.
    pub workflow: String,
    /// Path of the repository.
    pub root: String,
    /// Jobs in the order of the file. Legs of a matrix are one entry.
    pub jobs: Vec<JobPreview>,
}

/// A job that would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPreview {
    /// Name of the first leg.
    pub name: String,
    /// Number of legs, at least 1.
    pub legs: usize,
    /// Steps; empty for a job that calls a workflow, whose jobs follow.
    pub steps: Vec<StepPreview>,
}

/// A step that would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepPreview {
    /// Reference of an action.
    Action(String),
    /// Text of a script, with its expressions.
    Script(String),
}

impl Preview {
    /// Returns the preview as lines, with the first lines of each script and the number of the others.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("{} runs for the first time in", self.workflow),
            format!("  {}", self.root),
            "Its steps run on this machine, as you:".to_owned(),
            String::new(),
        ];
        for job in &self.jobs {
            let legs = if job.legs > 1 { format!(" and {} more like it", job.legs - 1) } else { String::new() };
            lines.push(format!("  {}{legs}", job.name));
            for step in &job.steps {
                match step {
                    StepPreview::Action(reference) => lines.push(format!("    uses {reference}")),
                    StepPreview::Script(script) => excerpt(script, &mut lines),
                }
            }
        }
        lines
    }
}

/// Adds the first lines of a script, and the number of the others.
fn excerpt(script: &str, lines: &mut Vec<String>) {
    let written: Vec<&str> = script.lines().filter(|line| !line.trim().is_empty()).collect();
    for (number, line) in written.iter().take(MAX_SCRIPT_LINES).enumerate() {
        let prompt = if number == 0 { '$' } else { ' ' };
        let line: String = line.chars().take(MAX_LINE_CHARS).collect();
        lines.push(format!("    {prompt} {}", line.trim_end()));
    }
    if written.len() > MAX_SCRIPT_LINES {
        lines.push(format!("      and {} more lines", written.len() - MAX_SCRIPT_LINES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_truncated_and_legs_counted() {
        let long = "x".repeat(200);
        let script = format!("one\n\n  two \n{long}\nfour\nfive\n");
        let steps = vec![StepPreview::Action("actions/checkout@v4".to_owned()), StepPreview::Script(script)];
        let job = JobPreview { name: "test (1)".to_owned(), legs: 3, steps };
        let preview = Preview { workflow: "ci.yml".to_owned(), root: "/p".to_owned(), jobs: vec![job] };
        let expected = [
            "ci.yml runs for the first time in",
            "  /p",
            "Its steps run on this machine, as you:",
            "",
            "  test (1) and 2 more like it",
            "    uses actions/checkout@v4",
            "    $ one",
            "        two",
            &format!("      {}", &long[..100]),
            "      and 2 more lines",
        ];
        assert_eq!(preview.lines(), expected);
    }
}
