//! Why an asynchronous operation FAILED, in AWS's words.
//!
//! A `FailureReason` is text and nothing else, so these are templates: `{account}`, `{principal}` and
//! the like are filled in for the assignment that it is about. The sandbox's own rules and scripted
//! faults use the same ones.

use super::world::{Assignment, World};

/// Every known text, by the name that a scripted fault may use for it.
pub const TEXTS: [(&str, &str); 7] = [
    (
        "no_such_assignment",
        "Received a 404 status error: EntitlementItem doesn't exist with the given entitlement key \
         {instance}:{account}:{permission_set}:{kind}:{principal}",
    ),
    (
        "unknown_assignee",
        "Received a 404 status error: the {kind} assignee {principal} was not found in directory {directory}",
    ),
    (
        "unsupported_policy",
        "Received a 404 status error: Not supported policy arn:aws:iam::{account}:policy/missing",
    ),
    // Nobody wrote down what AWS says here.
    (
        "unknown_permission_set",
        "Received a 404 status error: Could not find PermissionSet with id {permission_set}",
    ),
    (
        "role_quota",
        "Cannot exceed quota for RolesPerAccount: 1000",
    ),
    (
        "account_not_ready",
        "Obtaining permissions to manage your AWS account {account} takes longer than usual. \
         Please try again later.",
    ),
    (
        "internal",
        "An unexpected internal service exception was encountered",
    ),
];

/// The text of this name, or the name itself if it is none of ours, about this assignment.
pub(super) fn text(name: &str, world: &World, assignment: &Assignment) -> String {
    let known = TEXTS.iter().find(|(known, _)| *known == name);
    let template = known.map_or(name, |(_, text)| text);
    [
        ("{instance}", world.instance_arn.as_str()),
        ("{directory}", &world.identity_store_id),
        ("{account}", &assignment.account_id),
        ("{permission_set}", &assignment.permission_set_arn),
        ("{kind}", assignment.principal_type.as_str()),
        ("{principal}", &assignment.principal_id),
    ]
    .into_iter()
    .fold(template.to_owned(), |text, (place, value)| {
        text.replace(place, value)
    })
}
