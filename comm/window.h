#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/memory/stream.h"

namespace coe {

/// Memory of the same size on every rank of a group, of which each rank of one machine sees the others'. Made by
/// Transport::make_window, zeroed on the CPU and not initialised on another device; one rank may give its window up
/// while others still use theirs.
class Window {
 public:
  virtual ~Window() = default;
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  /// Where the part of `rank` begins, aligned to a page; nullptr where only messages reach it, for both ranks alike.
  std::byte* of(int rank) const { return parts_[static_cast<std::size_t>(rank)]; }
  /// Of one rank's part.
  std::size_t bytes() const { return bytes_; }
  int size() const { return static_cast<int>(parts_.size()); }
  /// Tells the others' streams, as number `number` of those that count from 1, that `rank`'s own stream has come as far
  /// as now. Throws kInternal where the ranks share no device.
  virtual void mark(int rank, std::uint64_t number, const Stream& stream) const;
  /// What the stream is given from now on waits for that mark of `rank`, whose host has made it.
  virtual void hold(int rank, std::uint64_t number, const Stream& stream) const;

 protected:
  Window(std::vector<std::byte*> parts, std::size_t bytes) : parts_(std::move(parts)), bytes_(bytes) {}

 private:
  std::vector<std::byte*> parts_;
  std::size_t bytes_;
};

/// Numbers that ranks raise at one another in a Window: each rank has one for every other rank and channel, and only
/// that rank writes it. What a rank wrote before it raised a number, in any mapped memory, is seen by who sees the
/// number. Views the Window.
class Signals {
 public:
  static std::size_t bytes_for(int ranks, int channels);

  /// The bytes of every part from `offset` on, bytes_for() of them, of the rank's own group.
  Signals(const Window& window, std::size_t offset, int rank, int channels)
      : window_(&window), offset_(offset), rank_(rank), channels_(channels) {}

  /// Tells `peer`, which must be mapped.
  void raise(int peer, int channel, std::uint64_t number) const;
  /// The newest number that `source` told this rank.
  std::uint64_t heard(int source, int channel) const;

 private:
  std::uint64_t* place(int holder, int source, int channel) const;

  const Window* window_;
  std::size_t offset_;
  int rank_, channels_;
};

}  // namespace coe
