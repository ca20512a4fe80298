//! A Mosquitto of the test's own, with all that it logs; and an independent client to look at it
//! from the other side.

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for what should come within a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Set where a missing Mosquitto is a failure.
const REQUIRED: &str = "FLEETSTORM_REQUIRE_MOSQUITTO";

/// A list that grows in one thread while another waits for what it wants to see in it.
pub(crate) struct Growing<T> {
    items: Mutex<Vec<T>>,
    grown: Condvar,
}

impl<T> Growing<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            items: Mutex::new(Vec::new()),
            grown: Condvar::new(),
        })
    }

    fn push(&self, item: T) {
        self.items
            .lock()
            .expect("no thread panics with it")
            .push(item);
        self.grown.notify_all();
    }

    /// Looks at what is there.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&[T]) -> R) -> R {
        look(&self.items.lock().expect("no thread panics with it"))
    }

    /// Waits until `done` likes what is there.
    pub(crate) fn wait(&self, what: &str, done: impl Fn(&[T]) -> bool)
    where
        T: std::fmt::Debug,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut items = self.items.lock().expect("no thread panics with it");
        while !done(&items) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what} in {PATIENCE:?}: {items:#?}");
            let waited = self.grown.wait_timeout(items, left);
            items = waited.expect("no thread panics with it").0;
        }
    }
}

/// A running Mosquitto; it ends with this value.
pub(crate) struct Mosquitto {
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    /// What it has logged, without times.
    pub(crate) log: Arc<Growing<String>>,
    program: PathBuf,
    folder: tempfile::TempDir,
    child: Child,
}

impl Mosquitto {
    /// Starts one that remembers sessions and retained messages over a restart, or says loudly that
    /// there is none on this machine.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = find() else {
            assert!(
                std::env::var_os(REQUIRED).is_none(),
                "{REQUIRED} is set, and there is no mosquitto on PATH or in /usr/sbin"
            );
            eprintln!("SKIPPED, NOTHING TESTED: no mosquitto on PATH or in /usr/sbin");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = Growing::new();
        // Another process may take the free port before Mosquitto does.
        for _ in 0..10 {
            let port = free_port();
            write_config(folder.path(), port);
            if let Some(child) = run(&program, folder.path(), &log) {
                return Some(Self {
                    port,
                    log,
                    program,
                    folder,
                    child,
                });
            }
        }
        panic!("Mosquitto does not start: {:#?}", log.look(<[_]>::to_vec));
    }

    /// Its address as a target of a scenario.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Ends it as an operator does, so that it saves its state, and starts it again.
    pub(crate) fn restart(&mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        self.child.wait().expect("it was started here");
        self.log.wait("end of the log", |lines| {
            lines.last().is_some_and(|l| l == ENDED)
        });
        let child = run(&self.program, self.folder.path(), &self.log);
        self.child = child.expect("its port is still its own");
    }

    /// Lines of the log that contain all of `words`.
    pub(crate) fn said(&self, words: &[&str]) -> usize {
        self.log.look(|lines| {
            let all = |line: &&String| words.iter().all(|word| line.contains(word));
            lines.iter().filter(all).count()
        })
    }

    /// Fails if it complained about a client.
    pub(crate) fn must_be_content(&self) {
        const COMPLAINTS: [&str; 6] = [
            "protocol error",
            "malformed",
            "bad ",
            "invalid",
            "not authorised",
            "error",
        ];
        let complaints = self.log.look(|lines| {
            let complains = |line: &&String| {
                let line = line.to_lowercase();
                COMPLAINTS.iter().any(|word| line.contains(word))
            };
            lines.iter().filter(complains).cloned().collect::<Vec<_>>()
        });
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        // It may have ended; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join("mosquitto"))
        .find(|program| program.is_file())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    listener.local_addr().expect("it is bound").port()
}

fn write_config(folder: &Path, port: u16) {
    let config = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nmax_connections -1\n\
         persistence true\npersistence_location {}/\n\
         log_dest stderr\nlog_type all\nlog_timestamp false\nuser root\n",
        folder.display()
    );
    std::fs::write(folder.join("mosquitto.conf"), config).expect("the folder is writable");
}

