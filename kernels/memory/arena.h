#pragma once

#include <cstddef>
#include <vector>

#include "kernels/memory/buffer.h"
#include "kernels/memory/tensor.h"

namespace coe {

/// Memory of one step: tensors are carved off it and all given back at once, so that a steady step allocates nothing.
///
/// When a step needs more than there is, a block is added (counted by growths()), and the next reset() to the start
/// makes one block of the whole size. Not thread-safe; one Arena belongs to one rank.
class Arena {
 public:
  explicit Arena(std::size_t bytes = 0, Device device = kCpu);

  /// An uninitialised tensor, aligned to 64 bytes, valid until the Arena is reset below it.
  Tensor make(DType dtype, Shape shape);
  template <class T>
  Tensor make(Shape shape) {
    return make(dtype_of<T>(), shape);
  }
  /// The same, filled with zero bytes.
  template <class T>
  Tensor zeros(Shape shape) {
    return zeros(dtype_of<T>(), shape);
  }
  /// Only of an Arena on the CPU; elsewhere clear() orders the zeros by a stream.
  Tensor zeros(DType dtype, Shape shape);

  /// A place to come back to.
  struct Mark {
    std::size_t block = 0, offset = 0;
  };
  Mark mark() const { return top_; }
  /// Gives back everything made since `mark`.
  void reset(Mark mark);
  /// Gives back everything.
  void reset();

  std::size_t capacity() const;
  /// How often a block had to be added.
  int growths() const { return growths_; }

 private:
  std::vector<Buffer> blocks_;
  Mark top_;
  Device device_;
  int growths_ = 0;
};

/// Gives back on leaving a scope what was made inside it.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.reset(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace coe
