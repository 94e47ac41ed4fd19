#include "runtime/layer/experts.h"

#include <algorithm>
#include <atomic>

#include "kernels/memory/error.h"
#include "kernels/products/grouped_gemm.h"
#include "kernels/products/swiglu.h"
#include "runtime/layer/expert_tasks.h"
#include "runtime/layer/thread_team.h"

namespace coe {
namespace {

/// What one thread takes of a weight's gradient: columns that a product packs for itself alone, and enough rows of it
/// to be worth that.
constexpr std::int64_t kBlockRows = 192, kBlockColumns = 96;

/// Rows of one expert in its forward; m is room for [n, F].
struct ForwardRows {
  Tensor x, ab, m, out;
};

template <class Weights>
void forward_rows(const Weights& weights, const ForwardRows& rows) {
  linear(rows.x, weights.gate_up, rows.ab);
  swiglu(rows.ab, rows.m);
  linear(rows.m, weights.down, rows.out);
}

/// Rows of one expert in its backward; q is room for [n, F].
struct BackwardRows {
  Tensor x, ab, d, w, q, dx, dw;
};

/// Turns ab into its gradient and q into what the down-projection saw.
void backward_swiglu(const ExpertWeights& weights, const BackwardRows& rows) {
  linear_input_gradient(rows.d, weights.down, 0, rows.q);
  swiglu_backward(rows.ab, rows.q, rows.w, rows.ab, rows.q, rows.dw);
}

/// What each row needs and no sum over rows.
void backward_each_row(const ExpertWeights& weights, const BackwardRows& rows) {
  backward_swiglu(weights, rows);
  linear_input_gradient(rows.ab, weights.gate_up, 0, rows.dx);
}

void backward_rows(const ExpertWeights& weights, const BackwardRows& rows) {
  backward_swiglu(weights, rows);
  linear_weight_gradient(rows.d, rows.q, weights.down_gradient);
  linear_weight_gradient(rows.ab, rows.x, weights.gate_up_gradient);
  linear_input_gradient(rows.ab, weights.gate_up, 0, rows.dx);
}

/// dw += dy^T x, block by block, as far as they fall to this thread.
void add_my_blocks(const Tensor& dy, const Tensor& x, const Tensor& dw, TaskWalk& walk) {
  for (std::int64_t row = 0; row < dw.extent(0); row += kBlockRows) {
    for (std::int64_t column = 0; column < dw.extent(1); column += kBlockColumns) {
      if (!walk.is_mine()) continue;
      const std::int64_t rows = std::min(kBlockRows, dw.extent(0) - row);
      const std::int64_t columns = std::min(kBlockColumns, dw.extent(1) - column);
      linear_weight_gradient(dy, x, {row, rows, column, columns}, dw);
    }
  }
}

/// Calls tasks(thread, walk) on every thread of the team.
template <class Tasks>
void share_out(int threads, const Tasks& tasks) {
  std::atomic<std::int64_t> next = 0;
  on_threads(threads, [&](int thread) {
    TaskWalk walk(next);
    tasks(thread, walk);
  });
}

/// Room of each thread's own for rows as wide as an expert, [threads, most rows of a task, F].
Tensor make_scratch(const ExpertTasks& tasks, int threads, std::int64_t width, Arena& arena) {
  return arena.make<float>({threads, tasks.most_rows(), width});
}

/// What the tasks of one backward work on; `split_q` [n, F] lasts from the tiles of an expert to its sums.
struct BackwardCall {
  const ExpertRows& d;
  const ExpertRows& dx;
  const ExpertsSaved& saved;
  Tensor split_q;

