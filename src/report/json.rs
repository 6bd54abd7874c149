//! The records of a run, one JSON object per line.

use std::io;

use crate::model::{Record, Run};
use crate::report::style::{Out, document};

use super::{Logs, Printer};

/// Prints each record as a JSON object.
pub struct Json;

impl Printer for Json {
    fn record(&mut self, _: &Run, record: &Record, _: &dyn Logs, out: &mut Out<'_>) -> io::Result<()> {
        out.line(document(record)?)
    }

    fn merges_output(&self) -> bool {
        false
    }

    fn end(&mut self, _: &Run, _: &dyn Logs, _: &mut Out<'_>) -> io::Result<()> {
        Ok(())
    }
}
