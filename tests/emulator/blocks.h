#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3() = default;
  constexpr explicit dim3(unsigned across) : x(across) {}
};

/// Where the running thread of a kernel stands; set between switches of threads.
inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

/// Kernels' threads on the CPU, so that twins can be tested where there is no GPU: a launch is done when it returns, a
/// block's threads take turns on the calling thread, and change places where they wait for one another. What is proved
/// is the numbers; races between threads, order between streams and speed are a device's to show.
namespace coe::emulator {

constexpr unsigned kWarp = 32, kMostThreads = 1024;

/// Runs `kernel` on every thread of every block.
void run_blocks(unsigned blocks, unsigned threads, const std::function<void()>& kernel);

/// Wait until all threads of the block, or of the warp, that have not ended are here.
void meet_block();
void meet_warp();

inline unsigned lane() { return threadIdx.x % kWarp; }
/// One number of each lane of the running thread's warp, to be written before it meets and read after, once.
std::uint64_t* lanes();

/// Gives `mine` to the warp and returns what lane `from` gave.
template <class T>
T exchange(T mine, unsigned from) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t* const given = lanes();
  std::memcpy(given + lane(), &mine, sizeof(T));
  meet_warp();
  T theirs;
  std::memcpy(&theirs, given + from, sizeof(T));
  return theirs;
}

}  // namespace coe::emulator
