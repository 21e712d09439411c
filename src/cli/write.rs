//! `evenkeel config`: a configuration as TOML, which can be read again and means the same.
//!
//! The default form has every setting with its help, the settings themselves as comments with their defaults:
//! `# …` explains, `#key = value` is what could be set. The effective form has every value that is in force.

use std::fmt::Write as _;

use super::settings::{
    Setting, Takes,
    report::{REPORT, Reporting},
    runtime::RUNTIME,
    service::{ECHO, PROXY, TIMEOUTS},
};
use crate::{
    config::{Address, Options, ProxyOptions, Timeouts, UpstreamOptions},
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
    out.help("Where to forward to, each with a weight from 1 to 256; \"HOST:PORT\" and \"HOST:PORT=2\" will do too");
    out.line("upstream = [\n  { address = \"127.0.0.1:5432\", weight = 1 },\n]");
    out.settings(PROXY, &ProxyOptions::default());
    out.line("\n# Its timeouts.");
    out.line("[service.timeout]");
    out.settings(TIMEOUTS, &Timeouts::default());
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
        let addresses: Vec<_> = listen.iter().map(|address| quoted(&address.to_string())).collect();
        self.line("\n[[service]]");
        self.line(&format!("name = {}", quoted(name)));
        self.line(&format!("kind = {}", quoted(kind.name())));
        self.line(&format!("listen = [{}]", addresses.join(", ")));
        match kind {
            Kind::Echo(echo) => self.settings(ECHO, echo),
            Kind::Proxy(proxy) => {
                let upstreams: String = proxy.upstreams.iter().map(upstream).collect();
                self.line(&format!("upstream = [\n{upstreams}]"));
                self.settings(PROXY, proxy);
                self.line("\n[service.timeout]");
                self.settings(TIMEOUTS, &proxy.timeouts);
            }
        }
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

fn upstream(UpstreamOptions { address, weight }: &UpstreamOptions) -> String {
    format!("  {{ address = {}, weight = {weight} }},\n", quoted(&Address::to_string(address)))
}

/// A value as TOML: bare where it is true, false, or a number of a setting that takes one.
fn literal(takes: Takes, text: &str) -> String {
    let is_bare = match takes {
        Takes::Nothing => true,
        Takes::Number(_) => text.parse::<i64>().is_ok_and(|number| number.to_string() == text),
        Takes::Octal(_) | Takes::Text(_) | Takes::Path(_) => false,
    };
    if is_bare { text.to_owned() } else { quoted(text) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
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
