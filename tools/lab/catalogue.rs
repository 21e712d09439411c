//! What `list` prints: scenarios, suites and modes.

use super::{
    mode::Mode,
    progress,
    scenario::{self, Group, Suite},
    schedule, table,
};

const INDENT: &str = "      ";

/// Every scenario by group, then the suites, then how a mode is written.
pub fn list() -> String {
    let all = scenario::all();
    let mut text = String::new();
    for group in Group::all() {
        let mut scenarios = all.iter().filter(|scenario| scenario.group == group).peekable();
        if scenarios.peek().is_some() {
            text += &format!("{}\n", group.name());
        }
        for scenario in scenarios {
            text += &table::wrap(&format!("{}: {}", scenario.name, scenario.reveals), "  ", INDENT);
            text += &table::wrap(&scenario.parameters(), INDENT, INDENT);
            let modes: Vec<_> = scenario.modes.iter().map(Mode::to_string).collect();
            text += &table::wrap(&format!("modes: {}", modes.join(", ")), INDENT, INDENT);
        }
    }
    text += "\nSuites\n";
    for suite in [Suite::QUICK, Suite::SMALL, Suite::FULL] {
        let parts = suite.parts(all.clone(), None);
        let time = progress::estimate(&schedule::plan(&parts, 1, 1));
        let what = format!(
            "{:<5}  {}; {} scenarios, about {}",
            suite.name,
            suite.about,
            parts.len(),
            progress::show(time)
        );
        text += &table::wrap(&what, "  ", INDENT);
    }
    text += "\nModes of quick (the first is the baseline)\n";
    for twins in Mode::quick().chunks(2) {
        let names: Vec<_> = twins.iter().map(|mode| format!("{mode:<16}")).collect();
        text += &format!("  {}\n", names.concat().trim_end());
    }
    text + "\nA mode is accept/trigger[/listen-trigger][+variant]; --modes takes any that the server has.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_scenario_suite_and_mode() {
        let list = list();
        let scenarios = scenario::all().into_iter().map(|scenario| scenario.name);
        let suites = [Suite::QUICK, Suite::SMALL, Suite::FULL].map(|suite| suite.name.to_owned());
        for name in scenarios.chain(suites).chain(Mode::quick().iter().map(Mode::to_string)) {
            assert!(list.contains(&name), "{name} is not listed");
        }
        assert!(list.lines().all(|line| line.chars().count() <= 100), "{list}");
    }
}
