#include "tests/emulator/runtime_calls.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace coe::emulator {

/// Work that a capture keeps.
struct Graph {
  std::vector<std::function<void()>> work;
  std::vector<Stream*> streams = {};  ///< that take part, the first of them began it
};

struct Stream {
  Graph* capture = nullptr;
  bool joined = true;  ///< the capture's first stream waits for all that this one was given
};

struct Event {
  Stream* stream = nullptr;
  Graph* capture = nullptr;
  std::chrono::steady_clock::time_point time = {};
};

void give(Stream* stream, std::function<void()> work) {
  if (stream->capture == nullptr) return work();
  stream->joined = false;
  stream->capture->work.push_back(std::move(work));
}

namespace {

constexpr std::size_t kAlignment = 256, kMostBytes = std::size_t{1} << 36;

}  // namespace
}  // namespace coe::emulator

using namespace coe::emulator;

const char* cudaGetErrorString(cudaError_t /*error*/) { return "refused by the emulator"; }
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {"emulator", 9, 0};
  return cudaSetDevice(device);
}

cudaError_t cudaDeviceGetPCIBusId(char* address, int bytes, int device) {
  std::strncpy(address, "emulator", static_cast<std::size_t>(bytes));
  return cudaSetDevice(device);
}

cudaError_t cudaDeviceGetAttribute(int* value, int /*attribute*/, int device) {
  *value = 9;
  return cudaSetDevice(device);
}

cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  *memory = bytes > kMostBytes ? nullptr : std::aligned_alloc(kAlignment, rounded);
  if (*memory == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*memory, 0xFF, rounded);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes) { return cudaMalloc(memory, bytes); }
cudaError_t cudaFreeHost(void* memory) { return cudaFree(memory); }

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, int /*kind*/, cudaStream_t stream) {
  give(stream, [=] { std::memmove(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  give(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, int /*flags*/) {
  *stream = new Stream;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t /*stream*/) { return cudaSuccess; }

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, int /*flags*/) {
  if (event->capture == nullptr) return cudaSuccess;
  if (stream->capture == nullptr) {
    stream->capture = event->capture;
    stream->joined = false;
    stream->capture->streams.push_back(stream);
  }
  if (stream == stream->capture->streams.front()) event->stream->joined = true;
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new Event;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  *event = {stream, stream->capture, std::chrono::steady_clock::now()};
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t /*event*/) { return cudaSuccess; }

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int /*mode*/) {
  stream->capture = new Graph{{}, {stream}};
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status = stream->capture == nullptr ? cudaStreamCaptureStatusNone : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capture;
  stream->joined = true;
  const bool all_joined = std::ranges::all_of((*graph)->streams, &Stream::joined);
  for (Stream* each : (*graph)->streams) *each = {};
  if (all_joined) return cudaSuccess;
  delete std::exchange(*graph, nullptr);
  return cudaErrorUnjoined;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, int /*flags*/) {
  *ready = new Graph(*graph);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t /*stream*/) {
  for (const auto& work : graph->work) work();
  return cudaSuccess;
}
