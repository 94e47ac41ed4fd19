#include "launcher/report/run_names.h"

#include <algorithm>
#include <cstddef>

namespace coe {
namespace {

namespace fs = std::filesystem;

/// The last `parts` names of a path.
std::string ending(const fs::path& path, std::size_t parts) {
  std::string text;
  for (fs::path at = path; parts > 0 && at.has_filename(); at = at.parent_path(), --parts)
    text = at.filename().string() + (text.empty() ? "" : "/" + text);
  return text;
}

/// The folder in one way of writing it, without a slash at its end.
fs::path plain(const fs::path& folder) {
  const fs::path whole = fs::absolute(folder).lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();
}

bool all_differ(std::vector<std::string> texts) {
  std::ranges::sort(texts);
  return std::ranges::adjacent_find(texts) == texts.end();
}

/// The shortest endings that tell the paths apart; whole paths where one comes twice.
std::vector<std::string> shortest_endings(const std::vector<fs::path>& paths) {
  std::size_t longest = 1;
  for (const fs::path& path : paths)
    longest = std::max(longest, static_cast<std::size_t>(std::distance(path.begin(), path.end())));
  std::vector<std::string> endings(paths.size());
  for (std::size_t parts = 1; parts <= longest; ++parts) {
    std::ranges::transform(paths, endings.begin(), [&](const fs::path& path) { return ending(path, parts); });
    if (all_differ(endings)) break;
  }
  return endings;
}

std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](char letter) { return static_cast<unsigned char>(letter) < ' ' || letter == 127; }, '?');
  return text;
}

}  // namespace

std::vector<std::string> run_names(std::span<const std::string> models, std::span<const fs::path> folders) {
  std::vector<std::string> names(models.begin(), models.end());
  for (std::size_t i = 0; i < models.size(); ++i) {
    std::vector<fs::path> alike;
    std::size_t own = 0;
    for (std::size_t j = 0; j < models.size(); ++j) {
      if (models[j] != models[i]) continue;
      if (j == i) own = alike.size();
      alike.push_back(plain(folders[j]));
    }
    if (alike.size() > 1) names[i] += " " + printable(shortest_endings(alike)[own]);
  }
  return names;
}

}  // namespace coe
