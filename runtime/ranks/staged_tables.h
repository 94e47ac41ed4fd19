#pragma once

#include <array>
#include <vector>

#include "comm/posted_collective.h"
#include "kernels/memory/buffer.h"
#include "runtime/ranks/row_tables.h"

namespace coe {

/// Tables on a device whose memory peers do not see: counts go to the host, by messages to all ranks, and the table
/// back to the device. Scores are not told. Views the stream.
class StagedTables : public RowTables {
 public:
  /// Throws kBadInput where scores would have to be told.
  StagedTables(const Group& group, const TablesRoom& room, const Stream& stream);

  /// Waits for the stream.
  void tell(const Tensor& counts, int round, const Phase& phase) override;
  void tell_scores(const Phase& phase) override;
  Tensor table(int round) const override { return tables_[round > 0 ? 1 : 0]; }
  Tensor scores(int /*round*/) const override { return {}; }
  Tensor score_lists(int /*round*/) const override { return {}; }

 private:
  void await_told() override;

  Group group_;
  const Stream* stream_;
  std::vector<std::int32_t> mine_, all_;
  PostedCollective collective_;
  int round_ = 0;
  Buffer memory_;
  std::array<Tensor, 2> tables_;  ///< the iteration's own, and that of the rounds
};

}  // namespace coe
