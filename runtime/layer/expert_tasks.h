#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/memory/arena.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Rows of one local expert among the rows of all.
struct TaskRows {
  std::size_t expert;
  std::int64_t first, rows;
};

/// How the rows of one call are shared out among threads, largest experts first: an expert of few rows is one task, one
/// that would keep a thread busy while the others have nothing left is split into tiles of rows. With one thread none
/// is split. Views `offsets`; lives in the arena.
class ExpertTasks {
 public:
  /// Rows of a tile: a whole number of every kernel's, and enough to be worth packing the weights for.
  static constexpr std::int64_t kTileRows = 384;

  /// `offsets` as in ExpertRows, int32 [local experts + 1].
  ExpertTasks(const Tensor& offsets, int threads, Arena& arena);

  bool splits() const { return !split_.empty(); }
  /// The most rows of any whole expert or tile.
  std::int64_t most_rows() const;

  /// Calls visit(TaskRows) for every expert that has rows and is not split.
  template <class Visit>
  void for_each_whole(const Visit& visit) const {
    for (const std::int32_t e : whole_) visit(rows_of(e));
  }
  /// The same for every expert that is split,
  template <class Visit>
  void for_each_split(const Visit& visit) const {
    for (const std::int32_t e : split_) visit(rows_of(e));
  }
  /// and for every tile of those.
  template <class Visit>
  void for_each_tile(const Visit& visit) const {
    for_each_split([&](const TaskRows& all) {
      for (std::int64_t row = 0; row < all.rows; row += kTileRows) {
        visit(TaskRows{all.expert, all.first + row, std::min(kTileRows, all.rows - row)});
      }
    });
  }

 private:
  TaskRows rows_of(std::int32_t expert) const {
    return {static_cast<std::size_t>(expert), offsets_[expert], offsets_[expert + 1] - offsets_[expert]};
  }

  const std::int32_t* offsets_;
  std::span<const std::int32_t> split_, whole_;  ///< experts, most rows first
};

}  // namespace coe
