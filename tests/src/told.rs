//! Those whom a farm tells what happens: a receiver of webhooks, and a mail server that takes nothing but what RFC 5321 allows.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What somebody got so far.
type Got<T> = Arc<Mutex<Vec<T>>>;

/// Takes webhooks. It ends when this is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: String,
    got: Got<(HeaderMap, Bytes)>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Answers(Got<(HeaderMap, Bytes)>, Arc<Mutex<VecDeque<u16>>>);

impl Receiver {
    /// Starts one that first answers with these statuses and then with 204.
    pub async fn start(statuses: &[u16]) -> Self {
        let got = Got::default();
        let answers = Answers(got.clone(), Arc::new(Mutex::new(statuses.iter().copied().collect())));
        let router = axum::Router::new().route("/hook", axum::routing::post(take)).with_state(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Self { address, got, server }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Everything it got, refused or not.
    #[must_use]
    pub fn got(&self) -> Vec<(HeaderMap, Bytes)> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(Answers(got, statuses)): State<Answers>, headers: HeaderMap, body: Bytes) -> StatusCode {
    got.lock().unwrap_or_else(PoisonError::into_inner).push((headers, body));
    let status = statuses.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::NO_CONTENT)
}

/// A mail server. It ends when this is dropped.
#[derive(Debug)]
pub struct Postbox {
    address: String,
    got: Got<String>,
    server: JoinHandle<()>,
}

impl Postbox {
    /// Starts one on a port of its own.
    pub async fn start() -> Self {
        let got = Got::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("smtp://{}", listener.local_addr().unwrap());
        let kept = got.clone();
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(converse(socket, kept.clone()));
            }
        });
        Self { address, got, server }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Every message: the envelope's lines, then the message's.
    #[must_use]
    pub fn got(&self) -> Vec<String> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Postbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One client, command by command: hello, sender, recipients, message, each in its turn.
async fn converse(socket: TcpStream, got: Got<String>) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    socket.write_all(b"220 postbox\r\n").await?;
    let (mut greeted, mut envelope) = (false, Vec::<String>::new());
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let Some(command) = line.strip_suffix("\r\n") else {
            socket.write_all(b"500 a line ends with CR LF\r\n").await?;
            continue;
        };
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match (verb.as_str(), envelope.len()) {
            ("EHLO", _) => {
                greeted = true;
                envelope.clear();
                "250-postbox\r\n250 8BITMIME"
            }
            ("MAIL", 0) if greeted && command.to_ascii_uppercase().starts_with("MAIL FROM:<") => {
                envelope.push(command.to_owned());
                "250 ok"
            }
            ("RCPT", 1..) if command.to_ascii_uppercase().starts_with("RCPT TO:<") => {
                envelope.push(command.to_owned());
                "250 ok"
            }
            ("DATA", 2..) => {
                socket.write_all(b"354 go on\r\n").await?;
                let message = message(&mut socket).await?;
                let whole = format!("{}\n{message}", envelope.join("\n"));
                got.lock().unwrap_or_else(PoisonError::into_inner).push(whole);
                envelope.clear();
                "250 kept"
            }
            ("RSET", _) => {
                envelope.clear();
                "250 ok"
            }
            ("NOOP", _) => "250 ok",
            ("QUIT", _) => {
                socket.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "503 not in this turn",
        };
        socket.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// Lines up to the one with a single dot.
async fn message(socket: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut message = String::new();
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
