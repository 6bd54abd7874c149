//! The files around a workflow: what it calls, read and parsed once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::{Files, Policy};
use crate::workflow::diagnostic::Diagnostic;
use crate::workflow::parse::parse_partial;
use crate::workflow::source::Source;
use crate::workflow::syntax::Workflow;

/// Files that rules look up.
pub(super) struct Callees<'f> {
    pub(super) files: &'f dyn Files,
    called: RefCell<HashMap<String, Option<Rc<Callee>>>>,
}

/// A workflow that another one calls.
pub(super) struct Callee {
    pub(super) source: Arc<Source>,
    /// What can be read of it, whatever is wrong elsewhere in the file.
    pub(super) workflow: Option<Workflow>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'f> Callees<'f> {
    pub(super) fn new(files: &'f dyn Files) -> Self {
        Self { files, called: RefCell::default() }
    }

    /// The workflow that `uses` of a job names; nothing when it cannot be read here.
    pub(super) fn workflow(&self, uses: &str) -> Option<Rc<Callee>> {
        let known = self.called.borrow().get(uses).cloned();
        known.unwrap_or_else(|| {
            let (name, text) = match uses.strip_prefix("./") {
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

    /// What a token may do where no file says it.
    pub(super) fn policy(&self) -> Option<Policy> {
        self.files.policy()
    }
}

/// A reference within a called workflow, as its caller would write it: `./` is the repository, at the same version, that
/// the called workflow is of.
pub(super) fn resolve_call(uses: &str, within: &str) -> String {
    let repository = within.split_once('@').and_then(|(path, version)| {
        let mut parts = path.splitn(3, '/');
        Some((parts.next()?, parts.next()?, version))
    });
    match (uses.strip_prefix("./"), repository) {
        (Some(path), Some((owner, name, version))) => format!("{owner}/{name}/{path}@{version}"),
        _ => uses.to_owned(),
    }
}
