#pragma once

#include <cstddef>

namespace coe::cuda {

/// What Buffer, Stream, Event and Graph ask of the CUDA runtime: handles are its own, behind a void*. Each throws
/// kSystem, in the runtime's words, where it refuses; those that are noexcept clean up and say nothing.
std::byte* allocate(std::size_t bytes, int device);
void release(std::byte* memory, int device) noexcept;

void* make_stream(int device);
void destroy_stream(void* stream, int device) noexcept;
bool stream_done(void* stream);

void* make_event(int device);
void destroy_event(void* event, int device) noexcept;
void record_event(void* event, void* stream, int device);
void hold_stream(void* event, void* stream, int device);
bool event_done(void* event);
double seconds_between(void* begin, void* end);

void begin_capture(void* stream, int device);
/// The captured work, made ready to launch.
void* end_capture(void* stream, int device);
void launch_graph(void* graph, void* stream, int device);
void destroy_graph(void* graph) noexcept;

}  // namespace coe::cuda
