//! What is provisioned in the organization's management account. A delegated administrator can't alter
//! a permission set that is provisioned there, in any account (AWS: delegated administration of
//! Identity Center), so whoever guards one should know beforehand.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::answer::describe;
use super::{Aws, Instance};

/// ARNs of the permission sets that are provisioned in the management account.
///
/// # Errors
/// If AWS can't be asked.
pub async fn provisioned(aws: &Aws, instance: &Instance) -> anyhow::Result<BTreeSet<String>> {
    let organization = aws
        .organizations
        .describe_organization()
        .send()
        .await
        .map_err(describe)
        .context("ask for the organization")?;
    let management = organization
        .organization
        .and_then(|organization| organization.master_account_id)
        .context("the organization has no management account")?;
    let mut pages = aws
        .sso_admin
        .list_permission_sets_provisioned_to_account()
        .instance_arn(&instance.arn)
        .account_id(management)
        .into_paginator()
        .send();
    let mut arns = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page
            .map_err(describe)
            .context("ask what is provisioned in the management account")?;
        arns.extend(page.permission_sets.unwrap_or_default());
    }
    Ok(arns)
}
