#include "runtime/checkpoint.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "runtime/agree.h"
#include "runtime/checkpoint_manifest.h"
#include "runtime/safetensors.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

constexpr Phase kSaving{.name = "saving a checkpoint"};
constexpr Phase kLoading{.name = "loading a checkpoint"};

/// One of a parameter's tensors and how a shard names it.
struct Kept {
  const char* suffix;
  Tensor Parameter::*tensor;
};
constexpr Kept kKept[] = {{"", &Parameter::value},
                          {".first_moment", &Parameter::first_moment},
                          {".second_moment", &Parameter::second_moment}};

/// Writes this rank's parameters of one kind; no file where it has none.
std::vector<Shard> write_shard(const fs::path& directory, const std::string& file, const Parameters& parameters,
                               bool expert) {
  Shard shard{file, {}, {}};
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.expert != expert) continue;
    shard.parameters.push_back(parameter.name);
    for (const Kept& kept : kKept) tensors.push_back({parameter.name + kept.suffix, parameter.*kept.tensor});
  }
  if (tensors.empty()) return {};
  shard.digest = write_safetensors(directory / file, {{"format", "coe-checkpoint-shard-1"}}, std::move(tensors));
  return {std::move(shard)};
}

std::vector<Shard> write_shards(const fs::path& directory, const Parameters& parameters, int rank, bool with_experts) {
  std::vector<Shard> shards;
  if (rank == 0) shards = write_shard(directory, "replicated.safetensors", parameters, false);
  if (!with_experts) return shards;
  const std::string file = fmt::format("experts_{:03}.safetensors", rank);
  for (Shard& shard : write_shard(directory, file, parameters, true)) shards.push_back(std::move(shard));
  return shards;
}

void write_manifest(const fs::path& directory, const CheckpointManifest& manifest) {
  DurableFile file(directory / kManifestFile);
  file.write(manifest_text(manifest));
  file.commit();
}

/// Runs `work` on rank 0 while the others wait for how it ends; returns what it returned, everywhere.
std::string on_first_rank(Group world, const Phase& phase, const std::function<std::string()>& work) {
  return agree(world, phase, [&] { return world.rank() == 0 ? work() : std::string(); }).front();
}

/// Shards of a checkpoint that are open and found to be what the manifest says.
class CheckedShards {
 public:
  CheckedShards(const fs::path& directory, const CheckpointManifest& manifest)
      : directory_(directory), manifest_(&manifest), files_(manifest.shards.size()) {
    for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
      for (const std::string& name : manifest.shards[i].parameters) shard_of_[name] = i;
    }
  }

  void check_all() {
    for (std::size_t i = 0; i < files_.size(); ++i) file(i);
  }

  /// Tensor `name` + `suffix` of the shard that holds parameter `name`, which must be of this shape.
  Tensor tensor(const std::string& name, const char* suffix, const Shape& shape) {
    const auto shard = shard_of_.find(name);
    check(shard != shard_of_.end(), directory_.string(), ": has no parameter ", name);
    const Tensor found = file(shard->second).tensor(name + suffix);
    check(found.dtype() == DType::kF32 && found.shape() == shape, path(shard->second).string(), ": tensor ", name,
          suffix, " is ", name_of(found.dtype()), " ", found.shape().text(), ", must be F32 ", shape.text());
    return found;
  }

 private:
  fs::path path(std::size_t shard) const { return directory_ / manifest_->shards[shard].file; }

  const SafetensorsFile& file(std::size_t shard) {
    std::optional<SafetensorsFile>& opened = files_[shard];
    if (opened) return *opened;
    const FileDigest wanted = manifest_->shards[shard].digest;
    const MappedFile bytes(path(shard));
    const FileDigest found = digest_of(bytes.bytes());
    check(found.bytes == wanted.bytes, path(shard).string(), ": is damaged: has ", found.bytes,
          " bytes, the manifest says ", wanted.bytes);
    check(found.xxh64 == wanted.xxh64, path(shard).string(), ": is damaged: its checksum is ",
          fmt::format("{:016x}, the manifest says {:016x}", found.xxh64, wanted.xxh64));
    return opened.emplace(path(shard));
  }

  fs::path directory_;
  const CheckpointManifest* manifest_;
  std::map<std::string, std::size_t, std::less<>> shard_of_;
  std::vector<std::optional<SafetensorsFile>> files_;
};

void read_parameters(CheckedShards& shards, Parameters& parameters) {
  for (const Parameter& parameter : parameters.all()) {
    for (const Kept& kept : kKept) {
      const Tensor& into = parameter.*kept.tensor;
      if (into.raw() == nullptr) continue;
      const Tensor from = shards.tensor(parameter.name, kept.suffix, into.shape());
      std::memcpy(into.raw(), from.raw(), into.bytes());
    }
  }
}

std::string read_manifest(const fs::path& checkpoint) {
  check(fs::is_directory(checkpoint), checkpoint.string(), ": is not a checkpoint: no such directory");
  check(fs::exists(checkpoint / kManifestFile), checkpoint.string(), ": is not a complete checkpoint: has no ",
        kManifestFile);
  const MappedFile file(checkpoint / kManifestFile);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace

fs::path save_checkpoint(const CheckpointPlace& place, const TrainingState& state, const ModelConfig& model,
                         const Parameters& parameters, Group world, std::int64_t expert_parallel) {
  const fs::path checkpoint = checkpoint_path(place.directory, state.step);
  std::optional<UnfinishedCheckpoint> unfinished;  // of rank 0; goes when every rank has stopped writing
  on_first_rank(world, kSaving, [&] {
    unfinished.emplace(checkpoint);
    return std::string();
  });
  const fs::path directory = UnfinishedCheckpoint::path_for(checkpoint);
  const bool with_experts = expert_parallel == 0 || world.rank() < expert_parallel;
  const std::vector<std::string> written = agree(
      world, kSaving, [&] { return shards_text(write_shards(directory, parameters, world.rank(), with_experts)); });
  on_first_rank(world, kSaving, [&] {
    CheckpointManifest manifest{state, model_entries(model), {}};
    for (const std::string& text : written) {
      for (Shard& shard : parse_shards(text)) manifest.shards.push_back(std::move(shard));
    }
    write_manifest(directory, manifest);
    unfinished->publish();
    remove_old_checkpoints(place.directory, place.kept, checkpoint);
    return std::string();
  });
  return checkpoint;
}

TrainingState load_checkpoint(const fs::path& checkpoint, const ModelConfig& model, Parameters& parameters,
                              Group world) {
  const std::string text = on_first_rank(world, kLoading, [&] { return read_manifest(checkpoint); });
  TrainingState state;
  agree(world, kLoading, [&] {
    const CheckpointManifest manifest = parse_manifest(text, checkpoint / kManifestFile);
    require_same_model(manifest, model, checkpoint);
    CheckedShards shards(checkpoint, manifest);
    if (world.rank() == 0) shards.check_all();
    read_parameters(shards, parameters);
    state = manifest.state;
    return std::string();
  });
  return state;
}

}  // namespace coe
