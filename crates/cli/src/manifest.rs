//! `pintle manifest …`: what runs pintle, as text, checked before it is printed.
//!
//! Every setting that differs from its default becomes an argument of `run`, so that one file holds
//! everything and is the same on every node; a ConfigMap does not exist before `kubeadm init`.

use pintle_core::config::{Argument, Config, Configuration, Fallback, KEYS, Role, Shape, Sources};

use crate::args::{PodArgs, SettingArgs};
use crate::exit::{Exit, Failure};
use crate::migrate::Migration;
use crate::refused;

mod distribution;
mod mounts;
mod pod;
mod proxy;

pub(crate) use distribution::Distribution;
use mounts::Mount;
use pod::Pod;

/// What runs on every control-plane node balances; a `run` that somebody configured by hand is asked first.
const BALANCE: &str = "balancer.enabled";

/// Renders the static pod, with the settings of `migration` where the operator gave none.
///
/// # Errors
///
/// Every mistake in the settings, and settings that a static pod cannot work with.
pub(crate) fn static_pod(args: &PodArgs, migration: &Migration) -> Result<String, Failure> {
    let mut arguments = args.settings.arguments();
    let given: Vec<String> = arguments.iter().map(|argument| argument.key.clone()).collect();
    let new = migration.arguments.iter().filter(|argument| !given.contains(&argument.key));
    arguments.extend(new.cloned());
    if let Some(kubeconfig) = args.distribution.kubeconfig() {
        default_to(&mut arguments, "apiserver.kubeconfigs", kubeconfig);
    }
    if let Configuration::Proxy(config) = configuration_of(&arguments)? {
        return proxy::static_pod(args, &arguments, &config, migration);
    }
    default_to(&mut arguments, BALANCE, "true");
    let config = config_of(&arguments)?;
    if config.apiserver.kubeconfigs.is_empty() {
        return Err(wrong("a static pod has no service account: name a file with --kubeconfig"));
    }
    let account = "automountServiceAccountToken: false";
    let spec = Pod::new(args, &arguments, shape(&config, account)?)?.spec();
    let template = include_str!("manifest/static-pod.yaml");
    let yaml = template.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    let notes = migration.notes.iter().map(|note| format!("# {}\n", printable(note)));
    let notes = notes.collect::<String>();
    let place = format!("{}\n{notes}", args.distribution.place());
    let yaml = yaml.replacen("@PLACE@\n", &place, 1);
    Ok(yaml.replacen("@SPEC@\n", &indented(&spec, 2), 1))
}

fn shape<'a>(config: &Config, account: &'a str) -> Result<pod::Shape<'a>, Failure> {
    Ok(pod::Shape {
        template: include_str!("manifest/pod-spec.yaml"),
        role: Role::ControlPlane,
        telemetry: config.telemetry.address,
        mounts: mounts::of(&config.apiserver.kubeconfigs).map_err(wrong)?,
        account,
    })
}

/// Renders the DaemonSet and all that it needs: its account, its role, its seats at the API server.
///
/// # Errors
///
/// Every mistake in the settings.
pub(crate) fn daemonset(args: &PodArgs) -> Result<String, Failure> {
    let mut arguments = args.settings.arguments();
    // The pods have their service account.
    default_to(&mut arguments, "apiserver.kubeconfigs", "");
    default_to(&mut arguments, BALANCE, "true");
    let config = config_of(&arguments)?;
    let account = format!(
        "serviceAccountName: pintle\n\
         automountServiceAccountToken: true\n\
         nodeSelector:\n  \
           node-role.kubernetes.io/control-plane: \"{}\"\n\
         # On every such node, whatever its taints: a node in trouble is when it is needed.\n\
         tolerations:\n\
         - operator: Exists",
        args.distribution.label()
    );
    let spec = Pod::new(args, &arguments, shape(&config, &account)?)?.spec();
    let daemonset = include_str!("manifest/daemonset.yaml");
    let parts = [
        include_str!("manifest/service-account.yaml").to_owned(),
        for_the_lease(include_str!("manifest/rbac.yaml"), &config),
        for_the_lease(include_str!("manifest/flow-schema.yaml"), &config),
        daemonset.replacen("@SPEC@\n", &indented(&spec, 6), 1),
    ];
    Ok(format!("{}{}", header("daemonset"), parts.join("---\n")))
}

/// Renders the account of the DaemonSet and its role.
///
/// # Errors
///
/// Every mistake in the settings.
pub(crate) fn rbac(settings: &SettingArgs) -> Result<String, Failure> {
    let config = config_of(&settings.arguments())?;
    let account = include_str!("manifest/service-account.yaml");
    let role = for_the_lease(include_str!("manifest/rbac.yaml"), &config);
    Ok(format!("{}{account}---\n{role}", header("rbac")))
}

/// Renders the role of the workers' proxies: it has no settings.
pub(crate) fn rbac_of_proxies() -> String {
    proxy::rbac()
}

/// Renders the seats at the API server, for the static pod and for the DaemonSet.
///
/// # Errors
///
/// Every mistake in the settings.
pub(crate) fn flow_schema(settings: &SettingArgs) -> Result<String, Failure> {
    let config = config_of(&settings.arguments())?;
    let schema = for_the_lease(include_str!("manifest/flow-schema.yaml"), &config);
    Ok(format!("{}{schema}", header("flow-schema")))
}

