//! An attempt's permit: a few seconds, counted from before its intent was committed, in which it may
//! leave this process (protocol S4).
//!
//! The last possible place to look is after the request was signed: a process that was frozen in
//! between and thaws later then sends nothing, and a signature that did leave grows too old for AWS
//! within a known time.

use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use fail::fail_point;

use crate::clock::Clock;

/// Until when (on the boot clock) a call may be sent.
#[derive(Clone, Debug)]
pub struct Permit {
    clock: Clock,
    until: Duration,
}

/// The permit was over before the call could be sent; nothing left this process.
#[derive(Debug, thiserror::Error)]
#[error("not sent: too much time had passed since the attempt was recorded")]
pub struct PermitExpired;

impl Permit {
    /// A permit from now on. Take it before the intent is committed.
    #[must_use]
    pub fn start(clock: &Clock, lasts: Duration) -> Self {
        Self {
            until: clock.boot() + lasts,
            clock: clock.clone(),
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Permit {
    fn name(&self) -> &'static str {
        "Permit"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.clock.boot() > self.until {
            Err(PermitExpired.into())
        } else {
            fail_point!("aws.permit.passed");
            Ok(())
        }
    }
}
