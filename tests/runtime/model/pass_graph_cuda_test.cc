#include "runtime/model/pass_graph.h"

#include "kernels/memory/copy.h"
#include "kernels/memory/error.h"
#include "tests/kernels/memory/on_device.h"

namespace coe {
namespace {

PassGraph::Key key_of(std::int64_t extent) { return {{}, {extent}, {}, {}}; }

class PassGraphCuda : public OnCuda {
 protected:
  void SetUp() override {
    OnCuda::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    from_ = room(DType::kF32, {1});
    to_ = room(DType::kF32, {1});
  }
  /// After `from` has become so many.
  float result_of(float from, std::int64_t extent) {
    fill(from_, from, stream_);
    graph_.run(key_of(extent), stream_, [&] {
      ++given_;
      copy(from_, to_, stream_);
    });
    return get<float>(to_)[0];
  }

  Tensor from_, to_;
  PassGraph graph_;
  int given_ = 0;
};

TEST_F(PassGraphCuda, WhatIsAlikeIsGivenTwiceAndThenReplayed) {
  for (int pass = 0; pass < 5; ++pass) EXPECT_EQ(result_of(static_cast<float>(pass), 1), static_cast<float>(pass));
  EXPECT_EQ(given_, 2);
  EXPECT_EQ(graph_.replays(), 4);
}

TEST_F(PassGraphCuda, WhatIsNotAlikeIsGivenAnew) {
  for (int pass = 0; pass < 6; ++pass)
    EXPECT_EQ(result_of(static_cast<float>(pass), pass / 3), static_cast<float>(pass));
  EXPECT_EQ(given_, 4);
  EXPECT_EQ(graph_.replays(), 4);
}

TEST_F(PassGraphCuda, AFailureLeavesTheStreamUsable) {
  EXPECT_EQ(result_of(1, 1), 1);
  EXPECT_THROW(graph_.run(key_of(1), stream_, [] { fail(ErrorCode::kInternal, "no"); }), Error);
  EXPECT_EQ(result_of(2, 1), 2);
}

}  // namespace
}  // namespace coe
