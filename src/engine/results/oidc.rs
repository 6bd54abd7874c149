//! Identity tokens (`OpenID` Connect): a local issuer whose tokens have the claims of GitHub's tokens and are signed
//! with a key of this machine.
//!
//! Cloud providers do not trust this issuer unless its public key is configured there. Even so, a workflow that
//! requests a token runs up to the step that uses the token, and a local verifier can test the claims.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Map, Value, json};

use crate::engine::context::RunFacts;
use crate::files;
use crate::store::digest::{hexadecimal, sha256};
use crate::workflow::expr::Value as ExprValue;

use super::token::encode;

/// Claims whose values come from the `github` context.
const FROM_CONTEXT: [&str; 15] = [
    "ref",
    "sha",
    "repository",
    "repository_owner",
    "run_id",
    "run_number",
    "run_attempt",
    "actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "head_ref",
    "base_ref",
    "event_name",
    "ref_type",
];

/// Maximum size of the key file in bytes.
const MAX_KEY: u64 = 4096;

/// Lifetime of an identity token in seconds. GitHub's default.
const LIFETIME: u64 = 300;

/// Path of the issuer. The paths of its documents are below it.
pub(super) const PATH: &str = "/oidc";

/// Why no identity token is issued.
#[derive(Debug, thiserror::Error)]
pub(super) enum OidcError {
    #[error("cannot read or create the key: {0}")]
    Key(#[from] io::Error),
    #[error("the key file is damaged: remove it to create a new key")]
    Damaged,
    #[error("the system cannot generate random numbers")]
    Randomness,
}

/// Issuer of identity tokens, which it signs with its key.
pub(super) struct Issuer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

/// Claims of a job, in addition to the claims of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct JobClaims {
    /// Environment of the job; `None` if the job has no environment.
    pub(in crate::engine) environment: Option<String>,
    /// Workflow that contains the job, as `owner/name/path@ref`.
    pub(in crate::engine) workflow_ref: String,
    /// Commit of that workflow; empty if it is not known.
    pub(in crate::engine) workflow_sha: String,
}

impl Issuer {
    /// Returns the issuer of this machine, whose key is in the file `path`. Creates the key if the file does not exist.
    /// If several processes create one, they all use the first.
    ///
    /// # Errors
    /// The key cannot be read or created, or is damaged.
    pub(super) fn of_machine(path: &Path) -> Result<Self, OidcError> {
        let random = SystemRandom::new();
        let read = |document: &[u8]| {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document, &random)
                .map_err(|_| OidcError::Damaged)
        };
        let key = match files::read_own(path, MAX_KEY) {
            Ok(document) => read(&document)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                publish(path, document.map_err(|_| OidcError::Randomness)?.as_ref())?;
                read(&files::read_own(path, MAX_KEY)?)?
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { key, random })
    }

    /// Returns a token. Without an `audience`, the token is for the URL of the repository's owner. `issuer` is the
    /// address of the issuer, and `now` is in seconds since 1970.
    ///
    /// # Errors
    /// The system cannot generate random numbers.
    pub(super) fn token(
        &self,
        facts: &RunFacts,
        job: &JobClaims,
        audience: Option<&str>,
        issuer: &str,
        now: u64,
    ) -> Result<String, OidcError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| OidcError::Randomness)?;
        let mut claims = claims(facts, job);
        let owner = facts.repository.split('/').next().unwrap_or_default();
        let audience = audience.map_or_else(|| format!("https://github.com/{owner}"), str::to_owned);
        for (name, value) in [
            ("jti", json!(hexadecimal(&id))),
            ("aud", json!(audience)),
            ("iss", json!(issuer)),
            ("nbf", json!(now.saturating_sub(60))),
            ("iat", json!(now)),
            ("exp", json!(now + LIFETIME)),
        ] {
            claims.insert(name.to_owned(), value);
        }
        let head = json!({"typ": "JWT", "alg": "ES256", "kid": self.key_id()}).to_string();
        let text = format!("{}.{}", encode(head.as_bytes()), encode(Value::Object(claims).to_string().as_bytes()));
        let signature = self.key.sign(&self.random, text.as_bytes()).map_err(|_| OidcError::Randomness)?;
        Ok(format!("{text}.{}", encode(signature.as_ref())))
    }

    /// Returns the public key as a JSON Web Key Set.
    pub(super) fn keys(&self) -> Value {
        // An uncompressed point: a byte, then both coordinates.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256",
            "kid": self.key_id(), "x": encode(x), "y": encode(y),
        }]})
    }

    fn key_id(&self) -> String {
        sha256(self.key.public_key().as_ref(), 16)
    }
}

/// Returns the discovery document of the issuer.
pub(super) fn configuration(issuer: &str) -> Value {
    let of_token = ["sub", "aud", "exp", "iat", "iss", "jti", "nbf"];
    let of_job = ["environment", "job_workflow_ref", "runner_environment"];
    let names: Vec<&str> = of_token.into_iter().chain(FROM_CONTEXT).chain(of_job).collect();
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/jwks"),
        "subject_types_supported": ["public", "pairwise"],
        "response_types_supported": ["id_token"],
        "claims_supported": names,
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid"],
    })
}

