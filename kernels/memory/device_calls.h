#pragma once

#include <cstddef>
#include <cstdint>

namespace coe::cuda {

/// What Buffer, Stream, Event and Graph ask of the CUDA runtime: handles are its own, behind a void*. Each throws
/// kSystem, in the runtime's words, where it refuses; those that are noexcept clean up and say nothing.
std::byte* allocate(std::size_t bytes, int device);
void release(std::byte* memory, int device) noexcept;

/// Memory of the host that the device reads and writes by itself.
std::byte* allocate_pinned(std::size_t bytes, int device);
void release_pinned(std::byte* memory) noexcept;

void* make_stream(int device);
void destroy_stream(void* stream, int device) noexcept;
bool stream_done(void* stream);

void* make_event(int device);
void destroy_event(void* event, int device) noexcept;
void record_event(void* event, void* stream, int device);
void hold_stream(void* event, void* stream, int device);
bool event_done(void* event);
double seconds_between(void* begin, void* end);

/// Memory that other processes can map: zeroed, `bytes` rounded up to what the device maps at once. `file` becomes an
/// open file that stands for it, for the caller to close; the memory goes when nobody maps it and no file is open.
std::byte* allocate_shared(std::size_t bytes, int device, int& file);
/// The same memory in another process; the file stays open.
std::byte* map_shared(int file, std::size_t bytes, int device);
void unmap_shared(std::byte* memory, std::size_t bytes, int device) noexcept;
/// In the stream's turn, and after all that it did before is seen by who sees the number.
void write_number(void* stream, std::byte* word, std::uint32_t number, int device);
/// What the stream is given from now on waits until the number, which only grows, is as large.
void await_number(void* stream, std::byte* word, std::uint32_t number, int device);

/// A range of this thread's calls, as profilers show them by name; ranges nest.
void push_range(const char* name) noexcept;
void pop_range() noexcept;

void begin_capture(void* stream, int device);
/// The captured work, made ready to launch.
void* end_capture(void* stream, int device);
void launch_graph(void* graph, void* stream, int device);
void destroy_graph(void* graph) noexcept;

}  // namespace coe::cuda
