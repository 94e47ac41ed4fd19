#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/config.h"
#include "runtime/data/token_source.h"

namespace coe {

/// What a process runs, key by key, as a manifest keeps it and ranks compare it.
struct RunFacts {
  std::vector<ConfigEntry> meaning;   ///< decides what is computed: the config, and what its data holds
  std::vector<ConfigEntry> rounding;  ///< decides no more than last digits: how the program was built

  bool operator==(const RunFacts&) const = default;
};

/// The program alone: its version, and how it was built.
RunFacts program_facts();

/// The program, and every key of the config.
RunFacts config_facts(const Config& config);

/// Adds what the file holds that `split` reads, if it reads one: its size, and the checksum of its ends. Throws kSystem
/// where it cannot be read.
void add_file_facts(const DataConfig& data, Split split, RunFacts& facts);

/// The program, the config, and what both splits read, with the number of their windows.
RunFacts run_facts(const Config& config, const TokenSource& train, const TokenSource& valid);

/// What a checkpoint keeps of a run beside its model: all facts but the model's and those that change no number, and
/// the number of ranks.
std::vector<ConfigEntry> facts_for_manifest(const RunFacts& facts, int ranks);

/// The value of a key, nullptr where there is none.
const std::string* find_fact(std::span<const ConfigEntry> facts, std::string_view key);

/// A key whose value is another than it was; "missing" stands for none.
struct FactChange {
  std::string key, before, now;
  /// "training.batch 8 (was 4)"
  std::string text() const;
};

/// What of `now` had another value in `before`, in the order of `now`. Keys that `before` does not know had, where they
/// are of a config, their default value, since they came later; others are passed over.
std::vector<FactChange> changes_between(std::span<const ConfigEntry> before, std::span<const ConfigEntry> now);

/// Whether the position in the training data has no meaning after such changes: other data, or other windows of it.
bool moves_training_data(std::span<const FactChange> changes);

/// The changes that a user must hear of, in one line; empty where there are none. Left out is what changes no number of
/// a run: where output goes, how long ranks wait, the number of steps under a constant schedule.
std::string told_changes(std::span<const FactChange> changes, const TrainingConfig& training);

}  // namespace coe
