#include "comm/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "comm/collectives.h"
#include "comm/make_transport.h"
#include "comm/wait.h"
#include "tests/ranks.h"

namespace coe {
namespace {

using std::chrono::milliseconds;

constexpr Phase kPhase{.name = "test"};

Piece piece_of(std::vector<std::int32_t>& values) {
  return {reinterpret_cast<std::byte*>(values.data()), values.size() * sizeof(std::int32_t)};
}

/// What goes to and comes from each peer, with the Pieces and Messages that say so; not to be moved while posted.
class Exchange {
 public:
  explicit Exchange(int ranks)
      : out(static_cast<std::size_t>(ranks)), in(out.size()), out_pieces_(out.size()), in_pieces_(out.size()) {}

  Ticket post(Transport& transport) {
    sends_.clear();
    receives_.clear();
    for (std::size_t peer = 0; peer < out.size(); ++peer) {
      out_pieces_[peer] = piece_of(out[peer]);
      in_pieces_[peer] = piece_of(in[peer]);
      sends_.push_back({static_cast<int>(peer), {&out_pieces_[peer], 1}});
      receives_.push_back({static_cast<int>(peer), {&in_pieces_[peer], 1}});
    }
    return transport.post(sends_, receives_);
  }

  std::vector<std::vector<std::int32_t>> out, in;  ///< By peer.

