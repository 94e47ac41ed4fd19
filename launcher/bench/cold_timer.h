#pragma once

#include <functional>
#include <vector>

#include "comm/collectives.h"

namespace coe {

/// Times what all ranks do at once on data that is in nobody's cache.
class ColdTimer {
 public:
  explicit ColdTimer(Group group);
  /// Seconds from when all ranks begin `work` until the last has done it, the mean of what the ranks saw. Collective.
  double time(const std::function<void()>& work);

 private:
  void sweep();

  Group group_;
  std::vector<char> other_;  ///< what the caches are filled with
};

}  // namespace coe
