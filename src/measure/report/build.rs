//! Makes a report from what workers hand out. Runs on the thread that was asked for it, never on a worker.

use std::time::{Duration, SystemTime};

use super::{
    Balances, Config, Listener, Machine, NamedHistograms, Report, Service, Upstream, Worker, date,
    round::to_places,
};
use crate::{
    config::{AcceptMode, Balance as UpstreamBalance, Forward, Options},
    measure::{
        balance::Balance,
        counts::{Counts, UpstreamCounts},
        histograms::Histograms,
        ledger::Ends,
        snapshot::{AcceptorSnapshot, WorkerSnapshot},
    },
};

/// What a report says about a run besides what its workers counted.
#[derive(Clone, Debug)]
pub struct RunInfo<'a> {
    /// When it began.
    pub started: SystemTime,
    /// From then until now.
    pub duration: Duration,
    /// How the runtime was built.
    pub options: &'a Options,
    /// The cores that workers were given.
    pub cores: Vec<usize>,
    /// Number of workers, those included that gave no snapshot; 0 where that is as many as did.
    pub workers: usize,
    /// What it served.
    pub services: Vec<ServiceInfo>,
    /// Where it forwarded to: the upstreams of all services, in the order in which workers count them.
    pub upstreams: Vec<UpstreamInfo>,
    /// Sentences about what a reader might not expect.
    pub notes: Vec<String>,
}

/// What a report says about a service.
#[derive(Clone, Debug, Default)]
pub struct ServiceInfo {
    /// Its name.
    pub name: String,
    /// What it is: `echo`, `proxy`.
    pub kind: String,
    /// Where it listened.
    pub listeners: Vec<ListenerInfo>,
    /// How a proxy chooses upstreams.
    pub balance: Option<UpstreamBalance>,
    /// How bytes cross a proxy.
    pub forward: Option<Forward>,
}

/// One listening address.
#[derive(Clone, Debug)]
pub struct ListenerInfo {
    /// Its place among the listeners of all services, by which workers count what they accept.
    pub index: usize,
    /// The address, with the real port.
    pub address: String,
    /// How its connections reached workers.
    pub accept: AcceptMode,
}

/// One upstream, or a slot for one.
#[derive(Clone, Debug, Default)]
pub struct UpstreamInfo {
    /// The name of its service.
    pub service: String,
    /// Its address, as it was typed; of one that was found by a name, the address that was found.
    pub address: String,
    /// Its share, against the others'.
    pub weight: u32,
    /// Whether it is used only while no other of its group is usable.
    pub backup: bool,
    /// Whether it gets sessions.
    pub state: &'static str,
    /// Whether nobody has its slot.
    pub is_vacant: bool,
    /// Whether the DNS answer that it comes from is older than it said that it may be.
    pub stale: bool,
    /// Checks that passed.
    pub checks_passed: u64,
    /// Checks that failed.
    pub checks_failed: u64,
}

impl<'a> RunInfo<'a> {
    /// A run without services, cores or notes; set them as fields.
    pub fn new(started: SystemTime, duration: Duration, options: &'a Options) -> Self {
        Self {
            started,
            duration,
            options,
            cores: Vec::new(),
            workers: 0,
            services: Vec::new(),
            upstreams: Vec::new(),
            notes: Vec::new(),
        }
    }
}

impl Report {
    /// The report of a run so far, from one snapshot a worker.
    pub fn new(run: RunInfo, workers: &[WorkerSnapshot], acceptor: Option<&AcceptorSnapshot>) -> Self {
        let totals = sum(workers);
        let is_alone = run.services.len() == 1;
        let accepted_by = |listener: &ListenerInfo| accepted_by(workers, listener.index);
        let accepted = |service: &ServiceInfo| match is_alone {
            true => totals.accepted,
            false => service.listeners.iter().map(accepted_by).sum(),
        };
        let services =
            run.services.into_iter().map(|service| Service::new(accepted(&service), service)).collect();
        let upstreams = run.upstreams.into_iter().enumerate();
        Self {
            schema: Self::SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: date::rfc3339(run.started),
            duration_s: to_places(run.duration.as_secs_f64(), 6),
            machine: Machine::here(),
            config: Config::new(run.options, run.workers.max(workers.len()), run.cores),
            services,
            totals,
            balance: Balances::new(workers),
            histograms: NamedHistograms::new(&merged(workers)),
            workers: workers.iter().map(Worker::new).collect(),
            acceptor: acceptor.cloned(),
            ends: ends(workers),
            upstreams: upstreams.filter_map(|(index, info)| Upstream::new(info, index, workers)).collect(),
            notes: run.notes,
            merged: Vec::new(),
            merged_balance: None,
        }
    }
}

