#pragma once

#include <cstdint>
#include <memory>

#include "comm/group.h"
#include "runtime/exchange/flight.h"

namespace coe {

/// Rows with a scalar each in a window, of which every rank has room for as many, and numbers that ranks raise there.
class RowWindow {
 public:
  enum Channel : int { kReady, kDone };  ///< rows are there; they are no longer needed
  static constexpr int kChannels = 2;

  RowWindow(const Group& group, std::int64_t hidden) : group_(group), hidden_(hidden) {}

  /// Makes room for `rows` rows: by doubling where it is too small, and less where for long it was much too large.
  /// Collective, and with the same rows everywhere.
  void fit(std::int64_t rows);
  /// Begins another use of it; number() counts them since the window was made.
  void use() { ++number_; }
  std::uint64_t number() const { return number_; }

  /// The rows of `rank`, which must be mapped.
  ExpertRows rows_of(int rank, const DispatchPlan& plan, bool with_scalar) const;
  bool mapped(int rank) const { return window_->of(rank) != nullptr; }
  const Signals& signals() const { return *signals_; }

  std::size_t bytes() const { return window_ == nullptr ? 0 : window_->bytes(); }
  int growths() const { return growths_; }

 private:
  void make(std::int64_t rows);

  Group group_;
  std::int64_t hidden_, room_ = 0, least_ = 0;
  std::unique_ptr<Window> window_;
  std::unique_ptr<Signals> signals_;
  std::uint64_t number_ = 0;
  std::int64_t peak_ = 0;  ///< rows since the last look
  int uses_ = 0, growths_ = 0;
};

}  // namespace coe
