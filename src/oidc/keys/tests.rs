//! Which key fits.

use serde_json::{Value, json};

use super::*;

const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

fn set(keys: Vec<Value>) -> KeySet {
    KeySet::try_from(Document { keys }).unwrap()
}

fn ec(more: &Value) -> Value {
    let mut key = json!({"kty": "EC", "crv": "P-256", "x": P256_X, "y": P256_Y});
    let fields = more.as_object().unwrap().clone();
    key.as_object_mut().unwrap().extend(fields);
    key
}

fn rsa(bytes: usize) -> Value {
    let modulus = BASE64_URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
    json!({"kty": "RSA", "kid": "a", "n": modulus, "e": "AQAB"})
}

fn code(found: Result<DecodingKey, Disbelief>) -> &'static str {
    found.map_or_else(|why| why.code(), |_| "good")
}

#[test]
fn a_key_is_chosen_by_its_id_and_by_what_it_is_for() {
    for (keys, expected) in [
        (vec![ec(&json!({"kid": "a"}))], "good"),
        (
            vec![ec(
                &json!({"kid": "a", "use": "sig", "alg": "ES256", "key_ops": ["verify"]}),
            )],
            "good",
        ),
        (vec![], "unknown_key"),
        (vec![ec(&json!({}))], "unknown_key"),
        (vec![ec(&json!({"kid": "A"}))], "unknown_key"),
        (vec![ec(&json!({"kid": "a", "use": "enc"}))], "unfit_key"),
        (vec![ec(&json!({"kid": "a", "use": "tls"}))], "unfit_key"),
        (
            vec![ec(&json!({"kid": "a", "key_ops": ["deriveKey"]}))],
            "unfit_key",
        ),
        (vec![ec(&json!({"kid": "a", "alg": "ES384"}))], "unfit_key"),
        (vec![ec(&json!({"kid": "a", "crv": "P-384"}))], "unfit_key"),
        (vec![rsa(256)], "unfit_key"),
        (
            vec![json!({"kty": "oct", "kid": "a", "k": "c2VjcmV0"})],
            "unfit_key",
        ),
        // Two of one id: the kind tells them apart, or nothing does.
        (vec![rsa(256), ec(&json!({"kid": "a"}))], "good"),
        (
            vec![ec(&json!({"kid": "a"})), ec(&json!({"kid": "a"}))],
            "unfit_key",
        ),
        // What nobody knows is passed over.
        (
            vec![
                json!({"kty": "NEW", "kid": "b"}),
                json!(7),
                ec(&json!({"kid": "a"})),
            ],
            "good",
        ),
    ] {
        let shown = format!("{keys:?}");
        assert_eq!(
            code(set(keys).find("a", Algorithm::ES256)),
            expected,
            "{shown}"
        );
    }
}

#[test]
fn short_rsa_keys_are_refused() {
    for (bytes, expected) in [
        (128, "unfit_key"),
        (255, "unfit_key"),
        (256, "good"),
        (0, "unfit_key"),
    ] {
        assert_eq!(
            code(set(vec![rsa(bytes)]).find("a", Algorithm::RS256)),
            expected
        );
    }
    let zeros = BASE64_URL_SAFE_NO_PAD.encode([vec![0; 200], vec![0xff; 128]].concat());
    assert_eq!(bits(&zeros), 1024, "zeros in front make no key longer");
    assert_eq!((bits("fw"), bits("!"), bits("")), (7, 0, 0));
}

#[test]
fn a_set_of_more_than_fifty_keys_is_refused() {
    let many = |count| Document {
        keys: vec![ec(&json!({"kid": "a"})); count],
    };
    assert!(KeySet::try_from(many(50)).is_ok());
    assert!(KeySet::try_from(many(51)).is_err());
}

#[test]
fn no_shared_secret_can_be_configured() {
    for name in ["HS256", "HS384", "HS512", "none", "None", "rs256", ""] {
        assert!(name.parse::<Algorithm>().is_err(), "{name}");
    }
}
