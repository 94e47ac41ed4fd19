#include "runtime/layer/check_device.h"

#include "comm/launch.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

constexpr std::int64_t kMostChosen = 64, kMostExperts = 1024;

void require(bool condition, std::string_view what) {
  check(condition, "device cuda does not do ", what, " yet; cpu does");
}

}  // namespace

void check_cuda_layer(const LayerConfig& config) {
  require(config.top_k <= kMostChosen && config.groups <= kMostChosen, "top_k or groups above 64");
  require(config.experts <= kMostExperts, "more than 1024 experts");
}

void check_cuda_device() {
  check(cuda_devices() > 0,
        "device cuda: no CUDA device can be used here (it takes a build with -DCOE_CUDA=ON and a GPU)");
}

Device own_cuda_device() {
  check_cuda_device();
  return {Device::Kind::kCuda, launched_local_rank() % cuda_devices()};
}

}  // namespace coe
