//! Slurm places workers: one of its jobs is one worker, which attaches, is given many tasks with its models resident, and goes when
//! there is nothing to do.
//!
//! Slurm is asked, never believed. An intent is in the ledger before its job is submitted: the join token that its worker will show,
//! whose id is the job's comment. Jobs are known by that and not by Slurm's numbers, which it gives out again after a loss. What it
//! has lost is asked for anew, and what comes back after all is cancelled, or refused at the door.

mod cli;
mod plan;

use greenroom_domain::{Holder, Problem, ProblemKind, Timestamp, Token, TokenId};
use greenroom_store::{Batch, Change};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    args::{Config, Slurm},
    clock,
    farm::Farm,
    ledger::LedgerError,
};
use plan::{Demand, Stage, Step};

/// Intents are told from other join tokens by their name.
const NAME: &str = "slurm";
/// A job may wait so long for a node before what its worker will show holds no more, and it is asked for anew.
const WAITS: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many looks at the queue in which a job is missing make it a lost one; after a refusal Slurm is left alone as long.
const LOOKS: u32 = 5;
/// After a job whose worker never came the next one waits for twice that, each time twice as long, up to this.
const LONGEST: Duration = Duration::from_secs(300);
/// Jobs' logs that are kept, the newest.
const LOGS: usize = 50;
/// Slurm gets so long to cancel what waits when the daemon stops.
const STOPPING: Duration = Duration::from_secs(4);

/// Keeps as many jobs in Slurm's queue as there is work for, until the daemon stops.
pub(crate) async fn run(farm: Arc<Farm>, config: Arc<Config>, address: String) {
    let Some(slurm) = &config.slurm else { return };
    let address = slurm.daemon.clone().unwrap_or(address);
    let mut keeper = None;
    loop {
        let looked = match &mut keeper {
            None => Keeper::begin(&farm, &config, slurm, &address).await.map(|begun| keeper = Some(begun)),
            Some(keeper) => keeper.step().await,
        };
        let wait = match looked {
            Ok(()) => slurm.poll,
            Err(error) => {
                let problem = error.problem();
                tracing::error!(remedy = problem.remedy, "{problem}; trying again");
                slurm.poll * LOOKS
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = farm.stop.cancelled() => break,
        }
    }
    if let Some(keeper) = keeper {
        // Workers that run are told to stop; a job that waits would find nobody.
        let _ = tokio::time::timeout(STOPPING, keeper.end()).await;
    }
}

/// Who keeps Slurm's queue.
struct Keeper<'a> {
    farm: &'a Farm,
    config: &'a Config,
    slurm: &'a Slurm,
    /// Intents that are open, and since when.
    asks: BTreeMap<TokenId, Timestamp>,
    /// All that ever were.
    known: BTreeSet<TokenId>,
    /// Jobs in a row whose workers never came.
    failed: u32,
    /// Nothing is submitted before that.
    not_before: Instant,
}

impl<'a> Keeper<'a> {
    /// With what the ledger knows from before.
    async fn begin(farm: &'a Farm, config: &'a Config, slurm: &'a Slurm, address: &str) -> Result<Self, LedgerError> {
        // Jobs that were asked for before, by another leader maybe, find this one.
        let file = slurm.folder.join(cli::ADDRESS);
        let aside = file.with_extension("new");
        let told = fs::create_dir_all(&slurm.folder).and_then(|()| fs::write(&aside, address));
        told.and_then(|()| fs::rename(&aside, &file)).map_err(|error| unusable(&file, &error))?;
        let (asks, known) = intents(farm).await?;
        tracing::info!(open = asks.len(), folder = %slurm.folder.display(), "workers are asked of Slurm");
        Ok(Self { farm, config, slurm, asks, known, failed: 0, not_before: Instant::now() })
    }

    /// Looks, decides, does.
    async fn step(&mut self) -> Result<(), LedgerError> {
        // A controller that is away tells nothing, and that decides nothing.
        let mut jobs = cli::queue().await?;
        // Another farm's jobs are its own.
        jobs.retain(|job| self.known.contains(&job.ask));
        let (now, bounds, lost_after) = (clock::now(), (self.slurm.min, self.slurm.max), self.slurm.poll * LOOKS);
        let demand = {
            let book = self.farm.book();
            Demand { wanting: book.wanting(now), running: book.running(), bounds, lost_after }
        };
        for step in plan::plan(&self.asks, &jobs, &self.farm.workers.joined(), demand, now) {
            match step {
                Step::Submit if Instant::now() < self.not_before => {}
                Step::Submit => self.submit().await?,
                Step::Cancel(number) => {
                    tracing::info!(slurm.job = number, "slurm.cancel");
                    cli::cancel(&number).await?;
                }
                Step::Forget(ask) => {
                    let stage = jobs.iter().find(|job| job.ask == ask).map(|job| job.stage);
                    self.forget(ask, stage).await?;
                }
            }
        }
        Ok(())
    }