impl Config {
    fn new(options: &Options, workers: usize, cores: Vec<usize>) -> Self {
        Self {
            accept: options.accept.to_string(),
            trigger: options.trigger.to_string(),
            listen_trigger: options.listen_trigger.to_string(),
            poll: options.poll.to_string(),
            workers,
            cores,
            pin: options.pin,
            rotate_every: options.rotate_every,
            deal: options.deal.to_string(),
            accept_budget: options.accept_budget.unwrap_or(match options.accept.shares_listener() {
                true => 1,
                false => Options::ACCEPT_BUDGET,
            }),
            budget: options.budget,
            backlog: options.backlog,
            nodelay: options.nodelay,
            drain_s: to_places(options.drain.as_secs_f64(), 6),
            measure: options.measure.to_string(),
            timestamps: options.timestamps,
        }
    }
}

impl Service {
    fn new(accepted: u64, info: ServiceInfo) -> Self {
        let listener =
            |info: ListenerInfo| Listener { address: info.address, accept: info.accept.to_string() };
        let listeners: Vec<Listener> = info.listeners.into_iter().map(listener).collect();
        Self {
            name: info.name,
            kind: info.kind,
            balance: info.balance.map_or_else(String::new, |balance| balance.to_string()),
            forward: info.forward.map_or_else(String::new, |forward| forward.to_string()),
            listen: listeners.iter().map(|listener| listener.address.clone()).collect(),
            accepted,
            listeners,
        }
    }
}

impl Upstream {
    /// `None`: nobody has its slot, and nobody who had it ever got a session.
    fn new(info: UpstreamInfo, index: usize, workers: &[WorkerSnapshot]) -> Option<Self> {
        let mut counts = UpstreamCounts::default();
        workers.iter().filter_map(|worker| worker.upstreams.get(index)).for_each(|of_one| counts += of_one);
        if info.is_vacant && counts == UpstreamCounts::default() {
            return None;
        }
        Some(Self {
            service: info.service,
            address: info.address,
            weight: info.weight,
            backup: info.backup,
            state: info.state.to_owned(),
            stale: info.stale,
            checks_passed: info.checks_passed,
            checks_failed: info.checks_failed,
            counts,
        })
    }
}

impl Balances {
    fn new(workers: &[WorkerSnapshot]) -> Self {
        let of = |value: fn(&WorkerSnapshot) -> u64| workers.iter().map(value).collect::<Vec<_>>();
        let active_avg: Vec<f64> = workers.iter().map(|worker| worker.active_avg).collect();
        Self {
            accepted: Balance::of_counts(&of(|worker| worker.counts.accepted)),
            active_avg: Balance::of_averages(&active_avg),
            active_max: Balance::of_amounts(&of(|worker| worker.active_max)),
            messages: Balance::of_amounts(&of(|worker| worker.counts.messages)),
            busy_ns: Balance::of_amounts(&of(|worker| worker.counts.busy_ns)),
        }
    }
}

impl Worker {
    fn new(snapshot: &WorkerSnapshot) -> Self {
        Self {
            worker: snapshot.worker,
            core: snapshot.core,
            counts: snapshot.counts.clone(),
            active_avg: to_places(snapshot.active_avg, 3),
            active_max: snapshot.active_max,
            accept_queue_max: snapshot.accept_queue_max,
            histograms: NamedHistograms::new(&snapshot.histograms),
        }
    }
}

fn sum(workers: &[WorkerSnapshot]) -> Counts {
    workers.iter().fold(Counts::default(), |mut sum, worker| {
        sum += &worker.counts;
        sum
    })
}

fn accepted_by(workers: &[WorkerSnapshot], listener: usize) -> u64 {
    workers.iter().filter_map(|worker| worker.accepted_by.get(listener)).sum()
}

fn ends(workers: &[WorkerSnapshot]) -> Ends {
    workers.iter().fold(Ends::default(), |mut sum, worker| {
        sum += &worker.ends;
        sum
    })
}

