//! Configuration files: what is wrong with one is said where it is, flags win, `check` touches nothing, and what
//! `config` prints is a configuration.

mod support;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Output,
};

use rustix::process::Signal;
use serde_json::Value;
use support::{Server, TempDir, evenkeel, run};

/// Every command, by its name.
const COMMANDS: &[&str] =
    &["echo", "proxy", "run", "check", "config", "report", "selftest", "completions", "man"];

/// An echo service on any free port.
const ECHO: &str = "[[service]]\nkind = \"echo\"\nlisten = \"127.0.0.1:0\"\n";

/// tests/config holds files with one mistake each, and beside each what is said of it.
#[test]
fn a_mistake_is_shown_where_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let files =
        fs::read_dir(&folder).expect("it is part of the tree").map(|entry| entry.expect("it is").path());
    let files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(files.len() >= 55, "{} files", files.len());
    for file in files {
        let expected = fs::read_to_string(file.with_extension("txt")).expect("what is said stands beside it");
        let name = file.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        for command in ["check", "run"] {
            let output =
                evenkeel().current_dir(&folder).args([command, name]).output().expect("the binary starts");
            assert_eq!(refused(&output), expected, "{command} {name}");
        }
    }
}

#[test]
fn files_that_are_none_or_too_much() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    let says = |path: &str, why: &str| {
        let expected = format!("evenkeel: cannot read {path}: {why}; name a configuration file\n");
        for arguments in [&["check", path][..], &["run", path], &["config", "--effective", path]] {
            assert_eq!(refused(&run(arguments)), expected);
        }
    };
    says(&file, "no such file or directory");
    says(folder.path().to_str().expect("UTF-8"), "is a directory");
    fs::write(&file, b"[runtime]\n# \xff\n").expect("it is ours");
    says(&file, "line 2 is not UTF-8");
    fs::write(&file, format!("{ECHO}#{}", " ".repeat(1 << 20))).expect("it is ours");
    says(&file, "it is longer than 1 MiB");
    fs::write(&file, ECHO.repeat(1025)).expect("it is ours");
    let expected =
        format!("evenkeel: {file}: 1025 services are too many for one process: use at most 1024\n");
    assert_eq!(refused(&run(&["check", &file])), expected);
    assert_eq!(refused(&run(&["run"])), "evenkeel: <FILE> is missing; see --help\n");
}

#[test]
fn flags_win_over_the_file() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    let runtime = "[runtime]\nworkers = 2\naccept = \"shared\"\ntrigger = \"level\"\n";
    let report = "[report]\nduration = \"1h\"\nreport = \"text\"\n";
    fs::write(&file, format!("{runtime}{report}{ECHO}")).expect("it is ours");
    let flags = ["--accept", "rotate", "--no-pin", "--duration", "1ms", "--report", "json"];
    let output = run(&[&["run", &file], &flags[..]].concat());
    let stderr = text(&output.stderr);
    assert!(stderr.contains(" · 2 workers · accept=rotate trigger=level poll=block"), "{stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    assert_eq!(
        (&report["config"]["accept"], &report["config"]["trigger"]),
        (&"rotate".into(), &"level".into())
    );
    assert_eq!(report["workers"][0]["core"], Value::Null);
}

#[test]
fn a_run_reports_only_if_it_is_asked_to() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    fs::write(&file, ECHO).expect("it is ours");
    let output = run(&["run", &file, "--duration", "1ms", "-q"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ""));
    assert!(text(&output.stderr).starts_with("ready: echo on 127.0.0.1:"));
}

/// SIGHUP asks for a configuration to be read again, which isn't built: it must not end the server.
#[test]
fn a_hangup_does_not_end_a_run() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    fs::write(&file, ECHO).expect("it is ours");
    let mut server = Server::start_with(evenkeel(), &["run", &file, "--report", "json"]);
    assert!(server.next_stderr_line().starts_with("ready: echo on "));
    server.signal(Signal::HUP);
    let note = server.next_stderr_line();
    assert_eq!(note, "note: the configuration file is not read again while it runs: SIGHUP is ignored");
    server.report();
}

/// An address of a socket that another program has is no error, and a path stays as it is.
#[test]
fn check_binds_nothing() {
    let folder = TempDir::new();
    let (file, socket) = (folder.file("evenkeel.toml"), folder.file("socket"));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound");
    let services = format!(
        "[[service]]\nname = \"db\"\nkind = \"proxy\"\nlisten = [\"{taken}\", \"unix:{socket}\"]\n\
         upstream = [{{ address = \"localhost:5432\", weight = 2 }}, \"127.0.0.1:5433\"]\n\
         [[service]]\nkind = \"echo\"\nlisten = \":0\"\n"
    );
    fs::write(&file, services).expect("it is ours");
    let output = run(&["check", &file]);
    assert_eq!(text(&output.stderr), "");
    let expected = format!(
        "ok: {file}: 2 services\n  db: proxy on {taken}, unix:{socket} to localhost:5432 (weight 2), 127.0.0.1:5433 \
         · balance=p2c forward=auto\n  echo: echo on :0\n"
    );
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), expected));
    assert!(!Path::new(&socket).exists());
}

