#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "kernels/memory/stream.h"

namespace coe {

/// A stream's work of one forward and backward, which it is given again by one CUDA graph in the place of thousands of
/// launches, as long as nothing but the contents of memory changes.
class PassGraph {
 public:
  /// What decides which work a pass is: passes alike in it give a stream the same.
  struct Key {
    std::vector<const void*> memory;      ///< where what it reads and makes lies
    std::vector<std::int64_t> extents;    ///< and how large it is
    std::vector<double> factors;          ///< numbers that its kernels were given
    std::vector<std::int32_t> documents;  ///< their lengths
    bool operator==(const Key&) const = default;
  };

  /// Gives the stream `work`. What was given by itself with this key once is kept as a graph the second time. Throws
  /// kSystem where the work cannot be captured.
  void run(const Key& key, const Stream& stream, const std::function<void()>& work);
  /// How often a graph gave the work.
  std::int64_t replays() const { return replays_; }

 private:
  std::optional<Key> key_;
  std::optional<Graph> graph_;
  std::int64_t replays_ = 0;
};

}  // namespace coe
