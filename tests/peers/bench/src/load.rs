//! `nearfield run` beside llama-server under load: clients that send one streamed chat after the other, of about 300 tokens in and 100
//! out, over HTTP. Both servers stay loaded and take turns with the same requests, so that what disturbs a busy machine disturbs them
//! alike; while one works the other is idle. With a shared prefix, the chats differ in their last words only, and both servers are
//! given them once before. A voice beside the clients is a question to `/v1/ask`, whose answer has the first word.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Error, median, processor, text};

/// Tokens of an answer.
const TOKENS: usize = 100;
/// Words of a prompt, which are about 300 tokens.
const WORDS: usize = 215;
/// Chats of each client in a run.
const CHATS: usize = 2;
/// How long a server may take to load.
const START: Duration = Duration::from_secs(120);

struct Server {
    name: &'static str,
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one chat took.
struct Chat {
    first: f64,
    gaps: Vec<f64>,
    tokens: usize,
}

/// What a run of some clients came to.
#[derive(Default)]
struct Run {
    tokens_per_second: f64,
    firsts: Vec<f64>,
    gaps: Vec<f64>,
    tokens: usize,
    chats: usize,
}

impl Server {
    fn start(name: &'static str, program: &Path, file: &Path, clients: usize) -> Result<Server, Error> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(program);
        let slots = clients.to_string();
        if name == "nearfield" {
            command.args(["run", "--listen", &format!("127.0.0.1:{port}")]);
            for set in [
                format!("llm.model={}", text(file)),
                format!("server.sessions={slots}"),
                "llm.threads=2".to_owned(),
                "llm.context_tokens=1024".to_owned(),
            ] {
                command.args(["--set", &set]);
            }
        } else {
            let context = (1024 * clients).to_string();
            command.args(["-m", text(file), "--port", &port.to_string(), "-t", "2", "-tb", "2", "-np", &slots]);
            command.args(["-c", &context, "--cont-batching", "--cache-prompt", "-fa", "on", "--no-webui"]);
            command.args(["--reasoning-budget", "0"]);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut server = Server { name, child, port };
        let begun = Instant::now();
        let path = if name == "nearfield" { "/healthz" } else { "/health" };
        loop {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{name} ended with {status} while it loaded {}", file.display()).into());
            }
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            if server.exchange(&request).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return Ok(server);
            }
            if begun.elapsed() > START {
                return Err(format!("{name} was not ready within {} s", START.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn exchange(&self, request: &str) -> Result<String, Error> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn post(&self, path: &str, body: &Value) -> String {
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// A streamed chat.
    fn chat(&self, system: &str, question: &str) -> Result<Chat, Error> {
        let body = json!({
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": question}],
            "max_tokens": TOKENS, "temperature": 0, "stream": true, "stream_options": {"include_usage": true},
        });
        let begun = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(self.post("/v1/chat/completions", &body).as_bytes())?;
        let (mut times, mut tokens) = (Vec::new(), 0);
        for line in BufReader::new(stream).lines() {
            let line = line?;
            let Some(event) = line.strip_prefix("data: ").filter(|event| *event != "[DONE]") else { continue };
            let event: Value =
                serde_json::from_str(event).map_err(|error| format!("{}: {error}: {line}", self.name))?;
            if event["choices"][0]["delta"]["content"].as_str().is_some_and(|said| !said.is_empty()) {
                times.push(begun.elapsed().as_secs_f64());
            }
            tokens = event["usage"]["completion_tokens"].as_u64().map_or(tokens, |n| n as usize);
        }
        let first = *times.first().ok_or_else(|| format!("{} answered a chat with nothing", self.name))?;
        Ok(Chat { first, gaps: times.windows(2).map(|pair| pair[1] - pair[0]).collect(), tokens })
    }

    /// Some clients, each with one chat after the other.
    fn load(&self, clients: usize, prompts: &(dyn Fn(usize) -> (String, String) + Sync)) -> Result<Run, Error> {
        let begun = Instant::now();
        let chats: Vec<Result<Vec<Chat>, String>> = std::thread::scope(|scope| {
            let client = |client: usize| {
                scope.spawn(move || {
                    let chat = |n: usize| {
                        let (system, question) = prompts(client * CHATS + n);
                        self.chat(&system, &question).map_err(|error| error.to_string())
                    };
                    (0..CHATS).map(chat).collect()
                })
            };
            let threads: Vec<_> = (0..clients).map(client).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err("a client panicked".into())))
                .collect()
        });
        let seconds = begun.elapsed().as_secs_f64();
        let mut run = Run::default();
        for chat in chats.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            run.firsts.push(chat.first);
            run.gaps.extend(chat.gaps);
            run.tokens += chat.tokens;
            run.chats += 1;
        }
        run.tokens_per_second = run.tokens as f64 / seconds;
        Ok(run)
    }

    /// The seconds that a question to the home takes.
    fn ask(&self, n: usize) -> Result<f64, Error> {
        let begun = Instant::now();
        let body = json!({"text": "What can you do for me?", "conversation_id": format!("c{n}")});
        let answer = self.exchange(&self.post("/v1/ask", &body))?;
        match answer.starts_with("HTTP/1.1 200") {
            true => Ok(begun.elapsed().as_secs_f64()),
            false => Err(format!("/v1/ask: {answer}").into()),
        }
    }
}

/// Words in an order that hangs on the seed.
fn words(mut seed: u64, count: usize) -> String {
    const WORDS_OF: [&str; 24] = [
        "river", "table", "winter", "garden", "seven", "engine", "quiet", "market", "paper", "yellow", "under",
        "music", "stone", "travel", "window", "coffee", "letter", "metal", "silver", "forest", "bridge", "number",
        "summer", "house",
    ];
    let word = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        WORDS_OF[(seed >> 33) as usize % WORDS_OF.len()]
    };
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
        .get(((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Measures both servers on a file and prints what each reaches.
pub fn compare(programs: [&Path; 2], file: &Path, clients: &[usize], runs: usize, as_json: bool) -> Result<(), Error> {
    let mut all = Vec::new();
    println!("{}, 2 threads; {}; medians of {runs} runs in turn (smallest and largest)", processor(), file.display());
    println!("clients prefix   server       tokens/s               first p50  first p95  gap p95  tokens a chat");
    let story = "Write a long story about these words. Do not stop early.";
    for clients in clients.iter().copied() {
        let servers = [
            Server::start("nearfield", programs[0], file, clients)?,
            Server::start("llama-server", programs[1], file, clients)?,
        ];
        for is_shared in [false, true] {
            let mut of_servers: [Vec<Run>; 2] = Default::default();
            for run in 0..=runs {
                for (server, measured) in servers.iter().zip(&mut of_servers) {
                    let prompts = |n: usize| match is_shared {
                        true => (words(1, WORDS), format!("{} {story}", words((run * 1000 + n + 7) as u64, 5))),
                        false => (
                            "You write stories.".to_owned(),
                            format!("{} {story}", words((run * 1000 + n + 5000 * clients) as u64, WORDS)),
                        ),
                    };
                    if run > 0 {
                        measured.push(server.load(clients, &prompts)?);
                    } else if is_shared {
                        server.load(1, &prompts)?;
                    }
                }
            }
            for (server, measured) in servers.iter().zip(&of_servers) {
                let of = |value: &dyn Fn(&Run) -> f64| measured.iter().map(value).collect::<Vec<_>>();
                let speed = of(&|run| run.tokens_per_second);
                let (p50, p95) = (
                    median(&of(&|run| percentile(&run.firsts, 0.5))),
                    median(&of(&|run| percentile(&run.firsts, 0.95))),
                );
                let gap = median(&of(&|run| percentile(&run.gaps, 0.95)));
                let each = median(&of(&|run| run.tokens as f64 / run.chats as f64));
                let prefix = if is_shared { "shared" } else { "distinct" };
                println!(
                    "{clients:7} {prefix:8} {:12} {:6.1} ({:5.1} to {:5.1}) {:8.0} ms {:7.0} ms {:5.0} ms {each:6.0}",
                    server.name,
                    median(&speed),
                    percentile(&speed, 0.0),
                    percentile(&speed, 1.0),
                    1e3 * p50,
                    1e3 * p95,
                    1e3 * gap
                );
                all.push(
                    json!({"clients": clients, "prefix": prefix, "server": server.name, "tokens_per_second": speed,
                    "first_p50": p50, "first_p95": p95, "gap_p95": gap, "tokens_a_chat": each}),
                );
            }
        }
        if clients == 4 {
            all.push(beside(&servers[0], clients)?);
        }
    }
    if as_json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    }
    Ok(())
}

/// A question to the home alone, and beside clients.
fn beside(server: &Server, clients: usize) -> Result<Value, Error> {
    server.ask(0)?;
    let alone = (1..6).map(|n| server.ask(n)).collect::<Result<Vec<_>, _>>()?;
    let under_load = std::thread::scope(|scope| {
        let prompts = |n: usize| ("You write stories.".to_owned(), words(n as u64 + 900_000, WORDS));
        let load = scope.spawn(move || server.load(clients, &prompts).map_err(|error| error.to_string()));
        let mut asked = Vec::new();
        while !load.is_finished() {
            std::thread::sleep(Duration::from_millis(300));
            asked.push(server.ask(10 + asked.len())?);
        }
        Ok::<_, Error>(asked)
    })?;
    let (alone, beside) = (median(&alone), median(&under_load));
    println!(
        "        a question to the home: {:.0} ms alone, {:.0} ms beside {clients} clients",
        1e3 * alone,
        1e3 * beside
    );
    Ok(json!({"question_alone": alone, "question_beside": beside}))
}
