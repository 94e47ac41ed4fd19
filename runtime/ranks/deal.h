#pragma once

#include <cstdint>

#include "runtime/ranks/share.h"

namespace coe {

/// How numbers that several ranks hold alike are dealt out among these: in stretches, so that what is under way at once
/// is bounded however many there are, each of as many equal pieces as ranks, in rank order. Arithmetic alone.
class Deal {
 public:
  Deal() = default;
  /// Of `elements` numbers, filled up so that pieces are equal and each begins at a multiple of 64 bytes of fp32; one
  /// rank alone has one piece, and nothing is filled up.
  Deal(std::int64_t elements, int ranks, int rank);

  /// What was filled up included.
  std::int64_t elements() const { return elements_; }
  int ranks() const { return ranks_; }
  /// Elements of all pieces of one rank.
  std::int64_t own() const { return elements_ / ranks_; }
  std::int64_t stretches() const { return stretch_ == 0 ? 0 : (elements_ + stretch_ - 1) / stretch_; }
  /// Elements of the longest one.
  std::int64_t longest() const { return stretch_; }
  Share stretch(std::int64_t index) const;
  /// What a rank, or this one, has of a stretch.
  Share piece(std::int64_t index, int rank) const;
  Share piece(std::int64_t index) const { return piece(index, rank_); }
  /// Where a rank's piece of a stretch lies when its pieces lie behind one another.
  Share kept(std::int64_t index) const { return {index * stretch_ / ranks_, piece(index).count}; }

  bool operator==(const Deal&) const = default;

 private:
  std::int64_t elements_ = 0, stretch_ = 0;
  int ranks_ = 1, rank_ = 0;
};

}  // namespace coe
