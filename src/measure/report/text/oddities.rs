//! What a reader should know besides: who accepted, what went wrong, and what the run says about itself.
//!
//! A counter that is zero, as it should be, isn't mentioned.

use super::{
    headline::counted,
    page::{Page, Span, Style, held},
};
use crate::{config::units::show_count, measure::Report};

pub(super) fn print(report: &Report, page: &mut Page) {
    for (head, style, parts) in [
        ("Acceptor", Style::Plain, acceptor(report)),
        ("Errors", Style::Bad, errors(report)),
        ("Also counted", Style::Plain, oddities(report)),
    ] {
        if !parts.is_empty() {
            let sentence = parts.join(", ");
            page.paragraph(2, &[Span::new(style, format!("{head}:")), Span::plain(sentence + ".")]);
        }
    }
    for note in &report.notes {
        page.paragraph(2, &[Span::new(Style::Faint, "Note:"), Span::plain(note.clone())]);
    }
}

/// All of it as heads and sentences.
pub(in crate::measure::report) fn told(report: &Report) -> Vec<(&'static str, String)> {
    let parts =
        [("Acceptor:", acceptor(report)), ("Errors:", errors(report)), ("Also counted:", oddities(report))];
    let told = parts.into_iter().filter(|(_, parts)| !parts.is_empty());
    let told = told.map(|(head, parts)| (head, parts.join(", ") + "."));
    told.chain(report.notes.iter().map(|note| ("Note:", note.clone()))).collect()
}

fn acceptor(report: &Report) -> Vec<String> {
    let Some(acceptor) = &report.acceptor else { return Vec::new() };
    let mut parts = vec![format!("{} accepted", counted(acceptor.accepted, "connection"))];
    parts.extend(nonzero(&[
        (acceptor.wakeups, "wakeups"),
        (acceptor.context_switches, "context switches"),
        (acceptor.queued, "still in mailboxes"),
        (acceptor.mailbox_full, "held back by full mailboxes"),
        (acceptor.fd_limit, "pauses at the descriptor limit"),
    ]));
    parts
}

fn errors(report: &Report) -> Vec<String> {
    let errors = &report.totals.errors;
    nonzero(&[
        (errors.reset, "reset by peers"),
        (errors.timeout, "timed out"),
        (errors.fd_limit, "pauses at the descriptor limit (raise ulimit -n)"),
        (errors.connect, "failed connects to upstreams"),
        (errors.other, "of other kinds"),
    ])
}

fn oddities(report: &Report) -> Vec<String> {
    let totals = &report.totals;
    let queue_max = report.workers.iter().map(|worker| worker.accept_queue_max).max().unwrap_or(0);
    let mut parts = nonzero(&[
        (totals.accept_eagain, "accepts found the queue empty"),
        (totals.accept_aborted, "connections gone before accept"),
        (totals.partial_writes, "partial writes"),
        (totals.bytes_undelivered, "bytes undelivered"),
        (totals.stale_events, "stale events"),
        (totals.drain_cut, "sessions cut when the drain time was over"),
        (totals.unstamped, "messages without a kernel timestamp"),
        (totals.ledger_dropped, "sessions missing from the ledger"),
        (totals.refused_limit, "refused at a limit"),
        (totals.refused_access, "refused by the access lists"),
        (totals.refused_header, "refused for their header, or for want of a route"),
        (totals.shed, "shed for want of descriptors"),
    ]);
    if queue_max > 0 {
        parts.push(format!("longest accept queue {queue_max}"));
    }
    parts
}

fn nonzero(counters: &[(u64, &str)]) -> Vec<String> {
    let told = counters.iter().filter(|(count, _)| *count > 0);
    told.map(|&(count, what)| format!("{} {what}", held(show_count(count as f64)))).collect()
}
