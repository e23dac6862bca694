use super::*;

/// Generous: a start is a chain of execs, and a compiler may hold every core.
const PATIENCE: Duration = Duration::from_secs(10);

fn spawn(directory: &tempfile::TempDir, program: &str, args: &[&str]) -> Process {
    let log = directory.path().join("log");
    Spawn::new(program, program, log).args(args.iter().copied()).start().unwrap()
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Whether a process exists and is more than an entry that nobody has reaped.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn output_goes_to_the_log_and_the_status_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = spawn(&directory, "sh", &["-c", "echo out; echo err >&2; exit 3"]);
    let status = process.wait(PATIENCE).unwrap().unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(process.log_tail(), "out\nerr\n");
    assert!(!process.is_running());
    assert!(process.term().unwrap_err().to_string().contains("has ended already"));
}

#[test]
fn a_stopped_process_still_runs_and_can_be_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = spawn(&directory, "sleep", &["1000"]);
    process.stop().unwrap();
    let stat = format!("/proc/{}/stat", process.pid());
    wait_until("stopped", || fs::read_to_string(&stat).unwrap().contains(") T "));
    assert!(process.is_running());
    assert_eq!(process.wait(Duration::from_millis(20)).unwrap(), None);
    process.cont().unwrap();
    process.stop().unwrap();
    process.kill().unwrap();
    assert!(!process.is_running());
}

#[test]
fn a_restart_is_another_process_with_the_same_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = spawn(&directory, "sh", &["-c", "echo started; exec sleep 1000"]);
    wait_until("the first line", || process.log_tail() == "started\n");
    let first = process.pid();
    process.restart().unwrap();
    wait_until("the second line", || process.log_tail() == "started\nstarted\n");
    assert_ne!(process.pid(), first);
    assert!(!is_alive(first));
}

#[test]
fn dropping_it_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let process = spawn(&directory, "sleep", &["1000"]);
    let pid = process.pid();
    wait_until("exec of sleep", || command_line(pid) == "sleep 1000");
    drop(process);
    assert!(!is_alive(pid));
}

#[test]
fn it_outlives_the_thread_that_asked_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let started_by_a_thread = || {
        let process = spawn(&directory, "sleep", &["1000"]);
        // Only then has the kernel been told whose end to watch.
        wait_until("exec of sleep", || command_line(process.pid()) == "sleep 1000");
        process
    };
    let mut process = thread::scope(|scope| scope.spawn(started_by_a_thread).join()).unwrap();
    // Far longer than the kernel needs to deliver a death signal.
    assert_eq!(process.wait(Duration::from_millis(200)).unwrap(), None);
}

#[test]
fn it_dies_with_the_test_process_through_the_whole_chain_of_execs() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let mut test_process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "process::tests::child_waits_to_be_killed"])
        .env("PINTLE_TEST_PID_FILE", &pid_file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut pid = None;
    wait_until("the grandchild's pid", || {
        pid = fs::read_to_string(&pid_file).ok().and_then(|text| text.parse().ok());
        pid.is_some()
    });
    let pid: u32 = pid.unwrap();
    wait_until("exec of sleep", || command_line(pid) == "sleep 1000");
    assert_eq!(fs::read_to_string(directory.path().join("log")).unwrap(), "chained\n");
    test_process.kill().unwrap();
    test_process.wait().unwrap();
    wait_until("the grandchild is gone", || !is_alive(pid));
}

/// The other half of the test above, which runs it in a process of its own.
#[test]
#[ignore = "waits for ever; run by it_dies_with_the_test_process_through_the_whole_chain_of_execs"]
fn child_waits_to_be_killed() {
    let pid_file = PathBuf::from(std::env::var_os("PINTLE_TEST_PID_FILE").unwrap());
    let process = Spawn::new("sleep", "sh", pid_file.with_file_name("log"))
        .hostname("chained")
        .args(["-c", "cat /proc/sys/kernel/hostname; exec sleep 1000"])
        .start()
        .unwrap();
    let unfinished = pid_file.with_extension("unfinished");
    fs::write(&unfinished, process.pid().to_string()).unwrap();
    fs::rename(unfinished, pid_file).unwrap();
    thread::sleep(Duration::from_secs(60));
}
