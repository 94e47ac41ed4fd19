#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <type_traits>

#include "runtime/config/config_keys.h"
#include "runtime/config/config_words.h"

namespace coe {

/// What every value of a type may be, as the words that follow "must be".
template <class Member>
std::string type_words() {
  if constexpr (std::is_same_v<Member, bool>) return "true or false";
  if constexpr (std::is_enum_v<Member>) {
    constexpr auto kLast = std::size(kWords<Member>) - 1;
    return fmt::format("\"{}\" or \"{}\"", fmt::join(std::span(kWords<Member>).template first<kLast>(), "\", \""),
                       kWords<Member>[kLast]);
  }
  if constexpr (std::is_same_v<Member, std::filesystem::path>) return "a path in quotes";
  return "a list of names in quotes";
}

/// What a key may be, as the words that follow "must be": "a whole number from 1 to layer.experts".
template <class Section, class Member, class Allowed>
std::string allowed_words(const Key<Section, Member, Allowed>& key) {
  if constexpr (std::is_arithmetic_v<Member> && !std::is_same_v<Member, bool>) {
    return words_of(key.allowed);
  } else {
    return type_words<Member>() + (std::is_same_v<Allowed, NotEmpty> ? ", not empty" : "");
  }
}

}  // namespace coe
