//! Whether another program can take over: found out by asking it, before anything is touched.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::fs::MemfdFlags;
use supervisor_control::UpgradeRequest;

use super::super::applying::Source;
use super::super::fingerprint::Fingerprint;
use crate::commands::takeover_check::{Answer, HANDOVER_VERSION, Question};
use crate::os::process::Process;

/// How long a program may take to say whether it can take over.
const LIMIT: Duration = Duration::from_secs(10);

/// How much it may have to say.
const MOST: u64 = 16 * 1024;

/// What every program for Linux begins with.
const ELF: [u8; 4] = *b"\x7fELF";

/// A program that can take over, and who asked for that.
pub(crate) struct Successor {
    pub(crate) request: UpgradeRequest,
    /// Open, so that nobody can put another one in its place.
    pub(crate) program: File,
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

/// Finds out whether programs can take over.
pub(crate) struct Examiner {
    /// What is taken over where nobody names another one.
    pub(crate) path: PathBuf,
    /// What `SV::supervisorExecutable` stands for.
    pub(crate) executable: Option<PathBuf>,
    pub(crate) temp: PathBuf,
    /// What the files held by which the supervisor goes.
    pub(crate) source: Source,
    pub(crate) found: Sender<Successor>,
    pub(crate) is_busy: AtomicBool,
}

impl Examiner {
    /// Examines the program that is asked for, in a thread of its own, and passes it on if it can take over.
    pub(crate) fn examine(self: &Arc<Self>, request: UpgradeRequest) {
        if self.is_busy.swap(true, Ordering::AcqRel) {
            return request.answer(Err("another upgrade is under way".to_owned()));
        }
        let examiner = Arc::clone(self);
        // Not in the main thread, among whose children strays are looked for.
        #[expect(clippy::disallowed_methods, reason = "a program that hangs must hold nobody up")]
        let thread = std::thread::Builder::new().name("successor".to_owned()).spawn(move || {
            let path = request.executable.clone().unwrap_or_else(|| examiner.path.clone());
            match examiner.program(&path) {
                Ok((program, version)) => {
                    // There is room for one, and whoever takes it is quick; if nobody does, we are ending.
                    let _ = examiner.found.send(Successor { request, program, path, version });
                }
                Err(why) => request.answer(Err(format!("{} cannot take over: {why}", path.display()))),
            }
            examiner.is_busy.store(false, Ordering::Release);
        });
        if thread.is_err() {
            self.is_busy.store(false, Ordering::Release);
        }
    }

    fn program(&self, path: &Path) -> Result<(File, String), String> {
        let mut program = File::open(path).map_err(|error| error.to_string())?;
        let mut beginning = [0; ELF.len()];
        if program.read_exact(&mut beginning).is_err() || beginning != ELF {
            // A script would pass any question on, and then be what the supervisor becomes.
            return Err("it is no program in machine code; name the program itself".to_owned());
        }
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(files) = source else {
            let advice = "apply the registry that the supervisor was started with";
            return Err(format!("what runs is by another registry; {advice}"));
        };
        if files != Fingerprint::of(&files.paths) {
            let advice = "apply the change, or take it back";
            return Err(format!(
                "the registry was changed since it was read, which touches components; {advice}"
            ));
        }
        let answer = self.ask(&program, path).map_err(|error| error.to_string())??;
        Ok((program, answer.version))
    }

    /// Asks it. The outer error is ours.
    fn ask(&self, program: &File, path: &Path) -> std::io::Result<Result<Answer, String>> {
        let question = Question {
            handover: HANDOVER_VERSION,
            state: supervisor::STATE_VERSION,
            arguments: std::env::args_os().collect(),
            temp: self.temp.clone(),
            executable: self.executable.clone(),
        };
        let memory =
            || Ok::<_, std::io::Error>(File::from(rustix::fs::memfd_create("check", MemfdFlags::CLOEXEC)?));
        let (mut input, mut output, mut errors) = (memory()?, memory()?, memory()?);
        serde_json::to_writer(&mut input, &question)?;
        input.flush()?;
        input.rewind()?;
        #[expect(clippy::disallowed_methods, reason = "only the program itself knows what it can take over")]
        let mut child = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0(path)
            .arg("takeover-check")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(errors.try_clone()?))
            .spawn()?;
        let has_ended = Process::of(child.id()).and_then(|process| process.is_gone(Some(LIMIT)));
        if !matches!(has_ended, Ok(true)) {
            child.kill()?;
        }
        let status = child.wait()?;
        has_ended?;
        let answer = serde_json::from_str(&beginning_of(&mut output)?);
        Ok(match answer {
            Ok(answer) if status.success() => Ok(answer),
            _ => {
                let said = beginning_of(&mut errors)?;
                let said = if said.trim().is_empty() { "it gave no answer".to_owned() } else { said };
                Err(format!("{} ({status})", said.trim()))
            }
        })
    }
}

fn beginning_of(file: &mut File) -> std::io::Result<String> {
    let mut said = Vec::new();
    file.rewind()?;
    file.take(MOST).read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}
