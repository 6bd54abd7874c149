//! Networks through which processes of a sandbox reach this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network, with the address of this machine in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// Address of this machine in the network.
    pub address: IpAddr,
    /// Length of the network prefix in bits.
    pub prefix: u8,
}

impl Network {
    /// This machine itself.
    pub const LOOPBACK: Self = Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix: 8 };

    /// Returns the network with a gateway and a subnet, such as `172.18.0.1` and `172.18.0.0/16`. Without a gateway,
    /// the first address of the subnet is used: Docker gives a bridge this address by default, but does not report the
    /// address of its default bridge before the first restart of the engine. `None` if the gateway or the subnet is
    /// invalid.
    #[must_use]
    pub fn parse(gateway: Option<&str>, subnet: &str) -> Option<Self> {
        let (start, prefix) = subnet.split_once('/')?;
        let address = match gateway.filter(|gateway| !gateway.is_empty()) {
            // Some engines append the prefix length to the gateway, too.
            Some(gateway) => gateway.split('/').next()?.parse().ok()?,
            None => first_after(start.parse().ok()?)?,
        };
        Some(Self { address, prefix: prefix.parse().ok()? })
    }

    /// Whether an address is in the network.
    #[must_use]
    pub fn contains(self, other: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let ((own, width), (other, of_other)) = (bits(self.address), bits(other.to_canonical()));
        let shared = u32::from(self.prefix).min(width);
        width == of_other && (own ^ other).checked_shr(128 - shared).unwrap_or_default() == 0
    }
}

/// Returns the address after another one; `None` after the last one.
fn first_after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_share_its_prefix() {
        let network = |address: &str, prefix| Network { address: address.parse().expect("an address"), prefix };
        for (network, peer, expected) in [
            (Network::LOOPBACK, "127.0.0.1", true),
            (Network::LOOPBACK, "127.9.9.9", true),
            (Network::LOOPBACK, "::ffff:127.0.0.1", true),
            (Network::LOOPBACK, "192.168.0.7", false),
            (Network::LOOPBACK, "::1", false),
            (network("172.18.0.1", 16), "172.18.4.2", true),
            (network("172.18.0.1", 16), "172.19.0.2", false),
            (network("172.18.0.1", 16), "127.0.0.1", false),
            (network("172.18.0.1", 32), "172.18.0.1", true),
            (network("172.18.0.1", 32), "172.18.0.2", false),
            (network("fd00::1", 64), "fd00::2", true),
            (network("fd00::1", 64), "fd00:0:0:1::2", false),
        ] {
            assert_eq!(network.contains(peer.parse().expect("an address")), expected, "{peer} in {network:?}");
        }
    }

    #[test]
    fn a_network_is_read_from_its_gateway_and_subnet() {
        let address = IpAddr::V4(Ipv4Addr::new(172, 18, 0, 1));
        for gateway in [Some("172.18.0.1"), Some("172.18.0.1/16"), Some(""), None] {
            let network = Network::parse(gateway, "172.18.0.0/16");
            assert_eq!(network, Some(Network { address, prefix: 16 }), "{gateway:?}");
        }
        let sixth = Network::parse(None, "fd00::/64").expect("a network");
        assert_eq!(sixth.address.to_string(), "fd00::1");
        assert_eq!(Network::parse(Some("172.18.0.1"), "172.18.0.0"), None);
        assert_eq!(Network::parse(Some("no address"), "172.18.0.0/16"), None);
        assert_eq!(Network::parse(None, "255.255.255.255/32"), None);
    }
}
