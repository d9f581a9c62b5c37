//! Ids and draws worked out from a seed, so that a run can be repeated.
//!
//! Not random and not secret. Nothing here keeps a state: the same parts always give the same
//! answer.

use sha2::{Digest, Sha256};

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        // The length in front keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update(part.len().to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// A UUID (in version 4's shape) for `parts`.
pub(super) fn uuid(parts: &[&str]) -> String {
    let digest = digest(parts);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// A number between `low` and `high` inclusive for `parts`; `low` where the range is empty.
pub(super) fn draw(parts: &[&str], low: u64, high: u64) -> u64 {
    let digest = digest(parts);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    match high.checked_sub(low).and_then(|width| width.checked_add(1)) {
        Some(width) => low + u64::from_be_bytes(bytes) % width,
        None => low,
    }
}

/// Sixteen hexadecimal digits for `parts`: the check of a paging token.
pub(super) fn check(parts: &[&str]) -> String {
    hex::encode(&digest(parts)[..8])
}

/// One normal form for a principal's id: `UUID` and `10hex-UUID` are the same person.
pub(super) fn normal(principal_id: &str) -> String {
    let bare = match principal_id.split_once('-') {
        Some((prefix, rest)) if prefix.len() == 10 => rest,
        _ => principal_id,
    };
    bare.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_id_have_one_normal_form() {
        assert_eq!(
            normal("9067A1B2C3-10000000-0000-4000-8000-00000000000A"),
            normal("10000000-0000-4000-8000-00000000000a")
        );
        assert_ne!(
            normal("10000000-0000-4000-8000-000000000001"),
            normal("10000000-0000-4000-8000-000000000002")
        );
    }

    #[test]
    fn a_draw_stays_in_its_range_and_repeats() {
        for n in 0..200 {
            let n = n.to_string();
            let value = draw(&["seed", &n], 2000, 8000);
            assert!((2000..=8000).contains(&value));
            assert_eq!(value, draw(&["seed", &n], 2000, 8000));
        }
        assert_eq!(draw(&["x"], 9, 3), 9);
    }
}
