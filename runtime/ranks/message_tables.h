#pragma once

#include <array>
#include <vector>

#include "comm/device_messages.h"
#include "kernels/memory/buffer.h"
#include "runtime/ranks/row_tables.h"

namespace coe {

/// Tables on devices between which only messages go: every rank's counts, and scores, are gathered into a table that
/// each rank has for itself. Views the stream.
class MessageTables : public RowTables {
 public:
  /// `group` has messages.
  MessageTables(const Group& group, const TablesRoom& room, const Stream& stream);

  void tell(const Tensor& counts, int round, const Phase& phase) override;
  void tell_scores(const Phase& phase) override;
  Tensor table(int round) const override { return at(round).table; }
  Tensor scores(int round) const override;
  Tensor score_lists(int round) const override { return at(round).score_lists; }

 private:
  static constexpr int kApart = 2;
  /// The iteration's own, and that of the rounds, which are read before the next.
  struct Round {
    Tensor table;
    Tensor scores;  ///< [R, as many as one rank may have]
    Tensor score_lists;
  };
  const Round& at(int round) const { return rounds_[round > 0 ? 1 : 0]; }
  void tell_scores_of(const Round& round, const Phase& phase);
  void await_told() override;

  Group group_;
  const Stream* stream_;
  Buffer memory_;
  std::vector<std::int64_t> addresses_;
  std::array<Round, kApart> rounds_;
  std::vector<Ticket> told_;
};

}  // namespace coe
