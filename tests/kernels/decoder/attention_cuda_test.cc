#include "kernels/decoder/attention.h"

#include <algorithm>
#include <numeric>

#include "tests/kernels/memory/on_device.h"
#include "tests/kernels/memory/thrown_code.h"

namespace coe {
namespace {

using Lengths = std::vector<std::int32_t>;

Ints offsets_of(const Lengths& lengths) {
  std::vector<std::int32_t> offsets{0};
  for (const std::int32_t length : lengths) offsets.push_back(offsets.back() + length);
  return Ints({static_cast<std::int64_t>(offsets.size())}, offsets);
}

/// Inputs and results of a forward and a backward of documents.
struct Case {
  int heads;
  Lengths lengths;
  Floats q, k, v, dout;

  Case(int count, std::int64_t d, Lengths of, DType dtype)
      : heads(count),
        lengths(std::move(of)),
        q(draw(count * d, 1, dtype)),
        k(draw(count * d, 2, dtype)),
        v(draw(count * d, 3, dtype)),
        dout(draw(count * d, 4, dtype)) {}

  std::int64_t rows() const { return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}); }
  Shape shape() const { return q.tensor().shape(); }
  Floats draw(std::int64_t width, unsigned seed, DType dtype) const {
    return rounded(normal_tensor({rows(), width}, seed), dtype);
  }
};

struct Results {
  Floats out, dq, dk, dv;
  explicit Results(const Shape& shape) : out(shape), dq(shape), dk(shape), dv(shape) {}
};

/// By the verb of one sequence, document by document.
Results on_cpu(const Case& of) {
  Results results(of.shape());
  Arena arena;
  std::int64_t first = 0;
  for (const std::int64_t length : of.lengths) {
    const auto rows = [&](const Tensor& x) { return x.rows(first, length); };
    const Floats p({of.heads, length, length});
    attention(rows(of.q), rows(of.k), rows(of.v), of.heads, rows(results.out), p);
    attention_backward(rows(of.q), rows(of.k), rows(of.v), p, of.heads, rows(of.dout), rows(results.dq),
                       rows(results.dk), rows(results.dv), arena);
    first += length;
  }
  return results;
}

class AttentionCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }

  /// By the verbs of documents; every operand begins `shift` elements behind an aligned address.
  Results on_device(const Case& of, DType dtype, std::int64_t shift = 0) {
    const auto placed = [&](const Tensor& from) {
      const Tensor all = room(dtype, {from.elements() + shift});
      const Tensor x(all.raw() + static_cast<std::size_t>(shift) * size_of(dtype), dtype, from.shape(), kCuda);
      copy(put(from, dtype), x, stream_);
      return x;
    };
    const Floats nothing(of.shape(), std::vector<float>(static_cast<std::size_t>(of.shape().elements()), NAN));
    const Tensor q = placed(of.q), k = placed(of.k), v = placed(of.v), dout = placed(of.dout);
    const Tensor out = placed(nothing), dq = placed(nothing), dk = placed(nothing), dv = placed(nothing);
    const DocumentRows documents{put(offsets_of(of.lengths)), *std::ranges::max_element(of.lengths)};
    const Tensor saved = room(DType::kF32, {attention_saved_elements(of.rows(), of.heads, of.lengths, kCuda)});
    Arena arena = poisoned_arena(1 << 16);
    attention(q, k, v, documents, of.heads, out, saved, stream_);
    attention_backward(q, k, v, out, saved, documents, of.heads, dout, dq, dk, dv, arena, stream_);
    EXPECT_EQ(arena.growths(), 0);
    Results results(of.shape());
    results.out = get<float>(out);
    results.dq = get<float>(dq);
    results.dk = get<float>(dk);
    results.dv = get<float>(dv);
    return results;
  }
  void expect_the_cpus(const Case& of, std::int64_t shift = 0) {
    const Results wanted = on_cpu(of), got = on_device(of, dtype(), shift);
    EXPECT_LE(error_of(got.out, wanted.out), tolerance(dtype())) << of.shape().text();
    EXPECT_LE(error_of(got.dq, wanted.dq), tolerance(dtype())) << of.shape().text();
    EXPECT_LE(error_of(got.dk, wanted.dk), tolerance(dtype())) << of.shape().text();
    EXPECT_LE(error_of(got.dv, wanted.dv), tolerance(dtype())) << of.shape().text();
  }
};

