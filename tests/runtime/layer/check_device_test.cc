#include "runtime/layer/check_device.h"

#include <gtest/gtest.h>

#include "kernels/memory/error.h"

namespace coe {
namespace {

TEST(CheckDevice, RefusesWhatKernelsDoNotDoInASentence) {
  LayerConfig layer{.experts = 1024, .top_k = 64};
  EXPECT_NO_THROW(check_cuda_layer(layer));
  layer.experts = 1025;
  EXPECT_THROW(check_cuda_layer(layer), Error);
  layer.experts = 128;
  layer.top_k = 65;
  EXPECT_THROW(check_cuda_layer(layer), Error);
}

}  // namespace
}  // namespace coe
