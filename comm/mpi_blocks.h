#pragma once

#include <mpi.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "comm/transport.h"

namespace coe {

/// Where one MPI call sends from or receives into: `count` of `type` at `address`. What is under way keeps a type of
/// its own alive.
class MpiMemory {
 public:
  /// Bytes at addresses[i], lengths[i] of them, in this order; at least one block.
  MpiMemory(std::span<const MPI_Aint> addresses, std::span<const int> lengths);
  ~MpiMemory();
  MpiMemory(const MpiMemory&) = delete;
  MpiMemory& operator=(const MpiMemory&) = delete;

  void* address() const { return address_; }
  int count() const { return count_; }
  MPI_Datatype type() const { return type_; }

 private:
  void* address_ = MPI_BOTTOM;
  int count_ = 1;
  MPI_Datatype type_ = MPI_BYTE;
};

/// Pieces of one message as MPI is given them: what lies together is one block. Its vectors keep their memory.
class MpiBlocks {
 public:
  /// Calls visit(*this) for each part of at most `longest` bytes that a message goes as: where it is cut depends on its
  /// bytes alone, not on its pieces.
  template <class Visit>
  void cut(std::span<const Piece> pieces, std::size_t longest, const Visit& visit) {
    clear();
    for (const Piece& piece : pieces) {
      for (std::size_t at = 0; at < piece.bytes;) {
        const std::size_t bytes = std::min(piece.bytes - at, longest - bytes_);
        add(piece.data + at, bytes);
        at += bytes;
        if (bytes_ == longest) hand_over(visit);
      }
    }
    if (bytes_ > 0) hand_over(visit);
  }

  std::size_t bytes() const { return bytes_; }
  std::size_t blocks() const { return lengths_.size(); }
  MpiMemory memory() const { return {addresses_, lengths_}; }

 private:
  template <class Visit>
  void hand_over(const Visit& visit) {
    visit(*this);
    clear();
  }
  void add(std::byte* data, std::size_t bytes);
  void clear();

  std::vector<MPI_Aint> addresses_;
  std::vector<int> lengths_;
  std::size_t bytes_ = 0;
};

}  // namespace coe
