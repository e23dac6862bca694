//! The built `pintle` as a process: exit codes, what goes to which stream, what is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

/// `pintle` with nothing of this process's environment.
fn command(arguments: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "runs the built binary")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintle"));
    command.args(arguments).env_clear();
    command
}

fn pintle(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The code and what was said on standard error; nothing may be on standard output.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = pintle(arguments);
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    (output.status.code(), text(&output.stderr).to_owned())
}

#[test]
fn a_file_s_mistakes_are_all_told_with_their_places() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    let file = "\
apiVersion: pintle.dev/v1alpha1
kind: Config
elektion: {}
interface: [eth0]
vips: [127.0.0.1]
election:
  leaseDuration: 2s
  priority: 9
role: proxi
balancer: {port: 0}
";
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let (code, said) = refused(&["run", "--config", path, "--set", "announce.refresh=1"]);
    assert_eq!(code, Some(64));
    let expected = "\
pintle: 8 mistakes in the configuration
FILE:3:1: elektion: unknown key; did you mean election?
FILE:4:12: interface: is a list, want one value
FILE:5:8: vips: \"127.0.0.1\" is a loopback address, which no client reaches; pick a free address of the nodes' subnet
FILE:7:18: election.leaseDuration: leaseDuration 2s must be at least 100ms longer than renewDeadline 2300ms (the default); set election.leaseDuration to 2400ms or more, or election.renewDeadline to 1900ms or less
FILE:8:13: election.priority: \"9\" is out of range, want -4 to 4
FILE:9:7: role: \"proxi\" is not one of control-plane, proxy; did you mean proxy?
FILE:10:18: balancer.port: \"0\" is out of range, want 1 to 65535
flag --set announce.refresh: announce.refresh: \"1\" has no unit; write 1ms or 1s
";
    assert_eq!(said, expected.replace("FILE", path));
    // `check` refuses the same, and PINTLE_CONFIG names the file as well as the flag does.
    let mut check = command(&["check", "--set=announce.refresh=1"]);
    let output = check.env("PINTLE_CONFIG", path).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(64), &*said));
}

#[test]
fn a_worker_s_file_is_judged_as_a_worker_s() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.yaml");
    let file = "\
apiVersion: pintle.dev/v1alpha1
kind: Config
vips: [192.0.2.10]
election:
  priority: 9
role: proxy
balancer:
  listen: 10.0.0.1:6443
  backends: [cp-1:6443, '192.0.2.11:6443', '192.0.2.11:6443']
";
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let (code, said) = refused(&["run", "--config", path]);
    assert_eq!(code, Some(64));
    let expected = "\
pintle: 5 mistakes in the configuration
FILE:3:7: vips: a worker's proxy has no VIP (role: proxy); remove it
FILE:5:13: election.priority: a worker's proxy takes part in no election (role: proxy); remove it
FILE:8:11: balancer.listen: 10.0.0.1:6443 is not on the loopback, and a worker's proxy serves its node; write 127.0.0.1:6443
FILE:9:14: balancer.backends: \"cp-1:6443\" is not ADDRESS:PORT; write it as 127.0.0.1:6443 or [::1]:6443, names are not looked up
FILE:9:44: balancer.backends: \"192.0.2.11:6443\" is given twice; remove one of them
";
    assert_eq!(said, expected.replace("FILE", path));
}

#[test]
fn the_environment_is_read_and_refused() {
    let mut run = command(&["run"]);
    run.env("PINTLE_VIPS", "192.0.2.10")
        .env("NODE_NAME", "cp-1")
        .env("PINTLE_ELECTION_PRIORITI", "1");
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(
        text(&output.stderr),
        "pintle: 1 mistake in the configuration\nenvironment variable PINTLE_ELECTION_PRIORITI: unknown variable; did you mean PINTLE_ELECTION_PRIORITY?\n"
    );
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    for arguments in [
        &[][..],
        &["rnu"],
        &["run", "--no-such-flag"],
        &["run", "--interface", "a", "--interface", "b"],
        &["run", "--set", "priority"],
        &["manifest"],
        &["manifest", "static-pod", "--image-pull-policy", "sometimes"],
        &["status", "--address", "nowhere"],
        &["status", "-o", "yaml"],
    ] {
        let (code, said) = refused(arguments);
        assert_eq!(code, Some(64), "{arguments:?}");
        assert!(!said.is_empty(), "{arguments:?}");
    }
    for arguments in
        [&["--help"][..], &["run", "--help"], &["manifest", "static-pod", "-h"], &["--version"]]
    {
        let output = pintle(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
    let help = text(&pintle(&["run", "--help"]).stdout).to_owned();
    for key in pintle_core::config::KEYS {
        let name = key.flag.map_or_else(|| key.path.to_owned(), |flag| format!("--{flag} <"));
        assert!(help.contains(&name) && help.contains(&key.variable()), "{name}");
    }
}

#[test]
fn what_comes_later_is_refused_in_one_sentence_whatever_is_given_with_it() {
    for arguments in [&["handover"][..], &["handover", "--to", "cp-2"]] {
        let (code, said) = refused(arguments);
        assert_eq!(code, Some(64), "{arguments:?}");
        let is_name = |word: &&&str| !word.starts_with("--to");
        let name = arguments.iter().take_while(is_name).copied().collect::<Vec<_>>();
        assert!(
            said.starts_with(&format!(
                "pintle: `pintle {}` comes with a later version; ",
                name.join(" ")
            )),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1);
    }
}

#[test]
fn the_version_is_text_or_json() {
    let version = env!("CARGO_PKG_VERSION");
    let output = pintle(&["version"]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), &*format!("pintle {version}\n"))
    );
    let json: serde_json::Value =
        serde_json::from_slice(&pintle(&["version", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["version"], version);
}

#[test]
fn the_status_is_asked_for_at_the_flag_s_or_the_variable_s_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            let body = r#"{"node":"cp-1","role":"follower","holder":"cp-2"}"#;
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .unwrap();
        }
    });
    let words = "node         cp-1  follower\nholder       cp-2\n";
    assert_eq!(text(&pintle(&["status", "--address", &address]).stdout), words);
    let mut by_variable = command(&["status"]);
    let output = by_variable.env("PINTLE_TELEMETRY_ADDRESS", &address).output().unwrap();
    assert_eq!(text(&output.stdout), words);
    let json = pintle(&["status", "-o", "json", "--address", &address]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["holder"], "cp-2");
    server.join().unwrap();

    let (code, said) = refused(&["status", "--address", &address]);
    assert_eq!(code, Some(69));
    assert_eq!(
        said,
        format!(
            "pintle: {address}: nothing listens there; is pintle running on this node, with this telemetry.address? `--address` asks elsewhere\n"
        )
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child =
        command(&["run", "--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

/// The process that panics is this test again, told so by a variable.
#[test]
fn a_panic_in_any_thread_is_70() {
    const PANICS: &str = "TEST_PANICS";
    if std::env::var_os(PANICS).is_some() {
        pintle_cli::exit_on_panic();
        let _ = std::thread::spawn(|| panic!("on purpose")).join();
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "runs this test as a process of its own")]
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_panic_in_any_thread_is_70", "--nocapture"])
        .env(PANICS, "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(70));
    assert!(text(&output.stderr).contains("on purpose"));
}
