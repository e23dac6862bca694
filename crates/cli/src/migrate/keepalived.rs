//! keepalived.conf, as the kubeadm guide to highly available topologies has it and as many wrote it since:
//! blocks of `keyword words` lines in braces, comments after `!` or `#`.

use super::{Foreign, Migration};

/// Blocks in blocks: keepalived's own are three deep.
const DEEPEST: usize = 8;

pub(super) fn read(migration: &mut Migration, file: &Foreign) -> Result<(), Vec<String>> {
    let mut blocks: Vec<String> = Vec::new();
    let mut found = false;
    for (number, line) in lines(&file.text) {
        let place = format!("{}:{number}", file.name);
        let (opens, words) = match line.strip_suffix('{') {
            Some(words) => (true, words.trim()),
            None => (false, line.as_str()),
        };
        if opens {
            let block = words.split_whitespace().next().unwrap_or_default().to_owned();
            if blocks.is_empty() || !is_quiet(&block) {
                head(migration, &place, words);
            }
            blocks.push(block);
            if blocks.len() > DEEPEST {
                return Err(vec![format!(
                    "line {number}: more than {DEEPEST} blocks in one another"
                )]);
            }
        } else if line == "}" {
            if blocks.pop().is_none() {
                return Err(vec![format!("line {number}: a block ends that never began")]);
            }
        } else {
            found |= setting(migration, &place, words, &blocks)?;
        }
    }
    if let Some(open) = blocks.last() {
        return Err(vec![format!("the block {open} does not end")]);
    }
    if !found {
        return Err(vec!["has no address in a virtual_ipaddress block".to_owned()]);
    }
    Ok(())
}

/// A keyword with its words, with the brace that it opens, or a closing brace: one each, wherever the file
/// has them, and without comments.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, raw) in (1..).zip(text.lines()) {
        let line = raw.split(['!', '#']).next().unwrap_or_default();
        for part in line.replace('{', "{\n").replace('}', "\n}\n").lines().map(str::trim) {
            match lines.last_mut() {
                _ if part.is_empty() => {}
                // A brace on a line of its own opens what the line before it names.
                Some((_, before)) if part == "{" && !before.ends_with(['{', '}']) => {
                    before.push_str(" {")
                }
                _ => lines.push((number, part.to_owned())),
            }
        }
    }
    lines
}

/// Its lines say it all.
fn is_quiet(block: &str) -> bool {
    matches!(block, "virtual_ipaddress" | "virtual_ipaddress_excluded" | "authentication")
}

fn head(migration: &mut Migration, place: &str, words: &str) {
    let became = match words.split_whitespace().next().unwrap_or_default() {
        "vrrp_instance" => "pintle, elected by a Lease instead of VRRP",
        "vrrp_script" | "track_script" => {
            "pintle probes the local API server itself (apiserver.probe)"
        }
        "unicast_peer" => "no peers to list: nodes meet at the Lease",
        "global_defs" => "nothing",
        _ => "no equal in pintle",
    };
    migration.note(place, words, became);
}

/// Whether it is a VIP.
fn setting(
    migration: &mut Migration,
    place: &str,
    line: &str,
    blocks: &[String],
) -> Result<bool, Vec<String>> {
    let mut words = line.split_whitespace();
    let keyword = words.next().unwrap_or_default();
    match blocks.last().map(String::as_str) {
        Some("virtual_ipaddress" | "virtual_ipaddress_excluded") => {
            let address = keyword.split('/').next().unwrap_or_default();
            migration.set(place, line, "vips", address);
            if let Some(link) = words.skip_while(|word| *word != "dev").nth(1) {
                migration.set(place, line, "interface", link);
            }
            return Ok(true);
        }
        // A password is nobody's business.
        Some("authentication") => {
            migration.note(
                place,
                keyword,
                "no password: who may write the Lease, the API server knows",
            );
        }
        Some("vrrp_instance") => instance(migration, place, line, keyword, words.next()),
        // A script's lines, peers, and everything outside of instances: the block's head was told of.
        Some(_) => {}
        None => {
            return Err(vec![format!(
                "{place}: {keyword} is in no block: is it a keepalived.conf?"
            )]);
        }
    }
    Ok(false)
}

fn instance(
    migration: &mut Migration,
    place: &str,
    line: &str,
    keyword: &str,
    value: Option<&str>,
) {
    let became = match keyword {
        "interface" => {
            return migration.set(place, line, "interface", value.unwrap_or_default());
        }
        "state" | "nopreempt" | "preempt_delay" => {
            "no fixed master: the VIP stays where it is until its node is unfit"
        }
        "priority" => "every node alike; where one should be preferred: --priority, -4 to 4",
        "virtual_router_id" => "nothing to keep apart: a cluster has one Lease",
        "advert_int" => "the times of the election (election.leaseDuration and its fellows)",
        "unicast_src_ip" | "mcast_src_ip" => "no packets between nodes",
        "smtp_alert" | "notify" | "notify_master" | "notify_backup" | "notify_fault"
        | "notify_stop" => {
            let advice =
                "no scripts are run; the log, the metrics and Events on the Lease tell of a change";
            migration.warnings.push(format!("{place}: {keyword}: {advice}"));
            advice
        }
        _ if keyword.starts_with("garp_") => {
            "a burst of announcements at once, then each minute (announce)"
        }
        _ => {
            migration.warnings.push(format!("{place}: {keyword} has no equal in pintle"));
            "no equal in pintle"
        }
    };
    migration.note(place, line, became);
}
