//! The farm on a terminal.

use greenroom_domain::Timestamp;
use greenroom_proto::v1;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize as _},
    text::{Line, Span},
    widgets::{Block, Gauge, Paragraph, Row, Sparkline, Table},
};

use super::Moment;
use crate::progress::clock;

/// Draws everything; `scroll` is kept to what there is.
pub(super) fn frame(frame: &mut Frame<'_>, moment: &Moment, now: Timestamp, scroll: &mut usize) {
    let nodes = (moment.nodes.len() as u16).clamp(1, 8);
    let rows = [Constraint::Length(1), Constraint::Length(4), Constraint::Length(nodes + 2), Constraint::Min(3)];
    let [head, counts, machines, tasks] = Layout::vertical(rows).areas(frame.area());
    let title = Line::from(vec!["greenroom ".bold(), Span::from(moment.address.clone()), "   q quits".dim()]);
    frame.render_widget(title, head);
    draw_counts(frame, &moment.activity, counts);
    draw_nodes(frame, &moment.nodes, machines);
    let room = usize::from(tasks.height.saturating_sub(3)).max(1);
    *scroll = (*scroll).min(moment.activity.running.len().saturating_sub(room));
    draw_tasks(frame, &moment.activity.running, now, *scroll, tasks);
}

fn draw_counts(frame: &mut Frame<'_>, activity: &v1::Activity, area: Rect) {
    let [left, right] = Layout::horizontal([Constraint::Length(52), Constraint::Min(20)]).areas(area);
    let [busy, words] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(Block::bordered().inner(left));
    frame.render_widget(Block::bordered().title(" devices "), left);
    let share = f64::from(activity.busy) / f64::from(activity.devices.max(1));
    let gauge = Gauge::default().ratio(share.min(1.0)).gauge_style(Style::new().fg(Color::Cyan).bg(Color::DarkGray));
    frame.render_widget(gauge.label(format!("{} of {} busy", activity.busy, activity.devices)), busy);
    frame.render_widget(Line::from(counted(activity)), words);
    let minutes: Vec<u64> = activity.ended_by_minute.iter().map(|&n| n.into()).collect();
    let most = minutes.iter().max().copied().unwrap_or_default();
    let title = format!(" tasks ended, by minute (most {most}) ");
    let bars = Sparkline::default().data(&minutes).style(Color::Green).block(Block::bordered().title(title));
    frame.render_widget(bars, right);
}

fn draw_nodes(frame: &mut Frame<'_>, nodes: &[v1::Node], area: Rect) {
    let block = Block::bordered().title(" nodes ");
    let lines = nodes.iter().map(|node| {
        let colour = match node.state.as_str() {
            "open" => Color::Green,
            "sick" => Color::Red,
            _ => Color::Yellow,
        };
        Line::from(super::super::nodes::line(node)).style(Style::new().fg(colour))
    });
    let mut lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        lines.push("no worker is attached".yellow().into());
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_tasks(frame: &mut Frame<'_>, running: &[v1::RunningTask], now: Timestamp, scroll: usize, area: Rect) {
    let head = Row::new(["PROJECT", "SHOT", "KIND", "NODE", "DEVICE", "TIME", "DONE", "DOING"]).bold();
    let rows = running.iter().skip(scroll).map(|task| Row::new(cells(task, now)));
    let widths = [
        Constraint::Max(16),
        Constraint::Length(7),
        Constraint::Length(10),
        Constraint::Max(16),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(5),
        Constraint::Min(10),
    ];
    let block = Block::bordered().title(format!(" running ({}) ", running.len()));
    frame.render_widget(Table::new(rows, widths).header(head).block(block), area);
}

/// The same for whoever reads lines.
pub(super) fn lines(moment: &Moment, now: Timestamp) -> Vec<String> {
    let activity = &moment.activity;
    let head = format!("{} of {} devices busy, {}", activity.busy, activity.devices, counted(activity));
    let nodes = moment.nodes.iter().map(super::super::nodes::line);
    let tasks = activity.running.iter().map(|task| {
        let [project, shot, kind, node, device, time, done, doing] = cells(task, now);
        format!("{project:<16} {shot:<7} {kind:<10} {node:<16} {device:<8} {time:>8} {done:>5} {doing}")
    });
    [head].into_iter().chain(nodes).chain(tasks).collect()
}

fn counted(activity: &v1::Activity) -> String {
    let ended: u32 = activity.ended_by_minute.iter().sum();
    format!("{} queued, {ended} ended in an hour, {} failed", activity.queued, activity.failed)
}

fn cells(task: &v1::RunningTask, now: Timestamp) -> [String; 8] {
    let since = task.since.as_ref().map_or(now.as_millis(), |t| t.seconds * 1000 + i64::from(t.nanos) / 1_000_000);
    let time = clock(now.since(Timestamp::from_millis(since)));
    let done = format!("{:.0} %", task.fraction * 100.0);
    let words = |text: &str| text.to_owned();
    [
        words(&task.project),
        words(&task.shot),
        words(&task.kind),
        words(&task.node),
        words(&task.device),
        time,
        done,
        task.message.replace(char::is_control, " "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::{Terminal, backend::TestBackend};

    fn moment(tasks: usize) -> Moment {
        let task = |n| v1::RunningTask {
            project: "lab".into(),
            kind: "generate".into(),
            shot: format!("1-{n}"),
            node: "n1".into(),
            device: "cuda:0".into(),
            fraction: 0.5,
            message: "keyframe 2 of 4".into(),
            since: Some(prost_types::Timestamp { seconds: 40, nanos: 0 }),
            ..v1::RunningTask::default()
        };
        let node = v1::Node { name: "n1".into(), state: "open".into(), ..v1::Node::default() };
        let ended_by_minute = (0..60).collect();
        let running = (1..=tasks).map(task).collect();
        let activity = v1::Activity { running, queued: 7, devices: 4, busy: 2, ended_by_minute, failed: 3 };
        Moment { address: "http://farm:7474".into(), activity, nodes: vec![node] }
    }

    fn drawn(moment: &Moment, scroll: &mut usize) -> String {
        let mut terminal = Terminal::new(TestBackend::new(110, 16)).unwrap();
        terminal.draw(|f| frame(f, moment, Timestamp::from_millis(105_000), scroll)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_that_runs_is_on_the_screen() {
        let screen = drawn(&moment(2), &mut 0);
        for words in ["2 of 4 busy", "7 queued, 1770 ended in an hour, 3 failed", "running (2)", "1-2", "1:05", "50 %"]
        {
            assert!(screen.contains(words), "{words}\n{screen}");
        }
    }

    #[test]
    fn scrolling_ends_where_the_tasks_do() {
        let mut scroll = 1000;
        let screen = drawn(&moment(20), &mut scroll);
        assert!(screen.contains("1-20 ") && !screen.contains("1-1 "), "{screen}");
        assert!(scroll < 20);
    }

    #[test]
    fn a_terminal_of_any_size_will_do() {
        for (width, height) in [(1, 1), (10, 3), (300, 100)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|f| frame(f, &moment(3), Timestamp::from_millis(0), &mut 0)).unwrap();
        }
    }

    #[test]
    fn lines_tell_the_same() {
        let lines = lines(&moment(1), Timestamp::from_millis(105_000));
        assert_eq!(lines[0], "2 of 4 devices busy, 7 queued, 1770 ended in an hour, 3 failed");
        assert_eq!(lines.len(), 3);
        assert!(lines[2].starts_with("lab              1-1     generate"), "{}", lines[2]);
    }
}