#[test]
fn check_resolves_names() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    // Names that end in .invalid never resolve (RFC 6761).
    fs::write(&file, ECHO.replace("127.0.0.1:0", "no-such-host.invalid:7000")).expect("it is ours");
    for command in ["check", "run"] {
        let stderr = refused(&run(&[command, &file]));
        let expected = format!("evenkeel: {file}:3:10: cannot resolve 'no-such-host.invalid': ");
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert!(stderr.contains("\n  3 | listen = \"no-such-host.invalid:7000\"\n"), "{stderr}");
    }
}

#[test]
fn check_finds_loops() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    let proxy = |name: &str, listen: &str, upstream: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nkind = \"proxy\"\nlisten = \"{listen}\"\nupstream = \"{upstream}\"\n"
        )
    };
    let there_and_back =
        proxy("there", "127.0.0.1:7100", "localhost:7101") + &proxy("back", ":7101", "127.0.0.1:7100");
    fs::write(&file, there_and_back).expect("it is ours");
    let stderr = refused(&run(&["check", &file]));
    let expected = format!("evenkeel: {file}:5:12: service there forwards to itself: ");
    assert!(stderr.starts_with(&expected), "{stderr}");
    assert!(stderr.contains("\n  5 | upstream = \"localhost:7101\"\n"), "{stderr}");
}

#[test]
fn check_tells_where_everything_goes() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    let service = r#"[[service]]
        kind = "proxy"
        listen = "127.0.0.1:443"
        upstream = ["127.0.0.1:1=2", { address = "127.0.0.1:2", backup = true }]
        health.interval = "2s"
        [[service.route]]
        sni = ["*.example.com", "example.com"]
        alpn = "h2"
        upstream = "127.0.0.1:3"
        [[service.route]]
        upstream = { address = "127.0.0.1:4", weight = 3 }
    "#;
    fs::write(&file, service).expect("it is ours");
    let expected = format!(
        "ok: {file}: 1 service\n  proxy: proxy on 127.0.0.1:443 to 127.0.0.1:1 (weight 2), 127.0.0.1:2 (backup) \
         · balance=p2c forward=auto health=2s\n    sni=*.example.com, example.com alpn=h2 to 127.0.0.1:3\n    to \
         127.0.0.1:4 (weight 3)\n"
    );
    let output = run(&["check", &file]);
    assert_eq!((text(&output.stderr), text(&output.stdout)), (String::new(), expected));
}

#[test]
fn what_config_prints_is_a_configuration() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    let printed = |arguments: &[&str]| {
        let output = run(arguments);
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{arguments:?}");
        text(&output.stdout)
    };
    let defaults = printed(&["config"]);
    assert!(defaults.lines().all(|line| line.chars().count() <= 100), "{defaults}");
    fs::write(&file, &defaults).expect("it is ours");
    assert!(printed(&["check", &file]).starts_with(&format!("ok: {file}: 1 service\n")));
    let effective = printed(&["config", "--effective", &file]);
    for line in [
        "workers = \"auto\"",
        "unix_mode = \"0660\"",
        "name = \"db\"",
        "retries = 3",
        "session = \"off\"",
        "header = \"3s\"",
        "http_status = \"200-399\"",
        "accept_rate = \"off\"",
        "accept_from = \"none\"",
    ] {
        assert!(effective.lines().any(|it| it == line), "no {line} in\n{effective}");
    }
    fs::write(&file, &effective).expect("it is ours");
    assert_eq!(printed(&["config", "--effective", &file]), effective);
}

/// The example in docs/configuration.md is one, and its tables have every key.
#[test]
fn the_document_tells_the_truth() {
    let document = include_str!("../docs/configuration.md");
    let example = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    fs::write(&file, example.expect("an example")).expect("it is ours");
    let output = run(&["check", &file]);
    assert_eq!(text(&output.stderr), "");
    assert!(
        text(&output.stdout).starts_with(&format!("ok: {file}: 4 services\n")),
        "{}",
        text(&output.stdout)
    );
    let defaults = text(&run(&["config"]).stdout);
    for key in
        defaults.lines().filter_map(|line| line.trim_start_matches('#').split_once(" = ")).map(|(key, _)| key)
    {
        assert!(key.starts_with(' ') || document.contains(&format!("`{key}`")), "no word of {key}");
    }
}

