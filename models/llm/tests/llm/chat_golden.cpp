// Asks llama.cpp's chat layer what it makes of chat templates and replies, for maintainers: the prompts, calls and remaining texts that
// `tests/data/chat/golden` keeps.
//
// The goldens were made with llama.cpp b11829, which the crate `llama-cpp-sys-4` 0.11.0 holds (its folder llama.cpp; without templates),
// and the templates of the llama.cpp in `llama-cpp-python` 0.3.36; each golden has the hash of its template.
//
// Where NEARFIELD names the folder of this repository:
//
//   git clone https://github.com/ggml-org/llama.cpp /tmp/llama.cpp && cd /tmp/llama.cpp && git checkout b11829
//   cmake -B build -DBUILD_SHARED_LIBS=ON && cmake --build build --target llama-common
//   g++ -std=c++17 -O1 -I common -I include -I ggml/include -I vendor $NEARFIELD/models/llm/tests/llm/chat_golden.cpp
//       -L build/bin -lllama-common -lllama -lggml -lggml-base -Wl,-rpath,$PWD/build/bin -o chat-golden
//   ./chat-golden $NEARFIELD/models/llm/tests/data/chat/cases.json models/templates $NEARFIELD/models/llm/tests/data/chat/golden [PROMPTS]
//
// For each template it writes a file: for each conversation the prompt's length and FNV-1a hash, without and with thinking; for each
// reply what the parser makes of it, and of each of its beginnings. Dates of today are replaced by their formats. With PROMPTS, a folder,
// the prompts are written there as text. How a model of that template would write a reply is found by having the template write it.
#include "chat.h"
#include "log.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

using ordered = nlohmann::ordered_json;
namespace fs  = std::filesystem;

static const char * const BOS = "<|user|>"; // as in the vocabulary that the tests use
static const char * const EOS = "<|end|>";

static std::string read_file(const fs::path & path) {
    std::ifstream      file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

static std::string without_dates(std::string text) {
    for (const char * format : { "%d %b %Y", "%b %d %Y", "%Y-%m-%d", "%B %d, %Y" }) {
        const std::time_t now = std::time(nullptr);
        char              today[64];
        std::strftime(today, sizeof(today), format, std::localtime(&now));
        for (size_t at = 0; (at = text.find(today, at)) != std::string::npos;) {
            text.replace(at, std::strlen(today), format);
        }
    }
    return text;
}

static std::string fingerprint(const std::string & text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned char byte : text) {
        hash = (hash ^ byte) * 0x100000001b3u;
    }
    char buffer[64];
    std::snprintf(buffer, sizeof(buffer), "%zu:%016llx", text.size(), (unsigned long long) hash);
    return buffer;
}

struct Asker {
    common_chat_templates_ptr     templates;
    std::vector<common_chat_tool> tools;

    common_chat_params apply(const ordered & messages, bool with_tools, bool reply_follows, bool thinking) const {
        common_chat_templates_inputs inputs;
        inputs.messages              = common_chat_msgs_parse_oaicompat(common_json::parse(messages.dump()));
        inputs.add_generation_prompt = reply_follows;
        inputs.parallel_tool_calls   = true;
        inputs.reasoning_format      = COMMON_REASONING_FORMAT_DEEPSEEK;
        inputs.enable_thinking       = thinking;
        inputs.chat_template_kwargs  = { { "thinking", thinking ? "true" : "false" },
                                         { "reasoning_effort", thinking ? "\"medium\"" : "\"low\"" } };
        if (with_tools) {
            inputs.tools = tools;
        }
        return common_chat_templates_apply(templates.get(), inputs);
    }

    std::string prompt(const ordered & messages, bool with_tools, bool reply_follows, bool thinking) const {
        return apply(messages, with_tools, reply_follows, thinking).prompt.str();
    }
};

static bool starts_with(const std::string & text, const std::string & start) {
    return text.compare(0, start.size(), start) == 0;
}

static bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

