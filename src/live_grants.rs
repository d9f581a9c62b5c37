//! How to take away by hand what Curfew has given, for the day on which its database is away
//! (protocol G4): the exact commands, as a shell script and one by one.
//!
//! Pure text, and the last picture that this process had. Who reads the database for it and writes the
//! file is `app`. Nothing that comes from outside can leave its comment or its quotes.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::access::id::{GrantId, RequestId};
use crate::access::target::account_in_words;
use crate::access::text::{from_outside, time_in_words};

/// Name of the file in the state folder.
pub const FILE: &str = "live-grants.sh";

/// What the line with its time begins with.
const AS_OF: &str = "# As of ";

/// What a command begins with.
const COMMAND: &str = "aws sso-admin delete-account-assignment ";

/// What identifies an assignment in Identity Center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuple {
    /// Where.
    pub account_id: String,
    /// What.
    pub permission_set_arn: String,
    /// Whose, as the identity store writes it.
    pub user_id: String,
}

/// A grant that may have caused an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its request.
    pub request_id: RequestId,
    /// Its id.
    pub grant_id: GrantId,
    /// Who has it.
    pub email: String,
    /// The permission set's name.
    pub permission_set: String,
    /// The account's name.
    pub account_name: String,
    /// Where it stands.
    pub status: String,
    /// When it ends or was to end.
    pub ends_at: Option<DateTime<Utc>>,
}

/// An assignment that is Curfew's to take away, with the grants that explain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The assignment.
    pub tuple: Tuple,
    /// Its grants that are not over; none for what was closed and is watched.
    pub claims: Vec<Claim>,
}

/// All of them at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// When the database said so.
    pub as_of: DateTime<Utc>,
    /// The Identity Center instance.
    pub instance_arn: String,
    /// Its region, if it is known.
    pub region: Option<String>,
    /// What there is.
    pub entries: Vec<Entry>,
}

/// The AWS CLI's command that takes one assignment away.
#[must_use]
pub fn command(instance_arn: &str, of: &Tuple) -> String {
    format!(
        "{COMMAND}--instance-arn {} --target-id {} --target-type AWS_ACCOUNT --permission-set-arn {} --principal-type USER --principal-id {}",
        quoted(instance_arn),
        quoted(&of.account_id),
        quoted(&of.permission_set_arn),
        quoted(&of.user_id)
    )
}

/// One word of a shell, on one line.
fn quoted(word: &str) -> String {
    let word = one_line(word);
    let is_plain = |at: char| at.is_ascii_alphanumeric() || "-_./:@+,=".contains(at);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Text from outside, which neither ends its line nor misleads whoever reads it.
fn one_line(text: &str) -> String {
    from_outside(text).replace('\n', " ")
}

impl Picture {
    /// As a script that takes all of it away.
    #[must_use]
    pub fn script(&self) -> String {
        let mut text = format!(
            "#!/bin/sh\n\
             # Written by Curfew: takes away all access that it has given or may have given.\n\
             # Meant for the day on which Curfew or its database is away. Each command stands for itself: run all of\n\
             # them (sh {FILE}) or the ones you need, with credentials that may administer Identity Center.\n\
             # They only start a deletion: look into Identity Center whether it is done.\n\
             {AS_OF}{} ({}), {} to delete.\n",
            time_in_words(self.as_of),
            self.as_of.timestamp(),
            self.entries.len(),
        );
        if let Some(region) = &self.region {
            let region = quoted(region);
            let _ = writeln!(
                text,
                "AWS_REGION=${{AWS_REGION:-{region}}}; export AWS_REGION"
            );
        }
        for entry in &self.entries {
            text.push('\n');
            for claim in &entry.claims {
                let _ = writeln!(text, "# {}", claim.in_words(&entry.tuple));
            }
            if entry.claims.is_empty() {
                text.push_str(
                    "# No grant that is open: not confirmed gone, and still Curfew's to delete.\n",
                );
            }
            text.push_str(&command(&self.instance_arn, &entry.tuple));
            text.push('\n');
        }
        text
    }

    /// The command for what this request gave, if it is there.
    #[must_use]
    pub fn command_of(&self, request: RequestId) -> Option<String> {
        let entry = self.entries.iter().find(|entry| {
            let mut claims = entry.claims.iter();
            claims.any(|claim| claim.request_id == request)
        })?;
        Some(command(&self.instance_arn, &entry.tuple))
    }
}

impl Claim {
    fn in_words(&self, of: &Tuple) -> String {
        let end = self
            .ends_at
            .map(|at| format!(", ends {}", time_in_words(at)))
            .unwrap_or_default();
        let account = account_in_words(&one_line(&self.account_name), &one_line(&of.account_id));
        format!(
            "request {}, grant {}: {}, {} in {account}, {}{end}",
            self.request_id,
            self.grant_id,
            one_line(&self.email),
            one_line(&self.permission_set),
            one_line(&self.status)
        )
    }
}

/// The commands of a script, those about this request or grant alone if one is named.
#[must_use]
pub fn commands_in<'a>(script: &'a str, about: Option<&str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut is_about = about.is_none();
    for line in script.lines() {
        if line.is_empty() {
            is_about = about.is_none();
        } else if let (Some(words), Some(id)) = (line.strip_prefix("# request "), about) {
            let ids = words.split([':', ',', ' ']);
            is_about |= ids.take(5).any(|word| word == id);
        } else if line.starts_with(COMMAND) && is_about {
            found.push(line);
        }
    }
    found
}

