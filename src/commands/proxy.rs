//! The proxy to the API server, chosen by the rules of Go that client-go follows.

use std::net::IpAddr;

use http::Uri;

/// A proxy setting is not valid. The error does not show its value, which may contain a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the proxy that {from} names: it must be http://HOST:PORT, https://… or socks5://…")]
pub struct ProxyError {
    /// The place of the setting.
    from: &'static str,
}

/// Prefers the `proxy-url` of the kubeconfig. Otherwise it uses the environment variable for the
/// server's scheme, unless the server is this host or `NO_PROXY` names it.
///
/// # Errors
/// If the setting is not valid.
pub(super) fn choose(
    configured: Option<&str>,
    server: &Uri,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, ProxyError> {
    if let Some(proxy) = configured {
        return parse(proxy, "proxy-url in the kubeconfig").map(Some);
    }
    let first = |names: [&'static str; 2]| {
        let set = |name| Some((name, environment(name).filter(|value| !value.is_empty())?));
        names.into_iter().find_map(set)
    };
    let https = server.scheme_str() != Some("http");
    let names = if https { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let Some((name, proxy)) = first(names) else { return Ok(None) };
    let spared = first(["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default();
    let port = server.port_u16().unwrap_or(if https { 443 } else { 80 });
    if is_spared(server.host().unwrap_or_default(), port, &spared) {
        return Ok(None);
    }
    parse(&proxy, name).map(Some)
}

fn parse(proxy: &str, from: &'static str) -> Result<Uri, ProxyError> {
    let proxy = if proxy.contains("://") { proxy.to_owned() } else { format!("http://{proxy}") };
    // Either way the proxy resolves the name of the server.
    let proxy = proxy.replacen("socks5h://", "socks5://", 1);
    let uri = proxy.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https" | "socks5"))).ok_or(ProxyError { from })
}

fn is_spared(host: &str, port: u16, spared: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let mut rules =
        spared.split(',').map(|rule| rule.trim().to_ascii_lowercase()).filter(|rule| !rule.is_empty());
    rules.any(|rule| {
        if rule == "*" {
            return true;
        }
        let (name, only_port) = split_port(&rule);
        if only_port.is_some_and(|only| only != port) {
            return false;
        }
        match address {
            Some(address) => holds(name, address),
            None => names(name, &host),
        }
    })
}

/// Parses `name:port`, `[address]:port`, or a host without a port.
fn split_port(rule: &str) -> (&str, Option<u16>) {
    let split = match rule.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => rule.rsplit_once(':').filter(|(name, _)| !name.contains(':')),
    };
    match split.and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) => (name, Some(port)),
        None => (rule.trim_start_matches('[').trim_end_matches(']'), None),
    }
}

/// `example.org` matches itself and all names below it. `.example.org` and `*.example.org` match
/// only the names below.
fn names(rule: &str, host: &str) -> bool {
    let rule = rule.strip_prefix('*').unwrap_or(rule).trim_end_matches('.');
    if let Some(below) = rule.strip_prefix('.') {
        return host.strip_suffix(below).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
    }
    host.strip_suffix(rule).is_some_and(|rest| !rule.is_empty() && (rest.is_empty() || rest.ends_with('.')))
}

/// Parses an address, or a network such as `10.0.0.0/8`.
fn holds(rule: &str, address: IpAddr) -> bool {
    let Some((network, length)) = rule.split_once('/') else { return rule.parse() == Ok(address) };
    let (Ok(network), Ok(length)) = (network.parse(), length.parse::<u32>()) else { return false };
    let same = |one: u128, other: u128, bits: u32| {
        length <= bits && (length == 0 || (one ^ other).checked_shr(bits - length).unwrap_or_default() == 0)
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            same(u32::from(network).into(), u32::from(address).into(), u32::BITS)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => same(network.into(), address.into(), u128::BITS),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(configured: Option<&str>, server: &str, environment: &[(&str, &str)]) -> String {
        let server = server.parse().unwrap_or_default();
        let look_up = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        match choose(configured, &server, look_up) {
            Ok(proxy) => proxy.map(|proxy| proxy.to_string()).unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_kubeconfig_s_proxy_is_always_used_and_the_environment_s_by_scheme() {
        let both = [("HTTPS_PROXY", "http://env:1"), ("HTTP_PROXY", "plain:2"), ("NO_PROXY", "*")];
        assert_eq!(chosen(Some("socks5://conf:3"), "https://api:6443", &both), "socks5://conf:3/");
        assert_eq!(chosen(None, "https://api:6443", &both), "");
        assert_eq!(chosen(None, "https://api:6443", &both[..2]), "http://env:1/");
        assert_eq!(chosen(None, "http://api:8080", &both[..2]), "http://plain:2/");
        assert_eq!(chosen(None, "https://api:6443", &[("https_proxy", "env:4")]), "http://env:4/");
        assert_eq!(
            chosen(None, "https://api:6443", &[("HTTPS_PROXY", ""), ("https_proxy", "env:4")]),
            "http://env:4/"
        );
        assert_eq!(chosen(None, "https://api:6443", &[]), "");
        assert_eq!(chosen(Some("socks5h://conf:3"), "https://api", &[]), "socks5://conf:3/");
    }

    #[test]
    fn no_proxy_spares_the_api_server_and_not_the_proxy() {
        let with = |server: &str, spared: &str| {
            chosen(None, server, &[("HTTPS_PROXY", "http://env:1"), ("NO_PROXY", spared)]).is_empty()
        };
        for spared in
            ["api.example.org", "example.org", ".example.org", "*.example.org", "API.example.org:6443"]
        {
            assert!(with("https://api.example.org:6443", spared), "{spared}");
            assert!(with("https://api.example.org:6443", &format!("other, ,{spared},")), "{spared}");
        }
        for spared in ["", ",", "env", "le.org", "api.example.org:443", ".api.example.org", "10.0.0.0/8"] {
            assert!(!with("https://api.example.org:6443", spared), "{spared}");
        }
        for spared in ["10.1.2.3", "10.1.0.0/16", "10.1.2.3:6443", "0.0.0.0/0"] {
            assert!(with("https://10.1.2.3:6443", spared), "{spared}");
        }
        for spared in ["10.1.2.4", "10.2.0.0/16", "10.1.2.3/33", "1.2.3", "fd00::/8", "10.1.2.3/x"] {
            assert!(!with("https://10.1.2.3:6443", spared), "{spared}");
        }
        assert!(
            with("https://[fd00::1]:6443", "fd00::/8") && with("https://[fd00::1]:6443", "[fd00::1]:6443")
        );
        assert!(
            with("https://127.0.0.1:6443", "") && with("https://localhost", "") && with("https://[::1]", "")
        );
    }

    #[test]
    fn a_proxy_that_is_none_is_named_by_where_it_was_said_without_its_password() {
        for proxy in ["ftp://u:secret@host", "http://", "not a proxy"] {
            let error = chosen(None, "https://api", &[("HTTPS_PROXY", proxy)]);
            assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
        }
    }
}