static std::string trimmed_end(std::string text) {
    while (!text.empty() && std::isspace((unsigned char) text.back())) {
        text.pop_back();
    }
    return text;
}

static std::string trimmed(const std::string & text) {
    const size_t begin = text.find_first_not_of(" \n\t");
    return begin == std::string::npos ? "" : trimmed_end(text.substr(begin));
}

// The beginning of a text, which ends between two characters.
static std::string cut(const std::string & text, size_t end) {
    while (end > 0 && end < text.size() && (text[end] & 0xc0) == 0x80) {
        end--;
    }
    return text.substr(0, end);
}

// A reply as the template writes it behind a prompt.
static std::string written(const Asker & asker, const ordered & reply, bool thinking) {
    const ordered user    = { { "role", "user" }, { "content", "Please." } };
    ordered       message = { { "role", "assistant" }, { "content", reply.value("content", "") } };
    const std::string reasoning = reply.value("reasoning", "");
    if (!reasoning.empty()) {
        message["reasoning_content"] = reasoning;
    }
    if (reply.contains("calls")) {
        size_t number = 0;
        for (const auto & call : reply["calls"]) {
            char id[16];
            std::snprintf(id, sizeof(id), "call%05zu", number++);
            message["tool_calls"].push_back({ { "type", "function" }, { "id", id }, { "function", { { "name", call["name"] }, { "arguments", call["arguments"] } } } });
        }
    }
    const auto        begun = asker.apply(ordered::array({ user }), true, true, thinking);
    const std::string ask   = begun.prompt.str();
    const std::string full  = asker.prompt(ordered::array({ user, message }), true, false, thinking);
    std::string       text;
    if (starts_with(full, ask)) {
        text = full.substr(ask.size());
    } else {
        size_t same = 0;
        while (same < full.size() && same < ask.size() && full[same] == ask[same]) {
            same++;
        }
        // Marks that begin alike are not cut.
        const size_t mark = same == 0 ? std::string::npos : full.rfind('<', same - 1);
        if (mark != std::string::npos && same - mark <= 10 && full.substr(mark, same - mark).find_first_of("> \n") == std::string::npos) {
            same = mark;
        }
        text = full.substr(cut(full, same).size());
        // The prompt has opened a thought that this reply does not have, or that the template does not write.
        const std::string opened = trimmed_end(ask);
        if (!begun.thinking_start_tag.empty() && ends_with(opened, begun.thinking_start_tag) && !begun.thinking_end_tags.empty() &&
            text.find(trimmed(begun.thinking_end_tags[0])) == std::string::npos) {
            text = reasoning + (reasoning.empty() ? "" : "\n") + begun.thinking_end_tags[0] + "\n\n" + text;
        }
    }
    const std::string marker = "XyZzY";
    const std::string said   = asker.prompt(ordered::array({ user, ordered{ { "role", "assistant" }, { "content", marker } } }), true, false, thinking);
    const size_t      at     = said.rfind(marker);
    const std::string end    = at == std::string::npos ? "" : said.substr(at + marker.size());
    if (!end.empty() && ends_with(text, end)) {
        return text.substr(0, text.size() - end.size());
    }
    for (const char * mark : { "<|END_OF_TURN_TOKEN|>", "<｜end▁of▁sentence｜>", "<|calls|>", "<|tool_response>", "<SPECIAL_12>", "<|end_of_msg|>" }) {
        text = text.substr(0, text.find(mark));
    }
    for (const char * mark : { "<|eom_id|>", "<|eot_id|>", "<|call|>", "<|im_end|>", "<|end|>", "<|eot|>", "<|eom|>" }) {
        if (ends_with(trimmed_end(text), mark)) {
            text = trimmed_end(text);
            return text.substr(0, text.size() - std::strlen(mark));
        }
    }
    return text;
}

static std::string replaced(std::string text, const std::string & from, const std::string & to) {
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
        text.replace(at, from.size(), to);
    }
    return text;
}

static common_chat_msg parse(const common_chat_params & params, const std::string & text, bool partial) {
    common_chat_parser_params parser(params);
    parser.parser = params.parser;
    return common_chat_parse(common_chat_input(text), partial, parser);
}

