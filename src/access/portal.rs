//! The AWS access portal: how somebody who has access gets to it. Pure.
//!
//! An address and a profile grant nothing by themselves. Show them only while access is there
//! (promise P3). Names come from outside: what could mean something else in an address is encoded, and
//! what can't be written into a configuration file is not written at all.

use super::target::Target;

/// Where people reach AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessPortal {
    /// `https://….awsapps.com/start`, without a slash at its end.
    start_url: String,
    /// Identity Center's region, if it is known.
    region: Option<String>,
}

/// What a person pastes to use the access with the AWS CLI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliProfile {
    /// For `~/.aws/config`.
    pub config: String,
    /// Signs in.
    pub sign_in: String,
    /// Tells who one is then.
    pub try_it: String,
}

/// Longest account name that a profile is named after.
const MOST_NAME: usize = 40;

/// Name of the session that all profiles share.
const SESSION: &str = "curfew";

impl AccessPortal {
    /// The portal at this address, or at the one that AWS gives every identity store.
    ///
    /// # Errors
    /// If the address is not one of `https`, or could not stand in a configuration file.
    pub fn new(
        start_url: Option<&str>,
        identity_store_id: &str,
        region: Option<&str>,
    ) -> Result<Self, String> {
        let start_url = match start_url {
            // Copied from a browser, it may end in the portal's own route.
            Some(url) => url.split('#').next().unwrap_or_default().to_owned(),
            None => format!("https://{identity_store_id}.awsapps.com/start"),
        };
        let start_url = start_url.trim_end_matches('/');
        let is_good = start_url
            .strip_prefix("https://")
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric()))
            && start_url
                .chars()
                .all(|at| at.is_ascii_alphanumeric() || "-._~:/".contains(at));
        if !is_good {
            return Err(format!(
                "{start_url:?} is not the address of an access portal, such as https://d-1234567890.awsapps.com/start"
            ));
        }
        Ok(Self {
            start_url: start_url.to_owned(),
            region: region.filter(|region| is_plain(region)).map(str::to_owned),
        })
    }

    /// Opens the console with this access.
    #[must_use]
    pub fn console(&self, target: &Target) -> String {
        format!(
            "{}/#/console?account_id={}&role_name={}",
            self.start_url,
            encoded(target.account_id()),
            encoded(target.permission_set())
        )
    }

    /// The profile for this access; none if something that it needs is unknown or has characters that a
    /// configuration file can't hold.
    #[must_use]
    pub fn cli_profile(&self, target: &Target) -> Option<CliProfile> {
        let (id, set) = (target.account_id(), target.permission_set());
        let region = self.region.as_deref()?;
        if !is_plain(id) || !is_plain(set) {
            return None;
        }
        // The id keeps accounts of one name apart: nobody should work in another than they think.
        let account = match target.account_name() {
            name if is_name(name) && name.len() <= MOST_NAME => format!("{name}-{id}"),
            _ => id.to_owned(),
        };
        let set_in_name: String = set
            .chars()
            .map(|at| if is_name_char(at) { at } else { '-' })
            .collect();
        let profile = format!("{SESSION}-{account}-{set_in_name}");
        Some(CliProfile {
            config: format!(
                "[sso-session {SESSION}]\n\
                 sso_start_url = {start_url}\n\
                 sso_region = {region}\n\
                 sso_registration_scopes = sso:account:access\n\
                 \n\
                 [profile {profile}]\n\
                 sso_session = {SESSION}\n\
                 sso_account_id = {id}\n\
                 sso_role_name = {set}\n\
                 region = {region}\n",
                start_url = self.start_url
            ),
            sign_in: format!("aws sso login --sso-session {SESSION}"),
            try_it: format!("aws sts get-caller-identity --profile {profile}"),
        })
    }
}

/// Characters that AWS allows in the name of a permission set; none of them means anything in a value
/// of a configuration file.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|at| at.is_ascii_alphanumeric() || "_+=,.@-".contains(at))
}

/// Can it stand in the name of a profile, and unquoted in a shell?
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_char)
}

fn is_name_char(at: char) -> bool {
    at.is_ascii_alphanumeric() || "_.-".contains(at)
}

