//! Memory that grows from input is bounded in bytes: the program reads hostile files with 2 GiB of address space, and each is used
//! or refused with a sentence; an allocation that fails would end it by a signal.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nearfield_tests::{Ran, arg, assets, finish, root};
use nearfield_vision::{Picture, encode_jpeg};

/// As `ulimit -v` has it.
const ADDRESS_SPACE_KIB: u64 = 2 << 20;
const LIMIT: Duration = Duration::from_secs(120);

/// Runs the program with little address space.
fn bounded(args: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" \"$@\"")]);
    command.arg(nearfield_tests::program()).args(args).env_remove("RUST_LOG");
    command.env("HF_HOME", root().join("target/test-hf-home")).env_remove("HF_HUB_CACHE");
    if std::env::var_os("NEARFIELD_DATA").is_none() {
        command.env("NEARFIELD_DATA", root().join(".data"));
    }
    finish(command, input, LIMIT)
}

/// Whether a run ended by itself, in order: with a status of its own, and without a word of memory or panic.
fn is_in_order(ran: &Ran) -> bool {
    let lost = ["memory allocation", "panicked", "bad_alloc", "stack overflow"];
    (0..=2).contains(&ran.code) && !lost.iter().any(|word| ran.stderr.contains(word))
}

/// Runs each sample and complains of all that did not end in order.
fn check(ran: impl Iterator<Item = (String, Ran)>) {
    let mut failed = Vec::new();
    for (name, ran) in ran {
        let last = ran.stderr.lines().last().unwrap_or_default().to_owned();
        println!("{name}: {} {last}", ran.code);
        if !is_in_order(&ran) {
            failed.push(format!("{name}: status {} {last}", ran.code));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// CRC-32 as PNG has it.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = crc >> 1 ^ (0xedb8_8320 * (crc & 1)));
        crc
    })
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let named = [&kind[..], body].concat();
    [&(body.len() as u32).to_be_bytes()[..], &named, &crc(&named).to_be_bytes()].concat()
}

/// A PNG that says it has these sides, with `more` chunks and a few zeros as its pixels.
fn png(width: u32, height: u32, bits: u8, colours: u8, more: &[u8]) -> Vec<u8> {
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, colours, 0, 0, 0]].concat();
    // zlib: one stored block of 1000 zeros that is not the last.
    let pixels = [&[0x78, 0x01, 0x00][..], &1000u16.to_le_bytes(), &(!1000u16).to_le_bytes(), &[0; 1000]].concat();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &head)[..], more, &chunk(b"IDAT", &pixels), &chunk(b"IEND", b"")].concat()
}

/// A JPEG of markers that says it has these sides, and ends without pixels.
fn jpeg(width: u16, height: u16, is_progressive: bool) -> Vec<u8> {
    let real = encode_jpeg(&Picture::from_rgb(16, 16, vec![9; 768], "made").unwrap(), 80).unwrap();
    let frame = real.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let mut bytes = real;
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    if is_progressive {
        bytes[frame + 1] = 0xc2;
    }
    bytes
}

