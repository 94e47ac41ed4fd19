#include "runtime/data/maths/maths_problems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/bad_input.h"

namespace coe {

namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr RandomKey kKey{11, 5};
constexpr std::uint64_t kProblems = 6000;

/// The value of "3 + 4 * 5": products first, as everybody learns it at school.
double value_of(const std::string& expression) {
  std::istringstream in(expression);
  double sum = 0, product = 0, operand = 0;
  in >> product;
  for (char operation = 0; in >> operation >> operand;) {
    if (operation == '*') product *= operand;
    if (operation == '/') product /= operand;
    if (operation == '*' || operation == '/') continue;
    sum += product;
    product = operation == '+' ? operand : -operand;
  }
  return sum + product;
}

/// Checks every "a op b = c" and returns the last c, as text.
std::string check_equations(const std::string& answer) {
  static const std::regex equation(R"((\d+(?: [-+*/] \d+)+) = (\d+))");
  std::string last = "no equation";
  for (std::sregex_iterator it(answer.begin(), answer.end(), equation), end; it != end; ++it) {
    last = (*it)[2];
    EXPECT_EQ(value_of((*it)[1]), std::stod(last)) << answer;
  }
  return last;
}

TEST(MathsProblemsTest, ThereAreAtLeastFortyTemplatesWithNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const MathsTemplate& one : maths_templates()) names.insert(one.name);
  EXPECT_GE(names.size(), 40U);
  EXPECT_EQ(names.size(), maths_templates().size());
}

TEST(MathsProblemsTest, EveryEquationHoldsAndTheLastLineIsTheLastValue) {
  for (std::uint64_t i = 0; i < kProblems; ++i) {
    const MathsProblem problem = draw_maths_problem(kKey, i, i % 2 == 0 ? Split::kTrain : Split::kValidation);
    const std::string last = check_equations(problem.answer);
    EXPECT_EQ(problem.answer.substr(problem.answer.rfind('\n') + 1), "#### " + last) << problem.answer;
    EXPECT_EQ(std::ranges::count(problem.answer, '='), std::ranges::count(problem.answer, '\n')) << problem.answer;
  }
}

TEST(MathsProblemsTest, TextIsPlainAndFilledIn) {
  static const std::regex odd(R"([{}]|  |-\d|\d\.\d|\ba [aeiou]|[.?] [a-z]|\b[01] [a-z])");
  for (std::uint64_t i = 0; i < kProblems; ++i) {
    const std::string text = maths_problem(kKey, i, Split::kTrain);
    EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); })) << text;
    EXPECT_FALSE(std::regex_search(text, odd)) << text;
    EXPECT_TRUE(text.front() >= '0' && text.front() <= 'Z') << text;
    EXPECT_GE(text.find('\n'), text.find('?')) << text;
  }
}

