//! Every read that the engine and the acts make while they work, made once: whether Curfew's role may
//! is known before anybody needs it. Nothing is changed; creating and deleting can't be rehearsed.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::answer::describe;
use super::{Aws, Instance, directory};
use crate::access::assignment::OperationKind;

/// The id of an operation that never was: being allowed to ask is what counts.
const NO_OPERATION: &str = "00000000-0000-4000-8000-000000000000";

/// Somebody and something that there is.
#[derive(Debug)]
pub struct Example<'a> {
    /// A person, as the identity store writes the id.
    pub user_id: &'a str,
    /// Groups to ask about.
    pub groups: &'a BTreeSet<String>,
    /// An account.
    pub account_id: &'a str,
    /// A permission set.
    pub permission_set_arn: &'a str,
}

/// Makes them all.
///
/// # Errors
/// The first that is refused or not answered.
pub async fn reads(aws: &Aws, instance: &Instance, of: &Example<'_>) -> anyhow::Result<()> {
    aws.sso_admin
        .list_account_assignments()
        .instance_arn(&instance.arn)
        .account_id(of.account_id)
        .permission_set_arn(of.permission_set_arn)
        .max_results(1)
        .send()
        .await
        .map_err(describe)
        .context("list the assignments of an account")?;
    let identity_center = aws.identity_center(instance);
    for kind in [OperationKind::Create, OperationKind::Delete] {
        identity_center
            .in_progress(kind)
            .await
            .with_context(|| format!("list the operations in progress ({})", kind.as_str()))?;
        identity_center
            .progress(kind, NO_OPERATION)
            .await
            .with_context(|| format!("ask for an operation's progress ({})", kind.as_str()))?;
    }
    directory::standing(aws, instance, of.user_id, of.groups).await?;
    Ok(())
}
