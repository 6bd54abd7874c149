//! Networks through which processes of a sandbox reach this machine.

use std::net::{IpAddr, Ipv4Addr};

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

    /// Returns the network with a gateway and a subnet, such as `172.18.0.1` and `172.18.0.0/16`. `None` if one of them
    /// is invalid.
    #[must_use]
    pub fn parse(gateway: &str, subnet: &str) -> Option<Self> {
        let (_, prefix) = subnet.split_once('/')?;
        // Some engines append the prefix length to the gateway, too.
        let address = gateway.split('/').next()?.parse().ok()?;
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
        assert_eq!(Network::parse("172.18.0.1", "172.18.0.0/16"), Some(Network { address, prefix: 16 }));
        assert_eq!(Network::parse("172.18.0.1/16", "172.18.0.0/16"), Some(Network { address, prefix: 16 }));
        assert_eq!(Network::parse("", "172.18.0.0/16"), None);
        assert_eq!(Network::parse("172.18.0.1", "172.18.0.0"), None);
    }
}
