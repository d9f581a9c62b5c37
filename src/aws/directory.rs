//! Reading people, groups, accounts and permission sets from AWS.
//!
//! Two ways: everything, for the copy; and a few people's standing, live, for a yes and for the check
//! before a create. An error is never an absence.

use std::collections::BTreeSet;

use anyhow::Context as _;
use aws_sdk_identitystore::error::ProvideErrorMetadata as _;
use aws_sdk_identitystore::types::{ExternalId as AwsExternalId, MemberId, UserStatus};

use super::answer::describe;
use super::{Aws, Instance};
use crate::access::decision::Standing;
use crate::access::identity::{ExternalId, Known, KnownAs};
use crate::access::person::{Person, PersonId};
use crate::access::text::from_outside;
use crate::policy::facts::Account;
use crate::postgres::directory::{Copy, PermissionSet};

/// Group ids that one `IsMemberInGroups` call takes.
const GROUPS_PER_CALL: usize = 100;

/// Reads the whole directory. Memberships are read for the groups named, the only ones that mean
/// anything here.
///
/// # Errors
/// If any part can't be read completely.
pub async fn read(
    aws: &Aws,
    instance: &Instance,
    group_names: &BTreeSet<String>,
) -> anyhow::Result<Copy> {
    let store = &instance.identity_store_id;
    let mut copy = Copy {
        people: people(aws, store).await?,
        groups: groups(aws, store).await?,
        ..Copy::default()
    };
    for (group_id, _) in copy
        .groups
        .iter()
        .filter(|(_, name)| group_names.contains(name))
    {
        copy.memberships.extend(
            members(aws, store, group_id)
                .await?
                .into_iter()
                .map(|person| (group_id.clone(), person)),
        );
    }
    copy.accounts = accounts(aws).await.context("read the accounts")?;
    copy.permission_sets = permission_sets(aws, instance)
        .await
        .context("read the permission sets")?;
    Ok(copy)
}

async fn people(aws: &Aws, store: &str) -> anyhow::Result<Vec<Known>> {
    let mut pages = aws
        .identity_store
        .list_users()
        .identity_store_id(store)
        .into_paginator()
        .send();
    let mut people = Vec::new();
    while let Some(page) = pages.next().await {
        for user in page.map_err(describe).context("read the people")?.users {
            let user_name = from_outside(user.user_name.as_deref().unwrap_or_default());
            let email = user
                .emails
                .as_ref()
                .and_then(|emails| emails.first())
                .and_then(|email| email.value.as_deref());
            people.push(Known {
                known_as: known_as(user.user_name.as_deref(), user.external_ids.as_deref()),
                person: Person {
                    id: PersonId::new(&user.user_id),
                    email: from_outside(email.unwrap_or(&user_name)),
                    name: from_outside(user.display_name.as_deref().unwrap_or(&user_name)),
                    enabled: user.user_status != Some(UserStatus::Disabled),
                    user_id: user.user_id,
                },
            });
        }
    }
    Ok(people)
}

/// What somebody is known as. A user name with characters that may not be kept is nobody's: it must not
/// equal another one once they are gone.
fn known_as(user_name: Option<&str>, external_ids: Option<&[AwsExternalId]>) -> KnownAs {
    let user_name = user_name.filter(|name| from_outside(name) == **name);
    KnownAs {
        user_name: user_name.unwrap_or_default().to_owned(),
        external_ids: external_ids
            .unwrap_or_default()
            .iter()
            .map(|external| ExternalId {
                issuer: from_outside(&external.issuer),
                id: from_outside(&external.id),
            })
            .collect(),
    }
}

async fn groups(aws: &Aws, store: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut pages = aws
        .identity_store
        .list_groups()
        .identity_store_id(store)
        .into_paginator()
        .send();
    let mut groups = Vec::new();
    while let Some(page) = pages.next().await {
        for group in page.map_err(describe).context("read the groups")?.groups {
            groups.push((
                group.group_id,
                from_outside(group.display_name.as_deref().unwrap_or_default()),
            ));
        }
    }
    Ok(groups)
}

async fn members(aws: &Aws, store: &str, group_id: &str) -> anyhow::Result<Vec<PersonId>> {
    let mut pages = aws
        .identity_store
        .list_group_memberships()
        .identity_store_id(store)
        .group_id(group_id)
        .into_paginator()
        .send();
    let mut members = Vec::new();
    while let Some(page) = pages.next().await {
        for membership in page
            .map_err(describe)
            .context("read the members of a group")?
            .group_memberships
        {
            if let Some(MemberId::UserId(user_id)) = membership.member_id {
                members.push(PersonId::new(&user_id));
            }
        }
    }
    Ok(members)
}

