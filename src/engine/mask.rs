//! Keeps secrets out of everything that is written, in every encoding in which they tend to appear.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What stands in place of a secret.
const STARS: &[u8] = b"***";

/// Finds secrets in text.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    patterns: Vec<Vec<u8>>,
    finder: Option<AhoCorasick>,
    longest: usize,
}

impl Masker {
    /// A masker of these secrets.
    #[must_use]
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut masker = Self::default();
        for secret in secrets {
            masker.learn(secret);
        }
        masker.build();
        masker
    }

    /// Adds a secret. Blank text is none: it would mask everything.
    pub fn add(&mut self, secret: &str) {
        self.learn(secret);
        self.build();
    }

    fn learn(&mut self, secret: &str) {
        let whole = secret.trim();
        let lines = whole.lines().map(str::trim).filter(|line| !line.is_empty());
        for value in std::iter::once(whole).filter(|whole| !whole.is_empty()).chain(lines) {
            for form in forms(value) {
                if !self.patterns.contains(&form) {
                    self.longest = self.longest.max(form.len());
                    self.patterns.push(form);
                }
            }
        }
    }

    fn build(&mut self) {
        // Overlapping matches are wanted, which only the standard semantics report.
        self.finder = (!self.patterns.is_empty()).then(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .build(&self.patterns)
                .expect("a few secrets fit into an automaton")
        });
    }

    /// Whether there is a secret in the text.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        self.finder.as_ref().is_some_and(|finder| finder.is_match(text))
    }

    /// The text with every secret replaced; secrets that overlap or touch become one `***`. `None` when there is none.
    #[must_use]
    pub fn mask(&self, text: &[u8]) -> Option<Vec<u8>> {
        let spans = self.spans(text);
        (!spans.is_empty()).then(|| replace(text, &spans))
    }

    /// Replaces the secrets in a text.
    #[must_use]
    pub fn mask_text(&self, text: &str) -> String {
        self.mask(text.as_bytes())
            .map_or_else(|| text.to_owned(), |masked| String::from_utf8_lossy(&masked).into_owned())
    }

    /// Replaces the secrets in every text of a document, names of members included.
    pub fn mask_value(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => {
                if let Some(masked) = self.mask(text.as_bytes()) {
                    *text = String::from_utf8_lossy(&masked).into_owned();
                }
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(|item| self.mask_value(item)),
            serde_json::Value::Object(members) => {
                let hidden: Vec<_> = members.keys().filter(|name| self.finds(name)).cloned().collect();
                for name in hidden {
                    if let Some(value) = members.shift_remove(&name) {
                        members.insert(self.mask_text(&name), value);
                    }
                }
                members.values_mut().for_each(|value| self.mask_value(value));
            }
            _ => {}
        }
    }

    /// Where secrets stand, merged, in order.
    fn spans(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut spans: Vec<(usize, usize)> = Vec::new();
        let Some(finder) = &self.finder else { return spans };
        // A cheap test first: hardly any text holds a secret.
        if !finder.is_match(text) {
            return spans;
        }
        let mut found: Vec<_> = finder.find_overlapping_iter(text).map(|found| (found.start(), found.end())).collect();
        found.sort_unstable();
        for (start, end) in found {
            match spans.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => spans.push((start, end)),
            }
        }
        spans
    }

    /// How many bytes at the end of the text could be the beginning of a secret.
    fn unsure(&self, text: &[u8]) -> usize {
        let reach = self.longest.saturating_sub(1).min(text.len());
        (1..=reach)
            .rev()
            .find(|length| {
                let tail = &text[text.len() - length..];
                self.patterns.iter().any(|pattern| pattern.len() > *length && pattern.starts_with(tail))
            })
            .unwrap_or_default()
    }
}

fn replace(text: &[u8], spans: &[(usize, usize)]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(text.len());
    let mut at = 0;
    for (start, end) in spans {
        masked.extend_from_slice(&text[at..*start]);
        masked.extend_from_slice(STARS);
        at = *end;
    }
    masked.extend_from_slice(&text[at..]);
    masked
}

/// Masks text that comes in portions, cut anywhere: what could be the beginning of a secret is held back until it is
/// known. What is held is never longer than the longest secret and the run of secrets that it touches.
#[derive(Debug, Default)]
pub struct MaskStream {
    held: Vec<u8>,
}

impl MaskStream {
    /// Takes a portion and gives what is now safe to write.
    pub fn push(&mut self, masker: &Masker, portion: &[u8], out: &mut Vec<u8>) {
        if masker.finder.is_none() && self.held.is_empty() {
            return out.extend_from_slice(portion);
        }
        if self.held.is_empty() && portion.last() == Some(&b'\n') && masker.spans(portion).is_empty() {
            // The common case: whole lines without a secret, and no secret begins with their last newline.
            if masker.unsure(portion) == 0 {
                return out.extend_from_slice(portion);
            }
        }
        self.held.extend_from_slice(portion);
        let spans = masker.spans(&self.held);
        let mut safe = self.held.len() - masker.unsure(&self.held);
        // A secret that reaches into what is unsure may grow into a larger one, or touch the next: it waits as well.
        for (start, end) in spans.iter().rev() {
            if *end >= safe && *start < safe {
                safe = *start;
            }
        }
        let settled: Vec<_> = spans.into_iter().filter(|(_, end)| *end <= safe).collect();
        out.extend_from_slice(&replace(&self.held[..safe], &settled));
        self.held.drain(..safe);
    }

