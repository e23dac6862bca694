//! Runs iproute2. The bed is built and witnessed by a tool that shares nothing with the product.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs `ip` with `args` and gives what it printed.
pub(super) fn ip(args: &[&str]) -> Result<String> {
    let output = Command::new("ip")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .context("run ip (install iproute2)")?;
    printed(&output).with_context(|| format!("ip {}", args.join(" ")))
}

/// Runs the lines of `script`, stopping at the first that fails.
pub(super) fn ip_batch(namespace: &str, script: &str) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-n", namespace, "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("run ip (install iproute2)")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    printed(&output).with_context(|| format!("ip -n {namespace} -batch: {script}"))?;
    Ok(())
}

fn printed(output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
