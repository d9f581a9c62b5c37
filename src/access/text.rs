//! Text: what people may write into the record, how outside text is made safe to keep, and how times
//! are written in sentences.
//!
//! People's text is refused with the code point named, never silently changed: a reason that looks
//! different on the approver's screen than in the log is a way to lie. Outside text (AWS messages,
//! claims) is cleaned and cut instead, because no text may stop an ending.

use chrono::{DateTime, Utc};
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{
    GeneralCategory, GeneralCategoryGroup, UnicodeEmoji as _, UnicodeGeneralCategory as _,
};

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
/// mislead a reader: controls other than a line break, bidirectional, invisible and meaningless ones.
///
/// # Errors
/// The first forbidden character.
pub fn clean(text: &str) -> Result<String, Forbidden> {
    let text: String = text.replace("\r\n", "\n").trim().nfc().collect();
    let found = judged(&text).zip(1..).find(|((_, good), _)| !good);
    match found {
        Some(((character, _), position)) => Err(Forbidden {
            character,
            position,
        }),
        None => Ok(text),
    }
}

/// Every character of the text, and whether it may stand where it stands.
fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = Before::default();
    let nexts = text.chars().skip(1).map(Some).chain([None]);
    text.chars().zip(nexts).map(move |(character, next)| {
        let good = before.allows(character, next);
        // What is refused ends up as a space, if the text is kept at all.
        before.step_over(if good { character } else { ' ' });
        (character, good)
    })
}

/// What stands before a character.
#[derive(Default)]
struct Before {
    previous: Option<char>,
    /// The last one that is neither a mark nor a joiner: what those belong to.
    base: Option<char>,
    /// Marks on that one.
    marks: usize,
}

/// Most marks on one letter. Scripts need three or four; hundreds bury the lines around them.
const MOST_MARKS: usize = 6;

impl Before {
    fn allows(&self, character: char, next: Option<char>) -> bool {
        let joins_previous = self.previous.is_some_and(joins);
        match character {
            '\n' => true,
            // Joiners are letters' business in several scripts and build emoji; alone they only hide.
            // Latin words and numbers have no use for them, and look the same without.
            _ if is_joiner(character) => {
                joins_previous
                    && self.base.is_some_and(|base| !base.is_ascii())
                    && next.is_some_and(|next| joins(next) && !next.is_ascii())
            }
            _ if is_selector(character) => {
                joins_previous
                    && !self.previous.is_some_and(is_selector)
                    // There are variants of ASCII digits and signs (keycaps), but of no ASCII letter.
                    && !self.previous.is_some_and(|previous| previous.is_ascii_alphabetic())
            }
            _ if shows_nothing(character) => false,
            _ if is_mark(character) => self.marks < MOST_MARKS,
            // What a decoder puts in place of bytes that are no text: the writer meant something else.
            '\u{FFFD}' => false,
            _ => !matches!(
                character.general_category(),
                GeneralCategory::Control
                    // Zero-width, bidirectional, tags: without a shape of their own.
                    | GeneralCategory::Format
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
                    // Nobody can say what these show; reader and writer may well see different things.
                    | GeneralCategory::PrivateUse
                    | GeneralCategory::Unassigned
            ),
        }
    }

    fn step_over(&mut self, character: char) {
        if is_selector(character) || is_joiner(character) {
            // They neither start a letter nor count as a mark on it.
        } else if is_mark(character) {
            self.marks += 1;
        } else {
            self.base = Some(character);
            self.marks = 0;
        }
        self.previous = Some(character);
    }
}

/// Zero-width non-joiner and joiner.
fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200C}' | '\u{200D}')
}

/// Chooses a variant of the character before it, and shows nothing itself.
fn is_selector(character: char) -> bool {
    matches!(
        character,
        '\u{180B}'..='\u{180D}' | '\u{180F}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}'
    )
}

/// Letters, marks and signs without a shape: fillers, a joiner by another name, blanks.
fn shows_nothing(character: char) -> bool {
    matches!(
        character,
        '\u{034F}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FFA0}'
            | '\u{13441}'
            | '\u{13442}'
            | '\u{16FE4}'
            | '\u{1D159}'
    )
}

fn is_mark(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Mark
}

fn joins(character: char) -> bool {
    character.is_alphabetic() || character.is_emoji_char() || is_mark(character)
}

/// Most bytes of an outside text that are kept.
const OUTSIDE_BYTES: usize = 1024;

