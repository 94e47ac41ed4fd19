#include "runtime/training/checkpoint_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/memory/error.h"
#include "runtime/files/durable_file.h"
#include "runtime/files/listing.h"

namespace coe {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step_", kUnfinished = ".unfinished", kReplaced = ".replaced",
                           kRemoved = ".removed", kDamaged = ".damaged";

/// An entry of a checkpoints' directory by its name: "step_N" and what follows the number.
struct Entry {
  std::int64_t step = 0;
  std::string suffix;
  fs::path path;
};

std::optional<Entry> parse_entry(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  Entry entry{0, {}, path};
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), entry.step);
  if (error != std::errc()) return std::nullopt;
  entry.suffix.assign(end, name.data() + name.size());
  return entry;
}

std::vector<Entry> entries_in(const fs::path& directory) {
  std::vector<Entry> entries;
  for (const fs::path& path : entries_of(directory)) {
    if (auto entry = parse_entry(path)) entries.push_back(std::move(*entry));
  }
  return entries;
}

/// Complete checkpoints, the one of the most steps first. One that is just being replaced counts, after its successor.
std::vector<Entry> complete_in(const fs::path& directory) {
  std::vector<Entry> entries = entries_in(directory);
  std::erase_if(entries, [](const Entry& entry) {
    return (!entry.suffix.empty() && entry.suffix != kReplaced) || !is_checkpoint(entry.path);
  });
  std::ranges::sort(entries, {}, [](const Entry& entry) { return std::make_tuple(-entry.step, entry.suffix); });
  return entries;
}

fs::path with_suffix(fs::path path, std::string_view suffix) { return path += suffix; }

/// Renames first, so that a kill leaves no half of a checkpoint under its name.
void remove_checkpoint(const fs::path& checkpoint) {
  const fs::path removed = with_suffix(checkpoint, kRemoved);
  fs::rename(checkpoint, removed);
  fs::remove_all(removed);
}

/// Says why `remove` could not; what it was to remove does no harm.
template <class Remove>
std::string not_removed(const fs::path& place, const Remove& remove) {
  constexpr const char* kWhat = ": an old checkpoint cannot be removed: ";
  try {
    remove();
    return {};
  } catch (const fs::filesystem_error& error) {
    const fs::path& named = error.path1().empty() ? place : error.path1();
    return named.string() + kWhat + error.code().message();
  } catch (const Error& error) {
    return place.string() + kWhat + error.what();
  }
}

[[noreturn]] void refuse(const fs::path& place, const fs::filesystem_error& error) {
  const fs::path& named = error.path1().empty() ? place : error.path1();
  fail(ErrorCode::kSystem, named.string(), ": cannot be written: ", error.code().message());
}

}  // namespace

fs::path checkpoint_path(const fs::path& directory, std::int64_t step) {
  return directory / fmt::format("{}{:08}", kPrefix, step);
}

bool is_checkpoint(const fs::path& place) { return is_file(place / kManifestFile); }

std::vector<fs::path> checkpoints_of(const fs::path& place) {
  if (is_checkpoint(place)) return {place};
  for (const fs::path& directory : {place, place / "checkpoints"}) {
    std::vector<fs::path> found;
    for (Entry& entry : complete_in(directory)) found.push_back(std::move(entry.path));
    if (!found.empty()) return found;
  }
  return {};
}

std::optional<fs::path> newest_checkpoint(const fs::path& place) {
  const std::vector<fs::path> found = checkpoints_of(place);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

fs::path set_aside(const fs::path& checkpoint) {
  fs::path aside = with_suffix(checkpoint, kDamaged);
  for (int number = 2; fs::exists(aside); ++number) {
    aside = with_suffix(checkpoint, fmt::format("{}{}", kDamaged, number));
  }
  try {
    fs::rename(checkpoint, aside);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kSystem, checkpoint.string(), ": is damaged and cannot be set aside: ", error.code().message());
  }
  sync_directory(checkpoint.parent_path());
  return aside;
}

std::vector<fs::path> set_aside_in(const fs::path& directory) {
  std::vector<fs::path> found;
  for (Entry& entry : entries_in(directory)) {
    if (entry.suffix.starts_with(kDamaged)) found.push_back(std::move(entry.path));
  }
  std::ranges::sort(found);
  return found;
}

UnfinishedCheckpoint::UnfinishedCheckpoint(fs::path place) : place_(std::move(place)) {
  try {
    make_durable_directory(place_.parent_path());
    std::error_code ignored;
    for (const Entry& entry : entries_in(place_.parent_path())) {
      if (entry.suffix == kUnfinished || entry.suffix.ends_with(kRemoved)) fs::remove_all(entry.path, ignored);
    }
    fs::remove_all(path_for(place_));
    fs::create_directory(path_for(place_));
  } catch (const fs::filesystem_error& error) {
    refuse(place_, error);
  }
}

UnfinishedCheckpoint::~UnfinishedCheckpoint() {
  std::error_code ignored;
  fs::remove_all(path_for(place_), ignored);
}

fs::path UnfinishedCheckpoint::path_for(const fs::path& place) { return with_suffix(place, kUnfinished); }

std::string UnfinishedCheckpoint::publish() {
  const fs::path replaced = with_suffix(place_, kReplaced);
  sync_directory(path_for(place_));
  try {
    if (is_checkpoint(place_)) {
      if (fs::exists(replaced)) remove_checkpoint(replaced);
      fs::rename(place_, replaced);
    } else {
      fs::remove_all(place_);
    }
    fs::rename(path_for(place_), place_);
    sync_directory(place_.parent_path());
  } catch (const fs::filesystem_error& error) {
    refuse(place_, error);
  }
  return not_removed(replaced, [&] {
    if (fs::exists(replaced)) remove_checkpoint(replaced);
  });
}

std::string remove_old_checkpoints(const fs::path& directory, std::int64_t kept, const fs::path& newest) {
  std::string first;
  const std::string unseen = not_removed(directory, [&] {
    for (const Entry& entry : complete_in(directory)) {
      if (--kept >= 0 || entry.path == newest) continue;
      const std::string problem = not_removed(entry.path, [&] { remove_checkpoint(entry.path); });
      if (first.empty()) first = problem;
    }
  });
  return unseen.empty() ? first : unseen;
}

}  // namespace coe
