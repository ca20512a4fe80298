//! Runs the built program on a scenario and reads its report: shared by the tests that look at
//! fleetstorm from outside.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A finished run of the program.
pub(crate) struct Finished {
    /// Exit code.
    pub(crate) code: Option<i32>,
    /// What it printed on both outputs.
    pub(crate) said: String,
    /// `report.json`, or null.
    pub(crate) report: Value,
}

/// A folder with a scenario in it, and the program to run it.
pub(crate) struct Bench {
    word: &'static str,
    folder: tempfile::TempDir,
}

impl Bench {
    /// A bench on which the scenario `text` is run by the command `word`: `run` or `simulate`.
    pub(crate) fn new(word: &'static str, text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("scenario.yaml"), text).expect("the folder is writable");
        Self { word, folder }
    }

    /// The scenario file.
    pub(crate) fn scenario(&self) -> PathBuf {
        self.folder.path().join("scenario.yaml")
    }

    /// The run directory.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// The command that runs the scenario, with `arguments` behind it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetstorm"));
        command
            .arg(self.word)
            .arg(self.scenario())
            .arg("--out")
            .arg(self.out())
            .args(arguments);
        command.env_remove("GITHUB_STEP_SUMMARY");
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.finish(
            &self
                .command(arguments)
                .output()
                .expect("the program starts"),
        )
    }

    /// Reads what an ended run left.
    pub(crate) fn finish(&self, output: &Output) -> Finished {
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Finished {
            code: output.status.code(),
            said,
            report: read_json(&self.out().join("report.json")),
        }
    }
}

fn read_json(path: &Path) -> Value {
    std::fs::read(path).map_or(Value::Null, |bytes| {
        serde_json::from_slice(&bytes).expect("report.json is JSON")
    })
}
