//! A scenario: how AWS behaves, what goes wrong and what people do by hand, written down in TOML so
//! that a run can be repeated.
//!
//! It only puts together what `settings`, `faults` and `hands` understand. Times count from when it is
//! played. An unknown key is an error that names it. `docs/sandbox.md` documents the file and
//! `docs/sandbox-scenario.toml` is a sample.

use anyhow::Context as _;
use chrono::TimeDelta;
use serde::Deserialize;

use super::Sandbox;
use super::faults::{Rate, Scripted, Window};
use super::hands::Edit;
use super::settings::Settings;

/// What a scenario file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// How AWS behaves, the seed included.
    pub settings: Settings,
    /// Faults that wait for one call.
    #[serde(rename = "fault")]
    pub faults: Vec<Scripted>,
    /// Shares of the calls that go wrong.
    #[serde(rename = "rate")]
    pub rates: Vec<Rate>,
    /// Times in which calls go wrong.
    #[serde(rename = "window")]
    pub windows: Vec<Window>,
    /// What people do by hand, and when.
    #[serde(rename = "edit")]
    pub edits: Vec<TimedEdit>,
}

/// Something done by hand at its time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimedEdit {
    /// So long after the start.
    pub at_seconds: u32,
    /// What is done.
    pub edit: Edit,
}

impl Scenario {
    /// Reads a scenario file's text.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text).context("the scenario can't be read")?;
        scenario.settings.check()?;
        Ok(scenario)
    }
}

impl Sandbox {
    /// Lets a scenario begin now. Fails if it asks for what can't be.
    pub fn play(&self, scenario: Scenario) -> anyhow::Result<()> {
        let Scenario {
            settings,
            faults,
            rates,
            windows,
            edits,
        } = scenario;
        settings.check()?;
        let mut inner = self.0.lock();
        let now = inner.settle();
        inner.settings = settings;
        for fault in faults {
            inner.faults.push(fault)?;
        }
        inner.faults.set_rates(rates)?;
        for window in windows {
            inner.faults.open_window(window, now)?;
        }
        let timed = |timed: TimedEdit| {
            let at = now + TimeDelta::seconds(timed.at_seconds.into());
            (at, timed.edit)
        };
        inner.edits.extend(edits.into_iter().map(timed));
        inner.edits.sort_by_key(|(at, _)| *at);
        Ok(())
    }
}