    /// Gives what was held back: nothing more comes.
    pub fn finish(&mut self, masker: &Masker, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        out.extend_from_slice(&masker.mask(&held).unwrap_or(held));
    }
}

/// The forms in which a value may appear: as it is; in base64 at each of its three offsets; escaped for a command line,
/// an expression, JSON, a URI, XML; without the quotes around it; and the halves that PowerShell prints around `&`. The
/// list is that of GitHub's runner (HostContext.cs).
fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![value.as_bytes().to_vec()];
    let mut add = |form: String| {
        if !form.is_empty() && form != value {
            forms.push(form.into_bytes());
        }
    };
    for skip in 0..3 {
        add(base64_core(value.as_bytes(), skip));
    }
    add(value.replace('\\', "\\\\").replace('"', "\\\""));
    add(value.replace('\'', "''"));
    let json = serde_json::to_string(value).unwrap_or_default();
    add(json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned());
    add(uri_escaped(value));
    add(xml_escaped(value));
    if value.len() > 8 && value.starts_with('"') && value.ends_with('"') {
        add(value[1..value.len() - 1].to_owned());
    }
    if value.contains('&') {
        // A shorter half would mask ordinary text.
        for half in value.split('&').filter(|half| half.len() >= 6) {
            add(half.to_owned());
        }
    }
    forms
}

/// The part of a base64 text that does not depend on what stands around the value, when it begins `skip` bytes into a
/// group of three. Too short a part would mask ordinary text.
fn base64_core(value: &[u8], skip: usize) -> String {
    if value.len() < skip + 3 {
        return String::new();
    }
    let encoded = STANDARD.encode([vec![0; skip].as_slice(), value].concat());
    // Characters made of bits of the bytes before, and of what follows the last whole group, are not ours.
    let first = [0, 2, 3][skip];
    let bits = (skip + value.len()) * 8;
    encoded[first..bits / 6].to_owned()
}

fn uri_escaped(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    value.bytes().fold(String::new(), |mut escaped, byte| {
        if plain(byte) {
            escaped.push(byte as char);
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        escaped
    })
}

fn xml_escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_is_found() {
        let masker = Masker::new(["p@ss w\"rd<1>'&more-than-six"]);
        for text in [
            "p@ss w\"rd<1>'&more-than-six",
            "p@ss w\\\"rd<1>'&more-than-six",
            "p%40ss%20w%22rd%3C1%3E%27%26more-than-six",
            "p@ss w&quot;rd&lt;1&gt;&apos;&amp;more-than-six",
            "p@ss w\"rd<1>''&more-than-six",
            "only more-than-six of it",
        ] {
            assert!(masker.finds(text), "{text}");
        }
        assert!(!masker.finds("plain text"));
    }

    #[test]
    fn base64_is_found_at_every_offset() {
        let masker = Masker::new(["hunter2-secret"]);
        for before in ["", "a", "ab", "abc", "x-access-token:"] {
            let encoded = STANDARD.encode(format!("{before}hunter2-secret and more"));
            assert!(masker.finds(&encoded), "{before:?}: {encoded}");
        }
    }

    #[test]
    fn lines_of_a_secret_are_secrets_and_blank_ones_are_not() {
        let masker = Masker::new(["  one\n\n two \n", "   "]);
        assert_eq!(masker.mask_text("one and two\n   "), "*** and ***\n   ");
    }

    #[test]
    fn overlapping_secrets_become_one_mark() {
        assert_eq!(Masker::new(["abcd", "cdef"]).mask_text("xabcdefx"), "x***x");
    }

    #[test]
    fn documents_are_masked_everywhere() {
        let mut document = serde_json::json!({"a": ["x hunter2"], "hunter2": {"b": "hunter2"}, "n": 1});
        Masker::new(["hunter2"]).mask_value(&mut document);
        assert!(!document.to_string().contains("hunter2"), "{document}");
    }

    proptest! {
        #[test]
        fn a_secret_cut_anywhere_is_masked_as_if_it_were_whole(
            secrets in prop::collection::vec("[ab\\n]{1,6}", 1..4),
            text in "[ab\\nc]{0,60}",
            cuts in prop::collection::vec(0_usize..61, 0..8),
        ) {
            let masker = Masker::new(secrets.iter().map(String::as_str));
            let whole = masker.mask_text(&text);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let (mut stream, mut out) = (MaskStream::default(), Vec::new());
            for pair in cuts.windows(2) {
                stream.push(&masker, &text.as_bytes()[pair[0]..pair[1]], &mut out);
            }
            stream.finish(&masker, &mut out);
            prop_assert_eq!(String::from_utf8(out).expect("text"), whole);
        }
    }
}
