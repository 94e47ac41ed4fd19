#include "runtime/training/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/memory/error.h"
#include "runtime/files/durable_file.h"
#include "runtime/files/safetensors.h"
#include "runtime/ranks/agree.h"
#include "runtime/training/checkpoint_manifest.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

constexpr Phase kSaving{.name = "saving a checkpoint"};
constexpr Phase kLoading{.name = "loading a checkpoint"};
constexpr Phase kLooking{.name = "looking for a checkpoint"};

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
  Shard shard{file, {}};
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.expert != expert) continue;
    for (const Kept& kept : kKept) {
      const Tensor& tensor = parameter.*kept.tensor;
      if (tensor.raw() != nullptr) tensors.push_back({parameter.name + kept.suffix, tensor});
    }
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

/// What makes a checkpoint damaged; never leaves this file.
struct Damage {
  std::string message;
};

/// Takes it for damage where `work` finds a file that is not what it must be.
template <class Work>
auto undamaged(const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBadInput) throw;
    throw Damage{error.what()};
  }
}

/// The damage that `work` meets; empty where there is none.
std::string damage_in(const std::function<void()>& work) {
  try {
    work();
  } catch (const Damage& damage) {
    return damage.message;
  }
  return {};
}

/// Shards of a checkpoint, each opened when it is first needed. Throws Damage for what is not as the manifest says.
class CheckedShards {
 public:
  CheckedShards(const fs::path& directory, const CheckpointManifest& manifest)
      : directory_(directory), manifest_(&manifest), files_(manifest.shards.size()) {
    for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
      for (const auto& [name, sum] : manifest.shards[i].digest.tensors) shard_of_[name] = i;
    }
  }

  void check_all() {
    for (const auto& [name, shard] : shard_of_) checked(shard, name);
    for (std::size_t i = 0; i < files_.size(); ++i) file(i);
  }

  /// The tensor of this name, which must be of this shape.
  Tensor tensor(const std::string& name, const Shape& shape) {
    const auto shard = shard_of_.find(name);
    check(shard != shard_of_.end(), directory_.string(), ": has no tensor ", name);
    const Tensor found = checked(shard->second, name);
    check(found.dtype() == DType::kF32 && found.shape() == shape, path(shard->second).string(), ": tensor ", name,
          " is ", name_of(found.dtype()), " ", found.shape().text(), ", must be F32 ", shape.text());
    return found;
  }

 private:
  fs::path path(std::size_t shard) const { return directory_ / manifest_->shards[shard].file; }

  Tensor checked(std::size_t shard, const std::string& name) {
    const SafetensorsFile& opened = file(shard);
    return undamaged([&] {
      opened.require_tensor(manifest_->shards[shard].digest, name);
      return opened.tensor(name);
    });
  }

  const SafetensorsFile& file(std::size_t shard) {
    std::optional<SafetensorsFile>& opened = files_[shard];
    if (opened) return *opened;
    undamaged([&] {
      opened.emplace(path(shard));
      opened->require_header(manifest_->shards[shard].digest);
    });
    return *opened;
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
      const Tensor from = shards.tensor(parameter.name + kept.suffix, into.shape());
      std::memcpy(into.raw(), from.raw(), into.bytes());
    }
  }
}

std::string read_manifest(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kManifestFile;
  return undamaged([&] {
    const MappedFile file(path);
    std::string text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
    check(!is_damaged_manifest(text), path.string(), ": does not end with the checksum of its text");
    return text;
  });
}

/// Loads a checkpoint on all ranks, or says on all which damage it has; the parameters are then worthless.
std::string load_undamaged(const fs::path& checkpoint, const ModelConfig& model, Parameters& parameters, Group world,
                           FoundCheckpoint& found) {
  std::string text;
  const std::string damage =
      on_first_rank(world, kLoading, [&] { return damage_in([&] { text = read_manifest(checkpoint); }); });
  if (!damage.empty()) return damage;
  text = on_first_rank(world, kLoading, [&] { return text; });
  const std::vector<std::string> damages = agree(world, kLoading, [&] {
    const CheckpointManifest manifest = parse_manifest(text, checkpoint / kManifestFile);
    found.changes = require_same_weights(manifest, model, checkpoint);
    found.state = manifest.state;
    return damage_in([&] {
      CheckedShards shards(checkpoint, manifest);
      if (world.rank() == 0) shards.check_all();
      read_parameters(shards, parameters);
    });
  });
  const auto damaged = std::ranges::find_if(damages, [](const std::string& one) { return !one.empty(); });
  return damaged == damages.end() ? std::string() : *damaged;
}

/// Throws where checkpoints of `place` were set aside: a run must not begin anew over them unasked.
void require_none_set_aside(const fs::path& place) {
  for (const fs::path& directory : {place, place / "checkpoints"}) {
    const std::vector<fs::path> aside = set_aside_in(directory);
    check(aside.empty(), directory.string(), ": holds no checkpoint but damaged ones, of which ",
          aside.empty() ? "" : aside.back().filename().string(), " is the newest");
  }
}

/// The checkpoints of `place` as rank 0 sees them: shared disks may show a new one to some ranks later than to others.
std::vector<fs::path> agreed_checkpoints(const fs::path& place, Group world) {
  const std::string list = on_first_rank(world, kLooking, [&] {
    std::string names;
    for (const fs::path& path : checkpoints_of(place)) names += path.string() + '\0';
    if (names.empty()) require_none_set_aside(place);
    return names;
  });
  std::vector<fs::path> paths;
  for (std::size_t begin = 0; begin < list.size();) {
    paths.emplace_back(list.c_str() + begin);
    begin += paths.back().native().size() + 1;
  }
  return paths;
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

std::optional<FoundCheckpoint> load_checkpoint(const fs::path& place, Damaged damaged, const ModelConfig& model,
                                               Parameters& parameters, Group world) {
  const std::vector<fs::path> checkpoints = agreed_checkpoints(place, world);
  FoundCheckpoint found;
  for (const fs::path& checkpoint : checkpoints) {
    std::string damage = load_undamaged(checkpoint, model, parameters, world, found);
    if (damage.empty()) {
      found.path = checkpoint;
      for (std::string& line : found.damage) line += "; going on with " + checkpoint.filename().string();
      return found;
    }
    if (damaged == Damaged::kSetAside) {
      damage += "; set aside as " + on_first_rank(world, kLooking, [&] { return set_aside(checkpoint).filename(); });
    }
    found.damage.push_back("damaged checkpoint: " + damage);
  }
  check(found.damage.empty(), found.damage.empty() ? "" : found.damage.front(),
        found.damage.size() > 1 ? "; older ones are damaged too" : "");
  return std::nullopt;
}

}  // namespace coe
