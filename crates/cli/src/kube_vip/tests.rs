//! Manifests as kube-vip's generator writes them, and everything that is not a setting.

use super::table::VARIABLES;
use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// `kube-vip manifest pod --controlplane --arp --leaderElection …`, 1.0 line.
const TODAY: &[(&str, &str)] = &[
    ("vip_arp", "true"),
    ("port", "6443"),
    ("vip_nodename", "cp-1"),
    ("vip_interface", "eth0"),
    ("vip_subnet", "32"),
    ("dns_mode", "first"),
    ("cp_enable", "true"),
    ("cp_namespace", "kube-system"),
    ("vip_leaderelection", "true"),
    ("vip_leasename", "plndr-cp-lock"),
    ("vip_leaseduration", "5"),
    ("vip_renewdeadline", "3"),
    ("vip_retryperiod", "1"),
    ("address", "172.30.0.10"),
    ("prometheus_server", ":2112"),
];

/// The same of the 0.4 line.
const OF_0_4: &[(&str, &str)] = &[
    ("vip_arp", "true"),
    ("port", "6443"),
    ("vip_interface", "eth0"),
    ("vip_cidr", "32"),
    ("cp_enable", "true"),
    ("cp_namespace", "kube-system"),
    ("vip_ddns", "false"),
    ("vip_leaderelection", "true"),
    ("vip_leaseduration", "5"),
    ("vip_renewdeadline", "3"),
    ("vip_retryperiod", "1"),
    ("address", "172.30.0.10"),
];

fn settings(translation: &Translation) -> BTreeMap<&str, &str> {
    translation.arguments.iter().map(|it| (it.key.as_str(), it.values[0].as_str())).collect()
}

#[test]
fn a_manifest_of_today_is_settings_and_one_warning() {
    let translation = translate(&environment(TODAY));
    let expected = [
        ("apiserver.address", "127.0.0.1:6443"),
        ("election.lease", "plndr-cp-lock"),
        ("election.leaseDuration", "5s"),
        ("election.namespace", "kube-system"),
        ("election.renewDeadline", "3s"),
        ("election.retryPeriod", "1s"),
        ("interface", "eth0"),
        ("node", "cp-1"),
        ("telemetry.metricsAddress", "0.0.0.0:2112"),
        ("vips", "172.30.0.10"),
    ];
    assert_eq!(settings(&translation), BTreeMap::from(expected));
    assert_eq!(translation.warnings.len(), 1, "{:?}", translation.warnings);
    assert!(translation.warnings[0].starts_with("dns_mode has no effect: "));
    assert!(translation.refusals.is_empty());
}

#[test]
fn the_old_line_has_the_same_lease_and_no_warning() {
    let translation = translate(&environment(OF_0_4));
    assert_eq!(settings(&translation)["election.lease"], "plndr-cp-lock");
    assert_eq!((&translation.warnings, &translation.refusals), (&vec![], &vec![]));
}

#[test]
fn what_pintle_does_not_do_is_refused_with_its_name() {
    for name in
        ["svc_enable", "bgp_enable", "vip_routingtable", "vip_wireguard", "vip_ddns", "vip_packet"]
    {
        let mut environment = environment(TODAY);
        environment.insert(name.to_owned(), "true".to_owned());
        let refusals = translate(&environment).refusals;
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        assert!(refusals[0].starts_with(&format!("{name}=true: ")), "{refusals:?}");
        environment.insert(name.to_owned(), "false".to_owned());
        assert!(translate(&environment).refusals.is_empty(), "{name}=false");
    }
    for name in ["cp_enable", "vip_arp"] {
        let mut environment = environment(TODAY);
        environment.remove(name);
        let refusals = translate(&environment).refusals;
        assert!(refusals[0].starts_with(&format!("{name} is not true")), "{refusals:?}");
    }
}

#[test]
fn everything_that_is_set_is_a_setting_a_word_or_a_switch_that_is_off() {
    for variable in VARIABLES {
        let mut environment = environment(TODAY);
        if let Some(newer) = variable.newer {
            environment.remove(newer);
        }
        environment.insert(variable.name.to_owned(), "1".to_owned());
        let translation = translate(&environment);
        let told = translation
            .warnings
            .iter()
            .chain(&translation.refusals)
            .any(|line| line.split([' ', '=']).next() == Some(variable.name));
        let is_setting =
            translation.arguments.iter().any(|argument| argument.flag == variable.name);
        let may_be_off = matches!(
            variable.meaning,
            Meaning::Switch | Meaning::InsteadIfOn(_) | Meaning::RefusedIfOn(_)
        );
        assert!(told || is_setting || may_be_off, "{}", variable.name);
    }
}

