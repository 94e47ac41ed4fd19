#include "runtime/training/checkpoint_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <set>
#include <span>

#include "kernels/memory/error.h"
#include "runtime/files/checksum.h"
#include "runtime/files/json_text.h"
#include "runtime/files/json_walk.h"

namespace coe {
namespace {

namespace json = boost::json;

/// 3 is passed over: one flipped bit makes it the 1 of those that had no checksum.
constexpr std::string_view kFormat = "coe-checkpoint-4";
/// Had no facts of its run.
constexpr std::string_view kWithoutRun = "coe-checkpoint-2";
/// How manifests began that had no checksum.
constexpr std::string_view kUnsealed = R"({"format":"coe-checkpoint-1")";

std::string hex(std::uint64_t number) { return fmt::format("{:016x}", number); }

/// What may differ between two runs that share weights; every other key of the model decides their shapes or meaning.
constexpr std::array<std::string_view, 12> kBesideWeights = {
    "model.sequence",           "layer.router_jitter",  "layer.router_bias_rate", "layer.balance_loss",
    "layer.balance_loss_coeff", "layer.z_loss_coeff",   "layer.l1_coeff",         "layer.drop_policy",
    "layer.capacity_factor",    "layer.capacity_scope", "layer.reroute_rounds",   "layer.pad_to_capacity"};
/// Is a key of training now.
constexpr std::string_view kMoved = "layer.device";

/// Numbers that must keep every bit travel as text.
template <class Number, class... Base>
Number number_from(std::string_view text, Base... base) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, base...);
  check(error == std::errc() && rest == end, in_quotes(text), " is not a number");
  return number;
}

std::string_view text_of(const JsonItem& item) {
  check(item.kind == JsonItem::Kind::kString, "is ", item.kind_text(), ", must be a string");
  return item.text;
}

std::int64_t count_of(const JsonItem& item) {
  check(item.kind == JsonItem::Kind::kInteger && item.integer >= 0, "must be a whole number from 0");
  return item.integer;
}

std::uint64_t checksum_from(const JsonItem& item) {
  const auto sum = number_from<std::uint64_t>(text_of(item), 16);
  check(hex(sum) == item.text, in_quotes(item.text), " is not a checksum");
  return sum;
}

json::array to_json(const std::vector<Shard>& shards) {
  json::array list;
  for (const Shard& shard : shards) {
    json::object tensors;
    for (const auto& [name, sum] : shard.digest.tensors) tensors[name] = hex(sum);
    list.push_back({{"file", shard.file},
                    {"bytes", shard.digest.bytes},
                    {"header", hex(shard.digest.header)},
                    {"tensors", std::move(tensors)}});
  }
  return list;
}

json::object to_json(const std::vector<ConfigEntry>& entries) {
  json::object object;
  for (const ConfigEntry& entry : entries) object[entry.key] = entry.value;
  return object;
}

/// Builds a manifest from what its JSON says.
class ManifestReader {
 public:
  void take(std::span<const std::string> path, const JsonItem& item) {
    if (item.kind == JsonItem::Kind::kEnd) return;
    if (path.empty()) return require(item, JsonItem::Kind::kObject);
    if (path[0] == "shards") return take_shards(path.subspan(1), item);
    if (path[0] == "model") return take_entries(path, manifest_.model, item);
    if (path[0] == "run") return take_entries(path, manifest_.state.run, item);
    if (path.size() == 1 && take_state(path[0], item)) seen_.insert(path[0]);
  }

