//! Tests of writing a series and reading it back, whole and torn.

use super::*;
use crate::stats::event::{Event, Operation};
use crate::stats::recorder::{Layout, Recorder};
use crate::time::{Duration, Instant};
use std::fs;
use std::path::Path;

const S: u64 = 1_000_000_000;

fn phases() -> Vec<PhaseMark> {
    let mark = |name: &str, end| PhaseMark {
        name: name.into(),
        end: Duration::from_secs(end),
    };
    vec![mark("ramp", 2), mark("steady", 4)]
}

fn layout() -> Layout {
    Layout {
        start: Instant::ZERO,
        phase_ends: vec![Instant::from_ns(2 * S), Instant::from_ns(4 * S)],
        streams: 1,
    }
}

/// The seconds of a run of `workers` workers, and the values of the whole run in one recorder.
fn run(workers: u32, seconds: u32) -> (Vec<Second>, Vec<Snapshot>) {
    let mut parts: Vec<_> = (0..workers).map(|_| Recorder::new(layout())).collect();
    let mut whole = Recorder::new(layout());
    let mut merged = Vec::new();
    let mut snapshots = Vec::new();
    for second in 0..seconds {
        let from = u64::from(second) * S;
        let end = Instant::from_ns(from + S);
        for i in 0..200u32 {
            let at = Instant::from_ns(from + u64::from(i) * 5_000_000);
            let h = crate::rng::hash(1, u64::from(i), crate::rng::Purpose::Payload, from);
            let op = Operation {
                stream: 0,
                seq: i,
                intended: at,
            };
            let replayed = i % 7 == 0;
            let acked = Event::Acked {
                op,
                sent: at,
                replayed,
            };
            let done = at.after_ns(h % 3_000_000_000);
            for r in [&mut parts[(i % workers) as usize], &mut whole] {
                r.record(done, i, &acked);
                r.record_lag(at, at.after_ns(h % 100_000));
            }
        }
        let mut sum = Second::new(second);
        for (worker, part) in (0..).zip(&mut parts) {
            let process = ProcessGauges {
                cpu_percent: 12.5,
                fds: 9,
                rss_bytes: 1 << 20,
                ports: 3,
            };
            let snapshot = part.take_snapshot(end, second, process);
            sum.add(worker, &snapshot).expect("own encoding");
        }
        merged.push(sum);
        snapshots.push(whole.take_snapshot(end, second, ProcessGauges::default()));
    }
    (merged, snapshots)
}

fn write(dir: &Path, seconds: &[Second]) {
    let mut writer = Writer::create(dir, &phases()).expect("empty directory");
    for second in seconds {
        writer.append(second).expect("writable");
    }
    writer.finish().expect("writable");
}

#[test]
fn what_is_written_is_read_and_merges_to_one_histogram_per_metric_and_phase() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (seconds, whole) = run(3, 5);
    write(dir.path(), &seconds);
    let data = read(dir.path()).expect("own files");
    assert!(data.warnings.is_empty(), "{:?}", data.warnings);
    let marks = [0, 0, 1, 1, 1];
    let rows: Vec<_> = seconds.iter().zip(marks).map(|(s, p)| s.row(p)).collect();
    assert_eq!(data.rows, rows);
    let generator: Vec<_> = seconds.iter().flat_map(|s| s.generator.clone()).collect();
    assert_eq!(data.generator, generator);
    assert_eq!(data.generator.len(), 15);

    let mut expected: BTreeMap<(Metric, u16), Histogram> = BTreeMap::new();
    for delta in whole.iter().flat_map(|s| &s.histograms) {
        let histogram = Histogram::from_v2(&delta.v2).expect("own encoding");
        expected
            .entry((delta.metric, delta.phase))
            .or_default()
            .merge(&histogram);
    }
    assert_eq!(data.histograms, expected);
    let all = data.merged(Metric::AckResponse, |_| true);
    assert_eq!(
        all,
        crate::stats::recorder::merge_histograms(&whole, Metric::AckResponse)
    );
    let last = data.merged(Metric::AckResponse, |p| p == 1);
    assert_eq!(Some(&last), data.histogram(Metric::AckResponse, 1));
    assert!(last.count() > 0 && last.count() < all.count());
}

