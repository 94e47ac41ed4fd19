#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/routing/buckets.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {

/// What each holder holds, in its order, and the same as cuda::Holders has it, on the host.
struct HeldBuckets {
  explicit HeldBuckets(std::vector<std::vector<std::int32_t>> buckets_by_holder)
      : held(std::move(buckets_by_holder)), first({std::ssize(held) + 1}), bucket({count()}), holder({count()}) {
    std::int64_t next = 0;
    for (std::int64_t h = 0; h < std::ssize(held); ++h) {
      for (const std::int32_t n : held[static_cast<std::size_t>(h)]) {
        bucket[next++] = n;
        holder[n] = static_cast<std::int32_t>(h);
      }
      first[h + 1] = static_cast<std::int32_t>(next);
    }
  }
  std::int64_t count() const {
    std::int64_t all = 0;
    for (const auto& mine : held) all += std::ssize(mine);
    return all;
  }

  std::vector<std::vector<std::int32_t>> held;
  Ints first, bucket, holder;
};

class BucketsOnCuda : public OnCuda {
 protected:
  using OnCuda::put;
  cuda::Holders put(const HeldBuckets& all) { return {put(all.first), put(all.bucket), put(all.holder)}; }
};

}  // namespace coe
