//! The command line: clap types and one function per command. The only place that names clap.

use crate::error::ExitCode;
use crate::report::{self, text::Color};
use crate::run::backend_command::{self, BackendCommandError};
use crate::run::check;
use crate::run::child;
use crate::run::error::RunError;
use crate::run::host::Limits;
use crate::run::live_run;
use crate::run::presets;
use crate::run::progress::Ui;
use crate::run::simulate;
use crate::scenario::file::{self, Overrides, ScenarioErrors, Secrets};
use crate::scenario::{schema, share_argument};
use crate::search;
use crate::search::storm::{self, SearchError, World};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Fleet simulator and load-testing harness for IoT backends.
#[derive(Debug, Parser)]
#[command(name = "fleetstorm", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 PASS, 1 internal error, 2 usage or scenario error, 3 preflight refused or target \
unreachable, 4 INVALID or evidence cannot be written, 5 INCONCLUSIVE or NO_DATA, 99 SLO failed, 130/143 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario live, over real MQTT connections, and judge it
    Run(RunArgs),
    /// Run a scenario in virtual time against a model of the target, and predict the verdict
    Simulate(SimulateArgs),
    /// Validate a scenario and print its plan; sends no packet
    Check(CheckArgs),
    /// Find the largest fleet that still recovers from the scenario's outage
    StormSearch(SearchArgs),
    /// Judge and render a run directory again
    Report {
        /// The run directory
        dir: PathBuf,
    },
    /// Serve the reference backend until Ctrl-C, then print its counts
    Backend(BackendArgs),
    /// List the SDK and link presets, and the herd that each SDK makes after an outage
    Presets,
    /// Print the JSON Schema of scenario files
    Schema,
    /// A child process of `run`
    #[command(hide = true)]
    Child,
}

#[derive(Debug, Args)]
struct ScenarioArgs {
    /// The scenario file
    scenario: PathBuf,
    /// Broker to use instead of the scenario's target, as mqtt://host:port; repeat for several
    #[arg(long = "target", value_name = "URL")]
    targets: Vec<String>,
    /// Scale all cohorts together to this many devices
    #[arg(long, value_name = "N")]
    devices: Option<u32>,
    /// Seed of all draws
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// A host off this machine that may get more than 1000 devices; repeat for several
    #[arg(long = "allow-target", value_name = "HOST")]
    allow_targets: Vec<String>,
}

#[derive(Debug, Args)]
struct HostArgs {
    /// Worker processes (default: one per core, or as many as the limit of open files demands)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// Source address of connections; repeat for several (default on loopback: spread over 127.0.0.0/8)
    #[arg(long = "source-ip", value_name = "IP")]
    source_ips: Vec<IpAddr>,
}

impl ScenarioArgs {
    fn overrides(&self) -> Overrides {
        Overrides {
            targets: self.targets.clone(),
            devices: self.devices,
            seed: self.seed,
            nodes: None,
            probe: None,
        }
    }
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    host: HostArgs,
    /// Run directory (default: reports/<name>-<time>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave persistent sessions and retained messages on the target
    #[arg(long)]
    keep_sessions: bool,
    /// Record all that this share of the devices (1%, 0.5%) is told and puts out, into
    /// inputs-<worker>.jsonl of the run directory, at most 1 GiB per worker. Topics and payloads are
    /// in it, passwords are not
    #[arg(long, value_name = "SHARE", value_parser = share_argument)]
    record_inputs: Option<f64>,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = UiArg::Auto)]
    ui: UiArg,
}

#[derive(Debug, Args)]
struct SimulateArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// What stands in for a target that is `brokers`
    #[arg(long, value_enum)]
    model: Option<ModelArg>,
    /// Run directory (default: reports/<name>-<time>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = UiArg::Auto)]
    ui: UiArg,
}

#[derive(Debug, Args)]
struct SearchArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    host: HostArgs,
    /// Run the trials live, over real MQTT connections, and not in virtual time
    #[arg(long)]
    live: bool,
    /// What stands in for a target that is `brokers`, in virtual time
    #[arg(long, value_enum, conflicts_with = "live")]
    model: Option<ModelArg>,
    /// Largest fleet to try
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    max_devices: u32,
    /// How near to find the edge (5%, 1%), as a share of the largest fleet that recovers
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share_argument)]
    precision: f64,
    /// Exit with 99 if fewer devices than this recover
    #[arg(long, value_name = "N")]
    at_least: Option<u32>,
    /// Folder of the search (default: reports/<name>-search-<time>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Copy, Clone, Debug, ValueEnum)]
enum ModelArg {
    /// The reference backend without limits
    Reference,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    host: HostArgs,
}

