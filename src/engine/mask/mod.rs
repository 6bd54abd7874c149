//! Masks secrets in everything that is written.
//!
//! A [`Masker`] finds secrets in every form that GitHub's runner finds (actions/runner, `ValueEncoders` and
//! `SecretMasker`): the plain text, each of its lines, and its encodings as base64 and for JSON, URIs, XML, expressions
//! and command lines. Unlike the runner, it also finds base64 of a secret that is followed by other text or broken into
//! lines, and the output of other URI and JSON encoders.
//!
//! A masked secret becomes `***`; matches that touch or overlap become one mask. A mask never covers a newline, so
//! masking keeps the number of lines: each line of a multi-line secret is a secret by itself. Output arrives in
//! portions that may end anywhere, so [`MaskStream`] holds back text that may be the start of a secret. [`RowMask`]
//! covers secrets that cursor movement assembles on a line.

mod assembled;
mod forms;
mod patterns;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use serde_json::Value;

use crate::model::{Command, DeploymentOrder, Event, Gate, Reply};
use crate::visible::Visible;
use crate::visible::row::first_control;

pub use assembled::RowMask;
use forms::{byte_forms, forms};
use patterns::PatternSearch;

/// Replacement for a secret.
const MASK: &[u8] = b"***";

/// Length in bytes past which a line with control sequences is no longer held back. A secret that starts before this
/// length is reached and ends after it is only found if it contains no control sequence.
const MAX_HELD: usize = 1024 * 1024;

/// Maximum number of forms of secrets whose bytes are compared with those of a line. The time of this grows with the
/// number, while moving the characters of a line and searching the result takes as long as for one form.
const MAX_COMPARED: usize = 256;

/// A set of secrets, and the indexes with which they are found. Adding a secret only affects text that is masked
/// afterwards.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    /// All forms of all secrets.
    patterns: HashSet<Vec<u8>>,
    /// The same forms, indexed, the most first. Each index has at least twice as many as the next, so that adding
    /// secrets one by one takes little more time than adding them all at once.
    layers: Vec<PatternSearch>,
}

