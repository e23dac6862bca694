//! kube-proxy beside the balancer on the holder: it writes its rules anew, and neither touches the other's.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::sleep;
use std::time::Duration;

use pintle_testkit::netns::{Namespace, host_v4};
use pintle_testkit::plain::Caller;

use super::bed::{PORT, SOON, wait};
use super::scene::{FRONT, HOSTS, Scene};

/// The `kubernetes` Service.
const SERVICE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1)), 443);

/// From one request to the next.
const ASK_INTERVAL: Duration = Duration::from_millis(20);

/// From one writing of the rules to the next; kube-proxy's own `minSyncPeriod` is 1 s.
const WRITE_INTERVAL: Duration = Duration::from_millis(200);

const WRITES: usize = 15;

/// A request that is slower than this has failed: a lost SYN is sent again after 1 s.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(900);

/// What kube-proxy 1.35 gives to `iptables-restore` for a cluster with one Service (mode iptables).
fn iptables_rules() -> String {
    let mut rules = String::from(
        "*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\" -j KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS
-A INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A OUTPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT
COMMIT
*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-NPX46M4PTMTKRN6Y - [0:0]
",
    );
    (0..HOSTS).for_each(|host| writeln!(rules, ":KUBE-SEP-{host} - [0:0]").unwrap());
    rules.push_str(
        "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment \"default/kubernetes:https cluster IP\" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y
-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports\" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-NPX46M4PTMTKRN6Y ! -s 10.244.0.0/16 -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-MARK-MASQ
",
    );
    for host in 0..HOSTS {
        let chance = match HOSTS - host {
            1 => String::new(),
            left => format!(
                "-m statistic --mode random --probability {:.4} ",
                1.0 / f64::from(u8::try_from(left).unwrap())
            ),
        };
        let address = host_v4(host);
        writeln!(
            rules,
            "-A KUBE-SVC-NPX46M4PTMTKRN6Y -m comment --comment \"default/kubernetes:https -> {address}:{PORT}\" {chance}-j KUBE-SEP-{host}\n\
             -A KUBE-SEP-{host} -s {address}/32 -m comment --comment \"default/kubernetes:https\" -j KUBE-MARK-MASQ\n\
             -A KUBE-SEP-{host} -p tcp -m comment --comment \"default/kubernetes:https\" -m tcp -j DNAT --to-destination {address}:{PORT}"
        )
        .unwrap();
    }
    rules.push_str("COMMIT\n");
    rules
}

/// The same in mode nftables: its table is deleted and made anew in one transaction.
fn nft_rules() -> String {
    let endpoint = |host: usize| {
        let address = host_v4(host);
        format!(
            "chain endpoint-{host} {{ ip saddr {address} jump mark-for-masquerade; \
             meta l4proto tcp dnat to {address}:{PORT}; }}\n"
        )
    };
    let choices: Vec<String> =
        (0..HOSTS).map(|host| format!("{host} : goto endpoint-{host}")).collect();
    let table = format!(
        "add table ip kube-proxy
delete table ip kube-proxy
table ip kube-proxy {{
comment \"rules for kube-proxy\"
chain mark-for-masquerade {{ meta mark set meta mark | 0x4000; }}
chain masquerading {{ meta mark & 0x4000 == 0 return; meta mark set meta mark ^ 0x4000; masquerade fully-random; }}
{endpoints}\
chain service-kubernetes {{ ip daddr 10.96.0.1 tcp dport 443 ip saddr != 10.244.0.0/16 jump mark-for-masquerade; \
numgen random mod {HOSTS} vmap {{ {choices} }}; }}
map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; elements = {{ 10.96.0.1 . tcp . 443 : goto service-kubernetes }}; }}
chain services {{ ip daddr . meta l4proto . th dport vmap @service-ips; }}
chain nat-prerouting {{ type nat hook prerouting priority -100; jump services; }}
chain nat-output {{ type nat hook output priority -100; jump services; }}
chain nat-postrouting {{ type nat hook postrouting priority 100; jump masquerading; }}
chain filter-prerouting {{ type filter hook prerouting priority -110; ct state new ip daddr 10.96.0.99 drop; }}
chain filter-forward {{ type filter hook forward priority -110; ct state invalid drop; }}
}}
",
        endpoints = (0..HOSTS).map(endpoint).collect::<String>(),
        choices = choices.join(", "),
    );
    table
}

