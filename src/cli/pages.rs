//! `evenkeel completions` and `evenkeel man`: what other programs show of the command line.

use clap_complete::Shell;
use clap_mangen::Man;

use super::args;

/// A script that completes commands and flags in this shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "evenkeel", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page: every command with its flags.
pub fn manual() -> String {
    let mut command = args::command();
    command.build();
    let mut page = Vec::new();
    // Writing to memory can't fail.
    let _ = Man::new(command.clone()).render(&mut page);
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    let sections: String = commands.map(section).collect();
    let page = String::from_utf8_lossy(&page).into_owned();
    let version = page.find(".SH VERSION").unwrap_or(page.len());
    format!("{}{sections}{}", &page[..version], &page[version..])
}

/// A command, with its synopsis and its flags, as a section of the program's page.
fn section(command: &clap::Command) -> String {
    let name = command.get_display_name().unwrap_or_default().replace('-', " ").to_uppercase();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone());
    let mut parts = Vec::new();
    let _ = man.render_synopsis_section(&mut parts);
    let _ = man.render_options_section(&mut parts);
    let parts = String::from_utf8_lossy(&parts).replace(".SH ", ".SS ");
    format!(".SH \"{name}\"\n{about}.\n{parts}")
}