impl Masker {
    /// Creates a masker for the given secrets.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut masker = Self::default();
        masker.add_all(secrets);
        masker
    }

    /// Adds a secret, whole and line by line, in every encoding. Blank text is ignored: it would mask everything. A
    /// secret that is not UTF-8 is also masked where its invalid bytes have become replacement characters.
    pub fn add(&mut self, secret: impl AsRef<[u8]>) {
        self.add_all([secret]);
    }

    /// Adds several secrets, like [`Masker::add`].
    pub fn add_all(&mut self, secrets: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let mut new = Vec::new();
        // A form with a newline never matches, because each line is masked separately.
        let mut add = |forms: Vec<Vec<u8>>| {
            let forms = forms.into_iter().filter(|form| !form.is_empty() && !form.contains(&b'\n'));
            new.extend(forms.filter(|form| self.patterns.insert(form.clone())));
        };
        for secret in secrets {
            let bytes = secret.as_ref().trim_ascii();
            let text = String::from_utf8_lossy(bytes);
            let lines = text.split(['\n', '\r']).chain([&*text]).map(str::trim);
            for value in lines.filter(|value| !value.is_empty()) {
                add(forms(value).into_iter().map(String::into_bytes).collect());
            }
            if let Cow::Owned(_) = &text {
                let lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).chain([bytes]).map(<[u8]>::trim_ascii);
                lines.filter(|value| !value.is_empty()).for_each(|value| add(byte_forms(value)));
            }
        }
        if new.is_empty() {
            return;
        }
        while let Some(smaller) = self.layers.pop_if(|last| last.len() < 2 * new.len()) {
            new.extend(smaller.into_patterns());
        }
        self.layers.push(PatternSearch::new(new));
    }

    /// Whether the text contains a secret.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        self.is_in(text.as_bytes())
    }

    /// Returns the text with every secret replaced, or `None` if it contains no secret. The text is treated as
    /// complete: the start of a secret at its end is not masked.
    #[must_use]
    pub fn mask(&self, text: &[u8]) -> Option<Vec<u8>> {
        if !self.is_in(text) {
            return None;
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut done = 0;
        for range in self.ranges(text) {
            masked.extend_from_slice(&text[done..range.start]);
            masked.extend_from_slice(MASK);
            done = range.end;
        }
        masked.extend_from_slice(&text[done..]);
        Some(masked)
    }

    /// Returns the text with every secret replaced.
    #[must_use]
    pub fn mask_text(&self, text: &str) -> String {
        // Only a secret that is not UTF-8 could leave a part of a character.
        self.mask(text.as_bytes())
            .map_or_else(|| text.to_owned(), |masked| String::from_utf8_lossy(&masked).into_owned())
    }

    /// Replaces the secrets in every string of a JSON document, including the keys of objects.
    pub fn mask_value(&self, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.mask_in(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.mask_value(value)),
            Value::Object(fields) => {
                for (name, mut value) in std::mem::take(fields) {
                    self.mask_value(&mut value);
                    fields.insert(self.mask_text(&name), value);
                }
            }
        }
    }

    /// Replaces the secrets in the free text of an event. Ids and fixed words stay: a secret that happens to be `test`
    /// or `success` must not make a job or its conclusion unreadable.
    pub fn mask_event<O>(&self, event: &mut Event<O>) {
        if self.patterns.is_empty() {
            return;
        }
        let reason = |reason: &mut Option<String>| reason.iter_mut().for_each(|text| self.mask_in(text));
        match event {
            Event::RunStarted { name, .. } | Event::StepStarted { name, .. } => self.mask_in(name),
            Event::RunWaiting { gate, name, .. } => {
                self.mask_gate(gate);
                self.mask_in(name);
            }
            Event::JobWaiting { gate, .. } => self.mask_gate(gate),
            Event::JobsPlanned { jobs, .. } => {
                for job in jobs {
                    self.mask_in(&mut job.name);
                    job.environment.iter_mut().for_each(|environment| self.mask_in(environment));
                }
            }
            Event::Decided { explanation, .. } => explanation.for_each_text(&mut |text| self.mask_in(text)),
            Event::JobStarted { name, sandbox, environment, .. } => {
                self.mask_in(name);
                if let Some(environment) = environment {
                    self.mask_in(environment);
                }
                self.mask_in(sandbox);
            }
            Event::StepsPlanned { steps, .. } => steps.iter_mut().for_each(|step| self.mask_in(&mut step.name)),
            Event::Annotated { annotation, .. } => {
                self.mask_in(&mut annotation.message);
                annotation.title.iter_mut().chain(&mut annotation.file).for_each(|text| self.mask_in(text));
            }
            Event::StepFinished { reason: text, .. } | Event::StepHeld { reason: text, .. } => reason(text),
            Event::RunFinished { reason, .. } => {
                if let Some(reason) = reason {
                    reason.for_each_text(&mut |text| self.mask_in(text));
                }
            }
            Event::JobFinished { reason: text, outputs, environment_url, .. } => {
                reason(text);
                reason(environment_url);
                outputs.values_mut().for_each(|value| self.mask_in(value));
            }
            Event::ServiceChanged { service, .. } => {
                self.mask_in(&mut service.image);
                service.detail.iter_mut().for_each(|text| self.mask_in(text));
            }
            Event::TrafficObserved { slots, note, .. } => {
                slots.iter_mut().map(|slot| &mut slot.title).chain(note).for_each(|text| self.mask_in(text));
            }
            Event::WorkingTreeRead { tree, .. } => tree.files.iter_mut().for_each(|file| self.mask_in(file)),
            Event::ImagePulled { image, .. } => self.mask_in(image),
            Event::Ordered { command, reply, .. } => {
                match command {
                    Command::Yield { group: text, .. }
                    | Command::Review { comment: text, .. }
                    | Command::Deployment {
                        order: DeploymentOrder::Abort { reason: text } | DeploymentOrder::Review { comment: text, .. },
                        ..
                    } => self.mask_in(text),
                    _ => {}
                }
                if let Reply::Rejected { reason } | Reply::Unanswered { reason } = reply {
                    self.mask_in(reason);
                }
            }
            Event::ReviewsPending { environments } => {
                for review in environments.iter_mut() {
                    self.mask_in(&mut review.environment);
                }
            }
            Event::Reviewed { environments, comment, .. } => {
                environments.iter_mut().chain([comment]).for_each(|text| self.mask_in(text));
            }
            Event::DeploymentRecorded { page, failure, .. } => {
                reason(page);
                reason(failure);
            }
            Event::Notified { message, failure, .. } => {
                self.mask_in(message);
                reason(failure);
            }
            Event::ProcessStarted { .. }
            | Event::StepReleased { .. }
            | Event::Output { .. }
            | Event::LineGrew { .. }
            // Only mirrors have it, whose events are not masked.
            | Event::RunnerFound { .. }
            | Event::Unknown => {}
        }
    }

    fn mask_gate(&self, gate: &mut Gate) {
        match gate {
            Gate::Concurrency { group: name, .. }
            | Gate::Resource(name)
            | Gate::Rule(name)
            | Gate::Review(name)
            | Gate::Timer { environment: name, .. }
            | Gate::Protection(name)
            | Gate::Other(name) => self.mask_in(name),
            Gate::Runner(labels) => labels.iter_mut().for_each(|label| self.mask_in(label)),
            Gate::Held { reason, .. } => reason.iter_mut().for_each(|reason| self.mask_in(reason)),
            Gate::Needs | Gate::Capacity => {}
        }
    }

    fn mask_in(&self, text: &mut String) {
        if self.finds(text) {
            *text = self.mask_text(text);
        }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        if self.layers.is_empty() {
            return false;
        }
        let is_in = |text: &[u8]| self.layers.iter().any(|layer| layer.is_in(text));
        if is_in(text) {
            return true;
        }
        let mut texts = Vec::new();
        // Reading a line takes many times as long as ruling it out, and nearly all lines of binary output are ruled out.
        for line in lines_with_controls(text).map(|(_, line)| line).filter(|line| self.has_form_of(line)) {
            Visible::append_texts(line, &mut texts);
        }
        is_in(&texts)
    }

    /// Returns the ranges to mask, in order. Ranges that overlap or touch are merged.
    fn ranges(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = self.matches(text);
        for (line, reading) in readings(text) {
            let of_line = self.matches(reading.text()).into_iter().map(|range| reading.range(range));
            found.extend(of_line.map(|range| line + range.start..line + range.end));
        }
        found.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    fn matches(&self, text: &[u8]) -> Vec<Range<usize>> {
        self.layers.iter().flat_map(|layer| layer.matches(text)).collect()
    }

    /// Whether a form of a secret could appear if characters of a line are dropped or moved: whether a form has no other
    /// bytes than the line, blanks and replacement characters. This takes a fraction of the time of dropping or moving
    /// them, unless there are more than `MAX_COMPARED` forms, of which nothing is ruled out.
    fn has_form_of(&self, line: &[u8]) -> bool {
        if self.patterns.len() > MAX_COMPARED {
            return true;
        }
        let mut known = [false; 256];
        for byte in line.iter().chain(" \u{fffd}".as_bytes()) {
            known[usize::from(*byte)] = true;
        }
        self.patterns.iter().any(|form| form.iter().all(|byte| known[usize::from(*byte)]))
    }

    /// Returns the index of the first suffix of a text that is a proper prefix of a form of a secret; `None` if no
    /// suffix is.
    fn begins_in(&self, text: &[u8]) -> Option<usize> {
        let begins = |suffix: &[u8]| {
            let mut forms = self.patterns.iter();
            forms.any(|form| form.len() > suffix.len() && form.starts_with(suffix))
        };
        (text.len().saturating_sub(self.longest())..text.len()).find(|at| begins(&text[*at..]))
    }

    /// Returns the length in bytes of the longest form of a secret; 0 without secrets.
    fn longest(&self) -> usize {
        self.layers.iter().map(PatternSearch::longest).max().unwrap_or_default()
    }
}