async fn accounts(aws: &Aws) -> anyhow::Result<Vec<Account>> {
    let organization = aws
        .organizations
        .describe_organization()
        .send()
        .await
        .map_err(describe)?;
    let management = organization
        .organization
        .and_then(|organization| organization.master_account_id);
    let own = aws
        .sts
        .get_caller_identity()
        .send()
        .await
        .map_err(describe)?
        .account;
    let mut pages = aws.organizations.list_accounts().into_paginator().send();
    let mut accounts = Vec::new();
    while let Some(page) = pages.next().await {
        for account in page.map_err(describe)?.accounts.unwrap_or_default() {
            let id = account.id.context("an account has no id")?;
            let mut tags = aws
                .organizations
                .list_tags_for_resource()
                .resource_id(&id)
                .into_paginator()
                .send();
            let mut of_account = std::collections::BTreeMap::new();
            while let Some(page) = tags.next().await {
                for tag in page.map_err(describe)?.tags.unwrap_or_default() {
                    of_account.insert(tag.key, tag.value);
                }
            }
            accounts.push(Account {
                name: from_outside(account.name.as_deref().unwrap_or_default()),
                is_active: account
                    .state
                    .as_ref()
                    .is_some_and(|state| state.as_str() == "ACTIVE"),
                is_sensitive: Some(&id) == management.as_ref() || Some(&id) == own.as_ref(),
                organizational_units: units(account.paths.as_deref().unwrap_or_default()),
                tags: of_account,
                id,
            });
        }
    }
    Ok(accounts)
}

/// The ids from the root to the parent, of a path such as `o-1/r-1/ou-1/ou-2/`.
fn units(paths: &[String]) -> Vec<String> {
    paths.first().map_or_else(Vec::new, |path| {
        path.split('/')
            .filter(|part| part.starts_with("r-") || part.starts_with("ou-"))
            .map(str::to_owned)
            .collect()
    })
}

async fn permission_sets(aws: &Aws, instance: &Instance) -> anyhow::Result<Vec<PermissionSet>> {
    let mut pages = aws
        .sso_admin
        .list_permission_sets()
        .instance_arn(&instance.arn)
        .into_paginator()
        .send();
    let mut sets = Vec::new();
    while let Some(page) = pages.next().await {
        for arn in page.map_err(describe)?.permission_sets.unwrap_or_default() {
            let described = aws
                .sso_admin
                .describe_permission_set()
                .instance_arn(&instance.arn)
                .permission_set_arn(&arn)
                .send()
                .await
                .map_err(describe)?;
            let set = described
                .permission_set
                .context("a permission set has no description")?;
            let session = set.session_duration.as_deref().unwrap_or("PT1H");
            sets.push(PermissionSet {
                name: from_outside(set.name.as_deref().unwrap_or_default()),
                session_seconds: duration_seconds(session).with_context(|| {
                    format!("read the session duration {session:?} of a permission set")
                })?,
                arn,
            });
        }
    }
    Ok(sets)
}

/// Seconds of an ISO 8601 duration in days, hours, minutes and seconds.
fn duration_seconds(text: &str) -> Option<i64> {
    let (days, time) = text
        .strip_prefix('P')?
        .split_once('T')
        .unwrap_or((&text[1..], ""));
    let mut total = 0_i64;
    for (part, units) in [
        (days, &[('D', 86_400)][..]),
        (time, &[('H', 3600), ('M', 60), ('S', 1)]),
    ] {
        let mut rest = part;
        for &(unit, seconds) in units {
            if let Some((number, after)) = rest.split_once(unit) {
                total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(seconds)?)?;
                rest = after;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    (total > 0).then_some(total)
}

/// What the identity store says of somebody at this moment: enabled, known as what, and in which of
/// these groups. Whether that is still who signed in, the caller knows.
/// Somebody that it does not know is not enabled and in none.
///
/// # Errors
/// If the identity store does not answer.
pub async fn standing(
    aws: &Aws,
    instance: &Instance,
    user_id: &str,
    groups: &BTreeSet<String>,
) -> anyhow::Result<Standing> {
    let store = &instance.identity_store_id;
    let described = aws
        .identity_store
        .describe_user()
        .identity_store_id(store)
        .user_id(user_id)
        .send()
        .await;
    let user = match described {
        Ok(user) => user,
        Err(error) if error.code() == Some("ResourceNotFoundException") => {
            return Ok(Standing::default());
        }
        Err(error) => return Err(describe(error)).context("read a person's status"),
    };
    let mut standing = Standing {
        enabled: user.user_status != Some(UserStatus::Disabled),
        known_as: known_as(user.user_name.as_deref(), user.external_ids.as_deref()),
        ..Standing::default()
    };
    let groups: Vec<String> = groups.iter().cloned().collect();
    for some in groups.chunks(GROUPS_PER_CALL) {
        let answer = aws
            .identity_store
            .is_member_in_groups()
            .identity_store_id(store)
            .member_id(MemberId::UserId(user_id.to_owned()))
            .set_group_ids(Some(some.to_vec()))
            .send()
            .await
            .map_err(describe)
            .context("read a person's groups")?;
        standing.groups.extend(
            answer
                .results
                .into_iter()
                .filter(|result| result.membership_exists)
                .filter_map(|result| result.group_id),
        );
    }
    Ok(standing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_durations_are_read_in_every_spelling() {
        for (text, seconds) in [
            ("PT1H", Some(3600)),
            ("PT8H", Some(28_800)),
            ("PT90M", Some(5400)),
            ("PT1H30M", Some(5400)),
            ("P1DT1S", Some(86_401)),
            ("PT0H", None),
            ("1H", None),
            ("PT1X", None),
            ("P", None),
            ("", None),
        ] {
            assert_eq!(duration_seconds(text), seconds, "{text}");
        }
    }

    #[test]
    fn units_are_read_from_the_root_to_the_parent() {
        assert_eq!(
            units(&["o-1/r-1/ou-1/ou-2/".to_owned()]),
            ["r-1", "ou-1", "ou-2"]
        );
        assert!(units(&[]).is_empty());
    }
}
