// Asks llama.cpp's mtmd what it makes of a picture, for maintainers: the tiles, the embeddings and the logits that
// `vision-golden.json` keeps, and how long the encoder takes.
//
//   cd llama.cpp/tools/mtmd
//   g++ -std=c++17 -O2 -I. -I../../include -I../../ggml/include -I../../vendor -I../.. THIS_FILE clip.cpp mtmd-image.cpp mtmd-audio.cpp
//       mtmd-helper.cpp models/*.cpp -L BUILD/bin -lllama -lggml -lggml-base -lggml-cpu -o mtmd-golden
//   NEARFIELD_PEER=FOLDER cargo test --release -p nearfield-llm --test llm vision::files -- --ignored
//   mtmd-golden MODEL.gguf MMPROJ.gguf PICTURE.ppm "text with <__media__> in it"    prints one case as JSON
//   mtmd-golden MODEL.gguf MMPROJ.gguf PICTURE.ppm TEXT THREADS RUNS                prints milliseconds of the encoder
//
// In models/llava.cpp the class embedding must be put before the patches, as CLIP has it and as models/internvl.cpp does
// (`ggml_concat(ctx0, model.class_embedding, inp, 1)`): put after them, every patch gets its neighbour's position and the last patch is
// replaced by the class.
//
// It includes mtmd.cpp, whose tiles no interface gives.
#include "mtmd.cpp"
#include "mtmd-helper.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static std::vector<unsigned char> read_ppm(const char * path, int & nx, int & ny) {
    FILE * f = std::fopen(path, "rb");
    int most = 0;
    if (!f || std::fscanf(f, "P6 %d %d %d", &nx, &ny, &most) != 3) {
        std::exit(2);
    }
    std::fgetc(f);
    std::vector<unsigned char> rgb(size_t(nx) * ny * 3);
    if (std::fread(rgb.data(), 1, rgb.size(), f) != rgb.size()) {
        std::exit(2);
    }
    std::fclose(f);
    return rgb;
}

int main(int argc, char ** argv) {
    if (argc < 5) {
        return 2;
    }
    const int threads = argc > 5 ? std::atoi(argv[5]) : 2;
    const int runs    = argc > 6 ? std::atoi(argv[6]) : 0;
    auto silent = [](enum ggml_log_level level, const char * text, void *) {
        if (level == GGML_LOG_LEVEL_ERROR) {
            std::fputs(text, stderr);
        }
    };
    llama_log_set(silent, nullptr);
    mtmd_helper_log_set(silent, nullptr);
    ggml_backend_load_all();
    auto mparams = llama_model_default_params();
    llama_model * model = llama_model_load_from_file(argv[1], mparams);
    auto cparams = llama_context_default_params();
    cparams.n_ctx = 2048;
    cparams.n_batch = cparams.n_ubatch = 2048;
    cparams.n_threads = cparams.n_threads_batch = threads;
    llama_context * lctx = llama_init_from_model(model, cparams);
    auto params = mtmd_context_params_default();
    params.use_gpu = false;
    params.media_marker = "<__media__>";
    params.warmup = false;
    params.print_timings = false;
    params.n_threads = threads;
    params.flash_attn_type = runs ? LLAMA_FLASH_ATTN_TYPE_AUTO : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    mtmd_context * ctx = mtmd_init_from_file(argv[2], model, params);
    if (!ctx || !lctx) {
        return 1;
    }
    int nx = 0, ny = 0;
    auto rgb = read_ppm(argv[3], nx, ny);
    mtmd_bitmap * bitmap = mtmd_bitmap_init(nx, ny, rgb.data());
    const mtmd_bitmap * bitmaps[] = {bitmap};
    mtmd_input_text text{argv[4], std::strlen(argv[4]), true, true};
    mtmd_input_chunks * chunks = mtmd_input_chunks_init();
    if (mtmd_tokenize(ctx, chunks, &text, bitmaps, 1) != 0) {
        return 1;
    }
    const auto * hparams = clip_get_hparams(ctx->ctx_v);
    const int width = llama_model_n_embd_inp(model);
    if (runs) {
        std::vector<double> all;
        for (int run = 0; run < runs; run++) {
            const auto begun = std::chrono::steady_clock::now();
            for (size_t i = 0; i < mtmd_input_chunks_size(chunks); i++) {
                auto * chunk = mtmd_input_chunks_get(chunks, i);
                if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_IMAGE) {
                    mtmd_encode_chunk(ctx, chunk);
                }
            }
            all.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count());
        }
        for (double ms : all) {
            std::printf("%.1f\n", ms);
        }
        return 0;
    }
    std::string tokens = "[", tiles = "[", embeddings = "[";
    size_t n_embeddings = 0, number = 0;
    for (size_t i = 0; i < mtmd_input_chunks_size(chunks); i++) {
        auto * chunk = mtmd_input_chunks_get(chunks, i);
        if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_TEXT) {
            size_t n = 0;
            const llama_token * list = mtmd_input_chunk_get_tokens_text(chunk, &n);
            for (size_t t = 0; t < n; t++) {
                tokens += std::to_string(list[t]) + ",";
            }
            continue;
        }
        const size_t n = mtmd_input_chunk_get_n_tokens(chunk);
        n_embeddings += n;
        tokens += std::to_string(-(long) n) + ",";
        for (const auto & entry : chunk->tokens_image->batch_f32.entries) {
            // FNV-1a over the bytes that the numbers came from.
            uint64_t hash = 14695981039346656037ull;
            const auto & buf = entry.get_ro_buf();
            for (size_t at = 0; at < buf.size(); at++) {
                const float value = buf[at] * hparams->image_std[at % 3] + hparams->image_mean[at % 3];
                hash = (hash ^ (uint64_t) std::lround(value * 255.0f)) * 1099511628211ull;
            }
            tiles += "[" + std::to_string(entry.nx()) + "," + std::to_string(entry.ny()) + ",\"" + std::to_string(hash) + "\"],";
        }
        if (mtmd_encode_chunk(ctx, chunk) != 0) {
            return 1;
        }
        // Every 61st number, so that all columns come up and the file stays small.
        const float * out = mtmd_get_output_embd(ctx);
        for (size_t at = 0; at < n * width; at++, number++) {
            if (number % 61 == 0) {
                char digits[32];
                std::snprintf(digits, sizeof digits, "%.4g,", out[at]);
                embeddings += digits;
            }
        }
    }
    llama_pos past = 0;
    if (mtmd_helper_eval_chunks(ctx, lctx, chunks, 0, 0, 2048, true, &past) != 0) {
        return 1;
    }
    std::string logits = "[";
    const float * row = llama_get_logits_ith(lctx, -1);
    for (int at = 0; at < llama_vocab_n_tokens(llama_model_get_vocab(model)); at++) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%.5g,", row[at]);
        logits += digits;
    }
    auto close = [](std::string & list) -> const char * {
        if (list.back() == ',') {
            list.pop_back();
        }
        list += "]";
        return list.c_str();
    };
    std::printf("{\"tokens\":%s,\n\"tiles\":%s,\n\"embeddings\":%s,\n\"logits\":%s}\n", close(tokens), close(tiles),
                close(embeddings), close(logits));
}
