//! Describes what would run, in lines for a person: every script, image, option and program in the files, with a mark
//! on everything that reaches further than a build script needs to.

use std::collections::HashSet;
use std::path::Path;

use crate::engine::actions::reference::Reference;
use crate::engine::actions::resolve;
use crate::engine::workspace::checkout::objects;
use crate::model::{Preview, PreviewLine, Shown};
use crate::workflow::display_names::provisional_job_name;
use crate::workflow::expr::Expr;
use crate::workflow::plan::{Plan, PlannedJob};
use crate::workflow::source::Spanned;
use crate::workflow::syntax::{
    ActionRuns, CallSecrets, JobBody, JobDefinition, RunDefaults, Steering, StepAction, StepDefinition, StepsJob,
    Strategy, Workflow,
};
use crate::workflow::template::{Piece, Template, TemplateKind};

use super::consent::{Consent, Subject};
use super::{Distrust, danger};

/// Number of lines at the start of a script that the summary always shows.
const SCRIPT_LINES: usize = 3;

/// Maximum nesting of composite actions that is shown.
const MAX_DEPTH: usize = 5;

/// Returns the preview for a trust question.
pub(super) fn of(consent: &Consent) -> Preview {
    let mut lines = Lines { root: &consent.repository.root, preview: Preview::default(), depth: 0, is_foreign: false };
    lines.add(consent.repository.root.display().to_string());
    if let Some(reason) = consent.reason() {
        lines.add(reason.to_string());
    }
    if consent.repository.common != consent.repository.root.join(".git") && !consent.repository.sha.is_empty() {
        lines.add(format!("its git folder is {}", consent.repository.common.display()));
    }
    lines.objects(&consent.repository.common);
    match consent.attempt.as_deref() {
        Some((_, _, spec)) if consent.reason() == Some(Distrust::ForeignRun) => {
            let what = "its run.json sets";
            lines.each(what, spec.runs_on.iter().map(|(label, to)| format!("runs-on.{label} = {to}")));
            lines.each(what, spec.actions.iter().map(|(name, from)| format!("actions.{name} = {from}")));
            lines.each(
                what,
                spec.in_place.then(|| "work in the repository itself, not in a copy".to_owned()).into_iter(),
            );
        }
        _ => lines.each(".cuelight.toml sets", consent.settings.iter().cloned()),
    }
    for subject in &consent.subjects {
        lines.subject(subject);
    }
    lines.preview
}

/// The preview that is being built.
struct Lines<'r> {
    root: &'r Path,
    preview: Preview,
    depth: usize,
    /// Whether the current job is in a workflow of another repository, to which `$/path` then refers.
    is_foreign: bool,
}

