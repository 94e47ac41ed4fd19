#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <type_traits>
#include <utility>

#include "kernels/memory/arena.h"

namespace coe {

/// Host memory for the frames of Tasks; reset only when none of them lives.
class FrameArena : public Arena {
 public:
  using Arena::Arena;
};

/// What a Task waits for before it goes on. A Derived has meet(), which waits with the patience of its group, and
/// take(), which gives what the wait was for; it is trivially destructible, as g++ 12 wants temporaries that live
/// across a suspension.
template <class Derived>
class Need {
 public:
  /// A Task always suspends here, so that others may work before it waits.
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    task.promise().wait_for([](void* need) { static_cast<Derived*>(need)->meet(); }, derived());
  }
  auto await_resume() { return derived()->take(); }

  /// The same outside of a Task: waits here.
  auto get() {
    derived()->meet();
    return derived()->take();
  }

 private:
  Derived* derived() { return static_cast<Derived*>(this); }
};

/// Work that is written straight down and suspended wherever it needs a peer (C++20 coroutine). Its frame lies in the
/// FrameArena that is among its arguments; an exception ends it and leaves through go_on(). A Task may co_await another
/// Task. Movable; destroying it releases what it holds.
class [[nodiscard]] Task {
 public:
  class promise_type;

  Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~Task() {
    if (frame_) frame_.destroy();
  }

  bool done() const { return frame_.done(); }
  /// Waits for what it was suspended for, if anything, and works until it needs a peer again or ends.
  void go_on();

  // A Task that co_awaits this one goes on when it is done.
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> task) noexcept {
    task.promise().wait_for(*this);
  }
  void await_resume() const noexcept {}

 private:
  explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

class Task::promise_type {
 public:
  template <class... Arguments>
  static void* operator new(std::size_t bytes, Arguments&... arguments) {
    static_assert((std::is_same_v<Arguments, FrameArena> || ...), "a Task takes a FrameArena&");
    FrameArena* frames = nullptr;
    (pick(frames, arguments), ...);
    return frames->make<std::uint8_t>({static_cast<std::int64_t>(bytes)}).raw();
  }
  static void operator delete(void* /*frame*/, std::size_t /*bytes*/) {}

  Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
  std::suspend_always initial_suspend() noexcept { return {}; }
  std::suspend_always final_suspend() noexcept { return {}; }
  void return_void() {}
  void unhandled_exception() { error_ = std::current_exception(); }

  void wait_for(void (*meet)(void*), void* need) {
    meet_ = meet;
    need_ = need;
  }
  void wait_for(Task& inner) { inner_ = &inner; }

 private:
  friend class Task;
  static void pick(FrameArena*& frames, FrameArena& argument) { frames = &argument; }
  template <class Argument>
  static void pick(FrameArena*& /*frames*/, Argument& /*argument*/) {}

  void (*meet_)(void*) = nullptr;
  void* need_ = nullptr;
  Task* inner_ = nullptr;
  std::exception_ptr error_;
};

inline void Task::go_on() {
  promise_type& promise = frame_.promise();
  if (promise.inner_ != nullptr) {
    promise.inner_->go_on();
    if (!promise.inner_->done()) return;
    promise.inner_ = nullptr;
  }
  if (promise.meet_ != nullptr) std::exchange(promise.meet_, nullptr)(promise.need_);
  frame_.resume();
  if (promise.error_) std::rethrow_exception(std::exchange(promise.error_, {}));
}

/// Runs all to their ends: each as far as its next need, in turn, in an order that is the same on every rank.
inline void run(std::span<Task> tasks) {
  for (bool more = true; more;) {
    more = false;
    for (Task& task : tasks) {
      if (task.done()) continue;
      task.go_on();
      more = more || !task.done();
    }
  }
}
inline void run(Task task) { run({&task, 1}); }

}  // namespace coe
