//! STS, as far as a start-up check needs it: who am I? The query protocol: a form goes in, XML
//! comes out.

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::server::Handler::Read;
use super::server::{Method, Route, Service};
use super::world::World;

pub(super) const METHODS: &[Method] = &[(
    "GetCallerIdentity",
    Read(|state, _| Ok(get_caller_identity(&state.world))),
)];

/// The operation that a form asks for; nothing if the body is no form with an `Action`.
pub(super) fn route(body: &[u8]) -> Option<Route> {
    let action = std::str::from_utf8(body)
        .ok()?
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="))?;
    Some((Service::Sts, action.to_owned(), Ok(Map::new())))
}

fn get_caller_identity(world: &World) -> Value {
    let account = &world.caller_account_id;
    let arn = format!("arn:aws:sts::{account}:assumed-role/access-broker/sandbox");
    json!({"Account": account, "Arn": arn, "UserId": "AROASANDBOXSANDBOX123:sandbox"})
}

/// The answer of `GetCallerIdentity`.
pub(super) fn xml(answer: &Value, request_id: &str) -> String {
    let text = |name: &str| escape(answer[name].as_str().unwrap_or_default());
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        text("Arn"),
        text("UserId"),
        text("Account"),
    )
}

/// An error. STS words the codes of the JSON protocol's signature errors differently.
pub(super) fn xml_error(refusal: &Refusal, request_id: &str) -> String {
    let code = match refusal.code {
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
        "IncompleteSignatureException" => "IncompleteSignature",
        "UnknownOperationException" => "InvalidAction",
        "ThrottlingException" => "Throttling",
        "InternalServerException" => "InternalFailure",
        code => code,
    };
    let kind = if refusal.status < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>{kind}</Type><Code>{code}</Code>\
         <Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        escape(&refusal.message),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
