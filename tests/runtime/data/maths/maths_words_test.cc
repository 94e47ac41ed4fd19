#include "runtime/data/maths/maths_words.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "kernels/memory/error.h"

namespace coe {

namespace {

TEST(MathsWordsTest, PeopleOfOneProblemAreDifferent) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const RandomKey key{seed, 1};
    const std::set<std::string_view> people = {maths_word("A", key), maths_word("B", key), maths_word("C", key)};
    EXPECT_EQ(people.size(), 3U) << "seed " << seed;
  }
}

TEST(MathsWordsTest, TwoThingsOfAKindAreDifferent) {
  for (std::uint64_t seed = 0; seed < 300; ++seed)
    EXPECT_NE(maths_word("fruit", {seed, 1}), maths_word("fruit2", {seed, 1})) << "seed " << seed;
}

TEST(MathsWordsTest, PluralsBelongToTheirSingulars) {
  std::set<std::string> pairs;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const RandomKey key{seed, 1};
    pairs.insert(std::string(maths_word("flower", key)) + ' ' + std::string(maths_word("flowers", key)));
  }
  EXPECT_EQ(pairs, (std::set<std::string>{"rose roses", "tulip tulips", "daisy daisies", "lily lilies",
                                          "sunflower sunflowers", "orchid orchids", "violet violets"}));
}

TEST(MathsWordsTest, PronounsFitThePerson) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const RandomKey key{seed, 1};
    const std::string_view person = maths_word("A", key);
    if (person == "Wendy") seen.insert("Wendy " + std::string(maths_word("He", key)));
    if (person == "Ahmed") seen.insert("Ahmed " + std::string(maths_word("him", key)));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"Ahmed him", "Wendy She"}));
}

TEST(MathsWordsTest, RefusesASlotWithoutWords) {
  for (const std::string_view slot : {"D", "furniture", "", "fruit3", "2"})
    EXPECT_THROW(maths_word(slot, {1, 1}), Error) << slot;
}

}  // namespace

}  // namespace coe