/// What the reference backend does when served by itself.
#[derive(Debug, Args)]
struct BackendArgs {
    /// Address to listen on; port 0 picks a free one, which is printed
    #[arg(long, default_value = "127.0.0.1:1883")]
    listen: SocketAddr,
    /// CONNECTs admitted per second (default: at once)
    #[arg(long, value_name = "N")]
    accept_rate: Option<f64>,
    /// CONNECTs that may wait for admission; beyond it they get CONNACK 3
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    accept_queue: u32,
    /// Hold each acknowledgement of a PUBLISH (PUBACK, PUBREC) back by this many milliseconds
    #[arg(long, value_name = "MS")]
    ack_delay_ms: Option<u64>,
    /// Drop this share of acknowledgements of PUBLISHes, 0 to 1
    #[arg(long, value_name = "SHARE")]
    drop_ack: Option<f64>,
    /// Seed of its draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Copy, Clone, Debug, ValueEnum)]
enum UiArg {
    /// A live line on a terminal, else plain
    Auto,
    /// A line per ten seconds
    Plain,
    /// Nothing
    Off,
}

impl From<UiArg> for Ui {
    fn from(ui: UiArg) -> Self {
        match ui {
            UiArg::Auto => Self::Auto,
            UiArg::Plain => Self::Plain,
            UiArg::Off => Self::Off,
        }
    }
}

/// Runs the command line and gives the exit code. Errors are printed to standard error.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version also come this way, and end well.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Pass
            };
        }
    };
    match cli.command {
        Command::Run(args) => run(&args, &arguments),
        Command::Simulate(args) => simulate(&args, &arguments),
        Command::Check(args) => check(&args),
        Command::StormSearch(args) => storm_search(&args, &arguments),
        Command::Report { dir } => judge(&dir),
        Command::Backend(args) => backend(&args),
        Command::Schema => {
            print(&schema::json());
            ExitCode::Pass
        }
        Command::Presets => {
            print(&presets::text());
            ExitCode::Pass
        }
        Command::Child => match child::run() {
            Ok(()) => ExitCode::Pass,
            Err(error) => fail(ExitCode::Internal, &error.to_string()),
        },
    }
}

fn run(args: &RunArgs, arguments: &[OsString]) -> ExitCode {
    let options = live_run::Options {
        scenario: args.scenario.scenario.clone(),
        overrides: args.scenario.overrides(),
        out: args.out.clone(),
        workers: args.host.workers,
        source_ips: args.host.source_ips.clone(),
        allow_targets: args.scenario.allow_targets.clone(),
        keep_sessions: args.keep_sessions,
        ui: args.ui.into(),
        record_inputs: args.record_inputs.unwrap_or(0.0),
        command: command_line(arguments),
    };
    conclude(live_run::run(&options))
}

fn simulate(args: &SimulateArgs, arguments: &[OsString]) -> ExitCode {
    let options = simulate::Options {
        scenario: args.scenario.scenario.clone(),
        overrides: args.scenario.overrides(),
        out: args.out.clone(),
        model: args
            .model
            .map(|ModelArg::Reference| simulate::Model::Reference),
        ui: args.ui.into(),
        command: command_line(arguments),
    };
    conclude(simulate::run(&options))
}

fn storm_search(args: &SearchArgs, arguments: &[OsString]) -> ExitCode {
    let model = args
        .model
        .map(|ModelArg::Reference| simulate::Model::Reference);
    let world = if args.live {
        World::Live {
            workers: args.host.workers,
            source_ips: args.host.source_ips.clone(),
            allow_targets: args.scenario.allow_targets.clone(),
        }
    } else {
        World::Virtual { model }
    };
    let options = storm::Options {
        scenario: args.scenario.scenario.clone(),
        overrides: args.scenario.overrides(),
        world,
        out: args.out.clone(),
        max_devices: args.max_devices,
        precision: args.precision,
        at_least: args.at_least,
        command: command_line(arguments),
    };
    let tell = |sentence: &str| {
        let _ = writeln!(std::io::stderr(), "{sentence}");
    };
    match storm::run(&options, tell) {
        Ok((dir, finding)) => {
            print(&search::text(&finding));
            print(&format!("\nsearch: {}\n", dir.display()));
            if finding.is_enough() {
                ExitCode::Pass
            } else {
                ExitCode::SloFailed
            }
        }
        Err(SearchError::Scenario(errors)) => refuse(&errors),
        Err(SearchError::Run(error)) => not_run(error),
        Err(error) => {
            let code = match &error {
                SearchError::Scenario(_)
                | SearchError::Run(_)
                | SearchError::TooFew { .. }
                | SearchError::NoOutage => ExitCode::Usage,
                SearchError::Undecided { .. } => ExitCode::Inconclusive,
                SearchError::Interrupted(code) => {
                    let codes = ExitCode::ALL.into_iter();
                    codes
                        .into_iter()
                        .find(|known| known.code() == *code)
                        .unwrap_or(ExitCode::Interrupted)
                }
                SearchError::Invalid { .. }
                | SearchError::Report(_)
                | SearchError::Evidence(_)
                | SearchError::Write { .. } => ExitCode::Invalid,
            };
            fail(code, &error.to_string())
        }
    }
}

