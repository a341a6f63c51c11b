//! The reader of graphs: what it finds, the parts it cuts out, and damaged files.

use nearfield_onnx::graph::{GraphError, OnnxGraph};
use nearfield_onnx::{OnnxInput, OnnxModel, OnnxOptions};
use std::io::Write as _;
use std::path::Path;

fn vits() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../speech/tests/data/tiny-vits-two-speakers.onnx"))
        .unwrap()
}

#[test]
fn nodes_are_found_with_their_tensors_and_attributes() {
    let bytes = vits();
    let graph = OnnxGraph::parse(&bytes).unwrap();
    let up = graph.nodes().iter().find(|node| node.operator == "ConvTranspose").unwrap();
    assert_eq!((up.inputs.as_slice(), up.outputs.as_slice()), (&["bent", "up"][..], &["upsampled"][..]));
    assert_eq!((up.integers("strides"), up.integers("pads"), up.integers("none")), (vec![4], vec![2, 2], vec![]));
    assert_eq!(graph.maker("latent").unwrap().operator, "Conv");
    assert!(graph.maker("up").is_none() && graph.is_weight("up") && !graph.is_weight("latent"));
}

#[test]
fn parts_cut_out_compute_what_the_whole_computes() {
    if let Err(e) = nearfield_onnx::init() {
        writeln!(std::io::stderr(), "skipped: {e}").unwrap();
        return;
    }
    let bytes = vits();
    let graph = OnnxGraph::parse(&bytes).unwrap();
    let (head, of_head) = graph.part(&[], "latent").unwrap();
    let (tail, of_tail) = graph.part(&["latent"], "output").unwrap();
    assert_eq!((of_head, of_tail), (vec!["input", "input_lengths", "scales"], vec!["sid"]));
    assert_eq!(graph.part(&[], "latent").unwrap().0, head, "the same part twice");
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        OnnxModel::open(&path, &OnnxOptions::default()).unwrap()
    };
    let (mut whole, mut head, mut tail) = (open("whole", &bytes), open("head", &head), open("tail", &tail));
    let ids = [1, 0, 20, 0, 14, 2];
    let inputs = [
        ("input", OnnxInput::I64(&[1, 6], &ids)),
        ("input_lengths", OnnxInput::I64(&[1], &[6])),
        ("scales", OnnxInput::F32(&[3], &[0.0, 1.0, 0.0])),
    ];
    let speaker = ("sid", OnnxInput::I64(&[1], &[1]));
    let expected = whole.run(&[&inputs[..], &[speaker]].concat()).unwrap();
    let latent = head.run(&inputs).unwrap();
    let found = tail.run(&[("latent", OnnxInput::F32(&latent[0].shape, &latent[0].data)), speaker]).unwrap();
    assert_eq!(expected[0].data.len(), 24);
    assert_eq!(found[0].data, expected[0].data);
}

#[test]
fn what_cannot_be_cut_out_is_an_error_that_names_it() {
    let bytes = vits();
    let graph = OnnxGraph::parse(&bytes).unwrap();
    let error = graph.part(&[], "nowhere").unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let bytes = vits();
    for n in 0..bytes.len() {
        if let Ok(graph) = OnnxGraph::parse(&bytes[..n]) {
            let _ = graph.part(&["latent"], "output");
        }
        for value in [0, 0x7f, 0xff, bytes[n] ^ 1] {
            let mut damaged = bytes.clone();
            damaged[n] = value;
            if let Ok(graph) = OnnxGraph::parse(&damaged) {
                let _ = graph.part(&["latent"], "output");
                graph.nodes().iter().for_each(|node| drop(node.integers("pads")));
            }
        }
    }
    for (bytes, word) in
        [(&b""[..], "no graph"), (b"GGUF", "unknown kind"), (&[0x3a, 0xff, 0xff, 0xff, 0x7f], "longer than the file")]
    {
        match OnnxGraph::parse(bytes) {
            Err(GraphError::Damaged { reason, .. }) => assert!(reason.contains(word), "{reason}"),
            other => panic!("{:?} was read as {:?}", bytes, other.map(|_| ())),
        }
    }
}
