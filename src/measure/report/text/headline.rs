//! What ran, where, for how long, and what it did.

use super::page::{NO_BREAK, Page, Span, Style, held};
use crate::{
    config::units::{show_count, show_nanos},
    measure::{Report, report::Service},
};

pub(super) fn print(report: &Report, page: &mut Page) {
    for (style, line) in [Style::Strong, Style::Faint, Style::Plain].into_iter().zip(lines(report)) {
        page.paragraph(2, &[Span::new(style, line)]);
    }
}

/// What ran, under which conditions, and what it did.
pub(in crate::measure::report) fn lines(report: &Report) -> [String; 3] {
    // A line ends with the dot, if it must end.
    [subject(report), conditions(report), work(report)].map(|parts| parts.join(&format!("{NO_BREAK}· ")))
}

/// What was served, and where.
pub(in crate::measure::report) fn services(report: &Report) -> String {
    report.services.iter().map(service).collect::<Vec<_>>().join("; ")
}

/// `evenkeel 0.1.0: echo on 127.0.0.1:7000 · 4 workers · 10.0 s`.
fn subject(report: &Report) -> Vec<String> {
    let runs = (!report.merged.is_empty()).then(|| counted(report.merged.len() as u64, "run"));
    let mut parts = vec![
        format!("evenkeel {}: {}", report.version, services(report)),
        counted(report.workers.len() as u64, "worker"),
    ];
    parts.extend(runs);
    parts.push(held(show_nanos(report.duration_s * 1e9)));
    parts
}

fn service(service: &Service) -> String {
    let name = match service.name == service.kind || service.kind.is_empty() {
        true => service.name.clone(),
        false => format!("{} {}", service.kind, service.name),
    };
    let forwards = match service.forward.is_empty() {
        true => String::new(),
        false => " ".to_owned() + &held(format!("(balance={} forward={})", service.balance, service.forward)),
    };
    format!("{name} on {}{forwards}", service.listen.join(", "))
}

fn conditions(report: &Report) -> Vec<String> {
    let (config, machine) = (&report.config, &report.machine);
    vec![
        format!(
            "accept={} trigger={} listen-trigger={} poll={}",
            config.accept, config.trigger, config.listen_trigger, config.poll
        ),
        held(format!("Linux {}, {}", machine.kernel, counted(machine.cpus as u64, "CPU"))),
        report.started.clone(),
    ]
}

fn work(report: &Report) -> Vec<String> {
    let totals = &report.totals;
    let mut parts = vec![
        format!("{} ({} open)", counted(totals.accepted, "connection"), show_count(totals.active as f64)),
        format!("{}{}", counted(totals.messages, "message"), rate(totals.messages, report.duration_s)),
        format!("{} in, {} out", show_bytes(totals.bytes_in), show_bytes(totals.bytes_out)),
    ];
    if totals.bytes_spliced > 0 {
        parts.push(format!("{} spliced", show_bytes(totals.bytes_spliced)));
    }
    if totals.cpu_ns > 0 && totals.messages > 0 {
        let per_message = totals.cpu_ns as f64 / totals.messages as f64;
        parts.push(format!("{} of CPU a message", show_nanos(per_message)));
    }
    parts.into_iter().map(held).collect()
}

fn rate(count: u64, duration_s: f64) -> String {
    match count > 0 && duration_s > 0.0 {
        true => format!(" ({}/s)", show_count(count as f64 / duration_s)),
        false => String::new(),
    }
}

pub(super) fn show_bytes(bytes: u64) -> String {
    let shown = show_count(bytes as f64);
    if shown.contains(' ') { shown + "B" } else { shown + " B" }
}

/// `1 worker`, `4 workers`; kept on one line.
pub(super) fn counted(count: u64, what: &str) -> String {
    held(format!("{} {what}{}", show_count(count as f64), if count == 1 { "" } else { "s" }))
}
