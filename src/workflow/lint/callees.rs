//! Called workflows, each read and parsed only once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{Files, Policy};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::parse::parse_partial;
use crate::workflow::source::Source;
use crate::workflow::syntax::{Workflow, local_path};

/// Cache of called workflows.
pub(super) struct Callees<'f> {
    pub(super) files: &'f dyn Files,
    called: RefCell<HashMap<String, Option<Rc<Callee>>>>,
}

/// A called workflow.
pub(super) struct Callee {
    pub(super) source: Arc<Source>,
    /// The valid parts of the workflow; `None` if the file is not YAML.
    pub(super) workflow: Option<Workflow>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'f> Callees<'f> {
    pub(super) fn new(files: &'f dyn Files) -> Self {
        Self { files, called: RefCell::default() }
    }

    /// Returns the workflow that the `uses` of a job names, and parses it on first use; `None` if it is not available.
    pub(super) fn workflow(&self, uses: &str) -> Option<Rc<Callee>> {
        let known = self.called.borrow().get(uses).cloned();
        known.unwrap_or_else(|| {
            let (name, text) = match local_path(uses) {
                Some(path) => (path, self.files.read(path)),
                None => (uses, self.files.called(uses)),
            };
            let called = text.map(|text| {
                let source = Source::new(name, text);
                let (workflow, diagnostics) = parse_partial(&source);
                Rc::new(Callee { source, workflow, diagnostics })
            });
            self.called.borrow_mut().insert(uses.to_owned(), called.clone());
            called
        })
    }

    /// Returns the default permissions of the token; `None` if they are unknown.
    pub(super) fn policy(&self) -> Option<Policy> {
        self.files.policy()
    }
}
