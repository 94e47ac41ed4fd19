#include "runtime/model/pass_graph.h"

#include "kernels/memory/error.h"

namespace coe {
namespace {

/// A capture that fails is ended, or the stream could do nothing any more.
Graph captured(const Stream& stream, const std::function<void()>& work) {
  Graph::begin_capture(stream);
  try {
    work();
  } catch (...) {
    try {
      Graph::end_capture(stream);
    } catch (const Error&) {
      // What went wrong first is thrown.
    }
    throw;
  }
  return Graph::end_capture(stream);
}

}  // namespace

void PassGraph::run(const Key& key, const Stream& stream, const std::function<void()>& work) {
  if (key_ != key) {
    key_ = key;
    graph_.reset();
    return work();
  }
  if (!graph_) graph_ = captured(stream, work);
  graph_->launch(stream);
  ++replays_;
}

}  // namespace coe