    /// Records that a worker is wanted, in the ledger and where its job will find it; then asks for the job.
    async fn submit(&mut self) -> Result<(), LedgerError> {
        let (id, created, secret) = (clock::new_token(), clock::now(), clock::new_secret());
        let file = self.slurm.folder.join(format!("{id}.join"));
        keep(&file, &secret).map_err(|error| unusable(&file, &error))?;
        let (hash, expires, holder) = (Token::hash_of(&secret), Some(created.after(WAITS)), Holder::Join);
        let name = NAME.into();
        let token = Token { id, name, holder, hash, earlier: None, created, expires, revoked: None, used: None };
        self.farm.commit(Batch::new().change(Change::InsertToken(token))).await?;
        self.asks.insert(id, created);
        self.known.insert(id);
        let script = cli::script(self.config, self.slurm, id);
        let number = cli::submit(self.slurm, id, &script).await?;
        tracing::info!(slurm.job = number, slurm.ask = %id, "slurm.submit");
        Ok(())
    }

    /// An intent is over: whoever shows its token comes too late, and so does a worker that joined by it.
    async fn forget(&mut self, ask: TokenId, stage: Option<Stage>) -> Result<(), LedgerError> {
        let came = self.revoke(ask).await?;
        tracing::info!(slurm.ask = %ask, lost = stage.is_none(), "slurm.end");
        self.asks.remove(&ask);
        let file = |what: &str| self.slurm.folder.join(format!("{ask}.{what}"));
        let _ = (fs::remove_file(file("join")), fs::remove_file(file("credential")));
        prune(&self.slurm.folder);
        if stage == Some(Stage::Over { badly: true }) && !came {
            self.failed += 1;
            let wait = (self.slurm.poll * LOOKS * (1 << self.failed.min(6))).min(LONGEST);
            self.not_before = Instant::now() + wait;
            let log = file("log");
            let remedy = "read what it said; programs, pack and folders must be on the nodes under the same paths";
            tracing::error!(remedy, log = %log.display(), "a job's worker never came; the next one in {} s", wait.as_secs());
        } else if came {
            self.failed = 0;
        }
        Ok(())
    }

    /// Takes back what an intent's worker shows. Answers whether it ever came.
    async fn revoke(&self, ask: TokenId) -> Result<bool, LedgerError> {
        let _turn = self.farm.writing.lock().await;
        let (now, mut came) = (clock::now(), false);
        for token in self.farm.store.tokens().await? {
            came |= is_by(&token, ask);
            let open = token.revoked.is_none() && token.used.is_none();
            if open && (token.id == ask || is_by(&token, ask)) {
                let id = token.id;
                let revoked = Token { revoked: Some(now), ..token };
                self.farm.commit(Batch::new().change(Change::UpdateToken(revoked))).await?;
                self.farm.access.revoked(id);
            }
        }
        Ok(came)
    }

    /// Cancels what waits for a node.
    async fn end(&self) {
        for job in cli::queue().await.unwrap_or_default() {
            if matches!(job.stage, Stage::Waits | Stage::Delayed) && self.known.contains(&job.ask) {
                let _ = cli::cancel(&job.number).await;
            }
        }
    }
}

/// What was asked of Slurm and may still be there, and everything that ever was.
async fn intents(farm: &Farm) -> Result<(BTreeMap<TokenId, Timestamp>, BTreeSet<TokenId>), LedgerError> {
    let tokens = farm.store.tokens().await?;
    let ours = || tokens.iter().filter(|token| token.holder == Holder::Join && token.name == NAME);
    // One that was used lives on in what its worker was given.
    let lives = |ask: &Token| tokens.iter().any(|token| token.revoked.is_none() && is_by(token, ask.id));
    let open = ours().filter(|token| if token.used.is_some() { lives(token) } else { token.revoked.is_none() });
    Ok((open.map(|token| (token.id, token.created)).collect(), ours().map(|token| token.id).collect()))
}

/// Whether it was given to the worker that joined by an intent's token.
fn is_by(token: &Token, ask: TokenId) -> bool {
    matches!(token.holder, Holder::Worker { joined, .. } if joined == ask)
}

/// Removes all but the newest logs; their names rise with time.
fn prune(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut logs: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "log")).collect();
    logs.sort();
    for log in logs.iter().rev().skip(LOGS) {
        let _ = fs::remove_file(log);
    }
}

fn unusable(file: &Path, error: &std::io::Error) -> Problem {
    let remedy = "set [slurm] folder to one that the daemon can write and every node sees";
    Problem::new(ProblemKind::Unavailable, "ask Slurm", file.display().to_string(), error, remedy)
}

fn keep(file: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()
}