  /// What was read; throws where one of `keys` did not come.
  CheckpointManifest finish(std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) check(seen_.contains(key), "has no ", key);
    if (without_run_) {
      translate();
    } else {
      check(!seen_.contains("format") || seen_.contains("run"), "has no run");
    }
    return std::move(manifest_);
  }

 private:
  static void require(const JsonItem& item, JsonItem::Kind kind) {
    check(item.kind == kind, "is ", item.kind_text(), ", must be ", JsonItem{.kind = kind}.kind_text());
  }

  bool take_state(const std::string& key, const JsonItem& item) {
    TrainingState& state = manifest_.state;
    if (key == "format") {
      without_run_ = text_of(item) == kWithoutRun;
      check(without_run_ || item.text == kFormat, "is ", in_quotes(item.text), ", must be \"", kFormat, "\"");
    } else if (key == "step") {
      state.step = count_of(item);
    } else if (key == "next_sequence") {
      state.next_sequence = count_of(item);
    } else if (key == "l1_coeff") {
      state.l1_coeff = number_from<double>(text_of(item));
      check(std::isfinite(state.l1_coeff), "is ", in_quotes(item.text), ", must be finite");
    } else if (key == "seed") {
      state.seed = number_from<std::uint64_t>(text_of(item), 10);
    } else {
      return false;
    }
    return true;
  }

  void take_entries(std::span<const std::string> path, std::vector<ConfigEntry>& entries, const JsonItem& item) {
    seen_.insert(path[0]);
    if (path.size() == 1) return require(item, JsonItem::Kind::kObject);
    entries.push_back({path[1], std::string(text_of(item))});
  }

  /// Says in today's words what an older format meant: beside norm_topk_prob its factor had no effect.
  void translate() {
    const std::string* norm = find_fact(manifest_.model, "layer.norm_topk_prob");
    if (norm == nullptr || *norm != "true") return;
    const auto factor = std::ranges::find(manifest_.model, "layer.routed_scaling_factor", &ConfigEntry::key);
    if (factor != manifest_.model.end()) factor->value = "1";
  }

  /// `path` begins with the empty key of a shard's place in the list.
  void take_shards(std::span<const std::string> path, const JsonItem& item) {
    seen_.insert("shards");
    if (path.empty()) return require(item, JsonItem::Kind::kList);
    if (path.size() == 1) {
      require(item, JsonItem::Kind::kObject);
      manifest_.shards.emplace_back();
      return;
    }
    Shard& shard = manifest_.shards.back();
    if (path[1] == "file") {
      const std::string_view file = text_of(item);
      const bool plain = file.find('/') == std::string_view::npos && file != "" && file != "." && file != "..";
      check(plain, "is ", in_quotes(file), ", must be a plain file name");
      shard.file = file;
    } else if (path[1] == "bytes") {
      shard.digest.bytes = static_cast<std::uint64_t>(count_of(item));
    } else if (path[1] == "header") {
      shard.digest.header = checksum_from(item);
    } else if (path[1] == "tensors" && path.size() == 2) {
      require(item, JsonItem::Kind::kObject);
    } else if (path[1] == "tensors") {
      shard.digest.tensors[path[2]] = checksum_from(item);
    }
  }

  CheckpointManifest manifest_;
  std::set<std::string, std::less<>> seen_;
  bool without_run_ = false;
};

CheckpointManifest read_manifest(std::string_view text, const std::string& where,
                                 std::initializer_list<std::string_view> keys) {
  ManifestReader reader;
  walk_json(text, where, [&](std::span<const std::string> path, const JsonItem& item) {
    try {
      reader.take(path, item);
    } catch (const Error& error) {
      std::string key;
      for (const std::string& part : path) key += (key.empty() || part.empty() ? "" : ".") + part;
      fail(error.code(), where, ": ", in_quotes(key), " ", error.what());
    }
  });
  try {
    CheckpointManifest manifest = reader.finish(keys);
    for (const Shard& shard : manifest.shards) check(!shard.file.empty(), "has a shard without a file");
    return manifest;
  } catch (const Error& error) {
    fail(error.code(), where, ": ", error.what());
  }
}

/// What ends a manifest whose text is `body` up to there.
std::string seal_of(std::string_view body) {
  return fmt::format(",\"checksum\":\"{}\"}}\n", hex(checksum_of(std::as_bytes(std::span(body)))));
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
  const json::object object{{"format", kFormat},
                            {"step", manifest.state.step},
                            {"next_sequence", manifest.state.next_sequence},
                            {"l1_coeff", fmt::format("{}", manifest.state.l1_coeff)},
                            {"seed", std::to_string(manifest.state.seed)},
                            {"model", to_json(manifest.model)},
                            {"run", to_json(manifest.state.run)},
                            {"shards", to_json(manifest.shards)}};
  std::string text = json_text(object);
  text.pop_back();
  return text + seal_of(text);
}

bool is_damaged_manifest(std::string_view text) {
  static const std::size_t kSealed = seal_of("").size();
  const std::string_view body = text.substr(0, text.size() - std::min(text.size(), kSealed));
  return text.substr(body.size()) != seal_of(body) && !text.starts_with(kUnsealed);
}

CheckpointManifest parse_manifest(std::string_view text, const std::filesystem::path& file) {
  check(!text.starts_with(kUnsealed), file.string(), ": is of a format before ", kWithoutRun,
        ", which had no checksums");
  check(!is_damaged_manifest(text), file.string(), ": does not end with the checksum of its text");
  return read_manifest(text, file.string(), {"format", "step", "next_sequence", "l1_coeff", "seed", "model", "shards"});
}

std::string shards_text(const std::vector<Shard>& shards) {
  return json_text(json::object{{"shards", to_json(shards)}});
}

std::vector<Shard> parse_shards(std::string_view text) { return read_manifest(text, "shards", {"shards"}).shards; }

std::vector<FactChange> require_same_weights(const CheckpointManifest& manifest, const ModelConfig& model,
                                             const std::filesystem::path& file) {
  const std::vector<ConfigEntry> wanted = model_entries(model);
  for (const ConfigEntry& entry : manifest.model) {
    check(entry.key == kMoved || find_fact(wanted, entry.key) != nullptr, file.string(),
          ": is of another model: ", entry.key, " is ", entry.value, " there, and unknown here");
  }
  std::vector<FactChange> changes = changes_between(manifest.model, wanted);
  for (const FactChange& change : changes) {
    check(std::ranges::find(kBesideWeights, change.key) != kBesideWeights.end(), file.string(),
          ": is of another model: ", change.key, " is ", change.before, " there, must be ", change.now);
  }
  return changes;
}

}  // namespace coe
