#pragma once

#include <memory>

#include "comm/collectives.h"
#include "kernels/memory/buffer.h"
#include "runtime/exchange/dispatch_plan.h"

namespace coe {

/// What an exchange cannot be expected to beat: every rank copies the rows that it sends once to where they land at the
/// expert's rank, and the results once back, by plain memcpy and without a word to anybody.
class CopyBound {
 public:
  /// Whether every rank can copy into every other's memory. Collective.
  static bool reaches_all(Group group);
  /// Memory for the rows of `plan`, touched once. Throws kBadInput unless reaches_all(). Collective.
  CopyBound(Group group, const DispatchPlan& plan, std::int64_t hidden);

  /// From the rows of x [T, D], which are read once for each choice; or from rows that lie in the order of sending.
  void copy_out_of_tokens(const Tensor& x) const;
  void copy_out_packed() const;
  /// To the rows' tokens, each choice a row of its own; or to the order of sending.
  void copy_back_to_choices() const;
  void copy_back_packed() const;

  /// Rows as they landed here [expert_rows(), D], as copied back [sent, D]; and where the experts' results are taken
  /// from.
  Tensor landed() const;
  Tensor returned() const { return home_rows(kReturned); }
  Tensor packed() const { return home_rows(kPacked); }
  Tensor results() const;

 private:
  enum HomeRows { kPacked, kReturned };
  Tensor home_rows(HomeRows which) const;
  template <class Copy>
  void for_each_row(const Window& window, const Copy& copy) const;

  Group group_;
  DispatchPlan plan_;
  std::int64_t hidden_;
  std::unique_ptr<Window> landed_, results_;
  Buffer home_;  ///< packed and returned rows
};

}  // namespace coe