fn riff(kind: &[u8; 4], chunks: &[(&[u8; 4], u32, &[u8])]) -> Vec<u8> {
    let mut body = kind.to_vec();
    for (name, length, bytes) in chunks {
        body.extend_from_slice(*name);
        body.extend_from_slice(&length.to_le_bytes());
        body.extend_from_slice(bytes);
    }
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

/// A WebP of these sides (less one), with a picture of nothing and a chunk of metadata that says it has `metadata` bytes.
fn webp(side: u32, flags: u8, more: &[u8; 4], metadata: u32) -> Vec<u8> {
    let sides = (side - 1).to_le_bytes();
    let canvas = [&[flags, 0, 0, 0][..], &sides[..3], &sides[..3]].concat();
    // VP8L: the mark, 14 bits of width less one, 14 of height, zeros.
    let bits = (side - 1) & 0x3fff | ((side - 1) & 0x3fff) << 14;
    let lossless = [&[0x2f][..], &bits.to_le_bytes(), &[0; 27]].concat();
    riff(b"WEBP", &[(b"VP8X", 10, &canvas), (b"VP8L", 32, &lossless), (more, metadata, &[0; 64])])
}

fn gif(side: u16, frames: usize) -> Vec<u8> {
    let sides = [side.to_le_bytes(), side.to_le_bytes()].concat();
    let mut bytes = [&b"GIF89a"[..], &sides, &[0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    for _ in 0..frames {
        bytes.extend_from_slice(&[0x2c, 0, 0, 0, 0]);
        bytes.extend_from_slice(&sides);
        bytes.extend_from_slice(&[0, 2, 2, 0x4c, 1, 0]);
    }
    [&bytes[..], &[0x3b]].concat()
}

fn bmp(width: i32, height: i32, bits: u16) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bytes.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    bytes.extend([1u16.to_le_bytes(), bits.to_le_bytes()].concat());
    bytes.extend([0; 24]);
    bytes.extend([7; 4096]);
    bytes
}

fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let mut pictures = vec![
        ("endless sides.png", png(u32::MAX >> 1, u32::MAX >> 1, 8, 2, b"")),
        ("50 million of 64 bits.png", png(7000, 7000, 16, 6, b"")),
        ("50 million, interlaced or not.png", png(7000, 7000, 8, 6, b"")),
        ("a profile of a gigabyte.png", png(4, 4, 8, 2, &[&[0x40, 0, 0, 0][..], b"iCCPx\0\0"].concat())),
        ("a wide one.png", png(5_000_000, 1, 8, 2, b"")),
        ("all it can say.jpg", jpeg(65_535, 65_535, false)),
        ("50 million, progressive.jpg", jpeg(65_000, 768, true)),
        ("50 million.jpg", jpeg(768, 65_000, false)),
        ("a large canvas.webp", webp(16_384, 0, b"XMP ", 64)),
        ("metadata of four gigabytes.webp", webp(64, 0x08, b"EXIF", 0xffff_fff0)),
        ("an animation of four gigabytes.webp", webp(7000, 0x02, b"ANMF", 0xffff_fff0)),
        ("all it can say.gif", gif(65_535, 2)),
        ("a thousand frames.gif", gif(7000, 1000)),
        ("all it can say.bmp", bmp(i32::MAX, i32::MAX, 24)),
        ("upside down.bmp", bmp(7000, -7000, 32)),
        ("a palette.bmp", bmp(50_000_000, 1, 8)),
        ("wide.ppm", b"P6 4000000000 4000000000 255\n".to_vec()),
        ("sixteen bits.ppm", [&b"P6 7000 7000 65535\n"[..], &[0; 5000]].concat()),
        ("text.ppm", [&b"P3 7000 7000 255\n"[..], &b"1 ".repeat(10_000)].concat()),
        ("a map.pam", b"P7\nWIDTH 7000\nHEIGHT 7000\nDEPTH 4\nMAXVAL 65535\nTUPLTYPE RGB_ALPHA\nENDHDR\n".to_vec()),
        ("bits.pbm", [&b"P4 1 5000000\n"[..], &vec![0; 5_000_000]].concat()),
        ("a column.pgm", [&b"P5 1 5000000 255\n"[..], &vec![9; 5_000_000]].concat()),
    ];
    for (name, w, h) in [("as tall as can be.jpg", 1u32, 65_535u32), ("as wide as can be.jpg", 65_535, 1)] {
        let picture = Picture::from_rgb(w, h, vec![99; (w * h * 3) as usize], "made").unwrap();
        pictures.push((name, encode_jpeg(&picture, 80).unwrap()));
    }
    pictures
}

#[test]
fn a_picture_of_any_kind_is_read_or_refused_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = folder.path().join("snapshots");
    check(pictures().into_iter().map(|(name, bytes)| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        (name.to_owned(), bounded(&["caption", "--input", arg(&path), "--snapshots", arg(&snapshots)], &[]))
    }));
    let tall = root().join("tests/data/faults/tall.png");
    bounded(&["caption", "--input", arg(&tall)], &[]).assert_fails(1, &["tall.png has 1 x 5000000 pixels", "65535"]);
    let drawn = fs::read_dir(&snapshots).unwrap().count();
    assert!(drawn >= 2, "the two that are pictures were also drawn: {drawn}");
    let endless = bounded(&["caption", "--input", "/dev/zero"], &[]);
    endless.assert_fails(1, &["/dev/zero", "the only picture could not be used"]);
}

