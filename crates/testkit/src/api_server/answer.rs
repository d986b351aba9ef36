//! Answers, as HTTP has them.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;

/// An answer. Its body may break off.
pub type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// An answer with this code and this object.
pub fn of(code: StatusCode, object: &Value) -> Answer {
    let body = Full::new(Bytes::from(object.to_string())).map_err(|never| match never {});
    with(code, body.boxed_unsync())
}

/// The answer to a watch, line by line.
pub fn of_lines(lines: impl Stream<Item = io::Result<String>> + Send + 'static) -> Answer {
    let frames = lines.map(|line| line.map(|line| Frame::data(Bytes::from(line))));
    with(StatusCode::OK, StreamBody::new(frames).boxed_unsync())
}

fn with(code: StatusCode, body: UnsyncBoxBody<Bytes, io::Error>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}
