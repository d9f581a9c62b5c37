//! AWS: clients from the SDK's standard chain, and our questions in our words.
//!
//! SDK retries are off where the engine works: the budget of calls is scarce and the engine schedules every try itself.
//! Nothing here knows the ledger; nothing here decides.

pub mod answer;
pub mod directory;
pub mod identity_center;
pub mod management;
pub mod observe;
pub mod permit;
pub mod rehearse;
pub mod target;

use std::time::Duration;

use anyhow::Context as _;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, SdkConfig, retry::RetryConfig};

use self::identity_center::IdentityCenter;
use self::observe::Observer;

/// Tries of a call that may take its time.
const PATIENCE: u32 = 6;

/// The clients that Curfew uses.
#[derive(Clone, Debug)]
pub struct Aws {
    /// Assignments, permission sets, the instance.
    pub sso_admin: aws_sdk_ssoadmin::Client,
    /// People and groups.
    pub identity_store: aws_sdk_identitystore::Client,
    /// Accounts and units.
    pub organizations: aws_sdk_organizations::Client,
    /// Which account we run in.
    pub sts: aws_sdk_sts::Client,
    /// What is seen of all their calls.
    pub observer: Observer,
    /// The region of Identity Center.
    pub region: Option<String>,
}

/// The Identity Center instance that the credentials lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its ARN.
    pub arn: String,
    /// Its identity store.
    pub identity_store_id: String,
}

impl Aws {
    /// Clients over this configuration.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        // The SDK would sign at a time corrected by what AWS's answers seem to say. A signature from
        // the future lives longer than the wait after which an attempt counts as over (protocol S4).
        let observer = Observer::default();
        let sso_admin = aws_sdk_ssoadmin::config::Builder::from(config)
            .disable_clock_skew_correction(true)
            .interceptor(observer.clone());
        let identity_store =
            aws_sdk_identitystore::config::Builder::from(config).interceptor(observer.clone());
        let organizations =
            aws_sdk_organizations::config::Builder::from(config).interceptor(observer.clone());
        let sts = aws_sdk_sts::config::Builder::from(config).interceptor(observer.clone());
        Self {
            sso_admin: aws_sdk_ssoadmin::Client::from_conf(sso_admin.build()),
            identity_store: aws_sdk_identitystore::Client::from_conf(identity_store.build()),
            organizations: aws_sdk_organizations::Client::from_conf(organizations.build()),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            observer,
            region: config.region().map(ToString::to_string),
        }
    }

    /// The same clients with the SDK's retries: for reads that nobody waits for by the second, such as a
    /// copy of the directory. Other tools may be using the calls that AWS allows at this moment.
    #[must_use]
    pub fn patient(&self) -> Self {
        let retries = RetryConfig::standard().with_max_attempts(PATIENCE);
        let sso_admin = self.sso_admin.config().to_builder();
        let identity_store = self.identity_store.config().to_builder();
        let organizations = self.organizations.config().to_builder();
        let sts = self.sts.config().to_builder();
        Self {
            sso_admin: aws_sdk_ssoadmin::Client::from_conf(
                sso_admin.retry_config(retries.clone()).build(),
            ),
            identity_store: aws_sdk_identitystore::Client::from_conf(
                identity_store.retry_config(retries.clone()).build(),
            ),
            organizations: aws_sdk_organizations::Client::from_conf(
                organizations.retry_config(retries.clone()).build(),
            ),
            sts: aws_sdk_sts::Client::from_conf(sts.retry_config(retries).build()),
            observer: self.observer.clone(),
            region: self.region.clone(),
        }
    }

    /// Asks which instance the credentials lead to.
    ///
    /// # Errors
    /// If AWS does not answer, or there is not exactly one instance.
    pub async fn instance(&self) -> anyhow::Result<Instance> {
        let answer = self
            .sso_admin
            .list_instances()
            .send()
            .await
            .map_err(answer::describe)
            .context("ask for the Identity Center instance")?;
        let instances = answer.instances();
        let [instance] = instances else {
            anyhow::bail!(
                "there are {} Identity Center instances in this region; Curfew needs exactly one",
                instances.len()
            );
        };
        Ok(Instance {
            arn: instance
                .instance_arn()
                .context("the instance has no ARN")?
                .to_owned(),
            identity_store_id: instance
                .identity_store_id()
                .context("the instance has no identity store")?
                .to_owned(),
        })
    }

    /// Identity Center, for one instance.
    #[must_use]
    pub fn identity_center(&self, instance: &Instance) -> IdentityCenter {
        IdentityCenter::new(self.sso_admin.clone(), instance.arn.clone())
    }
}

/// What all clients share: no SDK retries, bounded time, our name in `CloudTrail`.
///
/// # Panics
/// Never: the name has only allowed characters.
#[must_use]
pub fn loader(call_timeout: Duration) -> aws_config::ConfigLoader {
    let app_name = AppName::new("curfew").expect("the name has only allowed characters");
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(call_timeout)
        .operation_timeout(call_timeout)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .app_name(app_name)
}
