//! Every metric that Curfew has: name, unit and meaning in this one place. Prometheus reads them at
//! `/metrics`. No personal data: labels are statuses, routes and operations, never people or accounts.
//!
//! Two kinds: what this process counted, and how things stand, asked anew at every scrape so that a
//! figure that can't be had is missing instead of old.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// What every name begins with.
const PREFIX: &str = "curfew";

/// Seconds between which answers and calls are told apart.
const QUICK: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Seconds between which ends and starts of access are told apart.
const SLOW: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// A family of histograms, one for each set of labels.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What this process counted. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    answers: Family<AnswerLabels, Counter>,
    answer_seconds: Histograms<RouteLabels>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Histograms<OperationLabels>,
    activation_seconds: Histogram,
    end_lag_seconds: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    route: String,
    method: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    operation: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// How things stand, as far as the database can be asked.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Grants that are not over, by status.
    pub grants: Vec<(String, i64)>,
    /// Ends that take longer than they should.
    pub overdue: i64,
    /// How long ago the oldest of them was due.
    pub overdue_oldest: Duration,
    /// Deletes that were sent for them since their ends began.
    pub overdue_attempts: i64,
    /// Requests that wait for a decision.
    pub pending: i64,
    /// Creates and deletes that Identity Center has not finished.
    pub operations: i64,
    /// Some engine holds the lease.
    pub is_led: bool,
    /// Age of the directory's copy, if there is one.
    pub directory_age: Option<Duration>,
    /// A policy is in force.
    pub has_policy: bool,
    /// Somebody paused: no new access is given.
    pub is_paused: bool,
    /// Events in the audit log.
    pub events: i64,
}

/// How this process is.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Its engine holds the lease.
    pub leads: bool,
    /// Its engine sends nothing to AWS.
    pub is_halted: bool,
    /// Its engine gives no access, because the database's clock jumped.
    pub clock_jumped: bool,
    /// Since its engine's last pass.
    pub pass_age: Duration,
    /// Connections to the database: in use, and idle.
    pub connections: (u32, u32),
    /// Open event streams.
    pub streams: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let answers = Family::default();
        let answer_seconds: Histograms<RouteLabels> =
            Family::new_with_constructor(|| Histogram::new(QUICK));
        let calls = Family::default();
        let call_seconds: Histograms<OperationLabels> =
            Family::new_with_constructor(|| Histogram::new(QUICK));
        let (activation_seconds, end_lag_seconds) = (Histogram::new(SLOW), Histogram::new(SLOW));
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "http_answers",
            "Answers given to browsers and programs, by route (as declared, never as typed), method and status",
            answers.clone(),
        );
        registry.register_with_unit(
            "http_answer",
            "Time from a request's headers to its answer's headers",
            Unit::Seconds,
            answer_seconds.clone(),
        );
        registry.register(
            "aws_calls",
            "Calls to AWS, by operation and outcome: ok, refused (4xx, throttling among them), failed (5xx), no_answer",
            calls.clone(),
        );
        registry.register_with_unit(
            "aws_call",
            "Time that calls to AWS took",
            Unit::Seconds,
            call_seconds.clone(),
        );
        registry.register_with_unit(
            "activation",
            "Time from the approval until Identity Center confirmed the access",
            Unit::Seconds,
            activation_seconds.clone(),
        );
        registry.register_with_unit(
            "end_lag",
            "Time from the moment that access was to end until Identity Center confirmed that it is gone",
            Unit::Seconds,
            end_lag_seconds.clone(),
        );
        Self {
            registry: Arc::new(registry),
            answers,
            answer_seconds,
            calls,
            call_seconds,
            activation_seconds,
            end_lag_seconds,
        }
    }
}

