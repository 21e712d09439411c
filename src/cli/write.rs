//! `evenkeel config`: a configuration as TOML, which can be read again and means the same.
//!
//! The default form has every setting with its help, the settings themselves as comments with their defaults:
//! `# …` explains, `#key = value` is what could be set. The effective form has every value that is in force.

use std::fmt::Write as _;

use super::settings::{
    Setting, Takes,
    echo::ECHO,
    proxy::PARTS,
    report::{REPORT, Reporting},
    runtime::RUNTIME,
};
use crate::{
    config::{Options, Place, ProxyOptions, RouteOptions, UpstreamOptions},
    control::{Setup, run::Plan},
    service::{EchoOptions, Kind, Spec},
};

/// The width of help in a file.
const WIDTH: usize = 100;

/// A configuration to begin with: one service, all else as comments.
pub fn defaults() -> String {
    let mut out = Toml { text: String::new(), is_commented: true };
    out.help(
        "A configuration of evenkeel. A line that begins with '#' and a blank explains; one that begins with '#' alone \
         is a setting with its default. `evenkeel check FILE` says whether a file would do, `evenkeel config \
         --effective FILE` what is in force with it, and `evenkeel run FILE` serves. Flags win over the file.",
    );
    out.line("\n[runtime]");
    out.settings(RUNTIME, &Options::default());
    out.line("\n[report]");
    out.settings(REPORT, &Reporting::new(None));
    out.line("\n# As many services as there are to be, each with a name, a kind and addresses of its own.");
    out.line("[[service]]");
    out.help("Its name in reports and logs; without one it is its kind");
    out.line("name = \"db\"");
    out.help("proxy forwards to an upstream, and back; echo sends back what comes in");
    out.line("kind = \"proxy\"");
    out.help("HOST:PORT, [V6]:PORT, :PORT or unix:PATH");
    out.line("listen = [\"127.0.0.1:7000\"]");
    out.help(
        "Where to forward to, each with a weight from 1 to 256, and perhaps backup = true (used only while no \
         other is usable); \"HOST:PORT\" and \"HOST:PORT=2\" will do too. Instead of address there may be dns \
         (\"HOST:PORT\": each address of a name, asked for again by its TTL) or srv (a name: its records)",
    );
    out.line("upstream = [\n  { address = \"127.0.0.1:5432\", weight = 1 },\n]");
    for part in PARTS {
        if let Some(table) = part.table {
            out.line(&format!("\n# {}.\n[service.{table}]", part.heading));
        }
        out.settings(part.settings, &ProxyOptions::default());
    }
    out.line("");
    out.help(
        "Other upstreams for some TLS connections, by what their ClientHello asks for; it goes on to the \
         upstream as it is. The first route that matches is taken; without sni or alpn it takes any. What matches \
         none, or is no TLS, goes to the service's upstream",
    );
    out.line(
        "#[[service.route]]\n#sni = [\"db.example.com\", \"*.db.example.com\"]\n#alpn = [\"postgresql\"]",
    );
    out.line("#upstream = [{ address = \"127.0.0.1:5433\" }]");
    out.line("\n# Another service, as an example of an echo.");
    out.line("#[[service]]\n#name = \"echo\"\n#kind = \"echo\"\n#listen = [\"127.0.0.1:7001\"]");
    out.settings(ECHO, &EchoOptions::default());
    out.text
}

/// What is in force.
pub fn effective(setup: &Setup) -> String {
    let mut out = Toml { text: String::new(), is_commented: false };
    out.line("[runtime]");
    out.settings(RUNTIME, &setup.options);
    out.line("\n[report]");
    out.settings(REPORT, &reporting(&setup.plan));
    setup.services.iter().for_each(|service| out.service(service));
    out.text
}

fn reporting(plan: &Plan) -> Reporting {
    Reporting {
        duration: plan.duration,
        report_file: plan.output.file.clone(),
        report_every: plan.report_every,
        hlog: plan.hlog.clone(),
        access_log: plan.access_log.clone(),
        log_format: plan.log_format,
        ..Reporting::new(plan.output.stdout)
    }
}

struct Toml {
    text: String,
    /// Settings are comments, with their help.
    is_commented: bool,
}

impl Toml {
    fn service(&mut self, Spec { name, listen, kind }: &Spec) {
        self.line("\n[[service]]");
        self.line(&format!("name = {}", quoted(name)));
        self.line(&format!("kind = {}", quoted(kind.name())));
        self.line(&format!("listen = {}", array(listen)));
        match kind {
            Kind::Echo(echo) => self.settings(ECHO, echo),
            Kind::Proxy(proxy) => {
                if !proxy.upstreams.is_empty() {
                    self.upstreams(&proxy.upstreams);
                }
                for part in PARTS {
                    if let Some(table) = part.table {
                        self.line(&format!("\n[service.{table}]"));
                    }
                    self.settings(part.settings, proxy);
                }
                proxy.routes.iter().for_each(|route| self.route(route));
            }
        }
    }

    fn route(&mut self, RouteOptions { sni, alpn, upstreams }: &RouteOptions) {
        self.line("\n[[service.route]]");
        if !sni.is_empty() {
            self.line(&format!("sni = {}", array(sni)));
        }
        if !alpn.is_empty() {
            self.line(&format!("alpn = {}", array(alpn)));
        }
        self.upstreams(upstreams);
    }

    fn upstreams(&mut self, upstreams: &[UpstreamOptions]) {
        let upstreams: String = upstreams.iter().map(upstream).collect();
        self.line(&format!("upstream = [\n{upstreams}]"));
    }

    fn settings<T>(&mut self, settings: &[Setting<T>], values: &T) {
        for setting in settings {
            let value = literal(setting.takes, &(setting.show)(values));
            if self.is_commented {
                self.help(setting.help);
                self.text.push('#');
            }
            self.line(&format!("{} = {value}", setting.key));
        }
    }

    /// A comment, in lines that fit.
    fn help(&mut self, help: &str) {
        let mut line = String::from("#");
        for word in help.split_whitespace() {
            if line.chars().count() + word.chars().count() >= WIDTH {
                self.line(&line);
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn upstream(UpstreamOptions { place, weight, backup }: &UpstreamOptions) -> String {
    let (key, name) = match place {
        Place::Address(address) => ("address", address.to_string()),
        Place::Dns { host, port } => ("dns", format!("{host}:{port}")),
        Place::Srv(name) => ("srv", name.clone()),
    };
    let backup = if *backup { ", backup = true" } else { "" };
    format!("  {{ {key} = {}, weight = {weight}{backup} }},\n", quoted(&name))
}

/// A value as TOML: bare where it is true, false, or a number of a setting that takes one.
fn literal(takes: Takes, text: &str) -> String {
    let is_bare = match takes {
        Takes::Nothing => true,
        Takes::Number(_) => text.parse::<i64>().is_ok_and(|number| number.to_string() == text),
        Takes::List(_) if text != "none" => return array(&text.split(',').collect::<Vec<_>>()),
        Takes::Octal(_) | Takes::Text(_) | Takes::Path(_) | Takes::List(_) => false,
    };
    if is_bare { text.to_owned() } else { quoted(text) }
}

fn array<T: ToString>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

/// A string of TOML: a literal one where a basic one would need a backslash before each backslash.
fn quoted(text: &str) -> String {
    if text.contains('\\') && !text.contains(|c: char| c == '\'' || c.is_control()) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to memory can't fail.
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
