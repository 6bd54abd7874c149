//! What would run, as lines for a person: every script, image, option and program that the files name, with a mark on
//! what reaches further than a script of a build does.

use std::collections::HashSet;
use std::path::Path;

use crate::model::{Preview, PreviewLine, Shown};
use crate::repo::workflows;
use crate::workflow;
use crate::workflow::display_names::provisional_job_name;
use crate::workflow::expr::Expr;
use crate::workflow::plan::{Plan, PlannedJob};
use crate::workflow::source::Source;
use crate::workflow::syntax::{ActionRuns, JobBody, RunDefaults, Steering, StepAction, StepDefinition, StepsJob};
use crate::workflow::template::{Piece, Template, TemplateKind};

use super::Distrust;
use super::consent::{Consent, Subject};

/// Lines of a script in the summary, and rows of each.
const SCRIPT_LINES: usize = 3;

/// Maximum nesting of composite actions that is shown.
const MAX_DEPTH: usize = 5;

/// Parts of a script that fetch or run what is not in the repository, or reach out of it.
const DANGEROUS_WORDS: &[&str] = &[
    "curl",
    "wget",
    "sudo",
    "doas",
    "eval",
    "base64",
    "xxd",
    "| sh",
    "|sh",
    "| bash",
    "|bash",
    "/dev/tcp",
    "ssh",
    "scp",
    "ncat",
    "netcat",
    "nc -",
    "crontab",
    "systemctl",
    "chmod u+s",
    "chmod +s",
    "docker.sock",
    "--privileged",
    "$HOME",
    "~/",
    "BASH_ENV",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "GITHUB_PATH",
    "rm -rf /",
    ".git/",
];

/// Variables with which programs load code, or find other programs.
const DANGEROUS_VARIABLES: &[&str] = &[
    "BASH_ENV",
    "ENV",
    "PATH",
    "HOME",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "IFS",
    "CDPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "CC",
    "RUSTC_WRAPPER",
    "DOCKER_HOST",
    "CLASSPATH",
];

/// Beginnings of such variables.
const DANGEROUS_PREFIXES: &[&str] = &["LD_", "DYLD_", "GIT_", "BASH_FUNC_", "npm_config_", "_JAVA_"];

/// Options of a container that open it towards this machine.
const DANGEROUS_OPTIONS: &[&str] = &[
    "--privileged",
    "-v",
    "--volume",
    "--volumes-from",
    "--mount",
    "--device",
    "--pid",
    "--ipc",
    "--net",
    "--network",
    "--uts",
    "--userns",
    "--cap-add",
    "--security-opt",
    "--cgroupns",
    "--cgroup-parent",
    "--gpus",
    "--user",
    "-u",
];

/// Shells that the runner knows.
const KNOWN_SHELLS: &[&str] = &["bash", "sh", "python", "pwsh", "powershell", "cmd"];