/// Masks text that arrives in portions, cut anywhere.
///
/// The output is what [`Masker::mask`] makes of the whole text, except in lines with control sequences that are longer
/// than `MAX_HELD` bytes. At most a part of the last line is held back, with less visible text than the longest form of
/// a secret.
#[derive(Debug, Default)]
pub struct MaskStream {
    /// Input that has not been written out.
    held: Vec<u8>,
    /// Number of bytes at the start of `held` that the last mask in the output covers; 0 if the mask ends there. `None`
    /// if the last output was not a mask.
    covered: Option<usize>,
}

impl MaskStream {
    /// Adds a portion, and appends to `out` the text, masked, that can no longer be part of a longer secret.
    pub fn push(&mut self, masker: &Masker, portion: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() && self.covered.is_none() && !masker.is_in(portion) {
            let (clear, rest) = portion.split_at(certain(masker, portion));
            out.extend_from_slice(clear);
            self.held.extend_from_slice(rest);
            return;
        }
        self.held.extend_from_slice(portion);
        self.take(masker, certain(masker, &self.held), out);
    }

    /// Appends to `out` the held text, masked, up to where a secret could begin. Unlike [`MaskStream::push`], which
    /// holds text back by length alone, this compares the text with every form of a secret. That is slower but holds
    /// back less, so use it when a person may be waiting for the output.
    pub fn flush(&mut self, masker: &Masker, out: &mut Vec<u8>) {
        self.take(masker, unbegun(masker, &self.held), out);
    }

