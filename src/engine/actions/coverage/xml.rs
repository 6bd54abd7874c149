//! The tags of an XML document, as far as coverage reports need them: names and attributes, without text.

/// A tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'t> {
    /// Name of the element.
    pub(super) name: &'t str,
    /// Whether it is an end tag.
    pub(super) is_end: bool,
    attributes: &'t str,
}

impl Tag<'_> {
    /// Returns the value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.attributes;
        loop {
            let (key, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let (value, following) = after[1..].split_once(quote)?;
            if key.trim() == name {
                return Some(unescaped(value));
            }
            rest = following;
        }
    }
}

/// Replaces the predefined entities. Others stay as they are.
fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

/// Returns the tags of a document in order. Comments, declarations and processing instructions are skipped; anything
/// after an incomplete tag is ignored.
pub(super) fn tags(text: &str) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('<')? + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = comment.split_once("-->")?.1;
                continue;
            }
            if let Some(data) = rest.strip_prefix("![CDATA[") {
                rest = data.split_once("]]>")?.1;
                continue;
            }
            let (inner, after) = rest.split_at(end(rest)?);
            rest = &after[1..];
            if inner.starts_with(['!', '?']) {
                continue;
            }
            let inner = inner.trim_end_matches('/');
            let (is_end, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
            let (name, attributes) = inner.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((inner, ""));
            return Some(Tag { name, is_end, attributes });
        }
    })
}

/// Returns the position of the `>` that ends a tag. A `>` in a quoted value does not end it.
fn end(text: &str) -> Option<usize> {
    let mut quote = None;
    text.bytes().position(|byte| match (byte, quote) {
        (b'"' | b'\'', None) => {
            quote = Some(byte);
            false
        }
        (byte, Some(open)) if byte == open => {
            quote = None;
            false
        }
        (b'>', None) => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_attributes_are_found() {
        let text = "<?xml version='1.0'?><!DOCTYPE a><a x = \"1 > 0\" y='&lt;&amp;lt;'><!-- <b> --><c/></a><d";
        let all: Vec<_> = tags(text).map(|tag| (tag.name, tag.is_end)).collect();
        assert_eq!(all, [("a", false), ("c", false), ("a", true)]);
        let first = tags(text).next().expect("a tag");
        let values = ["x", "y", "z"].map(|name| first.attribute(name));
        assert_eq!(values, [Some("1 > 0".to_owned()), Some("<&lt;".to_owned()), None]);
    }
}
