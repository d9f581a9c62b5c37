//! Identity Center's assignments: create, delete, ask, list. Our types in, [`Answer`]s out.
//!
//! Every function is one call, but for the listings, which are complete or an error: an absence may
//! be concluded only from every page of one listing.

use aws_sdk_ssoadmin::Client;
use aws_sdk_ssoadmin::error::ProvideErrorMetadata as _;
use aws_sdk_ssoadmin::types::{
    AccountAssignmentOperationStatus, OperationStatusFilter, PrincipalType, StatusValues,
    TargetType,
};
use chrono::{DateTime, Utc};

use super::answer::{Answer, CallFailed, Outcome, Progress, describe, refused};
use super::permit::Permit;
use crate::access::assignment::{Assignment, OperationKind};
use crate::access::person::PersonId;
use crate::access::text::from_outside;

/// One Identity Center instance.
#[derive(Clone, Debug)]
pub struct IdentityCenter {
    client: Client,
    instance_arn: String,
}

/// One page of a listing is at most this long.
const PAGE: i32 = 100;

/// Longest listing that is followed: more pages than that mean that the paging goes in circles.
const MOST_PAGES: usize = 10_000;

impl IdentityCenter {
    pub(super) fn new(client: Client, instance_arn: String) -> Self {
        Self {
            client,
            instance_arn,
        }
    }

    /// Sends a create, if its permit still holds when it is about to leave.
    pub async fn create(&self, of: &Assignment, permit: Permit) -> Answer {
        let sent = self
            .client
            .create_account_assignment()
            .instance_arn(&self.instance_arn)
            .target_id(&of.account_id)
            .target_type(TargetType::AwsAccount)
            .permission_set_arn(&of.permission_set_arn)
            .principal_type(PrincipalType::User)
            .principal_id(&of.user_id)
            .customize()
            .interceptor(permit)
            .send()
            .await;
        match sent {
            Ok(answer) => accepted(answer.account_assignment_creation_status()),
            Err(error) => refused(&error),
        }
    }

    /// Sends a delete, if its permit still holds when it is about to leave.
    pub async fn delete(&self, of: &Assignment, permit: Permit) -> Answer {
        let sent = self
            .client
            .delete_account_assignment()
            .instance_arn(&self.instance_arn)
            .target_id(&of.account_id)
            .target_type(TargetType::AwsAccount)
            .permission_set_arn(&of.permission_set_arn)
            .principal_type(PrincipalType::User)
            .principal_id(&of.user_id)
            .customize()
            .interceptor(permit)
            .send()
            .await;
        match sent {
            Ok(answer) => accepted(answer.account_assignment_deletion_status()),
            Err(error) => refused(&error),
        }
    }

