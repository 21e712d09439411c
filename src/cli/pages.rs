//! `evenkeel completions` and `evenkeel man`: what other programs show of the command line.

use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::args;

/// A script that completes commands and flags in this shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "evenkeel", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page: one for all commands, each with its flags.
pub fn manual() -> String {
    let mut command = args::command().disable_help_subcommand(true);
    command.build();
    let man = Man::new(command.clone());
    let mut page = roff(|page| man.render_title(page));
    page += &roff(|page| man.render_name_section(page));
    page += &roff(|page| man.render_synopsis_section(page));
    // The list names a page for each command, but each is a section of this one.
    let list = roff(|page| man.render_subcommands_section(page));
    page += &list.replace("evenkeel\\-", "evenkeel ").replace("(1)\n", "\n");
    page.extend(command.get_subcommands().map(section));
    page + &roff(|page| man.render_version_section(page))
}

/// A command, with its synopsis and its flags, as a section of the program's page.
fn section(command: &Command) -> String {
    let name = command.get_display_name().unwrap_or_default().replace('-', " ");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone());
    let synopsis = roff(|page| man.render_synopsis_section(page));
    let options = roff(|page| man.render_options_section(page));
    let parts = (synopsis + &options).replace(".SH SYNOPSIS\n", ".PP\n").replace(".SH OPTIONS\n", "");
    // The headings of its flags stand below its own.
    let parts = parts.replace(".SH ", ".SS ");
    format!(".SH \"{}\"\n{about}.\n{parts}", name.to_uppercase())
}

fn roff(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> String {
    let mut page = Vec::new();
    // Writing to memory can't fail.
    let _ = render(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}
