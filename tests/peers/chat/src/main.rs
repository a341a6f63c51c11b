fn main() {
    let _ = llama_cpp_4::chat::ToolChoice::Auto;
}