/// The time that a script says it was written at.
#[must_use]
pub fn written_at(script: &str) -> Option<&str> {
    let line = script.lines().find_map(|line| line.strip_prefix(AS_OF))?;
    line.split(" (").next()
}

/// The last picture that this process had, and why it could not be kept, if so. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastSeen(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    picture: Option<Arc<Picture>>,
    problem: Option<String>,
}

impl LastSeen {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture, if there is one.
    #[must_use]
    pub fn picture(&self) -> Option<Arc<Picture>> {
        self.held().picture.clone()
    }

    /// Keeps a new one; says whether it shows anything else, or the one before is of `older` or earlier.
    #[must_use]
    pub fn replace(&self, picture: Picture, older: DateTime<Utc>) -> bool {
        let mut held = self.held();
        let is_news = held.picture.as_ref().is_none_or(|before| {
            before.entries != picture.entries || before.as_of <= older || held.problem.is_some()
        });
        if is_news {
            held.picture = Some(Arc::new(picture));
        }
        is_news
    }

    /// Why the file could not be written, if so.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.held().problem.clone()
    }

    /// The file was written, or was not.
    pub fn set_problem(&self, problem: Option<String>) {
        self.held().problem = problem;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::request::tests::at;

    fn tuple() -> Tuple {
        Tuple {
            account_id: "111111111111".into(),
            permission_set_arn: "arn:aws:sso:::permissionSet/ssoins-1/ps-1".into(),
            user_id: "9067a1b2c3-10000000-0000-4000-8000-000000000004".into(),
        }
    }

    fn claim(number: u128) -> Claim {
        Claim {
            request_id: RequestId(uuid::Uuid::from_u128(number)),
            grant_id: GrantId(uuid::Uuid::from_u128(number + 100)),
            email: "ada@example.com".into(),
            permission_set: "production-admin".into(),
            account_name: "payments-prod".into(),
            status: "active".into(),
            ends_at: Some(at(600)),
        }
    }

    fn picture(entries: Vec<Entry>) -> Picture {
        Picture {
            as_of: at(0),
            instance_arn: "arn:aws:sso:::instance/ssoins-1".into(),
            region: Some("eu-central-1".into()),
            entries,
        }
    }

    #[test]
    fn a_command_is_the_one_that_the_aws_cli_takes() {
        assert_eq!(
            command("arn:aws:sso:::instance/ssoins-1", &tuple()),
            "aws sso-admin delete-account-assignment --instance-arn arn:aws:sso:::instance/ssoins-1 --target-id 111111111111 \
             --target-type AWS_ACCOUNT --permission-set-arn arn:aws:sso:::permissionSet/ssoins-1/ps-1 --principal-type USER \
             --principal-id 9067a1b2c3-10000000-0000-4000-8000-000000000004"
        );
    }

    #[test]
    fn nothing_from_outside_leaves_its_comment_or_its_quotes() {
        for evil in [
            "x\nrm -rf /",
            "x\r\nrm -rf /",
            "x\u{2028}rm",
            "x\u{85}rm",
            "x\u{b}rm\u{c}rm",
            "x\0rm",
            "'; rm -rf /; '",
            "$(rm -rf /)",
            "`rm`",
            "\\",
            "\\\nrm",
            "\u{1b}[2Jrm",
            "\u{202e}mr",
        ] {
            let entry = Entry {
                tuple: Tuple {
                    user_id: evil.into(),
                    ..tuple()
                },
                claims: vec![Claim {
                    email: evil.into(),
                    permission_set: evil.into(),
                    account_name: evil.into(),
                    status: evil.into(),
                    ..claim(1)
                }],
            };
            let mut picture = picture(vec![entry]);
            picture.region = Some(evil.into());
            let script = picture.script();
            for line in script.lines() {
                let is_known = line.is_empty()
                    || line.starts_with('#')
                    || line.starts_with(COMMAND)
                    || line.starts_with("AWS_REGION=");
                assert!(is_known, "{evil:?} made the line {line:?}");
                assert!(!line.contains(char::is_control), "{line:?}");
            }
            // What a shell makes of the last word is one argument: the text itself, on one line.
            let line = commands_in(&script, None)[0];
            let word = line.rsplit_once("--principal-id ").unwrap().1;
            let said = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf '%s|' {word}"))
                .output()
                .unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            assert_eq!(said, format!("{}|", one_line(evil)), "{evil:?}");
        }
    }

    #[test]
    fn the_commands_of_one_request_or_grant_are_found_in_a_script_with_its_time() {
        let shared = Entry {
            tuple: tuple(),
            claims: vec![claim(1), claim(2)],
        };
        let other = Entry {
            tuple: Tuple {
                account_id: "222222222222".into(),
                ..tuple()
            },
            claims: vec![claim(3)],
        };
        let closed = Entry {
            tuple: Tuple {
                account_id: "333333333333".into(),
                ..tuple()
            },
            claims: Vec::new(),
        };
        let script = picture(vec![shared, other, closed]).script();
        let count = |about: Option<&str>| commands_in(&script, about).len();
        assert_eq!(count(None), 3);
        for number in [1_u128, 2, 3, 101, 102, 103] {
            let id = uuid::Uuid::from_u128(number).to_string();
            let found = commands_in(&script, Some(&id));
            assert_eq!(found.len(), 1, "{number}");
            let account = if number % 100 == 3 {
                "222222222222"
            } else {
                "111111111111"
            };
            assert!(found[0].contains(account), "{number}");
        }
        assert_eq!(count(Some("ada@example.com")), 0);
        assert_eq!(written_at(&script).unwrap(), time_in_words(at(0)));
    }

    #[test]
    fn a_picture_is_news_if_it_shows_something_else_is_old_or_was_not_kept() {
        let seen = LastSeen::default();
        let entry = Entry {
            tuple: tuple(),
            claims: vec![claim(1)],
        };
        let replace = |entries: Vec<Entry>, seconds| {
            let new = Picture {
                as_of: at(seconds),
                ..picture(entries)
            };
            seen.replace(new, at(seconds - 60))
        };
        assert!(replace(Vec::new(), 0));
        assert!(!replace(Vec::new(), 59));
        assert!(replace(vec![entry.clone()], 60));
        assert!(!replace(vec![entry.clone()], 61));
        assert!(replace(vec![entry.clone()], 120));
        seen.set_problem(Some("full".into()));
        assert!(replace(vec![entry], 121));
    }
}