TEST_P(AttentionCuda, IsTheCpusOfDocumentsOfManyLengths) {
  expect_the_cpus(Case(1, 8, {1, 7, 64, 65, 130}, dtype()));
  expect_the_cpus(Case(3, 16, {130, 33, 1, 97}, dtype()));
  expect_the_cpus(Case(3, 12, {40, 0, 70}, dtype()));
}

TEST_P(AttentionCuda, IsTheCpusAtWideHeads) {
  expect_the_cpus(Case(1, 128, {1, 130, 64}, dtype()));
  expect_the_cpus(Case(1, 104, {33}, dtype()));
}

TEST_P(AttentionCuda, IsTheCpusAtHeadsOf64) { expect_the_cpus(Case(3, 64, {65, 7}, dtype())); }

TEST_P(AttentionCuda, TakesManyTiles) {
  expect_the_cpus(Case(1, 32, {300}, dtype()));
  expect_the_cpus(Case(1, 128, {450}, dtype()));
}

TEST_P(AttentionCuda, TakesMoreHeadsOfDocumentsThanAreNearInTime) {
  expect_the_cpus(Case(3, 8, Lengths(30, 3), dtype()));
}

TEST_P(AttentionCuda, TakesRowsThatAreNotAligned) { expect_the_cpus(Case(2, 16, {20, 40}, dtype()), 1); }

/// Large scores: the running softmax is scaled anew, and nothing overflows.
TEST_P(AttentionCuda, TakesLargeScores) {
  Case of(1, 16, {150}, dtype());
  for (float& x : of.q) x *= 16;
  const Results wanted = on_cpu(of), got = on_device(of, dtype());
  EXPECT_LE(error_of(got.out, wanted.out), tolerance(dtype()));
  EXPECT_LE(error_of(got.dv, wanted.dv), tolerance(dtype()));
}

/// The rows of x, two documents, in the other order.
Floats swapped(const Floats& x, std::int64_t first, std::int64_t second) {
  Floats out(x.tensor().shape());
  const std::int64_t width = x.tensor().extent(1);
  std::copy(x.begin() + first * width, x.end(), out.begin());
  std::copy(x.begin(), x.begin() + first * width, out.begin() + second * width);
  return out;
}

TEST_P(AttentionCuda, BitsOfADocumentDoNotDependOnItsPlace) {
  for (const std::int64_t d : {12, 64}) {
    const Case one(2, d, {70, 135}, dtype());
    Case other(2, d, {135, 70}, dtype());
    other.q = swapped(one.q, 70, 135);
    other.k = swapped(one.k, 70, 135);
    other.v = swapped(one.v, 70, 135);
    other.dout = swapped(one.dout, 70, 135);
    const Results here = on_device(one, dtype()), there = on_device(other, dtype());
    EXPECT_EQ(swapped(here.out, 70, 135).values(), there.out.values());
    EXPECT_EQ(swapped(here.dq, 70, 135).values(), there.dq.values());
    EXPECT_EQ(swapped(here.dk, 70, 135).values(), there.dk.values());
    EXPECT_EQ(swapped(here.dv, 70, 135).values(), there.dv.values());
  }
}

TEST_P(AttentionCuda, OfNoRowsIsNothing) {
  const Tensor none = room(dtype(), {0, 16}), saved = room(DType::kF32, {0});
  const DocumentRows documents{put(offsets_of({})), 0};
  Arena arena(1 << 12, kCuda);
  attention(none, none, none, documents, 2, none, saved, stream_);
  attention_backward(none, none, none, none, saved, documents, 2, none, none, none, none, arena, stream_);
}

TEST_P(AttentionCuda, RefusesWhatDoesNotFit) {
  const Tensor x = room(dtype(), {4, 16}), saved = room(DType::kF32, {8}), wide = room(dtype(), {4, 136});
  const DocumentRows documents{put(offsets_of({4})), 4};
  const auto code = [&](const Tensor& q, const Tensor& k, int heads, const Tensor& of) {
    return thrown_code([&] { attention(q, k, q, documents, heads, q, of, stream_); });
  };
  EXPECT_EQ(code(wide, wide, 1, room(DType::kF32, {4})), ErrorCode::kBadInput);
  EXPECT_EQ(code(x, x, 3, saved), ErrorCode::kInternal);
  EXPECT_EQ(code(x, wide, 2, saved), ErrorCode::kInternal);
  EXPECT_EQ(code(x, x, 2, room(DType::kF32, {7})), ErrorCode::kInternal);
  EXPECT_EQ(code(x, room(DType::kI32, {4, 16}), 2, saved), ErrorCode::kInternal);
}

INSTANTIATE_TEST_SUITE_P(Both, AttentionCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
