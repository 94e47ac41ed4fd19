#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace coe {

/// What flights take and give back. What was given back first is taken first, so that peers have had the longest time
/// to be done with it, and every rank takes the same.
template <class T>
class FlightPool {
 public:
  /// The next, or what `make` makes where all are taken.
  template <class Make>
  T& take(const Make& make) {
    if (free_.empty()) {
      all_.push_back(make());
      free_.reserve(all_.size());
      return *all_.back();
    }
    T& next = *free_.front();
    free_.erase(free_.begin());
    return next;
  }
  void give_back(T& one) noexcept { free_.push_back(&one); }
  /// Takes one out for good.
  std::unique_ptr<T> remove(T& one) noexcept {
    const auto found = std::ranges::find(all_, &one, [](const auto& each) { return each.get(); });
    std::unique_ptr<T> removed = std::move(*found);
    all_.erase(found);
    return removed;
  }

  const std::vector<std::unique_ptr<T>>& all() const { return all_; }

 private:
  std::vector<std::unique_ptr<T>> all_;
  std::vector<T*> free_;  ///< has room for all
};

}  // namespace coe
