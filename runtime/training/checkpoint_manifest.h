#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/config.h"
#include "runtime/files/safetensors.h"
#include "runtime/training/run_facts.h"
#include "runtime/training/training_state.h"

namespace coe {

/// One safetensors file of a checkpoint. Of a parameter "w" it holds the tensors "w", "w.first_moment" and
/// "w.second_moment".
struct Shard {
  std::string file;  ///< its name in the checkpoint's directory
  SafetensorsDigest digest;

  bool operator==(const Shard&) const = default;
};

/// What manifest.json says: written last, so that a directory that has one is a complete checkpoint.
struct CheckpointManifest {
  TrainingState state;
  std::vector<ConfigEntry> model;  ///< the keys of [model] and [layer]
  std::vector<Shard> shards;

  bool operator==(const CheckpointManifest&) const = default;
};

/// The keys of [model] and [layer].
std::vector<ConfigEntry> model_entries(const ModelConfig& model);

/// A JSON object whose first entry is the number of its format and whose last is the checksum of all text before it.
std::string manifest_text(const CheckpointManifest& manifest);
/// Whether `text` is not, to the last byte, what manifest_text() of this or a later version made.
bool is_damaged_manifest(std::string_view text);
/// Throws kBadInput, naming `file`, for text that differs in any byte from what manifest_text() can have made, now or
/// when its format was "coe-checkpoint-2": then without facts of the run.
CheckpointManifest parse_manifest(std::string_view text, const std::filesystem::path& file);

/// Shards as text, for their way to the rank that writes the manifest.
std::string shards_text(const std::vector<Shard>& shards);
std::vector<Shard> parse_shards(std::string_view text);

/// Throws kBadInput where the weights that `file` describes are another model's than `model`, of other shapes or
/// another meaning: the first key that differs, with both values. Returns what else of the model's keys differs: how it
/// is trained and how many choices its experts take, which may change when it goes on or is judged.
std::vector<FactChange> require_same_weights(const CheckpointManifest& manifest, const ModelConfig& model,
                                             const std::filesystem::path& file);

}  // namespace coe