/// Percent-encodes everything that is not certain to mean only itself.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portal() -> AccessPortal {
        AccessPortal::new(None, "d-1234567890", Some("eu-central-1")).unwrap()
    }

    fn target(account_name: &str, permission_set: &str) -> Target {
        Target::PermissionSet {
            account_id: "111111111111".into(),
            account_name: account_name.into(),
            permission_set_arn: String::new(),
            permission_set: permission_set.into(),
        }
    }

    #[test]
    fn a_target_has_a_link_to_the_console_and_a_profile() {
        let target = target("payments-prod", "production-admin");
        assert_eq!(
            portal().console(&target),
            "https://d-1234567890.awsapps.com/start/#/console?account_id=111111111111&role_name=production-admin"
        );
        let profile = portal().cli_profile(&target).unwrap();
        assert_eq!(
            profile.config,
            "[sso-session curfew]\nsso_start_url = https://d-1234567890.awsapps.com/start\nsso_region = eu-central-1\n\
             sso_registration_scopes = sso:account:access\n\n\
             [profile curfew-payments-prod-111111111111-production-admin]\nsso_session = curfew\n\
             sso_account_id = 111111111111\nsso_role_name = production-admin\nregion = eu-central-1\n"
        );
        assert_eq!(profile.sign_in, "aws sso login --sso-session curfew");
        assert_eq!(
            profile.try_it,
            "aws sts get-caller-identity --profile curfew-payments-prod-111111111111-production-admin"
        );
    }

    #[test]
    fn a_nasty_permission_set_breaks_out_of_nothing() {
        let nasty = "a&account_id=2#/x?y=z %\n[profile default]\u{fc}";
        let link = portal().console(&target("payments-prod", nasty));
        let (_, name) = link.split_once("role_name=").unwrap();
        assert_eq!(
            name,
            "a%26account_id%3D2%23%2Fx%3Fy%3Dz%20%25%0A%5Bprofile%20default%5D%C3%BC"
        );
        for nasty in [nasty, "x\nregion = us-east-1", "a]b", "a #b", "", " "] {
            assert_eq!(
                portal().cli_profile(&target("payments-prod", nasty)),
                None,
                "{nasty:?}"
            );
        }
    }

    #[test]
    fn what_aws_allows_in_a_name_is_written_as_it_is_and_named_safely() {
        let profile = portal()
            .cli_profile(&target("payments-prod", "A+b=c,d.e@f-g_h"))
            .unwrap();
        assert!(profile.config.contains("sso_role_name = A+b=c,d.e@f-g_h\n"));
        assert!(profile.try_it.ends_with("-A-b-c-d.e-f-g_h"));
    }

    #[test]
    fn a_profile_of_an_account_without_a_usable_name_is_named_by_its_id() {
        for name in ["", "حساب", "a b", "$(reboot)", &"x".repeat(41)] {
            let profile = portal().cli_profile(&target(name, "admin")).unwrap();
            assert!(
                profile
                    .config
                    .contains("[profile curfew-111111111111-admin]"),
                "{name:?}"
            );
        }
    }

    #[test]
    fn an_unknown_region_means_no_profile_and_still_a_link() {
        let portal = AccessPortal::new(None, "d-1234567890", None).unwrap();
        assert_eq!(portal.cli_profile(&target("payments-prod", "admin")), None);
        assert!(portal.console(&target("", "admin")).contains("/#/console?"));
    }

    #[test]
    fn a_configured_address_is_taken_as_it_was_copied_and_anything_else_refused() {
        for good in [
            "https://ssoins-1.portal.eu-central-1.app.aws",
            "https://ssoins-1.portal.eu-central-1.app.aws/",
            "https://ssoins-1.portal.eu-central-1.app.aws/#/?tab=accounts",
        ] {
            let portal = AccessPortal::new(Some(good), "d-1", None).unwrap();
            assert!(
                portal
                    .console(&target("", "x"))
                    .starts_with("https://ssoins-1.portal.eu-central-1.app.aws/#/console?")
            );
        }
        for bad in [
            "",
            "http://d-1.awsapps.com/start",
            "https://",
            "https:///start",
            "https://a\nregion = x",
            "https://a b",
            "https://evil@example",
            "javascript:alert(1)",
        ] {
            assert!(
                AccessPortal::new(Some(bad), "d-1", None).is_err(),
                "{bad:?}"
            );
        }
    }
}
