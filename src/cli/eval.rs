//! `cuelight eval`: reads expressions and writes values, as JSON lines (see `launch::expression_protocol`).

use std::io::{self, BufRead, Write};

use super::{Exit, Outcome};
use crate::launch::expression_protocol::answer;
use crate::report::style::document;

/// Answers every line of standard input. Fails if a request was invalid or an expression could not be evaluated.
pub(super) fn run() -> Outcome {
    let all = answer_all(io::stdin().lock(), io::stdout().lock())?;
    Ok(if all { Exit::Success } else { Exit::Failed })
}

/// Answers all requests. Returns whether all of them succeeded.
fn answer_all(requests: impl BufRead, mut answers: impl Write) -> io::Result<bool> {
    let mut all = true;
    for line in requests.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = answer(&line);
        all &= answer.get("error").is_none();
        writeln!(answers, "{}", document(&answer)?.as_str())?;
    }
    answers.flush()?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_an_answer() {
        let requests = "{\"id\":1,\"expr\":\"1\"}\n\n{\"id\":2,\"expr\":\"#\"}\n";
        let mut answers = Vec::new();
        assert!(!answer_all(requests.as_bytes(), &mut answers).unwrap());
        assert_eq!(String::from_utf8(answers).unwrap().lines().count(), 2);
        assert!(answer_all(requests.lines().next().unwrap().as_bytes(), io::sink()).unwrap());
    }
}