/// Returns what a question is about.
pub(super) fn of(consent: &Consent) -> Preview {
    let mut lines = Lines { root: &consent.repository.root, preview: Preview::default(), depth: 0 };
    lines.add(consent.repository.root.display().to_string());
    if let Some(reason) = consent.reason() {
        lines.add(reason.to_string());
    }
    if consent.repository.common != consent.repository.root.join(".git") && !consent.repository.sha.is_empty() {
        lines.add(format!("its git folder is {}", consent.repository.common.display()));
    }
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

/// The lines so far.
struct Lines<'r> {
    root: &'r Path,
    preview: Preview,
    depth: usize,
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

    /// Adds a dangerous line for each of these.
    fn each(&mut self, what: &str, texts: impl Iterator<Item = String>) {
        for text in texts {
            self.danger(format!("{what}: {text}"));
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
            Err(reason) => {
                self.add(format!("{} cannot run: {}", subject.name, reason.lines().next().unwrap_or_default()));
                return;
            }
        };
        let place = match &subject.sandbox {
            Some(sandbox) if sandbox != "host" => format!("in {sandbox}"),
            _ => "on this machine, as you".to_owned(),
        };
        self.add(format!("{} runs {place}:", subject.name));
        self.below(|lines| {
            lines.env("env", plan.workflow().env.as_ref());
            lines.defaults(&plan.workflow().defaults);
            lines.jobs(plan);
        });
    }

    /// The jobs. Legs of a matrix are one entry.
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
                    lines.env("env of its workflow", job.workflow.env.as_ref());
                    lines.defaults(&job.workflow.defaults);
                }
                lines.body(&job.definition.body, plan, job.leg.is_none(), &mut Vec::new());
            });
        }
    }

    /// What a job runs. The jobs of a workflow that is called late, when the legs of the job are known, are in no plan yet.
    /// `shown` has the workflows whose jobs were added already.
    fn body<'p>(&mut self, body: &'p JobBody, plan: &'p Plan, is_late: bool, shown: &mut Vec<&'p str>) {
        let uses = match body {
            JobBody::Steps(body) => return self.job(body),
            JobBody::Call { uses, .. } => uses.value.as_str(),
        };
        if !is_late && uses.starts_with("./") {
            return self.add(format!("calls {uses}, whose jobs follow"));
        }
        if shown.contains(&uses) {
            return self.add(format!("calls {uses}, which is shown above"));
        }
        let Some(called) = plan.called(uses) else {
            return self.danger(format!("calls {uses}, which is not shown"));
        };
        shown.push(uses);
        self.add(format!("calls {uses}:"));
        self.below(|lines| {
            lines.env("env of its workflow", called.env.as_ref());
            lines.defaults(&called.defaults);
            for inner in &called.jobs {
                lines.add(provisional_job_name(inner));
                lines.below(|lines| lines.body(&inner.body, plan, true, shown));
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
        self.env("env", job.env.as_ref());
        self.defaults(&job.defaults);
        self.steps(&job.steps, 0);
    }

    /// A container: its image, and everything that opens it.
    fn container(&mut self, what: &str, container: &Template) {
        let image = container.entry("image").unwrap_or(container);
        self.add(format!("{what} {}", written(image)));
        self.below(|lines| {
            if let Some(options) = container.entry("options") {
                let options = written(options);
                let is_open = options.split([' ', '=', '\t', '\n']).any(|word| {
                    let short = word.starts_with("-v") || word.starts_with("-u");
                    DANGEROUS_OPTIONS.contains(&word) || (short && !word.starts_with("--"))
                });
                lines.push(format!("options {options}"), is_open || options.contains("${{"), Shown::InWhole);
            }
            if let Some(volumes) = container.entry("volumes") {
                let volumes = written(volumes);
                let is_open = volumes.split(", ").any(|volume| volume.starts_with(['/', '.', '~', '$']));
                lines.push(format!("volumes {volumes}"), is_open, Shown::InWhole);
            }
            for part in ["ports", "credentials", "command", "entrypoint"] {
                if let Some(value) = container.entry(part) {
                    lines.push(format!("{part} {}", written(value)), false, Shown::InWhole);
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
            let upper = name.to_ascii_uppercase();
            let is_dangerous = DANGEROUS_VARIABLES.contains(&upper.as_str())
                || DANGEROUS_PREFIXES.iter().any(|prefix| upper.starts_with(&prefix.to_ascii_uppercase()))
                || name.contains("${{");
            self.push(format!("{what} {name}={}", written(value)), is_dangerous, Shown::InWhole);
        }
    }

    fn defaults(&mut self, defaults: &RunDefaults) {
        self.shell("default shell", defaults.shell.as_ref());
        self.folder(defaults.working_directory.as_ref());
    }

    fn shell(&mut self, what: &str, shell: Option<&Template>) {
        if let Some(shell) = shell.map(written) {
            self.push(format!("{what} {shell}"), !KNOWN_SHELLS.contains(&shell.trim()), Shown::InWhole);
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
                        for (name, value) in with {
                            lines.push(format!("with {}: {}", name.value, written(value)), false, Shown::InWhole);
                        }
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

    /// What an action of the repository runs.
    fn action(&mut self, reference: &str, depth: usize) {
        let Some(folder) = reference.strip_prefix("./") else { return };
        if depth >= MAX_DEPTH {
            return self.danger("more actions below this one are not shown".to_owned());
        }
        let folder = self.root.join(folder);
        let manifest = ["action.yml", "action.yaml"].iter().find_map(|name| {
            let path = folder.join(name);
            Some(Source::new(*name, workflows::read(&path).ok()?))
        });
        let Some(manifest) = manifest else {
            let is_image = folder.join("Dockerfile").is_file();
            let what =
                if is_image { "builds its Dockerfile" } else { "is not in the repository now, so it is not shown" };
            return self.push(what.to_owned(), !is_image, Shown::Always);
        };
        match workflow::parse_action(&manifest).value.map(|action| action.runs) {
            Some(ActionRuns::Composite { steps }) => self.steps(&steps, depth + 1),
            Some(ActionRuns::JavaScript { main, pre, post, .. }) => {
                for program in [pre, Some(main), post].into_iter().flatten() {
                    self.add(format!("runs node {program}"));
                }
            }
            Some(ActionRuns::Docker { image, entrypoint, args, .. }) => {
                let args: Vec<_> = entrypoint.into_iter().chain(args.iter().map(written)).collect();
                self.add(format!("runs the image {} {}", image.value, args.join(" ")));
            }
            None => self.danger("its manifest has errors, so it is not shown".to_owned()),
        }
    }

    /// The lines of a script: in the summary the first ones and the dangerous ones.
    fn script(&mut self, script: &str) {
        let written: Vec<&str> = script.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut left_out = 0;
        for (number, line) in written.iter().enumerate() {
            let prompt = if number == 0 { '$' } else { ' ' };
            let is_dangerous = DANGEROUS_WORDS.iter().any(|word| line.contains(word));
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

/// A value as the file has it, in one line, with its expressions. A script keeps its lines.
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
