#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/stream_meeting.h"
#include "kernels/memory/buffer.h"
#include "kernels/routing/rows.h"
#include "runtime/ranks/placement.h"

namespace coe {

/// What a DeviceExchange has room for.
struct DeviceRoom {
  std::int64_t rows = 0;  ///< that one rank's experts may get in an iteration, from all ranks
  std::int64_t hidden = 0, experts = 0;
  int slots = 0;  ///< iterations whose rows stay until the backward
  DType dtype = DType::kF32;
  std::int64_t scores = 0;  ///< of one rank's choices, where ranks must see one another's
  int rounds = 1;           ///< in which ranks tell one another of choices in one iteration
};

/// Rows and one float beside each, in a rank's part of the window.
struct DeviceRows {
  Tensor rows;    ///< [room.rows, D]
  Tensor scalar;  ///< fp32 [room.rows]
};

/// Memory of ranks that share a device, of which each sees the others': rows are written straight to their final place
/// and results are read from where the experts left them. Nothing here knows how many rows there are: that stays on the
/// device. Who may touch what follows from the meetings, which every rank holds in the same order.
class DeviceExchange {
 public:
  /// Collective over `group`.
  DeviceExchange(Group group, const DeviceRoom& room, const Stream& stream);

  int rank() const { return group_.rank(); }
  int ranks() const { return group_.size(); }
  const DeviceRoom& room() const { return room_; }

  /// int32 [R, N]: what each rank told by tell() for a round. Two rounds that follow one another stand apart: a rank
  /// may tell of the next while others read this one.
  const Tensor& table(int round) const { return told(round).table; }
  /// Writes totals int32 [N] into this rank's row of every rank's table.
  void tell(const Tensor& totals, int round, const Stream& stream) const;

  /// fp32 [room.scores] that every rank may read, and int64 [R] where all ranks' stand; apart likewise.
  const Tensor& scores(int round) const { return told(round).scores; }
  const Tensor& score_lists(int round) const { return told(round).score_lists; }

  /// Rows of tokens that arrived at this rank in a slot; gradients that arrived; what the experts make of either.
  const Tensor& arrived(int slot) const { return arrived_[static_cast<std::size_t>(slot)]; }
  const DeviceRows& upstream() const { return upstream_; }
  const DeviceRows& results() const { return results_; }
  /// Where the same stand on all ranks.
  const cuda::RowBlocks& arrived_blocks(int slot) const { return arrived_blocks_[static_cast<std::size_t>(slot)]; }
  const cuda::RowBlocks& upstream_blocks() const { return upstream_blocks_; }
  const cuda::RowBlocks& result_blocks() const { return result_blocks_; }

  StreamMeeting& meeting() { return meeting_; }

 private:
  /// Bytes from a part's beginning.
  struct Layout {
    std::size_t scores = 0, told = 0, arrived = 0, slot = 0, upstream = 0, upstream_scalar = 0, results = 0,
                result_scalar = 0, bytes = 0;
  };
  struct Told {
    Tensor table, scores, score_lists;
  };
  const Told& told(int round) const { return told_[static_cast<std::size_t>(round) % told_.size()]; }
  static Layout layout_of(const DeviceRoom& room, int ranks);
  Tensor view(int rank, std::size_t offset, DType dtype, Shape shape) const;
  Tensor addresses(std::size_t offset, const Stream& stream);

  Group group_;
  DeviceRoom room_;
  Device device_;
  Layout layout_;
  StreamMeeting meeting_;
  std::unique_ptr<Window> window_;
  Buffer address_memory_;
  std::vector<std::int64_t> host_addresses_;
  std::vector<Told> told_;  ///< of even and of odd rounds
  std::vector<Tensor> arrived_;
  DeviceRows upstream_, results_;
  std::vector<cuda::RowBlocks> arrived_blocks_;
  cuda::RowBlocks upstream_blocks_, result_blocks_;
};

}  // namespace coe
