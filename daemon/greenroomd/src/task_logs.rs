//! What tasks say while they run: files of lines for each attempt, bounded, for people to read, search and follow.
//!
//! A log is a courtesy. Where it cannot be written, the work goes on and what is missing is told once.

use greenroom_domain::{JobId, LeaseEpoch, TaskId};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, SystemTime},
};
use tokio::sync::watch;

/// An attempt's log is kept in parts; of these the last two.
const PARTS: u64 = 2;
/// A line is cut off here, bytes.
const LINE: usize = 16 << 10;
const MIB: u64 = 1 << 20;

/// How much is kept: section `[logs]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Logs {
    /// Where; `logs` in the state folder unless said otherwise. Daemons that share a ledger may share it.
    pub folder: Option<PathBuf>,
    /// MiB of one attempt: the newest.
    pub attempt_mib: u64,
    /// MiB of all: the newest.
    pub total_mib: u64,
    /// Days, after which a log goes.
    pub days: u64,
}

impl Default for Logs {
    fn default() -> Self {
        Self { folder: None, attempt_mib: 8, total_mib: 1024, days: 30 }
    }
}

/// The logs of a farm's tasks.
#[derive(Debug)]
pub(crate) struct TaskLogs {
    folder: PathBuf,
    part: u64,
    total: u64,
    age: Duration,
    /// Bytes since they were last swept.
    written: AtomicU64,
    /// Whether the last line could not be written.
    failing: AtomicBool,
    grown: watch::Sender<u64>,
}

/// A line of an attempt.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Line {
    /// Milliseconds since 1970, by the worker's clock.
    pub at: i64,
    /// `error`, `warn`, `info` or `output`.
    pub level: String,
    /// What it says.
    pub text: String,
}

/// One part of one attempt's log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub task: TaskId,
    pub epoch: LeaseEpoch,
    number: u64,
    path: PathBuf,
}

impl TaskLogs {
    /// Logs under the state folder, unless the configuration names another.
    pub(crate) fn new(state: &Path, logs: &Logs) -> Self {
        Self {
            folder: logs.folder.clone().unwrap_or_else(|| state.join("logs")),
            part: (logs.attempt_mib.max(1) * MIB) / PARTS,
            total: logs.total_mib.max(1) * MIB,
            age: Duration::from_secs(logs.days.max(1) * 24 * 3600),
            written: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            grown: watch::Sender::new(0),
        }
    }

