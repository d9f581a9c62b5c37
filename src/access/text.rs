//! Text: what people may write into the record, how outside text is made safe to keep, and how times
//! are written in sentences.
//!
//! People's text is refused with the code point named, never silently changed: a reason that looks
//! different on the approver's screen than in the log is a way to lie. Outside text (AWS messages,
//! claims) is cleaned and cut instead, because no text may stop an ending.

use chrono::{DateTime, Utc};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategoryGroup, UnicodeEmoji as _, UnicodeGeneralCategory as _};

/// A character that free text may not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the character U+{:04X} at position {position} is not allowed here; please remove it", u32::from(*character))]
pub struct Forbidden {
    /// Which.
    pub character: char,
    /// Where, counted in characters from 1.
    pub position: usize,
}

/// Trims and normalises (NFC) a text that a person wrote, or names the first character that could
/// mislead a reader: controls other than a line break, bidirectional and invisible characters.
///
/// # Errors
/// The first forbidden character.
pub fn clean(text: &str) -> Result<String, Forbidden> {
    let text: String = text.replace("\r\n", "\n").trim().nfc().collect();
    let mut previous = None;
    let mut characters = text.chars().enumerate().peekable();
    while let Some((index, character)) = characters.next() {
        let next = characters.peek().map(|&(_, next)| next);
        if !is_allowed(previous, character, next) {
            return Err(Forbidden {
                character,
                position: index + 1,
            });
        }
        previous = Some(character);
    }
    Ok(text)
}

fn is_allowed(previous: Option<char>, character: char, next: Option<char>) -> bool {
    match character {
        '\n' => true,
        // Joiners are letters' business in several scripts and build emoji; alone they only hide.
        '\u{200C}' | '\u{200D}' => previous.is_some_and(joins) && next.is_some_and(joins),
        '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' => previous.is_some_and(joins),
        '\u{00AD}'
        | '\u{061C}'
        | '\u{180E}'
        | '\u{200B}'
        | '\u{200E}'
        | '\u{200F}'
        | '\u{2028}'..='\u{202E}'
        | '\u{2060}'
        | '\u{2066}'..='\u{2069}'
        | '\u{FEFF}'
        | '\u{FFF9}'..='\u{FFFB}'
        // What a decoder puts in place of bytes that are no text: the writer meant something else.
        | '\u{FFFD}'
        | '\u{E0000}'..='\u{E007F}' => false,
        other => !other.is_control(),
    }
}

fn joins(character: char) -> bool {
    character.is_alphabetic()
        || character.is_emoji_char()
        || character.general_category_group() == GeneralCategoryGroup::Mark
}

/// Most bytes of an outside text that are kept.
const OUTSIDE_BYTES: usize = 1024;

/// Makes a text from outside (an AWS message, a claim) safe to store and show: control characters
/// become spaces, and it is cut to 1 kB at a character boundary.
#[must_use]
pub fn from_outside(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        let character = if is_allowed(Some('a'), character, Some('a')) {
            character
        } else {
            ' '
        };
        if kept.len() + character.len_utf8() > OUTSIDE_BYTES {
            break;
        }
        kept.push(character);
    }
    kept
}

/// An instant as people read it: to the second, in UTC, and said so.
#[must_use]
pub fn time_in_words(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misleading_characters_are_named() {
        for bad in [
            '\0',
            '\u{7}',
            '\u{85}',
            '\u{202E}',
            '\u{2066}',
            '\u{200B}',
            '\u{FEFF}',
            '\u{E0041}',
            '\u{2028}',
        ] {
            let refused = clean(&format!("fix{bad}ing")).unwrap_err();
            assert_eq!((refused.character, refused.position), (bad, 4));
        }
        assert!(
            clean("a\u{202E}b")
                .unwrap_err()
                .to_string()
                .contains("U+202E")
        );
    }

    #[test]
    fn ordinary_text_of_any_script_passes() {
        for good in [
            "Größe prüfen, 3 Zeilen\nmehr",
            "نص عربي",
            "می\u{200C}خواهم",
            "👩\u{200D}🚒 on it ❤\u{FE0F}",
            "日本語",
        ] {
            assert_eq!(clean(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn joiners_pass_only_between_letters_or_emoji() {
        assert!(clean("a \u{200D} b").is_err());
        assert!(clean("end\u{200D}").is_err());
    }

    #[test]
    fn text_is_trimmed_and_composed() {
        assert_eq!(clean("  e\u{301}\r\nx ").as_deref(), Ok("é\nx"));
    }

    #[test]
    fn outside_text_is_cleaned_and_cut_and_never_refused() {
        assert_eq!(from_outside("a\0b\u{202E}c"), "a b c");
        assert!(from_outside(&"ü".repeat(5000)).len() <= 1024);
    }
}
