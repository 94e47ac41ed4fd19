#pragma once

#include <cstdint>
#include <vector>

#include "runtime/ranks/share.h"

namespace coe {

/// Experts by their global ids, in the order in which their holder keeps them.
class ExpertIds {
 public:
  /// A contiguous run, as shares are.
  ExpertIds(std::int64_t first, std::int64_t count);
  ExpertIds(Share share) : ExpertIds(share.first, share.count) {}
  explicit ExpertIds(std::vector<std::int64_t> ids) : ids_(std::move(ids)) {}

  std::int64_t count() const { return std::ssize(ids_); }
  std::int64_t operator[](std::int64_t local) const { return ids_[static_cast<std::size_t>(local)]; }
  auto begin() const { return ids_.begin(); }
  auto end() const { return ids_.end(); }

 private:
  std::vector<std::int64_t> ids_;
};

/// Which rank of the expert-parallel group holds which expert, and in which local order. A rank may hold none.
class Placement {
 public:
  /// Contiguous runs, as even as possible. Throws kBadInput without an expert or a rank.
  Placement(std::int64_t experts, int ranks);
  /// Any map: what each rank holds. Throws kBadInput unless every expert from 0 on is held once.
  explicit Placement(std::vector<ExpertIds> held);

  std::int64_t experts() const { return std::ssize(rank_of_); }
  int ranks() const { return static_cast<int>(held_.size()); }
  int rank_of(std::int64_t expert) const { return rank_of_[static_cast<std::size_t>(expert)]; }
  const ExpertIds& experts_of(int rank) const { return held_[static_cast<std::size_t>(rank)]; }
  /// The most experts of any rank.
  std::int64_t most_held() const;

 private:
  std::vector<ExpertIds> held_;
  std::vector<int> rank_of_;
};

}  // namespace coe
