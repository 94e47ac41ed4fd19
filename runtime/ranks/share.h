#pragma once

#include <algorithm>
#include <cstdint>

namespace coe {

/// A contiguous run of sequences, experts or whatever is dealt out.
struct Share {
  std::int64_t first = 0, count = 0;
};

/// What `index` of `parts` gets of `total`: contiguous runs in order, as even as possible, the longer ones first.
inline Share share_of(std::int64_t total, std::int64_t parts, std::int64_t index) {
  const std::int64_t even = total / parts, rest = total % parts;
  return {index * even + std::min(index, rest), even + (index < rest ? 1 : 0)};
}

}  // namespace coe
