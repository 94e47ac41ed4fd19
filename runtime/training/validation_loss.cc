#include "runtime/training/validation_loss.h"

#include <algorithm>
#include <array>

#include "comm/collectives.h"
#include "kernels/memory/error.h"
#include "runtime/data/token_batch.h"

namespace coe {

double validation_loss(Model& model, const RankGroups& groups, const TokenSource& source, std::int64_t sequences,
                       std::int64_t micro_batch, Arena& arena, const std::function<void()>& between) {
  const std::int64_t length = model.config().sequence, available = source.sequences();
  const std::int64_t whole = available < 0 ? sequences : std::min(sequences, available);
  Arena tokens_arena;
  std::array<double, 2> sums{};  // the loss, and the labels that count
  for (std::int64_t done = 0; done < whole; done += micro_batch) {
    if (between) between();
    arena.reset();
    tokens_arena.reset();
    Batch batch = deal_batch(std::min(micro_batch, whole - done), length, groups);
    const TokenBatch tokens = read_token_batch(source, done, batch, tokens_arena);
    batch.documents = tokens.documents;
    sums[0] += model.loss(tokens.ids, tokens.labels, batch, arena);
    sums[1] += static_cast<double>(tokens.counted);
  }
  all_reduce_sum<double>(groups.world(), sums, {"validation"});
  check(sums[1] > 0, "validation: none of its ", whole, " sequences has a label that counts (data.loss_fields)");
  return sums[0] / sums[1];
}

}  // namespace coe
