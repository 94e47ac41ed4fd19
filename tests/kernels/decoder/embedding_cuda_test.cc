#include "kernels/decoder/embedding.h"

#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

/// `skew` of all positions have id 1, or as many as are there have.
struct Sizes {
  std::int64_t positions, vocab, width;
  double skew;
};
constexpr Sizes kSizes[] = {{0, 5, 8, 0},       {1, 1, 1, 0},   {300, 7, 12, 0},   {700, 300, 16, 0},
                            {129, 70000, 8, 0}, {64, 2, 24, 1}, {1000, 3, 8, 1},   {900, 40, 9, 0.4},
                            {70, 3, 2100, 0},   {128, 1, 8, 0}, {40000, 9, 1, 0.2}};

Ints ids_of(const Sizes& sizes) {
  std::mt19937 generator(3);
  Ints ids({sizes.positions});
  for (std::int32_t& id : ids) {
    const bool alike = std::uniform_real_distribution<>()(generator) < sizes.skew;
    id = alike ? 1 : static_cast<std::int32_t>(generator() % static_cast<unsigned>(sizes.vocab));
  }
  return ids;
}

class EmbeddingCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  Floats summed(const Ints& ids, const Floats& dx, const Floats& before) {
    const Tensor dtable = put(before);
    Arena arena = poisoned_arena(1 << 20);
    embedding_backward(put(ids), put(dx, dtype()), dtable, arena, stream_);
    return get<float>(dtable);
  }
};

TEST_P(EmbeddingCuda, RowsAreTheTables) {
  for (const Sizes& sizes : kSizes) {
    const Ints ids = ids_of(sizes);
    const Floats table = rounded(normal_tensor({sizes.vocab, sizes.width}, 1), dtype());
    const Floats wanted({sizes.positions, sizes.width});
    embedding(ids, table, wanted);
    const Tensor x = room(dtype(), wanted.tensor().shape());
    embedding(put(ids), put(table, dtype()), x, stream_);
    EXPECT_EQ(get<float>(x).values(), wanted.values());
  }
}

TEST_P(EmbeddingCuda, EveryUseIsAdded) {
  for (const Sizes& sizes : kSizes) {
    const Ints ids = ids_of(sizes);
    const Floats dx = rounded(normal_tensor({sizes.positions, sizes.width}, 1), dtype());
    const Floats before = normal_tensor({sizes.vocab, sizes.width}, 2);
    const Floats wanted({sizes.vocab, sizes.width}, before.values());
    embedding_backward(ids, dx, wanted);
    const Floats got = summed(ids, dx, before);
    EXPECT_LE(error_of(got, wanted), 1e-5) << sizes.positions << " of " << sizes.vocab;
    EXPECT_TRUE(same_bits(got, summed(ids, dx, before)));
  }
}

TEST_P(EmbeddingCuda, RowsOfIdsThatAreNotThereKeepTheirBits) {
  const Floats before({6, 8}, std::vector<float>(48, -0.0F)), dx({3, 8}, std::vector<float>(24, 1.0F));
  const Floats got = summed(Ints({3}, {4, 1, 4}), dx, before);
  for (std::int64_t i = 0; i < 48; ++i) {
    const std::int64_t id = i / 8;
    EXPECT_EQ(got[i], id == 4 ? 2.0F : id == 1 ? 1.0F : 0.0F);
    EXPECT_EQ(std::signbit(got[i]), id != 4 && id != 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, EmbeddingCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
