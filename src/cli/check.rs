//! `curfew serve --check`: everything that the service needs is tried once, and nothing is changed.
//! One line for each finding, on standard output: `ok`, `warn` or `FAIL`.

use std::collections::BTreeSet;

use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::net::TcpListener;

use super::{policy, say, serve};
use crate::aws::rehearse::{self, Example};
use crate::aws::{self, Aws, Instance, management};
use crate::broker::policy::read;
use crate::clock::Clock;
use crate::config::Config;
use crate::policy::Policy;
use crate::policy::check::findings_against;
use crate::postgres::directory::Copy;
use crate::postgres::installation::{self, Installation, Kind};
use crate::postgres::{bounded, ownership, schema};
use crate::preflight::{self, Warning};
use crate::state_dir::StateDir;

/// What came of it so far.
#[derive(Default)]
struct Report {
    good: usize,
    warned: usize,
    failed: usize,
}

impl Report {
    fn ok(&mut self, topic: &str, text: &str) -> anyhow::Result<()> {
        self.good += 1;
        line("ok", topic, text)
    }

    fn warn(&mut self, topic: &str, Warning { what, remedy }: &Warning) -> anyhow::Result<()> {
        self.warned += 1;
        line("warn", topic, &format!("{what} {remedy}"))
    }

    fn fail(&mut self, topic: &str, text: &str) -> anyhow::Result<()> {
        self.failed += 1;
        line("FAIL", topic, text)
    }

    /// The value, or a line that says why there is none.
    fn take<T>(&mut self, topic: &str, tried: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        match tried {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                self.fail(topic, &format!("{error:#}"))?;
                Ok(None)
            }
        }
    }
}

fn line(level: &str, topic: &str, text: &str) -> anyhow::Result<()> {
    say(&format!("{level:<5} {topic:<14} {text}"))
}

pub(super) async fn run(config: &Config, aws: &Aws) -> anyhow::Result<()> {
    let mut report = Report::default();
    let aws = &aws.patient();
    let origin = config.public_url.origin();
    report.ok("configuration", &format!("people reach it at {origin}"))?;
    for address in [Some(config.listen), config.metrics_listen]
        .into_iter()
        .flatten()
    {
        match TcpListener::bind(address).await {
            Ok(_) => report.ok("configuration", &format!("{address} is free"))?,
            Err(error) => {
                let what = format!("{address} can't be listened on just now: {error}.");
                let remedy = "Fine if the service runs there already.".to_owned();
                report.warn("configuration", &Warning { what, remedy })?;
            }
        }
    }
    match StateDir::new(config.state_dir.clone()).problem() {
        None => {
            let folder = config.state_dir.display();
            report.ok("configuration", &format!("{folder} can be written to"))?;
        }
        Some(why) => report.warn("configuration", &preflight::of_state_dir(&why))?,
    }
    try_identity(config, &mut report).await?;
    let tried = try_policy(config);
    let policy = report.take("policy", tried)?;
    let asked = aws.instance().await;
    let instance = report.take("aws", asked)?;
    if let Some(instance) = &instance {
        try_aws(config, aws, instance, policy.as_ref(), &mut report).await?;
    }
    let tried = try_database(config, instance.as_ref(), &mut report).await;
    report.take("database", tried)?;
    let Report {
        good,
        warned,
        failed,
    } = report;
    say(&format!(
        "{good} ok, {warned} to be warned of, {failed} failed"
    ))?;
    anyhow::ensure!(failed == 0, "see the lines marked FAIL");
    Ok(())
}

/// Asks whoever says who people are, once.
async fn try_identity(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    match config.oidc(&Clock::Postgres) {
        Err(error) => report.fail("sign-in", &format!("{error:#}"))?,
        Ok(None) => {
            let what = "Nobody can sign in: there is no [oidc].".to_owned();
            let remedy = "Set it as docs/identity.md says.".to_owned();
            report.warn("sign-in", &Warning { what, remedy })?;
        }
        Ok(Some(client)) => {
            let issuer = client.issuer().as_str().to_owned();
            let asked = client.check().await.map_err(anyhow::Error::from);
            if let Some(findings) = report.take("sign-in", asked)? {
                if findings.is_empty() {
                    report.ok("sign-in", &format!("{issuer} says what is needed"))?;
                }
                for finding in findings {
                    report.fail("sign-in", &format!("{issuer}: {finding}"))?;
                }
            }
        }
    }
    let issuers = config.api_issuers(&Clock::Postgres);
    for tokens in report.take("api", issuers)?.into_iter().flatten() {
        let issuer = tokens.issuer().as_str();
        let asked = tokens.issuer().check().await.map_err(anyhow::Error::from);
        if let Some(count) = report.take("api", asked)? {
            report.ok("api", &format!("{issuer} has {count} keys"))?;
        }
    }
    Ok(())
}

fn try_policy(config: &Config) -> anyhow::Result<Policy> {
    let source = policy::load(&config.policy_file)?;
    read(&source).map_err(|findings| anyhow::anyhow!(findings.join("; ")))
}

