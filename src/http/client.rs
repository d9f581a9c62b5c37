//! The address that somebody comes from: the other end of the connection, or, where that is one of
//! our own proxies, what the proxies say. Pure.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The nearest address that is not a trusted proxy's. Whatever stands left of it was written by
/// somebody whom nobody vouches for.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut nearest = peer.to_canonical();
    let hops = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        let address = std::str::from_utf8(hop).ok();
        let address = address.and_then(|hop| hop.trim().parse::<IpAddr>().ok());
        // What can't be read ends the way: nothing left of it was written by a proxy of ours.
        let Some(address) = address.filter(|_| is_trusted(&nearest)) else {
            break;
        };
        nearest = address.to_canonical();
    }
    nearest
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(FORWARDED_FOR, value);
        }
        let trusted: Vec<IpNet> = trusted
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_chooses_an_address_for_the_record() {
        let proxies = &["10.0.0.0/8", "::1/128"][..];
        for (peer, forwarded, trusted, expected) in [
            ("192.0.2.9", &["198.51.100.1"][..], &[][..], "192.0.2.9"),
            ("192.0.2.9", &["198.51.100.1"], proxies, "192.0.2.9"),
            ("10.0.0.1", &[], proxies, "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], proxies, "198.51.100.1"),
            (
                "10.0.0.1",
                &["203.0.113.5, 198.51.100.1"],
                proxies,
                "198.51.100.1",
            ),
            (
                "10.0.0.1",
                &["203.0.113.5", "198.51.100.1, 10.0.0.2"],
                proxies,
                "198.51.100.1",
            ),
            ("10.0.0.1", &["198.51.100.1, nonsense"], proxies, "10.0.0.1"),
            // Of what a proxy appended to, only its own part is read.
            ("10.0.0.1", &["é, 198.51.100.1"], proxies, "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.5", "é"], proxies, "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], proxies, "10.0.0.3"),
            ("::1", &["2001:db8::7"], proxies, "2001:db8::7"),
            (
                "::ffff:10.0.0.1",
                &["::ffff:198.51.100.1"],
                proxies,
                "198.51.100.1",
            ),
        ] {
            assert_eq!(
                seen(peer, forwarded, trusted),
                expected,
                "{peer} {forwarded:?}"
            );
        }
    }
}
