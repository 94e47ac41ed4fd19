#include "runtime/exchange/flight_pool.h"

#include <gtest/gtest.h>

namespace coe {
namespace {

TEST(FlightPool, GivesOutWhatCameBackFirst) {
  FlightPool<int> pool;
  int made = 0;
  const auto make = [&] { return std::make_unique<int>(made++); };
  int &zero = pool.take(make), &one = pool.take(make);
  pool.give_back(one);
  pool.give_back(zero);
  EXPECT_EQ(&pool.take(make), &one);
  EXPECT_EQ(&pool.take(make), &zero);
  EXPECT_EQ(pool.take(make), 2);
  EXPECT_EQ(pool.all().size(), 3U);
}

TEST(FlightPool, WhatIsRemovedIsNotGivenOutAgain) {
  FlightPool<int> pool;
  const auto make = [] { return std::make_unique<int>(0); };
  int &first = pool.take(make), &second = pool.take(make);
  const std::unique_ptr<int> removed = pool.remove(first);
  EXPECT_EQ(removed.get(), &first);
  pool.give_back(second);
  EXPECT_EQ(&pool.take(make), &second);
  EXPECT_EQ(pool.all().size(), 1U);
}

}  // namespace
}  // namespace coe