    /// Appends to `out` the held text, masked, as the end of the input. The stream can be used again.
    pub fn finish(&mut self, masker: &Masker, out: &mut Vec<u8>) {
        self.take(masker, self.held.len(), out);
        *self = Self::default();
    }

    /// Removes the first `certain` bytes of `held`, and appends them to `out`, masked. Every secret that starts in them
    /// must end within `held`.
    fn take(&mut self, masker: &Masker, certain: usize, out: &mut Vec<u8>) {
        let mut open = self.covered;
        let ranges = if masker.is_in(&self.held) { masker.ranges(&self.held) } else { Vec::new() };
        for range in ranges {
            match open {
                // Continues the mask that was written last.
                Some(end) if range.start <= end => open = Some(end.max(range.end)),
                // The start of this secret cannot be written out yet.
                _ if range.start >= certain => break,
                _ => {
                    out.extend_from_slice(&self.held[open.unwrap_or(0)..range.start]);
                    out.extend_from_slice(MASK);
                    open = Some(range.end);
                }
            }
        }
        if open.unwrap_or(0) < certain {
            out.extend_from_slice(&self.held[open.unwrap_or(0)..certain]);
            open = None;
        }
        self.covered = open.map(|end| end - certain);
        self.held.drain(..certain);
    }
}

/// Returns the number of bytes of a text that can be written out: no secret can start before that index and end after
/// the text, whatever follows.
fn certain(masker: &Masker, text: &[u8]) -> usize {
    let longest = masker.longest().saturating_sub(1);
    if longest == 0 {
        return text.len();
    }
    let whole = complete(text);
    // Only the last line can contain the start of a secret. Its control sequences are ignored if the line is longer
    // than `MAX_HELD`.
    let line = memchr::memrchr(b'\n', whole).map_or(0, |newline| newline + 1);
    let last = &whole[line..];
    let readings = if last.len() <= MAX_HELD { Visible::readings(last) } else { Vec::new() };
    // A secret with invisible characters inside can be longer than any form.
    let in_readings = readings.iter().map(|reading| line + reading.last(longest));
    let may_begin = in_readings.fold(whole.len().saturating_sub(longest), usize::min);
    // Never cut inside a control sequence: the rest would be read as text.
    let may_begin =
        readings.iter().fold(may_begin, |index, reading| line + reading.at_or_before(index.saturating_sub(line)));
    // No form of a secret contains a newline.
    memchr::memrchr(b'\n', &text[may_begin..]).map_or(may_begin, |newline| may_begin + newline + 1)
}

