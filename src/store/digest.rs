//! SHA-256 digests and HMACs, and bytes in hexadecimal.

use std::io;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::files;

/// Returns bytes in hexadecimal, two lower-case digits each.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Returns the first `bytes` (of 32) of the SHA-256 of a text, in hexadecimal.
#[must_use]
pub fn sha256(text: impl AsRef<[u8]>, bytes: usize) -> String {
    let digest = Sha256::digest(text);
    hexadecimal(&digest[..bytes.min(digest.len())])
}

/// Number of bytes of a file that are read at once.
const PORTION: usize = 64 * 1024;

/// Returns the SHA-256 of a file that the user owns, in hexadecimal. The file is read in portions.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = files::open_own(path)?;
    let mut digest = Sha256::new();
    let mut portion = vec![0; PORTION];
    loop {
        match file.read(&mut portion)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            bytes => digest.update(&portion[..bytes]),
        }
    }
}

/// Number of bytes in a block of SHA-256, to which the key of an HMAC is padded.
const BLOCK_BYTES: usize = 64;

/// Returns the HMAC with SHA-256 of a text, as RFC 2104 defines it, under a key of at most 64 bytes.
#[must_use]
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mixed = |with: u8| {
        let mut block = [with; BLOCK_BYTES];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(mixed(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(mixed(0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        let whole = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((sha256("abc", 32).as_str(), sha256("abc", 4).as_str()), (whole, &whole[..8]));
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hexadecimal(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")), expected);
    }
}
