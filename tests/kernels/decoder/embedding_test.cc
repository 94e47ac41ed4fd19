#include "kernels/decoder/embedding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

using testing::ElementsAre;

TEST(Embedding, LooksRowsUp) {
  const Floats table({3, 2}, {0, 1, 10, 11, 20, 21}), x({4, 2});
  embedding(Ints({4}, {2, 0, 2, 1}), table, x);
  EXPECT_THAT(x.values(), ElementsAre(20, 21, 0, 1, 20, 21, 10, 11));
  embedding(Ints({0}), table, Floats({0, 2}));
}

TEST(EmbeddingBackward, AddsEveryUseInAscendingOrder) {
  constexpr float kHuge = 0x1p24F;  // adding 1 to it changes nothing
  const Floats dtable({2, 2}, {0, 5, 7, 7}), dx({3, 2}, {kHuge, 1, 1, 2, -kHuge, 3});
  embedding_backward(Ints({3}, {0, 0, 0}), dx, dtable);
  EXPECT_THAT(dtable.values(), ElementsAre(0, 11, 7, 7));
}

TEST(Embedding, OnTheHostsStreamIsTheSame) {
  const Floats table({2, 2}, {0, 1, 10, 11}), x({3, 2}), dtable({2, 2}, {1, 1, 1, 1});
  const Ints ids({3}, {1, 0, 1});
  Arena arena;
  embedding(ids, table, x, host_stream());
  EXPECT_THAT(x.values(), ElementsAre(10, 11, 0, 1, 10, 11));
  embedding_backward(ids, x, dtable, arena, host_stream());
  EXPECT_THAT(dtable.values(), ElementsAre(1, 2, 21, 23));
}

TEST(Embedding, RefusesIdsOutsideTheTable) {
  const Floats table({3, 2}), x({1, 2});
  for (const std::int32_t id : {-1, 3}) {
    EXPECT_EQ(thrown_code([&] { embedding(Ints({1}, {id}), table, x); }), ErrorCode::kBadInput);
    EXPECT_EQ(thrown_code([&] { embedding_backward(Ints({1}, {id}), x, table); }), ErrorCode::kBadInput);
  }
  EXPECT_EQ(thrown_code([&] { embedding(Ints({2}), table, x); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
