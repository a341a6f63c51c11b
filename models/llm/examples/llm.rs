//! How fast a GGUF file is read and written here: `cargo run --release -p nearfield-llm --example llm -- FILE [THREADS]
//! [PROMPT] [GENERATE] [REPEATS]`. With a vocabulary in the file and a text after these, it is continued.

use std::path::PathBuf;
use std::time::Instant;

use nearfield_llm::{
    GenerateOptions, Llm, LlmError, LlmOptions, MeasureOptions, Sampler, SamplerOptions, Session, SessionOptions,
    generate, measure, read_bandwidth,
};
use std::ops::ControlFlow;

fn main() -> Result<(), LlmError> {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: llm FILE [THREADS] [PROMPT] [GENERATE] [REPEATS] [TEXT]");
        return Ok(());
    };
    let mut number = |default: usize| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (threads, prompt, generated, repeats) = (number(0), number(128), number(64), number(5));
    let start = Instant::now();
    let llm = Llm::open(&path, &LlmOptions { threads })?;
    println!("opened in {:?}: {:?}, {} threads", start.elapsed(), llm.info(), llm.threads());
    let session = SessionOptions { context_tokens: prompt + generated, ..SessionOptions::default() };
    let options = MeasureOptions { prompt, generate: generated, repeats, session };
    let measured = measure(&llm, &options, &|| start.elapsed(), &mut |_| {})?;
    println!("{measured:#?}");
    println!(
        "the memory reads {:.1} GB/s with these threads",
        read_bandwidth(llm.threads(), 256 << 20, &|| start.elapsed()).unwrap_or_default()
    );
    if let Some(text) = arguments.next() {
        let mut session = Session::new(llm.clone(), &SessionOptions::default())?;
        session.prompt(&llm.tokenizer()?.encode_prompt(&text), &mut || ControlFlow::Continue(()))?;
        let mut sampler = Sampler::new(&SamplerOptions::default());
        let written =
            generate(&mut session, &mut sampler, &GenerateOptions::default(), &mut |_| ControlFlow::Continue(()))?;
        println!("{text}{} ({:?})", written.text, written.finish);
    }
    Ok(())
}
