#include "runtime/layer/expert_tasks.h"

#include <numeric>

namespace coe {
namespace {

/// An expert of less than this part of a thread's share of the rows is not worth splitting: it fits between others.
constexpr std::int64_t kPartsOfAShare = 4;

}  // namespace

ExpertTasks::ExpertTasks(const Tensor& offsets, int threads, Arena& arena) : offsets_(offsets.data<std::int32_t>()) {
  const std::int64_t experts = offsets.elements() - 1;
  const auto order = arena.make<std::int32_t>({experts}).span<std::int32_t>();
  std::iota(order.begin(), order.end(), 0);
  const auto rows = [this](std::int32_t expert) { return rows_of(expert).rows; };
  // Equal ones in their order, without the memory that a stable sort asks for.
  std::ranges::sort(order,
                    [&](std::int32_t a, std::int32_t b) { return rows(a) != rows(b) ? rows(a) > rows(b) : a < b; });
  const std::int64_t all = offsets_[experts];
  const auto is_large = [&](std::int32_t expert) {
    return threads > 1 && rows(expert) > kTileRows && rows(expert) * kPartsOfAShare * threads > all;
  };
  const auto first_whole = std::ranges::partition_point(order, is_large);
  const auto first_empty = std::ranges::partition_point(order, [&](std::int32_t expert) { return rows(expert) > 0; });
  split_ = {order.begin(), first_whole};
  whole_ = {first_whole, first_empty};
}

std::int64_t ExpertTasks::most_rows() const {
  const std::int64_t whole = whole_.empty() ? 0 : rows_of(whole_.front()).rows;
  return splits() ? std::max(whole, kTileRows) : whole;
}

}  // namespace coe
