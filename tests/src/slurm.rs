//! A Slurm cluster of its own on the loopback: a controller and four nodes, each with four devices that stand for GPUs.
//!
//! All of it runs as whoever runs the test, with a key, a folder and ports of its own, and ends with it: what is left when a test is
//! killed ends when its pipes close.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

use crate::process::{kill_now, processes, until};

/// Starts a server, tells its process id, and ends it when the input closes.
const SCRIPT: &str = r#"
log=$1
shift
"$@" >>"$log" 2>&1 &
server=$!
echo $server
read -r word
kill -TERM $server 2>/dev/null
wait $server
"#;
/// Character devices that every Linux has: Slurm wants files, and never opens these.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random"];
const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

/// The cluster. All of it ends when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    servers: BTreeMap<&'static str, Server>,
}

/// A server, by the shell that ends it.
#[derive(Debug)]
struct Server {
    shell: Child,
    pid: u32,
}

impl Cluster {
    /// Starts one, and waits until its nodes are idle.
    ///
    /// # Panics
    /// If Slurm is not installed, or does not start.
    pub async fn start() -> Self {
        assert!(
            Path::new("/usr/sbin/slurmctld").is_file(),
            "there is no /usr/sbin/slurmctld: `packaging/setup/setup.sh test` installs it"
        );
        let folder = TempDir::with_prefix("greenroom-slurm-").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut cluster = Self { folder, servers: BTreeMap::new() };
        cluster.configure();
        cluster.munge().await;
        cluster.control();
        NODES.iter().for_each(|node| cluster.node(node));
        cluster.idle().await;
        cluster
    }

