//! The identity store: people, groups and memberships. Read only; changes come from outside
//! (`hands`), as they come from an identity provider's SCIM client in life.

use serde_json::{Value, json};

use super::ids;
use super::input::{ANY, Fields, IDENTITY_STORE_ID, Input, RESOURCE_ID, after_slash};
use super::paging::page;
use super::refusal::Refusal;
use super::server::Handler::Read;
use super::server::{Method, epoch};
use super::state::State;
use super::world::{Group, User};

pub(super) const METHODS: &[Method] = &[
    ("ListUsers", Read(list_users)),
    ("DescribeUser", Read(describe_user)),
    ("GetUserId", Read(get_user_id)),
    ("ListGroups", Read(list_groups)),
    ("DescribeGroup", Read(describe_group)),
    ("GetGroupId", Read(get_group_id)),
    ("ListGroupMemberships", Read(list_group_memberships)),
    (
        "ListGroupMembershipsForMember",
        Read(list_group_memberships_for_member),
    ),
    ("IsMemberInGroups", Read(is_member_in_groups)),
];

/// Groups that one `IsMemberInGroups` may ask about.
const GROUPS_AT_ONCE: usize = 100;

fn not_found(kind: &str, id: &str) -> Refusal {
    Refusal::not_found(format!("{kind} not found."))
        .with("ResourceType", kind)
        .with("ResourceId", id)
}

fn check_store(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let id = input
        .fields
        .required("IdentityStoreId", &IDENTITY_STORE_ID)?;
    let known = after_slash(id) == state.world.identity_store_id;
    if known {
        Ok(())
    } else {
        Err(not_found("IDENTITY_STORE", id))
    }
}

fn read_user<'s>(state: &'s State, fields: &Fields<'_>) -> Result<&'s User, Refusal> {
    let id = after_slash(fields.required("UserId", &RESOURCE_ID)?);
    state.world.user(id).ok_or_else(|| not_found("USER", id))
}

fn read_member<'s>(state: &'s State, input: &Input<'_>) -> Result<&'s User, Refusal> {
    read_user(state, &input.fields.required_object("MemberId")?)
}

fn read_group<'s>(state: &'s State, input: &Input<'_>) -> Result<&'s Group, Refusal> {
    let id = after_slash(input.fields.required("GroupId", &RESOURCE_ID)?);
    state.world.group(id).ok_or_else(|| not_found("GROUP", id))
}

fn show_user(state: &State, user: &User) -> Value {
    let (given, family) = user
        .display_name
        .split_once(' ')
        .unwrap_or((&user.display_name, &user.display_name));
    let mut shown = json!({
        "IdentityStoreId": state.world.identity_store_id,
        "UserId": user.id,
        "UserArn": format!("arn:aws:identitystore:::user/{}", user.id),
        "Revision": user.revision.to_string(),
        "UserName": user.user_name,
        "Name": {"GivenName": given, "FamilyName": family},
        "DisplayName": user.display_name,
        "Emails": [{"Value": user.email, "Type": "work", "Primary": true}],
        "UserStatus": if user.enabled { "ENABLED" } else { "DISABLED" },
        "CreatedAt": epoch(state.born_at),
        "UpdatedAt": epoch(state.born_at),
    });
    if let Some(external) = &user.external_id {
        shown["ExternalIds"] = json!([{"Issuer": external.issuer, "Id": external.id}]);
    }
    shown
}

fn show_group(state: &State, group: &Group) -> Value {
    json!({
        "IdentityStoreId": state.world.identity_store_id,
        "GroupId": group.id,
        "GroupArn": format!("arn:aws:identitystore:::group/{}", group.id),
        "Revision": "1",
        "DisplayName": group.name,
        "CreatedAt": epoch(state.born_at),
        "UpdatedAt": epoch(state.born_at),
    })
}

fn show_membership(state: &State, group: &Group, user_id: &str) -> (String, Value) {
    let id = ids::uuid(&["membership", &group.id, user_id]);
    let shown = json!({
        "IdentityStoreId": state.world.identity_store_id,
        "MembershipId": id,
        "MembershipArn": format!("arn:aws:identitystore:::membership/{id}"),
        "GroupId": group.id,
        "MemberId": {"UserId": user_id},
    });
    (format!("{} {user_id}", group.id), shown)
}

/// The value of the one filter that a listing takes (deprecated at AWS, and still there).
fn filter<'a>(input: &Input<'a>, path: &str) -> Result<Option<&'a str>, Refusal> {
    let Some([filter, ..]) = input.fields.list("Filters")? else {
        return Ok(None);
    };
    let map = filter
        .as_object()
        .ok_or_else(|| Refusal::unreadable("Filters must hold objects"))?;
    let fields = Fields {
        service: input.service,
        map,
    };
    let asked = fields.required("AttributePath", &ANY)?;
    if asked != path {
        return Err(fields.violates(
            "AttributePath",
            asked,
            &format!("Member must satisfy enum value set: [{path}]"),
        ));
    }
    fields.required("AttributeValue", &ANY).map(Some)
}

