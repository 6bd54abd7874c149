//! Tokens of jobs and signatures of links.
//!
//! Clients parse the token of a job as a JSON Web Token but do not verify it. The server verifies its HMAC with a key
//! that is created when the server starts. Links to data are signed separately, because clients send no token with
//! them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::store::digest::hmac_sha256;

/// Lifetime of tokens in seconds, longer than any job takes. The server refuses a token as soon as its job has ended.
const LIFETIME: u64 = 30 * 24 * 60 * 60;

/// URL-safe base64 with optional padding, as clients strip the padding of signatures.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Artifacts and caches; also opens the repository.
    Results,
    /// Identity tokens.
    Identity,
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Results => "Actions.Results",
            Self::Identity => "Actions.GenerateIdToken",
        }
    }
}

/// The job that a token belongs to. Clients treat both ids as opaque, and send them back with each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenIds {
    /// Id of the run, the same for all its jobs and attempts.
    pub(super) run: String,
    /// Id of the job and the attempt.
    pub(super) job: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    scp: String,
    exp: u64,
}

/// Key that signs and verifies tokens and links.
pub(super) struct Signer {
    key: [u8; 32],
}

impl Signer {
    /// Returns a signer with a random key.
    ///
    /// # Errors
    /// The system cannot generate random numbers.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { key })
    }

    /// Returns a token. `cache` lists the refs whose caches the job may use, each with its permissions, which some
    /// clients check: 1 to read, 2 to write, 3 for both. `now` is in seconds.
    pub(super) fn token(&self, scope: Scope, ids: &TokenIds, cache: &[(String, u8)], now: u64) -> String {
        let access: Vec<_> =
            cache.iter().map(|(scope, permission)| json!({"Scope": scope, "Permission": permission})).collect();
        let claims = json!({
            "scp": format!("{}:{}:{}", scope.word(), ids.run, ids.job),
            "ac": Value::Array(access).to_string(),
            "nbf": now.saturating_sub(60),
            "iat": now,
            "exp": now + LIFETIME,
        });
        let text = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.to_string().as_bytes()));
        let signature = self.sign(&text);
        format!("{text}.{signature}")
    }

    /// Returns the job of a token. `None` if the token was not signed here, has expired, or has another scope. `now` is
    /// in seconds.
    pub(super) fn ids(&self, token: &str, scope: Scope, now: u64) -> Option<TokenIds> {
        let (text, signature) = token.rsplit_once('.')?;
        if !self.is_signed(text, signature) {
            return None;
        }
        let (_, claims) = text.split_once('.')?;
        let claims: Claims = serde_json::from_slice(&LENIENT.decode(claims).ok()?).ok()?;
        let (word, ids) = claims.scp.split_once(':')?;
        let (run, job) = ids.split_once(':')?;
        (word == scope.word() && now < claims.exp).then(|| TokenIds { run: run.to_owned(), job: job.to_owned() })
    }

    /// Returns the signature of a text in URL-safe base64 without padding.
    pub(super) fn sign(&self, text: &str) -> String {
        encode(&hmac_sha256(&self.key, text.as_bytes()))
    }

    /// Whether the signature of a text is valid.
    pub(super) fn is_signed(&self, text: &str, signature: &str) -> bool {
        let Ok(given) = LENIENT.decode(signature) else { return false };
        let expected = hmac_sha256(&self.key, text.as_bytes());
        // Compares all bytes, so that the time does not reveal where they differ.
        given.len() == expected.len() && given.iter().zip(&expected).fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }
}

/// Encodes bytes in URL-safe base64 without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes the id of a block: standard base64, with or without padding.
pub(super) fn decode_block_id(id: &str) -> Option<Vec<u8>> {
    const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ANY_PADDING.decode(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> TokenIds {
        TokenIds { run: "20261129-120000-0000".to_owned(), job: "0123".to_owned() }
    }

    #[test]
    fn a_token_has_the_claims_that_clients_read() {
        let signer = Signer::new().expect("randomness");
        let token = signer.token(Scope::Results, &ids(), &[("refs/heads/main".to_owned(), 3)], 1000);
        let parts: Vec<_> = token.split('.').collect();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).expect("base64")).expect("an object");
        assert_eq!((parts.len(), claims["scp"].as_str()), (3, Some("Actions.Results:20261129-120000-0000:0123")));
        assert_eq!(claims["ac"], r#"[{"Scope":"refs/heads/main","Permission":3}]"#);
        assert!(claims["nbf"].as_u64() < Some(1000) && claims["exp"].as_u64() > Some(1000));
    }

    #[test]
    fn only_tokens_of_this_signer_and_scope_are_accepted() {
        let (signer, other) = (Signer::new().expect("randomness"), Signer::new().expect("randomness"));
        let token = signer.token(Scope::Results, &ids(), &[], 1000);
        assert_eq!(signer.ids(&token, Scope::Results, 1000), Some(ids()));
        assert_eq!(signer.ids(&token, Scope::Identity, 1000), None, "another scope");
        assert_eq!(signer.ids(&token, Scope::Results, 1000 + LIFETIME), None, "expired");
        assert_eq!(other.ids(&token, Scope::Results, 1000), None, "another key");
        let (text, signature) = token.rsplit_once('.').expect("three parts");
        let forged = format!("{}.{signature}", text.replace('0', "1"));
        for token in [&forged, "", "a.b.c", text, &format!("{text}.")] {
            assert_eq!(signer.ids(token, Scope::Results, 1000), None, "{token}");
        }
    }

    #[test]
    fn a_signature_may_have_lost_its_padding() {
        let signer = Signer::new().expect("randomness");
        let signature = signer.sign("PUT /blobs/uploads/1");
        assert!(signer.is_signed("PUT /blobs/uploads/1", &signature));
        assert!(signer.is_signed("PUT /blobs/uploads/1", &format!("{signature}=")));
        assert!(!signer.is_signed("PUT /blobs/uploads/2", &signature));
        assert!(!signer.is_signed("PUT /blobs/uploads/1", ""));
    }
}
