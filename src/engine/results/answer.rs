//! Builds the HTTP answers of the server.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue,
};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::engine::blocking::in_place;

use super::archive::Data;
use super::error::ServiceError;

/// An answer to a request.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Number of bytes of a file that are read at a time.
const PORTION: u64 = 256 * 1024;

/// Returns an answer without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    with_body(status, Bytes::new())
}

/// Returns an answer in JSON.
pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    let mut answer = with_body(status, value.to_string().into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Returns the answer to a refused request: with `code` and `msg` for Twirp clients, `message` and sometimes `errors`
/// for clients of GitHub's API, and a header for Azure clients.
pub(super) fn refusal(error: &ServiceError) -> Answer {
    let text = error.to_string();
    let mut body = json!({"code": error.code(), "msg": text, "message": text});
    if let ServiceError::Duplicate { resource, field } = error {
        body["errors"] = json!([{"resource": resource, "field": field, "code": error.code()}]);
    }
    let mut answer = json(error.status(), &body);
    answer.headers_mut().insert(HeaderName::from_static("x-ms-error-code"), HeaderValue::from_static(error.code()));
    answer
}

/// Returns the answer to a refused request of git, which shows a plain text to its user.
pub(super) fn plain_refusal(error: &ServiceError) -> Answer {
    let mut answer = with_body(error.status(), format!("{error}\n").into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn with_body(status: StatusCode, body: Bytes) -> Answer {
    let body = Full::new(body).map_err(|never: Infallible| match never {});
    let mut answer = Response::new(UnsyncBoxBody::new(body));
    *answer.status_mut() = status;
    answer
}

/// A file to send.
pub(super) struct Download {
    /// The open file. It stays readable if it is removed in the meantime.
    pub(super) file: File,
    /// Size of the file in bytes.
    pub(super) size: u64,
    /// Media type.
    pub(super) media_type: String,
    /// Name under which a client saves the file. `None` if the client chooses the name.
    pub(super) name: Option<String>,
}

impl Download {
    /// Returns the answer with the file or a range of it, or status 416 if the range is out of bounds. Without
    /// `with_data`, the answer has only headers.
    pub(super) fn answer(self, range: Option<Range>, with_data: bool) -> Answer {
        let bounds = range.map(|range| range.bounds(self.size));
        let (status, first, end) = match bounds {
            None => (StatusCode::OK, 0, self.size),
            Some(Some((first, end))) => (StatusCode::PARTIAL_CONTENT, first, end),
            Some(None) => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
        };
        let mut answer = if with_data && first < end { stream(self.file, first, end) } else { empty(status) };
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        let text = |text: String| HeaderValue::from_str(&text).ok();
        headers.insert(CONTENT_LENGTH, (end - first).into());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let range = match status {
            StatusCode::PARTIAL_CONTENT => Some(format!("bytes {first}-{}/{}", end - 1, self.size)),
            StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{}", self.size)),
            _ => None,
        };
        headers.extend(range.and_then(text).map(|range| (CONTENT_RANGE, range)));
        headers.extend(text(self.media_type).map(|of| (CONTENT_TYPE, of)));
        let name = self.name.and_then(|name| text(disposition(&name)));
        headers.extend(name.map(|name| (HeaderName::from_static("content-disposition"), name)));
        answer
    }
}

/// Returns the answer with a file of an archive.
pub(super) fn packed(archive: File, data: Data) -> Answer {
    let Data { first, end, before, after, is_gzip } = data;
    let length = before.len() as u64 + (end - first) + after.len() as u64;
    let around = |bytes: Vec<u8>| stream::iter((!bytes.is_empty()).then(|| Ok(Frame::data(Bytes::from(bytes)))));
    let body = around(before).chain(portions(archive, first, end)).chain(around(after));
    let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(body)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if is_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// Returns the `Content-Disposition` header for a file name, in the form that supports any character.
fn disposition(name: &str) -> String {
    let mut encoded = String::from("attachment; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Returns an answer that streams the bytes of a file from offset `first` up to, but not including, `end`.
fn stream(file: File, first: u64, end: u64) -> Answer {
    Response::new(UnsyncBoxBody::new(StreamBody::new(portions(file, first, end))))
}

/// Reads the bytes of a file from offset `first` up to, but not including, `end`.
fn portions(file: File, first: u64, end: u64) -> impl Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static {
    let file = Arc::new(file);
    stream::unfold(first, move |offset| {
        let file = Arc::clone(&file);
        async move {
            let size = end.saturating_sub(offset).min(PORTION);
            if size == 0 {
                return None;
            }
            let mut portion = vec![0; usize::try_from(size).unwrap_or_default()];
            let read = in_place(|| file.read_exact_at(&mut portion, offset));
            Some((read.map(|()| Frame::data(Bytes::from(portion))), offset + size))
        }
    })
}

/// The range of bytes that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// From the first number to the second, inclusive; without the second, to the end of the file.
    From(u64, Option<u64>),
    /// This number of bytes at the end of the file.
    Last(u64),
}

impl Range {
    /// Parses a `Range` header: `bytes=0-99`, `bytes=100-`, `bytes=-5`. Returns `None` for any other header, including
    /// one with several ranges; the server ignores such a header.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        match (first.is_empty(), last.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Self::Last(last.parse().ok()?)),
            (false, true) => Some(Self::From(first.parse().ok()?, None)),
            (false, false) => Some(Self::From(first.parse().ok()?, Some(last.parse().ok()?))),
        }
    }

    /// Returns the offset of the first byte and the end (exclusive) of the range in a file of `size` bytes. `None` if
    /// the range is out of bounds.
    fn bounds(self, size: u64) -> Option<(u64, u64)> {
        let (first, end) = match self {
            Self::From(first, last) => (first, last.map_or(size, |last| last.saturating_add(1).min(size))),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        (first < end).then_some((first, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (header, expected) in [
            ("bytes=0-99", Some(Some((0, 10)))),
            ("bytes=2-4", Some(Some((2, 5)))),
            ("bytes=9-", Some(Some((9, 10)))),
            ("bytes=-3", Some(Some((7, 10)))),
            ("bytes=-30", Some(Some((0, 10)))),
            ("bytes=10-", Some(None)),
            ("bytes=4-2", Some(None)),
            ("bytes=-", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(Range::parse(header).map(|range| range.bounds(10)), expected, "{header}");
        }
        assert_eq!(Range::From(0, Some(u64::MAX)).bounds(10), Some((0, 10)));
    }

    #[test]
    fn any_name_fits_in_a_header() {
        assert_eq!(disposition("a b\"é.zip"), "attachment; filename*=UTF-8''a%20b%22%C3%A9.zip");
    }
}