async fn try_aws(
    config: &Config,
    aws: &Aws,
    instance: &Instance,
    policy: Option<&Policy>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (arn, store) = (&instance.arn, &instance.identity_store_id);
    report.ok(
        "aws",
        &format!("Identity Center {arn}, identity store {store}"),
    )?;
    let sound = serve::settle_is_sound(config, aws).await;
    report.take("configuration", sound)?;
    let roles = config.roles();
    let mut names: BTreeSet<String> = roles.group_names().map(str::to_owned).collect();
    names.extend(
        policy
            .iter()
            .flat_map(|policy| policy.group_names())
            .map(str::to_owned),
    );
    let read = aws::directory::read(aws, instance, &names)
        .await
        .context("read people, groups, accounts and permission sets");
    let Some(copy) = report.take("directory", read)? else {
        return Ok(());
    };
    report.ok(
        "directory",
        &format!(
            "{} people, {} groups, {} accounts, {} permission sets",
            copy.people.len(),
            copy.groups.len(),
            copy.accounts.len(),
            copy.permission_sets.len()
        ),
    )?;
    rehearse(aws, instance, &copy, report).await?;
    let groups: BTreeSet<String> = copy.groups.iter().map(|(_, name)| name.clone()).collect();
    for name in roles.group_names().filter(|name| !groups.contains(*name)) {
        report.fail(
            "roles",
            &format!("Identity Center has no group {name:?}, which [roles] names"),
        )?;
    }
    if let Some(policy) = policy {
        against(policy, &copy, &groups, report)?;
        let asked = management::provisioned(aws, instance).await;
        if let Some(provisioned) = report.take("aws", asked)? {
            let found = preflight::of_management(policy, &copy.permission_sets, &provisioned);
            for warning in found {
                report.warn("policy", &warning)?;
            }
        }
    }
    for warning in preflight::of_endpoints(&aws.observer.foreign_endpoints()) {
        report.warn("aws", &warning)?;
    }
    Ok(())
}

/// The reads of the engine, with whoever and whatever comes first.
async fn rehearse(
    aws: &Aws,
    instance: &Instance,
    copy: &Copy,
    report: &mut Report,
) -> anyhow::Result<()> {
    let account = copy.accounts.iter().find(|account| !account.is_sensitive);
    let groups: BTreeSet<String> = copy
        .groups
        .iter()
        .take(1)
        .map(|(id, _)| id.clone())
        .collect();
    let (Some(known), Some(account), Some(set)) =
        (copy.people.first(), account, copy.permission_sets.first())
    else {
        let what = "Without a person, an account and a permission set, what the engine reads could not be tried.".to_owned();
        let remedy = "Check again once they are there.".to_owned();
        return report.warn("aws", &Warning { what, remedy });
    };
    let example = Example {
        user_id: &known.person.user_id,
        groups: &groups,
        account_id: &account.id,
        permission_set_arn: &set.arn,
    };
    let tried = rehearse::reads(aws, instance, &example).await;
    if report.take("aws", tried)?.is_some() {
        report.ok(
            "aws",
            "everything that the engine reads can be read; creating and deleting is not tried",
        )?;
    }
    Ok(())
}

fn against(
    policy: &Policy,
    copy: &Copy,
    groups: &BTreeSet<String>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let sets = copy.permission_sets.iter().map(|set| set.name.clone());
    let findings = findings_against(policy, groups, &sets.collect());
    if findings.is_empty() {
        report.ok("policy", &format!("{} rules", policy.rules.len()))?;
    }
    for finding in findings {
        report.fail("policy", &finding.to_string())?;
    }
    for warning in preflight::of_sessions(policy, &copy.permission_sets) {
        report.warn("policy", &warning)?;
    }
    Ok(())
}

async fn try_database(
    config: &Config,
    instance: Option<&Instance>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let options = config.database.runtime()?;
    let mut conn = PgConnection::connect_with(&bounded(options))
        .await
        .context("connect to the database")?;
    let how = ownership::durability(&mut conn).await?;
    report.ok(
        "database",
        &format!("PostgreSQL {}, as {}", how.server, how.role),
    )?;
    if !how.is_durable {
        report.fail("database", "fsync or synchronous_commit is off: the obligation to end access could be lost in a crash. Turn both on")?;
    }
    report.ok("database", if how.waits_for_standby {
        "commits wait for a synchronous standby"
    } else {
        "no synchronous standby: a failover keeps every commit only if the storage is replicated (as in RDS Multi-AZ)"
    })?;
    if let Some(problem) = schema::find(&mut conn).await?.problem() {
        return report.fail("database", &problem);
    }
    report.ok("database", "the schema is the one that this version needs")?;
    let lacks = ownership::lacks(&mut conn).await?;
    if !lacks.is_empty() {
        let text = format!(
            "{} lacks the right to {}: run `curfew migrate` with database.migrate_url as the owner",
            how.role,
            lacks.join(", ")
        );
        report.fail("database", &text)?;
    }
    if ownership::owns_the_log(&mut conn).await? {
        report.warn("database", &preflight::of_owner())?;
    }
    if let (Some(found), Some(instance)) = (installation::find(&mut conn).await?, instance) {
        let here = Installation {
            kind: Kind::Production.as_str().to_owned(),
            instance_arn: instance.arn.clone(),
            identity_store_id: instance.identity_store_id.clone(),
        };
        if let Some(why) = found.differs_from(&here) {
            report.fail("database", &why)?;
        }
    }
    conn.close().await?;
    Ok(())
}
