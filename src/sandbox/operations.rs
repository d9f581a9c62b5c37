//! Creating and deleting assignments: accepted at once, in effect some seconds later.
//!
//! An operation's end is drawn as it is accepted, and what it does is decided at that moment in
//! time, by the world as it is then, even if nobody asks before much later: `settle` brings the
//! state up to the present, in the order of the ends, before anything else is looked at. The rules
//! are the truth table of AWS's observed answers: a second create is harmless, a delete of nothing
//! fails *afterwards*, one operation at a time per account and permission set.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::failures;
use super::ids;
use super::input::{
    ACCOUNT_ID, Fields, INSTANCE_ARN, Input, PERMISSION_SET_ARN, PRINCIPAL_ID, PRINCIPAL_TYPE,
    REQUEST_ID, STATUS, TARGET_TYPE,
};
use super::paging::page;
use super::refusal::Refusal;
use super::server::Handler::{Act, Read};
use super::server::{Method, epoch};
use super::state::{Operation, OperationKind, OperationStatus, State};
use super::world::{AccountState, Assignment, PrincipalType};

/// The longest that an operation may be made to take: a year, in milliseconds.
pub(super) const FOR_EVER: i64 = 365 * 24 * 3_600_000;

pub(super) const METHODS: &[Method] = &[
    (
        "CreateAccountAssignment",
        Act(|state, input| start(state, input, OperationKind::Create)),
    ),
    (
        "DeleteAccountAssignment",
        Act(|state, input| start(state, input, OperationKind::Delete)),
    ),
    (
        "DescribeAccountAssignmentCreationStatus",
        Read(|state, input| describe(state, input, OperationKind::Create)),
    ),
    (
        "DescribeAccountAssignmentDeletionStatus",
        Read(|state, input| describe(state, input, OperationKind::Delete)),
    ),
    (
        "ListAccountAssignmentCreationStatus",
        Read(|state, input| list(state, input, OperationKind::Create)),
    ),
    (
        "ListAccountAssignmentDeletionStatus",
        Read(|state, input| list(state, input, OperationKind::Delete)),
    ),
];

/// Lets every operation that has ended by `now` have its effect, the earliest end first.
pub(super) fn settle(state: &mut State, now: DateTime<Utc>) {
    loop {
        let due = state
            .in_flight()
            .filter(|(_, operation)| operation.ends_at <= now)
            .min_by_key(|(number, operation)| (operation.ends_at, **number));
        let Some((number, operation)) = due.map(|(number, operation)| (*number, operation.clone()))
        else {
            return;
        };
        let status = finish(state, &operation);
        if let Some(stored) = state.operations.get_mut(&number) {
            stored.status = status;
        }
        state.touch();
    }
}

/// The effect of an operation at its end.
fn finish(state: &mut State, operation: &Operation) -> OperationStatus {
    let assignment = &operation.assignment;
    let failure = match &operation.planned_failure {
        Some(planned) => {
            if planned.takes_effect {
                take_effect(state, operation);
            }
            Some(failures::text(&planned.reason, &state.world, assignment))
        }
        None => obstacle(state, assignment).or_else(|| {
            let in_effect = take_effect(state, operation);
            (!in_effect).then(|| failures::text("no_such_assignment", &state.world, assignment))
        }),
    };
    failure.map_or(OperationStatus::Succeeded, OperationStatus::Failed)
}

/// Makes or removes the assignment; false if there was none to remove.
fn take_effect(state: &mut State, operation: &Operation) -> bool {
    match operation.kind {
        OperationKind::Create => {
            state.put(operation.assignment.clone(), operation.ends_at);
            true
        }
        OperationKind::Delete => state.take(&operation.assignment, operation.ends_at),
    }
}

/// Why an operation can't be carried out now, whichever it is.
fn obstacle(state: &State, assignment: &Assignment) -> Option<String> {
    let Assignment {
        account_id,
        permission_set_arn,
        principal_type,
        principal_id,
    } = assignment;
    if state
        .world
        .account(account_id)
        .is_none_or(|account| account.state != AccountState::Active)
    {
        return Some(failures::text(
            "account_not_ready",
            &state.world,
            assignment,
        ));
    }
    if state.world.permission_set(permission_set_arn).is_none() {
        let name = "unknown_permission_set";
        return Some(failures::text(name, &state.world, assignment));
    }
    if state
        .world
        .principal(*principal_type, principal_id)
        .is_none()
    {
        return Some(failures::text("unknown_assignee", &state.world, assignment));
    }
    None
}

fn start(state: &mut State, input: &Input<'_>, kind: OperationKind) -> Result<Value, Refusal> {
    let assignment = read_assignment(state, &input.fields)?;
    let Assignment {
        account_id,
        permission_set_arn,
        ..
    } = &assignment;
    may_touch(state, account_id, permission_set_arn)?;
    let account_is_active = state
        .world
        .account(account_id)
        .is_some_and(|account| account.state == AccountState::Active);
    if kind == OperationKind::Create && !account_is_active {
        return Err(Refusal::new(
            "ConflictException",
            format!("The account {account_id} is suspended or being closed."),
        ));
    }
    let may_overtake = |other: &Operation| {
        input.settings.accepts_delete_during_create
            && (kind, other.kind) == (OperationKind::Delete, OperationKind::Create)
            && other.assignment.is(&assignment)
    };
    if state.in_flight().any(|(_, other)| {
        other.assignment.is_in(account_id, permission_set_arn) && !may_overtake(other)
    }) {
        return Err(Refusal::conflict());
    }
    if state.in_flight().count() >= input.settings.outstanding {
        return Err(input
            .service
            .throttled("There are too many requests processing. Please try again later."));
    }
    let number = state.next_operation;
    let (seed, nth) = (input.settings.seed.to_string(), number.to_string());
    let millis = input.planned_millis.unwrap_or_else(|| {
        let range = &input.settings.operation_millis;
        input.draw.within("operation", range)
    });
    let operation = Operation {
        request_id: ids::uuid(&["operation", &seed, &state.born_at.to_rfc3339(), &nth]),
        kind,
        assignment,
        created_at: input.now,
        ends_at: input.now
            + TimeDelta::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX).min(FOR_EVER)),
        status: OperationStatus::InProgress,
        planned_failure: input.planned_failure.clone(),
    };
    let answer = answer(&operation);
    state.next_operation += 1;
    state.operations.insert(number, operation);
    state.touch();
    Ok(answer)
}

