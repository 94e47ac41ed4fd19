#pragma once

#include <cstdint>
#include <span>

namespace coe {

/// A finite run of tokens in memory or in a mapped file. Thread-safe.
class TokenArray {
 public:
  virtual ~TokenArray() = default;
  virtual std::int64_t size() const = 0;
  /// Fills `tokens` with those from `first` on; all of them must lie inside.
  virtual void copy(std::int64_t first, std::span<std::int32_t> tokens) const = 0;
};

}  // namespace coe
