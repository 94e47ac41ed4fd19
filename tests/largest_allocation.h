#pragma once

#include <cstddef>

namespace coe {

/// Watches what this thread asks of operator new: the largest piece since this was made, which must be one at a time.
class LargestAllocation {
 public:
  LargestAllocation();
  std::size_t bytes() const;
};

}  // namespace coe
