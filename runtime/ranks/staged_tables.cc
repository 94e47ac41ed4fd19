#include "runtime/ranks/staged_tables.h"

#include <span>

#include "kernels/memory/error.h"
#include "runtime/ranks/read_back.h"

namespace coe {

StagedTables::StagedTables(const Group& group, const TablesRoom& room, const Stream& stream)
    : group_(group),
      stream_(&stream),
      all_(static_cast<std::size_t>(group.size() * room.experts)),
      memory_(2 * all_.size() * sizeof(std::int32_t), stream.device()) {
  check(room.scores == 0,
        "layer.drop_policy: \"probability\" needs GPUs that see one another's memory, those of one host; \"position\" "
        "does not");
  const Tensor both(memory_.data(), DType::kI32, {2, group.size(), room.experts}, stream.device());
  tables_ = {both[0], both[1]};
}

void StagedTables::tell(const Tensor& counts, int round, const Phase& phase) {
  round_ = round;
  mine_ = read_back<std::int32_t>(counts, group_, *stream_, phase);
  collective_.all_gather(group_, std::as_bytes(std::span(mine_)), std::as_writable_bytes(std::span(all_)), phase);
}

void StagedTables::tell_scores(const Phase& /*phase*/) {
  fail(ErrorCode::kInternal, "staged tables: scores are not told");
}

void StagedTables::await_told() {
  collective_.done().get();
  copy(Tensor(all_.data(), DType::kI32, table(round_).shape()), table(round_), *stream_);
}

}  // namespace coe