#[test]
fn flags_of_a_proxy() {
    for (flags, says) in [
        ("", "--upstream <ADDR[=WEIGHT]> is missing"),
        ("--upstream 10.0.0.1", "--upstream: '10.0.0.1' is not an address (no port)"),
        ("--upstream 10.0.0.1:80=0", "--upstream: '0' is not a weight: use 1 to 256"),
        ("--upstream :80", "upstream :80 is no place to connect to"),
        ("--upstream 10.0.0.1:80 --upstream 10.0.0.1:80=2", "upstream 10.0.0.1:80 is named twice"),
        ("--upstream 10.0.0.1:80 --balance hash", "--balance: 'hash' is not a way to balance"),
        ("--upstream 10.0.0.1:80 --forward sockmap", "--forward: 'sockmap' is not a way to forward"),
        ("--upstream 10.0.0.1:80 --source localhost", "--source: 'localhost' is not an IP address"),
        ("--upstream 10.0.0.1:80 --retries -1", "--retries: '-1' is not a number of retries"),
        ("--upstream 10.0.0.1:80 --connect-timeout 0s", "--connect-timeout: '0s' is no time at all"),
        ("--upstream 10.0.0.1:80 --idle-timeout 30", "--idle-timeout: '30' is not a duration"),
        ("--upstream 10.0.0.1:80 --user-timeout never", "--user-timeout: 'never' is not a duration"),
        ("--upstream 10.0.0.1:80 --work none", "unexpected argument '--work'"),
        (
            "--upstream 10.0.0.1:80 --log-format xml",
            "--log-format: 'xml' is not a log format: use text, json",
        ),
        ("--upstream 10.0.0.1:80 --access-log", "--access-log needs a value"),
        (
            "--upstream 10.0.0.1:80 --access-log - --report json",
            "stdout cannot carry both the access log (-) and the json report: give one a file",
        ),
    ] {
        let line = format!("proxy --listen 127.0.0.1:0 {flags}");
        let stderr = refused(&run(&line.split_whitespace().collect::<Vec<_>>()));
        assert!(stderr.contains(says) && stderr.lines().count() == 1, "{flags}: {stderr}");
    }
}

/// What each of them means is in docs/configuration.md, by the key of the same name.
#[test]
fn flags_of_a_whole_proxy() {
    let folder = TempDir::new();
    let socket = format!("--listen unix:{}", folder.file("socket"));
    for flags in [
        "--backup 10.0.0.2:80=3 --balance maglev",
        "--health-interval 1h --health-port 8008 --health-http /health --health-http-status 200-299,401",
        "--health-interval 1h --health-send PING\\r\\n --health-expect \\x00+ --health-proxy v2 --health-rise 1",
        "--health-interval 1h --health-on-down close --health-slow-start 30s --health-fall 5 --health-timeout 2s",
        "--health-eject-after off --health-eject-for 2s --header-timeout 1s",
        "--limit-connections 10 --limit-listener 5 --limit-upstream 3",
        "--limit-per-source 2 --limit-source-v6-prefix 56 --max-connections 100 --on-fd-limit shed",
        "--limit-accept-rate 2000/s --limit-queue 10 --limit-queue-timeout 2s",
        "--allow 10.0.0.0/8 --allow ::1,127.0.0.0/8 --deny 10.6.0.0/16 --resolver 127.0.0.1",
        "--proxy-protocol-accept-from 10.0.0.0/8 --proxy-protocol-accept-from unix --proxy-protocol-send v1",
    ] {
        let line = format!("proxy {socket} --upstream 127.0.0.1:9 --duration 1ms --report none -q {flags}");
        let output = run(&line.split_whitespace().collect::<Vec<_>>());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{flags}: {stderr}");
        assert!(stderr.starts_with("ready: proxy on "), "{flags}: {stderr}");
    }
}