/// Returns the number of bytes of an incomplete line that can be written out: no secret can start before that index and
/// end after the text, whatever follows. Unlike [`certain`], compares the line with every form of a secret.
fn unbegun(masker: &Masker, line: &[u8]) -> usize {
    let whole = complete(line);
    if whole.len() > MAX_HELD {
        return certain(masker, line);
    }
    let readings = Visible::readings(whole);
    let begun = masker.begins_in(whole).unwrap_or(whole.len());
    let in_readings = readings
        .iter()
        .map(|reading| masker.begins_in(reading.text()).map_or(whole.len(), |at| reading.range(at..at + 1).start));
    let begun = in_readings.fold(begun, usize::min);
    // Never cut inside a control sequence: the rest would be read as text.
    readings.iter().fold(begun, |index, reading| {
        let last = reading.at_or_before(index);
        let ends_in_text = index == whole.len() && last + 1 == index && !reading.text().is_empty();
        if ends_in_text { index } else { last }
    })
}

/// Returns a text without an incomplete UTF-8 character at its end: once complete, the character may turn out to be
/// invisible.
fn complete(text: &[u8]) -> &[u8] {
    let begun = text.iter().rev().take(3).position(|byte| *byte >= 0xc0);
    match begun.map(|before_end| text.split_at(text.len() - before_end - 1)) {
        Some((before, last)) if std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none()) => before,
        _ => text,
    }
}

/// Returns the [`Visible`] forms of each line that differ from the line itself, with the index at which the line
/// begins.
fn readings(text: &[u8]) -> impl Iterator<Item = (usize, Visible)> {
    lines_with_controls(text)
        .flat_map(|(start, line)| Visible::readings(line).into_iter().map(move |reading| (start, reading)))
}

