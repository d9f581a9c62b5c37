//! What stories are told with: an app with its world, people who act, and the checks at the end.

pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod check;
pub(crate) mod contract;
pub(crate) mod counts;
pub(crate) mod database;
pub(crate) mod idp;
pub(crate) mod own_postgres;
pub(crate) mod people;
pub(crate) mod served;
pub(crate) mod signing;
pub(crate) mod wire;
pub(crate) mod wrong_clock;

pub(crate) use app::TestApp;
