//! What is seen of every call to AWS: how it went, for the metrics, and to which host it was sent, so
//! that an endpoint that is not AWS's is known whatever set it (a variable, a profile, a program).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
    FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Layer, Storable, StoreReplace};

use crate::metrics::Metrics;

/// Ends of the hosts that are AWS's own (commercial, China, dual-stack).
const OF_AWS: [&str; 4] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
];

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    metrics: Metrics,
    endpoints: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Observer {
    /// Where the calls are counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Services that were called somewhere else than at AWS, with the address.
    #[must_use]
    pub fn foreign_endpoints(&self) -> Vec<(String, String)> {
        let endpoints = self.endpoints.lock();
        let endpoints = endpoints.unwrap_or_else(PoisonError::into_inner);
        endpoints
            .iter()
            .filter(|(_, address)| !is_of_aws(address))
            .map(|(service, address)| (service.clone(), address.clone()))
            .collect()
    }
}

fn is_of_aws(address: &str) -> bool {
    let host = address.strip_prefix("https://").map(|rest| {
        let end = rest.find(['/', ':', '?']).unwrap_or(rest.len());
        &rest[..end]
    });
    host.is_some_and(|host| OF_AWS.iter().any(|of_aws| host.ends_with(of_aws)))
}

/// When a call began.
#[derive(Debug)]
struct Began(Instant);

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

#[dyn_dispatch_hint]
impl Intercept for Observer {
    fn name(&self) -> &'static str {
        "Observer"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut layer = Layer::new("Observer");
        layer.store_put(Began(Instant::now()));
        config.push_layer(layer);
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri();
        let origin = uri.split('/').take(3).collect::<Vec<_>>().join("/");
        if let Some(metadata) = config.load::<Metadata>() {
            let mut endpoints = self
                .endpoints
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            endpoints.insert(metadata.service().to_owned(), origin);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_ok = context.output_or_error().is_some_and(|came| came.is_ok());
        let outcome = match context.response() {
            _ if is_ok => "ok",
            Some(response) if response.status().is_client_error() => "refused",
            Some(_) => "failed",
            None => "no_answer",
        };
        let took = config
            .load::<Began>()
            .map_or(Duration::ZERO, |Began(began)| began.elapsed());
        if let Some(metadata) = config.load::<Metadata>() {
            self.metrics.called(metadata.name(), outcome, took);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_aws_s_own_hosts_by_tls_are_aws() {
        for address in [
            "https://sso.eu-central-1.amazonaws.com",
            "https://sso-fips.us-gov-west-1.amazonaws.com",
            "https://identitystore.eu-central-1.api.aws",
            "https://vpce-1.sso.eu-central-1.vpce.amazonaws.com",
            "https://sso.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(is_of_aws(address), "{address}");
        }
        for address in [
            "http://127.0.0.1:4580",
            "https://localhost:4566",
            "http://sso.eu-central-1.amazonaws.com",
            "https://sso.amazonaws.com.example.com",
            "https://example.com/.amazonaws.com",
            "https://example.com:443?.amazonaws.com",
        ] {
            assert!(!is_of_aws(address), "{address}");
        }
    }
}
