//! The target: the embedded backend or brokers, and the addresses that are refused.

use super::Checker;
use crate::scenario::errors::Problem;
use crate::scenario::located::At;
use crate::scenario::mirror;
use crate::scenario::plan::{BrokerUrl, Brokers, Embedded, GoneClients, Me, Target, Topology};
use crate::scenario::tree::Span;

/// Devices per node of the embedded backend if `nodes` is auto: what fits a process with 20 000
/// file descriptors, with room for observers.
const DEVICES_PER_NODE: u32 = 16_000;
/// Fewest nodes that `nodes: auto` makes: with two, one can fail while the other serves.
const NODES_MIN: u32 = 2;
/// CONNECTs that may wait for admission per node if the scenario does not say.
const DEFAULT_ACCEPT_QUEUE: u32 = 100_000;
/// Most broker addresses.
const MAX_URLS: usize = 256;

/// Brokers that are there for everybody to try things, not to be loaded.
const PUBLIC_BROKERS: [&str; 12] = [
    "test.mosquitto.org",
    "mqtt.eclipseprojects.io",
    "iot.eclipse.org",
    "broker.hivemq.com",
    "broker.mqttdashboard.com",
    "mqtt-dashboard.com",
    "broker.emqx.io",
    "mqtt.flespi.io",
    "public.mqtthq.com",
    "mqtt.fluux.io",
    "broker.mqtt.cool",
    "public-mqtt-broker.bevywise.com",
];

impl Checker<'_> {
    pub(super) fn target(&mut self, file: &mirror::File, devices: u32) -> Target {
        let target = file.target.as_ref();
        if let Some(at) = target {
            match (&at.value.embedded, &at.value.brokers) {
                (Some(_), Some(brokers)) => self.error(
                    self.first_line(brokers.span),
                    "there are two targets",
                    "keep `embedded` or `brokers`",
                ),
                (None, None) => self.absent(
                    at.span,
                    "the target is neither `embedded` nor `brokers`",
                    "add `embedded: {}` or `brokers: { urls: [mqtt://host:1883] }`",
                ),
                (Some(_), None) | (None, Some(_)) => {}
            }
        }
        let brokers = target.and_then(|t| t.value.brokers.as_ref());
        let auth = target.and_then(|t| t.value.auth.as_ref());
        if !self.inputs.overrides.targets.is_empty() {
            return Target::Brokers(Brokers {
                urls: self.override_urls(),
                topology: topology(brokers),
                auth: self.auth(auth, devices, true),
            });
        }
        let Some(brokers) = brokers else {
            // The embedded backend lets everybody in: what `auth` says is checked, never read.
            self.auth(auth, devices, false);
            let embedded = target.and_then(|t| t.value.embedded.as_ref());
            return Target::Embedded(self.embedded_target(embedded.map(|e| &e.value), devices));
        };
        if brokers.value.urls.value.is_empty() {
            self.absent(
                brokers.value.urls.span,
                "no address of a broker is given",
                "write `urls: [mqtt://host:1883]`",
            );
        }
        if brokers.value.urls.value.len() > MAX_URLS {
            let span = brokers.value.urls.value[MAX_URLS].span;
            self.error(
                span,
                format!("more than {MAX_URLS} addresses"),
                "remove some",
            );
        }
        let mut urls = Vec::new();
        for url in brokers.value.urls.value.iter().take(MAX_URLS) {
            match parse_url(&url.value) {
                Ok(url) => urls.push(url),
                Err((message, help)) => self.error(url.span, message, help),
            }
        }
        if urls.is_empty() {
            // Something to go on with; an error has been noted.
            urls.push(BrokerUrl {
                host: "localhost".into(),
                port: 1883,
            });
        }
        Target::Brokers(Brokers {
            urls,
            topology: topology(Some(brokers)),
            auth: self.auth(auth, devices, true),
        })
    }

    fn embedded_target(&mut self, embedded: Option<&mirror::Embedded>, devices: u32) -> Embedded {
        let auto = devices.div_ceil(DEVICES_PER_NODE).max(NODES_MIN);
        let auto = u16::try_from(auto).expect("devices are limited to far below 65 535 nodes");
        Embedded {
            nodes: self
                .inputs
                .overrides
                .nodes
                .or_else(|| embedded.and_then(|e| e.nodes)?.0)
                .unwrap_or(auto),
            accept_rate_per_s: embedded.and_then(|e| e.accept_rate).map(|rate| rate.0),
            accept_queue: embedded
                .and_then(|e| e.accept_queue)
                .unwrap_or(DEFAULT_ACCEPT_QUEUE),
            service: embedded
                .and_then(|e| e.service.as_ref())
                .map(|service| self.service(service)),
            gone_clients: embedded.map_or(GoneClients::Skip, |e| self.gone_clients(e)),
            me: match embedded.and_then(|e| e.me) {
                None | Some(mirror::MeWord::Shared) => Me::Shared,
                Some(mirror::MeWord::PerConnection) => Me::PerConnection,
            },
        }
    }

    fn override_urls(&mut self) -> Vec<BrokerUrl> {
        let mut urls = Vec::new();
        for url in &self.inputs.overrides.targets {
            match parse_url(url) {
                Ok(url) => urls.push(url),
                Err((message, help)) => self.problems.push(Problem::without_place(
                    format!("--target: {message}"),
                    Some(help),
                )),
            }
        }
        if self.inputs.overrides.targets.len() > MAX_URLS {
            self.problems.push(Problem::without_place(
                format!("--target: more than {MAX_URLS} addresses"),
                None,
            ));
            urls.truncate(MAX_URLS);
        }
        if urls.is_empty() {
            urls.push(BrokerUrl {
                host: "localhost".into(),
                port: 1883,
            });
        }
        urls
    }

    /// Why faults of the reference backend cannot happen, if so.
    pub(super) fn foreign_target(&self, file: &mirror::File) -> Option<&'static str> {
        let brokers = file.target.as_ref().and_then(|t| t.value.brokers.as_ref());
        if !self.inputs.overrides.targets.is_empty() {
            Some("--target names another broker")
        } else if brokers.is_some() {
            Some("the target is `brokers`")
        } else {
            None
        }
    }

    /// A span for errors about a node number.
    pub(super) fn node(&mut self, node: u16, span: Span, nodes: u16) -> u16 {
        if node >= nodes {
            let help = match nodes {
                1 => "there is one node: write 0".to_owned(),
                _ => format!("there are {nodes} nodes: write 0 to {}", nodes - 1),
            };
            self.error(span, format!("there is no node {node}"), help);
        }
        node
    }
}