fn list_users(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    let name = filter(input, "UserName")?;
    let users = state
        .world
        .users
        .iter()
        .filter(|user| name.is_none_or(|name| user.user_name == name));
    page(
        input,
        "Users",
        users
            .map(|user| (user.id.clone(), show_user(state, user)))
            .collect(),
    )
}

fn describe_user(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    Ok(show_user(state, read_user(state, &input.fields)?))
}

/// The attribute and value of an `AlternateIdentifier`, which is a union: exactly one of its
/// members.
enum Alternate<'a> {
    Attribute(&'a str, &'a str),
    External(&'a str, &'a str),
}

fn read_alternate<'a>(input: &Input<'a>) -> Result<Alternate<'a>, Refusal> {
    let alternate = input.fields.required_object("AlternateIdentifier")?;
    match (
        alternate.object("UniqueAttribute")?,
        alternate.object("ExternalId")?,
    ) {
        (Some(unique), None) => Ok(Alternate::Attribute(
            unique.required("AttributePath", &ANY)?,
            unique.required("AttributeValue", &ANY)?,
        )),
        (None, Some(external)) => Ok(Alternate::External(
            external.required("Issuer", &ANY)?,
            external.required("Id", &ANY)?,
        )),
        _ => Err(Refusal::unreadable(
            "AlternateIdentifier must have exactly one member set",
        )),
    }
}

fn get_user_id(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    let mut users = state.world.users.iter();
    let user = match read_alternate(input)? {
        Alternate::Attribute(path, value) if path.eq_ignore_ascii_case("userName") => {
            users.find(|user| user.user_name == value)
        }
        Alternate::Attribute(path, value) if path.eq_ignore_ascii_case("emails.value") => {
            users.find(|user| user.email == value)
        }
        Alternate::Attribute(path, _) => {
            return Err(input.fields.violates(
                "AttributePath",
                path,
                "Member must satisfy enum value set: [userName, emails.value]",
            ));
        }
        Alternate::External(issuer, id) => users.find(|user| {
            user.external_id
                .as_ref()
                .is_some_and(|external| external.issuer == issuer && external.id == id)
        }),
    };
    let user = user.ok_or_else(|| not_found("USER", ""))?;
    Ok(json!({
        "IdentityStoreId": state.world.identity_store_id,
        "UserId": user.id,
        "UserArn": format!("arn:aws:identitystore:::user/{}", user.id),
    }))
}

fn list_groups(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    let name = filter(input, "DisplayName")?;
    let groups = state
        .world
        .groups
        .iter()
        .filter(|group| name.is_none_or(|name| group.name == name));
    page(
        input,
        "Groups",
        groups
            .map(|group| (group.id.clone(), show_group(state, group)))
            .collect(),
    )
}

fn describe_group(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    Ok(show_group(state, read_group(state, input)?))
}

fn get_group_id(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    let group = match read_alternate(input)? {
        Alternate::Attribute(path, value) if path.eq_ignore_ascii_case("displayName") => {
            state.world.groups.iter().find(|group| group.name == value)
        }
        Alternate::Attribute(path, _) => {
            return Err(input.fields.violates(
                "AttributePath",
                path,
                "Member must satisfy enum value set: [displayName]",
            ));
        }
        Alternate::External(..) => None,
    };
    let group = group.ok_or_else(|| not_found("GROUP", ""))?;
    Ok(json!({
        "IdentityStoreId": state.world.identity_store_id,
        "GroupId": group.id,
        "GroupArn": format!("arn:aws:identitystore:::group/{}", group.id),
    }))
}

fn list_group_memberships(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    let group = read_group(state, input)?;
    page(
        input,
        "GroupMemberships",
        group
            .members
            .iter()
            .map(|user_id| show_membership(state, group, user_id))
            .collect(),
    )
}

fn list_group_memberships_for_member(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    let user = read_member(state, input)?;
    let groups = state
        .world
        .groups
        .iter()
        .filter(|group| group.members.contains(&user.id));
    page(
        input,
        "GroupMemberships",
        groups
            .map(|group| show_membership(state, group, &user.id))
            .collect(),
    )
}

fn is_member_in_groups(state: &State, input: &Input<'_>) -> Result<Value, Refusal> {
    check_store(state, input)?;
    let user = read_member(state, input)?;
    let asked = input.fields.list("GroupIds")?.unwrap_or_default();
    if !(1..=GROUPS_AT_ONCE).contains(&asked.len()) {
        let rule = format!("Member must have length between 1 and {GROUPS_AT_ONCE}");
        return Err(input
            .fields
            .violates("GroupIds", &asked.len().to_string(), &rule));
    }
    let results = asked.iter().map(|id| {
        let id = id
            .as_str()
            .ok_or_else(|| Refusal::unreadable("GroupIds must hold strings"))?;
        let exists = state
            .world
            .group(after_slash(id))
            .is_some_and(|group| group.members.contains(&user.id));
        Ok(json!({"GroupId": id, "MemberId": {"UserId": user.id}, "MembershipExists": exists}))
    });
    Ok(json!({"Results": results.collect::<Result<Vec<Value>, Refusal>>()?}))
}
