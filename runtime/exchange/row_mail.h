#pragma once

#include <cstdint>
#include <vector>

#include "comm/collectives.h"
#include "kernels/memory/buffer.h"
#include "runtime/exchange/exchange.h"

namespace coe {

/// Rows of one exchange to and from ranks that are reached by messages alone: one message each way a rank, whose rows
/// land in their places at the experts' side. At the home's side they lie as the plan sends them.
class RowMail {
 public:
  /// by_message [R] says which ranks; where it is none, nothing here does anything.
  RowMail(std::int64_t hidden, std::vector<bool> by_message);

  /// Begins to send this rank's rows of x, with `scalar` unless that is nullptr, and to receive others' into `places`.
  void begin_dispatch(const Group& group, const DispatchPlan& plan, const Tensor& x, const Tensor* scalar,
                      const ExpertRows& places, const Phase& phase);
  /// Begins to send `results` home, and to receive this rank's.
  void begin_combine(const Group& group, const DispatchPlan& plan, const ExpertRows& results, const Phase& phase);
  /// Waits for what was begun.
  void finish(const Group& group, const Phase& phase);

  /// What came back from `peer`, reached by messages, for sent row `sent` of the plan, and the scalar beside it.
  const float* row(int peer, std::int64_t sent) const { return rows_.data<float>() + place_of(peer, sent) * hidden_; }
  const float* scalar(int peer, std::int64_t sent) const { return scalars_.data<float>() + place_of(peer, sent); }
  std::size_t bytes() const { return memory_.bytes(); }

 private:
  std::int64_t place_of(int peer, std::int64_t sent) const { return sent - skipped_[static_cast<std::size_t>(peer)]; }
  void lay_out(const Group& group, const DispatchPlan& plan, const ExpertRows& places);
  void make_room(const DispatchPlan& plan);
  void add_home(const DispatchPlan& plan, int peer);
  void add_expert(const DispatchPlan& plan, int peer, const ExpertRows& places);
  void gather(const DispatchPlan& plan, const Tensor& x, const Tensor* scalar);

  std::int64_t hidden_;
  std::vector<bool> by_message_;
  bool any_, with_scalar_ = false;
  Buffer memory_;
  Tensor rows_, scalars_;              ///< [sent to these ranks, D] and [the same]
  std::vector<std::int64_t> skipped_;  ///< [R] rows sent to other ranks before this one's
  std::vector<Piece> pieces_;
  std::vector<Message> home_, expert_;
  Ticket ticket_;
};

}  // namespace coe