    /// Asks how an operation goes.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn progress(
        &self,
        kind: OperationKind,
        aws_id: &str,
    ) -> Result<Progress, CallFailed> {
        Ok(match self.status(kind, aws_id).await? {
            None => Progress::Forgotten,
            Some(status) => outcome(&status).map_or(Progress::Pending, Progress::Done),
        })
    }

    async fn status(
        &self,
        kind: OperationKind,
        aws_id: &str,
    ) -> Result<Option<AccountAssignmentOperationStatus>, CallFailed> {
        let missing = |code: Option<&str>| code == Some("ResourceNotFoundException");
        match kind {
            OperationKind::Create => {
                let asked = self
                    .client
                    .describe_account_assignment_creation_status()
                    .instance_arn(&self.instance_arn)
                    .account_assignment_creation_request_id(aws_id)
                    .send()
                    .await;
                match asked {
                    Ok(answer) => Ok(answer.account_assignment_creation_status),
                    Err(error) if missing(error.code()) => Ok(None),
                    Err(error) => Err(describe(error)),
                }
            }
            OperationKind::Delete => {
                let asked = self
                    .client
                    .describe_account_assignment_deletion_status()
                    .instance_arn(&self.instance_arn)
                    .account_assignment_deletion_request_id(aws_id)
                    .send()
                    .await;
                match asked {
                    Ok(answer) => Ok(answer.account_assignment_deletion_status),
                    Err(error) if missing(error.code()) => Ok(None),
                    Err(error) => Err(describe(error)),
                }
            }
        }
    }

    /// Is the person assigned directly? One complete listing of the account and permission set.
    ///
    /// # Errors
    /// If any page is missing.
    pub async fn is_assigned(&self, of: &Assignment) -> Result<bool, CallFailed> {
        let people = self.people(&of.account_id, &of.permission_set_arn).await?;
        Ok(people.iter().any(|id| PersonId::new(id) == of.principal_id))
    }

    /// Who is assigned directly: the ids of all people, not of groups, of one complete listing.
    ///
    /// # Errors
    /// If any page is missing.
    pub async fn people(
        &self,
        account_id: &str,
        permission_set_arn: &str,
    ) -> Result<Vec<String>, CallFailed> {
        let mut found = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .client
                .list_account_assignments()
                .instance_arn(&self.instance_arn)
                .account_id(account_id)
                .permission_set_arn(permission_set_arn)
                .max_results(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(describe)?;
            let people = page
                .account_assignments()
                .iter()
                .filter(|row| row.principal_type() == Some(&PrincipalType::User));
            found.extend(people.filter_map(|row| Some(from_outside(row.principal_id()?))));
            match page.next_token {
                Some(next) if !next.is_empty() => token = Some(next),
                _ => return Ok(found),
            }
        }
        Err(endless())
    }

    /// The accounts in which a permission set is provisioned, one complete listing.
    ///
    /// # Errors
    /// If any page is missing.
    pub async fn accounts_with(&self, permission_set_arn: &str) -> Result<Vec<String>, CallFailed> {
        let mut found = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .client
                .list_accounts_for_provisioned_permission_set()
                .instance_arn(&self.instance_arn)
                .permission_set_arn(permission_set_arn)
                .max_results(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(describe)?;
            found.extend(page.account_ids.unwrap_or_default());
            match page.next_token {
                Some(next) if !next.is_empty() => token = Some(next),
                _ => return Ok(found),
            }
        }
        Err(endless())
    }

    /// Recent create operations that Identity Center knows: their `RequestId`s, for those begun at
    /// or after `since`.
    ///
    /// # Errors
    /// If any page is missing.
    pub async fn recent_creates(&self, since: DateTime<Utc>) -> Result<Vec<String>, CallFailed> {
        let mut found = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .client
                .list_account_assignment_creation_status()
                .instance_arn(&self.instance_arn)
                .max_results(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(describe)?;
            for status in page.account_assignments_creation_status() {
                // Identity Center's clock may differ from ours; what it works on now counts in any case.
                let began = status.status() == Some(&StatusValues::InProgress)
                    || status
                        .created_date()
                        .is_none_or(|date| date.secs() + 60 >= since.timestamp());
                if let (true, Some(id)) = (began, status.request_id()) {
                    found.push(id.to_owned());
                }
            }
            match page.next_token {
                Some(next) if !next.is_empty() => token = Some(next),
                _ => return Ok(found),
            }
        }
        Err(endless())
    }

    /// `RequestId`s of operations that are in progress: one call instead of one each (protocol L5).
    ///
    /// # Errors
    /// If any page is missing.
    pub async fn in_progress(&self, kind: OperationKind) -> Result<Vec<String>, CallFailed> {
        let filter = OperationStatusFilter::builder()
            .status(StatusValues::InProgress)
            .build();
        let mut found = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let (ids, next) = match kind {
                OperationKind::Create => {
                    let page = self
                        .client
                        .list_account_assignment_creation_status()
                        .instance_arn(&self.instance_arn)
                        .filter(filter.clone())
                        .max_results(PAGE)
                        .set_next_token(token)
                        .send()
                        .await
                        .map_err(describe)?;
                    (
                        page.account_assignments_creation_status.unwrap_or_default(),
                        page.next_token,
                    )
                }
                OperationKind::Delete => {
                    let page = self
                        .client
                        .list_account_assignment_deletion_status()
                        .instance_arn(&self.instance_arn)
                        .filter(filter.clone())
                        .max_results(PAGE)
                        .set_next_token(token)
                        .send()
                        .await
                        .map_err(describe)?;
                    (
                        page.account_assignments_deletion_status.unwrap_or_default(),
                        page.next_token,
                    )
                }
            };
            found.extend(ids.into_iter().filter_map(|status| status.request_id));
            match next {
                Some(next) if !next.is_empty() => token = Some(next),
                _ => return Ok(found),
            }
        }
        Err(endless())
    }

    /// Is this operation a create of this very tuple?
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn is_create_of(&self, aws_id: &str, of: &Assignment) -> Result<bool, CallFailed> {
        let status = self.status(OperationKind::Create, aws_id).await?;
        Ok(status.is_some_and(|status| {
            status.target_id() == Some(&of.account_id)
                && status.permission_set_arn() == Some(&of.permission_set_arn)
                && status
                    .principal_id()
                    .is_some_and(|id| PersonId::new(id) == of.principal_id)
        }))
    }
}

fn endless() -> CallFailed {
    CallFailed {
        is_throttled: false,
        detail: "a listing did not come to an end".to_owned(),
    }
}

fn accepted(status: Option<&AccountAssignmentOperationStatus>) -> Answer {
    let Some((status, aws_id)) = status.and_then(|status| Some((status, status.request_id()?)))
    else {
        return Answer::Unknown {
            detail: "the answer has no RequestId".to_owned(),
        };
    };
    Answer::Accepted {
        aws_id: from_outside(aws_id),
        outcome: outcome(status),
    }
}

fn outcome(status: &AccountAssignmentOperationStatus) -> Option<Outcome> {
    match status.status() {
        Some(StatusValues::Succeeded) => Some(Outcome::Succeeded),
        Some(StatusValues::Failed) => Some(Outcome::Failed(from_outside(
            status.failure_reason().unwrap_or("no reason was given"),
        ))),
        _ => None,
    }
}
