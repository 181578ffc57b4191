//! `greenroom top`

mod draw;

use clap::Args;
use greenroom_domain::Problem;
use greenroom_proto::v1;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::{Value, json};
use std::time::Duration;

use super::{Context, Ended};
use crate::{connection::Farm, environment, failure::Outcome, json};

/// Keys are looked for so often.
const KEYS: Duration = Duration::from_millis(100);

/// Watch the farm work: devices, what runs and how far it is, what waits.
///
/// q or Ctrl-C ends it, the arrows scroll. Where nobody looks, or with --once, it is told once; with --json one line each time.
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// Tell it once and end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = seconds)]
    every: f64,
}

/// The farm at one moment.
struct Moment {
    address: String,
    activity: v1::Activity,
    nodes: Vec<v1::Node>,
}

impl Top {
    /// Looks again and again.
    pub(crate) async fn run(&self, context: &Context) -> Ended {
        let farm = context.farm().await?;
        let every = Duration::from_secs_f64(self.every);
        let looks = context.environment.colour && context.environment.live && !context.output.is_json();
        if looks && !self.once {
            return live(&farm, every).await;
        }
        loop {
            let moment = look(&farm).await?;
            context.output.line(&document(&moment), &draw::lines(&moment, environment::now()));
            if self.once || !context.output.is_json() {
                return Ok(Outcome::Complete);
            }
            tokio::time::sleep(every).await;
        }
    }
}

async fn live(farm: &Farm, every: Duration) -> Ended {
    let mut moment = look(farm).await?;
    let mut terminal = ratatui::try_init().map_err(|e| terminal_problem(&e))?;
    let mut scroll = 0;
    let result = async {
        loop {
            terminal
                .draw(|frame| draw::frame(frame, &moment, environment::now(), &mut scroll))
                .map_err(|e| terminal_problem(&e))?;
            let again = tokio::time::sleep(every);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    () = &mut again => break,
                    () = tokio::time::sleep(KEYS) => match key().map_err(|e| terminal_problem(&e))? {
                        Some(Key::End) => return Ok(Outcome::Complete),
                        Some(Key::Down) => scroll += 1,
                        Some(Key::Up) => scroll = scroll.saturating_sub(1),
                        None => continue,
                    }
                }
                terminal
                    .draw(|frame| draw::frame(frame, &moment, environment::now(), &mut scroll))
                    .map_err(|e| terminal_problem(&e))?;
            }
            moment = look(farm).await?;
        }
    };
    let ended = result.await;
    ratatui::restore();
    ended
}

enum Key {
    End,
    Up,
    Down,
}

/// The key that was pressed, if one was. The terminal hands Ctrl-C over like any other key.
fn key() -> std::io::Result<Option<Key>> {
    if !event::poll(Duration::ZERO)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(KeyEvent { kind: KeyEventKind::Press, code, modifiers, .. }) => match code {
            KeyCode::Char('q') | KeyCode::Esc => Some(Key::End),
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::End),
            KeyCode::Up | KeyCode::Char('k') => Some(Key::Up),
            KeyCode::Down | KeyCode::Char('j') => Some(Key::Down),
            _ => None,
        },
        _ => None,
    })
}

async fn look(farm: &Farm) -> Result<Moment, Problem> {
    let (mut service, mut schedule) = (farm.farm(), farm.schedule());
    let asked = tokio::try_join!(
        service.get_activity(v1::GetActivityRequest {}),
        schedule.list_nodes(v1::ListNodesRequest {}),
    );
    match asked {
        Ok((activity, nodes)) => Ok(Moment {
            address: farm.address().to_owned(),
            activity: activity.into_inner(),
            nodes: nodes.into_inner().nodes,
        }),
        Err(status) => Err(farm.problem(status).await),
    }
}

fn document(moment: &Moment) -> Value {
    let v1::Activity { running, queued, devices, busy, ended_by_minute, failed } = &moment.activity;
    let running = running.iter().map(|task| {
        json!({
            "task": task.task,
            "kind": task.kind,
            "shot": (!task.shot.is_empty()).then_some(&task.shot),
            "job": task.job,
            "project": task.project,
            "node": task.node,
            "device": task.device,
            "fraction": json::float(task.fraction),
            "message": task.message,
            "since": task.since.as_ref().map(json::time),
        })
    });
    json!({
        "devices": devices,
        "busy": busy,
        "queued": queued,
        "ended_by_minute": ended_by_minute,
        "failed": failed,
        "running": running.collect::<Value>(),
        "nodes": moment.nodes.iter().map(json::node).collect::<Value>(),
    })
}

fn terminal_problem(error: &std::io::Error) -> Problem {
    Problem::invalid("show farm", "terminal", error, "try `greenroom top --once`")
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err(format!("`{text}` is not between 0.1 and 3600")),
    }
}
