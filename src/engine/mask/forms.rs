//! The forms in which a secret may appear: those that GitHub's runner masks, and further encodings.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

use crate::visible::is_unsafe;

/// Minimum length of a form that is a part of the value or of an encoding: shorter ones are too likely to match
/// unrelated text. GitHub's runner has this limit, in UTF-16 units, for the halves that PowerShell produces. Here it
/// also applies, in bytes, to pieces of base64 and to the value without the characters that terminals do not show.
const SHORTEST_PIECE: usize = 6;

/// Returns every form in which a value that is not text may appear: the bytes themselves, and the encodings of bytes.
pub(super) fn byte_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let encoded = base64_forms(value).into_iter().chain(percent_forms(value));
    encoded.map(String::into_bytes).chain([value.to_owned()]).collect()
}

/// Returns every form in which a value may appear.
pub(super) fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![
        value.to_owned(),
        value.replace('"', "\\\""),
        value.replace('\'', "''"),
        value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&apos;"),
    ];
    if value.encode_utf16().count() > 8 && value.starts_with('"') && value.ends_with('"') {
        forms.push(value[1..value.len() - 1].to_owned());
    }
    forms.extend(base64_forms(value.as_bytes()));
    json_forms(value, &mut forms);
    forms.extend(percent_forms(value.as_bytes()));
    powershell_forms(value, &mut forms);
    // The same text without the characters that terminals do not show.
    forms.extend(Some(value.replace(is_unsafe, "")).filter(|shown| shown != value && shown.len() >= SHORTEST_PIECE));
    forms
}

/// Returns the base64 forms of a value, alone and inside a longer text. The length of the text before the value
/// determines how the bytes of the value are grouped by three, so there are three alignments. Each alignment gives two
/// forms: the form of the runner, and the characters that depend only on the secret.
fn base64_forms(bytes: &[u8]) -> Vec<String> {
    // Widths at which common tools break lines: `openssl base64` and PEM, `base64`.
    const WIDTHS: [usize; 2] = [64, 76];
    let mut forms = Vec::new();
    for skipped in 0..bytes.len().min(3) {
        forms.push(STANDARD_NO_PAD.encode(&bytes[skipped..]));
    }
    for before in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([&[0; 2][..before], bytes].concat());
        // Leaves out characters that share bits with the text before or after the secret.
        let own = [0, 2, 3][before]..(before + bytes.len()) * 8 / 6;
        forms.extend(encoded.get(own).filter(|own| own.len() >= SHORTEST_PIECE).map(str::to_owned));
    }
    let whole = STANDARD_NO_PAD.encode(bytes);
    for width in WIDTHS.into_iter().filter(|width| whole.len() > *width) {
        let own = &whole.as_bytes()[..bytes.len() * 8 / 6];
        let pieces = own.chunks(width).filter(|piece| piece.len() >= SHORTEST_PIECE);
        forms.extend(pieces.map(|piece| String::from_utf8_lossy(piece).into_owned()));
    }
    // Basic authentication with a token, as git sends it. The prefix has 15 bytes, which are five whole groups.
    forms.push(STANDARD_NO_PAD.encode([&b"x-access-token:"[..], bytes].concat()));
    let url_safe: Vec<_> = forms.iter().map(|form| form.replace('+', "-").replace('/', "_")).collect();
    forms.extend(url_safe);
    forms
}

/// Adds the forms inside a JSON string: as the runner (Newtonsoft) and most other encoders write them, and in pure
/// ASCII.
fn json_forms(value: &str, forms: &mut Vec<String>) {
    let quoted = Value::from(value).to_string();
    let escaped = &quoted[1..quoted.len() - 1];
    let encode = |is_left: fn(char) -> bool| {
        let mut encoded = String::with_capacity(escaped.len());
        for c in escaped.chars() {
            if is_left(c) {
                encoded.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(encoded, "\\u{unit:04x}");
                }
            }
        }
        encoded
    };
    let runner = encode(|c| !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'));
    let ascii = encode(|c| c.is_ascii());
    forms.extend([escaped.to_owned(), runner, ascii]);
}

/// Returns the forms in which bytes are escaped as in URIs, with and without `+` for blanks.
fn percent_forms(bytes: &[u8]) -> Vec<String> {
    // Characters left unescaped by .NET and most other encoders, by `encodeURIComponent`, and by encoders that keep
    // path separators.
    let escaped = ["-_.~", "-_.~!*'()", "-_.~/"].map(|left| percent_encoded(bytes, left));
    escaped.into_iter().flat_map(|escaped| [escaped.replace("%20", "+"), escaped]).collect()
}

/// Encodes every byte as `%XX`, except letters, digits and the characters in `left`.
fn percent_encoded(bytes: &[u8], left: &str) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || left.contains(c) {
            encoded.push(c);
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Adds the two halves into which a PowerShell error message splits a secret with `&`. After `&+` it also colours the
/// next letter separately.
fn powershell_forms(value: &str, forms: &mut Vec<String>) {
    let (end, skipped) = match (value.find("&+"), value.rfind('&')) {
        (Some(place), _) => (place + 2, 1),
        (None, Some(place)) => (place + 1, 0),
        (None, None) => return,
    };
    let (before, after) = value.split_at(end);
    let after: String = after.chars().skip(skipped).collect();
    for half in [before.to_owned(), after] {
        if half.encode_utf16().count() >= SHORTEST_PIECE {
            forms.push(half);
        }
    }
}
