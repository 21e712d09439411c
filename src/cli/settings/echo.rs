//! The flags of `echo`, and a `[[service]]` of this kind.

use super::{
    Setting,
    Takes::{Nothing, Number, Text},
    values::{self, put},
};
use crate::service::EchoOptions;

/// What can be set on an echo service.
pub const ECHO: &[Setting<EchoOptions>] = &[
    Setting {
        flag: "work",
        key: "work",
        takes: Text("WORK|none"),
        help: "Time that each message takes, by computing or by blocking the worker: spin:DIST or block:DIST, with \
               DIST fixed:50us, exp:50us or bimodal:50us,5ms,0.01",
        set: |echo, text| put(&mut echo.work, values::unless("none", text, str::parse)),
        show: |echo| values::or("none", echo.work.as_ref(), ToString::to_string),
    },
    Setting {
        flag: "seed",
        key: "seed",
        takes: Number("N"),
        help: "Seed of the random times of the work",
        set: |echo, text| put(&mut echo.seed, values::seed(text)),
        show: |echo| echo.seed.to_string(),
    },
    Setting {
        flag: "greet",
        key: "greet",
        takes: Nothing,
        help: "Send 16 bytes on accept: worker, then sequence (two u64, little endian)",
        set: |echo, text| put(&mut echo.greet, values::switch(text)),
        show: |echo| echo.greet.to_string(),
    },
    Setting {
        flag: "idle-timeout",
        key: "idle_timeout",
        takes: Text("DURATION|off"),
        help: "Close connections that say nothing for this long",
        set: |echo, text| put(&mut echo.idle_timeout, values::time_or_off(text)),
        show: |echo| values::show_time_or_off(echo.idle_timeout),
    },
];