/// A flag that belongs to a service is none of `run`, whose file has it under another name.
#[test]
fn a_flag_of_another_command_is_told_apart() {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    for (flag, says) in [
        ("--balance", "it is a flag of proxy; a file has it as balance of a [[service]]"),
        ("--health-interval", "it is a flag of proxy; a file has it as health.interval of a [[service]]"),
        (
            "--idle-timeout",
            "it is a flag of echo and proxy; a file has it as idle_timeout or timeout.idle of a [[service]]",
        ),
        ("--listen", "it is a flag of echo and proxy; a file has it as listen of a [[service]]"),
        ("--diff", "it is a flag of report; see --help"),
    ] {
        let expected = format!("evenkeel: unexpected argument '{flag}': {says}");
        let stderr = refused(&run(&["run", &file, flag, "x"]));
        assert!(stderr.starts_with(&expected) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn help_has_headings_and_defaults() {
    let help = |command: &str| text(&run(&[command, "--help"]).stdout);
    let (proxy, run) = (help("proxy"), help("run"));
    for heading in
        ["Forwarding", "Access", "Timeouts", "Health", "Limits", "PROXY protocol", "Runtime", "Reports"]
    {
        assert!(proxy.contains(&format!("\n{heading}:\n")), "no {heading} in\n{proxy}");
    }
    // Lines are broken where they are long.
    let in_one_line = |help: &str| help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (proxy, run) = (in_one_line(&proxy), in_one_line(&run));
    for default in ["[default: p2c]", "[default: 3s]", "[default: 200-399]", "[default: none]"] {
        assert!(proxy.contains(default), "no {default} in\n{proxy}");
    }
    for default in ["[default: private]", "[default: 10s]", "[default: 256k]"] {
        assert!(run.contains(default), "no {default} in\n{run}");
    }
}

/// Every command is in every page, with each of its flags.
#[test]
fn completions_and_the_manual_name_everything() {
    let flags = |command: &str| {
        let help = text(&run(&[command, "--help"]).stdout);
        let flags = help.split(|c: char| !c.is_ascii_lowercase() && c != '-');
        flags.filter_map(|word| word.strip_prefix("--")).map(str::to_owned).collect::<Vec<_>>()
    };
    let pages: Vec<_> =
        [&["man"][..], &["completions", "bash"], &["completions", "zsh"], &["completions", "fish"]]
            .into_iter()
            .map(|arguments| (arguments, text(&run(arguments).stdout).replace("\\-", "-")))
            .collect();
    for command in COMMANDS {
        for (page, text) in &pages {
            assert!(text.contains(command), "{page:?} has no {command}");
            for flag in flags(command).iter().filter(|flag| !flag.is_empty()) {
                assert!(text.contains(flag.as_str()), "{page:?} has no --{flag}");
            }
        }
    }
    let stderr = refused(&run(&["completions", "tcsh"]));
    assert!(stderr.contains("'tcsh' is none of bash, elvish, fish"), "{stderr}");
}

/// The ready line stays for whoever waits for it; all else is an object a line.
#[test]
fn lines_of_json() {
    let line =
        "echo --listen 127.0.0.1:0 --duration 1ms --report none --log-format json --deal least-loaded -v";
    let output = run(&line.split_whitespace().collect::<Vec<_>>());
    let stderr = text(&output.stderr);
    let (ready, others): (Vec<_>, Vec<_>) =
        stderr.lines().partition(|line| line.starts_with("ready: echo on "));
    assert_eq!(ready.len(), 1, "{stderr}");
    let objects = others.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{stderr}")));
    let objects: Vec<Value> = objects.collect();
    assert!(objects.iter().all(|object| object["time"].is_string()), "{stderr}");
    let is_note = |object: &&Value| object["level"] == "note" && object["message"].is_string();
    assert!(objects.iter().any(|object| is_note(&object)), "{stderr}");
    let event = objects.iter().find(|object| object["event"] == "ready").expect("a ready event");
    let address = event["address"].as_str().expect("an address");
    assert!(ready[0].starts_with(&format!("ready: echo on {address} · ")), "{stderr}");
    assert_eq!((&event["kind"], &event["accept"]), (&"echo".into(), &"private".into()));
}

/// What was said on stderr by a command that must have been refused, with nothing on stdout.
fn refused(output: &Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{stderr}");
    stderr
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

/// A ledger or an interval log that could not be written is found without writing one.
#[test]
fn a_log_that_cannot_be_written_is_found() {
    check_finds("access_log", "the ledger");
    check_finds("hlog", "the interval log");
}

fn check_finds(key: &str, what: &str) {
    let folder = TempDir::new();
    let file = folder.file("evenkeel.toml");
    let ledger = folder.file("ledger");
    let with =
        |path: &str| fs::write(&file, format!("[report]\n{key} = {path:?}\n{ECHO}")).expect("it is ours");
    with(&ledger);
    assert!(run(&["check", &file]).status.success());
    assert!(!Path::new(&ledger).exists(), "check made it");
    for (path, why) in [("/none/such", "no such file or directory"), ("/", "is a directory")] {
        with(path);
        let said = refused(&run(&["check", &file]));
        let expected = format!("cannot write {what} to {path}: {why}; choose a path that can be written\n");
        assert_eq!(said, format!("evenkeel: {file}: {expected}"));
    }
}