#[test]
fn large_pictures_that_wait_for_each_other_share_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (w, h) = (7000u32, 7000);
    let rgb = (0..w * h).flat_map(|i| [(i / w / 28) as u8, (i % w / 28) as u8, 99]).collect();
    let bytes = encode_jpeg(&Picture::from_rgb(w, h, rgb, "made").unwrap(), 30).unwrap();
    (0..8).for_each(|i| fs::write(folder.path().join(format!("{i}.jpg")), &bytes).unwrap());
    let ran = bounded(&["caption", "--input", arg(folder.path()), "--json"], &[]);
    assert!(is_in_order(&ran), "{ran:#?}");
    assert_eq!(ran.json().last().unwrap()["summary"]["pictures"], 8, "{ran:#?}");
}

#[test]
fn streams_of_pictures_without_end_are_read_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    // A picture that never ends, and one that only begins, over and over.
    let endless = [&jpeg(640, 480, false)[..200], &vec![0x55; 100 << 20]].concat();
    let begun = [0xff, 0xd8, 0xff, 0xe0, 0xff, 0xff].repeat(200_000);
    let script = folder.path().join("ffmpeg");
    fs::write(
        &script,
        "#!/bin/sh\nfor i in 1 2 3; do printf 'P6 10000 5000 255\\n'; head -c 150000000 /dev/zero; done\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let video = folder.path().join("x.mp4");
    fs::write(&video, "x").unwrap();
    let ffmpeg = format!("source.ffmpeg={}", arg(&script));
    let lying = folder.path().join("lying");
    fs::write(&lying, "#!/bin/sh\nprintf 'P6 4000000000 4000000000 255\\n'; sleep 1\n").unwrap();
    fs::set_permissions(&lying, fs::Permissions::from_mode(0o755)).unwrap();
    let lying = format!("source.ffmpeg={}", arg(&lying));
    let stdin = ["caption", "--input", "-"];
    let runs: [(&str, Vec<&str>, &[u8]); 4] = [
        ("a JPEG without an end", stdin.to_vec(), &endless),
        ("a million beginnings", stdin.to_vec(), &begun),
        ("frames of 50 million pixels", vec!["caption", "--input", arg(&video), "--set", &ffmpeg], &[]),
        ("frames of all pixels", vec!["caption", "--input", arg(&video), "--set", &lying], &[]),
    ];
    check(runs.into_iter().map(|(name, args, input)| (name.to_owned(), bounded(&args, input))));
}

#[test]
fn many_broken_pictures_are_counted_not_repeated() {
    let broken = jpeg(16, 16, false);
    let end = broken.len() - 2;
    // Without its tables it comes to its end, and is no picture.
    let frame = broken.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let bare = [&[0xff, 0xd8][..], &broken[frame..frame + 19], &broken[end..]].concat();
    let ran = bounded(&["caption", "--input", "-", "--set", "vision.model=none"], &bare.repeat(10_000));
    ran.assert_fails(1, &["none of the 10000 pictures could be used"]);
    assert!(ran.stderr.len() < 20_000, "{} bytes: {}", ran.stderr.len(), &ran.stderr[..2000]);
    assert!(ran.stderr.contains("more times"), "{}", ran.stderr);
}

/// A file that says it is this long, and has no more than its beginning on the disk.
fn sparse(folder: &Path, name: &str, head: &[u8], length: u64) -> PathBuf {
    let path = folder.join(name);
    let mut file = File::create(&path).unwrap();
    file.write_all(head).unwrap();
    file.set_len(length).unwrap();
    path
}