impl Metrics {
    /// An answer went out.
    pub fn answered(&self, route: &str, method: &str, status: u16, took: Duration) {
        let (route, method) = (route.to_owned(), method.to_owned());
        self.answer_seconds
            .get_or_create(&RouteLabels {
                route: route.clone(),
            })
            .observe(took.as_secs_f64());
        self.answers
            .get_or_create(&AnswerLabels {
                route,
                method,
                status,
            })
            .inc();
    }

    /// A call to AWS came to its end.
    pub fn called(&self, operation: &str, outcome: &'static str, took: Duration) {
        let operation = operation.to_owned();
        self.call_seconds
            .get_or_create(&OperationLabels {
                operation: operation.clone(),
            })
            .observe(took.as_secs_f64());
        self.calls
            .get_or_create(&CallLabels { operation, outcome })
            .inc();
    }

    /// Access was confirmed, so long after its approval.
    pub fn activated(&self, after: Duration) {
        self.activation_seconds.observe(after.as_secs_f64());
    }

    /// Access was confirmed gone, so long after it was to end.
    pub fn ended(&self, after: Duration) {
        self.end_lag_seconds.observe(after.as_secs_f64());
    }

    /// All of it, in the format that Prometheus reads. Without figures the database is away.
    ///
    /// # Errors
    /// If it can't be written, which writing to memory can.
    pub fn encode(
        &self,
        process: Process,
        figures: Option<&Figures>,
    ) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &standing(process, figures))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