#[test]
fn an_unknown_variable_is_named_and_a_container_s_own_are_not() {
    let mut environment = environment(TODAY);
    for name in ["vip_intreface", "PATH", "KUBERNETES_SERVICE_HOST", "https_proxy"] {
        environment.insert(name.to_owned(), "x".to_owned());
    }
    let warnings = translate(&environment).warnings;
    assert_eq!(
        warnings.iter().filter(|line| line.starts_with("vip_intreface is not a variable")).count(),
        1
    );
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn no_secret_is_repeated() {
    let mut environment = environment(TODAY);
    environment.insert("bgp_peerpass".to_owned(), "hunter2".to_owned());
    assert!(!format!("{:?}", translate(&environment)).contains("hunter2"));
}

#[test]
fn prefix_lengths_of_single_hosts_are_what_pintle_does() {
    for (value, warns) in
        [("32", false), ("/32", false), ("32,128", false), ("24", true), ("32,64", true)]
    {
        let mut environment = environment(TODAY);
        environment.insert("vip_subnet".to_owned(), value.to_owned());
        let named =
            translate(&environment).warnings.iter().any(|line| line.starts_with("vip_subnet"));
        assert_eq!(named, warns, "{value}");
    }
}

#[test]
fn the_newer_name_counts_and_the_older_one_is_told_of_when_it_differs() {
    let mut environment = environment(TODAY);
    environment.insert("vip_address".to_owned(), "172.30.0.10".to_owned());
    environment.insert("kubernetes_addr".to_owned(), "https://kubernetes:7443".to_owned());
    let translation = translate(&environment);
    assert_eq!(settings(&translation)["vips"], "172.30.0.10");
    assert_eq!(settings(&translation)["apiserver.address"], "127.0.0.1:7443");
    let told: Vec<&str> =
        translation.warnings.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(told, ["dns_mode", "port"], "{:?}", translation.warnings);
}

#[test]
fn what_pintle_always_does_cannot_be_switched_off_in_silence() {
    let mut environment = environment(TODAY);
    environment.insert("vip_leaderelection".to_owned(), "false".to_owned());
    environment.insert("kubernetes_addr".to_owned(), "https://kubernetes:6443/".to_owned());
    let warnings = translate(&environment).warnings;
    assert_eq!(warnings.len(), 2, "beside dns_mode: {warnings:?}");
    assert!(warnings[1].starts_with("vip_leaderelection has no effect"), "{warnings:?}");
}

#[test]
fn a_name_that_would_have_to_be_looked_up_is_not_the_local_api_server() {
    let mut environment = environment(TODAY);
    environment.insert("kubernetes_addr".to_owned(), "https://api.example.org:6443".to_owned());
    environment.insert("port".to_owned(), "7443".to_owned());
    let translation = translate(&environment);
    assert_eq!(settings(&translation)["apiserver.address"], "127.0.0.1:7443");
    assert!(
        translation.warnings.iter().any(|line| line.starts_with("kubernetes_addr has no effect"))
    );
}

#[test]
fn flags_are_variables_by_another_name() {
    let words = "--controlplane -n other --arp --interface eth0 --address=172.30.0.10 --inCluster=true --foo=7 stray";
    let arguments: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let Flags { variables, warnings, refusals } = flags(&arguments);
    let expected = [
        ("address", "172.30.0.10"),
        ("cp_enable", "true"),
        ("cp_namespace", "other"),
        ("vip_arp", "true"),
        ("vip_interface", "eth0"),
    ];
    assert_eq!((variables, refusals), (environment(&expected), vec![]));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("--foo has no effect") && warnings[1].contains("stray"));
}

/// Whoever elects otherwise, or by a Lease that pintle does not know of, would be a second holder.
#[test]
fn what_could_make_a_second_holder_is_refused() {
    for words in [
        &["--leaderElectionType", "etcd"][..],
        &["--leaderElectionType=etcd"],
        &["--config-file", "/x"],
    ] {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(flags(&words).refusals.len(), 1, "{words:?}");
    }
    let kubernetes = ["--leaderElectionType".to_owned(), "kubernetes".to_owned()];
    assert_eq!(flags(&kubernetes), Flags::default());
}

#[test]
fn what_is_neither_true_nor_false_is_refused() {
    for (name, value) in [
        ("svc_enable", "yes"),
        ("bgp_enable", "maybe"),
        ("vip_skipdad", "-"),
        ("vip_loglevel", "abc"),
    ] {
        let mut environment = environment(TODAY);
        environment.insert(name.to_owned(), value.to_owned());
        let refusals = translate(&environment).refusals;
        assert!(refusals.len() == 1 && refusals[0].starts_with(name), "{refusals:?}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics(
        pairs in proptest::collection::btree_map("[a-z_]{1,12}|address|port|kubernetes_addr|vip_subnet", ".{0,12}", 0..8),
        words in proptest::collection::vec("-{0,3}[a-zA-Z=]{0,9}", 0..6),
    ) {
        let _ = translate(&pairs);
        let _ = flags(&words);
    }
}

fn described(meaning: Meaning) -> String {
    match meaning {
        Meaning::Setting(key) => format!("`{key}`"),
        Meaning::Seconds(key) => format!("`{key}`, in seconds"),
        Meaning::Whole(text) => text.to_owned(),
        Meaning::LogLevel => "`telemetry.log`: `info` or `debug`".to_owned(),
        Meaning::PrefixLength => "32 and 128 are what pintle does; otherwise a warning".to_owned(),
        Meaning::Switch => {
            "`true` is what pintle does; otherwise refused where it matters".to_owned()
        }
        Meaning::Instead(advice) => format!("no effect: {advice}"),
        Meaning::InsteadIfOn(advice) => format!("when true, no effect: {advice}"),
        Meaning::RefusedIfOn(advice) => format!("when true, refused: {advice}"),
    }
}

/// `UPDATE=1 cargo test -p pintle-cli` writes the table anew.
#[test]
fn the_page_says_what_became_of_each_variable() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/migrate-from-kube-vip.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (head, rest) = text.split_once("<!-- begin table -->\n").unwrap();
    let (_, tail) = rest.split_once("<!-- end table -->\n").unwrap();
    let rows =
        VARIABLES.iter().map(|it| format!("| `{}` | {} |\n", it.name, described(it.meaning)));
    let rows: String = rows.collect();
    let table = format!("| variable | here |\n|---|---|\n{rows}");
    let expected = format!("{head}<!-- begin table -->\n{table}<!-- end table -->\n{tail}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(page, &expected).unwrap();
    }
    assert!(text == expected || std::env::var_os("UPDATE").is_some(), "run it with UPDATE=1");
}
