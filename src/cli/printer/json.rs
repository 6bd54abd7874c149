//! The records as they are, a JSON object a line.

use std::io::{self, Write};

use crate::model::{Record, Run};

use super::{Logs, Printer};

/// Prints records.
pub(in crate::cli) struct Json;

impl Printer for Json {
    fn record(&mut self, _: &Run, record: &Record, _: &dyn Logs, out: &mut dyn Write) -> io::Result<()> {
        let line = serde_json::to_string(record).map_err(io::Error::other)?;
        writeln!(out, "{line}")
    }

    fn end(&mut self, _: &Run, _: &dyn Logs, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
