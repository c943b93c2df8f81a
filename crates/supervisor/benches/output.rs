//! How fast the output of a component gets into its log, beside `cat > file` with the same writer.
//!
//! `cargo bench -p supervisor --bench output`. Each round measures all in turn, so that what else the machine does hits all
//! alike; the medians of the ratios are told.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and starts processes")]
#![expect(clippy::print_stdout, reason = "it tells what it has measured")]

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use supervisor::{LogSettings, Output, ProcessSpec, Stderr, Supervisor};

const BYTES: u64 = 1 << 30;
const ROUNDS: usize = 7;

/// A way into a log.
struct Subject {
    name: &'static str,
    run: fn(&Path) -> Result<(), Box<dyn Error>>,
    rounds: Vec<(f64, f64)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|argument| argument == "write") {
        return Ok(write_lines()?);
    }
    let folder = tempfile::tempdir_in(std::env::var_os("BENCH_DIR").unwrap_or_else(|| "/tmp".into()))?;
    let subject = |name, run| Subject { name, run, rounds: Vec::new() };
    let mut subjects = [
        subject("cat > file", cat),
        subject("plain pipes", |folder| supervised(folder, false, None)),
        subject("named pipes", |folder| supervised(folder, true, None)),
        subject("named pipes, 16 MiB files", |folder| supervised(folder, true, Some(16 << 20))),
    ];
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            let (began, used) = (Instant::now(), cpu_used());
            (subject.run)(folder.path())?;
            let seconds = began.elapsed().as_secs_f64();
            subject.rounds.push((seconds, (cpu_used() - used).as_secs_f64()));
        }
    }
    let beside: Vec<_> = subjects[0].rounds.iter().map(|round| round.0).collect();
    println!("1 GiB of lines of 100 bytes, median of {ROUNDS} rounds; CPU of the supervisor alone");
    for Subject { name, rounds, .. } in &subjects {
        let seconds = median(rounds.iter().map(|round| round.0));
        let ratio = median(rounds.iter().zip(&beside).map(|(round, beside)| beside / round.0));
        let cpu = median(rounds.iter().map(|round| round.1));
        println!("{name:28} {:6.0} MB/s  {ratio:5.2} of cat  {cpu:5.2} s CPU", BYTES as f64 / 1e6 / seconds);
    }
    Ok(())
}

fn write_lines() -> std::io::Result<()> {
    let text: Vec<u8> = (0..65_500).map(|place| if place % 100 == 99 { b'\n' } else { b'x' }).collect();
    let mut stdout = File::from(std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned()?);
    let mut left = BYTES;
    while left > 0 {
        let length = left.min(text.len() as u64);
        stdout.write_all(&text[..length as usize])?;
        left -= length;
    }
    Ok(())
}

fn cat(folder: &Path) -> Result<(), Box<dyn Error>> {
    let path = folder.join("cat.log");
    let mut writer = Command::new(std::env::current_exe()?).arg("write").stdout(Stdio::piped()).spawn()?;
    let output = writer.stdout.take().ok_or("no pipe")?;
    Command::new("cat").stdin(output).stdout(File::create(&path)?).status()?;
    writer.wait()?;
    Ok(std::fs::remove_file(path)?)
}

fn supervised(folder: &Path, is_named: bool, max_size: Option<u64>) -> Result<(), Box<dyn Error>> {
    let logs = folder.join("logs");
    let mut spec = ProcessSpec::new("writer", std::env::current_exe()?)?;
    spec.arguments = vec!["write".into()];
    spec.restart = Arc::new(supervisor::Never);
    let log =
        LogSettings { max_size, keep: max_size.map(|_| 1), ..LogSettings::new(logs.join("writer.log")) };
    spec.output = Output::File { log, stderr: Stderr::Join };
    let mut builder = Supervisor::builder().components([spec]);
    if is_named {
        builder = builder.state_dir(folder.join("state"));
    }
    let events = builder.subscribe();
    let supervisor = builder.start()?;
    let handle = supervisor.handle();
    handle.start("writer")?.wait()?;
    let _ = events.iter().find(|event| matches!(event.kind, supervisor::EventKind::Exited { .. }));
    handle.shutdown()?;
    supervisor.wait()?;
    Ok(std::fs::remove_dir_all(logs)?)
}

fn cpu_used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
