#include "kernels/memory/stream.h"

#include <utility>

#include "kernels/memory/device_calls.h"
#include "kernels/memory/error.h"

namespace coe {
namespace {

bool on_cuda(Device device) { return device.kind == Device::Kind::kCuda; }

void expect_cuda(const char* what, const Stream& stream) {
  if (!on_cuda(stream.device())) fail(ErrorCode::kInternal, what, ": the stream is the CPU's, must be one of CUDA");
}

}  // namespace

const Stream& host_stream() {
  static const Stream stream;
  return stream;
}

Stream::Stream(Device device) : device_(device), handle_(on_cuda(device) ? cuda::make_stream(device.index) : nullptr) {}

Stream::~Stream() {
  if (handle_ != nullptr) cuda::destroy_stream(handle_, device_.index);
}

Stream::Stream(Stream&& other) noexcept : device_(other.device_), handle_(std::exchange(other.handle_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(handle_, other.handle_);
  return *this;
}

bool Stream::done() const { return handle_ == nullptr || cuda::stream_done(handle_); }

Event::Event(Device device) : device_(device), handle_(on_cuda(device) ? cuda::make_event(device.index) : nullptr) {}

Event::~Event() {
  if (handle_ != nullptr) cuda::destroy_event(handle_, device_.index);
}

Event::Event(Event&& other) noexcept : device_(other.device_), handle_(std::exchange(other.handle_, nullptr)) {}

Event& Event::operator=(Event&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(handle_, other.handle_);
  return *this;
}

void Event::record(const Stream& stream) const {
  if (handle_ == nullptr) return;
  expect_cuda("event", stream);
  cuda::record_event(handle_, stream.handle(), device_.index);
}

void Event::hold(const Stream& stream) const {
  if (handle_ == nullptr) return;
  expect_cuda("event", stream);
  cuda::hold_stream(handle_, stream.handle(), stream.device().index);
}

bool Event::done() const { return handle_ == nullptr || cuda::event_done(handle_); }

double Event::seconds_since(const Event& begin) const {
  if (handle_ == nullptr || begin.handle_ == nullptr) {
    fail(ErrorCode::kInternal, "event: only events of CUDA keep the time");
  }
  return cuda::seconds_between(begin.handle_, handle_);
}

Graph::~Graph() {
  if (handle_ != nullptr) cuda::destroy_graph(handle_);
}

Graph::Graph(Graph&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void Graph::begin_capture(const Stream& stream) {
  expect_cuda("graph", stream);
  cuda::begin_capture(stream.handle(), stream.device().index);
}

Graph Graph::end_capture(const Stream& stream) {
  expect_cuda("graph", stream);
  Graph graph;
  graph.handle_ = cuda::end_capture(stream.handle(), stream.device().index);
  return graph;
}

void Graph::launch(const Stream& stream) const {
  expect_cuda("graph", stream);
  if (handle_ == nullptr) fail(ErrorCode::kInternal, "graph: nothing is captured");
  cuda::launch_graph(handle_, stream.handle(), stream.device().index);
}

}  // namespace coe
