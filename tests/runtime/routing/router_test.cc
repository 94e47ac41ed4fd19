#include "runtime/routing/router.h"

#include <gtest/gtest.h>

#include "tests/runtime/routing/tensors.h"

namespace coe {
namespace {

TEST(Router, TheConfigurationNamesTheKind) {
  Arena arena;
  LayerConfig config{.experts = 3, .top_k = 1};
  const auto expert_of_choices = [&] {
    const Tensor logits = tensor_of<float>({2, 3}, {1, 2, -1, -3, -2, -1}, arena);
    return values_of<std::int32_t>(make_router(config)->route(logits, {}, arena).routing.expert);
  };
  EXPECT_EQ(expert_of_choices(), (std::vector<std::int32_t>{1, 2}));
  config.router = RouterKind::kSigmoidTopk;
  EXPECT_EQ(expert_of_choices(), (std::vector<std::int32_t>{1, 2}));
  const Tensor none = tensor_of<float>({1, 3}, {0, 0, 0}, arena);
  EXPECT_EQ(values_of<float>(make_router(config)->route(none, {}, arena).scores), (std::vector<float>{0.5, 0.5, 0.5}));
  config.router = RouterKind::kRelu;
  EXPECT_EQ(expert_of_choices(), (std::vector<std::int32_t>{0, 1}));
}

}  // namespace
}  // namespace coe