  BackwardRows rows_of(const TaskRows& task, const Tensor& q) const {
    const auto [expert, first, rows] = task;
    return {.x = saved.in.rows.rows(first, rows),
            .ab = saved.ab.rows(first, rows),
            .d = d.rows.rows(first, rows),
            .w = d.scalar.rows(first, rows),
            .q = q,
            .dx = dx.rows.rows(first, rows),
            .dw = dx.scalar.rows(first, rows)};
  }
  BackwardRows split_rows_of(const TaskRows& task) const { return rows_of(task, split_q.rows(task.first, task.rows)); }
};

/// One part of every expert's weights as one tensor, [G, ...]; empty where they have none.
Tensor one_behind_another(const std::vector<ExpertWeights>& experts, Tensor ExpertWeights::*part) {
  const Tensor& first = experts.front().*part;
  if (first.elements() == 0) return {};
  for (std::size_t e = 0; e < experts.size(); ++e) {
    if ((experts[e].*part).raw() != first.raw() + e * first.bytes()) {
      fail(ErrorCode::kInternal, "experts: the weights of expert ", e, " do not lie behind those before");
    }
  }
  return {first.raw(), first.dtype(), {std::ssize(experts), first.extent(0), first.extent(1)}, first.device()};
}

}  // namespace

void expert_forward(const ExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& out, Arena& arena) {
  ArenaScope scratch(arena);
  forward_rows(weights, {x, ab, arena.make<float>({x.extent(0), weights.down.extent(1)}), out});
}

void expert_backward(const ExpertWeights& weights, const Tensor& x, const Tensor& ab, const Tensor& d, const Tensor& w,
                     const Tensor& dx, const Tensor& dw, Arena& arena) {
  ArenaScope scratch(arena);
  backward_rows(weights, {x, ab, d, w, arena.make<float>({x.extent(0), weights.down.extent(1)}), dx, dw});
}

Experts::Experts(std::vector<ExpertWeights> local, int threads, const Stream& stream)
    : local_(std::move(local)), threads_(threads), stream_(&stream) {
  if (local_.empty() || local_.front().gate_up.on_host()) return;
  const auto grouped = [this](Tensor ExpertWeights::*part) { return one_behind_another(local_, part); };
  grouped_ = {.gate_up = grouped(&ExpertWeights::gate_up),
              .down = grouped(&ExpertWeights::down),
              .gate_up_gradient = grouped(&ExpertWeights::gate_up_gradient),
              .down_gradient = grouped(&ExpertWeights::down_gradient)};
}

void Experts::pack() {
  if (!local_.empty() && !local_.front().gate_up.on_host()) return;
  packed_.clear();
  packed_memory_.reset();
  for (const auto& [gate_up, down, gate_up_gradient, down_gradient] : local_) {
    packed_.push_back({pack_weight(gate_up, packed_memory_), pack_weight(down, packed_memory_)});
  }
}

void Experts::forward(const ExpertRows& in, const ExpertRows& out, ExpertsSaved* saved, Arena& arena) const {
  if (local_.empty()) return;
  const Tensor ab = arena.make(in.rows.dtype(), {in.rows.extent(0), local_.front().gate_up.extent(0)});
  if (saved != nullptr) *saved = {in, ab};
  if (!in.rows.on_host()) return forward_there(in, out, ab, arena);
  ArenaScope scope(arena);
  const ExpertTasks tasks(in.offsets, threads_, arena);
  const Tensor scratch = make_scratch(tasks, threads_, local_.front().down.extent(1), arena);
  share_out(threads_, [&](int thread, TaskWalk& walk) {
    const Tensor m = scratch[thread];
    const auto run = [&](const TaskRows& task) {
      if (!walk.is_mine()) return;
      const auto [expert, first, count] = task;
      const ForwardRows rows{.x = in.rows.rows(first, count),
                             .ab = ab.rows(first, count),
                             .m = m.rows(0, count),
                             .out = out.rows.rows(first, count)};
      if (packed_.empty()) {
        forward_rows(local_[expert], rows);
      } else {
        forward_rows(packed_[expert], rows);
      }
    };
    tasks.for_each_tile(run);
    tasks.for_each_whole(run);
  });
}

void Experts::backward(const ExpertRows& d, const ExpertRows& dx, const ExpertsSaved& saved, Arena& arena) const {
  if (local_.empty()) return;
  if (!d.rows.on_host()) return backward_there(d, dx, saved, arena);
  ArenaScope scope(arena);
  const ExpertTasks tasks(d.offsets, threads_, arena);
  const std::int64_t width = local_.front().down.extent(1);
  const Tensor scratch = make_scratch(tasks, threads_, width, arena);
  const BackwardCall call{d, dx, saved, arena.make<float>({tasks.splits() ? d.rows.extent(0) : 0, width})};
  // The sums over a split expert's rows need all its tiles.
  if (tasks.splits()) {
    share_out(threads_, [&](int /*thread*/, TaskWalk& walk) {
      tasks.for_each_tile([&](const TaskRows& task) {
        if (walk.is_mine()) backward_each_row(local_[task.expert], call.split_rows_of(task));
      });
    });
  }
  share_out(threads_, [&](int thread, TaskWalk& walk) {
    tasks.for_each_split([&](const TaskRows& task) {
      const BackwardRows rows = call.split_rows_of(task);
      add_my_blocks(rows.d, rows.q, local_[task.expert].down_gradient, walk);
      add_my_blocks(rows.ab, rows.x, local_[task.expert].gate_up_gradient, walk);
    });
    tasks.for_each_whole([&](const TaskRows& task) {
      if (walk.is_mine()) backward_rows(local_[task.expert], call.rows_of(task, scratch[thread].rows(0, task.rows)));
    });
  });
}

void Experts::forward_there(const ExpertRows& in, const ExpertRows& out, const Tensor& ab, Arena& arena) const {
  const std::int64_t count = std::ssize(local_);
  ArenaScope scratch(arena);
  const Tensor m = arena.make(in.rows.dtype(), {in.rows.extent(0), grouped_.down.extent(2)});
  const Tensor workspace = arena.make<std::uint8_t>({cuda::grouped_workspace_bytes(count)});
  cuda::grouped_linear(in.rows, grouped_.gate_up, in.offsets, ab, workspace, *stream_);
  cuda::swiglu(ab, m, in.offsets.rows(count, 1), *stream_);
  cuda::grouped_linear(m, grouped_.down, in.offsets, out.rows, workspace, *stream_);
}

void Experts::backward_there(const ExpertRows& d, const ExpertRows& dx, const ExpertsSaved& saved, Arena& arena) const {
  const std::int64_t count = std::ssize(local_);
  const Tensor &x = saved.in.rows, &ab = saved.ab, &offsets = d.offsets;
  ArenaScope scratch(arena);
  const Tensor q = arena.make(x.dtype(), {x.extent(0), grouped_.down.extent(2)});
  const Tensor workspace = arena.make<std::uint8_t>({cuda::grouped_workspace_bytes(count)});
  cuda::grouped_linear_input_gradient(d.rows, grouped_.down, offsets, q, workspace, *stream_);
  cuda::swiglu_backward(ab, q, d.scalar, ab, q, dx.scalar, offsets.rows(count, 1), *stream_);
  cuda::grouped_linear_weight_gradient(d.rows, q, offsets, grouped_.down_gradient, workspace, *stream_);
  cuda::grouped_linear_weight_gradient(ab, x, offsets, grouped_.gate_up_gradient, workspace, *stream_);
  cuda::grouped_linear_input_gradient(ab, grouped_.gate_up, offsets, dx.rows, workspace, *stream_);
}

}  // namespace coe
