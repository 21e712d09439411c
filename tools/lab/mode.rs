//! A mode under study, written `accept/trigger[/listen-trigger][+variant]`, e.g. `exclusive/level`.

use std::{fmt, str::FromStr};

use evenkeel::config::{AcceptMode, Trigger};

/// One combination of the server's dimensions, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mode {
    pub accept: AcceptMode,
    pub trigger: Trigger,
    pub listen_trigger: Trigger,
    /// The name of flags that the scenario has for it.
    pub variant: Option<String>,
}

impl Mode {
    /// The accept modes that `quick` compares. The first is the baseline.
    pub const QUICK_ACCEPTS: [AcceptMode; 5] = [
        AcceptMode::Private,
        AcceptMode::Shared,
        AcceptMode::Exclusive,
        AcceptMode::Rotate,
        AcceptMode::Dealt,
    ];

    /// The ten modes of `quick`: each accept mode in level, then in edge.
    pub fn quick() -> Vec<Self> {
        let twins = |accept| {
            [Trigger::Level, Trigger::Edge].map(|trigger| Self {
                accept,
                trigger,
                listen_trigger: Trigger::Level,
                variant: None,
            })
        };
        Self::QUICK_ACCEPTS.into_iter().flat_map(twins).collect()
    }

    /// The server's flags for this mode.
    pub fn server_args(&self) -> Vec<String> {
        ["--accept", self.accept.name(), "--trigger", self.trigger.name()]
            .into_iter()
            .chain(["--listen-trigger", self.listen_trigger.name()])
            .map(str::to_owned)
            .collect()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = match self.listen_trigger {
            Trigger::Level => format!("{}/{}", self.accept, self.trigger),
            other => format!("{}/{}/{other}", self.accept, self.trigger),
        };
        if let Some(variant) = &self.variant {
            name += &format!("+{variant}");
        }
        f.pad(&name)
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("'{text}' is not a mode ({why}): write accept/trigger, as in exclusive/level")
        };
        let (dimensions, variant) = match text.split_once('+') {
            Some((_, "")) => return Err(wrong("no name behind the plus sign")),
            Some((dimensions, variant)) => (dimensions, Some(variant.to_owned())),
            None => (text, None),
        };
        let mut parts = dimensions.split('/');
        let accept = parts.next().unwrap_or_default().parse::<AcceptMode>().map_err(|why| wrong(&why))?;
        let trigger = parts.next().ok_or_else(|| wrong("no trigger"))?;
        let trigger = trigger.parse::<Trigger>().map_err(|why| wrong(&why))?;
        let listen_trigger = match parts.next() {
            Some(listen) => listen.parse::<Trigger>().map_err(|why| wrong(&why))?,
            None => Trigger::Level,
        };
        if parts.next().is_some() {
            return Err(wrong("it has more than three parts"));
        }
        if !accept.allows(listen_trigger) {
            return Err(wrong("the kernel refuses EPOLLEXCLUSIVE with EPOLLONESHOT"));
        }
        Ok(Self { accept, trigger, listen_trigger, variant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_survives_a_round_trip() {
        for text in [
            "private/edge",
            "exclusive/level",
            "dealt/oneshot/edge",
            "private/edge+wide",
            "shared/level/edge+a-1",
        ] {
            assert_eq!(text.parse::<Mode>().map(|mode| mode.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(
            "shared/edge/level".parse::<Mode>().map(|mode| mode.to_string()),
            Ok("shared/edge".into())
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("private", "no trigger"),
            ("reuseport/edge", "not an accept mode"),
            ("private/sometimes", "not a trigger"),
            ("rotate/edge/oneshot", "the kernel refuses"),
            ("private/edge/level/level", "more than three parts"),
            ("private/edge+", "no name behind"),
        ] {
            let message = text.parse::<Mode>().unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn quick_has_five_accept_modes_with_two_triggers_each() {
        let names: Vec<_> = Mode::quick().iter().map(Mode::to_string).collect();
        assert_eq!(names.len(), 10);
        assert_eq!(names[..3], ["private/level", "private/edge", "shared/level"]);
    }
}