fn read_assignment(state: &State, fields: &Fields<'_>) -> Result<Assignment, Refusal> {
    let instance = fields.required("InstanceArn", &INSTANCE_ARN)?;
    let account_id = fields.required("TargetId", &ACCOUNT_ID)?;
    fields.required("TargetType", &TARGET_TYPE)?;
    let permission_set_arn = fields.required("PermissionSetArn", &PERMISSION_SET_ARN)?;
    let principal_type = match fields.required("PrincipalType", &PRINCIPAL_TYPE)? {
        "GROUP" => PrincipalType::Group,
        _ => PrincipalType::User,
    };
    let principal_id = fields.required("PrincipalId", &PRINCIPAL_ID)?;
    super::idc::check_instance(state, instance)?;
    super::idc::check_permission_set(state, permission_set_arn)?;
    super::idc::check_account(state, account_id)?;
    Ok(Assignment {
        account_id: account_id.to_owned(),
        permission_set_arn: permission_set_arn.to_owned(),
        principal_type,
        // Whom the directory does not know is found out later, when the operation ends.
        principal_id: state
            .world
            .principal(principal_type, principal_id)
            .unwrap_or(principal_id)
            .to_owned(),
    })
}

/// A delegated administrator may not touch the management account, nor, anywhere, a permission set
/// that is provisioned there. The management account itself may.
fn may_touch(state: &State, account_id: &str, permission_set_arn: &str) -> Result<(), Refusal> {
    let (management, caller) = (
        &state.world.management_account_id,
        &state.world.caller_account_id,
    );
    let is_managements =
        account_id == management || state.world.is_provisioned(management, permission_set_arn);
    if is_managements && caller != management {
        let text = format!(
            "User: arn:aws:sts::{caller}:assumed-role/access-broker/sandbox is not authorized to \
             perform this action on the management account"
        );
        return Err(Refusal::new("AccessDeniedException", text));
    }
    Ok(())
}

fn describe(state: &State, input: &Input<'_>, kind: OperationKind) -> Result<Value, Refusal> {
    let instance = input.fields.required("InstanceArn", &INSTANCE_ARN)?;
    let field = match kind {
        OperationKind::Create => "AccountAssignmentCreationRequestId",
        OperationKind::Delete => "AccountAssignmentDeletionRequestId",
    };
    let request_id = input.fields.required(field, &REQUEST_ID)?;
    super::idc::check_instance(state, instance)?;
    let operation = state.operations.values().find(|operation| {
        operation.kind == kind
            && operation.request_id == request_id
            && can_be_asked_about(operation, input)
    });
    operation
        .map(answer)
        .ok_or_else(|| Refusal::not_found(format!("Request with id {request_id} was not found.")))
}

fn list(state: &State, input: &Input<'_>, kind: OperationKind) -> Result<Value, Refusal> {
    let instance = input.fields.required("InstanceArn", &INSTANCE_ARN)?;
    let filter = input.fields.object("Filter")?;
    let status = filter
        .map(|filter| filter.optional("Status", &STATUS))
        .transpose()?
        .flatten();
    super::idc::check_instance(state, instance)?;
    let wanted = |operation: &Operation| {
        operation.kind == kind
            && status.is_none_or(|status| operation.status.as_str() == status)
            && can_be_asked_about(operation, input)
    };
    let items = state
        .operations
        .iter()
        .filter(|(_, operation)| wanted(operation))
        .map(|(number, operation)| {
            let item = json!({
                "Status": operation.status.as_str(),
                "RequestId": operation.request_id,
                "CreatedDate": epoch(operation.created_at),
            });
            // The newest first.
            (format!("{:020}", u64::MAX - number), item)
        });
    let member = match kind {
        OperationKind::Create => "AccountAssignmentsCreationStatus",
        OperationKind::Delete => "AccountAssignmentsDeletionStatus",
    };
    page(input, member, items.collect())
}

/// Its request id has not expired.
fn can_be_asked_about(operation: &Operation, input: &Input<'_>) -> bool {
    let seconds = i64::try_from(input.settings.request_id_seconds).unwrap_or(i64::MAX);
    input.now - operation.created_at < TimeDelta::seconds(seconds.min(86_400))
}

fn answer(operation: &Operation) -> Value {
    let Assignment {
        account_id,
        permission_set_arn,
        principal_type,
        principal_id,
    } = &operation.assignment;
    let mut status = json!({
        "Status": operation.status.as_str(),
        "RequestId": operation.request_id,
        "TargetId": account_id,
        "TargetType": "AWS_ACCOUNT",
        "PermissionSetArn": permission_set_arn,
        "PrincipalType": principal_type.as_str(),
        "PrincipalId": principal_id,
        "CreatedDate": epoch(operation.created_at),
    });
    if let OperationStatus::Failed(reason) = &operation.status {
        status["FailureReason"] = json!(reason);
    }
    match operation.kind {
        OperationKind::Create => json!({"AccountAssignmentCreationStatus": status}),
        OperationKind::Delete => json!({"AccountAssignmentDeletionStatus": status}),
    }
}
