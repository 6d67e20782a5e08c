//! The answers to HTTP requests, without sockets.

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use prometheus::TEXT_FORMAT;

use super::Registry;

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Metrics,
    Health,
    /// A page that is there, but not with GET.
    OtherMethod,
    Unknown,
}

/// Answers a request.
pub(super) fn answer(registry: &Registry, method: &Method, path: &str) -> Response<String> {
    match question(method, path) {
        Question::Metrics => match registry.text() {
            Ok(text) => page(StatusCode::OK, TEXT_FORMAT, text),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        },
        Question::Health => health(&registry.problems(), &registry.warnings()),
        Question::OtherMethod => {
            let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is allowed");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            refusal
        }
        Question::Unknown => {
            plain(StatusCode::NOT_FOUND, "not found: the pages are /metrics and /healthz")
        }
    }
}

/// Answers a request whose host is another machine.
pub(super) fn other_host() -> Response<String> {
    plain(
        StatusCode::FORBIDDEN,
        "this host is not allowed: use localhost or a loopback address, or set metrics.allow_remote",
    )
}

fn question(method: &Method, path: &str) -> Question {
    let question = match path {
        "/metrics" => Question::Metrics,
        "/healthz" => Question::Health,
        _ => return Question::Unknown,
    };
    if method == Method::GET { question } else { Question::OtherMethod }
}

/// 503 with a line for each problem, or 200; warnings follow in either case and change nothing of it.
fn health(problems: &[String], warnings: &[String]) -> Response<String> {
    let (status, mut lines) = match problems {
        [] => (StatusCode::OK, vec!["ok".to_owned()]),
        problems => (StatusCode::SERVICE_UNAVAILABLE, problems.to_vec()),
    };
    lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    plain(status, &lines.join("\n"))
}

fn plain(status: StatusCode, words: &str) -> Response<String> {
    page(status, PLAIN_TEXT, format!("{words}\n"))
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut page = Response::new(text);
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pages_can_be_read_and_nothing_else() {
        let cases = [
            (Method::GET, "/metrics", Question::Metrics),
            (Method::GET, "/healthz", Question::Health),
            (Method::POST, "/metrics", Question::OtherMethod),
            (Method::HEAD, "/healthz", Question::OtherMethod),
            (Method::GET, "/", Question::Unknown),
            (Method::GET, "/metrics/", Question::Unknown),
            (Method::DELETE, "/../metrics", Question::Unknown),
        ];
        for (method, path, expected) in cases {
            assert_eq!(question(&method, path), expected, "{method} {path}");
        }
        let refused = answer(&Registry::default(), &Method::PUT, "/metrics");
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()[ALLOW], "GET");
    }

    #[test]
    fn health_is_ok_or_a_line_for_each_problem() {
        let well = health(&[], &[]);
        assert_eq!((well.status(), well.body().as_str()), (StatusCode::OK, "ok\n"));
        let ill = health(&["no tip".to_owned(), "no disk".to_owned()], &[]);
        assert_eq!(ill.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ill.body(), "no tip\nno disk\n");
        let warned = health(&[], &["no reserve".to_owned()]);
        assert_eq!(
            (warned.status(), warned.body().as_str()),
            (StatusCode::OK, "ok\nwarning: no reserve\n")
        );
    }
}
