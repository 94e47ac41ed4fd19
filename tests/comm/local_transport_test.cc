#include "comm/local_transport.h"

#include <gtest/gtest.h>

#include <array>

namespace coe {
namespace {

TEST(LocalTransport, LoneRankSendsToItself) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  std::array<int, 3> out = {1, 2, 3}, in = {};
  const Piece from{reinterpret_cast<std::byte*>(out.data()), sizeof(out)};
  const Piece to{reinterpret_cast<std::byte*>(in.data()), sizeof(in)};
  const Message send{0, {&from, 1}}, receive{0, {&to, 1}};
  wait(*alone, alone->post({&send, 1}, {&receive, 1}), kDefaultDeadline, {.name = "test"});
  EXPECT_EQ(in, out);
}

}  // namespace
}  // namespace coe