fn wav(rate: u32, channels: u16, tag: u16, bits: u16, format_bytes: u32, data: u32) -> Vec<u8> {
    let align = channels.wrapping_mul(bits / 8);
    let mut format = [tag.to_le_bytes(), channels.to_le_bytes()].concat();
    format.extend([rate.to_le_bytes(), rate.wrapping_mul(u32::from(align)).to_le_bytes()].concat());
    format.extend([align.to_le_bytes(), bits.to_le_bytes()].concat());
    riff(b"WAVE", &[(b"fmt ", format_bytes, &format), (b"data", data, &[0; 64])])
}

#[test]
fn a_sound_of_any_kind_is_read_or_refused_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let flac = |rate: u32, channels: u64| {
        // Blocks of 65535, then 20 bits of rate, 3 of channels less one, 5 of bits less one, 36 of samples.
        let packed = (u64::from(rate) & 0xf_ffff) << 44 | (channels - 1) << 41 | 15 << 36 | 0xf_ffff_ffff;
        let info = [&[0xff; 4][..], &[0; 6], &packed.to_be_bytes(), &[0; 16]].concat();
        [&b"fLaC\0\0\0\x22"[..], &info, &[0x84, 0xff, 0xff, 0xff], &[0xff; 64]].concat()
    };
    let samples: Vec<(&str, Vec<u8>)> = vec![
        ("one sample a second.wav", wav(1, 1, 1, 16, 16, 64)),
        ("four gigahertz.wav", wav(4_000_000_000, 1, 1, 16, 16, 64)),
        ("an odd rate.wav", wav(191_999, 64, 3, 64, 16, 512)),
        ("sixty thousand channels.wav", wav(16_000, 60_000, 1, 16, 16, 64)),
        ("a format of four gigabytes.wav", wav(16_000, 1, 1, 16, 0xffff_fff0, 64)),
        ("data of four gigabytes.wav", wav(16_000, 1, 1, 16, 16, 0xffff_fff0)),
        ("no rate.flac", flac(0, 8)),
        ("a megahertz.flac", flac(0xf_ffff, 8)),
        ("comments of 16 megabytes.flac", flac(16_000, 8)),
        (
            "a tag of 256 megabytes.mp3",
            [&b"ID3\x04\0\0\x7f\x7f\x7f\x7fAPIC\x7f\x7f\x7f\x7f\0\0"[..], &[0; 64]].concat(),
        ),
        ("chunks of four gigabytes.aiff", [&b"FORM\xff\xff\xff\xf0AIFFCOMM\xff\xff\xff\xf0"[..], &[0xff; 64]].concat()),
        (
            "a page without an end.ogg",
            [&b"OggS\0\x02"[..], &[0; 20], &[255], &[255; 255], b"\x01vorbis", &[255; 4000]].concat(),
        ),
    ];
    let mut files: Vec<(String, PathBuf)> = samples
        .into_iter()
        .map(|(name, bytes)| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            (name.to_owned(), path)
        })
        .collect();
    // Eight hours of telephone: a byte of the file is eight in memory.
    let long = wav(8_000, 1, 7, 8, 16, 230_400_000);
    let long = sparse(folder.path(), "eight hours.wav", &long, 230_400_044);
    files.push(("chunks before the data.wav".to_owned(), {
        let junk = [b"RIFF\xff\xff\xff\xffWAVE", &b"junk\xff\xff\xff\xff"[..]].concat();
        sparse(folder.path(), "junk.wav", &junk, 4 << 30)
    }));
    check(files.into_iter().map(|(name, path)| (name, bounded(&["transcribe", arg(&path)], &[]))));
    bounded(&["transcribe", arg(&long)], &[]).assert_fails(1, &["eight hours.wav is longer than 120 minutes"]);
}

