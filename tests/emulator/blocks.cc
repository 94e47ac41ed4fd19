#include "tests/emulator/blocks.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
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
/// which ask nothing of the system, lead to where each stopped.
struct Block {
  std::array<jmp_buf, kMostThreads> stopped;
  std::array<bool, kMostThreads> begun = {}, ended = {};
  std::array<Meeting, kMostThreads / kWarp> warps;
  std::array<std::uint64_t, kMostThreads> lanes;
  Meeting all;
  jmp_buf host;
  const std::function<void()>* kernel = nullptr;
  std::uint64_t run = 0;  ///< blocks; every other one begins with its last thread, so that no order is relied on
  std::vector<char> stacks = std::vector<char>(kMostThreads * kStackBytes);
};

Block& block() {
  static thread_local const auto kBlock = std::make_unique<Block>();
  return *kBlock;
}

void give_way() {
  Block& now = block();
  if (_setjmp(now.stopped[threadIdx.x]) == 0) _longjmp(now.host, 1);
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
  Block& now = block();
  while (true) {
    (*now.kernel)();
    leave(now.warps[threadIdx.x / kWarp]);
    leave(now.all);
    now.ended[threadIdx.x] = true;
    give_way();
  }
}

void begin_thread(Block& now, unsigned thread) {
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = now.stacks.data() + thread * kStackBytes;
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, run_thread, 0);
  now.begun[thread] = true;
  setcontext(&context);
}

/// Until it ends or waits for others.
void go_on(Block& now, unsigned thread) {
  threadIdx = dim3(thread);
  if (_setjmp(now.host) != 0) return;
  if (now.begun[thread]) _longjmp(now.stopped[thread], 1);
  begin_thread(now, thread);
}

void run_block(unsigned threads, bool backwards) {
  Block& now = block();
  now.all = {.members = threads};
  for (unsigned warp = 0; warp * kWarp < threads; ++warp) {
    now.warps[warp] = {.members = std::min(kWarp, threads - warp * kWarp)};
  }
  std::fill_n(now.ended.begin(), threads, false);
  while (now.all.members > 0) {
    for (unsigned turn = 0; turn < threads; ++turn) {
      const unsigned thread = backwards ? threads - 1 - turn : turn;
      if (!now.ended[thread]) go_on(now, thread);
    }
  }
}

}  // namespace

void run_blocks(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  block().kernel = &kernel;
  blockDim = dim3(threads);
  gridDim = dim3(blocks);
  for (unsigned index = 0; index < blocks; ++index) {
    blockIdx = dim3(index);
    run_block(threads, block().run++ % 2 == 1);
  }
}

void meet_block() { meet(block().all); }
void meet_warp() { meet(block().warps[threadIdx.x / kWarp]); }
std::uint64_t* lanes() { return block().lanes.data() + threadIdx.x / kWarp * kWarp; }

}  // namespace coe::emulator