impl Lines<'_> {
    fn push(&mut self, text: String, is_dangerous: bool, shown: Shown) {
        self.preview.push(PreviewLine { text, depth: self.depth, is_dangerous, shown });
    }

    fn add(&mut self, text: String) {
        self.push(text, false, Shown::Always);
    }

    fn danger(&mut self, text: String) {
        self.push(text, true, Shown::Always);
    }

    /// Adds a dangerous line for each text, with `what` before it.
    fn each(&mut self, what: &str, texts: impl Iterator<Item = String>) {
        for text in texts {
            self.danger(format!("{what}: {text}"));
        }
    }

    /// Adds folders of other repositories whose objects jobs can read. Containers can read only the folders that the
    /// user allows.
    fn objects(&mut self, common: &Path) {
        let own = common.join("objects");
        if !own.is_dir() {
            return;
        }
        match objects::folders(&own) {
            Ok(folders) => {
                let inside = common.canonicalize().unwrap_or_else(|_| common.to_owned());
                let others = folders.iter().filter(|folder| !folder.starts_with(&inside));
                self.each("jobs can read the git objects in", others.map(|folder| folder.display().to_string()));
            }
            Err(error) => self.danger(error.to_string()),
        }
    }

    /// Adds lines one level deeper.
    fn below(&mut self, add: impl FnOnce(&mut Self)) {
        self.depth += 1;
        add(self);
        self.depth -= 1;
    }

    fn subject(&mut self, subject: &Subject) {
        self.add(String::new());
        let plan = match &subject.plan {
            Ok(plan) => plan,
            Err(error) => {
                let error = error.to_string();
                self.add(format!("{} cannot run: {}", subject.name, error.lines().next().unwrap_or_default()));
                return;
            }
        };
        let place = match &subject.sandbox {
            Some(sandbox) if sandbox != "host" => format!("in {sandbox}"),
            _ => "on this machine, as you".to_owned(),
        };
        self.add(format!("{} runs {place}:", subject.name));
        self.below(|lines| {
            lines.inputs(plan.workflow());
            lines.env("env", plan.workflow().env.as_ref());
            lines.defaults(&plan.workflow().defaults);
            lines.jobs(plan);
        });
    }

    /// Adds the jobs. Legs of a matrix share one entry.
    fn jobs(&mut self, plan: &Plan) {
        let mut seen = HashSet::new();
        for job in plan.jobs() {
            let key = |job: &PlannedJob| (job.key.clone(), job.caller.clone());
            if !seen.insert(key(job)) {
                continue;
            }
            let legs = plan.jobs().iter().filter(|other| key(other) == key(job)).count();
            let more = if legs > 1 { format!(" and {} more like it", legs - 1) } else { String::new() };
            self.add(format!("{}{more}", job.name));
            self.below(|lines| {
                if job.caller.is_some() {
                    lines.inputs(&job.workflow);
                    lines.env("env of its workflow", job.workflow.env.as_ref());
                    lines.defaults(&job.workflow.defaults);
                }
                lines.definition((&job.definition, &job.workflow), plan, job.leg.is_none(), &mut Vec::new());
            });
        }
    }

    /// Adds what a job runs. If the job calls a workflow and `is_late` is true, the jobs of that workflow are not in
    /// the plan yet, because the legs of the calling job are unknown: they are added here. `shown` holds the workflows
    /// whose jobs were already added.
    fn definition<'p>(
        &mut self,
        (definition, workflow): (&'p JobDefinition, &'p Workflow),
        plan: &'p Plan,
        is_late: bool,
        shown: &mut Vec<&'p str>,
    ) {
        match &definition.strategy {
            Some(Strategy::Written { matrix: Some(matrix), .. }) => self.value("matrix", matrix),
            Some(Strategy::Computed(whole)) => self.value("strategy", whole),
            _ => {}
        }
        let uses = match &definition.body {
            JobBody::Steps(body) => {
                self.is_foreign = matches!(Reference::parse(&workflow.source.name), Ok(Reference::Remote(_)));
                return self.job(body);
            }
            JobBody::Call { uses, with, secrets } => {
                self.values("with", with);
                if let CallSecrets::Named(secrets) = secrets {
                    self.values("secret", secrets);
                }
                uses.value.as_str()
            }
        };
        let called = plan.called(uses, workflow);
        if !is_late && called.is_some() {
            return self.add(format!("calls {uses}, whose jobs follow"));
        }
        if shown.contains(&uses) {
            return self.add(format!("calls {uses}, which is shown above"));
        }
        let Some(called) = called else {
            return self.danger(format!("calls {uses}, which is not shown"));
        };
        shown.push(uses);
        self.add(format!("calls {uses}:"));
        self.below(|lines| {
            lines.inputs(called);
            lines.env("env of its workflow", called.env.as_ref());
            lines.defaults(&called.defaults);
            for inner in &called.jobs {
                lines.add(provisional_job_name(inner));
                lines.below(|lines| lines.definition((inner, called), plan, true, shown));
            }
        });
    }

    fn job(&mut self, job: &StepsJob) {
        if let Some(container) = &job.container {
            self.container("container", container);
        }
        for (name, service) in &job.services {
            self.container(&format!("service {}", name.value), service);
        }
        self.computed("services", job.services.computed());
        self.env("env", job.env.as_ref());
        self.defaults(&job.defaults);
        self.steps(&job.steps, 0);
        self.values("output", &job.outputs);
    }

    /// Adds the default values of inputs.
    fn inputs(&mut self, workflow: &Workflow) {
        for input in workflow.triggers.iter().flat_map(|trigger| &trigger.inputs) {
            if let Some(default) = &input.default {
                self.value(&format!("input {}:", input.name.value), default);
            }
        }
    }

    fn values<'v>(&mut self, what: &str, values: impl IntoIterator<Item = &'v (Spanned<String>, Template)>) {
        for (name, value) in values {
            self.value(&format!("{what} {}:", name.value), value);
        }
    }

    /// Adds a value that may become part of a script.
    fn value(&mut self, what: &str, value: &Template) {
        self.text(&format!("{what} "), &written(value), false);
    }

    /// Adds a text line by line, with `start` before the first line.
    fn text(&mut self, start: &str, text: &str, is_dangerous: bool) {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        self.push(format!("{start}{first}"), is_dangerous || danger::is_in(first), Shown::InWhole);
        self.below(|inner| lines.for_each(|line| inner.push(line.to_owned(), danger::is_in(line), Shown::InWhole)));
    }

    /// Adds a container: its image, and everything that gives it access to this machine.
    fn container(&mut self, what: &str, container: &Template) {
        let image = container.entry("image").unwrap_or(container);
        // An expression in place of a container computes all of it, including its options.
        let is_whole = matches!(container.kind, TemplateKind::Expression(_) | TemplateKind::Interpolated(_));
        self.push(format!("{what} {}", written(image)), is_whole, Shown::Always);
        self.below(|lines| {
            let TemplateKind::Mapping(entries) = &container.kind else { return };
            // A key may be an expression, or GitHub's directive that inserts the entries of its value.
            if entries.iter().any(|(name, _)| name.literal().is_none_or(|name| name.starts_with("${{"))) {
                lines.computed("all of it:", Some(container));
            }
            if let Some(options) = container.entry("options") {
                let options = written(options);
                let is_open = danger::opens_container(&options);
                lines.push(format!("options {options}"), is_open || options.contains("${{"), Shown::InWhole);
            }
            if let Some(volumes) = container.entry("volumes") {
                let volumes = written(volumes);
                let is_open = volumes.split(", ").any(|volume| volume.starts_with(['/', '.', '~', '$']));
                lines.push(format!("volumes {volumes}"), is_open, Shown::InWhole);
            }
            for part in ["ports", "credentials", "command", "entrypoint"] {
                if let Some(value) = container.entry(part) {
                    lines.value(part, value);
                }
            }
            lines.env("env", container.entry("env"));
        });
    }

    fn env(&mut self, what: &str, env: Option<&Template>) {
        let Some(env) = env else { return };
        let TemplateKind::Mapping(entries) = &env.kind else {
            return self.danger(format!("{what} {}", written(env)));
        };
        for (name, value) in entries {
            let name = written(name);
            let is_dangerous = danger::changes_programs(&name) || name.contains("${{");
            self.text(&format!("{what} {name}="), &written(value), is_dangerous);
        }
    }

    fn defaults(&mut self, defaults: &RunDefaults) {
        self.shell("default shell", defaults.shell.as_ref());
        self.folder(defaults.working_directory.as_ref());
        self.computed("defaults", defaults.computed.as_ref());
    }

    /// Adds a value whose keys are computed by an expression, as dangerous.
    fn computed(&mut self, what: &str, whole: Option<&Template>) {
        if let Some(whole) = whole {
            self.danger(format!("{what} {}", written(whole)));
        }
    }

    fn shell(&mut self, what: &str, shell: Option<&Template>) {
        if let Some(shell) = shell.map(written) {
            self.push(format!("{what} {shell}"), !danger::KNOWN_SHELLS.contains(&shell.trim()), Shown::InWhole);
        }
    }

    fn folder(&mut self, folder: Option<&Template>) {
        if let Some(folder) = folder.map(written) {
            let leads_out = folder.starts_with(['/', '~']) || folder.contains("..") || folder.contains("${{");
            self.push(format!("working-directory {folder}"), leads_out, Shown::InWhole);
        }
    }

    fn steps(&mut self, steps: &[StepDefinition], depth: usize) {
        for step in steps {
            match &step.action {
                StepAction::Uses { reference, with } => {
                    self.add(format!("uses {}", reference.value));
                    self.below(|lines| {
                        lines.values("with", with);
                        lines.computed("with", with.computed());
                        lines.env("env", step.env.as_ref());
                        lines.action(&reference.value, depth);
                    });
                }
                StepAction::Run { script, shell, working_directory } => {
                    self.script(&written(script));
                    self.below(|lines| {
                        lines.shell("shell", shell.as_ref());
                        lines.folder(working_directory.as_ref());
                        lines.env("env", step.env.as_ref());
                    });
                }
                StepAction::Steer(Steering::Parallel(inner)) => self.steps(inner, depth),
                StepAction::Steer(_) => {}
            }
        }
    }

    /// Adds what an action of the repository runs. The action is resolved as in a run. Adds nothing for an action of
    /// another repository.
    fn action(&mut self, reference: &str, depth: usize) {
        let folder = match Reference::parse(reference) {
            Ok(Reference::Local(folder)) => folder,
            Ok(Reference::Own(folder)) if !self.is_foreign => folder,
            _ => return,
        };
        if depth >= MAX_DEPTH {
            return self.danger("more actions below this one are not shown".to_owned());
        }
        let action = match resolve::read(self.root, Path::new(&folder)) {
            Some(Ok(action)) => action,
            Some(Err(_)) => return self.danger("its manifest has errors, so it is not shown".to_owned()),
            None => return self.danger("is not in the repository now, so it is not shown".to_owned()),
        };
        for input in &action.inputs {
            if let Some(default) = &input.default {
                self.value(&format!("input {}:", input.name.value), default);
            }
        }
        match action.runs {
            ActionRuns::Composite { steps } => self.steps(&steps, depth + 1),
            ActionRuns::JavaScript { main, pre, post, .. } => {
                for program in [pre, Some(main), post].into_iter().flatten() {
                    self.add(format!("runs node {program}"));
                }
            }
            ActionRuns::Docker { image, pre_entrypoint, entrypoint, post_entrypoint, args, env, .. } => {
                let what = if image.value.starts_with("docker://") { "runs the image" } else { "builds and runs" };
                let args: Vec<_> = entrypoint.into_iter().chain(args.iter().map(written)).collect();
                self.add(format!("{what} {} {}", image.value, args.join(" ")));
                for program in pre_entrypoint.into_iter().chain(post_entrypoint) {
                    self.add(format!("runs {program} in it"));
                }
                self.env("env", env.as_ref());
            }
        }
    }

    /// Adds the lines of a script: all of them, or in the summary the first ones and the dangerous ones.
    fn script(&mut self, script: &str) {
        let written: Vec<&str> = script.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut left_out = 0;
        for (number, line) in written.iter().enumerate() {
            let prompt = if number == 0 { '$' } else { ' ' };
            let is_dangerous = danger::is_in(line);
            let shown = if number < SCRIPT_LINES { Shown::Always } else { Shown::InWhole };
            left_out += usize::from(number >= SCRIPT_LINES && !is_dangerous);
            self.push(format!("{prompt} {line}"), is_dangerous, shown);
        }
        match left_out {
            0 => {}
            1 => self.push("  and 1 more line".to_owned(), false, Shown::InSummary),
            more => self.push(format!("  and {more} more lines"), false, Shown::InSummary),
        }
    }
}

/// Returns a value as it is written in the file, with its expressions. Lists and mappings become one line; text keeps
/// its line breaks.
fn written(value: &Template) -> String {
    let expression = |expression: &Expr| format!("${{{{ {} }}}}", expression.text().trim());
    match &value.kind {
        TemplateKind::Expression(only) => expression(only),
        TemplateKind::Interpolated(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.to_string(),
                Piece::Expression(inner) => expression(inner),
            })
            .collect(),
        TemplateKind::Sequence(items) => items.iter().map(written).collect::<Vec<_>>().join(", "),
        TemplateKind::Mapping(entries) => {
            let entries = entries.iter().map(|(name, value)| format!("{}: {}", written(name), written(value)));
            entries.collect::<Vec<_>>().join(", ")
        }
        TemplateKind::Null | TemplateKind::Bool(_) | TemplateKind::Number(..) | TemplateKind::Text(_) => {
            value.literal().unwrap_or_default().to_owned()
        }
    }
}
