// Writes first inputs for every fuzz target: fuzz_seeds FOLDER CASES CONFIGS
#include <fmt/core.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "kernels/memory/error.h"
#include "runtime/files/safetensors.h"
#include "runtime/routing/routing_record_file.h"
#include "runtime/training/checkpoint_manifest.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

/// Cases are too large to be tried quickly; their metadata and small tensors will do.
void write_small_case(const fs::path& from, const fs::path& folder) {
  constexpr std::size_t kSmall = 256, kFew = 6;
  const SafetensorsFile file(from);
  std::vector<NamedTensor> tensors;
  for (const std::string& name : file.names()) {
    const Tensor tensor = file.tensor(name);
    if (tensor.bytes() <= kSmall && tensors.size() < kFew) tensors.push_back({name, tensor});
  }
  write_safetensors(folder / from.filename(), file.metadata(), std::move(tensors));
}

void write_manifest(const Config& config, const fs::path& file) {
  CheckpointManifest manifest{{.step = 10, .next_sequence = 160, .seed = 1}, model_entries(config.model), {}};
  manifest.shards.push_back({"replicated.safetensors", {4096, 17, {{"w", 1}, {"w.first_moment", 2}}}});
  const std::string text = manifest_text(manifest);
  write(file, text);
  write(file.string() + ".body", text.substr(0, text.rfind(",\"checksum\"")));
}

/// A record of nothing, and one of four tokens that all chose experts 0 and 1 in every iteration.
void write_records(const Config& config, const fs::path& folder) {
  RoutingRecord record = empty_routing_record(config.model);
  write_routing_record(folder / "empty", record);
  const auto experts = static_cast<std::size_t>(record.experts);
  record.tokens = 4;
  for (std::size_t at = 0; at < record.load.size(); at += experts) record.load[at] = record.load[at + 1] = 4;
  for (auto* pairs : {&record.coactivation, &record.transitions, &record.layer_transitions}) {
    for (std::size_t at = 0; at < pairs->size(); at += experts * experts) {
      for (const std::size_t pair : {std::size_t{0}, std::size_t{1}, experts, experts + 1}) (*pairs)[at + pair] = 4;
    }
  }
  write_routing_record(folder / "four", record);
  read_routing_record(folder / "four");
}

void write_seeds(const fs::path& folder, const fs::path& cases, const fs::path& configs) {
  for (const char* name : {"safetensors_fuzz", "routing_record_fuzz"}) fs::create_directories(folder / name);
  for (const auto& entry : fs::directory_iterator(cases)) {
    if (entry.path().extension() == ".safetensors") write_small_case(entry.path(), folder / "safetensors_fuzz");
  }
  for (const auto& entry : fs::directory_iterator(configs)) {
    const Config config = read_config(entry.path());
    write(folder / "config_fuzz" / entry.path().filename(), to_toml(config));
    write_manifest(config, folder / "checkpoint_manifest_fuzz" / entry.path().stem());
  }
  Config tiny = read_config(configs / "tiny_coe_2x2of8.toml");
  tiny.model.layer.experts = 3;
  write_records(tiny, folder / "routing_record_fuzz");
  write(folder / "safetensors_fuzz/header",
        std::string(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})") + '\0' + "ab");
  const std::string line = R"({"question": "1 + 1\u00e9?", "more": [1, {"a": null}], "answer": "2"})";
  write(folder / "jsonl_fuzz/two", line + "\n\n" + line + "\r\n");
}

}  // namespace
}  // namespace coe

int main(int count, char** values) {
  if (count != 4) return 2;
  try {
    coe::write_seeds(values[1], values[2], values[3]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "fuzz_seeds: {}\n", error.what());
    return 1;
  }
  return 0;
}
