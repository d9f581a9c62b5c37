//! Do the person, the permission set and the account of an assignment still exist? Asked live, and only
//! of what can't be taken away: an administrator may close what has no target any more (protocol G2).
//!
//! An error is never an absence; an account is absent only by a complete listing.

use aws_sdk_identitystore::error::ProvideErrorMetadata as _;

use super::answer::{CallFailed, describe};
use super::{Aws, Instance};
use crate::access::assignment::{Assignment, Part};

/// The first part that is gone or closed for good; none if everything is there. A disabled person and
/// a suspended account are there.
///
/// # Errors
/// If AWS does not answer for any of them.
pub async fn gone(
    aws: &Aws,
    instance: &Instance,
    of: &Assignment,
) -> Result<Option<Part>, CallFailed> {
    if !person_exists(aws, instance, &of.user_id).await? {
        return Ok(Some(Part::Person));
    }
    if !permission_set_exists(aws, instance, &of.permission_set_arn).await? {
        return Ok(Some(Part::PermissionSet));
    }
    if !account_is_open(aws, &of.account_id).await? {
        return Ok(Some(Part::Account));
    }
    Ok(None)
}

fn is_missing(code: Option<&str>) -> bool {
    code == Some("ResourceNotFoundException")
}

async fn person_exists(aws: &Aws, instance: &Instance, user_id: &str) -> Result<bool, CallFailed> {
    let asked = aws
        .identity_store
        .describe_user()
        .identity_store_id(&instance.identity_store_id)
        .user_id(user_id)
        .send()
        .await;
    match asked {
        Ok(_) => Ok(true),
        Err(error) if is_missing(error.code()) => Ok(false),
        Err(error) => Err(describe(error)),
    }
}

async fn permission_set_exists(
    aws: &Aws,
    instance: &Instance,
    arn: &str,
) -> Result<bool, CallFailed> {
    let asked = aws
        .sso_admin
        .describe_permission_set()
        .instance_arn(&instance.arn)
        .permission_set_arn(arn)
        .send()
        .await;
    match asked {
        Ok(_) => Ok(true),
        Err(error) if is_missing(error.code()) => Ok(false),
        Err(error) => Err(describe(error)),
    }
}

async fn account_is_open(aws: &Aws, id: &str) -> Result<bool, CallFailed> {
    let mut pages = aws.organizations.list_accounts().into_paginator().send();
    while let Some(page) = pages.next().await {
        let accounts = page.map_err(describe)?.accounts.unwrap_or_default();
        if let Some(account) = accounts
            .iter()
            .find(|account| account.id.as_deref() == Some(id))
        {
            return Ok(account
                .state
                .as_ref()
                .is_none_or(|state| state.as_str() != "CLOSED"));
        }
    }
    Ok(false)
}
