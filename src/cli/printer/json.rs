//! The records as they are, a JSON object a line.

use std::io::{self, Write};

use crate::model::{Record, Run};

use super::{Logs, Printer};

/// Prints records.
pub(in crate::cli) struct Json;

impl Printer for Json {
    fn record(&mut self, _: &Run, record: &Record, _: &Logs) -> io::Result<()> {
        let line = serde_json::to_string(record).map_err(io::Error::other)?;
        writeln!(io::stdout().lock(), "{line}")
    }

    fn end(&mut self, _: &Run, _: &Logs) -> io::Result<()> {
        io::stdout().flush()
    }
}