static ordered of_message(const common_chat_msg & message) {
    ordered result = { { "content", message.content } };
    if (!message.reasoning_content.empty()) {
        result["reasoning"] = message.reasoning_content;
    }
    for (const auto & call : message.tool_calls) {
        result["calls"].push_back({ { "name", call.name }, { "arguments", call.arguments } });
    }
    return result;
}

static ordered outcome(const common_chat_params & params, const std::string & text) {
    try {
        const auto whole = of_message(parse(params, text, false));
        return whole;
    } catch (const std::exception &) {
        return { { "refused", true } };
    }
}

// For each beginning of the text: how long the content is, in bytes (-1: refused; a text where it is no beginning of the whole content),
// and how many calls are whole.
static ordered cuts(const common_chat_params & params, const std::string & text) {
    std::string last;
    try {
        last = parse(params, text, false).content;
    } catch (const std::exception &) {
        return nullptr;
    }
    // Runs of [content, calls, how many beginnings more, how much longer the content is with each].
    ordered runs = ordered::array();
    auto    add  = [&](const ordered & content, size_t calls) {
        if (!runs.empty()) {
            ordered & run = runs.back();
            const int more = run[2], step = run[3];
            if (run[1] == calls && run[0].is_number() && content.is_number()) {
                const int begun = run[0], now = content;
                if (more == 0 && begun >= 0 && now >= begun) {
                    run[2] = 1;
                    run[3] = now - begun;
                    return;
                }
                if (now == begun + (more + 1) * step) {
                    run[2] = more + 1;
                    return;
                }
            }
        }
        runs.push_back({ content, calls, 0, 0 });
    };
    for (size_t end = 0; end <= text.size(); end++) {
        if (end < text.size() && (text[end] & 0xc0) == 0x80) {
            continue;
        }
        try {
            const auto message = parse(params, text.substr(0, end), true);
            size_t     whole   = 0;
            for (const auto & call : message.tool_calls) {
                whole += nlohmann::json::accept(call.arguments);
            }
            add(starts_with(last, message.content) ? ordered(message.content.size()) : ordered(message.content), whole);
        } catch (const std::exception &) {
            add(-1, 0);
        }
    }
    return runs;
}

static ordered replies(const Asker & asker, const ordered & cases, bool thinking) {
    const ordered user   = { { "role", "user" }, { "content", "Please." } };
    const auto    params = asker.apply(ordered::array({ user }), true, true, thinking);
    ordered       all    = ordered::array();
    auto          add    = [&](const std::string & name, const std::string & text) {
        ordered one = { { "name", name }, { "text", text } };
        one.update(outcome(params, text));
        all.push_back(one);
    };
    // What stands before any reply: a thought that the prompt has opened is closed.
    std::string closed;
    const std::string opened = trimmed_end(params.prompt.str());
    if (!params.thinking_start_tag.empty() && ends_with(opened, params.thinking_start_tag) && !params.thinking_end_tags.empty()) {
        closed = params.thinking_end_tags[0] + "\n\n";
    }
    for (const auto & text : cases["texts"]) {
        add(text["name"], closed + text["text"].get<std::string>());
    }
    if (!closed.empty()) {
        add("thought-that-never-ends", "The user wants");
    }
    ordered swept;
    for (const auto & reply : cases["replies"]) {
        const std::string name = reply["name"];
        std::string       text;
        if (reply.contains("reasoning") && !thinking) {
            continue;
        }
        try {
            text = written(asker, reply, thinking);
        } catch (const std::exception &) {
            continue;
        }
        add(name, text);
        if (name == "text-and-call" || name == "two-calls") {
            swept[name] = cuts(params, text);
        }
        if (name != "call") {
            continue;
        }
        size_t thought = std::string::npos;
        if (!params.thinking_end_tags.empty()) {
            const std::string end = trimmed(params.thinking_end_tags[0]);
            thought               = text.rfind(end);
            thought               = thought == std::string::npos ? thought : thought + end.size();
        }
        const size_t at = thought == std::string::npos ? 0 : thought;
        add("word-then-call", text.substr(0, at) + (at > 0 ? "\n\n" : "") + "Gladly. " + text.substr(at));
        add("call-then-text", text + "\nDone.");
        add("call-in-a-fence", text.substr(0, at) + "```json\n" + text.substr(at) + "\n```");
        add("call-of-another-name", replaced(text, "set_light", "set_lamp"));
        add("call-with-another-argument", replaced(text, "room", "place"));
        const size_t brace = text.rfind('}'), quote = text.find('"'), colon = text.find(':');
        if (brace != std::string::npos) {
            add("call-without-its-last-brace", text.substr(0, brace) + text.substr(brace + 1));
        }
        if (quote != std::string::npos) {
            add("call-without-its-first-quote", text.substr(0, quote) + text.substr(quote + 1));
        }
        if (colon != std::string::npos) {
            add("call-without-its-first-colon", text.substr(0, colon) + text.substr(colon + 1));
        }
        add("call-cut-in-half", cut(text, text.size() / 2));
    }
    return { { "replies", all }, { "cuts", swept } };
}