/// Returns the claims about a run and a job.
fn claims(facts: &RunFacts, job: &JobClaims) -> Map<String, Value> {
    let github = facts.github();
    let text = |key: &str| github.get(key).map(ExprValue::to_text).unwrap_or_default();
    let mut claims = Map::new();
    for key in FROM_CONTEXT {
        claims.insert(key.to_owned(), json!(text(key)));
    }
    let ids = Ids::of(facts);
    claims.insert("sub".to_owned(), json!(subject(facts, job, ids.as_ref())));
    claims.insert("ref_protected".to_owned(), json!("false"));
    claims.insert("repository_visibility".to_owned(), json!(facts.visibility()));
    claims.insert("runner_environment".to_owned(), json!("self-hosted"));
    claims.insert("job_workflow_ref".to_owned(), json!(job.workflow_ref));
    claims.insert("job_workflow_sha".to_owned(), json!(job.workflow_sha));
    if let Some(environment) = &job.environment {
        claims.insert("environment".to_owned(), json!(environment));
    }
    if let Some(ids) = ids {
        claims.insert("repository_owner_id".to_owned(), json!(ids.owner));
        claims.insert("repository_id".to_owned(), json!(ids.repository));
    }
    claims
}

/// Ids of a repository and its owner on GitHub, which never change.
struct Ids {
    owner: String,
    repository: String,
}

impl Ids {
    /// Returns the ids. `None` if the payload of the event does not contain them.
    fn of(facts: &RunFacts) -> Option<Self> {
        let repository = facts.event.get("repository")?;
        let number = |of: &Value| of.get("id").and_then(Value::as_u64).map(|id| id.to_string());
        Some(Self { owner: number(repository.get("owner")?)?, repository: number(repository)? })
    }
}

/// Returns the subject of a token. If the ids of the repository and its owner are known, they follow the names, as on
/// GitHub since 2026: `repo:octo@1/app@2:ref:refs/heads/main`.
fn subject(facts: &RunFacts, job: &JobClaims, ids: Option<&Ids>) -> String {
    let (owner, name) = facts.repository.split_once('/').unwrap_or(("", &facts.repository));
    let repository = match ids {
        Some(ids) => format!("{owner}@{}/{name}@{}", ids.owner, ids.repository),
        None => format!("{owner}/{name}"),
    };
    let context = match &job.environment {
        Some(environment) => format!("environment:{}", environment.replace(':', "%3A")),
        None if facts.event_name == "pull_request" => "pull_request".to_owned(),
        None => format!("ref:{}", facts.git_ref),
    };
    format!("repo:{repository}:{context}")
}

/// Writes the key, unless another process already did. A hard link makes the complete file appear in one step.
fn publish(path: &Path, document: &[u8]) -> io::Result<()> {
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(io::Error::other)?;
    let temporary = path.with_extension(hexadecimal(&name));
    fs::File::options().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(document)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use crate::engine::testing;

    fn decoded(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).expect("base64")
    }

    #[test]
    fn a_token_is_signed_by_the_published_key_of_the_machine() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("oidc-key");
        let issuer = Issuer::of_machine(&path).expect("made");
        let workflow_ref = "o/r/ci.yml@refs/heads/main".to_owned();
        let job = JobClaims { workflow_ref, ..JobClaims::default() };
        let facts = testing::facts();
        let token = issuer.token(&facts, &job, Some("sts"), "http://127.0.0.1:1/oidc", 1000).expect("signed");
        let (text, signature) = token.rsplit_once('.').expect("three parts");
        let keys = Issuer::of_machine(&path).expect("read").keys();
        let key = &keys["keys"][0];
        let part = |name: &str| decoded(key[name].as_str().expect("text"));
        let point = [&[4][..], &part("x"), &part("y")].concat();
        let verified =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(text.as_bytes(), &decoded(signature));
        assert!(verified.is_ok());
        let claims: Value = serde_json::from_slice(&decoded(text.split('.').nth(1).expect("claims"))).expect("json");
        assert_eq!((claims["aud"].as_str(), claims["exp"].as_u64()), (Some("sts"), Some(1000 + LIFETIME)));
        fs::write(&path, "short").expect("written");
        assert!(matches!(Issuer::of_machine(&path), Err(OidcError::Damaged)));
    }

    #[test]
    fn subjects_name_the_environment_the_pull_request_or_the_ref() {
        let numbers = json!({"repository": {"id": 2, "owner": {"id": 1}}});
        for (event, environment, payload, expected) in [
            ("push", None, json!({}), "repo:o/r:ref:refs/heads/main"),
            ("pull_request", None, json!({}), "repo:o/r:pull_request"),
            ("push", Some("prod:eu"), json!({}), "repo:o/r:environment:prod%3Aeu"),
            ("push", None, numbers.clone(), "repo:o@1/r@2:ref:refs/heads/main"),
            ("push", Some("prod"), numbers, "repo:o@1/r@2:environment:prod"),
        ] {
            let facts = RunFacts {
                event_name: event.to_owned(),
                git_ref: "refs/heads/main".to_owned(),
                event: payload,
                ..testing::facts()
            };
            let job = JobClaims { environment: environment.map(str::to_owned), ..JobClaims::default() };
            assert_eq!(claims(&facts, &job)["sub"], expected);
        }
    }

    #[test]
    fn the_visibility_is_that_of_the_event() {
        for (repository, expected) in [
            (json!({}), "private"),
            (json!({"private": true}), "private"),
            (json!({"private": false}), "public"),
            (json!({"private": true, "visibility": "internal"}), "internal"),
        ] {
            let facts = RunFacts { event: json!({"repository": repository}), ..testing::facts() };
            assert_eq!(claims(&facts, &JobClaims::default())["repository_visibility"], expected);
        }
    }
}