/// Starts it and waits until it listens; `None` if it ends at once.
fn run(program: &Path, folder: &Path, log: &Arc<Growing<String>>) -> Option<Child> {
    let started = log.look(<[_]>::len);
    let mut child = Command::new(program)
        .arg("-c")
        .arg(folder.join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("mosquitto can be run");
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let sink = Arc::clone(log);
    thread::spawn(move || {
        lines.map_while(Result::ok).for_each(|line| sink.push(line));
        sink.push(ENDED.to_owned());
    });
    let runs = |line: &String| line.ends_with(" running");
    let ended = |line: &String| line == ENDED;
    log.wait("start of Mosquitto", |lines| {
        lines[started..]
            .iter()
            .any(|line| runs(line) || ended(line))
    });
    let runs = log.look(|lines| lines[started..].iter().any(runs));
    if !runs {
        child.wait().expect("it was started here");
    }
    runs.then_some(child)
}

/// The line after its last one.
const ENDED: &str = "(the log ends)";

/// A message as the independent client got it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    /// Topic Name.
    pub(crate) topic: String,
    /// Application message.
    pub(crate) payload: Vec<u8>,
    /// 0, 1 or 2.
    pub(crate) qos: u8,
    /// Retain flag.
    pub(crate) retain: bool,
}

/// An independent client: rumqttc, which shares nothing of the session with the program.
pub(crate) struct Outsider {
    /// To subscribe and publish.
    pub(crate) client: Client,
    /// What has come on its subscriptions.
    pub(crate) messages: Arc<Growing<Message>>,
    /// Packets from the server without their fields: one word each.
    pub(crate) words: Arc<Growing<&'static str>>,
}

impl Outsider {
    /// Connects as `client_id` with a clean session, and waits for the CONNACK. When the
    /// connection ends, so does the client.
    pub(crate) fn connect(port: u16, client_id: &str) -> Self {
        let mut options = MqttOptions::new(client_id, "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(60));
        let (client, mut connection) = Client::new(options, 64);
        let (messages, words) = (Growing::new(), Growing::new());
        let (message_sink, word_sink) = (Arc::clone(&messages), Arc::clone(&words));
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::Publish(publish))) => message_sink.push(Message {
                        topic: publish.topic,
                        payload: publish.payload.to_vec(),
                        qos: publish.qos as u8,
                        retain: publish.retain,
                    }),
                    Ok(Event::Incoming(packet)) => word_sink.push(word(&packet)),
                    Ok(Event::Outgoing(_)) => {}
                    Err(_) => {
                        word_sink.push("END");
                        return;
                    }
                }
            }
        });
        let outsider = Self {
            client,
            messages,
            words,
        };
        outsider.words.wait("CONNACK", |w| w.contains(&"CONNACK"));
        outsider
    }

    /// Subscribes, and waits for the SUBACK.
    pub(crate) fn subscribe(&self, filter: &str, qos: QoS) {
        let count = |words: &[&str]| words.iter().filter(|w| **w == "SUBACK").count();
        let before = self.words.look(count);
        self.client.subscribe(filter, qos).expect("it is connected");
        self.words.wait("SUBACK", |words| count(words) > before);
    }

    /// The messages so far on topics that begin with `start`.
    pub(crate) fn heard(&self, start: &str) -> Vec<Message> {
        self.messages.look(|messages| {
            let ours = messages.iter().filter(|m| m.topic.starts_with(start));
            ours.cloned().collect()
        })
    }
}

fn word(packet: &Packet) -> &'static str {
    match packet {
        Packet::ConnAck(_) => "CONNACK",
        Packet::SubAck(_) => "SUBACK",
        Packet::PubAck(_) => "PUBACK",
        Packet::PubComp(_) => "PUBCOMP",
        Packet::Publish(_)
        | Packet::PubRec(_)
        | Packet::PubRel(_)
        | Packet::UnsubAck(_)
        | Packet::PingResp
        | Packet::Connect(_)
        | Packet::Subscribe(_)
        | Packet::Unsubscribe(_)
        | Packet::PingReq
        | Packet::Disconnect => "OTHER",
    }
}
