#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "comm/task.h"
#include "comm/transport.h"
#include "kernels/memory/tensor.h"
#include "runtime/exchange/dispatch_plan.h"

namespace coe {

/// Rows of this rank's experts, put together by (expert, source, token): expert l has [offsets[l], offsets[l + 1]).
/// Where the host cannot read the offsets, n is what there is room for.
struct ExpertRows {
  Tensor rows;     ///< [n, D], fp32 on the host
  Tensor scalar;   ///< fp32 [n], one beside each row; empty where none travels
  Tensor offsets;  ///< int32 [local experts + 1]
};

/// Told of tokens [first, first + count) as soon as their sums are complete, while these are in a near cache.
using TokensSummed = std::function<void(std::int64_t first, std::int64_t count)>;

/// What combine() makes of the results; views what it is given.
struct Combination {
  /// [T, D], overwritten: per token, in the exchange's order, w_j times the row of choice j, then + shared, + residual.
  Tensor sum;
  const Tensor* scalar = nullptr;     ///< where scalars travelled: [choices], what came back, 0 for a dropped choice
  Tensor shared = {}, residual = {};  ///< [T, D], or empty
  Tensor lost = {};  ///< int32 [1] as in Routed, or empty: with a token lost all sums are NaN, so that the loss tells
};
/// Adds what comes after the rows to the sums of tokens [first, first + count), on the host.
void add_rest(const Combination& combination, std::int64_t first, std::int64_t count);

/// What an Exchange does for one Flight, with the buffers that it takes; belongs to the Exchange's pool.
class FlightBuffers {
 public:
  virtual ~FlightBuffers() = default;
  /// Waits for the rows; then they are there, and a place for the results.
  virtual void await_arrival() = 0;
  virtual ExpertRows arrived() = 0;
  virtual ExpertRows results() = 0;
  virtual void send_back(const Phase& phase) = 0;
  /// Waits for the results.
  virtual void await_return() = 0;
  virtual void combine(const Combination& combination, const TokensSummed& then) = 0;
  virtual std::int64_t bytes_sent() const = 0;
  /// Gives all back to the pool; what requests under way or peers may still touch is parked.
  virtual void release() noexcept = 0;
};

/// One dispatch and its combine under way, with the buffers that they need; destroyed means released. Every rank of the
/// group begins, goes on with, and destroys its flights in one order. Movable.
class Flight {
 public:
  Flight() = default;
  explicit Flight(FlightBuffers& buffers) : buffers_(&buffers) {}
  Flight(Flight&& other) noexcept : buffers_(std::exchange(other.buffers_, nullptr)) {}
  Flight& operator=(Flight&& other) noexcept {
    Flight old(std::move(*this));
    buffers_ = std::exchange(other.buffers_, nullptr);
    return *this;
  }
  ~Flight() {
    if (buffers_ != nullptr) buffers_->release();
  }

  class Arrived : public Need<Arrived> {
   public:
    explicit Arrived(FlightBuffers& buffers) : buffers_(&buffers) {}
    void meet() { buffers_->await_arrival(); }
    ExpertRows take() { return buffers_->arrived(); }

   private:
    FlightBuffers* buffers_;
  };
  /// Awaited: the rows that arrived. They stay until send_back(), or with Departure::keep until the Flight is released.
  Arrived arrived() { return Arrived(*buffers_); }
  /// Where the results go, in the order of the rows that arrived, with a scalar each where scalars travelled.
  ExpertRows results() { return buffers_->results(); }
  /// Sends the results back to where the rows came from.
  void send_back(const Phase& phase) { buffers_->send_back(phase); }

  /// Waits for the results, as combine() does.
  void await_return() { buffers_->await_return(); }

  class Combined : public Need<Combined> {
   public:
    Combined(FlightBuffers& buffers, const Combination& combination, const TokensSummed& then)
        : buffers_(&buffers), combination_(&combination), then_(&then) {}
    void meet() { buffers_->await_return(); }
    void take() { buffers_->combine(*combination_, *then_); }

   private:
    FlightBuffers* buffers_;
    const Combination* combination_;
    const TokensSummed* then_;
  };
  /// Awaited: the sums are made; `then`, unless empty, is told of every token once, in ascending order. Views what it
  /// is given.
  Combined combine(const Combination& combination, const TokensSummed& then) { return {*buffers_, combination, then}; }

  /// Bytes of rows and scalars that this rank has sent to other ranks in it so far.
  std::int64_t bytes_sent() const { return buffers_->bytes_sent(); }

 private:
  FlightBuffers* buffers_ = nullptr;
};

}  // namespace coe