#[test]
fn other_files_of_any_length_are_read_or_refused_in_bounded_memory() {
    const GIGABYTES: u64 = 3 << 30;
    let folder = tempfile::tempdir().unwrap();
    let zeros = |name: &str, head: &[u8]| sparse(folder.path(), name, head, GIGABYTES);
    let text = zeros("config.toml", b"[llm]\nmodel = \"");
    let home = zeros("home.json", b"{\"a\": \"");
    let session = zeros("session.bin", b"NFSES");
    let csv = zeros("readings.csv", b"time,a\n2026-01-01T00:00:00Z,1\n");
    let labels = zeros("labels.txt", b"cat\n");
    let schema = format!("output.schema={}", arg(&zeros("schema.json", b"{\"a\": \"")));
    let manifest = format!("vision.manifest={}", arg(&zeros("manifest.toml", b"[input]\n")));
    let nominal = format!("nominal.picture={}", arg(&zeros("nominal.png", b"\x89PNG")));
    let onnx = format!("vision.model={}", arg(&zeros("model.onnx", &[8, 8, 0x12])));
    let plain = folder.path().join("x.jpg");
    fs::write(&plain, jpeg(16, 16, false)).unwrap();
    let endless = folder.path().join("endless.toml");
    fs::write(&endless, "[input]\nwidth = 8\nheight = 8\n[classifier]\nlabels = \"/dev/zero\"\n").unwrap();
    let endless = format!("vision.manifest={}", arg(&endless));
    let see = format!("vision.model={}", arg(&assets().join("models/see-nano.onnx")));
    let caption = ["caption", "--input", arg(&plain), "--set"];
    let with = |set: &'_ str| caption.iter().map(|a| (*a).to_owned()).chain([set.to_owned()]).collect::<Vec<_>>();
    let own = |args: &[&str]| args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
    let mut runs = vec![
        ("a configuration", own(&["caption", "--config", arg(&text), "--input", "x"])),
        ("a home", own(&["chat", "--home", arg(&home), "Hello."])),
        ("a session", own(&["chat", "--session", arg(&session), "Hello."])),
        ("readings", own(&["report", "--input", arg(&csv), "--json"])),
        ("a schema", with(&schema)),
        ("a manifest", with(&manifest)),
        ("a nominal picture", with(&nominal)),
        ("an ONNX model", with(&onnx)),
        ("labels without an end", [with(&see), own(&["--set", &endless])].concat()),
    ];
    let set = format!("vision.manifest={}", arg(&labels));
    runs.push(("labels as a manifest", with(&set)));
    for (name, path) in models(folder.path()) {
        runs.push((name, own(&["chat", "--set", &format!("llm.model={}", arg(&path)), "Hello."])));
        runs.push((name, own(&["transcribe", "--set", &format!("stt.model={}", arg(&path)), "/dev/null"])));
    }
    check(runs.into_iter().map(|(name, args)| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        (name.to_owned(), bounded(&args, &[]))
    }));
}

/// Language and speech models that say they hold more than they do, or hold more than there is room for.
fn models(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let head =
        |tensors: u64, entries: u64| [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &entries.to_le_bytes()].concat();
    let array = |name: &str, kind: u32, length: u64| {
        let key = [&(name.len() as u64).to_le_bytes()[..], name.as_bytes(), &9u32.to_le_bytes()].concat();
        [&key[..], &kind.to_le_bytes(), &length.to_le_bytes()].concat()
    };
    let mut found = vec![];
    let mut add = |name: &'static str, bytes: &[u8]| {
        let path = folder.join(name.replace(' ', "-"));
        fs::write(&path, bytes).unwrap();
        found.push((name, path));
    };
    add("tensors without end", &head(u64::MAX, 1));
    add("entries without end", &head(1, u64::MAX));
    add("an array without end", &[head(1, 1), array("a", 4, u64::MAX)].concat());
    add("texts without end", &[head(1, 1), array("a", 8, 1 << 22), vec![0xff; 64]].concat());
    let ggml: Vec<u8> = [0x6767_6d6cu32, 51_864, 1500, 2048, 64, 64, 448, 2048, 64, 64, 128, 0, 128, 201]
        .iter()
        .flat_map(|n| n.to_le_bytes())
        .collect();
    add("a ggml model of the largest numbers", &ggml);
    // Two hundred arrays of four million bytes each, eight times as large in memory; and as many empty texts.
    for (name, kind, bytes) in [("numbers of a byte", 0u32, 1u64), ("empty texts", 8, 8)] {
        let path = folder.join(name.replace(' ', "-"));
        let mut file = File::create(&path).unwrap();
        file.write_all(&head(0, 200)).unwrap();
        for i in 0..200 {
            file.write_all(&array(&format!("a{i}"), kind, 1 << 22)).unwrap();
            file.seek(SeekFrom::Current((bytes << 22) as i64)).unwrap();
        }
        let length = file.stream_position().unwrap();
        file.set_len(length).unwrap();
        found.push((name, path));
    }
    found
}