#[test]
fn a_row_has_the_percentiles_of_live_and_replayed_publishes() {
    let (seconds, _) = run(2, 1);
    let row = seconds[0].row(0);
    let both = seconds[0].merged(&[Metric::AckResponse, Metric::AckResponseReplayed]);
    assert_eq!(both.count(), 200);
    assert_eq!(row.ack.p50_us, both.percentile_us(50.0));
    assert_eq!(row.ack.p99_us, both.percentile_us(99.0));
    assert_eq!(row.ack.p999_us, both.percentile_us(99.9));
    assert_eq!(row.connect_p99_us, None);
}

#[test]
fn the_tables_say_what_their_columns_are() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut second = Second::new(2);
    second.counters = Counters {
        attempts: 1,
        timers: 15,
        replayed: 20,
        ..Counters::default()
    };
    second.gauges = Gauges {
        powered: 16,
        expected: 17,
        connected: 18,
        waiting: 19,
    };
    second.generator = vec![GeneratorRow {
        second: 2,
        worker: 1,
        ..GeneratorRow::default()
    }];
    let mut histogram = Histogram::new();
    histogram.record_us(700);
    second
        .histograms
        .insert((Metric::ConnectLatency, 0), histogram);
    write(dir.path(), &[second]);
    let text = |name: &str| fs::read_to_string(dir.path().join(name)).expect("readable");
    insta::assert_snapshot!(text("series.csv"), @r##"
    second,phase,phase_name,attempts,connects,attempt_failures,disconnects,planned,sent,acked,written,timed_out,failed,unsent,retransmitted,late_acks,seen,timers,powered,expected,connected,ack_p50_us,ack_p99_us,ack_p999_us,connect_p99_us,wasted,waiting,replayed
    2,1,steady,1,0,0,0,0,0,0,0,0,0,0,0,0,0,15,16,17,18,,,,700,0,19,20
    "##);
    insta::assert_snapshot!(text("generator.csv"), @r##"
    second,worker,lag_p99_us,timers,cpu_percent,fds,rss_bytes,ports
    2,1,,0,0,0,0,0
    "##);
    insta::assert_snapshot!(text("connect_latency.hlog"), @r##"
    #[HdrHistogram interval log, format V2]
    #connect_latency: microseconds, 1 us to 1 h at 3 digits; times are seconds since T0; the tag is the phase of the intended instant
    #phase-0: ramp
    #phase-1: steady
    Tag=phase-0,2.000,1.000,700.000,HISTFAAAACJ4nJNpmSzMwMDAzAABMJoRRFybvITB/gNE4DsXEwBh1gWN
    "##);
}

#[test]
fn an_interval_log_is_what_other_readers_of_the_format_expect() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (seconds, _) = run(1, 2);
    write(dir.path(), &seconds);
    let name = writer::log_name(Metric::AckResponse);
    let bytes = fs::read(dir.path().join(name)).expect("readable");
    let intervals = crate::stats::histogram::foreign_intervals(&bytes);
    let expected: Vec<_> = seconds
        .iter()
        .flat_map(|s| s.histograms.iter().map(move |(key, h)| (s.second, *key, h)))
        .filter(|(_, (metric, _), _)| *metric == Metric::AckResponse)
        .map(|(second, (_, phase), h)| (format!("phase-{phase}"), u64::from(second), h.clone()))
        .collect();
    assert_eq!(intervals, expected);
}

/// In second 3 end: one value due just then, one due in second 1, one due before the run.
#[test]
fn values_are_found_by_when_they_were_due() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut seconds: Vec<_> = (0..4).map(Second::new).collect();
    let mut values = Histogram::new();
    for us in [1_000, 2_000_000, 2_000_000, 9_000_000] {
        values.record_us(us);
    }
    for metric in [Metric::AckResponse, Metric::AckService] {
        seconds[3].histograms.insert((metric, 0), values.clone());
    }
    seconds[2]
        .histograms
        .insert((Metric::AckResponse, 1), values);
    write(dir.path(), &seconds);
    for (span, count) in [
        ((3.0, 4.0), 1),
        // Both seconds' fast ones, and the slow ones of the last.
        ((1.0, 4.0), 4),
        ((0.0, 1.0), 2),
        ((1.0, 2.0), 2),
        ((-20.0, 0.0), 2),
        ((4.0, 9.0), 0),
        ((2.0, 2.0), 0),
    ] {
        let spans = [span, (-20.0, 9.0)];
        let due = read_due(dir.path(), Metric::AckResponse, &spans).expect("own files");
        assert_eq!((due[0].count(), due[1].count()), (count, 8), "{span:?}");
    }
    let fast = read_due(dir.path(), Metric::AckResponse, &[(3.0, 4.0)]).expect("own files");
    assert_eq!(fast[0].percentile_us(100.0), Some(1_000));
}

