#include "runtime/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace coe {
namespace {

LayerConfig layer(std::int64_t top_k, std::int64_t experts, std::int64_t iterations, RouterKind router) {
  LayerConfig config;
  config.top_k = top_k;
  config.experts = experts;
  config.iterations = iterations;
  config.router = router;
  return config;
}

TEST(Config, ModelsAreNamedAsInTheLiterature) {
  EXPECT_EQ(model_name(layer(4, 64, 2, RouterKind::kSoftmaxTopk)), "CoE-2(4/64)");
  EXPECT_EQ(model_name(layer(8, 64, 1, RouterKind::kSoftmaxTopk)), "MoE(8/64)");
  EXPECT_EQ(model_name(layer(1, 1, 1, RouterKind::kSoftmaxTopk)), "dense");
  EXPECT_EQ(model_name(layer(8, 64, 1, RouterKind::kRelu)), "ReMoE(8/64)");
  EXPECT_EQ(model_name(layer(4, 64, 2, RouterKind::kRelu)), "ReMoE-CoE-2(4/64)");
}

TEST(Config, DeadlineIsInMilliseconds) {
  DistributedConfig config;
  config.deadline_seconds = 2.5;
  EXPECT_EQ(config.deadline(), std::chrono::milliseconds(2500));
}

}  // namespace
}  // namespace coe
