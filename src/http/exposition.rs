//! `/metrics`: `OpenMetrics`, or the classic text format of Prometheus, as the client accepts.

use std::fmt::{self, Write};
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus. Every collector reads it.
    Classic,
}

impl Format {
    /// The format for a client that sends this `Accept` header: the one that it prefers. The
    /// classic one if it names none of the two, or both alike.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let quality = |wanted: &str| {
            let entries = accept.split(',').filter_map(|entry| {
                let mut parts = entry.split(';').map(str::trim);
                let is_wanted = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(wanted));
                let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse::<f32>().ok());
                is_wanted.then_some(quality.unwrap_or(1.0))
            });
            entries.fold(0.0, f32::max)
        };
        if quality("application/openmetrics-text") > quality("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// The content type of an answer in this format.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Answers with the metrics that `encode` writes as `OpenMetrics` text.
///
/// The text of thousands of groups takes a while: a thread of its own writes it, so that no
/// election waits.
pub fn route<S>(encode: impl Fn() -> Result<String, fmt::Error> + Send + Sync + 'static) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let encode = Arc::new(encode);
    get(move |headers: HeaderMap| async move {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let format = Format::accepted(accept.unwrap_or_default());
        let text = tokio::task::spawn_blocking(move || {
            let text = encode()?;
            match format {
                Format::OpenMetrics => Ok(text),
                Format::Classic => classic(&text),
            }
        });
        answer(format, text.await.unwrap_or(Err(fmt::Error)))
    })
}

fn answer(format: Format, text: Result<String, fmt::Error>) -> Response {
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// `OpenMetrics` text in the classic format. There, a counter's description has the suffix of its
/// samples, and neither `info` nor the end mark exists.
///
/// # Errors
/// Only if formatting fails, which writing to a `String` does not.
pub fn classic(open_metrics: &str) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|family| family.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            let told = help.take().and_then(|help| help.strip_prefix("# HELP ")?.strip_prefix(name));
            if let Some(told) = told {
                writeln!(text, "# HELP {name}{suffix}{told}")?;
            }
            writeln!(text, "# TYPE {name}{suffix} {kind}")?;
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            writeln!(text, "{line}")?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_the_format_that_it_reads() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.5,\
                            application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let prometheus_3 = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;q=0.6,\
                            application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2";
        let classic_first = "text/plain;version=0.0.4;q=0.7, application/openmetrics-text; q=0.5";
        let cases = [
            (prometheus_2, Format::OpenMetrics),
            (prometheus_3, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            (classic_first, Format::Classic),
            ("application/openmetrics-text;q=0", Format::Classic),
            ("text/plain", Format::Classic),
            ("*/*", Format::Classic),
            ("", Format::Classic),
        ];
        for (accept, format) in cases {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn the_classic_text_names_counters_and_infos_as_their_samples() {
        let open_metrics = "# HELP writes Requests.\n# TYPE writes counter\nwrites_total{kind=\"pod\"} 7\n\
                            # HELP build The version.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
                            # HELP groups Seen.\n# TYPE groups gauge\ngroups 3\n\
                            # HELP age_seconds Age.\n# TYPE age_seconds unknown\n# UNIT age_seconds seconds\nage_seconds 2\n\
                            # EOF\n";
        let expected = "# HELP writes_total Requests.\n# TYPE writes_total counter\nwrites_total{kind=\"pod\"} 7\n\
                        # HELP build_info The version.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
                        # HELP groups Seen.\n# TYPE groups gauge\ngroups 3\n\
                        # HELP age_seconds Age.\n# TYPE age_seconds untyped\nage_seconds 2\n";
        assert_eq!(classic(open_metrics).unwrap(), expected);
    }
}
