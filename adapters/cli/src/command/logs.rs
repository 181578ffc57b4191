//! `greenroom logs`

use clap::{Args, ValueEnum};
use console::style;
use greenroom_domain::ShotKey;
use greenroom_proto::v1;

use super::{Context, Ended, why::task_or_job};
use crate::{failure::Outcome, json};

/// Read what tasks said while they ran.
///
/// The newest megabytes of each attempt are kept. With --json one line per line.
#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// A task (task_…), or a job (job_…) for all of its tasks
    #[arg(value_name = "TASK|JOB", value_parser = task_or_job)]
    what: String,
    /// Only tasks of this shot of the job, such as 2-3
    #[arg(value_name = "SHOT")]
    shot: Option<ShotKey>,
    /// Go on with new lines until the job has ended
    #[arg(short, long)]
    follow: bool,
    /// Only lines in which this regular expression is found; case does not matter
    #[arg(short, long, value_name = "REGEX")]
    grep: Option<String>,
    /// Only lines as bad as this
    #[arg(short, long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Only so many of the last lines
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<u32>,
    /// Only the first, second, … attempt
    #[arg(long, value_name = "N")]
    attempt: Option<u64>,
}

/// How bad a line is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
}

impl Logs {
    /// Calls the farm and shows lines as they come.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let request = v1::ReadLogsRequest {
            name: self.what.clone(),
            shot: self.shot.map(|shot| shot.to_string()).unwrap_or_default(),
            attempt: self.attempt.unwrap_or_default(),
            pattern: self.grep.clone().unwrap_or_default(),
            level: self.level.and_then(|l| l.to_possible_value()).map(|l| l.get_name().to_owned()).unwrap_or_default(),
            tail: self.tail.unwrap_or_default(),
            follow: self.follow,
        };
        let mut stream = match farm.logs().read_logs(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => return Err(farm.problem(status).await.into()),
        };
        let (mut heading, mut any) = (None, false);
        loop {
            let page = match stream.message().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(status) => return Err(farm.problem(status).await.into()),
            };
            for line in page.lines {
                any = true;
                let of = (line.task.clone(), line.attempt);
                let new = heading.as_ref() != Some(&of);
                let lines = new.then(|| head(&line)).into_iter().chain([told(&line)]).collect::<Vec<_>>();
                heading = Some(of);
                context.output.line(&json::log_line(&line), &lines);
            }
        }
        if !any {
            context.output.note("nothing was said, or it is not kept any more");
        }
        Ok(Outcome::Complete)
    }
}

/// Whose lines follow.
fn head(line: &v1::LogLine) -> String {
    let shot = if line.shot.is_empty() { String::new() } else { format!(" {}", line.shot) };
    style(format!("{}  {}{shot}, attempt {}", line.task, line.kind, line.attempt)).bold().to_string()
}

fn told(line: &v1::LogLine) -> String {
    let time = json::local_clock(line.time.as_ref());
    // What a command said may hold anything; a terminal would obey it.
    let text = console::strip_ansi_codes(&line.text).replace(|c: char| c.is_control() && c != '\t', " ");
    let level = match line.level.as_str() {
        "error" => style("error").red(),
        "warn" => style("warn ").yellow(),
        "output" => style("    |").dim(),
        _ => style("     ").dim(),
    };
    format!("{} {level} {text}", style(time).dim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_command_the_terminal() {
        let line = v1::LogLine {
            level: "output".into(),
            text: "\u{1b}]0;title\u{7}\u{1b}[31mred\u{1b}[0m\rover".into(),
            ..v1::LogLine::default()
        };
        let told = console::strip_ansi_codes(&told(&line)).into_owned();
        assert!(told.ends_with("| red over"), "{told:?}");
    }
}
