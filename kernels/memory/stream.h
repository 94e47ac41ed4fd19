#pragma once

#include "kernels/memory/device.h"

namespace coe {

/// Work on one device in the order in which it was given. On the CPU a verb is done when it returns, and there is
/// nothing to order. Movable, not copyable; a CUDA stream of its own that no other waits for by itself.
class Stream {
 public:
  Stream() = default;
  /// Throws kSystem where the device is not there.
  explicit Stream(Device device);
  ~Stream();
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;

  Device device() const { return device_; }
  /// The cudaStream_t; nullptr on the CPU.
  void* handle() const { return handle_; }
  /// True when all the work given so far is done; never waits. Throws kSystem where some of it failed.
  bool done() const;

 private:
  Device device_;
  void* handle_ = nullptr;
};

/// The CPU's own, which orders nothing.
const Stream& host_stream();

/// A point in a stream's work that another stream can wait for, so that the host need not. Movable, not copyable.
class Event {
 public:
  Event() = default;
  explicit Event(Device device);
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;

  /// The point is where the stream's work ends now.
  void record(const Stream& stream) const;
  /// What the stream is given from now on runs after the point that was last recorded; the host does not wait. Both
  /// may be part of a capture.
  void hold(const Stream& stream) const;
  /// True when the point is passed, or none was recorded; never waits. Throws kSystem where work before it failed.
  bool done() const;
  /// Seconds on the device from `begin` to this point; both must be done.
  double seconds_since(const Event& begin) const;

 private:
  Device device_;
  void* handle_ = nullptr;
};

/// Work of a CUDA stream, captured to be given again in one call with whatever its memory then holds.
///
/// Between begin_capture() and end_capture() nothing runs. Work that other streams do after hold()ing an event of this
/// stream is captured with it, and must be joined by an event that this stream holds before the end.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;

  /// Throws kSystem where the stream cannot be captured; a CPU stream cannot.
  static void begin_capture(const Stream& stream);
  static Graph end_capture(const Stream& stream);
  void launch(const Stream& stream) const;

 private:
  void* handle_ = nullptr;
};

}  // namespace coe