/// Returns the lines of which some characters are not shown, with the index at which each begins. A carriage return at
/// the end of a line does not count: it makes no difference to a search.
fn lines_with_controls(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = first_control(text).map(|_| text.split_inclusive(|byte| *byte == b'\n')).into_iter().flatten();
    let with_start = lines.scan(0, |next, line| {
        let start = *next;
        *next += line.len();
        Some((start, line.strip_suffix(b"\n").unwrap_or(line)))
    });
    with_start.filter(|(_, line)| first_control(line).is_some())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::model::{Conclusion, JobId};

    #[test]
    fn lines_that_cannot_show_a_secret_do_not_hide_those_that_do() {
        let masker = Masker::new(["hunter2-secret"]);
        let binary = b"\x00\xffhunte\x1b[1mr-sec\x9b\n\x07\x80 2\n".repeat(100);
        assert!(!masker.is_in(&binary), "each line lacks a character of it");
        for shown in
            ["hun\0ter2-secret", "hun\u{1b}[1mter2-secret", "hunter\u{9b}m2-secret\r", "hunter2\u{200b}-secret\u{7}"]
        {
            let text = [&binary[..], shown.as_bytes(), b"\n", &binary[..]].concat();
            let masked = masker.mask(&text).expect("it is found");
            assert!(memchr::memmem::find(&masked, MASK).is_some(), "{shown:?}");
        }
        // What is left of an invalid byte is a replacement character.
        let masker = Masker::new(["hunter2\u{fffd}secret"]);
        assert!(masker.is_in(b"hunt\x1b[1mer2\xffsecret\n"));
    }

    #[test]
    fn a_line_of_very_many_sequences_is_masked() {
        let masker = Masker::new(["hunter2-secret"]);
        let line = format!("{}hunter2\u{1b}[0m-secret{}\n", "\u{1b}[1mx".repeat(100_000), "\u{1b}[1mx".repeat(100_000));
        let masked = masker.mask_text(&line);
        assert!(masked.contains("x***\u{1b}[1mx") && masked.len() > 800_000, "{}", masked.len());
        let (mut stream, mut out) = (MaskStream::default(), Vec::new());
        line.as_bytes().chunks(65_536).for_each(|portion| stream.push(&masker, portion, &mut out));
        stream.finish(&masker, &mut out);
        assert!(out == masked.as_bytes());
    }

    #[test]
    fn a_flush_holds_back_only_what_a_secret_may_begin_with() {
        let masker = Masker::new(["hunter2-hunter2"]);
        for (text, shown) in [
            ("....", "...."),
            ("\rdownload 40%", "\rdownload 40%"),
            ("a hunt", "a "),
            ("a hun\u{200b}t", "a "),
            ("a \u{1b}[1mhunt", "a \u{1b}[1m"),
            ("\u{1b}", ""),
            ("\u{1b}[1", ""),
            ("\u{1b}]0;hunt", ""),
            ("hunter2-hunter2: 40%", "***: 40%"),
        ] {
            let (mut stream, mut out) = (MaskStream::default(), Vec::new());
            stream.push(&masker, text.as_bytes(), &mut out);
            stream.flush(&masker, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), shown, "{text:?}");
        }
    }

    #[test]
    fn every_encoding_of_the_runner_is_masked() {
        let cases = [
            ("s3cr3t-value", "a s3cr3t-value b", "a *** b"),
            ("  padded\t\n", "x padded y", "x *** y"),
            ("s3cr3t", "base64: czNjcjN0", "base64: ***"),
            ("s3cr3ts", "padded: czNjcjN0cw==", "padded: ***=="),
            ("password", "dXNlcjpwYXNzd29yZA==", "dXNlcjp***=="),
            ("password", "eHBhc3N3b3Jk", "eH***"),
            ("password", "cGFzc3dvcmQ=", "***="),
            ("password", "cGFzc3dvcmQK", "***K"),
            ("\u{3ff}\u{3ff}ok>>>???", "url safe z7_Pv29rPj4-Pz8_", "url safe ***"),
            ("say \"hi\" now", r#"-e say \"hi\" now"#, "-e ***"),
            ("it's here", "${{ 'it''s here' }}", "${{ '***' }}"),
            ("tab\there\\", r#"{"a":"tab\there\\"}"#, r#"{"a":"***"}"#),
            ("grün-geheim", r#""gr\u00fcn-geheim""#, r#""***""#),
            ("line\u{2028}sep", r"line\u2028sep", "***"),
            ("a b/c?d=é", "?q=a%20b%2Fc%3Fd%3D%C3%A9&r", "?q=***&r"),
            ("a b/c?d=é", "form a+b%2Fc%3Fd%3D%C3%A9", "form ***"),
            ("a b/c?d=é", "path /a%20b/c%3Fd%3D%C3%A9", "path /***"),
            ("it's (new)!", "it's%20(new)!", "***"),
            ("it's (new)!", "it%27s%20%28new%29%21", "***"),
            ("<a>&'\"x", "&lt;a&gt;&amp;&apos;&quot;x", "***"),
            ("\"quoted1\"", "quoted1 and \"quoted1\"", "*** and ***"),
            ("\"short\"", "short stays", "short stays"),
            ("abcdef&ghijkl", "abcdef& and ghijkl", "*** and ***"),
            ("abcdef&+ghijkl7", "abcdef&+ \x1b[1mg hijkl7", "*** \x1b[1mg ***"),
            ("ab&cd", "ab& cd", "ab& cd"),
            ("tok", "basic eC1hY2Nlc3MtdG9rZW46dG9r", "basic ***"),
        ];
        for (secret, text, expected) in cases {
            let masker = Masker::new([secret]);
            assert_eq!(masker.mask_text(text), expected, "{secret:?}");
            assert_eq!(masker.finds(text), text != expected, "{secret:?}");
        }
    }

    #[test]
    fn base64_is_masked_inside_other_text_and_across_lines() {
        let secret = "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3x4Y5z6a7b8c9d0";
        let known = Masker::new([secret]);
        for before in ["", "u", "us", "user:"] {
            for after in ["", "\n", ":", "@h", "more"] {
                let text = STANDARD_NO_PAD.encode(format!("{before}{secret}{after}"));
                let masked = known.mask_text(&text);
                let left = masked.replace("***", "").len();
                // Base64 of the text before and after the secret, and the two characters that mix it with the secret.
                assert!(left <= before.len() * 4 / 3 + after.len() * 4 / 3 + 6, "{before:?} {after:?}: {masked}");
            }
        }
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{secret}\n"));
        for width in [64, 76] {
            let broken: Vec<_> = text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let masked = known.mask_text(&broken.join("\n"));
            assert!(masked.starts_with("***\n***"), "{masked}");
        }
    }

    #[test]
    fn a_secret_of_several_lines_is_masked_line_by_line_and_as_a_whole() {
        let key = "-----BEGIN-----\r\n  abcdef\r\n\r\nghijkl\r\n-----END-----\n";
        let masker = Masker::new([key]);
        assert_eq!(masker.mask_text(key), "***\r\n  ***\r\n\r\n***\r\n***\n");
        assert_eq!(masker.mask_text("x abcdef"), "x ***");
        let json = serde_json::to_string(key.trim()).unwrap();
        assert_eq!(masker.mask_text(&json), "\"***\"");
    }

    #[test]
    fn pieces_that_overlap_or_touch_are_one() {
        let masker = Masker::new(["abcd-efgh", "efgh-ijkl", "touching", "inner"]);
        assert_eq!(masker.mask_text("abcd-efgh-ijkl"), "***");
        assert_eq!(masker.mask_text("touchingtouching touching"), "*** ***");
        assert_eq!(masker.mask_text("innertouching"), "***");
    }

    #[test]
    fn a_secret_that_is_not_utf_8_is_masked_as_bytes_and_as_it_is_shown() {
        let mut masker = Masker::default();
        masker.add(b"p\xe4ssw0rd-x\nsecond-\xff\n");
        for (text, masked) in [
            (&b"a p\xe4ssw0rd-x b"[..], "a *** b"),
            (b"p\x1b[1m\xe4ssw0rd-x", "***"),
            (b"base64 cORzc3cwcmQteA==", "base64 ***=="),
            (b"?p%E4ssw0rd-x", "?***"),
            ("the p\u{fffd}ssw0rd-x".as_bytes(), "the ***"),
            (b"second-\xff!", "***!"),
        ] {
            let found = masker.mask(text).map(|masked| String::from_utf8_lossy(&masked).into_owned());
            assert_eq!(found.as_deref(), Some(masked), "{}", text.escape_ascii());
        }
        assert_eq!(masker.mask("pässw0rd-x".as_bytes()), None);
        let (mut stream, mut out) = (MaskStream::default(), Vec::new());
        for byte in b"a p\xe4ssw0rd-x b" {
            stream.push(&masker, &[*byte], &mut out);
            stream.flush(&masker, &mut out);
        }
        stream.finish(&masker, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), "a *** b");
    }

    #[test]
    fn blank_secrets_are_ignored_and_later_ones_affect_later_text() {
        let mut masker = Masker::new(["", " \n\t "]);
        assert_eq!(masker.mask(b"any text \n\t "), None);
        masker.add("secret");
        assert_eq!(masker.mask(b"any text"), None);
        masker.add("text");
        assert_eq!(masker.mask_text("any secret text"), "any *** ***");
    }

    #[test]
    fn json_documents_are_masked_in_keys_and_strings() {
        let masker = Masker::new(["secret"]);
        let mut value = json!({"z": ["a secret", 1, null, true], "the secret": {"n": "ok"}, "a": 1.5});
        masker.mask_value(&mut value);
        assert_eq!(value.to_string(), r#"{"z":["a ***",1,null,true],"the ***":{"n":"ok"},"a":1.5}"#);
    }

    #[test]
    fn events_are_masked_in_free_text_and_keep_ids_and_fixed_words() {
        let masker = Masker::new(["test", "success", "job", "1", "host"]);
        let mut event: Event = Event::JobFinished {
            job: JobId::new("test-1"),
            conclusion: Conclusion::Success,
            allowed_failure: false,
            reason: Some("the test said so".to_owned()),
            outputs: [("job".to_owned(), "a success".to_owned())].into_iter().collect(),
            environment_url: Some("http://host/".to_owned()),
        };
        masker.mask_event(&mut event);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"event":"job_finished","job":"test-1","conclusion":"success","reason":"the *** said so","outputs":{"job":"a ***"},"environment_url":"http://***/"}"#
        );
    }

    #[test]
    fn a_secret_printed_in_pieces_never_leaks_and_whole_lines_are_not_held_back() {
        let masker = Masker::new(["super-secret"]);
        let (mut stream, mut out) = (MaskStream::default(), Vec::new());
        for piece in ["a sup", "er-sec", "ret b\nsuper", "-", "x"] {
            stream.push(&masker, piece.as_bytes(), &mut out);
            assert!(!out.windows(5).any(|part| part == b"super"));
        }
        stream.finish(&masker, &mut out);
        assert_eq!(std::str::from_utf8(&out), Ok("a *** b\nsuper-x"));
        out.clear();
        stream.push(&masker, b"a line\n", &mut out);
        stream.push(&Masker::default(), b"par", &mut out);
        assert_eq!(std::str::from_utf8(&out), Ok("a line\npar"));
    }

    #[test]
    fn the_held_text_is_bounded_even_in_a_long_run_of_secrets() {
        let masker = Masker::new(["0123456789abcdef", "xx"]);
        let longest = masker.longest();
        let (mut stream, mut out) = (MaskStream::default(), Vec::new());
        for portion in ["y", "x"] {
            for _ in 0..1000 {
                stream.push(&masker, portion.repeat(100).as_bytes(), &mut out);
                assert!(stream.held.len() < longest);
            }
        }
        stream.finish(&masker, &mut out);
        assert_eq!(out, ["y".repeat(100_000), "***".to_owned()].concat().into_bytes());
    }

    fn any_text() -> impl Strategy<Value = Vec<u8>> {
        let texts = [
            "a",
            "b",
            "ab",
            "aab",
            "abab",
            "\n",
            "\r\n",
            " ",
            "secret",
            "sec",
            "ret",
            "\u{fc}",
            "c2VjcmV0",
            "%2F",
            "\u{1b}[1m",
            "\u{1b}",
            "[",
            "\u{200b}",
            "\u{e0041}",
            "\u{8}",
            "\u{18}",
            "\u{1b}]0;",
            "\u{7}",
            "m",
            "\r",
            "abababab",
            "abab\u{1b}[1mabab",
            "secret-of-the-run",
            "secret-of-\u{1b}[1mthe-run",
            "caf\u{e9}-secret",
        ];
        let bytes = [&b"\xc3"[..], b"\xa9", b"caf\xc3\x1b[1m\xa9-secret"];
        let piece = prop::sample::select(texts.into_iter().map(str::as_bytes).chain(bytes).collect::<Vec<_>>());
        prop_oneof![
            prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat()),
            prop::collection::vec(prop::sample::select(b"ab\n\xff".to_vec()), 0..60),
        ]
    }

    fn any_secrets() -> impl Strategy<Value = Vec<String>> {
        prop_oneof![
            prop::collection::vec("[ab]{1,6}", 0..4),
            prop::collection::vec("[abs\u{fc}e/]{1,3}\n?[ab]{0,3}|secret", 0..3),
            prop::collection::vec("[ab]{8,24}|(ab){4,12}|(ab){4}\n[ab]{8,10}|secret-of-the-run|caf\u{e9}-secret", 0..4),
        ]
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_result_is_that_of_the_whole(
            text in any_text(),
            secrets in any_secrets(),
            cuts in prop::collection::vec(0.0..1.0f64, 0..10),
        ) {
            let masker = Masker::new(secrets.iter().map(String::as_str));
            let whole = masker.mask(&text).unwrap_or_else(|| text.clone());
            prop_assert_eq!(masker.is_in(&text), !masker.ranges(&text).is_empty());
            let lines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count();
            prop_assert_eq!(lines(&whole), lines(&text));
            for piece in whole.split(|byte| *byte == b'*') {
                let is_left = if piece.contains(&0x1b) { !masker.matches(piece).is_empty() } else { masker.is_in(piece) };
                prop_assert!(!is_left, "a secret is left");
            }
            // `ESC ***` is a different control sequence than before.
            prop_assert!(whole.contains(&0x1b) || !masker.is_in(&whole), "a secret is left");

            let mut cuts: Vec<_> = cuts.iter().map(|cut| (cut * text.len() as f64) as usize).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            for (pieces, flushes) in [
                (pieces.clone(), false),
                (text.chunks(1).collect(), false),
                (pieces, true),
                (text.chunks(1).collect(), true),
            ] {
                let (mut stream, mut out) = (MaskStream::default(), Vec::new());
                for piece in pieces {
                    stream.push(&masker, piece, &mut out);
                    if flushes {
                        stream.flush(&masker, &mut out);
                    }
                }
                stream.finish(&masker, &mut out);
                prop_assert_eq!(out.escape_ascii().to_string(), whole.escape_ascii().to_string(), "flushes: {}", flushes);
            }
        }
    }
}