/// How things stand, as a registry for one scrape.
fn standing(process: Process, figures: Option<&Figures>) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let mut figure = |name: &str, help: &str, value: i64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    let truth = |is: bool| i64::from(is);
    figure(
        "engine_leads",
        "1 if this process's engine holds the lease",
        truth(process.leads),
    );
    figure(
        "engine_halted",
        "1 if this process's engine sends nothing to AWS, because it is not the world that the database belongs to",
        truth(process.is_halted),
    );
    figure(
        "engine_clock_jumped",
        "1 if this process gives no access until it is started again, because the database's clock jumped; endings go on",
        truth(process.clock_jumped),
    );
    figure(
        "event_streams",
        "Pages that are told of changes by this process",
        i64::try_from(process.streams).unwrap_or(i64::MAX),
    );
    figure(
        "database_up",
        "1 if the database answered this scrape",
        truth(figures.is_some()),
    );
    if let Some(figures) = figures {
        figure(
            "engine_led",
            "1 if some engine holds the lease; 0 for more than some seconds means that nothing is taken away",
            truth(figures.is_led),
        );
        figure(
            "overdue_ends",
            "Ends of access that take longer than two minutes: access may still be there. Alert above 0",
            figures.overdue,
        );
        figure(
            "overdue_attempts",
            "Deletes sent for the ends that are overdue now, since each of them began",
            figures.overdue_attempts,
        );
        figure(
            "requests_pending",
            "Requests that wait for a decision",
            figures.pending,
        );
        figure(
            "operations_open",
            "Creates and deletes that Identity Center has not finished",
            figures.operations,
        );
        figure(
            "policy_in_force",
            "1 if a policy is in force; without one every request is refused",
            truth(figures.has_policy),
        );
        figure(
            "paused",
            "1 while an administrator lets no new access be given; endings go on",
            truth(figures.is_paused),
        );
        figure("audit_events", "Events in the audit log", figures.events);
    }
    let connections: Family<StateLabels, Gauge> = Family::default();
    for (state, count) in [
        ("used", process.connections.0),
        ("idle", process.connections.1),
    ] {
        connections
            .get_or_create(&StateLabels { state })
            .set(count.into());
    }
    registry.register(
        "database_connections",
        "Connections of this process's pages and acts to the database, by state",
        connections,
    );
    let mut seconds = |name: &str, help: &str, value: Duration| {
        let gauge: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        gauge.set(value.as_secs_f64());
        registry.register_with_unit(name, help, Unit::Seconds, gauge);
    };
    seconds(
        "engine_pass_age",
        "Since this process's engine finished a pass",
        process.pass_age,
    );
    if let Some(figures) = figures {
        seconds(
            "overdue_oldest",
            "Since the oldest overdue end was due; 0 if there is none",
            figures.overdue_oldest,
        );
        if let Some(age) = figures.directory_age {
            seconds(
                "directory_age",
                "Age of the directory's copy; requests are refused from 300 s on",
                age,
            );
        }
        let grants: Family<StatusLabels, Gauge> = Family::default();
        for (status, count) in &figures.grants {
            let status = status.clone();
            grants.get_or_create(&StatusLabels { status }).set(*count);
        }
        registry.register("grants", "Grants that are not over, by status", grants);
    }
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: Process = Process {
        leads: true,
        is_halted: false,
        clock_jumped: false,
        pass_age: Duration::from_millis(1500),
        connections: (1, 2),
        streams: 3,
    };

    #[test]
    fn what_was_counted_and_how_things_stand_is_written_with_its_unit() {
        let metrics = Metrics::default();
        metrics.answered("/requests/{id}", "GET", 200, Duration::from_millis(3));
        metrics.called("CreateAccountAssignment", "ok", Duration::from_millis(30));
        metrics.ended(Duration::from_secs(3));
        metrics.activated(Duration::from_secs(7));
        let figures = Figures {
            grants: vec![("active".to_owned(), 4)],
            overdue: 1,
            overdue_attempts: 7,
            is_led: true,
            directory_age: Some(Duration::from_secs(9)),
            ..Figures::default()
        };
        let text = metrics.encode(PROCESS, Some(&figures)).unwrap();
        for line in [
            "curfew_http_answers_total{route=\"/requests/{id}\",method=\"GET\",status=\"200\"} 1",
            "curfew_http_answer_seconds_count{route=\"/requests/{id}\"} 1",
            "curfew_aws_calls_total{operation=\"CreateAccountAssignment\",outcome=\"ok\"} 1",
            "curfew_end_lag_seconds_bucket{le=\"5.0\"} 1",
            "curfew_activation_seconds_sum 7.0",
            "curfew_grants{status=\"active\"} 4",
            "curfew_overdue_ends 1",
            "curfew_overdue_attempts 7",
            "curfew_engine_leads 1",
            "curfew_engine_pass_age_seconds 1.5",
            "curfew_directory_age_seconds 9.0",
            "curfew_database_connections{state=\"idle\"} 2",
            "curfew_event_streams 3",
            "curfew_database_up 1",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line}\nin\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    }

    #[test]
    fn without_the_database_its_figures_are_missing_and_not_old() {
        let text = Metrics::default().encode(PROCESS, None).unwrap();
        assert!(text.contains("curfew_database_up 0"));
        for name in [
            "curfew_grants",
            "curfew_overdue_ends",
            "curfew_engine_led ",
            "curfew_directory_age",
        ] {
            assert!(!text.contains(name), "{name}");
        }
    }

    #[test]
    fn every_metric_that_the_manual_alerts_on_exists() {
        let root = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        let manual = std::fs::read_to_string(format!("{root}/docs/install.md")).unwrap();
        let metrics = Metrics::default();
        metrics.called("x", "ok", Duration::ZERO);
        let figures = Figures {
            directory_age: Some(Duration::ZERO),
            ..Figures::default()
        };
        let text = metrics.encode(PROCESS, Some(&figures)).unwrap();
        let is_of_name = |at: char| at.is_ascii_lowercase() || at == '_';
        let named: Vec<&str> = manual
            .split('`')
            .filter(|code| code.starts_with("curfew_"))
            .map(|code| code.split(|at| !is_of_name(at)).next().unwrap())
            .filter(|name| !name.ends_with("owner"))
            .collect();
        assert!(named.len() > 5, "{named:?}");
        for name in named {
            let is_there = text.lines().any(|line| {
                let rest = line.strip_prefix(name);
                rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            });
            assert!(
                is_there,
                "docs/install.md names {name}, which does not exist"
            );
        }
    }
}