fn topology(brokers: Option<&At<mirror::Brokers>>) -> Topology {
    match brokers.and_then(|brokers| brokers.value.topology) {
        Some(mirror::Topology::Cluster) => Topology::Cluster,
        Some(mirror::Topology::Independent) | None => Topology::Independent,
    }
}

const EXAMPLE: &str = "write for example mqtt://10.0.0.7:1883";

/// Reads `mqtt://host[:port]`; the error is (message, fix) and never repeats credentials.
fn parse_url(url: &str) -> Result<BrokerUrl, (String, String)> {
    let bad = |message: &str| Err((message.to_owned(), EXAMPLE.to_owned()));
    let Some((scheme, rest)) = url.split_once("://") else {
        return bad("the address has no scheme");
    };
    if rest.contains('@') {
        return Err((
            "credentials do not belong into an address".into(),
            "use `auth: { username: …, password: \"${env:…}\" }` in `target`".into(),
        ));
    }
    match scheme.to_ascii_lowercase().as_str() {
        "mqtt" => {}
        "mqtts" | "ssl" | "tls" => {
            return Err((
                format!("`{scheme}://` is not supported yet: this version has no TLS"),
                "use mqtt:// on a trusted network, or wait for the version with TLS".into(),
            ));
        }
        "ws" | "wss" => {
            return Err((
                format!("`{scheme}://` is not supported: WebSocket is not spoken"),
                EXAMPLE.into(),
            ));
        }
        "tcp" => {
            return Err((
                "`tcp://` is not the scheme".into(),
                format!("write mqtt://{rest}"),
            ));
        }
        _ => return bad("the scheme must be mqtt://"),
    }
    let url = host_and_port(rest)?;
    let host = &url.host;
    let plain = host.trim_end_matches('.');
    let public = |known: &str| plain == known || plain.ends_with(&format!(".{known}"));
    if PUBLIC_BROKERS.iter().any(|known| public(known)) {
        return Err((
            format!("{host} is a public test broker"),
            "it is not there to be loaded: use a broker of your own, or `embedded: {}`".into(),
        ));
    }
    Ok(url)
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_and_port(rest: &str) -> Result<BrokerUrl, (String, String)> {
    let bad = |message: &str| Err((message.to_owned(), EXAMPLE.to_owned()));
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return bad("an address has no path");
    }
    let (host, port) = if let Some(v6) = rest.strip_prefix('[') {
        let Some((host, after)) = v6.split_once(']') else {
            return bad("the IPv6 address has no `]`");
        };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return bad("this is not an IPv6 address");
        }
        (
            host,
            after
                .strip_prefix(':')
                .or(if after.is_empty() { Some("1883") } else { None }),
        )
    } else {
        match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, Some("1883")),
        }
    };
    let host = host.to_ascii_lowercase();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 253 || !host.chars().all(good) {
        return bad("this is not a host name or address");
    }
    let port = port
        .and_then(|port| port.parse::<u16>().ok())
        .filter(|port| *port > 0);
    let Some(port) = port else {
        return bad("the port must be a number from 1 to 65535");
    };
    Ok(BrokerUrl { host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: &str, port: u16) -> Result<BrokerUrl, (String, String)> {
        Ok(BrokerUrl {
            host: host.into(),
            port,
        })
    }

    #[test]
    fn addresses() {
        assert_eq!(parse_url("mqtt://10.0.0.7:1884"), url("10.0.0.7", 1884));
        assert_eq!(
            parse_url("mqtt://Broker.Example/"),
            url("broker.example", 1883)
        );
        assert_eq!(parse_url("mqtt://[::1]"), url("::1", 1883));
        assert_eq!(parse_url("mqtt://[::1]:1"), url("::1", 1));
        for bad in [
            "",
            "host",
            "mqtt://",
            "mqtt://a:0",
            "mqtt://a:99999",
            "mqtt://a:b",
            "mqtt://a/b",
            "mqtt://[::1",
            "mqtt://[::1]x",
            "mqtt://[host]",
            "mqtt://a b",
            "tcp://a",
            "ws://a",
            "mqtts://a",
            "http://a",
            "mqtt://u:p@a",
        ] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn public_brokers_are_refused() {
        for host in PUBLIC_BROKERS {
            assert!(parse_url(&format!("mqtt://{host}:1883")).is_err(), "{host}");
        }
        assert!(parse_url("mqtt://eu.Test.Mosquitto.Org.").is_err());
        assert!(parse_url("mqtt://nottest.mosquitto.org.example").is_ok());
    }
}
