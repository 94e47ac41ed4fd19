#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/config.h"

namespace coe {

/// A key for a reader: all that `coe config` says of it.
struct KeyText {
  std::string section, name;
  std::string value, standard;  ///< as a file would say them; `standard` is empty where a file must give the key
  std::string allowed;          ///< the words that follow "must be"
  std::string_view meaning;
  bool is_default = false;
};
/// All keys in the order of the file, with the values of `config`.
std::vector<KeyText> key_texts(const Config& config);

/// TOML that parse_config reads back to an equal Config, each value with what it means, its default and what is
/// allowed; a star marks what differs from its default.
std::string explained_toml(const Config& config);

/// The help of an option that sets a key: "data.train: file to train on; empty: ...".
std::string option_help(std::string_view key);

}  // namespace coe