/// What a program on the holder prints when it is given this.
fn on_holder(scene: &Scene, words: &[&str], input: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "kube-proxy's own means")]
    let mut child = Command::new("ip")
        .args(["netns", "exec", scene.host(scene.holder).name()])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Requests one after the other until `stop`: how many each API server had.
fn ask(namespace: &Namespace, address: SocketAddr, stop: &AtomicBool) -> Vec<usize> {
    let asked = namespace.run_in(|| {
        let mut served = vec![0; HOSTS];
        while !stop.load(Relaxed) {
            let number = served.iter().sum::<usize>();
            let caller = Caller::call(address, REQUEST_TIMEOUT);
            let caller = caller.unwrap_or_else(|error| panic!("{address}, {number}: {error}"));
            served[usize::from(caller.served_by)] += 1;
            sleep(ASK_INTERVAL);
        }
        served
    });
    asked.unwrap()
}

/// Writes kube-proxy's rules again and again while clients outside, on another host and on the holder ask.
fn write_beside(write: impl Fn(&Scene), theirs: impl Fn(&Scene) -> String) {
    let mut scene = Scene::with_porters("enabled: true");
    let holder = scene.host(scene.holder);
    holder.ip(&["route", "add", "10.96.0.0/12", "dev", "eth0"]).unwrap();
    // As text, and empty while there is none.
    let ours = |scene: &Scene| {
        let tables = scene.nft(scene.holder, &["list", "tables"]);
        let table = tables.lines().find_map(|line| line.strip_prefix("table inet pintle-"));
        let list =
            |vip| scene.nft(scene.holder, &["list", "table", "inet", &format!("pintle-{vip}")]);
        table.map(list).unwrap_or_default()
    };
    let before = ours(&scene);
    assert!(before.contains("tproxy"), "{before}");
    let stop = AtomicBool::new(false);
    let namespaces = [
        scene.bed.topology.client_ns(),
        scene.host((scene.holder + 1) % HOSTS),
        scene.host(scene.holder),
    ];
    std::thread::scope(|scope| {
        let askers = namespaces.map(|namespace| scope.spawn(|| ask(namespace, FRONT, &stop)));
        for _ in 0..WRITES {
            write(&scene);
            sleep(WRITE_INTERVAL);
        }
        stop.store(true, Relaxed);
        let mut all = vec![0; HOSTS];
        for asker in askers {
            let served = asker.join().expect("no request fails");
            all.iter_mut().zip(served).for_each(|(all, served)| *all += served);
        }
        let (most, least) = (all.iter().max().unwrap(), all.iter().min().unwrap());
        assert!(*least > 50 && *most <= least + least / 10, "an equal spread: {all:?}");
    });
    assert_eq!(ours(&scene), before, "our table is as it was");
    // kube-proxy's rules lead to the API servers, beside ours.
    let timeout = REQUEST_TIMEOUT;
    Caller::call_from(scene.host(scene.holder), SERVICE, timeout).unwrap();
    let rules = theirs(&scene);
    assert!(rules.contains("10.96.0.1"), "{rules}");
    scene.assert_memory(40);
    let killed = scene.holder;
    scene.pintles[killed].process.restart().unwrap();
    wait(SOON, "its rules are there again", || (ours(&scene) == before).then_some(()));
    assert_eq!(theirs(&scene), rules, "killed and started again, it leaves theirs alone");
    scene.pintles[killed].stop();
    assert_eq!(theirs(&scene), rules, "and when it ends");
    let tables = scene.nft(killed, &["list", "tables"]);
    assert!(!tables.contains("pintle"), "{tables}");
}

#[test]
fn kube_proxy_writes_its_iptables_rules_beside_ours() {
    let rules = iptables_rules();
    write_beside(
        |scene| drop(on_holder(scene, &["iptables-restore"], &rules)),
        |scene| {
            let saved = on_holder(scene, &["iptables-save"], "");
            // When it was saved, and how much a chain's policy has seen.
            let lines = saved.lines().filter(|line| !line.starts_with('#'));
            lines.map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n").collect()
        },
    );
}

#[test]
fn kube_proxy_writes_its_nftables_rules_beside_ours() {
    let rules = nft_rules();
    write_beside(
        |scene| drop(on_holder(scene, &["nft", "-f", "-"], &rules)),
        |scene| scene.nft(scene.holder, &["list", "table", "ip", "kube-proxy"]),
    );
}
