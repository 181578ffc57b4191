//! What is wrong with a device keeps work from it, and lack of memory is the task's fault and not the node's.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

use greenroom_domain::*;
use greenroom_schedule::{Action, Book, Entry, Stand, nodes, plan, why};
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp::from_millis(1_000);

fn worker(n: u8) -> WorkerId {
    WorkerId::new(NOW, [n; 10])
}

fn card(node: &str) -> Offer {
    let (device, kind) = ("cuda:0".into(), DeviceKind::Gpu);
    Offer { node: node.into(), device, kind, memory_mib: 24_000, ram_mib: 1_000, slots: 1, ..Offer::default() }
}

/// A farm of these cards with one task that asks for 20,000 MiB of one.
fn farm(cards: &[Offer]) -> (Book, Entry) {
    let mut book = Book::new(Policy::default());
    let id = JobId::new(NOW, [1; 10]);
    let project = ProjectId::new(NOW, [2; 10]);
    book.put_job(&Job::new(id, project, "film".into(), Digest::of(b"r"), NOW), NOW);
    let needs = Needs { vram_mib: 20_000, ..Needs::default() };
    let (kind, stand) = (TaskKind::Generate, Stand::Ready { since: NOW });
    let task = TaskId::new(NOW, [3; 10]);
    let entry = Entry { id: task, job: id, kind, shot: None, take: None, needs, failures: 0, stand };
    book.put_task(&entry, NOW);
    for (n, card) in cards.iter().enumerate() {
        book.attach(worker(n as u8 + 1), card.clone(), NOW);
    }
    (book, entry)
}

/// Reads a worker's card as it is with so many errors, and so much of it with program 7.
fn read(book: &mut Book, errors: u64, others_mib: u64) {
    let processes = vec![DeviceProcess { pid: 7, memory_mib: others_mib }, DeviceProcess { pid: 8, memory_mib: 9_000 }];
    let reading = Reading { ecc_errors: Some(errors), processes, ..Reading::default() };
    book.reads(worker(1), reading, BTreeSet::from([8]), NOW);
}

/// Why it waits now.
fn told(book: &Book, task: &Entry) -> (&'static str, String) {
    let why = why(book, task.id, NOW);
    (why.reason.code(), why.sentence)
}

#[test]
fn a_card_that_is_not_fit_gets_nothing_until_it_is() {
    let (mut book, task) = farm(&[card("n1")]);
    read(&mut book, 1, 0);
    assert_eq!(plan(&book, NOW), []);
    let sentence = "no device that would do is fit for work (n1 cuda:0: one memory error was not corrected)";
    assert_eq!(told(&book, &task), ("device-unfit", sentence.to_owned()));
    assert!(nodes(&book, NOW)[0].workers[0].unfit.is_some());
    read(&mut book, 0, 0);
    assert_eq!(plan(&book, NOW), [Action::Lease { task: task.id, worker: worker(1) }]);
}

#[test]
fn memory_that_programs_of_others_have_is_not_given_out() {
    let (mut book, task) = farm(&[card("n1")]);
    read(&mut book, 0, 4_001);
    assert_eq!(plan(&book, NOW), []);
    let sentence = "it needs 20000 MiB of device memory, and programs of others have 4001 MiB of n1 cuda:0";
    assert_eq!(told(&book, &task), ("device-in-use", sentence.to_owned()));
    let view = &nodes(&book, NOW)[0].workers[0];
    assert_eq!((view.free_mib, view.others_mib, &view.others[..]), (19_999, 4_001, &[7][..]), "8 is the farm's own");
    read(&mut book, 0, 4_000);
    assert_eq!(plan(&book, NOW).len(), 1);
    book.detach(worker(1));
    assert_eq!(book.faults(), Vec::<String>::new());
}

/// A task's first attempt ends at once on worker 1: for lack of memory, or with its worker. Answers the moment after it.
fn fails(book: &mut Book, task: &mut Entry, for_memory: bool) -> Timestamp {
    task.stand = Stand::Leased { worker: worker(1), epoch: LeaseEpoch(1), since: NOW };
    book.put_task(task, NOW);
    if for_memory {
        book.out_of_ram(task.id);
    }
    book.answered(task.id, LeaseEpoch(1));
    (task.failures, task.stand) = (1, Stand::Ready { since: NOW });
    book.put_task(task, NOW);
    let later = NOW.after(std::time::Duration::from_secs(10));
    book.wake(later);
    later
}

#[test]
fn a_task_whose_worker_ran_out_of_memory_goes_where_there_is_more() {
    let large = Offer { ram_mib: 4_000, ..card("n2") };
    let (mut book, mut task) = farm(&[card("n1"), large]);
    let later = fails(&mut book, &mut task, true);
    assert_eq!(plan(&book, later), [Action::Lease { task: task.id, worker: worker(2) }], "1 has too little");
    book.detach(worker(2));
    let why = why(&book, task.id, later);
    let sentence = "it needs 1001 MiB of memory, and the most that a worker may use is 1000 MiB";
    assert_eq!((why.reason.code(), &why.sentence[..]), ("no-worker-with-ram", sentence));
}

#[test]
fn a_crash_is_blamed_on_the_node_and_lack_of_memory_is_not() {
    for (for_memory, next) in [(true, 1), (false, 2)] {
        let (mut book, mut task) = farm(&[card("n1"), card("n2")]);
        let later = fails(&mut book, &mut task, for_memory);
        assert_eq!(plan(&book, later), [Action::Lease { task: task.id, worker: worker(next) }]);
    }
}
