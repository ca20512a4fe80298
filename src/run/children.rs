//! Child processes of a run: starts this very program again, and turns pipes into messages.

use super::coordinator::Input;
use super::transport;
use crate::live::control::{Command, Report, Setup};
use std::process::Stdio;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;

/// Messages of all children that may wait for the coordinator.
pub const INBOX: usize = 256;
/// Commands that may wait for one child.
const OUTBOX: usize = 16;
/// How much of a child's standard error is kept for the report of its loss, in bytes.
const STDERR_BYTES_MAX: usize = 2_048;

/// Which child.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A worker, by number.
    Worker(u32),
    /// A backend node, by number.
    Node(u16),
}

impl Who {
    fn said(self, report: Report) -> Input {
        match self {
            Self::Worker(index) => Input::Worker(index, report),
            Self::Node(node) => Input::Node(node, report),
        }
    }

    fn exited(self, how: String) -> Input {
        match self {
            Self::Worker(index) => Input::WorkerExited(index, how),
            Self::Node(node) => Input::NodeExited(node, how),
        }
    }
}

/// The near end of one child. Dropping it ends the child: its commands' pipe closes, and it is
/// killed if it lingers.
#[derive(Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Sends a command. A child that is gone is reported by its exit, not here; one that does not
    /// read is reported by its silence.
    pub fn tell(&self, command: Command) {
        let _ = self.commands.try_send(command);
    }
}

/// Starts a child of this very program, hands it `setup`, and forwards what it says to `inbox`.
///
/// # Errors
/// If the process cannot be started.
pub fn start(who: Who, setup: Setup, inbox: mpsc::Sender<Input>) -> std::io::Result<Handle> {
    let program = std::env::current_exe()?;
    let mut child = tokio::process::Command::new(program)
        .arg("child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that Ctrl-C reaches the coordinator alone, which then decides.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let input = child
        .stdin
        .take()
        .expect("standard input was asked to be piped");
    let output = child
        .stdout
        .take()
        .expect("standard output was asked to be piped");
    let (commands, outbox) = mpsc::channel(OUTBOX);
    tokio::task::spawn_local(write_commands(input, setup, outbox));
    tokio::task::spawn_local(watch(who, child, output, inbox));
    Ok(Handle { commands })
}

async fn write_commands(mut pipe: ChildStdin, setup: Setup, mut outbox: mpsc::Receiver<Command>) {
    // A broken pipe means that the child has ended, which `watch` reports.
    if transport::write(&mut pipe, &setup).await.is_err() {
        return;
    }
    while let Some(command) = outbox.recv().await {
        if transport::write(&mut pipe, &command).await.is_err() {
            return;
        }
    }
}

async fn watch(who: Who, mut child: Child, mut output: ChildStdout, inbox: mpsc::Sender<Input>) {
    let mut errors = child
        .stderr
        .take()
        .expect("standard error was asked to be piped");
    let last_words = tokio::task::spawn_local(async move {
        let mut kept = Vec::new();
        let mut chunk = [0; 512];
        while let Ok(n @ 1..) = errors.read(&mut chunk).await {
            kept.extend_from_slice(&chunk[..n]);
            let surplus = kept.len().saturating_sub(STDERR_BYTES_MAX);
            kept.drain(..surplus);
        }
        String::from_utf8_lossy(&kept).trim().to_owned()
    });
    let broken = loop {
        match transport::read::<Report>(&mut output).await {
            Ok(Some(report)) => {
                if inbox.send(who.said(report)).await.is_err() {
                    return;
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    let mut how = match child.wait().await {
        Ok(status) => describe(status),
        Err(error) => format!("cannot be waited for: {error}"),
    };
    for words in [broken, last_words.await.ok()]
        .into_iter()
        .flatten()
        .filter(|words| !words.is_empty())
    {
        how = format!("{how}: {words}");
    }
    // The coordinator may be gone already; then nobody wants to know.
    let _ = inbox.send(who.exited(how)).await;
}

fn describe(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("killed by signal {signal}"),
        (Some(code), None) => format!("exit status {code}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}
