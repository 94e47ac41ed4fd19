#include "comm/local_transport.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>

#include "comm/group.h"
#include "comm/wait.h"

namespace coe {
namespace {

constexpr Phase kPhase{.name = "combine"};
constexpr std::chrono::milliseconds kSoon{50};

/// Ranks 0 and 1 of one hub, both used by this thread, and 16 bytes to send from or receive into.
struct TwoRanks {
  LocalHub hub{2};
  std::unique_ptr<Transport> zero = hub.connect(0), one = hub.connect(1);
  std::array<std::byte, 16> memory{};
  Piece half{memory.data(), 8}, whole{memory.data(), 16};
};

/// The message of the Error that `call` throws.
template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(LocalTransport, LoneRankSendsToItself) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  std::array<int, 3> out = {1, 2, 3}, in = {};
  const Piece from{reinterpret_cast<std::byte*>(out.data()), sizeof(out)};
  const Piece to{reinterpret_cast<std::byte*>(in.data()), sizeof(in)};
  const Message send{0, {&from, 1}}, receive{0, {&to, 1}};
  wait({alone.get()}, alone->post({&send, 1}, {&receive, 1}), kPhase);
  EXPECT_EQ(in, out);
}

TEST(LocalTransport, LoneRankSplitsIntoItself) {
  const std::unique_ptr<Transport> alone = make_lone_transport();
  EXPECT_EQ(alone->split(7, 3)->size(), 1);
}

TEST(LocalTransport, GroupOfNobodyIsRefused) { EXPECT_THROW(LocalHub(0), Error); }

TEST(LocalTransport, SendEndsWhenTheReceiverHasCopied) {
  TwoRanks ranks;
  std::array<std::byte, 8> landing{};
  ranks.memory.fill(std::byte{42});
  const Piece place{landing.data(), 8};
  const Message send{1, {&ranks.half, 1}}, receive{0, {&place, 1}};
  const Ticket sent = ranks.zero->post({&send, 1}, {});
  EXPECT_FALSE(ranks.zero->test(sent));
  const Ticket received = ranks.one->post({}, {&receive, 1});
  EXPECT_FALSE(ranks.zero->test(sent)) << "only the receiver's thread copies";
  EXPECT_TRUE(ranks.one->test(received));
  EXPECT_TRUE(ranks.zero->test(sent));
  EXPECT_EQ(landing[7], std::byte{42});
}

TEST(LocalTransport, SendThatNobodyTakesRunsOut) {
  TwoRanks ranks;
  const Message send{1, {&ranks.whole, 1}};
  EXPECT_EQ(error_of([&] {
              wait({ranks.zero.get(), kSoon}, ranks.zero->post({&send, 1}, {}), kPhase);
            }),
            "rank 0 waits for rank 1 in combine: 0 of 16 bytes were taken after 0.05 s");
}

TEST(LocalTransport, FailedWaitNamesBothDirections) {
  TwoRanks ranks;
  const Message send{1, {&ranks.half, 1}}, receive{1, {&ranks.whole, 1}};
  EXPECT_EQ(error_of([&] {
              wait({ranks.zero.get(), kSoon}, ranks.zero->post({&send, 1}, {&receive, 1}), kPhase);
            }),
            "rank 0 waits for rank 1 in combine: 0 of 16 bytes arrived, 0 of 8 bytes were taken after 0.05 s");
}

TEST(LocalTransport, SendGivenUpIsNotReceived) {
  TwoRanks ranks;
  const Message send{1, {&ranks.half, 1}}, receive{0, {&ranks.half, 1}};
  EXPECT_NE(error_of([&] { wait({ranks.zero.get(), kSoon}, ranks.zero->post({&send, 1}, {}), kPhase); }), "no error");
  EXPECT_EQ(error_of([&] {
              wait({ranks.one.get(), kSoon}, ranks.one->post({}, {&receive, 1}), kPhase);
            }),
            "rank 1 waits for rank 0 in combine: 0 of 8 bytes arrived after 0.05 s");
}

TEST(LocalTransport, SendOfATransportThatIsGoneIsNotReceived) {
  TwoRanks ranks;
  const Message send{1, {&ranks.half, 1}}, receive{0, {&ranks.half, 1}};
  ranks.zero->post({&send, 1}, {});
  ranks.zero.reset();
  EXPECT_FALSE(ranks.one->test(ranks.one->post({}, {&receive, 1})));
}

TEST(LocalTransport, PiecesOfOtherSizesAreABug) {
  TwoRanks ranks;
  const Message send{1, {&ranks.half, 1}}, receive{0, {&ranks.whole, 1}};
  ranks.zero->post({&send, 1}, {});
  const Ticket ticket = ranks.one->post({}, {&receive, 1});
  EXPECT_EQ(error_of([&] { ranks.one->test(ticket); }),
            "local transport: rank 1 expects pieces of other sizes than rank 0 sends");
}

TEST(LocalTransport, AbortEndsEveryWaitWithTheFirstMessage) {
  TwoRanks ranks;
  const Message receive{1, {&ranks.half, 1}};
  const Ticket ticket = ranks.zero->post({}, {&receive, 1});
  ranks.one->abort(Error(ErrorCode::kSystem, "disk full"));
  ranks.zero->abort(Error(ErrorCode::kSystem, "too late"));
  EXPECT_EQ(error_of([&] { wait({ranks.zero.get()}, ticket, kPhase); }), "rank 1 failed: disk full");
}

}  // namespace
}  // namespace coe
