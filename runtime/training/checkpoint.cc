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
#include "runtime/training/checkpoint_manifest.h"
#include "runtime/training/checkpoint_tensors.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

constexpr Phase kSaving{.name = "saving a checkpoint"};
constexpr Phase kLoading{.name = "loading a checkpoint"};
constexpr Phase kLooking{.name = "looking for a checkpoint"};

/// A file that this rank writes.
struct OwnFile {
  std::string name;
  WrittenTensors written;
};

/// Weights that several ranks hold are written by the first of them, or where their state lies in pieces by all.
std::vector<OwnFile> own_files(const Parameters& parameters, const Group& world, const Group& replicas,
                               bool with_experts) {
  std::vector<OwnFile> files;
  const auto add = [&](std::string name, WrittenTensors written) {
    if (!written.tensors.empty()) files.push_back({std::move(name), std::move(written)});
  };
  if (parameters.replicated().in_pieces) {
    add(fmt::format("replicated_{:03}.safetensors", world.rank()), gather_written_tensors(parameters, false, world));
  } else if (world.rank() == 0) {
    add("replicated.safetensors", written_tensors(parameters, false));
  }
  const std::string experts = fmt::format("experts_{:03}.safetensors", world.rank());
  if (parameters.experts().in_pieces) {
    add(experts, gather_written_tensors(parameters, true, replicas));
  } else if (with_experts) {
    add(experts, written_tensors(parameters, true));
  }
  return files;
}

std::vector<Shard> write_shards(const fs::path& directory, std::vector<OwnFile>& files, WorkSigns& signs) {
  std::vector<Shard> shards;
  for (auto& [name, written] : files) {
    shards.push_back(
        {name, write_safetensors(directory / name, {{"format", "coe-checkpoint-shard-1"}}, std::move(written.tensors),
                                 [&](std::uint64_t bytes) { signs.did(bytes); })});
  }
  return shards;
}

void write_manifest(const fs::path& directory, const CheckpointManifest& manifest) {
  DurableFile file(directory / kManifestFile);
  file.write(manifest_text(manifest));
  file.commit();
}

