//! Reading Identity Center: the instance, permission sets, and who is assigned what.
//!
//! Nothing here changes the state; creating and deleting is in `operations`.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::ids;
use super::input::{
    ACCOUNT_ID, ANY, INSTANCE_ARN, Input, PERMISSION_SET_ARN, PRINCIPAL_ID, PRINCIPAL_TYPE,
    PROVISIONING,
};
use super::paging::page;
use super::refusal::Refusal;
use super::server::Handler::Read;
use super::server::{Method, epoch};
use super::state::State;
use super::world::Assignment;

pub(super) const METHODS: &[Method] = &[
    ("ListInstances", Read(list_instances)),
    ("DescribeInstance", Read(describe_instance)),
    ("ListPermissionSets", Read(list_permission_sets)),
    ("DescribePermissionSet", Read(describe_permission_set)),
    ("ListTagsForResource", Read(list_tags_for_resource)),
    ("ListAccountAssignments", Read(list_account_assignments)),
    (
        "ListAccountAssignmentsForPrincipal",
        Read(list_account_assignments_for_principal),
    ),
    (
        "ListAccountsForProvisionedPermissionSet",
        Read(list_accounts_for_provisioned_permission_set),
    ),
    (
        "ListPermissionSetsProvisionedToAccount",
        Read(list_permission_sets_provisioned_to_account),
    ),
];

pub(super) fn check_instance(state: &State, arn: &str) -> Result<(), Refusal> {
    let known = arn == state.world.instance_arn;
    if known {
        Ok(())
    } else {
        Err(Refusal::not_found(format!(
            "Instance {arn} could not be found."
        )))
    }
}

pub(super) fn check_permission_set(state: &State, arn: &str) -> Result<(), Refusal> {
    let known = state.world.permission_set(arn).is_some();
    if known {
        Ok(())
    } else {
        Err(Refusal::not_found(format!(
            "Could not find PermissionSet with id {arn}"
        )))
    }
}

pub(super) fn check_account(state: &State, id: &str) -> Result<(), Refusal> {
    let known = state.world.account(id).is_some();
    if known {
        Ok(())
    } else {
        Err(Refusal::not_found(format!(
            "Account {id} could not be found in the organization."
        )))
    }
}

/// Reads `InstanceArn`, which must be this instance's.
fn instance(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    check_instance(state, input.fields.required("InstanceArn", &INSTANCE_ARN)?)
}

fn instance_members(state: &State) -> Map<String, Value> {
    let world = &state.world;
    let (owner, store) = (&world.management_account_id, &world.identity_store_id);
    Map::from_iter([
        ("InstanceArn".to_owned(), json!(world.instance_arn)),
        ("IdentityStoreId".to_owned(), json!(store)),
        (
            "IdentityStoreArn".to_owned(),
            json!(format!(
                "arn:aws:identitystore::{owner}:identitystore/{store}"
            )),
        ),
        ("OwnerAccountId".to_owned(), json!(owner)),
        ("CreatedDate".to_owned(), epoch(state.born_at)),
        ("Status".to_owned(), json!("ACTIVE")),
        ("PrimaryRegion".to_owned(), json!(world.region)),
        (
            "Regions".to_owned(),
            json!([{"RegionName": world.region, "Status": "ACTIVE", "AddedDate": epoch(state.born_at), "IsPrimaryRegion": true}]),
        ),
    ])
}

fn list_instances(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    page(
        input,
        "Instances",
        vec![(
            state.world.instance_arn.clone(),
            Value::Object(instance_members(state)),
        )],
    )
}

fn describe_instance(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    // The only operation whose model knows no ResourceNotFoundException.
    instance(state, input).map_err(|refusal| match refusal.code {
        "ResourceNotFoundException" => Refusal::new("AccessDeniedException", refusal.message),
        _ => refusal,
    })?;
    let mut members = instance_members(state);
    members.insert(
        "EncryptionConfigurationDetails".to_owned(),
        json!({"KeyType": "AWS_OWNED_KMS_KEY", "EncryptionStatus": "ENABLED"}),
    );
    members.insert(
        "NetworkConfigurationDetails".to_owned(),
        json!({"VpceAccessRequired": false}),
    );
    members.insert("PermissionSetsEnabled".to_owned(), json!(true));
    Ok(Value::Object(members))
}

fn list_permission_sets(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    instance(state, input)?;
    page(
        input,
        "PermissionSets",
        state
            .world
            .permission_sets
            .iter()
            .map(|set| (set.arn.clone(), json!(set.arn)))
            .collect(),
    )
}

fn describe_permission_set(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input
        .fields
        .required("PermissionSetArn", &PERMISSION_SET_ARN)?;
    instance(state, input)?;
    check_permission_set(state, arn)?;
    let set = state.world.permission_set(arn).map(|set| {
        json!({
            "Name": set.name,
            "PermissionSetArn": set.arn,
            "Description": set.description,
            "CreatedDate": epoch(state.born_at),
            "SessionDuration": set.session_duration,
        })
    });
    Ok(json!({"PermissionSet": set}))
}

