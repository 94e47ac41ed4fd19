#include "runtime/training/mean_loss.h"

#include <algorithm>

#include "comm/collectives.h"
#include "runtime/data/token_batch.h"

namespace coe {

double mean_loss(Model& model, const RankGroups& groups, const TokenSource& source, std::int64_t sequences,
                 std::int64_t micro_batch, Arena& arena, const std::function<void()>& between) {
  const std::int64_t length = model.config().sequence, available = source.sequences();
  const std::int64_t whole = available < 0 ? sequences : std::min(sequences, available);
  double sum = 0;
  for (std::int64_t done = 0; done < whole; done += micro_batch) {
    if (between) between();
    arena.reset();
    const Batch batch = deal_batch(std::min(micro_batch, whole - done), length, groups);
    const TokenBatch tokens = read_token_batch(source, done, batch, arena);
    sum += model.loss(tokens.ids, tokens.labels, batch, arena);
  }
  all_reduce_sum<double>(groups.world(), {&sum, 1}, {"validation"});
  return sum / static_cast<double>(whole * length);
}

}  // namespace coe
