#include "tests/emulator/blocks.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

namespace coe::cuda {

/// What dynamic_shared() of launch.cuh points at.
alignas(16) thread_local unsigned char coe_dynamic_shared[228 << 10];

}  // namespace coe::cuda

namespace coe::emulator {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;

struct Meeting {
  unsigned members = 0, here = 0, number = 0;

  void open_when_all_are_here() {
    if (here < members || members == 0) return;
    here = 0;
    ++number;
  }
};

/// The threads of one block at a time. They stay from block to block; a context brings each up once, and then jumps,
/// which ask nothing of the system, lead from each to where the next one stopped.
struct Block {
  std::array<jmp_buf, kMostThreads> stopped;
  std::array<bool, kMostThreads> begun = {}, ended = {};
  std::array<Meeting, kMostThreads / kWarp> warps;
  /// What the lanes of warps give one another in every other meeting: who has left one may be at the next already.
  std::array<std::array<std::uint64_t, kMostThreads>, 2> lanes;
  Meeting all;
  jmp_buf host;
  const std::function<void()>* kernel = nullptr;
  unsigned threads = 0;
  std::uint64_t run = 0;  ///< blocks; every other one goes from its last thread to the first: no order is relied on
  std::vector<char> stacks = std::vector<char>(kMostThreads * kStackBytes);
};

/// Of the calling thread, while it runs one.
thread_local Block* block = nullptr;

Meeting& warp_of_thread() { return block->warps[threadIdx.x / kWarp]; }

[[noreturn]] void begin_thread(unsigned thread);

/// Leaves the running thread for another, which goes on until it ends or waits.
[[noreturn]] void go_on(unsigned thread) {
  threadIdx.x = thread;
  if (block->begun[thread]) _longjmp(block->stopped[thread], 1);
  begin_thread(thread);
}

/// The next in turn that has not ended, after one that may have: itself where it is the last.
unsigned thread_after(unsigned thread) {
  const bool backwards = block->run % 2 == 1;
  do {
    if (backwards) {
      thread = thread == 0 ? block->threads - 1 : thread - 1;
    } else {
      thread = thread + 1 == block->threads ? 0 : thread + 1;
    }
  } while (block->ended[thread]);
  return thread;
}

void give_way() {
  const unsigned next = thread_after(threadIdx.x);
  if (_setjmp(block->stopped[threadIdx.x]) == 0) go_on(next);
}

void meet(Meeting& meeting) {
  const unsigned number = meeting.number;
  ++meeting.here;
  meeting.open_when_all_are_here();
  while (meeting.number == number) give_way();
}

void leave(Meeting& meeting) {
  --meeting.members;
  meeting.open_when_all_are_here();
}

void run_thread() {
  while (true) {
    (*block->kernel)();
    leave(warp_of_thread());
    leave(block->all);
    block->ended[threadIdx.x] = true;
    if (_setjmp(block->stopped[threadIdx.x]) != 0) continue;
    if (block->all.members == 0) _longjmp(block->host, 1);
    go_on(thread_after(threadIdx.x));
  }
}

void begin_thread(unsigned thread) {
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = block->stacks.data() + thread * kStackBytes;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, run_thread, 0);
  block->begun[thread] = true;
  setcontext(&context);
  std::abort();  // it does not return
}

void run_block() {
  const unsigned threads = block->threads;
  block->all = {.members = threads};
  for (unsigned warp = 0; warp * kWarp < threads; ++warp) {
    block->warps[warp] = {.members = std::min(kWarp, threads - warp * kWarp)};
  }
  std::fill_n(block->ended.begin(), threads, false);
  if (_setjmp(block->host) == 0) go_on(block->run % 2 == 1 ? threads - 1 : 0);
}

}  // namespace

void run_blocks(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  static thread_local const auto kBlock = std::make_unique<Block>();
  block = kBlock.get();
  block->kernel = &kernel;
  block->threads = threads;
  blockDim = dim3(threads);
  gridDim = dim3(blocks);
  for (unsigned index = 0; index < blocks; ++index, ++block->run) {
    blockIdx = dim3(index);
    run_block();
  }
}

void meet_block() { meet(block->all); }
void meet_warp() { meet(warp_of_thread()); }
std::uint64_t* lanes() { return block->lanes[warp_of_thread().number % 2].data() + threadIdx.x / kWarp * kWarp; }

}  // namespace coe::emulator