/// Makes a text from outside (an AWS message, a claim) safe to store and show: what people may not
/// write becomes a space, and it is cut to 1 kB at a character boundary.
#[must_use]
pub fn from_outside(text: &str) -> String {
    let mut kept = String::new();
    for (character, good) in judged(text) {
        let character = if good { character } else { ' ' };
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
            '\u{FFFD}',
            // Letters, marks and signs that show nothing.
            '\u{034F}',
            '\u{115F}',
            '\u{1160}',
            '\u{17B4}',
            '\u{17B5}',
            '\u{2800}',
            '\u{3164}',
            '\u{FFA0}',
            '\u{13441}',
            '\u{1D159}',
            // Formats, deprecated and mathematical and musical ones included.
            '\u{206A}',
            '\u{2061}',
            '\u{1D173}',
            // Private use.
            '\u{E000}',
            '\u{F8FF}',
            '\u{10FFFD}',
            // Noncharacters and unassigned.
            '\u{FFFE}',
            '\u{FDD0}',
            '\u{0378}',
            '\u{E0FFF}',
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
    fn a_reason_of_nothing_visible_is_refused() {
        for blank in [
            '\u{3164}', '\u{115F}', '\u{2800}', '\u{034F}', '\u{206A}', '\u{2061}', '\u{17B4}',
            '\u{180B}', '\u{FE0F}', '\u{E000}', '\u{FFFE}',
        ] {
            let refused = clean(&blank.to_string().repeat(20)).unwrap_err();
            assert_eq!((refused.character, refused.position), (blank, 1));
        }
    }

    #[test]
    fn ordinary_text_of_any_script_passes() {
        for good in [
            "Größe prüfen, 3 Zeilen\nmehr",
            "نص عربي",
            "می\u{200C}خواهم",
            "👩\u{200D}🚒 on it ❤\u{FE0F}",
            "日本語",
            "한국어 문장",
            "ภาษาไทย ที่นี่",
            "Tiếng Việt",
            "שָׁלוֹם עֲלֵיכֶם",
            "Ἀθῆναι, Москва, Հայերեն, ქართული",
            // Conjuncts: half a letter with a joiner, a visible virama without.
            "क्\u{200D}ष, क्\u{200C}ष, र\u{200D}्य",
            "葛\u{E0100}城",
            "ᠨ\u{180B}ᠠ",
            // A family, skin tones, a heart on fire, the rainbow, flags, keycaps, a slashed zero.
            "👨\u{200D}👩\u{200D}👧\u{200D}👦",
            "👩🏽\u{200D}🚒 👍🏿",
            "❤\u{FE0F}\u{200D}🔥 🏳\u{FE0F}\u{200D}🌈",
            "🇩🇪🇫🇷",
            "1\u{FE0F}\u{20E3} #\u{FE0F}\u{20E3} 0\u{FE00}",
            "x\u{302}\u{308}\u{304} ≠ ∑ → € ½ №",
        ] {
            assert_eq!(clean(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn joiners_pass_only_between_letters_or_emoji() {
        assert!(clean("a \u{200D} b").is_err());
        assert!(clean("end\u{200D}").is_err());
        for hidden in [
            "1\u{200D}2",
            "#\u{200D}#",
            "re\u{200C}start",
            "é\u{200C}x",
            "x\u{200C}é",
            "x\u{302}\u{200C}é",
            "1\u{FE0F}\u{200D}🔥",
            "م\u{200C}\u{200C}م",
        ] {
            let refused = clean(hidden).unwrap_err();
            assert!(is_joiner(refused.character), "{hidden:?}: {refused}");
        }
    }

    #[test]
    fn a_selector_passes_only_once_after_what_has_variants() {
        for (hidden, position) in [
            ("🔥\u{FE0F}\u{FE0F}", 3),
            ("🔥\u{FE0F}\u{E0100}\u{FE0F}", 3),
            ("🔥\u{FE0F} \u{FE0F}", 4),
            ("re\u{FE0F}start", 3),
            ("\u{FE0F}a", 1),
            ("م\u{200D}\u{FE0F}", 3),
        ] {
            let refused = clean(hidden).unwrap_err();
            assert_eq!(refused.position, position, "{hidden:?}: {refused}");
        }
    }

    #[test]
    fn a_letter_carries_six_marks_at_most() {
        let with = |marks: usize| clean(&format!("x{}", "\u{302}".repeat(marks)));
        assert!(with(6).is_ok());
        for many in [7, 400] {
            assert_eq!(with(many).unwrap_err().position, 8);
        }
        // What shows nothing does not start the count again.
        assert!(clean(&format!("x{}", "\u{302}\u{FE0F}".repeat(7))).is_err());
        assert!(clean(&format!("م{}", "\u{302}\u{200D}".repeat(7))).is_err());
    }

    #[test]
    fn text_is_trimmed_and_composed() {
        assert_eq!(clean("  e\u{301}\r\nx ").as_deref(), Ok("é\nx"));
    }

    #[test]
    fn outside_text_is_cleaned_and_cut_and_never_refused() {
        assert_eq!(from_outside("a\0b\u{202E}c"), "a b c");
        assert!(from_outside(&"ü".repeat(5000)).len() <= 1024);
        assert_eq!(
            from_outside("می\u{200C}خواهم re\u{200C}start"),
            "می\u{200C}خواهم re start"
        );
        assert_eq!(from_outside("\u{3164}\u{FE0F}\u{E000}"), "   ");
    }
}