static std::string line(const ordered & value) {
    return value.dump(-1, ' ', false, ordered::error_handler_t::replace);
}

// JSON with a line for each conversation and each reply.
static void write_lines(const fs::path & path, const ordered & golden) {
    std::ofstream file(path);
    std::string   between = "{\n";
    for (const auto & [key, value] : golden.items()) {
        file << between << line(key) << ": ";
        between = ",\n";
        if (key == "prompts") {
            std::string before = "{\n";
            for (const auto & [title, prompt] : value.items()) {
                file << before << " " << line(title) << ": " << line(prompt);
                before = ",\n";
            }
            file << "\n}";
        } else if (value.is_object()) {
            std::string before = "{\"replies\": [\n";
            for (const auto & reply : value["replies"]) {
                file << before << " " << line(reply);
                before = ",\n";
            }
            file << "],\n\"cuts\": " << line(value["cuts"]) << "}";
        } else {
            file << line(value);
        }
    }
    file << "\n}\n";
}

int main(int argc, char ** argv) {
    if (argc < 4) {
        return 2;
    }
    common_log_pause(common_log_main());
    const ordered cases = ordered::parse(read_file(argv[1]));
    const auto    tools = common_chat_tools_parse_oaicompat(common_json::parse(cases["tools"].dump()));
    for (const auto & entry : fs::directory_iterator(argv[2])) {
        if (entry.path().extension() != ".jinja") {
            continue;
        }
        const std::string name = entry.path().stem().string(), source = read_file(entry.path());
        ordered           golden = { { "template", fingerprint(source) } };
        try {
            Asker asker{ common_chat_templates_init(nullptr, source, BOS, EOS), tools };
            for (const auto & [title, conversation] : cases["conversations"].items()) {
                for (bool thinking : { false, true }) {
                    ordered & place = golden["prompts"][title][thinking ? "on" : "off"];
                    try {
                        const std::string text = without_dates(asker.prompt(conversation["messages"], conversation.contains("tools"),
                                                                            conversation.value("reply_follows", true), thinking));
                        place = fingerprint(text);
                        if (argc > 4) {
                            std::ofstream(fs::path(argv[4]) / (name + "." + title + (thinking ? ".on" : ".off"))) << text;
                        }
                    } catch (const std::exception & error) {
                        place = { { "refused", std::string(error.what()).substr(0, 200) } };
                    }
                }
            }
            golden["off"] = replies(asker, cases, false);
            golden["on"]  = replies(asker, cases, true);
            if (golden["on"] == golden["off"]) {
                golden["on"] = "as off";
            }
        } catch (const std::exception & error) {
            golden["error"] = error.what();
        }
        write_lines(fs::path(argv[3]) / (name + ".json"), golden);
        std::cerr << name << ": " << golden.value("error", "ok") << "\n";
    }
}