fn merged(workers: &[WorkerSnapshot]) -> Histograms {
    workers.iter().fold(Histograms::default(), |mut all, worker| {
        all.add(&worker.histograms);
        all
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::measure::{
        ledger::Code,
        report::{compare::Diff, samples},
    };

    #[test]
    fn every_field_of_the_contract_is_there() {
        let report: Value = serde_json::from_str(&samples::private().to_json_line()).unwrap();
        let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        for (at, contract) in [
            (
                "",
                "schema version started duration_s machine config services totals balance histograms workers \
                 acceptor ends upstreams",
            ),
            ("/machine", "cpus kernel"),
            ("/config", "accept trigger listen_trigger poll workers cores"),
            ("/services/0", "name kind balance forward listen accepted"),
            (
                "/totals",
                "accepted closed active messages bytes_in bytes_out wakeups spurious_wakeups accept_eagain \
                 stale_events partial_writes context_switches busy_ns errors",
            ),
            ("/totals/errors", "reset timeout fd_limit connect other"),
            ("/balance", "accepted active_avg active_max messages busy_ns"),
            ("/balance/accepted", "per_worker dispersion jain max_over_mean cov by_chance"),
            ("/balance/busy_ns", "per_worker dispersion jain max_over_mean cov by_chance"),
            ("/balance/accepted/by_chance", "max_over_mean_p50 max_over_mean_p95 p_value"),
            ("/histograms", "event_delay turn iteration wait session_life"),
            ("/histograms/turn", "unit count min mean stddev p50 p90 p99 p999 p9999 max hdr"),
            ("/histograms", "arrival_delay connect first_byte transit"),
            ("/totals", "unstamped reads read_eagain writes splices epoll_waits epoll_ctls"),
            (
                "/totals",
                "connects connects_failed bytes_to_upstream bytes_from_upstream bytes_spliced ledger_dropped",
            ),
            ("/workers/0", "worker core accepted closed errors histograms"),
        ] {
            let known = fields(report.pointer(at).unwrap());
            for field in contract.split_whitespace() {
                assert!(known.iter().any(|name| name == field), "{at}/{field} is missing");
            }
        }
        assert_eq!(report["schema"], "evenkeel-report/1");
        assert!(report["balance"]["messages"]["by_chance"].is_null());
        assert!(report["acceptor"].is_null());
    }

    #[test]
    fn every_field_is_documented() {
        let manual = include_str!("../../../docs/report.md");
        let later = Report { started: "later".into(), ..samples::private() };
        let merged = Report::merge(&[("a".into(), samples::private()), ("b".into(), later)]).unwrap();
        let diff = Diff::new(("a", &samples::private()), ("b", &samples::exclusive()));
        let reports = [samples::private(), samples::dealt(), samples::proxy(), merged];
        let reports = reports.iter().map(|report| serde_json::to_value(report).unwrap());
        for value in reports.chain([serde_json::to_value(&diff).unwrap()]) {
            // Codes are explained letter by letter, in docs/ledger.md.
            for field in names(&value).into_iter().filter(|name| name.parse::<Code>().is_err()) {
                assert!(
                    manual.contains(&format!("`{field}`")),
                    "docs/report.md doesn't tell what {field} is"
                );
            }
        }
    }

    #[test]
    fn totals_are_the_exact_sums_of_workers() {
        let report: Value = serde_json::from_str(&samples::proxy().to_json_line()).unwrap();
        let workers = report["workers"].as_array().unwrap();
        let adds_up = |totals: &Value, part: &str| {
            for (field, total) in totals.as_object().unwrap() {
                let at = format!("{part}/{field}");
                if total.is_object() {
                    continue;
                }
                let sum: u64 =
                    workers.iter().map(|worker| worker.pointer(&at).unwrap().as_u64().unwrap()).sum();
                assert_eq!(total.as_u64(), Some(sum), "{at}");
            }
        };
        adds_up(&report["totals"], "");
        adds_up(&report["totals"]["errors"], "/errors");
        let merged: u64 =
            workers.iter().map(|worker| worker["histograms"]["turn"]["count"].as_u64().unwrap()).sum();
        assert_eq!(report["histograms"]["turn"]["count"], merged);
    }

    #[test]
    fn json_is_one_line_without_null_but_where_said() {
        for report in
            [samples::private(), samples::exclusive(), samples::empty(), samples::dealt(), samples::proxy()]
        {
            let line = report.to_json_line();
            assert!(!line.contains('\n') && !line.contains("NaN"));
            let value: Value = serde_json::from_str(&line).unwrap();
            for at in nulls("", &value) {
                let said = at == "/acceptor"
                    || at.ends_with("/by_chance")
                    || at.ends_with("/p_value")
                    || at.ends_with("/core");
                assert!(said, "{at} is null");
            }
        }
    }

    #[test]
    fn config_names_what_was_asked_for() {
        let options = Options { accept: AcceptMode::Exclusive, ..Options::default() };
        let config = Config::new(&options, 4, vec![0, 1]);
        let json = serde_json::to_value(config).unwrap();
        for (field, value) in [
            ("accept", json!("exclusive")),
            ("trigger", json!("edge")),
            ("listen_trigger", json!("level")),
            ("poll", json!("block")),
            ("workers", json!(4)),
            ("cores", json!([0, 1])),
            ("accept_budget", json!(1)),
            ("measure", json!("full")),
            ("drain_s", json!(10.0)),
        ] {
            assert_eq!(json[field], value, "{field}");
        }
    }

    #[test]
    fn a_lone_service_accepted_everything_and_each_listener_says_how() {
        let report = samples::private();
        assert_eq!(report.services[0].accepted, report.totals.accepted);
        assert_eq!(report.services[0].listen, ["127.0.0.1:7000"]);
        assert_eq!(report.services[0].listeners[0].accept, "private");
    }

    #[test]
    fn a_vacant_slot_is_left_out_unless_it_had_sessions() {
        let vacant = |address: &str| UpstreamInfo {
            address: address.to_owned(),
            state: "vacant",
            is_vacant: true,
            ..UpstreamInfo::default()
        };
        let options = Options::default();
        let run = RunInfo {
            upstreams: vec![vacant("never"), vacant("once")],
            ..RunInfo::new(SystemTime::now(), Duration::from_secs(1), &options)
        };
        let once = UpstreamCounts { connected: 1, ..UpstreamCounts::default() };
        let worker =
            WorkerSnapshot { upstreams: vec![UpstreamCounts::default(), once], ..samples::snapshot(0, 1) };
        let report = Report::new(run, &[worker], None);
        assert_eq!(report.upstreams.iter().map(|it| &*it.address).collect::<Vec<_>>(), ["once"]);
    }

    #[test]
    fn upstreams_and_services_are_told_apart_and_add_up() {
        let report: Value = serde_json::from_str(&samples::proxy().to_json_line()).unwrap();
        let upstreams = report["upstreams"].as_array().unwrap();
        let fields = "service address weight backup state stale checks_passed checks_failed active connected failed \
                      bytes_to bytes_from ejections ends";
        for field in fields.split(' ') {
            assert!(upstreams.iter().all(|upstream| upstream.get(field).is_some()), "{field}");
        }
        let sum =
            |field: &str| upstreams.iter().map(|upstream| upstream[field].as_u64().unwrap()).sum::<u64>();
        assert_eq!(report["totals"]["connects"], sum("connected"));
        assert_eq!(report["totals"]["connects_failed"], sum("failed"));
        assert_eq!(
            (&report["services"][0]["accepted"], &report["services"][1]["accepted"]),
            (&json!(320), &json!(80))
        );
        assert_eq!(
            (&report["services"][0]["balance"], &report["services"][0]["forward"]),
            (&json!("p2c"), &json!("auto"))
        );
        let ends: u64 =
            report["ends"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        assert_eq!(report["totals"]["closed"], ends);
        assert_eq!(report["ends"]["FC"], 4);
        assert_eq!(upstreams[1]["ends"]["FC"], 4);
    }

    fn names(value: &Value) -> Vec<String> {
        match value {
            Value::Array(items) => items.iter().flat_map(names).collect(),
            Value::Object(fields) => fields
                .iter()
                .flat_map(|(name, field)| names(field).into_iter().chain([name.clone()]))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn nulls(at: &str, value: &Value) -> Vec<String> {
        match value {
            Value::Null => vec![at.to_owned()],
            Value::Array(items) => {
                items.iter().enumerate().flat_map(|(i, item)| nulls(&format!("{at}/{i}"), item)).collect()
            }
            Value::Object(fields) => {
                fields.iter().flat_map(|(name, field)| nulls(&format!("{at}/{name}"), field)).collect()
            }
            _ => Vec::new(),
        }
    }
}
