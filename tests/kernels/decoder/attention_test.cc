#include "kernels/decoder/attention.h"

#include <gtest/gtest.h>

#include "tests/kernels/memory/owned_tensor.h"
#include "tests/kernels/memory/thrown_code.h"
#include "tests/kernels/products/central_differences.h"

namespace coe {
namespace {

struct Wanted {
  std::vector<double> out, p;
};

/// Probabilities of query i of one head, of all keys.
std::vector<double> naive_row(const Tensor& q, const Tensor& k, std::int64_t i, std::int64_t begin, std::int64_t d) {
  const std::int64_t length = q.extent(0), width = q.extent(1);
  std::vector<double> row(static_cast<std::size_t>(length), 0.0);
  double sum = 0;
  for (std::int64_t j = 0; j <= i; ++j) {
    double dot = 0;
    for (std::int64_t l = begin; l < begin + d; ++l) {
      dot += static_cast<double>(q.data<float>()[i * width + l]) * k.data<float>()[j * width + l];
    }
    sum += row[static_cast<std::size_t>(j)] = std::exp(dot / std::sqrt(static_cast<double>(d)));
  }
  for (double& probability : row) probability /= sum;
  return row;
}

Wanted naive_attention(const Tensor& q, const Tensor& k, const Tensor& v, std::int64_t heads) {
  const std::int64_t length = q.extent(0), width = q.extent(1), d = width / heads;
  Wanted wanted{std::vector<double>(static_cast<std::size_t>(length * width), 0.0), {}};
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t i = 0; i < length; ++i) {
      const auto row = naive_row(q, k, i, head * d, d);
      wanted.p.insert(wanted.p.end(), row.begin(), row.end());
      for (std::int64_t at = 0; at < length * d; ++at) {
        const std::int64_t j = at / d, l = head * d + at % d;
        wanted.out[static_cast<std::size_t>(i * width + l)] +=
            row[static_cast<std::size_t>(j)] * v.data<float>()[j * width + l];
      }
    }
  }
  return wanted;
}

TEST(Attention, EqualsTheNaiveFormula) {
  for (const std::int64_t length : {1, 5, 64, 65, 150}) {
    const Shape shape{length, 12};
    const Floats q = normal_tensor(shape, 1, 2.0F), k = normal_tensor(shape, 2), v = normal_tensor(shape, 3);
    const Floats out(shape, std::vector<float>(static_cast<std::size_t>(length * 12), NAN));
    const Floats p({3, length, length}, std::vector<float>(static_cast<std::size_t>(3 * length * length), NAN));
    attention(q, k, v, 3, out, p);
    const auto wanted = naive_attention(q, k, v, 3);
    EXPECT_LT(worst_error(out, wanted.out), 2e-6) << length;
    EXPECT_LT(worst_error(p, wanted.p), 2e-6) << length;
  }
}

TEST(Attention, OfNoTokensIsNothing) {
  const Floats none({0, 4}), p({2, 0, 0});
  Arena arena;
  attention(none, none, none, 2, none, p);
  attention_backward(none, none, none, p, 2, none, none, none, none, arena);
}

TEST(Attention, TheFutureChangesNothing) {
  const Shape shape{130, 8};
  const Floats q = normal_tensor(shape, 1), k = normal_tensor(shape, 2), v = normal_tensor(shape, 3);
  const Floats out(shape), later(shape), p({2, 130, 130});
  attention(q, k, v, 2, out, p);
  for (std::int64_t i = 70 * 8; i < 130 * 8; ++i) q[i] = k[i] = v[i] = 9.0F;
  attention(q, k, v, 2, later, p);
  EXPECT_TRUE(same_bits(later.tensor().rows(0, 70), out.tensor().rows(0, 70)));
}

void expect_backward_equals_differences(std::int64_t length) {
  const Shape shape{length, 6};
  const Floats q = normal_tensor(shape, 1), k = normal_tensor(shape, 2), v = normal_tensor(shape, 3);
  const Floats dout = normal_tensor(shape, 4), out(shape), p({2, length, length});
  const std::vector<float> junk(static_cast<std::size_t>(length * 6), NAN);
  const Floats dq(shape, junk), dk(shape, junk), dv(shape, junk);
  const auto loss = [&] {
    const auto wanted = naive_attention(q, k, v, 2).out;
    double sum = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) sum += wanted[i] * dout[static_cast<std::int64_t>(i)];
    return sum;
  };
  Arena arena;
  attention(q, k, v, 2, out, p);
  attention_backward(q, k, v, p, 2, dout, dq, dk, dv, arena);
  EXPECT_LT(worst_error(dq, central_differences(q, loss)), 3e-5) << length;
  EXPECT_LT(worst_error(dk, central_differences(k, loss)), 3e-5) << length;
  EXPECT_LT(worst_error(dv, central_differences(v, loss)), 3e-5) << length;
}