/// Runs `work` on rank 0 while the others wait for how it ends; returns what it returned, everywhere.
std::string on_first_rank(Group world, const DiskPatience& patience, const Phase& phase,
                          const std::function<std::string()>& work) {
  return work_on_disk(
      world, patience, phase, [](WorkSigns&) { return std::string(); },
      [&](const std::vector<std::string>&, WorkSigns&) { return work(); });
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

/// What a rank does with one shard: it reads `wanted`, and checks all of it where it is the one to.
struct ShardWork {
  bool checks_all = false;
  std::map<std::string, WantedTensor> wanted;  ///< where a tensor of the shard goes
};

/// Every shard is checked by one rank: by the one that wrote it, where as many ranks read it.
int checker_of(std::size_t shard, int ranks) {
  return shard == 0 ? 0 : static_cast<int>((shard - 1) % static_cast<std::size_t>(ranks));
}

/// This rank's work on each shard. Throws kBadInput where a tensor is in none.
std::vector<ShardWork> plan_shards(const fs::path& directory, const CheckpointManifest& manifest,
                                   const Parameters& parameters, Group world) {
  std::vector<ShardWork> works(manifest.shards.size());
  std::map<std::string, std::size_t, std::less<>> shard_of;
  for (std::size_t i = 0; i < works.size(); ++i) {
    works[i].checks_all = checker_of(i, world.size()) == world.rank();
    for (const auto& [name, sum] : manifest.shards[i].digest.tensors) shard_of[name] = i;
  }
  for (auto& [name, wanted] : wanted_tensors(parameters)) {
    const auto shard = shard_of.find(name);
    check(shard != shard_of.end(), directory.string(), ": has no tensor ", name);
    if (!wanted.parts.empty()) works[shard->second].wanted.emplace(name, std::move(wanted));
  }
  return works;
}

void read_tensor(const fs::path& path, const std::string& name, const Tensor& from, const WantedTensor& wanted) {
  check(from.dtype() == DType::kF32 && from.shape() == wanted.shape, path.string(), ": tensor ", name, " is ",
        name_of(from.dtype()), " ", from.shape().text(), ", must be F32 ", wanted.shape.text());
  for (const auto& [first, into] : wanted.parts) {
    std::memcpy(into.raw(), from.raw() + static_cast<std::size_t>(first) * sizeof(float), into.bytes());
  }
}

/// Throws Damage for what is not as the manifest says.
void read_shard(const fs::path& path, const SafetensorsDigest& digest, const ShardWork& work, WorkSigns& signs) {
  if (!work.checks_all && work.wanted.empty()) return;
  const SafetensorsFile file = undamaged([&] {
    SafetensorsFile opened(path);
    opened.require_header(digest);
    return opened;
  });
  for (const auto& listed : digest.tensors) {
    const std::string& name = listed.first;
    const auto wanted = work.wanted.find(name);
    if (!work.checks_all && wanted == work.wanted.end()) continue;
    const Tensor tensor = undamaged([&] {
      file.require_tensor(digest, name);
      return file.tensor(name);
    });
    if (wanted != work.wanted.end()) read_tensor(path, name, tensor, wanted->second);
    signs.did(tensor.bytes());
  }
}

void read_shards(const fs::path& directory, const CheckpointManifest& manifest, const Parameters& parameters,
                 Group world, WorkSigns& signs) {
  const std::vector<ShardWork> works = plan_shards(directory, manifest, parameters, world);
  for (std::size_t i = 0; i < works.size(); ++i) {
    const Shard& shard = manifest.shards[i];
    read_shard(directory / shard.file, shard.digest, works[i], signs);
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

/// The manifest's text, everywhere, as rank 0 reads it; says on all ranks which damage it has.
std::string agreed_manifest(const fs::path& checkpoint, Group world, const DiskPatience& patience,
                            std::string& damage) {
  constexpr char kRight = 'r', kDamaged = 'd';
  std::string answer = on_first_rank(world, patience, kLoading, [&] {
    std::string text;
    const std::string found = damage_in([&] { text = read_manifest(checkpoint); });
    return found.empty() ? kRight + text : kDamaged + found;
  });
  const bool right = answer.front() == kRight;
  answer.erase(0, 1);
  if (right) return answer;
  damage = answer;
  return {};
}

/// Loads a checkpoint on all ranks, or says on all which damage it has; the parameters are then worthless.
std::string load_undamaged(const fs::path& checkpoint, const ModelConfig& model, Parameters& parameters, Group world,
                           const DiskPatience& patience, FoundCheckpoint& found) {
  std::string damage;
  const std::string text = agreed_manifest(checkpoint, world, patience, damage);
  if (!damage.empty()) return damage;
  return work_on_disk(
      world, patience, kLoading,
      [&](WorkSigns& signs) {
        const CheckpointManifest manifest = parse_manifest(text, checkpoint / kManifestFile);
        found.changes = require_same_weights(manifest, model, checkpoint);
        found.state = manifest.state;
        return damage_in([&] { read_shards(checkpoint, manifest, parameters, world, signs); });
      },
      [](const std::vector<std::string>& damages, WorkSigns&) {
        const auto damaged = std::ranges::find_if(damages, [](const std::string& one) { return !one.empty(); });
        return damaged == damages.end() ? std::string() : *damaged;
      });
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
std::vector<fs::path> agreed_checkpoints(const fs::path& place, Group world, const DiskPatience& patience) {
  const std::string list = on_first_rank(world, patience, kLooking, [&] {
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
                         const Parameters& parameters, Group world, std::int64_t expert_parallel,
                         const Group& replicas) {
  const fs::path checkpoint = checkpoint_path(place.directory, state.step);
  std::optional<UnfinishedCheckpoint> unfinished;  // of rank 0; goes when every rank has stopped writing
  on_first_rank(world, place.patience, kSaving, [&] {
    unfinished.emplace(checkpoint);
    return std::string();
  });
  const fs::path directory = UnfinishedCheckpoint::path_for(checkpoint);
  const bool with_experts = expert_parallel == 0 || world.rank() < expert_parallel;
  std::vector<OwnFile> files = own_files(parameters, world, replicas, with_experts);
  const auto write = [&](WorkSigns& signs) { return shards_text(write_shards(directory, files, signs)); };
  const auto publish = [&](const std::vector<std::string>& written, WorkSigns& signs) {
    CheckpointManifest manifest{state, model_entries(model), {}};
    for (const std::string& text : written) {
      for (Shard& shard : parse_shards(text)) manifest.shards.push_back(std::move(shard));
    }
    write_manifest(directory, manifest);
    std::string left = unfinished->publish();
    signs.did(0);
    if (left.empty()) left = remove_old_checkpoints(place.directory, place.kept, checkpoint);
    if (!left.empty() && place.patience.say) place.patience.say(left);
    return std::string();
  };
  work_on_disk(world, place.patience, kSaving, write, publish);
  return checkpoint;
}

std::optional<FoundCheckpoint> load_checkpoint(const fs::path& place, Damaged damaged, const ModelConfig& model,
                                               Parameters& parameters, Group world, const DiskPatience& patience) {
  const std::vector<fs::path> checkpoints = agreed_checkpoints(place, world, patience);
  FoundCheckpoint found;
  for (const fs::path& checkpoint : checkpoints) {
    std::string damage = load_undamaged(checkpoint, model, parameters, world, patience, found);
    if (damage.empty()) {
      found.path = checkpoint;
      for (std::string& line : found.damage) line += "; going on with " + checkpoint.filename().string();
      return found;
    }
    if (damaged == Damaged::kSetAside) {
      damage += "; set aside as " +
                on_first_rank(world, patience, kLooking, [&] { return set_aside(checkpoint).filename(); });
    }
    found.damage.push_back("damaged checkpoint: " + damage);
  }
  check(found.damage.empty(), found.damage.empty() ? "" : found.damage.front(),
        found.damage.size() > 1 ? "; older ones are damaged too" : "");
  return std::nullopt;
}

}  // namespace coe
