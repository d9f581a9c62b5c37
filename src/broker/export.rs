//! Exporting events is an act too: auditors do it, and the log says so. Events: `audit.exported`.

use super::Broker;
use crate::access::person::{Actor, SignedInPerson};
use crate::audit::event::{Event, EventType};
use crate::audit::export::Format;
use crate::audit::filter::Filter;
use crate::postgres::audit;
use crate::postgres::change::Change;

impl Broker {
    /// Records the export, and says up to which event it goes (itself included).
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn export(
        &self,
        by: &SignedInPerson,
        format: Format,
        filter: &Filter,
    ) -> anyhow::Result<i64> {
        let mut change = Change::begin(&self.db, Actor::Person(Box::new(by.clone()))).await?;
        change.record(
            Event::new(EventType::AuditExported)
                .with("format", format.as_str())
                .at("from", filter.from)
                .at("to", filter.until)
                .with("filters", filter.selecting()),
        );
        change.commit().await?;
        Ok(audit::load_head(&mut *self.db.conn().await?).await?.seq)
    }
}