/// Judges a run that gave a run directory; says why another did not.
fn conclude(run: Result<PathBuf, RunError>) -> ExitCode {
    match run {
        Ok(dir) => judge(&dir),
        Err(error) => not_run(error),
    }
}

/// Says why there is no run.
fn not_run(error: RunError) -> ExitCode {
    let code = match &error {
        RunError::Scenario(errors) => return refuse(errors),
        RunError::Usage(_) => ExitCode::Usage,
        RunError::Preflight(_) | RunError::NotStarted(_) => ExitCode::Preflight,
        RunError::Evidence(_) => ExitCode::Invalid,
        RunError::Stopped(signal) => ExitCode::of_signal(*signal),
        RunError::Internal(_) => ExitCode::Internal,
    };
    fail(code, &error.to_string())
}

/// The command line for provenance: the program's path and broker user names are nobody's business.
fn command_line(arguments: &[OsString]) -> Vec<String> {
    std::iter::once("fleetstorm".to_owned())
        .chain(
            arguments
                .iter()
                .skip(1)
                .map(|a| a.to_string_lossy().into_owned()),
        )
        .collect()
}

/// Judges a run directory, writes its pages, prints the verdict.
fn judge(dir: &Path) -> ExitCode {
    let report = match report::build(dir) {
        Ok(report) => report,
        Err(error) => {
            return fail(
                ExitCode::Invalid,
                &format!("cannot judge {}: {error}", dir.display()),
            );
        }
    };
    let step_summary = std::env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from);
    let color = if std::io::stdout().is_terminal() {
        Color::On
    } else {
        Color::Off
    };
    // Nothing is said before it is on disk: a verdict without its evidence is none.
    if let Err(error) = report::write_all(&report, dir, step_summary.as_deref()) {
        return fail(
            ExitCode::Invalid,
            &format!("evidence cannot be written: {error}"),
        );
    }
    print(&report::text::render(&report, dir, color));
    ExitCode::ALL
        .into_iter()
        .find(|code| code.code() == report.exit_code)
        .expect("a report's exit code is from the table")
}

fn check(args: &CheckArgs) -> ExitCode {
    let loaded = match file::load(
        &args.scenario.scenario,
        &args.scenario.overrides(),
        Secrets::Resolve,
    ) {
        Ok(loaded) => loaded,
        Err(errors) => return refuse(&errors),
    };
    let limits = Limits::of_this_machine();
    let (text, layout) = check::text(&loaded.plan, &limits, args.host.workers);
    print(&text);
    match layout.and_then(|layout| {
        check::addresses(
            &loaded.plan,
            &layout,
            &limits,
            &args.host.source_ips,
            &args.scenario.allow_targets,
        )
    }) {
        Ok(()) => ExitCode::Pass,
        Err(error) => fail(ExitCode::Preflight, &error.to_string()),
    }
}

fn backend(args: &BackendArgs) -> ExitCode {
    let options = backend_command::Options {
        listen: args.listen,
        accept_rate_per_s: args.accept_rate,
        accept_queue: args.accept_queue,
        ack_delay: args.ack_delay_ms.map(Duration::from_millis),
        drop_ack_share: args.drop_ack,
        seed: args.seed,
    };
    match backend_command::run(&options, print) {
        Ok(()) => ExitCode::Pass,
        Err(error @ BackendCommandError::Usage(_)) => fail(ExitCode::Usage, &error.to_string()),
        Err(error @ BackendCommandError::Io(..)) => fail(ExitCode::Preflight, &error.to_string()),
    }
}

/// Prints to standard output; a closed pipe (`| head`) is no error of ours.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Shows every mistake of a scenario: drawn into its lines on a terminal, a line each otherwise.
fn refuse(errors: &ScenarioErrors) -> ExitCode {
    if std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr(), "{}", errors.render(true).trim_end());
        return ExitCode::Usage;
    }
    fail(ExitCode::Usage, &errors.to_string())
}

fn fail(code: ExitCode, text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "fleetstorm: {}", text.trim_end());
    code
}