fn list_tags_for_resource(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    let arn = input.fields.required("ResourceArn", &ANY)?;
    if let Some(instance) = input.fields.optional("InstanceArn", &INSTANCE_ARN)? {
        check_instance(state, instance)?;
    }
    let tags = match state.world.permission_set(arn) {
        Some(set) => set
            .tags
            .iter()
            .map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value})))
            .collect(),
        None if arn == state.world.instance_arn => vec![],
        None => {
            return Err(Refusal::not_found(format!(
                "Could not find the resource {arn}"
            )));
        }
    };
    page(input, "Tags", tags)
}

fn row(assignment: &Assignment) -> (String, Value) {
    let Assignment {
        account_id,
        permission_set_arn,
        principal_type,
        principal_id,
    } = assignment;
    let kind = principal_type.as_str();
    let item = json!({"AccountId": account_id, "PermissionSetArn": permission_set_arn, "PrincipalType": kind, "PrincipalId": principal_id});
    (
        format!("{account_id} {permission_set_arn} {kind} {principal_id}"),
        item,
    )
}

fn list_account_assignments(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    let account_id = input.fields.required("AccountId", &ACCOUNT_ID)?;
    let set = input
        .fields
        .required("PermissionSetArn", &PERMISSION_SET_ARN)?;
    instance(state, input)?;
    check_permission_set(state, set)?;
    check_account(state, account_id)?;
    let lag = input
        .draw
        .within("listing", &input.settings.list_lag_millis);
    let lag = TimeDelta::milliseconds(i64::try_from(lag).unwrap_or(i64::MAX).min(3_600_000));
    let assignments = state.assignments_at(input.now - lag, account_id, set);
    page(
        input,
        "AccountAssignments",
        assignments.into_iter().map(row).collect(),
    )
}

/// A person's rows are their own and those of their groups; each row says through which principal
/// it comes.
fn list_account_assignments_for_principal(
    state: &State,
    input: &Input<'_>,
) -> Result<Value, Refusal> {
    let id = input.fields.required("PrincipalId", &PRINCIPAL_ID)?;
    let kind = input.fields.required("PrincipalType", &PRINCIPAL_TYPE)?;
    let filter = input.fields.object("Filter")?;
    let account_id = filter
        .map(|filter| filter.optional("AccountId", &ACCOUNT_ID))
        .transpose()?
        .flatten();
    instance(state, input)?;
    let mut principals = BTreeSet::from([(kind, ids::normal(id))]);
    if kind == "USER" {
        let groups = state
            .world
            .groups
            .iter()
            .filter(|group| state.world.is_member(group, id));
        principals.extend(groups.map(|group| ("GROUP", ids::normal(&group.id))));
    }
    let rows = state.world.assignments.iter().filter(|assignment| {
        principals.contains(&(
            assignment.principal_type.as_str(),
            ids::normal(&assignment.principal_id),
        )) && account_id.is_none_or(|account_id| assignment.account_id == account_id)
    });
    page(input, "AccountAssignments", rows.map(row).collect())
}

/// Whether the caller asks for what is out of date, of which there is none here: nothing edits
/// permission sets.
fn asks_for_outdated(input: &Input<'_>) -> Result<bool, Refusal> {
    Ok(input.fields.optional("ProvisioningStatus", &PROVISIONING)?
        == Some("LATEST_PERMISSION_SET_NOT_PROVISIONED"))
}

fn list_accounts_for_provisioned_permission_set(
    state: &State,
    input: &Input<'_>,
) -> Result<Value, Refusal> {
    let set = input
        .fields
        .required("PermissionSetArn", &PERMISSION_SET_ARN)?;
    let outdated = asks_for_outdated(input)?;
    instance(state, input)?;
    check_permission_set(state, set)?;
    let assignments = state
        .world
        .assignments
        .iter()
        .filter(|assignment| assignment.permission_set_arn == set && !outdated);
    let accounts: BTreeSet<&String> = assignments
        .map(|assignment| &assignment.account_id)
        .collect();
    page(
        input,
        "AccountIds",
        accounts
            .into_iter()
            .map(|id| (id.clone(), json!(id)))
            .collect(),
    )
}

fn list_permission_sets_provisioned_to_account(
    state: &State,
    input: &Input<'_>,
) -> Result<Value, Refusal> {
    let account_id = input.fields.required("AccountId", &ACCOUNT_ID)?;
    let outdated = asks_for_outdated(input)?;
    instance(state, input)?;
    check_account(state, account_id)?;
    let assignments = state
        .world
        .assignments
        .iter()
        .filter(|assignment| assignment.account_id == account_id && !outdated);
    let sets: BTreeSet<&String> = assignments
        .map(|assignment| &assignment.permission_set_arn)
        .collect();
    page(
        input,
        "PermissionSets",
        sets.into_iter()
            .map(|arn| (arn.clone(), json!(arn)))
            .collect(),
    )
}
