#pragma once

#include <gtest/gtest.h>

#include <set>
#include <span>
#include <string_view>

#include "runtime/data/maths/maths_templates.h"

namespace coe {

inline std::set<char> letters_of(std::string_view text) {
  std::set<char> letters;
  for (const char c : text)
    if (c >= 'a' && c <= 'z') letters.insert(c);
  return letters;
}

/// The letters that stand alone in braces.
inline std::set<char> shown_in(std::string_view text) {
  std::set<char> letters;
  for (std::size_t i = 0; i + 2 < text.size(); ++i)
    if (text[i] == '{' && text[i + 2] == '}') letters.insert(text[i + 1]);
  return letters;
}

/// Adds what goes into the value of a shown letter.
inline void add_sources(std::string_view recipe, std::set<char>& shown) {
  for (std::size_t end = recipe.size(); end > 0;) {
    const std::size_t comma = recipe.rfind(", ", end - 1);
    const std::size_t begin = comma == recipe.npos ? 0 : comma + 2;
    if (shown.contains(recipe[begin])) shown.merge(letters_of(recipe.substr(begin, end - begin)));
    end = comma == recipe.npos ? 0 : comma;
  }
}

/// Fails the running test where a template's texts and numbers do not fit together: a question must show enough to
/// tell every drawn number, and an answer must compute something.
inline void check_templates(std::span<const MathsTemplate> templates) {
  for (const MathsTemplate& one : templates) {
    const std::set<char> drawn = letters_of(one.numbers);
    for (const std::string_view question : one.questions) {
      std::set<char> shown = shown_in(question);
      add_sources(one.numbers, shown);
      for (const char letter : drawn)
        EXPECT_TRUE(shown.contains(letter)) << one.name << ": " << letter << " is not in: " << question;
      EXPECT_EQ(question.find('='), question.npos) << one.name;
      EXPECT_TRUE(question.find('?') != question.npos) << one.name;
    }
    for (const std::string_view answer : one.answers) {
      EXPECT_NE(answer.find(" = "), answer.npos) << one.name;
      EXPECT_TRUE(answer.ends_with('.')) << one.name;
    }
    EXPECT_EQ(std::set<std::string_view>(one.questions.begin(), one.questions.end()).size(), 3U) << one.name;
  }
}

}  // namespace coe