TEST(AttentionBackward, EqualsCentralDifferencesInOneBlock) { expect_backward_equals_differences(9); }

TEST(AttentionBackward, EqualsCentralDifferencesAcrossBlocks) { expect_backward_equals_differences(67); }

TEST(AttentionBackward, GivesItsScratchBack) {
  const Shape shape{20, 4};
  const Floats x = normal_tensor(shape, 1), p({1, 20, 20}), dq(shape), dk(shape), dv(shape);
  Arena arena;
  const Tensor before = arena.make<float>({5});
  attention_backward(x, x, x, p, 1, x, dq, dk, dv, arena);
  EXPECT_EQ(arena.make<float>({5}).raw(), before.raw() + 64);
}

/// DocumentRows of 3, 0 and 70 rows: what each of them alone has, bit for bit.
TEST(Attention, OfDocumentsIsThatOfEach) {
  const Shape shape{73, 8};
  const Floats q = normal_tensor(shape, 1), k = normal_tensor(shape, 2), v = normal_tensor(shape, 3);
  const Floats dout = normal_tensor(shape, 4), out(shape), dq(shape), dk(shape), dv(shape);
  const Ints offsets({4}, {0, 3, 3, 73});
  const DocumentRows documents{offsets, 70};
  const std::int32_t lengths[] = {3, 0, 70};
  EXPECT_EQ(attention_saved_elements(73, 2, lengths, kCpu), 2 * (9 + 4900));
  EXPECT_EQ(attention_saved_elements(73, 2, lengths, kCuda), 2 * 73);
  const Floats saved({2 * (9 + 4900)});
  Arena arena;
  attention(q, k, v, documents, 2, out, saved, Stream());
  attention_backward(q, k, v, out, saved, documents, 2, dout, dq, dk, dv, arena, Stream());
  for (const auto& [first, count] : {std::pair{0, 3}, std::pair{3, 70}}) {
    const auto rows = [&](const Tensor& x) { return x.rows(first, count); };
    const Shape part{count, 8};
    const Floats alone(part), p({2, count, count}), alone_dq(part), alone_dk(part), alone_dv(part);
    attention(rows(q), rows(k), rows(v), 2, alone, p);
    attention_backward(rows(q), rows(k), rows(v), p, 2, rows(dout), alone_dq, alone_dk, alone_dv, arena);
    EXPECT_TRUE(same_bits(rows(out), alone));
    EXPECT_TRUE(same_bits(rows(dq), alone_dq));
    EXPECT_TRUE(same_bits(rows(dk), alone_dk));
    EXPECT_TRUE(same_bits(rows(dv), alone_dv));
  }
}

TEST(Attention, RefusesDocumentsThatDoNotFit) {
  const Floats x({4, 6}), saved({20});
  const auto code = [&](std::vector<std::int32_t> offsets, std::int64_t elements) {
    const auto count = static_cast<std::int64_t>(offsets.size());
    const Ints owned({count}, std::move(offsets));
    return thrown_code([&] { attention(x, x, x, {owned, 4}, 2, x, saved.tensor().rows(0, elements), Stream()); });
  };
  EXPECT_EQ(code({0, 1, 4}, 20), std::nullopt);
  EXPECT_EQ(code({0, 1, 4}, 19), ErrorCode::kInternal);
  EXPECT_EQ(code({0, 1, 3}, 20), ErrorCode::kInternal);
  EXPECT_EQ(code({1, 2, 4}, 20), ErrorCode::kInternal);
  EXPECT_EQ(code({0, 5, 4}, 20), ErrorCode::kInternal);
  EXPECT_EQ(code({}, 20), ErrorCode::kInternal);
}

TEST(Attention, RefusesWhatDoesNotFit) {
  const Floats x({4, 6}), p({2, 4, 4});
  Arena arena;
  EXPECT_EQ(thrown_code([&] { attention(x, x, x, 4, x, Floats({4, 4, 4})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { attention(x, x, Floats({4, 4}), 2, x, p); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { attention(x, x, x, 2, x, Floats({2, 4, 5})); }), ErrorCode::kInternal);
  EXPECT_EQ(thrown_code([&] { attention_backward(x, x, x, p, 2, x, x, Floats({4}), x, arena); }), ErrorCode::kInternal);
}

}  // namespace
}  // namespace coe
