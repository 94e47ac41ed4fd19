#include "launcher/bench/alltoallv_exchange.h"

#include <mpi.h>

#include <algorithm>
#include <vector>

#include "kernels/routing/rows.h"

namespace coe {
namespace {

void check_mpi(int result, const char* what) {
  if (result != MPI_SUCCESS) fail(ErrorCode::kSystem, "alltoallv: ", what, " failed with code ", result);
}

bool mpi_runs() {
  int started = 0;
  MPI_Initialized(&started);
  return started != 0;
}

/// A communicator of the group's own, and what a row is in it.
class Communicator {
 public:
  Communicator(Group group, std::int64_t hidden) {
    int rank = 0;
    std::vector<int> members(static_cast<std::size_t>(group.size()));
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
    all_gather<int>(group, {&rank, 1}, members, {"benchmark"});
    MPI_Group world{}, some{};
    check_mpi(MPI_Comm_group(MPI_COMM_WORLD, &world), "MPI_Comm_group");
    check_mpi(MPI_Group_incl(world, group.size(), members.data(), &some), "MPI_Group_incl");
    check_mpi(MPI_Comm_create_group(MPI_COMM_WORLD, some, 0, &handle_), "MPI_Comm_create_group");
    MPI_Group_free(&some);
    MPI_Group_free(&world);
    check_mpi(MPI_Type_contiguous(static_cast<int>(hidden), MPI_FLOAT, &row_), "MPI_Type_contiguous");
    check_mpi(MPI_Type_commit(&row_), "MPI_Type_commit");
  }
  ~Communicator() {
    MPI_Type_free(&row_);
    MPI_Comm_free(&handle_);
  }
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  void all_to_all(const Tensor& from, std::span<const std::size_t> sent, const Tensor& to,
                  std::span<const std::size_t> received) {
    lay_out(sent, send_counts_, send_offsets_);
    lay_out(received, receive_counts_, receive_offsets_);
    check_mpi(MPI_Alltoallv(from.raw(), send_counts_.data(), send_offsets_.data(), row_, to.raw(),
                            receive_counts_.data(), receive_offsets_.data(), row_, handle_),
              "MPI_Alltoallv");
  }

 private:
  static void lay_out(std::span<const std::size_t> rows, std::vector<int>& counts, std::vector<int>& offsets) {
    counts.clear();
    offsets.clear();
    int first = 0;
    for (const std::size_t count : rows) {
      offsets.push_back(first);
      counts.push_back(static_cast<int>(count));
      first += counts.back();
    }
  }

  MPI_Comm handle_ = MPI_COMM_NULL;
  MPI_Datatype row_ = MPI_DATATYPE_NULL;
  std::vector<int> send_counts_, send_offsets_, receive_counts_, receive_offsets_;
};

/// For every row as it arrived, by (source, expert), its place by (expert, source).
void find_places(const DispatchPlan& plan, std::vector<std::int64_t>& places) {
  places.resize(static_cast<std::size_t>(plan.rows_received()));
  const auto* segment = plan.segments.data<std::int32_t>();
  for (std::int64_t e = 0; e < plan.segments.extent(0); ++e) {
    std::int64_t place = plan.expert_offsets.data<std::int32_t>()[e];
    for (std::int64_t r = 0; r < plan.segments.extent(1); ++r, segment += 2) {
      for (std::int32_t i = 0; i < segment[1]; ++i) places[static_cast<std::size_t>(segment[0] + i)] = place++;
    }
  }
}

class AlltoallvExchange : public Exchange, private FlightBuffers {
 public:
  AlltoallvExchange(Group group, std::int64_t hidden) : rank_(group.rank()), hidden_(hidden), mpi_(group, hidden) {}

  Flight begin(const DispatchPlan& plan, const Departure& departure, const Phase& /*phase*/) override {
    check(departure.scalar == nullptr, "alltoallv: scalars were given, must be none");
    plan_ = &plan;
    weights_ = departure.weights;
    const Tensor packed = make(packed_, plan.rows_sent());
    gather_rows(*departure.x, plan.send_token, packed);
    mpi_.all_to_all(packed, plan.send_rows, make(landed_, plan.rows_received()), plan.receive_rows);
    count(plan.send_rows);
    return Flight(*this);
  }
  std::int64_t bytes_sent() const override { return bytes_sent_; }
  int growths() const override { return 0; }

 private:
  void await_arrival() override {
    find_places(*plan_, places_);
    make(sorted_, plan_->rows_received());
    for (std::size_t i = 0; i < places_.size(); ++i)
      copy_row(landed_, static_cast<std::int64_t>(i), sorted_, places_[i]);
  }
  ExpertRows arrived() override { return {make(sorted_, plan_->rows_received()), {}, plan_->expert_offsets}; }
  ExpertRows results() override { return {make(results_, plan_->rows_received()), {}, plan_->expert_offsets}; }
  void send_back(const Phase& /*phase*/) override {
    for (std::size_t i = 0; i < places_.size(); ++i)
      copy_row(results_, places_[i], landed_, static_cast<std::int64_t>(i));
    mpi_.all_to_all(make(landed_, plan_->rows_received()), plan_->receive_rows, make(packed_, plan_->rows_sent()),
                    plan_->send_rows);
    count(plan_->receive_rows);
  }
  void await_return() override {}
  void combine(const Combination& combination, const TokensSummed& then) override {
    const auto* place = plan_->place.data<std::int32_t>();
    rows_.assign(static_cast<std::size_t>(plan_->place.elements()), nullptr);
    for (std::size_t j = 0; j < rows_.size(); ++j) {
      if (place[j] >= 0) rows_[j] = packed_.data() + place[j] * hidden_;
    }
    combine_rows(rows_, plan_->offsets, weights_, combination.sum);
    add_rest(combination, 0, combination.sum.extent(0));
    if (then) then(0, combination.sum.extent(0));
  }
  void release() noexcept override {}

  Tensor make(std::vector<float>& memory, std::int64_t rows) const {
    const auto floats = static_cast<std::size_t>(rows * hidden_);
    if (memory.size() < floats) memory.resize(floats);
    return Tensor(memory.data(), DType::kF32, {rows, hidden_});
  }

  void copy_row(const std::vector<float>& from, std::int64_t row, std::vector<float>& to, std::int64_t place) const {
    std::copy_n(from.data() + row * hidden_, hidden_, to.data() + place * hidden_);
  }

  void count(std::span<const std::size_t> rows) {
    for (std::size_t peer = 0; peer < rows.size(); ++peer) {
      if (static_cast<int>(peer) == rank_) continue;
      bytes_sent_ += static_cast<std::int64_t>(rows[peer] * sizeof(float)) * hidden_;
    }
  }

  const DispatchPlan* plan_ = nullptr;
  Tensor weights_;
  int rank_;
  std::int64_t hidden_;
  Communicator mpi_;
  std::vector<float> packed_, landed_, sorted_, results_;
  std::vector<std::int64_t> places_;
  std::vector<const float*> rows_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace

std::unique_ptr<Exchange> make_alltoallv_exchange(Group group, std::int64_t hidden) {
  if (!mpi_runs()) return nullptr;
  return std::make_unique<AlltoallvExchange>(group, hidden);
}

}  // namespace coe
