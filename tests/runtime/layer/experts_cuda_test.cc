#include <array>
#include <numeric>

#include "runtime/layer/experts.h"
#include "runtime/layer/shared_expert.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

struct Sizes {
  std::vector<std::int32_t> rows;  ///< of each expert
  std::int64_t room, hidden, width;
};

/// Odd sizes, experts without rows, one with nearly all, no rows at all, no experts, rows behind the last.
std::vector<Sizes> sizes() {
  return {{{3, 0, 17, 1}, 24, 7, 5},   {{0, 0, 0}, 4, 8, 8}, {{1, 300, 0, 2}, 320, 40, 24},
          {{65, 64, 66}, 195, 72, 40}, {{}, 4, 8, 8},        {{200}, 200, 136, 33}};
}

/// Experts in host memory; values as the device holds them, gradients that are added to.
struct HostExperts {
  HostExperts(std::int64_t experts, std::int64_t hidden, std::int64_t width, DType dtype)
      : gate_up(rounded(normal_tensor({experts, 2 * width, hidden}, 1, 0.2F), dtype)),
        down(rounded(normal_tensor({experts, hidden, width}, 2, 0.2F), dtype)),
        gate_up_gradient(normal_tensor({experts, 2 * width, hidden}, 3)),
        down_gradient(normal_tensor({experts, hidden, width}, 4)) {}

  std::vector<ExpertWeights> views() const {
    std::vector<ExpertWeights> all;
    for (std::int64_t e = 0; e < gate_up.tensor().extent(0); ++e) {
      all.push_back({gate_up.tensor()[e], down.tensor()[e], gate_up_gradient.tensor()[e], down_gradient.tensor()[e]});
    }
    return all;
  }

  Floats gate_up, down, gate_up_gradient, down_gradient;
};

class ExpertsCuda : public OnCuda, public testing::WithParamInterface<DType> {
 protected:
  DType dtype() const { return GetParam(); }
  Floats draw(Shape shape, unsigned seed) const { return rounded(normal_tensor(shape, seed), dtype()); }
  /// The same on the device: values, and gradients.
  ExpertWeights put_weights(const HostExperts& host) {
    return {put(host.gate_up, dtype()), put(host.down, dtype()), put(host.gate_up_gradient), put(host.down_gradient)};
  }
  static std::vector<ExpertWeights> each_of(const ExpertWeights& all) {
    std::vector<ExpertWeights> each;
    for (std::int64_t e = 0; e < all.gate_up.extent(0); ++e) {
      each.push_back({all.gate_up[e], all.down[e], all.gate_up_gradient[e], all.down_gradient[e]});
    }
    return each;
  }
};

TEST_P(ExpertsCuda, ForwardAndBackwardAreTheCpus) {
  for (const Sizes& s : sizes()) {
    const auto experts = static_cast<std::int64_t>(s.rows.size());
    const HostExperts host(experts, s.hidden, s.width, dtype());
    const ExpertWeights there = put_weights(host);
    const Ints offsets({experts + 1});
    offsets[0] = 0;
    std::partial_sum(s.rows.begin(), s.rows.end(), offsets.begin() + 1);
    const std::int64_t used = offsets[experts];
    const Shape rows{s.room, s.hidden};
    const Floats x = draw(rows, 5), d = draw(rows, 6), w = normal_tensor({s.room}, 7), out(rows), dx(rows),
                 dw({s.room});
    Arena host_arena;
    ExpertsSaved saved;
    const Experts cpu(host.views());
    cpu.forward({x, {}, offsets}, {out, {}, offsets}, &saved, host_arena);
    if (experts > 0) cpu.backward({d, w, offsets}, {dx, dw, offsets}, saved, host_arena);

    Arena arena = poisoned_arena(1 << 24);
    const Tensor offsets_there = put(offsets);
    const ExpertRows x_there{put(x, dtype()), {}, offsets_there}, out_there{room(dtype(), rows), {}, offsets_there};
    const ExpertRows d_there{put(d, dtype()), put(w), offsets_there},
        dx_there{room(dtype(), rows), room(DType::kF32, {s.room}), offsets_there};
    const Experts device(each_of(there), 1, stream_);
    ExpertsSaved saved_there;
    device.forward(x_there, out_there, &saved_there, arena);
    device.backward(d_there, dx_there, saved_there, arena);
    EXPECT_LE(error_of(get<float>(out_there.rows), out, used * s.hidden), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(dx_there.rows), dx, used * s.hidden), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(dx_there.scalar), dw, used), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(there.gate_up_gradient), host.gate_up_gradient), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(there.down_gradient), host.down_gradient), tolerance(dtype()));
  }
}

TEST_P(ExpertsCuda, TheSharedFeedForwardIsTheCpus) {
  for (const auto& [rows, hidden, width] : {std::array<std::int64_t, 3>{67, 40, 24}, {0, 8, 8}, {5, 7, 3}}) {
    const HostExperts host(1, hidden, width, dtype());
    const ExpertWeights there = put_weights(host);
    const Shape shape{rows, hidden};
    const Floats x = draw(shape, 8), d = draw(shape, 9), out(shape), dx(shape), ab({rows, 2 * width});
    const Floats one({rows}, std::vector<float>(static_cast<std::size_t>(rows), 1)), unused({rows});
    Arena host_arena;
    const ExpertWeights weights = host.views().front();
    expert_forward(weights, x, ab, out, host_arena);
    expert_backward(weights, x, ab, d, one, dx, unused, host_arena);

    Arena arena = poisoned_arena(1 << 20);
    const Tensor x_there = put(x, dtype()), ab_there = room(dtype(), {rows, 2 * width});
    const Tensor out_there = room(dtype(), shape), dx_there = room(dtype(), shape);
    const SharedExpert device(each_of(there).front(), stream_);
    device.forward(x_there, rows, ab_there, out_there, arena);
    device.backward(x_there, rows, ab_there, put(d, dtype()), dx_there, arena);
    EXPECT_LE(error_of(get<float>(out_there), out), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(dx_there), dx), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(there.gate_up_gradient), host.gate_up_gradient), tolerance(dtype()));
    EXPECT_LE(error_of(get<float>(there.down_gradient), host.down_gradient), tolerance(dtype()));
  }
}

TEST_P(ExpertsCuda, WeightsThatLieElsewhereAreABug) {
  const HostExperts host(3, 4, 2, dtype());
  std::vector<ExpertWeights> each = each_of(put_weights(host));
  std::swap(each[1], each[2]);
  EXPECT_THROW(Experts(each, 1, stream_), Error);
}

INSTANTIATE_TEST_SUITE_P(Both, ExpertsCuda, testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace coe
