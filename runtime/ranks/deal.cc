#include "runtime/ranks/deal.h"

#include <algorithm>

namespace coe {
namespace {

constexpr std::int64_t kAligned = 16;
/// Stretches that one wants, so that one is under way while another is made.
constexpr std::int64_t kWanted = 16;
/// A piece of 64 KiB is worth a message; a stretch of 16 MiB, or of such pieces, is enough at once.
constexpr std::int64_t kLeastPiece = std::int64_t{16} << 10, kMost = std::int64_t{4} << 20;

std::int64_t rounded_up(std::int64_t number, std::int64_t multiple) {
  return (number + multiple - 1) / multiple * multiple;
}

}  // namespace

Deal::Deal(std::int64_t elements, int ranks, int rank)
    : elements_(elements), stretch_(elements), ranks_(ranks), rank_(rank) {
  if (ranks == 1 || elements == 0) return;
  const std::int64_t unit = ranks * kAligned, least = ranks * kLeastPiece;
  elements_ = rounded_up(elements, unit);
  const std::int64_t wanted = std::clamp(elements_ / kWanted, least, std::max(least, kMost));
  stretch_ = std::min(elements_, rounded_up(wanted, unit));
}

Share Deal::stretch(std::int64_t index) const {
  const std::int64_t first = index * stretch_;
  return {first, std::min(stretch_, elements_ - first)};
}

Share Deal::piece(std::int64_t index, int rank) const {
  const Share whole = stretch(index);
  const std::int64_t each = whole.count / ranks_;
  return {whole.first + rank * each, each};
}

}  // namespace coe
