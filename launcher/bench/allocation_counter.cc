#include "launcher/bench/allocation_counter.h"

#include <link.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <new>
#include <string_view>

// glibc's own entry points, which an interposed malloc may call (glibc manual, "Replacing malloc").
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
}

namespace {

std::atomic<std::int64_t> ours{0}, large{0}, small{0};

/// Where the code of the executable, of libstdc++ and of libc lies. Found once, before main: malloc itself must take no
/// lock. What allocates earlier counts as a library.
struct Range {
  std::uintptr_t begin = 0, end = 0;
};
std::array<Range, 3> our_code;

int remember_object(dl_phdr_info* object, std::size_t /*size*/, void* found) {
  const std::string_view name = object->dlpi_name;
  auto& count = *static_cast<std::size_t*>(found);
  // The executable has no name.
  if (!name.empty() && name.find("/libstdc++.so") == name.npos && name.find("/libc.so") == name.npos) return 0;
  for (int i = 0; i < object->dlpi_phnum && count < our_code.size(); ++i) {
    const auto& part = object->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + part.p_vaddr;
    our_code[count++] = {begin, begin + part.p_memsz};
  }
  return 0;
}

__attribute__((constructor)) void find_our_code() {
  std::size_t count = 0;
  dl_iterate_phdr(remember_object, &count);
}

inline void count(std::size_t bytes, const void* caller) {
  const auto place = reinterpret_cast<std::uintptr_t>(caller);
  const auto holds = [&](const Range& code) { return place >= code.begin && place < code.end; };
  auto& counter = std::ranges::any_of(our_code, holds) ? ours : bytes >= coe::kLargeAllocation ? large : small;
  counter.fetch_add(1, std::memory_order_relaxed);
}

void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

extern "C" {

void* malloc(std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return __libc_malloc(bytes);
}

void* calloc(std::size_t elements, std::size_t bytes) {
  count(elements * bytes, __builtin_return_address(0));
  return __libc_calloc(elements, bytes);
}

void* realloc(void* memory, std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return __libc_realloc(memory, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}

void* memalign(std::size_t alignment, std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

// Whoever else replaces malloc (a preloaded jemalloc) must not be given what glibc made.
void free(void* memory) { __libc_free(memory); }

}  // extern "C"

// The C++ library's own would ask malloc for everybody.
void* operator new(std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return or_throw(__libc_malloc(bytes));
}

void* operator new[](std::size_t bytes) {
  count(bytes, __builtin_return_address(0));
  return or_throw(__libc_malloc(bytes));
}

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  count(bytes, __builtin_return_address(0));
  return or_throw(__libc_memalign(static_cast<std::size_t>(alignment), bytes));
}

void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  count(bytes, __builtin_return_address(0));
  return or_throw(__libc_memalign(static_cast<std::size_t>(alignment), bytes));
}

void* operator new(std::size_t bytes, const std::nothrow_t& /*nothrow*/) noexcept {
  count(bytes, __builtin_return_address(0));
  return __libc_malloc(bytes);
}

void* operator new[](std::size_t bytes, const std::nothrow_t& /*nothrow*/) noexcept {
  count(bytes, __builtin_return_address(0));
  return __libc_malloc(bytes);
}

void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t& /*nothrow*/) noexcept {
  count(bytes, __builtin_return_address(0));
  return __libc_memalign(static_cast<std::size_t>(alignment), bytes);
}

void* operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t& /*nothrow*/) noexcept {
  count(bytes, __builtin_return_address(0));
  return __libc_memalign(static_cast<std::size_t>(alignment), bytes);
}

// A preloaded jemalloc brings every form of delete, and takes only what its own new gave.
void operator delete(void* memory) noexcept { __libc_free(memory); }
void operator delete[](void* memory) noexcept { __libc_free(memory); }
void operator delete(void* memory, std::size_t) noexcept { __libc_free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { __libc_free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { __libc_free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { __libc_free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { __libc_free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { __libc_free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { __libc_free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { __libc_free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { __libc_free(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { __libc_free(memory); }

namespace coe {

std::optional<AllocationCounts> allocation_counts() {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  return AllocationCounts{ours.load(kRelaxed), large.load(kRelaxed), small.load(kRelaxed)};
}

}  // namespace coe
