//! What lies between a worker and the daemon: a connection that can be cut, held, delayed and doubled.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// A doubled connection says again what was said on it so early …
const EARLY: Duration = Duration::from_millis(500);
/// … and stays this long.
const GHOST: Duration = Duration::from_secs(5);

/// A door on the loopback that leads to the daemon, wherever that listens now.
pub(super) struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    seen: Arc<Seen>,
}

/// What is done to what goes through.
#[derive(Clone, Copy, Default)]
struct Control {
    delay: Duration,
    held: bool,
    cuts: u32,
    double: bool,
}

/// What happened so far: connections that were cut or doubled, pieces that were held or delayed.
#[derive(Default)]
pub(super) struct Seen {
    pub cut: AtomicU32,
    pub held: AtomicU32,
    pub delayed: AtomicU32,
    pub doubled: AtomicU32,
}

impl Proxy {
    pub(super) async fn open(daemon: Arc<Mutex<SocketAddr>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, control, seen) =
            (listener.local_addr().unwrap(), watch::Sender::new(Control::default()), Arc::new(Seen::default()));
        let (of, noted) = (control.clone(), seen.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let to = *daemon.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let mut double = false;
                of.send_if_modified(|control| {
                    double = std::mem::take(&mut control.double);
                    false
                });
                join(near, far, &of, &noted, double.then_some(to));
            }
        });
        Self { address, control, seen }
    }

    /// How a worker calls it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Ends every connection.
    pub(super) fn cut(&self) {
        self.control.send_modify(|control| control.cuts += 1);
    }

    /// Nothing gets through, and nobody is told, until it is let go.
    pub(super) fn hold(&self, held: bool) {
        self.control.send_modify(|control| control.held = held);
    }

    /// Everything takes so much longer.
    pub(super) fn delay(&self, delay: Duration) {
        self.control.send_modify(|control| control.delay = delay);
    }

    /// The next connection is made twice.
    pub(super) fn double(&self) {
        self.control.send_modify(|control| control.double = true);
        self.cut();
    }
}

fn join(
    near: TcpStream,
    far: TcpStream,
    control: &watch::Sender<Control>,
    seen: &Arc<Seen>,
    ghost: Option<SocketAddr>,
) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    let said = Arc::new(Mutex::new(ghost.map(|_| Vec::new())));
    tokio::spawn(pump(from_near, to_far, control.subscribe(), seen.clone(), Some(said.clone())));
    tokio::spawn(pump(from_far, to_near, control.subscribe(), seen.clone(), None));
    if let Some(to) = ghost {
        let seen = seen.clone();
        tokio::spawn(async move {
            tokio::time::sleep(EARLY).await;
            let early = said.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            let Ok(mut ghost) = TcpStream::connect(to).await else { return };
            if !early.is_empty() && ghost.write_all(&early).await.is_ok() {
                seen.doubled.fetch_add(1, Ordering::Relaxed);
                let _ = tokio::time::timeout(GHOST, async {
                    let mut heard = [0; 4096];
                    while matches!(ghost.read(&mut heard).await, Ok(n) if n > 0) {}
                })
                .await;
            }
        });
    }
}

/// What was said early, while somebody wants to say it again.
type Said = Arc<Mutex<Option<Vec<u8>>>>;

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut control: watch::Receiver<Control>,
    seen: Arc<Seen>,
    said: Option<Said>,
) {
    let (mut piece, cuts) = (vec![0; 1 << 14], control.borrow().cuts);
    let mut changes = control.clone();
    let moved = async {
        while let Ok(n @ 1..) = from.read(&mut piece).await {
            if let Some(said) = &said
                && let Some(said) = &mut *said.lock().unwrap_or_else(PoisonError::into_inner)
            {
                said.extend_from_slice(&piece[..n]);
            }
            let Control { delay, held, .. } = *control.borrow();
            if held {
                seen.held.fetch_add(1, Ordering::Relaxed);
                let _ = control.wait_for(|control| !control.held).await;
            }
            if delay > Duration::ZERO {
                seen.delayed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(delay).await;
            }
            if to.write_all(&piece[..n]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = moved => {}
        _ = changes.wait_for(|control| control.cuts != cuts) => {
            seen.cut.fetch_add(1, Ordering::Relaxed);
        }
    }
}
