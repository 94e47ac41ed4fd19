#include "comm/window.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "comm/collectives.h"
#include "comm/wait.h"
#include "tests/ranks.h"

namespace coe {
namespace {

constexpr std::size_t kBytes = 4096;
constexpr Phase kPhase{.name = "test"};

TEST(WindowOnRanks, BeginsAsZerosAndIsSeenByAll) {
  for_each_ranks([](Transport& transport) {
    const auto window = transport.make_window(kBytes);
    ASSERT_EQ(window->size(), transport.size());
    EXPECT_EQ(window->bytes(), kBytes);
    for (std::size_t i = 0; i < kBytes; ++i) ASSERT_EQ(window->of(transport.rank())[i], std::byte{0});
    barrier({&transport}, kPhase);
    // Every rank leaves its number with every other.
    for (int peer = 0; peer < transport.size(); ++peer) {
      window->of(peer)[transport.rank()] = static_cast<std::byte>(transport.rank() + 1);
    }
    barrier({&transport}, kPhase);
    for (int peer = 0; peer < transport.size(); ++peer) {
      EXPECT_EQ(window->of(transport.rank())[peer], static_cast<std::byte>(peer + 1));
    }
  });
}

TEST(WindowOnRanks, OneRankMayGiveItUpBeforeTheOthers) {
  for_each_ranks([](Transport& transport) {
    auto window = transport.make_window(kBytes);
    auto second = transport.make_window(2 * kBytes);
    std::byte* last = window->of(transport.size() - 1);
    if (transport.rank() == transport.size() - 1) {
      *last = std::byte{7};
      window.reset();
    }
    barrier({&transport}, kPhase);
    if (window != nullptr) {
      EXPECT_EQ(*last, std::byte{7});
    }
    EXPECT_EQ(second->bytes(), 2 * kBytes);
  });
}

TEST(SignalsOnRanks, EveryRankHearsEveryOtherOnEveryChannel) {
  for_each_ranks([](Transport& transport) {
    constexpr int kChannels = 9;
    constexpr std::size_t kOffset = 128;
    const int ranks = transport.size(), rank = transport.rank();
    const auto window = transport.make_window(kOffset + Signals::bytes_for(ranks, kChannels));
    const Signals signals(*window, kOffset, rank, kChannels);
    const auto number = [](int from, int to, int channel) {
      return static_cast<std::uint64_t>(1 + from + 10 * to + 100 * channel);
    };
    std::vector<AwaitedSignal> awaited;
    for (int peer = 0; peer < ranks; ++peer) {
      for (int channel = 0; channel < kChannels; ++channel) {
        signals.raise(peer, channel, number(rank, peer, channel));
        awaited.push_back({peer, channel, number(peer, rank, channel)});
      }
    }
    wait({&transport}, signals, awaited, 0, kPhase);
    for (const AwaitedSignal& one : awaited) EXPECT_EQ(signals.heard(one.source, one.channel), one.number);
    barrier({&transport}, kPhase);
  });
}

TEST(SignalsOnRanks, WhatWasWrittenBeforeIsSeenAfter) {
  for_each_ranks([](Transport& transport) {
    constexpr std::size_t kRow = 8192;
    constexpr int kRounds = 50;
    const int ranks = transport.size(), rank = transport.rank(), next = (rank + 1) % ranks;
    const int before = (rank + ranks - 1) % ranks;
    const auto window = transport.make_window(Signals::bytes_for(ranks, 2) + kRow);
    const Signals signals(*window, 0, rank, 2);
    std::byte* theirs = window->of(next) + Signals::bytes_for(ranks, 2);
    const std::byte* mine = window->of(rank) + Signals::bytes_for(ranks, 2);
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      // Channel 1 says that the receiver is done with the last round.
      const AwaitedSignal free{next, 1, round - 1}, arrived{before, 0, round};
      wait({&transport}, signals, {&free, 1}, 0, kPhase);
      std::memset(theirs, static_cast<int>(round), kRow);
      signals.raise(next, 0, round);
      wait({&transport}, signals, {&arrived, 1}, kRow, kPhase);
      for (std::size_t i = 0; i < kRow; ++i) ASSERT_EQ(mine[i], static_cast<std::byte>(round));
      signals.raise(before, 1, round);
    }
    barrier({&transport}, kPhase);
  });
}

// Rank 1 raises the signal once it has a message that rank 0, which waits for the signal alone, must help to travel.
TEST(SignalsOnRanks, MessagesTravelWhileASignalIsAwaited) {
  on_ranks(2, [](Transport& transport) {
    std::vector<std::byte> row(std::size_t{16} << 20, static_cast<std::byte>(transport.rank() + 1));
    const Piece piece{row.data(), row.size()};
    const Message message{1 - transport.rank(), {&piece, 1}};
    const auto window = transport.make_window(Signals::bytes_for(2, 1));
    const Signals signals(*window, 0, transport.rank(), 1);
    const Group group{&transport, std::chrono::milliseconds(20'000)};
    if (transport.rank() == 0) {
      const Ticket ticket = post(group, {&message, 1}, {}, kPhase);
      const AwaitedSignal arrived{1, 0, 1};
      wait(group, signals, {&arrived, 1}, 0, kPhase);
      wait(group, ticket, kPhase);
    } else {
      wait(group, post(group, {}, {&message, 1}, kPhase), kPhase);
      EXPECT_EQ(row.back(), std::byte{1});
      signals.raise(0, 0, 1);
    }
    barrier({&transport}, kPhase);
  });
}

}  // namespace
}  // namespace coe
