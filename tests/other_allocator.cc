// A library for LD_PRELOAD with a new and a delete that belong together, as jemalloc's and tcmalloc's do: delete ends
// the program where it is given what another new made.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

/// Stands before what new gives.
struct Mark {
  void* begin;
  std::uint64_t own;
};
constexpr std::uint64_t kOwn = 0x6f776e206d656d6f;

void* make(std::size_t bytes, std::size_t alignment) {
  const std::size_t before = alignment < sizeof(Mark) ? sizeof(Mark) : alignment;
  const std::size_t whole = (before + bytes + alignment - 1) / alignment * alignment;
  auto* const begin = static_cast<std::byte*>(std::aligned_alloc(alignment, whole));
  if (begin == nullptr) throw std::bad_alloc();
  const Mark mark{begin, kOwn};
  std::memcpy(begin + before - sizeof mark, &mark, sizeof mark);
  return begin + before;
}

void take(void* memory) {
  if (memory == nullptr) return;
  Mark mark{};
  std::memcpy(&mark, static_cast<std::byte*>(memory) - sizeof mark, sizeof mark);
  if (mark.own != kOwn) std::abort();
  std::free(mark.begin);
}

}  // namespace

// The C++ library's other forms come to these.
void* operator new(std::size_t bytes) { return make(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return make(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { take(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { take(memory); }
void operator delete[](void* memory) noexcept { take(memory); }
void operator delete(void* memory, std::size_t) noexcept { take(memory); }
void operator delete[](void* memory, std::size_t) noexcept { take(memory); }
