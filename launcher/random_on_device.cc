#include "launcher/random_on_device.h"

#include "kernels/arena.h"
#include "kernels/copy.h"

namespace coe {

void fill_normal_there(const Tensor& x, RandomKey key, float deviation, const Group& group, const Stream& stream) {
  Arena host, staging(0, stream.device());
  const Tensor drawn = host.make<float>(x.shape());
  fill_normal(drawn, key, 0, deviation);
  const bool wide = x.dtype() == DType::kF32;
  const Tensor staged = wide ? x : staging.make<float>(x.shape());
  copy(drawn, staged, stream);
  if (!wide) cast(staged, x, stream);
  wait(group, stream, {"drawing random numbers"});
}

}  // namespace coe