/// A field of a protocol buffer: a number, or bytes.
fn number(field: u8, value: u64) -> Vec<u8> {
    let (mut out, mut value) = (vec![field << 3], value);
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    out.extend_from_slice(&number(0, value.len() as u64)[1..]);
    [out, value.to_vec()].concat()
}

/// An ONNX model that takes a picture and answers `elements` zeros, in a file of some hundred bytes.
fn onnx_of(elements: u64, at_run: bool) -> Vec<u8> {
    let tensor = |name: &str, sides: &[u64]| {
        let sides: Vec<u8> = sides.iter().flat_map(|n| bytes(1, &number(1, *n))).collect();
        let shape = [number(1, 1), bytes(2, &sides)].concat();
        [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &shape))].concat()
    };
    let node = |inputs: &[&str], output: &str, kind: &str| {
        let inputs: Vec<u8> = inputs.iter().flat_map(|i| bytes(1, i.as_bytes())).collect();
        [inputs, bytes(2, output.as_bytes()), bytes(4, kind.as_bytes())].concat()
    };
    let shape = [
        number(1, 2),
        number(2, 7),
        bytes(7, &[number(0, 1), number(0, elements)].iter().flat_map(|n| n[1..].to_vec()).collect::<Vec<_>>()),
        bytes(8, b"shape"),
    ]
    .concat();
    // The picture's brightest value, stretched to what the initializer says; or zeros that can be made while it is loaded.
    let (first, second) = match at_run {
        true => (node(&["picture"], "one", "ReduceMax"), node(&["one", "shape"], "out", "Expand")),
        false => (node(&["shape"], "one", "ConstantOfShape"), node(&["one"], "out", "Identity")),
    };
    let mut graph = [bytes(1, &first), bytes(1, &second), bytes(2, b"g"), bytes(5, &shape)].concat();
    let sides: &[u64] = if at_run { &[1, 1, 1, elements] } else { &[1, elements] };
    graph.extend([bytes(11, &tensor("picture", &[1, 3, 8, 8])), bytes(12, &tensor("out", sides))].concat());
    [number(1, 8), bytes(7, &graph), bytes(8, &number(2, 13))].concat()
}

#[test]
fn a_small_onnx_model_that_asks_for_gigabytes_is_refused_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("x.jpg");
    fs::write(&plain, encode_jpeg(&Picture::from_rgb(16, 16, vec![9; 768], "made").unwrap(), 80).unwrap()).unwrap();
    fs::write(folder.path().join("labels.txt"), "cat\ndog\n").unwrap();
    let mut runs = Vec::new();
    for (name, elements, at_run) in [
        ("100 million floats at load", 100_000_000u64, false),
        ("100 million floats", 100_000_000, true),
        ("two thousand million floats", 2_000_000_000, true),
        ("more floats than can be", 1 << 60, true),
    ] {
        let path = folder.path().join(format!("{elements}-{at_run}.onnx"));
        fs::write(&path, onnx_of(elements, at_run)).unwrap();
        let manifest = "[input]\nname = \"picture\"\nwidth = 8\nheight = 8\n[classifier]\nlabels = \"labels.txt\"\n";
        fs::write(path.with_extension("toml"), manifest).unwrap();
        let set = format!("vision.model={}", arg(&path));
        runs.push((name, bounded(&["caption", "--input", arg(&plain), "--set", &set], &[])));
    }
    for (name, ran) in &runs {
        println!("{name}: {} {}", ran.code, ran.stderr.trim());
        assert!(is_in_order(ran) || ran.stderr.contains("bad_alloc") && ran.code == 1, "{name}: {ran:#?}");
        assert_eq!(ran.code, 1, "{name} is refused: {ran:#?}");
    }
    assert!(runs[1].1.stderr.contains("its outputs have more than"), "{:#?}", runs[1].1);
}
