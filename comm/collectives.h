#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "comm/group.h"

namespace coe {

/// All collectives are called by every rank of the group with sizes that fit together, and throw what wait() throws.
/// Sums are taken in ascending rank order, so that they repeat bit for bit and every rank gets the same bits.

/// Returns when every rank has called it.
void barrier(Group group, const Phase& phase);

/// Copies `bytes` of `root` to every rank.
void broadcast(Group group, std::span<std::byte> bytes, int root, const Phase& phase);

/// Every rank's `mine` (same size everywhere) in rank order; `all` holds size() times as many bytes.
void all_gather_blocks(Group group, std::span<const std::byte> mine, std::span<std::byte> all, const Phase& phase);

/// The same in elements of any type that can be copied as bytes.
template <class T>
void all_gather(Group group, std::span<const T> mine, std::span<T> all, const Phase& phase) {
  static_assert(std::is_trivially_copyable_v<T>);
  all_gather_blocks(group, std::as_bytes(mine), std::as_writable_bytes(all), phase);
}

/// Blocks of `block` bytes: rank r's `mine` has counts[r] of them, `all` those of all ranks in rank order.
void all_gather_uneven_blocks(Group group, std::size_t block, std::span<const std::byte> mine, std::span<std::byte> all,
                              std::span<const std::size_t> counts, const Phase& phase);

/// The same in elements of any type that can be copied as bytes.
template <class T>
void all_gather_uneven(Group group, std::span<const T> mine, std::span<T> all, std::span<const std::size_t> counts,
                       const Phase& phase) {
  static_assert(std::is_trivially_copyable_v<T>);
  all_gather_uneven_blocks(group, sizeof(T), std::as_bytes(mine), std::as_writable_bytes(all), counts, phase);
}

/// Every rank's bytes, of any size, in rank order.
std::vector<std::vector<std::byte>> all_gather_bytes(Group group, std::span<const std::byte> mine, const Phase& phase);

/// Sums element by element, in place. For float, double, int32 and int64. Large spans are reduced piecewise
/// (reduce-scatter, then all-gather), each element by one rank.
template <class T>
void all_reduce_sum(Group group, std::span<T> values, const Phase& phase);

/// The same of a rank's own part alone, in place: `values` are size() parts of as many elements, of which this rank's
/// becomes the sum over ranks; what the others then hold means nothing.
template <class T>
void reduce_scatter_sum(Group group, std::span<T> values, const Phase& phase);

/// Rank r's `send_counts[p]` blocks of `block` bytes, laid out in rank order, go to rank p; `receive_counts[p]` come
/// from it.
void all_to_all_blocks(Group group, std::size_t block, std::span<const std::byte> send,
                       std::span<const std::size_t> send_counts, std::span<std::byte> receive,
                       std::span<const std::size_t> receive_counts, const Phase& phase);

/// The same in elements of any type that can be copied as bytes.
template <class T>
void all_to_all(Group group, std::span<const T> send, std::span<const std::size_t> send_counts, std::span<T> receive,
                std::span<const std::size_t> receive_counts, const Phase& phase) {
  static_assert(std::is_trivially_copyable_v<T>);
  all_to_all_blocks(group, sizeof(T), std::as_bytes(send), send_counts, std::as_writable_bytes(receive), receive_counts,
                    phase);
}

}  // namespace coe