/// Run directories of before `replayed`, `waiting` and `wasted` were written.
#[test]
fn a_series_without_the_columns_that_came_later_is_read() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (seconds, _) = run(1, 2);
    write(dir.path(), &seconds);
    let whole = read(dir.path()).expect("own files");
    let path = dir.path().join("series.csv");
    let text = fs::read_to_string(&path).expect("readable");
    let cut = |line: &str| line.rsplit_once(',').expect("a table").0.to_owned() + "\n";
    let (mut older, mut expected) = (text.clone(), whole.rows);
    let forget: [fn(&mut Row); 3] = [
        |row| row.counters.replayed = 0,
        |row| row.gauges.waiting = 0,
        |row| row.counters.wasted = 0,
    ];
    for forget in forget {
        older = older.lines().map(cut).collect();
        fs::write(&path, &older).expect("writable");
        expected.iter_mut().for_each(forget);
        assert_eq!(read(dir.path()).expect("an older file").rows, expected);
    }
    // One column less was never written, nor is a row shorter than its header says.
    let never: String = older.lines().map(cut).collect();
    fs::write(&path, never).expect("writable");
    assert!(read(dir.path()).is_err());
    let (header, rows) = text.split_once('\n').expect("lines");
    let short: String = rows.lines().map(cut).collect();
    fs::write(&path, format!("{header}\n{short}")).expect("writable");
    assert!(read(dir.path()).is_err());
}

/// Cuts files at many lengths: what is read is a prefix of the whole, never an error.
#[test]
fn a_torn_tail_costs_its_line_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (seconds, _) = run(2, 3);
    write(dir.path(), &seconds);
    let whole = read(dir.path()).expect("own files");
    for name in ["series.csv", "generator.csv", "driver_lag.hlog"] {
        let path = dir.path().join(name);
        let bytes = fs::read(&path).expect("readable");
        let step = if bytes.len() > 1_000 { 97 } else { 13 };
        for cut in (0..bytes.len()).rev().step_by(step) {
            fs::write(&path, &bytes[..cut]).expect("writable");
            let data = read(dir.path()).expect("only the tail is torn");
            let at_line_end = cut == 0 || bytes[cut - 1] == b'\n';
            assert_eq!(data.warnings.is_empty(), at_line_end, "{name} cut at {cut}");
            assert!(whole.rows.starts_with(&data.rows));
            assert!(whole.generator.starts_with(&data.generator));
            for (key, histogram) in &data.histograms {
                assert!(histogram.count() <= whole.histograms[key].count());
            }
        }
        fs::write(&path, &bytes).expect("writable");
    }
    // A tail of zeros, as a file system may leave it after a power cut, is torn as well.
    let path = dir.path().join("series.csv");
    let mut bytes = fs::read(&path).expect("readable");
    bytes.extend([0; 40]);
    fs::write(&path, &bytes).expect("writable");
    let data = read(dir.path()).expect("only the tail is torn");
    assert_eq!(data.rows, whole.rows);
    insta::assert_snapshot!(data.warnings.join("\n"), @"series.csv: line 5, the last one, is torn and left out");
}

#[test]
fn a_damaged_line_before_the_tail_is_an_error() {
    for name in ["series.csv", "generator.csv", "publish_ack_response.hlog"] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (seconds, _) = run(1, 3);
        write(dir.path(), &seconds);
        let path = dir.path().join(name);
        let text = fs::read_to_string(&path).expect("readable");
        let mut lines: Vec<_> = text.lines().collect();
        let last = lines.len() - 1;
        let damaged = lines[last - 1].replace(",1", ";1");
        lines[last - 1] = &damaged;
        fs::write(&path, lines.join("\n") + "\n").expect("writable");
        let error = read(dir.path()).expect_err("damaged").to_string();
        let place = format!("{name}, line {last}: not a line of");
        assert!(error.contains(&place), "{error}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_known_at_the_start() {
    let dir = tempfile::tempdir().expect("temporary directory");
    assert!(Writer::create(&dir.path().join("missing"), &phases()).is_err());
    write(dir.path(), &[]);
    let error = Writer::create(dir.path(), &phases()).expect_err("files exist");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    let empty = read(dir.path()).expect("headers only");
    assert_eq!(empty, SeriesData::default());
}

#[test]
fn a_snapshot_that_does_not_decode_is_refused() {
    let (_, mut whole) = run(1, 1);
    whole[0].histograms[0].v2.truncate(10);
    assert!(Second::new(0).add(0, &whole[0]).is_err());
}
