//! Flags that set keys of the configuration, made from the core's table of keys: one source for
//! `--help`, the documentation and the reader. Values stay texts; the core judges them, so that all
//! mistakes are told together and not the first one by the parser of flags.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use pintle_core::config::{Argument, Fallback, KEYS, Key, Shape};

/// The flag for keys that have none of their own.
const SET: &str = "set";

/// What was given by flags, in the order of the keys, then of `--set`.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingArgs {
    arguments: Vec<Argument>,
}

impl SettingArgs {
    pub(crate) fn arguments(&self) -> Vec<Argument> {
        self.arguments.clone()
    }
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for (key, flag) in flags() {
            let values: Vec<String> =
                matches.get_many(key.path).into_iter().flatten().cloned().collect();
            if !values.is_empty() {
                let (flag, key) = (format!("--{flag}"), key.path.to_owned());
                self.arguments.push(Argument { flag, key, values });
            }
        }
        for assignment in matches.get_many::<String>(SET).into_iter().flatten() {
            let Some((key, value)) = assignment.split_once('=') else {
                let message = format!("--set wants KEY=VALUE, got {assignment:?}\n");
                return Err(Error::raw(ErrorKind::ValueValidation, message));
            };
            let (flag, key) = (format!("--{SET} {key}"), key.to_owned());
            self.arguments.push(Argument { flag, key, values: vec![value.to_owned()] });
        }
        Ok(())
    }
}

impl Args for SettingArgs {
    fn augment_args(command: Command) -> Command {
        let set = Arg::new(SET)
            .long(SET)
            .value_name("KEY=VALUE")
            .action(ArgAction::Append)
            .help("Any key of the configuration file, a list separated by commas")
            .long_help(set_help());
        command.args(flags().map(|(key, flag)| argument(key, flag))).arg(set)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flags() -> impl Iterator<Item = (&'static Key, &'static str)> {
    KEYS.iter().filter_map(|key| key.flag.map(|flag| (key, flag)))
}

fn argument(key: &'static Key, flag: &'static str) -> Arg {
    let action = match key.shape {
        Shape::One => ArgAction::Set,
        Shape::List => ArgAction::Append,
    };
    Arg::new(key.path)
        .long(flag)
        .value_name(key.value_name)
        .action(action)
        .allow_negative_numbers(true)
        .help(help(key))
}

fn help(key: &Key) -> String {
    let fallback = match key.fallback {
        Fallback::Text("") => "nothing",
        Fallback::Text(text) => text,
        Fallback::Required(_) => "required",
        Fallback::Found { how, .. } => how,
    };
    format!("{} [{fallback}] [{}]", key.meaning, key.variable()).replace('`', "")
}

fn set_help() -> String {
    let mut text = String::from(
        "Any key of the configuration file, a list separated by commas. Keys without a flag of their own:\n",
    );
    for key in KEYS.iter().filter(|key| key.flag.is_none()) {
        text.push_str(&format!("\n{}: {}", key.path, help(key)));
    }
    text
}
