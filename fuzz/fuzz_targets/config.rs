//! Any text as a configuration file: it is refused with something that can be shown, or what it asks for can be
//! written and read again, and then is the same.
#![no_main]

use evenkeel::{
    cli::{file, write},
    control::Setup,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match file::parse(text) {
        Err(mistake) => {
            let shown = mistake.show("fuzz.toml", text);
            assert!(shown.lines().count() <= 4, "more than a few lines: {shown}");
            assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "it would move the cursor: {shown:?}");
        }
        Ok(draft) => {
            if let Ok(setup) = draft.finish() {
                assert_eq!(again(&write::effective(&setup)), setup, "what is written is read as something else");
            }
        }
    }
});

fn again(text: &str) -> Setup {
    let draft = file::parse(text).unwrap_or_else(|mistake| panic!("{}", mistake.show("effective.toml", text)));
    draft.finish().unwrap_or_else(|why| panic!("{why}"))
}