    /// Rings whenever a log has grown.
    pub(crate) fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    /// Whether the last lines could not be written.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Where the logs lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds lines to an attempt's log.
    pub(crate) fn append(&self, job: JobId, task: TaskId, epoch: LeaseEpoch, lines: &[Line]) {
        match self.write(job, task, epoch, lines) {
            Ok(bytes) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("tasks' logs are written again");
                }
                self.grown.send_modify(|n| *n += 1);
                if self.written.fetch_add(bytes, Ordering::Relaxed) > self.total / 8 {
                    self.sweep(SystemTime::UNIX_EPOCH);
                }
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    let folder = self.folder.display();
                    tracing::error!(%error, %folder, "tasks' logs cannot be written; the work goes on without them");
                }
            }
        }
    }

    fn write(&self, job: JobId, task: TaskId, epoch: LeaseEpoch, lines: &[Line]) -> io::Result<u64> {
        let folder = self.folder.join(job.to_string());
        std::fs::create_dir_all(&folder)?;
        let parts = self.parts(job)?.into_iter().filter(|part| (part.task, part.epoch) == (task, epoch));
        let mut parts: Vec<_> = parts.collect();
        let number = match parts.last() {
            None => 0,
            Some(last) if std::fs::metadata(&last.path)?.len() >= self.part => last.number + 1,
            Some(last) => last.number,
        };
        let mut bytes = Vec::new();
        for line in lines {
            let text = line.text[..line.text.floor_char_boundary(LINE)].to_owned();
            serde_json::to_writer(&mut bytes, &Line { text, ..line.clone() })?;
            bytes.push(b'\n');
        }
        let path = folder.join(format!("{task}.{}.{number:06}.jsonl", epoch.0));
        OpenOptions::new().create(true).append(true).open(path)?.write_all(&bytes)?;
        parts.retain(|part| part.number + PARTS <= number);
        parts.iter().try_for_each(|part| std::fs::remove_file(&part.path))?;
        Ok(bytes.len() as u64)
    }

    /// What is kept of a job's tasks, by task, attempt and time.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(crate) fn parts(&self, job: JobId) -> io::Result<Vec<Part>> {
        let files = match std::fs::read_dir(self.folder.join(job.to_string())) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        let mut parts: Vec<_> = files.filter_map(|file| part(file.ok()?.path())).collect();
        parts.sort();
        Ok(parts)
    }

    /// A job's logs go.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub(crate) fn remove(&self, job: JobId) -> io::Result<()> {
        match std::fs::remove_dir_all(self.folder.join(job.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what is too old, and of the rest the oldest until all of it is within the bound. What was written last before
    /// `now` less the days that are kept is too old.
    pub(crate) fn sweep(&self, now: SystemTime) {
        self.written.store(0, Ordering::Relaxed);
        if let Err(error) = self.swept(now) {
            tracing::warn!(%error, "old logs of tasks cannot be removed");
        }
    }

    fn swept(&self, now: SystemTime) -> io::Result<()> {
        let mut files = vec![];
        let jobs = match std::fs::read_dir(&self.folder) {
            Ok(jobs) => jobs,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for job in jobs {
            for file in std::fs::read_dir(job?.path())? {
                let file = file?;
                let known = file.metadata()?;
                files.push((known.modified()?, known.len(), file.path()));
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (modified, size, path) in files {
            let old = now.duration_since(modified).is_ok_and(|age| age > self.age);
            if !old && bytes <= self.total {
                break;
            }
            std::fs::remove_file(&path)?;
            bytes -= size;
            // Only where it is empty now.
            let _ = path.parent().map(std::fs::remove_dir);
        }
        Ok(())
    }
}

impl Part {
    /// Its whole lines from a byte on, and where the next ones begin. A part that was swept has none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn lines(&self, from: u64, each: &mut dyn FnMut(Line) -> bool) -> io::Result<u64> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(from),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(from))?;
        let (mut read, mut at, mut line) = (BufReader::new(file), from, Vec::new());
        loop {
            line.clear();
            let bytes = read.read_until(b'\n', &mut line)?;
            // The last line may still be written.
            if line.last() != Some(&b'\n') {
                return Ok(at);
            }
            at += bytes as u64;
            if let Ok(line) = serde_json::from_slice(&line)
                && !each(line)
            {
                return Ok(at);
            }
        }
    }
}

fn part(path: PathBuf) -> Option<Part> {
    let mut words = path.file_name()?.to_str()?.strip_suffix(".jsonl")?.split('.');
    let (task, epoch, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Part { task, epoch: LeaseEpoch(epoch), number, path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use greenroom_domain::Timestamp;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn job(n: u8) -> JobId {
        JobId::new(Timestamp::from_millis(1), [n; 10])
    }

    fn task(n: u8) -> TaskId {
        TaskId::new(Timestamp::from_millis(1), [n; 10])
    }

    fn said(text: &str) -> Line {
        Line { at: 5, level: "info".into(), text: text.into() }
    }

    fn read(logs: &TaskLogs, job: JobId) -> Vec<String> {
        let mut texts = vec![];
        for part in logs.parts(job).unwrap() {
            part.lines(0, &mut |line| {
                texts.push(line.text);
                true
            })
            .unwrap();
        }
        texts
    }

    #[test]
    fn lines_are_read_by_task_and_attempt_as_they_were_said() {
        let folder = tempfile::tempdir().unwrap();
        let logs = TaskLogs::new(folder.path(), &Logs::default());
        logs.append(job(1), task(2), LeaseEpoch(1), &[said("second")]);
        logs.append(job(1), task(1), LeaseEpoch(2), &[said("again")]);
        logs.append(job(1), task(1), LeaseEpoch(1), &[said("first"), said("of two\nlines")]);
        assert_eq!(read(&logs, job(1)), ["first", "of two\nlines", "again", "second"]);
        assert!(read(&logs, job(2)).is_empty());
        logs.remove(job(1)).unwrap();
        logs.remove(job(1)).unwrap();
        assert!(read(&logs, job(1)).is_empty());
    }

    #[test]
    fn a_log_that_grows_for_ever_keeps_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let logs = TaskLogs::new(folder.path(), &Logs { attempt_mib: 1, ..Logs::default() });
        for n in 0..300 {
            logs.append(job(1), task(1), LeaseEpoch(1), &[said(&format!("{n} {}", "x".repeat(10_000)))]);
        }
        let kept = read(&logs, job(1));
        assert!(kept.len() < 120, "{}", kept.len());
        assert!(kept.last().unwrap().starts_with("299 "));
    }

    #[test]
    fn all_logs_together_are_bounded_and_the_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let logs = TaskLogs::new(folder.path(), &Logs { total_mib: 1, days: 7, ..Logs::default() });
        for n in 0..40 {
            let lines = vec![said(&"x".repeat(10_000)); 10];
            logs.append(job(n), task(1), LeaseEpoch(1), &lines);
        }
        #[expect(clippy::disallowed_methods, reason = "files have the machine's time")]
        let now = SystemTime::now();
        logs.sweep(now);
        assert!(read(&logs, job(0)).is_empty() && !read(&logs, job(39)).is_empty());
        logs.sweep(now + 6 * DAY);
        assert!(!read(&logs, job(39)).is_empty());
        logs.sweep(now + 8 * DAY);
        assert!(read(&logs, job(39)).is_empty());
        assert_eq!(std::fs::read_dir(folder.path().join("logs")).unwrap().count(), 0, "no empty folders are left");
    }

    #[test]
    fn where_nothing_can_be_written_the_work_goes_on_and_it_is_known() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("logs"), b"a file").unwrap();
        let logs = TaskLogs::new(folder.path(), &Logs::default());
        logs.append(job(1), task(1), LeaseEpoch(1), &[said("lost")]);
        assert!(logs.is_failing());
        std::fs::remove_file(folder.path().join("logs")).unwrap();
        logs.append(job(1), task(1), LeaseEpoch(1), &[said("kept")]);
        assert!(!logs.is_failing());
        assert_eq!(read(&logs, job(1)), ["kept"]);
    }

    #[test]
    fn half_a_line_waits_for_its_other_half() {
        let folder = tempfile::tempdir().unwrap();
        let logs = TaskLogs::new(folder.path(), &Logs::default());
        logs.append(job(1), task(1), LeaseEpoch(1), &[said("whole")]);
        let part = logs.parts(job(1)).unwrap().remove(0);
        let end = std::fs::metadata(&part.path).unwrap().len();
        OpenOptions::new().append(true).open(&part.path).unwrap().write_all(b"{\"at\":1,\"lev").unwrap();
        assert_eq!(part.lines(0, &mut |_| true).unwrap(), end);
    }
}
