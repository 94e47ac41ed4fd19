#include "kernels/memory/device_calls.h"

#include <nvtx3/nvToolsExt.h>

#include <string>

#include "kernels/memory/launch.cuh"

namespace coe {

int cuda_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

std::string cuda_device_name(int index) {
  cudaDeviceProp properties{};
  cuda::expect_success("device", cudaGetDeviceProperties(&properties, index));
  return std::string(properties.name) + " (sm_" + std::to_string(properties.major) + std::to_string(properties.minor) +
         ")";
}

std::string cuda_device_address(int index) {
  char address[32] = {};
  cuda::expect_success("device", cudaDeviceGetPCIBusId(address, sizeof(address), index));
  return address;
}

namespace cuda {
namespace {

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

void use_device(int device) { expect_success("device", cudaSetDevice(device)); }

/// False where there is more to do, true where it is done; throws where it failed.
bool is_done(const char* what, cudaError_t status) {
  if (status != cudaErrorNotReady) expect_success(what, status);
  return status == cudaSuccess;
}

}  // namespace

std::byte* allocate(std::size_t bytes, int device) {
  use_device(device);
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(ErrorCode::kSystem, "buffer: no memory for ", bytes, " bytes on CUDA device ", device);
  }
  expect_success("buffer", status);
  return static_cast<std::byte*>(memory);
}

void release(std::byte* memory, int device) noexcept {
  cudaSetDevice(device);
  cudaFree(memory);
}

std::byte* allocate_pinned(std::size_t bytes, int device) {
  use_device(device);
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(ErrorCode::kSystem, "pinned buffer: no memory for ", bytes, " bytes");
  }
  expect_success("pinned buffer", status);
  return static_cast<std::byte*>(memory);
}

void release_pinned(std::byte* memory) noexcept { cudaFreeHost(memory); }

void* make_stream(int device) {
  use_device(device);
  cudaStream_t stream = nullptr;
  expect_success("stream", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

void destroy_stream(void* stream, int device) noexcept {
  cudaSetDevice(device);
  cudaStreamDestroy(stream_of(stream));
}

bool stream_done(void* stream) { return is_done("stream", cudaStreamQuery(stream_of(stream))); }

void* make_event(int device) {
  use_device(device);
  cudaEvent_t event = nullptr;
  expect_success("event", cudaEventCreate(&event));
  return event;
}

void destroy_event(void* event, int device) noexcept {
  cudaSetDevice(device);
  cudaEventDestroy(event_of(event));
}

void record_event(void* event, void* stream, int device) {
  use_device(device);
  expect_success("event", cudaEventRecord(event_of(event), stream_of(stream)));
}

void hold_stream(void* event, void* stream, int device) {
  use_device(device);
  expect_success("event", cudaStreamWaitEvent(stream_of(stream), event_of(event), 0));
}

bool event_done(void* event) { return is_done("event", cudaEventQuery(event_of(event))); }

double seconds_between(void* begin, void* end) {
  float milliseconds = 0;
  expect_success("event", cudaEventElapsedTime(&milliseconds, event_of(begin), event_of(end)));
  return static_cast<double>(milliseconds) * 1e-3;
}

void push_range(const char* name) noexcept { nvtxRangePushA(name); }
void pop_range() noexcept { nvtxRangePop(); }

void begin_capture(void* stream, int device) {
  use_device(device);
  expect_success("graph", cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal));
}

void* end_capture(void* stream, int device) {
  use_device(device);
  cudaGraph_t captured = nullptr;
  expect_success("graph", cudaStreamEndCapture(stream_of(stream), &captured));
  cudaGraphExec_t ready = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&ready, captured, 0);
  cudaGraphDestroy(captured);
  expect_success("graph", status);
  return ready;
}

void launch_graph(void* graph, void* stream, int device) {
  use_device(device);
  expect_success("graph", cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(stream)));
}

void destroy_graph(void* graph) noexcept { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

}  // namespace cuda
}  // namespace coe