    /// What programs need to find this cluster.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let config = self.path("slurm.conf").display().to_string();
        vec![("SLURM_CONF".into(), config), ("PATH".into(), "/usr/bin:/bin".into())]
    }

    /// What one of Slurm's programs says, if it does not complain.
    #[must_use]
    pub fn said(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).env_clear().envs(self.environment()).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// Numbers of the jobs in a state, as they are now.
    #[must_use]
    pub fn jobs(&self, state: &str) -> Vec<String> {
        let said =
            self.said("squeue", &["--noheader", "--format=%i", &format!("--states={state}")]).unwrap_or_default();
        said.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// Worker processes that this cluster has started, with the number of the job, the node, and the cards they see.
    #[must_use]
    pub fn workers(&self) -> Vec<(u32, [String; 3])> {
        let own = self.environment()[0].1.clone();
        let told = |environment: &str, name: &str| {
            let value = environment.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().to_owned()
        };
        let workers = processes().into_iter().filter_map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            let environment = fs::read_to_string(format!("/proc/{pid}/environ")).ok()?;
            let ours = name.starts_with("greenroom-worke") && told(&environment, "SLURM_CONF") == own;
            let [job, node, cards] = ["SLURM_JOB_ID", "SLURMD_NODENAME", "CUDA_VISIBLE_DEVICES"];
            ours.then(|| (pid, [job, node, cards].map(|name| told(&environment, name))))
        });
        workers.collect()
    }

    /// A machine dies with all that runs on it: its daemon and its workers, at once.
    pub fn lose_node(&mut self, node: &str) {
        let name = NODES.iter().find(|name| **name == node).unwrap();
        self.servers.remove(name).unwrap().kill();
        let workers = self.workers();
        workers.iter().filter(|(_, told)| told[1] == node).for_each(|(pid, _)| kill_now(*pid));
    }

    /// The controller is killed.
    pub fn lose_controller(&mut self) {
        self.servers.remove("control").unwrap().kill();
    }

    /// The controller is started again, on what it kept or with nothing.
    pub async fn control_again(&mut self, kept: bool) {
        if !kept {
            fs::remove_dir_all(self.path("state")).unwrap();
            fs::create_dir(self.path("state")).unwrap();
        }
        self.control();
        until("the controller answers", async || self.said("sinfo", &[])).await;
    }

    /// Somebody else takes every card for some seconds: whose job has one makes room.
    pub fn preempt(&self, seconds: u32) {
        let wrap = format!("--wrap=sleep {seconds}");
        let cards = ["--partition=urgent", "--nodes=4", "--gres=gpu:4", "--output=/dev/null", &wrap];
        self.said("sbatch", &cards).unwrap();
    }

    /// Lets no job start, or lets them again.
    pub fn hold(&self, held: bool) {
        let state = if held { "State=DRAIN" } else { "State=RESUME" };
        self.said("scontrol", &["update", "NodeName=n[1-4]", state, "Reason=story"]).unwrap();
    }

    /// What its servers have said.
    #[must_use]
    pub fn log(&self) -> String {
        ["control", "n1", "n2", "n3", "n4"].map(|name| fs::read_to_string(self.path(name)).unwrap_or_default()).concat()
    }

    async fn idle(&self) {
        until("four nodes are idle", async || {
            let idle =
                self.said("sinfo", &["--noheader", "--Node", "--partition=gpu", "--states=idle", "--format=%N"])?;
            (idle.lines().count() == NODES.len()).then_some(())
        })
        .await;
    }

    fn configure(&self) {
        // Asked of the kernel and given back: nobody else takes them in the moment between, for it counts on.
        let ports = [(); 5].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = ports.map(|listener| listener.local_addr().unwrap().port());
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        let (folder, control) = (self.folder.path().display(), ports[0]);
        let mut text = format!(
            "ClusterName=greenroom\nSlurmctldHost=localhost(127.0.0.1)\nSlurmctldPort={control}\nSlurmUser={user}\n\
             SlurmdUser={user}\nAuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket={folder}/munge.socket\n\
             StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool-%n\nSlurmctldPidFile={folder}/control.pid\n\
             SlurmdPidFile={folder}/%n.pid\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n\
             SwitchType=switch/none\nMailProg=/bin/true\nSelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
             SchedulerParameters=sched_interval=1,bf_interval=1\nSlurmdTimeout=3\nKillWait=5\nReturnToService=2\n\
             SlurmdParameters=config_overrides\nGresTypes=gpu\nPreemptType=preempt/partition_prio\nPreemptMode=REQUEUE\n\
             PartitionName=gpu Nodes=n[1-4] Default=YES State=UP PriorityTier=1\n\
             PartitionName=urgent Nodes=n[1-4] State=UP PriorityTier=9\n"
        );
        for (node, port) in NODES.iter().zip(&ports[1..]) {
            let has = "CPUs=8 RealMemory=4000 Gres=gpu:4 State=UNKNOWN";
            writeln!(text, "NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} {has}").unwrap();
        }
        fs::write(self.path("slurm.conf"), text).unwrap();
        let cards = DEVICES.map(|file| format!("Name=gpu File={file}\n")).concat();
        fs::write(self.path("gres.conf"), cards).unwrap();
        fs::create_dir(self.path("state")).unwrap();
    }

    /// Who vouches for whom among Slurm's daemons.
    async fn munge(&mut self) {
        let key: Vec<u8> = fs::read("/proc/sys/kernel/random/uuid").unwrap().repeat(8);
        fs::write(self.path("munge.key"), key).unwrap();
        fs::set_permissions(self.path("munge.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let file = |name: &str| self.path(name).display().to_string();
        let arguments = [
            "--foreground".to_owned(),
            // It would rather not have its socket below a folder that others may write.
            "--force".to_owned(),
            format!("--key-file={}", file("munge.key")),
            format!("--socket={}", file("munge.socket")),
            format!("--log-file={}", file("munge.log")),
            format!("--pid-file={}", file("munge.pid")),
            format!("--seed-file={}", file("munge.seed")),
        ];
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let server = self.serve("munge", "/usr/sbin/munged", &arguments);
        self.servers.insert("munge", server);
        until("munged listens", async || self.path("munge.socket").exists().then_some(())).await;
    }

    fn control(&mut self) {
        let server = self.serve("control", "/usr/sbin/slurmctld", &["-D"]);
        self.servers.insert("control", server);
    }

    fn node(&mut self, name: &'static str) {
        let server = self.serve(name, "/usr/sbin/slurmd", &["-D", "-N", name]);
        self.servers.insert(name, server);
    }

    fn serve(&self, log: &str, program: &str, arguments: &[&str]) -> Server {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "guardian"]).arg(self.path(log)).arg(program).args(arguments);
        shell.current_dir("/").env_clear().envs(self.environment()).stdin(Stdio::piped()).stdout(Stdio::piped());
        // In a group of its own, it outlives a test runner that kills the whole group of a test.
        let mut shell = shell.process_group(0).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { shell, pid: line.trim().parse().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Server {
    fn kill(mut self) {
        kill_now(self.pid);
        self.end();
    }

    fn end(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Cluster {
    #[expect(clippy::print_stderr, reason = "a failed test shows it with its panic")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Slurm's log:\n{}", self.log());
        }
        let workers = self.workers();
        // The nodes first, and last who vouches for them.
        for name in NODES.iter().chain(&["control", "munge"]) {
            if let Some(mut server) = self.servers.remove(name) {
                server.end();
            }
        }
        workers.into_iter().for_each(|(pid, _)| kill_now(pid));
    }
}
