#pragma once

#include <array>
#include <vector>

#include "comm/stream_meeting.h"
#include "kernels/memory/buffer.h"
#include "runtime/ranks/row_tables.h"

namespace coe {

/// Tables in memory that ranks of one device share: each rank's stream writes its row into everybody's table, and the
/// streams meet. Two rounds that follow one another stand apart, for a rank may tell of the next while others still
/// read this one.
class StreamTables : public RowTables {
 public:
  StreamTables(const Group& group, const TablesRoom& room, const Stream& stream);

  void tell(const Tensor& counts, int round, const Phase& phase) override;
  void tell_scores(const Phase& phase) override;
  Tensor table(int round) const override { return at(round).table; }
  Tensor scores(int round) const override { return at(round).scores; }
  Tensor score_lists(int round) const override { return at(round).score_lists; }

 private:
  static constexpr int kApart = 2;
  struct Round {
    std::size_t offset = 0;  ///< of the table in every rank's part
    Tensor table, scores, score_lists;
  };
  void await_told() override;
  const Round& at(int round) const { return rounds_[static_cast<std::size_t>(round % kApart)]; }
  Tensor view(int rank, std::size_t offset, DType dtype, Shape shape) const;

  Group group_;
  const Stream* stream_;
  StreamMeeting meeting_;
  Phase phase_;
  std::unique_ptr<Window> window_;
  Buffer address_memory_;
  std::vector<std::int64_t> addresses_;
  std::array<Round, kApart> rounds_;
};

}  // namespace coe
