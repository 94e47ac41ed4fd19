#include "launcher/train/memory_note.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>

#include "runtime/config/config_words.h"
#include "runtime/model/model_size.h"

namespace coe {
namespace {

double mebibytes(const Config& config, std::int64_t ranks, Recompute recompute) {
  TrainingUse use = training_use(config, ranks);
  use.recompute = recompute;
  return static_cast<double>(model_size(config.model, use).bytes()) / 0x1p20;
}

double weight_mebibytes(const Config& config, std::int64_t ranks, bool shards_state) {
  TrainingUse use = training_use(config, ranks);
  use.shards_state = shards_state;
  return static_cast<double>(weight_bytes(config.model, use)) / 0x1p20;
}

/// What the other setting of training.shard_optimiser would take.
std::string sharding_note(const Config& config, std::int64_t ranks) {
  if (ranks == 1) return "";
  const bool shards = config.training.shard_optimiser;
  return fmt::format(" ({:.0f} with{} training.shard_optimiser)", weight_mebibytes(config, ranks, !shards),
                     shards ? "out" : "");
}

std::string quoted_word(Recompute recompute) {
  return fmt::format("\"{}\"", kWords<Recompute>[static_cast<std::size_t>(recompute)]);
}

}  // namespace

std::string memory_note(const Config& config, std::int64_t ranks) {
  const Recompute chosen = config.training.recompute;
  std::string others;
  for (const Recompute other : {Recompute::kNone, Recompute::kAttention, Recompute::kLayer}) {
    if (other == chosen) continue;
    others += fmt::format("{}{:.0f} with {}", others.empty() ? "" : ", ", mebibytes(config, ranks, other),
                          quoted_word(other));
  }
  return fmt::format(
      "a rank takes about {:.0f} MiB for weights with gradients and moments{}, and for activations and the rows "
      "exchanged for them {:.0f} MiB with training.recompute {}; {}",
      weight_mebibytes(config, ranks, config.training.shard_optimiser), sharding_note(config, ranks),
      mebibytes(config, ranks, chosen), quoted_word(chosen), others);
}

}  // namespace coe