/// Renders the unit for systemd.
///
/// # Errors
///
/// Every mistake in the settings.
pub(crate) fn systemd(
    settings: &SettingArgs,
    distribution: Distribution,
) -> Result<String, Failure> {
    let mut arguments = settings.arguments();
    if let Some(kubeconfig) = distribution.kubeconfig() {
        default_to(&mut arguments, "apiserver.kubeconfigs", kubeconfig);
    }
    let role = match configuration_of(&arguments)? {
        Configuration::ControlPlane(_) => Role::ControlPlane,
        Configuration::Proxy(_) => Role::Proxy,
    };
    if role == Role::ControlPlane {
        default_to(&mut arguments, BALANCE, "true");
        config_of(&arguments)?;
    }
    let words = run_arguments(&arguments, role).into_iter().map(|word| systemd_quoted(&word));
    let command: Vec<String> =
        std::iter::once("/usr/local/bin/pintle".to_owned()).chain(words).collect();
    let unit = match role {
        Role::ControlPlane => include_str!("manifest/pintle.service"),
        Role::Proxy => include_str!("manifest/pintle-proxy.service"),
    };
    let unit = unit.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    Ok(unit.replacen("@COMMAND@", &command.join(" "), 1))
}

/// Checks the settings of either role.
fn configuration_of(arguments: &[Argument]) -> Result<Configuration, Failure> {
    Configuration::read(&sources_of(arguments)).map_err(|mistakes| refused(&mistakes))
}

/// Checks the settings of a control-plane node. The node's name is not this host's: a pod learns it from the kubelet, a service
/// from its host.
fn config_of(arguments: &[Argument]) -> Result<Config, Failure> {
    Config::read(&sources_of(arguments)).map_err(|mistakes| refused(&mistakes))
}

fn sources_of(arguments: &[Argument]) -> Sources {
    let arguments = arguments.to_vec();
    Sources { host_name: "node".to_owned(), arguments, ..Sources::default() }
}

/// Sets a key that the operator did not.
fn default_to(arguments: &mut Vec<Argument>, key: &str, value: &str) {
    if arguments.iter().all(|argument| argument.key != key) {
        let (flag, key) = (format!("--set {key}"), key.to_owned());
        arguments.push(Argument { flag, key, values: vec![value.to_owned()] });
    }
}

/// `run` and the settings that differ from their defaults, in the order of the file.
fn run_arguments(given: &[Argument], role: Role) -> Vec<String> {
    let mut arguments = vec!["run".to_owned()];
    for key in KEYS {
        for Argument { values, .. } in given.iter().filter(|argument| argument.key == key.path) {
            if matches!(role.fallback(key), Fallback::Text(text) if text == values.join(",")) {
                continue;
            }
            let assignments: Vec<String> = match (key.flag, key.shape) {
                (Some(flag), Shape::List) => {
                    let items = values.iter().flat_map(|value| value.split(','));
                    items.map(|item| format!("--{flag}={}", item.trim())).collect()
                }
                (Some(flag), Shape::One) => vec![format!("--{flag}={}", values.join(","))],
                (None, _) => vec![format!("--set={}={}", key.path, values.join(","))],
            };
            arguments.extend(assignments);
        }
    }
    arguments
}

fn header(kind: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "# Written by pintle {version}: `pintle manifest {kind}`. For a running cluster: `kubectl apply -f FILE`.\n"
    )
}

fn for_the_lease(template: &str, config: &Config) -> String {
    template
        .replace("@NAMESPACE@", &quoted(&config.election.namespace))
        .replace("@LEASE@", &quoted(&config.election.lease))
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(Exit::BadConfig, format!("pintle: {}", message.into()))
}

/// A text as YAML: a JSON string is one, with every character that YAML would read otherwise escaped.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A word as systemd.syntax(7) has it: quotes and backslashes as in C, and `%` and `$` doubled.
fn systemd_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-=_./:,[]".contains(c);
    if word.chars().all(plain) {
        return word.to_owned();
    }
    quoted(word).replace('%', "%%").replace('$', "$$")
}

/// On one line, without what a terminal or YAML would take for something else.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn indented(text: &str, depth: usize) -> String {
    let indent = " ".repeat(depth);
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command, Manifest};
    use clap::Parser as _;

    #[test]
    fn a_node_s_name_is_refused_by_either_flag() {
        for flag in ["--node=cp-1", "--set=node=cp-1"] {
            let cli =
                Cli::parse_from(["pintle", "manifest", "static-pod", "--vip=192.0.2.10", flag]);
            let Command::Manifest(Manifest::StaticPod(pod)) = cli.command else {
                panic!("another command");
            };
            let failure = static_pod(&pod.pod, &Migration::default()).unwrap_err();
            assert_eq!(failure.exit, Exit::BadConfig);
            assert!(failure.message.contains("the same on every node"), "{failure}");
        }
    }

    #[test]
    fn words_of_a_unit() {
        for (word, expected) in [
            ("--vip=2001:db8::10", "--vip=2001:db8::10"),
            ("--set=a=b c", "\"--set=a=b c\""),
            ("--set=a=%n $HOME", "\"--set=a=%%n $$HOME\""),
            ("a\"b", r#""a\"b""#),
        ] {
            assert_eq!(systemd_quoted(word), expected);
        }
    }
}