 private:
  std::vector<Piece> out_pieces_, in_pieces_;
  std::vector<Message> sends_, receives_;
};

TEST(Phase, TextNamesWhatHasAMeaning) {
  EXPECT_EQ((Phase{.name = "dispatch", .layer = 3, .iteration = 1}.text()), "dispatch of layer 3, iteration 1");
  EXPECT_EQ((Phase{.name = "combine", .layer = 0, .iteration = 2, .chunk = 4}.text()),
            "combine of layer 0, iteration 2, chunk 4");
  EXPECT_EQ((Phase{.name = "head", .chunk = 1}.text()), "head of chunk 1");
  EXPECT_EQ(Phase{.name = "start"}.text(), "start");
}

TEST(TransportOnRanks, RanksAreNumberedAndReachable) {
  for_each_ranks([](Transport& transport) {
    ASSERT_LT(transport.rank(), transport.size());
    for (int peer = 0; peer < transport.size(); ++peer) {
      const Reach other = ranks_are_processes() ? Reach::kMessage : Reach::kMapped;
      EXPECT_EQ(transport.reach(peer), peer == transport.rank() ? Reach::kSelf : other);
    }
    std::vector<int> all(static_cast<std::size_t>(transport.size()), -1);
    const int mine = transport.rank();
    all_gather<int>({&transport}, {&mine, 1}, all, kPhase);
    for (int peer = 0; peer < transport.size(); ++peer) EXPECT_EQ(all[static_cast<std::size_t>(peer)], peer);
  });
}

TEST(TransportOnRanks, RingPassesARowOnAndOn) {
  for_each_ranks([](Transport& transport) {
    const int me = transport.rank(), ranks = transport.size();
    std::vector<std::int32_t> row(1000, me), next(1000);
    for (int step = 1; step <= ranks; ++step) {
      const Piece out = piece_of(row), in = piece_of(next);
      const Message send{(me + 1) % ranks, {&out, 1}}, receive{(me + ranks - 1) % ranks, {&in, 1}};
      wait({&transport}, transport.post({&send, 1}, {&receive, 1}), kPhase);
      std::swap(row, next);
      EXPECT_EQ(row, std::vector<std::int32_t>(1000, (me + ranks - step % ranks) % ranks));
    }
  });
}

TEST(TransportOnRanks, SizesMayBeUnevenOrZeroAndGoToOneself) {
  for_each_ranks([](Transport& transport) {
    const int me = transport.rank();
    const auto rows = [](int from, int to) {  // Rank 1 sends nothing; rank 0 gets some large messages.
      return from == 1 ? std::size_t{0} : static_cast<std::size_t>((from * 3 + to) % 4) * (to == 0 ? 100'000U : 1U);
    };
    Exchange exchange(transport.size());
    for (int peer = 0; peer < transport.size(); ++peer) {
      exchange.out[static_cast<std::size_t>(peer)].assign(rows(me, peer), 10 * me + peer);
      exchange.in[static_cast<std::size_t>(peer)].assign(rows(peer, me), -1);
    }
    wait({&transport}, exchange.post(transport), kPhase);
    for (int peer = 0; peer < transport.size(); ++peer) {
      EXPECT_EQ(exchange.in[static_cast<std::size_t>(peer)], std::vector<std::int32_t>(rows(peer, me), 10 * peer + me));
    }
  });
}

TEST(TransportOnRanks, PostOfNothingIsComplete) {
  for_each_ranks([](Transport& transport) {
    const Piece none{};
    const Message nothing{0, {&none, 1}};
    EXPECT_TRUE(transport.test(transport.post({}, {})));
    EXPECT_TRUE(transport.test(transport.post({&nothing, 1}, {&nothing, 1})));
  });
}

TEST(TransportOnRanks, ManyTicketsMatchInTheOrderPostedAndEndInAnyOrder) {
  for_each_ranks([](Transport& transport) {
    constexpr int kTickets = 40;
    std::vector<Exchange> exchanges(kTickets, Exchange(transport.size()));
    std::vector<Ticket> tickets;
    for (int number = 0; number < kTickets; ++number) {
      Exchange& exchange = exchanges[static_cast<std::size_t>(number)];
      for (auto& values : exchange.out) values.assign(50, 100 * transport.rank() + number);
      for (auto& values : exchange.in) values.assign(50, -1);
      tickets.push_back(exchange.post(transport));
    }
    // Backwards on even ranks, forwards on odd ones.
    for (int i = 0; i < kTickets; ++i) {
      const auto number = static_cast<std::size_t>(transport.rank() % 2 == 0 ? kTickets - 1 - i : i);
      wait({&transport}, tickets[number], kPhase);
      for (int peer = 0; peer < transport.size(); ++peer) {
        EXPECT_EQ(exchanges[number].in[static_cast<std::size_t>(peer)],
                  std::vector<std::int32_t>(50, 100 * peer + static_cast<int>(number)));
      }
    }
  });
}

TEST(TransportOnRanks, PiecesLandEachInItsPlace) {
  for_each_ranks([](Transport& transport) {
    const int me = transport.rank(), ranks = transport.size();
    std::vector<std::int32_t> a(3, me), b(1, me + 10), none, c(5000, me + 20);
    std::vector<std::int32_t> to_a(3), to_b(1), to_c(5000);
    const std::array<Piece, 4> out = {piece_of(a), piece_of(b), piece_of(none), piece_of(c)};
    const std::array<Piece, 4> in = {piece_of(to_a), piece_of(to_b), piece_of(none), piece_of(to_c)};
    const int source = (me + ranks - 1) % ranks;
    const Message send{(me + 1) % ranks, out}, receive{source, in};
    wait({&transport}, transport.post({&send, 1}, {&receive, 1}), kPhase);
    EXPECT_EQ(to_a, std::vector<std::int32_t>(3, source));
    EXPECT_EQ(to_b, std::vector<std::int32_t>(1, source + 10));
    EXPECT_EQ(to_c, std::vector<std::int32_t>(5000, source + 20));
  });
}

TEST(TransportOnRanks, PiecesForOnePeerAreOneMessage) {
  for_each_ranks([](Transport& transport) {
    const int me = transport.rank(), ranks = transport.size();
    std::vector<std::int32_t> from(300), to(from.size(), -1);
    std::iota(from.begin(), from.end(), 1000 * me);
    // Every third number, backwards, to every third place, forwards.
    std::vector<Piece> out, in;
    for (std::size_t i = 0; i < from.size(); i += 3) {
      out.push_back({reinterpret_cast<std::byte*>(&from[from.size() - 3 - i]), sizeof(std::int32_t)});
      in.push_back({reinterpret_cast<std::byte*>(&to[i]), sizeof(std::int32_t)});
    }
    const int source = (me + ranks - 1) % ranks;
    const Message send{(me + 1) % ranks, out}, receive{source, in};
    const std::uint64_t before = transport.messages_sent();
    wait({&transport}, transport.post({&send, 1}, {&receive, 1}), kPhase);
    EXPECT_EQ(transport.messages_sent() - before, 1U);
    for (std::size_t i = 0; i < to.size(); ++i) {
      EXPECT_EQ(to[i], i % 3 == 0 ? 1000 * source + static_cast<int>(from.size() - 3 - i) : -1);
    }
  });
}

TEST(TransportOnRanks, FinishedTicketIsForgotten) {
  for_each_ranks([](Transport& transport) {
    const Ticket ticket = transport.post({}, {});
    EXPECT_TRUE(transport.test(ticket));
    EXPECT_THROW(transport.test(ticket), Error);
    EXPECT_THROW(transport.test({}), Error);
  });
}

TEST(TransportOnRanks, PeerOutsideTheGroupIsRefused) {
  for_each_ranks([](Transport& transport) {
    const Message beyond{transport.size(), {}}, negative{-1, {}};
    EXPECT_THROW(transport.post({&beyond, 1}, {}), Error);
    EXPECT_THROW(transport.post({}, {&negative, 1}), Error);
  });
}

TEST(TransportOnRanks, SplitOrdersByKeyThenRank) {
  for_each_ranks([](Transport& transport) {
    const int me = transport.rank(), ranks = transport.size();
    const std::unique_ptr<Transport> backwards = transport.split(0, -me);
    EXPECT_EQ(backwards->size(), ranks);
    EXPECT_EQ(backwards->rank(), ranks - 1 - me);
    const std::unique_ptr<Transport> same = transport.split(5, 0);
    EXPECT_EQ(same->rank(), me);
    const std::unique_ptr<Transport> halves = transport.split(me % 2, me);
    EXPECT_EQ(halves->size(), (ranks + 1 - me % 2) / 2);
    EXPECT_EQ(halves->rank(), me / 2);
    const std::unique_ptr<Transport> alone = halves->split(me, 0);
    EXPECT_EQ(alone->size(), 1);
  });
}

TEST(TransportOnRanks, SplitRefusesANegativeColor) {
  for_each_ranks([](Transport& transport) { EXPECT_THROW(transport.split(-1, 0), Error); });
}

TEST(TransportOnRanks, ParentAndChildDoNotMixTheirMessages) {
  for_each_ranks([](Transport& transport) {
    const int me = transport.rank();
    const std::unique_ptr<Transport> child = transport.split(me % 2, me);
    Exchange above(transport.size()), below(child->size());
    for (auto& values : above.out) values.assign(100, 1000 + me);
    for (auto& values : above.in) values.assign(100, -1);
    for (auto& values : below.out) values.assign(100, 2000 + me);
    for (auto& values : below.in) values.assign(100, -1);
    // Odd ranks post in the other order: within one group it would be the wrong one.
    const bool odd = me % 2 == 1;
    Ticket first_below = odd ? below.post(*child) : Ticket{};
    const Ticket in_parent = above.post(transport);
    if (!odd) first_below = below.post(*child);
    wait({child.get()}, first_below, kPhase);
    wait({&transport}, in_parent, kPhase);
    for (int peer = 0; peer < transport.size(); ++peer) {
      EXPECT_EQ(above.in[static_cast<std::size_t>(peer)], std::vector<std::int32_t>(100, 1000 + peer));
    }
    for (int peer = 0; peer < child->size(); ++peer) {
      EXPECT_EQ(below.in[static_cast<std::size_t>(peer)], std::vector<std::int32_t>(100, 2000 + 2 * peer + me % 2));
    }
  });
}

/// What a wait of 100 ms for `bytes` from each of `peers`, who send nothing, throws.
std::string message_of_failed_wait(Transport& transport, const std::vector<int>& peers, std::size_t bytes) {
  std::vector<std::byte> memory(bytes * peers.size());
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < peers.size(); ++i) pieces.push_back({memory.data() + i * bytes, bytes});
  std::vector<Message> receives;
  for (std::size_t i = 0; i < peers.size(); ++i) receives.push_back({peers[i], {&pieces[i], 1}});
  try {
    wait({&transport, milliseconds(100)}, transport.post({}, receives),
         {.name = "dispatch", .layer = 3, .iteration = 1});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPeer);
    return error.what();
  }
  return "no error";
}

/// Processes are named with host and number.
std::string waits(const Transport& transport, int rank, const std::vector<int>& peers) {
  return name_of_rank(rank, transport.places()) + " waits for " + names_of_ranks(peers, transport.places());
}

TEST(TransportOnRanks, PlacesSayWhereProcessesRun) {
  for_each_ranks([](Transport& transport) {
    if (!ranks_are_processes()) {
      EXPECT_TRUE(transport.places().empty());
      return;
    }
    const int me = transport.lack_of({}).rank;
    EXPECT_EQ(transport.places()[static_cast<std::size_t>(me)], own_place());
  });
}

TEST(TransportOnRanks, APartHasThePatienceOfTheWhole) {
  const auto body = [](Transport& transport) {
    EXPECT_EQ(transport.deadline(), milliseconds(7000));
    EXPECT_EQ(transport.split(0, 0)->deadline(), milliseconds(7000));
    EXPECT_EQ(Group{&transport}.deadline, milliseconds(7000));
  };
  if (!ranks_are_processes()) run_local_ranks(2, body, milliseconds(7000));
}

TEST(TransportOnRanks, WaitThatRunsOutNamesRanksPhaseAndBytesInTime) {
  on_ranks(4, [](Transport& transport) {
    if (transport.rank() == 2) {
      const auto start = std::chrono::steady_clock::now();
      EXPECT_EQ(
          message_of_failed_wait(transport, {1}, 12288),
          waits(transport, 2, {1}) + " in dispatch of layer 3, iteration 1: 0 of 12288 bytes arrived after 0.1 s");
      EXPECT_EQ(
          message_of_failed_wait(transport, {3, 0}, 8),
          waits(transport, 2, {0, 3}) + " in dispatch of layer 3, iteration 1: 0 of 16 bytes arrived after 0.1 s");
      const auto waited = std::chrono::steady_clock::now() - start;
      EXPECT_GE(waited, milliseconds(200));
      EXPECT_LT(waited, milliseconds(2000));
    }
  });
}

TEST(TransportOnRanks, FailedWaitInAPartNamesRanksOfTheWholeJob) {
  on_ranks(4, [](Transport& transport) {
    const std::unique_ptr<Transport> part = transport.split(transport.rank() % 2, 0);
    if (transport.rank() == 3) {
      EXPECT_THAT(message_of_failed_wait(*part, {0}, 4),
                  testing::StartsWith(waits(transport, 3, {1}) + " in dispatch"));
    }
  });
}

TEST(TransportOnRanks, FailedWaitCountsWhatArrived) {
  on_ranks(2, [](Transport& transport) {
    std::array<std::byte, 12> memory{};
    const Piece first{memory.data(), 8}, second{memory.data() + 8, 4};
    if (transport.rank() == 0) {
      const Message send{1, {&first, 1}};
      wait({&transport}, transport.post({&send, 1}, {}), kPhase);
      return;
    }
    const std::array<Message, 2> receives = {Message{0, {&first, 1}}, Message{0, {&second, 1}}};
    try {
      wait({&transport, milliseconds(300)}, transport.post({}, receives), kPhase);
      ADD_FAILURE() << "the second message never comes";
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), waits(transport, 1, {0}) + " in test: 8 of 12 bytes arrived after 0.3 s");
    }
  });
}

}  // namespace
}  // namespace coe
