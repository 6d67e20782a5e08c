//! The guard against DNS rebinding: only requests whose host is this machine are answered.
//!
//! A web page can resolve its own name to 127.0.0.1, and then read what a local server answers to the browser. Its
//! requests still carry the page's name as their host.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::Uri;
use hyper::header::HOST;
use hyper::http::uri::Authority;

/// Returns whether every host that a request names is a loopback address or `localhost`. A request without a host does
/// not come from a browser.
pub(super) fn is_this_machine(headers: &HeaderMap, uri: &Uri) -> bool {
    let hosts = headers.get_all(HOST).iter().map(|value| value.to_str().unwrap_or_default());
    hosts.chain(uri.authority().map(Authority::as_str)).all(is_loopback)
}

fn is_loopback(name_and_port: &str) -> bool {
    let Ok(authority) = name_and_port.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback_address = |address: IpAddr| address.to_canonical().is_loopback();
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_loopback_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(hosts: &[&str], uri: &str) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().expect("a header"));
        }
        is_this_machine(&headers, &uri.parse().expect("a target"))
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let ours = ["localhost", "LocalHost:8989", "127.0.0.1:8989", "127.9.9.9", "[::1]:1"];
        for host in ours.into_iter().chain(["[::1]", "[::ffff:127.0.0.1]:1"]) {
            assert!(asks(&[host], "/metrics"), "{host}");
        }
        let others = ["evil.example", "evil.example:8989", "10.0.0.1", "[2001:db8::1]", "0.0.0.0"];
        let odd = ["", "localhost.evil.example", "127.0.0.1.evil.example", "a b", "localhost/"];
        for host in others.into_iter().chain(odd) {
            assert!(!asks(&[host], "/metrics"), "{host}");
        }
    }

    #[test]
    fn all_names_count_and_none_is_no_browser() {
        assert!(asks(&[], "/metrics"));
        assert!(!asks(&["localhost", "evil.example"], "/metrics"));
        assert!(!asks(&["localhost"], "http://evil.example/metrics"));
        assert!(asks(&["localhost"], "http://127.0.0.1:8989/metrics"));
    }
}
