#include "runtime/checkpoint_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "kernels/error.h"

namespace coe {
namespace {

namespace json = boost::json;

constexpr std::string_view kFormat = "coe-checkpoint-1";

/// Boost.JSON 1.81 rounds the decimals that it reads, so numbers that must keep every bit travel as text.
template <class Number, class... Base>
Number number_from(std::string_view text, Base... base) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, base...);
  check(error == std::errc() && rest == end, "\"", text, "\" is not a number");
  return number;
}

json::array to_json(const std::vector<Shard>& shards) {
  json::array list;
  for (const Shard& shard : shards) {
    json::array parameters;
    for (const std::string& name : shard.parameters) parameters.emplace_back(name);
    list.push_back({{"file", shard.file},
                    {"bytes", shard.digest.bytes},
                    {"xxh64", fmt::format("{:016x}", shard.digest.xxh64)},
                    {"parameters", std::move(parameters)}});
  }
  return list;
}

std::vector<Shard> shards_from(const json::array& list) {
  std::vector<Shard> shards;
  for (const json::value& item : list) {
    const json::object& object = item.as_object();
    Shard& shard = shards.emplace_back();
    shard.file = std::string(object.at("file").as_string());
    check(shard.file.find('/') == std::string::npos, "shard ", shard.file, " is not a plain file name");
    shard.digest.bytes = object.at("bytes").to_number<std::uint64_t>();
    shard.digest.xxh64 = number_from<std::uint64_t>(std::string_view(object.at("xxh64").as_string()), 16);
    for (const json::value& name : object.at("parameters").as_array()) {
      shard.parameters.emplace_back(name.as_string());
    }
  }
  return shards;
}

CheckpointManifest manifest_from(const json::object& object) {
  const std::string_view format = object.at("format").as_string();
  check(format == kFormat, "format is \"", format, "\", must be \"", kFormat, "\"");
  CheckpointManifest manifest;
  manifest.state.step = object.at("step").to_number<std::int64_t>();
  manifest.state.next_sequence = object.at("next_sequence").to_number<std::int64_t>();
  manifest.state.l1_coeff = number_from<double>(std::string_view(object.at("l1_coeff").as_string()));
  manifest.state.seed = number_from<std::uint64_t>(std::string_view(object.at("seed").as_string()), 10);
  for (const auto& [key, value] : object.at("model").as_object()) {
    manifest.model.push_back({std::string(key), std::string(value.as_string())});
  }
  manifest.shards = shards_from(object.at("shards").as_array());
  return manifest;
}

}  // namespace

std::vector<ConfigEntry> model_entries(const ModelConfig& model) {
  Config config;
  config.model = model;
  std::vector<ConfigEntry> entries = entries_of(config);
  std::erase_if(entries, [](const ConfigEntry& entry) {
    return !entry.key.starts_with("model.") && !entry.key.starts_with("layer.");
  });
  return entries;
}

std::string manifest_text(const CheckpointManifest& manifest) {
  json::object model;
  for (const ConfigEntry& entry : manifest.model) model[entry.key] = entry.value;
  const json::object object{{"format", kFormat},
                            {"step", manifest.state.step},
                            {"next_sequence", manifest.state.next_sequence},
                            {"l1_coeff", fmt::format("{}", manifest.state.l1_coeff)},
                            {"seed", std::to_string(manifest.state.seed)},
                            {"model", std::move(model)},
                            {"shards", to_json(manifest.shards)}};
  return json::serialize(object) + "\n";
}

CheckpointManifest parse_manifest(std::string_view text, const std::filesystem::path& file) {
  try {
    return manifest_from(json::parse(text).as_object());
  } catch (const std::exception& error) {
    fail(ErrorCode::kBadInput, file.string(), ": not a checkpoint's manifest: ", error.what());
  }
}

std::string shards_text(const std::vector<Shard>& shards) { return json::serialize(to_json(shards)); }

std::vector<Shard> parse_shards(std::string_view text) { return shards_from(json::parse(text).as_array()); }

void require_same_model(const CheckpointManifest& manifest, const ModelConfig& model,
                        const std::filesystem::path& file) {
  for (const ConfigEntry& wanted : model_entries(model)) {
    const auto found = std::ranges::find(manifest.model, wanted.key, &ConfigEntry::key);
    const std::string value = found == manifest.model.end() ? "missing" : found->value;
    check(value == wanted.value, file.string(), ": is of another model: ", wanted.key, " is ", value,
          " there, must be ", wanted.value);
  }
}

}  // namespace coe
