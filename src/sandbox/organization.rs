//! Organizations: accounts, their tags, and the tree of units above them. Read only.

use serde_json::{Value, json};

use super::input::{ACCOUNT_ID, ANY, Input};
use super::paging::page;
use super::refusal::Refusal;
use super::server::Handler::Read;
use super::server::{Method, epoch};
use super::state::State;
use super::world::{Account, Unit, World};

pub(super) const METHODS: &[Method] = &[
    (
        "DescribeOrganization",
        Read(|state, _| Ok(describe_organization(&state.world))),
    ),
    ("ListAccounts", Read(list_accounts)),
    ("DescribeAccount", Read(describe_account)),
    ("ListTagsForResource", Read(list_tags_for_resource)),
    ("ListRoots", Read(list_roots)),
    (
        "ListOrganizationalUnitsForParent",
        Read(list_organizational_units_for_parent),
    ),
    ("ListParents", Read(list_parents)),
    (
        "DescribeOrganizationalUnit",
        Read(describe_organizational_unit),
    ),
];

fn arn(world: &World, rest: &str) -> String {
    format!(
        "arn:aws:organizations::{}:{rest}",
        world.management_account_id
    )
}

fn describe_organization(world: &World) -> Value {
    let (id, management) = (&world.organization_id, &world.management_account_id);
    json!({"Organization": {
        "Id": id,
        "Arn": arn(world, &format!("organization/{id}")),
        "FeatureSet": "ALL",
        "MasterAccountArn": arn(world, &format!("account/{id}/{management}")),
        "MasterAccountId": management,
        "MasterAccountEmail": world.account(management).map(|account| &account.email),
    }})
}

/// An account as it has been shown since September 2026: with `State`, and without the retired
/// `Status`.
fn show_account(state: &State, account: &Account) -> Value {
    let world = &state.world;
    json!({
        "Id": account.id,
        "Arn": arn(world, &format!("account/{}/{}", world.organization_id, account.id)),
        "Email": account.email,
        "Name": account.name,
        "State": account.state,
        "Paths": [format!("{}{}/", world.path(&account.parent_id), account.id)],
        "JoinedMethod": "CREATED",
        "JoinedTimestamp": epoch(state.born_at),
    })
}

fn list_accounts(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    page(
        input,
        "Accounts",
        state
            .world
            .accounts
            .iter()
            .map(|account| (account.id.clone(), show_account(state, account)))
            .collect(),
    )
}

fn describe_account(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    let id = input.fields.required("AccountId", &ACCOUNT_ID)?;
    let account = state.world.account(id);
    let account = account.ok_or_else(|| {
        Refusal::new(
            "AccountNotFoundException",
            "You specified an account that doesn't exist.",
        )
    })?;
    Ok(json!({"Account": show_account(state, account)}))
}

fn list_tags_for_resource(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    let id = input.fields.required("ResourceId", &ANY)?;
    let world = &state.world;
    let tags = match world.account(id) {
        Some(account) => account
            .tags
            .iter()
            .map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value})))
            .collect(),
        None if world.unit(id).is_some() || id == world.root_id => vec![],
        None => {
            return Err(Refusal::new(
                "TargetNotFoundException",
                "You specified a target that doesn't exist.",
            ));
        }
    };
    page(input, "Tags", tags)
}

fn list_roots(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    let world = &state.world;
    let root = json!({
        "Id": world.root_id,
        "Arn": arn(world, &format!("root/{}/{}", world.organization_id, world.root_id)),
        "Name": "Root",
        "PolicyTypes": [{"Type": "SERVICE_CONTROL_POLICY", "Status": "ENABLED"}],
    });
    page(input, "Roots", vec![(world.root_id.clone(), root)])
}

fn show_unit(world: &World, unit: &Unit) -> Value {
    json!({
        "Id": unit.id,
        "Arn": arn(world, &format!("ou/{}/{}", world.organization_id, unit.id)),
        "Name": unit.name,
        "Path": world.path(&unit.id),
    })
}

fn list_organizational_units_for_parent(
    state: &State,
    input: &Input<'_>,
) -> Result<Value, Refusal> {
    let parent = input.fields.required("ParentId", &ANY)?;
    let world = &state.world;
    if parent != world.root_id && world.unit(parent).is_none() {
        return Err(Refusal::new(
            "ParentNotFoundException",
            "You specified parent that doesn't exist.",
        ));
    }
    let units = world.units.iter().filter(|unit| unit.parent_id == parent);
    page(
        input,
        "OrganizationalUnits",
        units
            .map(|unit| (unit.id.clone(), show_unit(world, unit)))
            .collect(),
    )
}

fn list_parents(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    let child = input.fields.required("ChildId", &ANY)?;
    let world = &state.world;
    let parent = world
        .account(child)
        .map(|account| &account.parent_id)
        .or_else(|| world.unit(child).map(|unit| &unit.parent_id));
    let parent = parent.ok_or_else(|| {
        Refusal::new(
            "ChildNotFoundException",
            "You specified a child that doesn't exist.",
        )
    })?;
    let kind = if *parent == world.root_id {
        "ROOT"
    } else {
        "ORGANIZATIONAL_UNIT"
    };
    page(
        input,
        "Parents",
        vec![(parent.clone(), json!({"Id": parent, "Type": kind}))],
    )
}

fn describe_organizational_unit(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    let id = input.fields.required("OrganizationalUnitId", &ANY)?;
    let unit = state.world.unit(id);
    let unit = unit.ok_or_else(|| {
        Refusal::new(
            "OrganizationalUnitNotFoundException",
            "You specified an OU that doesn't exist.",
        )
    })?;
    Ok(json!({"OrganizationalUnit": show_unit(&state.world, unit)}))
}