TEST(MathsProblemsTest, NumbersStayInASensibleRange) {
  static const std::regex number(R"(\d+)");
  for (std::uint64_t i = 0; i < kProblems; ++i) {
    const std::string text = maths_problem(kKey, i, Split::kTrain);
    for (std::sregex_iterator it(text.begin(), text.end(), number), end; it != end; ++it) {
      EXPECT_GE(std::stol(it->str()), 1) << text;
      EXPECT_LE(std::stol(it->str()), 100'000) << text;
    }
  }
}

TEST(MathsProblemsTest, EveryTemplateOccursInBothSplits) {
  std::map<std::string_view, int> train, validation;
  for (std::uint64_t i = 0; i < kProblems; ++i) {
    ++train[draw_maths_problem(kKey, i, Split::kTrain).name];
    ++validation[draw_maths_problem(kKey, i, Split::kValidation).name];
  }
  EXPECT_EQ(train.size(), maths_templates().size());
  EXPECT_EQ(validation.size(), maths_templates().size());
}

TEST(MathsProblemsTest, SplitsShareNoProblem) {
  std::set<std::string> train, train_questions;
  for (std::uint64_t i = 0; i < 8 * kProblems; ++i) {
    const MathsProblem problem = draw_maths_problem(kKey, i, Split::kTrain);
    train.insert(std::string(problem.name) + ' ' + problem.numbers);
    train_questions.insert(problem.question);
  }
  for (std::uint64_t i = 0; i < 2 * kProblems; ++i) {
    const MathsProblem problem = draw_maths_problem(kKey, i, Split::kValidation);
    EXPECT_FALSE(train.contains(std::string(problem.name) + ' ' + problem.numbers)) << problem.question;
    EXPECT_FALSE(train_questions.contains(problem.question)) << problem.question;
  }
}

TEST(MathsProblemsTest, TextIsHardlyEverTheSame) {
  std::set<std::string> texts;
  for (std::uint64_t i = 0; i < kProblems; ++i) texts.insert(maths_problem(kKey, i, Split::kTrain));
  EXPECT_GT(texts.size(), kProblems * 99 / 100);
}

TEST(MathsProblemsTest, DependOnKeyAndCounterAlone) {
  EXPECT_EQ(maths_problem({1, 2}, 3, Split::kTrain), maths_problem({1, 2}, 3, Split::kTrain));
  EXPECT_NE(maths_problem({1, 2}, 3, Split::kTrain), maths_problem({1, 2}, 4, Split::kTrain));
  EXPECT_NE(maths_problem({1, 2}, 3, Split::kTrain), maths_problem({2, 2}, 3, Split::kTrain));
}

std::string read(const MathsSource& source, std::int64_t index, std::size_t tokens) {
  std::vector<std::int32_t> read(tokens);
  source.read(index, read, {});
  return {read.begin(), read.end()};
}

TEST(MathsSourceTest, SequencesAreWholeProblemsUntilTheCut) {
  const MathsSource source(1, Split::kTrain, 256, Documents::kPacked);
  const std::string text = read(source, 0, 2000);
  EXPECT_GE(std::ranges::count(text, '#'), 8);
  EXPECT_THAT(text, HasSubstr("\n\n"));
  EXPECT_THAT(text, Not(HasSubstr("\n\n\n")));
  EXPECT_THAT(text, StartsWith(read(source, 0, 257)));
}

TEST(MathsSourceTest, SequencesDependOnSeedSplitAndNumber) {
  const MathsSource source(1, Split::kTrain, 256, Documents::kPacked);
  EXPECT_EQ(read(source, 5, 100), read(MathsSource(1, Split::kTrain, 256, Documents::kPacked), 5, 100));
  EXPECT_NE(read(source, 5, 100), read(source, 6, 100));
  EXPECT_NE(read(source, 5, 100), read(MathsSource(2, Split::kTrain, 256, Documents::kPacked), 5, 100));
  EXPECT_NE(read(source, 5, 100), read(MathsSource(1, Split::kValidation, 256, Documents::kPacked), 5, 100));
}

TEST(MathsSourceTest, MarksWhereAProblemBeginsIfDocumentsAreSeparate) {
  const MathsSource packed(1, Split::kTrain, 256, Documents::kPacked);
  const MathsSource separate(1, Split::kTrain, 256, Documents::kSeparate);
  std::vector<std::int32_t> tokens(2000);
  std::vector<std::uint8_t> marks(2000, 7);
  EXPECT_FALSE(packed.marked());
  packed.read(3, tokens, marks);
  EXPECT_EQ(marks, std::vector<std::uint8_t>(2000));
  EXPECT_TRUE(separate.marked());
  separate.read(3, tokens, marks);
  EXPECT_EQ(std::string(tokens.begin(), tokens.end()), read(packed, 3, 2000));
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const bool begins = i == 0 || (i > 1 && tokens[i - 1] == '\n' && tokens[i - 2] == '\n');
    EXPECT_EQ(marks[i], begins ? kBegins : 0) << i;
  }
}

TEST(MathsSourceTest, RefusesAVocabularyWithoutRoomForAscii) {
  EXPECT_EQ(bad_input([] { MathsSource(1, Split::kTrain, 100, Documents::kPacked); }),
            "maths problems: model.vocab is 100, must be at least 128");
}

}  // namespace

}  // namespace coe
