#include "runtime/training/run_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <initializer_list>
#include <iterator>

#include "kernels/memory/build.h"
#include "kernels/memory/error.h"
#include "runtime/files/checksum.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

/// So much of either end of a file is summed: what is cut, appended or exchanged shows, and gigabytes are not read.
constexpr std::int64_t kEnd = std::int64_t{1} << 16;

std::string name_of(Split split) { return split == Split::kTrain ? "train" : "valid"; }

/// The size of a file and the checksum of its two ends.
std::vector<ConfigEntry> file_facts(const std::string& split, const fs::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const auto size = static_cast<std::int64_t>(file.tellg());
  const std::int64_t part = std::min(size, kEnd);
  std::string ends(static_cast<std::size_t>(2 * part), '\0');
  file.seekg(0).read(ends.data(), part);
  file.seekg(size - part).read(ends.data() + part, part);
  if (!file) fail(ErrorCode::kSystem, path.string(), ": cannot be read");
  return {{split + ".bytes", std::to_string(size)},
          {split + ".ends", fmt::format("{:016x}", checksum_of(std::as_bytes(std::span(ends))))}};
}

bool is_one_of(const std::string& key, std::initializer_list<std::string_view> keys) {
  return std::ranges::find(keys, key) != keys.end();
}

/// Whether a key changes no number of a run: where output goes and when, how long ranks wait, on how many threads, what
/// is computed again, who keeps what.
bool is_idle(const std::string& key) {
  return key.starts_with("output.") ||
         is_one_of(key, {"validation.every", "distributed.deadline_seconds", "distributed.disk_deadline_seconds",
                         "distributed.threads", "exchange.row_slack", "training.graph", "training.recompute",
                         "training.shard_optimiser"});
}

bool is_silent(const FactChange& change, const TrainingConfig& training) {
  if (change.key == "training.steps") return training.schedule == Schedule::kConstant;
  // The names of files say nothing; what they hold is compared.
  return is_idle(change.key) || is_one_of(change.key, {"data.train", "data.valid"});
}

}  // namespace

RunFacts program_facts() {
  return {{{"version", std::string(build().version)}},
          {{"build.type", std::string(build().type)},
           {"build.instructions", build().instructions},
           {"build.processor", build().processor}}};
}

RunFacts config_facts(const Config& config) {
  RunFacts facts = program_facts();
  std::ranges::move(entries_of(config), std::back_inserter(facts.meaning));
  return facts;
}

void add_file_facts(const DataConfig& data, Split split, RunFacts& facts) {
  const bool own = split == Split::kTrain || data.valid.empty();
  const fs::path& path = own ? data.train : data.valid;
  if (!path.empty()) std::ranges::move(file_facts(name_of(split), path), std::back_inserter(facts.meaning));
}

RunFacts run_facts(const Config& config, const TokenSource& train, const TokenSource& valid) {
  RunFacts facts = config_facts(config);
  for (const Split split : {Split::kTrain, Split::kValidation}) {
    add_file_facts(config.data, split, facts);
    const std::int64_t windows = (split == Split::kTrain ? train : valid).sequences();
    facts.meaning.push_back({name_of(split) + ".windows", windows < 0 ? "endless" : std::to_string(windows)});
  }
  return facts;
}

std::vector<ConfigEntry> facts_for_manifest(const RunFacts& facts, int ranks) {
  std::vector<ConfigEntry> kept;
  std::ranges::copy_if(facts.meaning, std::back_inserter(kept), [](const ConfigEntry& entry) {
    return !entry.key.starts_with("model.") && !entry.key.starts_with("layer.") && !is_idle(entry.key);
  });
  std::ranges::copy(facts.rounding, std::back_inserter(kept));
  kept.push_back({"ranks", std::to_string(ranks)});
  return kept;
}

const std::string* find_fact(std::span<const ConfigEntry> facts, std::string_view key) {
  const auto found = std::ranges::find(facts, key, &ConfigEntry::key);
  return found == facts.end() ? nullptr : &found->value;
}

std::string FactChange::text() const {
  const bool idle = key == "layer.l1_coeff";  // where lambda began
  return fmt::format("{} {} (was {}{})", key, now, before, idle ? "; lambda goes on from where it was" : "");
}

std::vector<FactChange> changes_between(std::span<const ConfigEntry> before, std::span<const ConfigEntry> now) {
  static const std::vector<ConfigEntry> kDefaults = entries_of({});
  std::vector<FactChange> changes;
  for (const ConfigEntry& entry : now) {
    const std::string* was = find_fact(before, entry.key);
    if (was == nullptr) was = find_fact(kDefaults, entry.key);
    if (was != nullptr && *was != entry.value) changes.push_back({entry.key, *was, entry.value});
  }
  return changes;
}

bool moves_training_data(std::span<const FactChange> changes) {
  return std::ranges::any_of(changes, [](const FactChange& change) {
    return change.key.starts_with("train.") || is_one_of(change.key, {"model.sequence", "data.fields"});
  });
}

std::string told_changes(std::span<const FactChange> changes, const TrainingConfig& training) {
  std::string line;
  for (const FactChange& change : changes)
    if (!is_silent(change, training)) line += (line.empty() ? "" : ", ") + change.text();
  return line;
}

}  // namespace coe
