#include "launcher/bench/random_on_device.h"

#include <algorithm>

#include "kernels/memory/arena.h"
#include "kernels/memory/copy.h"

namespace coe {

void fill_normal_there(const Tensor& x, RandomKey key, float deviation, const Group& group, const Stream& stream) {
  const std::int64_t all = x.elements(), count = std::min(all, kMostDrawn);
  Arena host, staging(0, stream.device());
  const Tensor drawn = host.make<float>({count}), flat = x.reshaped({all}), first = flat.rows(0, count);
  fill_normal(drawn, key, 0, deviation);
  const bool wide = x.dtype() == DType::kF32;
  const Tensor staged = wide ? first : staging.make<float>({count});
  copy(drawn, staged, stream);
  if (!wide) cast(staged, first, stream);
  for (std::int64_t begin = count; begin < all; begin += count) {
    const std::int64_t repeated = std::min(count, all - begin);
    copy(flat.rows(0, repeated), flat.rows(begin, repeated), stream);
  }
  wait(group, stream, {"drawing random numbers"});
}

}  // namespace coe
