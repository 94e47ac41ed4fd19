#include "runtime/training/checkpoint_tensors.h"

#include <algorithm>

#include "comm/wait.h"

namespace coe {
namespace {

constexpr Phase kGathering{.name = "gathering a checkpoint"};

/// One of a weight's tensors, where it lies, and what a file calls it after the weight's name.
struct Kept {
  const char* suffix;
  Tensor Parameter::*whole;
  Tensor FlatParameters::*all;
};
constexpr Kept kValue{"", &Parameter::value, &FlatParameters::value};
constexpr Kept kMoments[] = {{".first_moment", &Parameter::first_moment, &FlatParameters::first_moment},
                             {".second_moment", &Parameter::second_moment, &FlatParameters::second_moment}};

const FlatParameters& flat_of(const Parameters& parameters, bool expert) {
  return expert ? parameters.experts() : parameters.replicated();
}

bool is_trained(const Parameter& parameter) { return parameter.gradient.elements() > 0; }

/// Calls visit(weight, its elements in the memory of its kind) for every trained weight of one kind.
template <class Visit>
void for_each_trained(const Parameters& parameters, bool expert, const Visit& visit) {
  const FlatParameters& flat = flat_of(parameters, expert);
  std::size_t next = 0;
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.expert != expert || !is_trained(parameter)) continue;
    visit(parameter, Share{flat.offsets[next++], parameter.gradient.elements()});
  }
}

Share both(const Share& one, const Share& other) {
  const std::int64_t first = std::max(one.first, other.first);
  return {first, std::max<std::int64_t>(0, std::min(one.first + one.count, other.first + other.count) - first)};
}

/// What each rank writes: whole weights, dealt out by where they begin.
std::vector<Share> runs_of(const FlatParameters& flat) {
  const std::int64_t ranks = flat.deal.ranks(), elements = flat.deal.elements();
  std::vector<Share> runs(static_cast<std::size_t>(ranks));
  for (std::size_t i = 0; i + 1 < flat.offsets.size(); ++i) {
    Share& run = runs[static_cast<std::size_t>(flat.offsets[i] / ((elements + ranks - 1) / ranks))];
    if (run.count == 0) run.first = flat.offsets[i];
    run.count = flat.offsets[i + 1] - run.first;
  }
  return runs;
}

/// The tensors of one stretch on their way to those who write them.
class StretchMail {
 public:
  StretchMail(const FlatParameters& flat, int rank) : flat_(flat), rank_(rank), runs_(runs_of(flat)) {}
  const Share& own_run() const { return runs_[static_cast<std::size_t>(rank_)]; }

  /// `moments` are those of the own run.
  void bring(std::int64_t stretch, std::span<const Tensor> moments, const Group& holders) {
    for (int peer = 0; peer < holders.size(); ++peer) {
      add_sent(stretch, peer);
      add_received(stretch, peer, moments);
    }
    const std::vector<Message> sends = messages(sent_), receives = messages(received_);
    wait(holders, post(holders, sends, receives, kGathering), kGathering);
    sent_.clear();
    received_.clear();
  }

 private:
  using Pieces = std::map<int, std::vector<Piece>>;
  static Piece piece_of(const Tensor& part) { return {part.raw(), part.bytes()}; }
  static std::vector<Message> messages(const Pieces& pieces) {
    std::vector<Message> all;
    for (const auto& [peer, own] : pieces) all.push_back({peer, own});
    return all;
  }
  void add_sent(std::int64_t stretch, int peer) {
    const Share mine = flat_.deal.piece(stretch, rank_), part = both(mine, runs_[static_cast<std::size_t>(peer)]);
    if (part.count == 0) return;
    if (peer != rank_) sent_[peer].push_back(piece_of(flat_.value.rows(part.first, part.count)));
    for (const Kept& kept : kMoments) {
      const Tensor piece = flat_.piece(flat_.*kept.all, stretch);
      sent_[peer].push_back(piece_of(piece.rows(part.first - mine.first, part.count)));
    }
  }
  void add_received(std::int64_t stretch, int peer, std::span<const Tensor> moments) {
    const Share part = both(flat_.deal.piece(stretch, peer), own_run());
    if (part.count == 0) return;
    if (peer != rank_) received_[peer].push_back(piece_of(flat_.value.rows(part.first, part.count)));
    for (const Tensor& whole : moments) {
      received_[peer].push_back(piece_of(whole.rows(part.first - own_run().first, part.count)));
    }
  }

  const FlatParameters& flat_;
  int rank_;
  std::vector<Share> runs_;
  Pieces sent_, received_;
};

WantedTensor in_pieces(const Tensor& kept, const FlatParameters& flat, const Parameter& parameter, const Share& place) {
  WantedTensor wanted{parameter.gradient.shape(), {}};
  for (std::int64_t i = 0; i < flat.deal.stretches(); ++i) {
    const Share piece = flat.deal.piece(i), part = both(piece, place);
    if (part.count == 0) continue;
    const Tensor into = flat.piece(kept, i).rows(part.first - piece.first, part.count);
    wanted.parts.push_back({part.first - place.first, into});
  }
  return wanted;
}

}  // namespace

WrittenTensors written_tensors(const Parameters& parameters, bool expert) {
  WrittenTensors written;
  const auto add = [&](const Parameter& parameter, const Kept& kept) {
    const Tensor& tensor = parameter.*kept.whole;
    if (tensor.raw() != nullptr) written.tensors.push_back({parameter.name + kept.suffix, tensor});
  };
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.expert != expert) continue;
    add(parameter, kValue);
    for (const Kept& kept : kMoments) add(parameter, kept);
  }
  return written;
}

WrittenTensors gather_written_tensors(const Parameters& parameters, bool expert, const Group& holders) {
  const FlatParameters& flat = flat_of(parameters, expert);
  StretchMail mail(flat, holders.rank());
  const Share run = mail.own_run();
  WrittenTensors written;
  written.gathered = Buffer(std::size(kMoments) * static_cast<std::size_t>(run.count) * sizeof(float));
  const Tensor both_moments(written.gathered.data(), DType::kF32, {std::ssize(kMoments), run.count});
  const Tensor moments[] = {both_moments[0], both_moments[1]};
  for (std::int64_t i = 0; i < flat.deal.stretches(); ++i) mail.bring(i, moments, holders);
  for_each_trained(parameters, expert, [&](const Parameter& parameter, const Share& place) {
    if (place.first < run.first || place.first >= run.first + run.count) return;
    written.tensors.push_back({parameter.name, parameter.value});
    for (std::size_t i = 0; i < std::size(kMoments); ++i) {
      const Tensor moment = moments[i].rows(place.first - run.first, place.count);
      written.tensors.push_back({parameter.name + kMoments[i].suffix, moment.reshaped(parameter.value.shape())});
    }
  });
  if (holders.rank() > 0 || expert) return written;
  for (const Parameter& parameter : parameters.all()) {
    if (!is_trained(parameter)) written.tensors.push_back({parameter.name, parameter.value});
  }
  return written;
}

std::map<std::string, WantedTensor> wanted_tensors(const Parameters& parameters) {
  std::map<std::string, WantedTensor> wanted;
  const auto add = [&](const Parameter& parameter, const Kept& kept) {
    const Tensor& tensor = parameter.*kept.whole;
    if (tensor.raw() != nullptr) wanted[parameter.name + kept.suffix] = {tensor.shape(), {{0, tensor}}};
  };
  for (const Parameter& parameter : parameters.all()) {
    add(parameter, kValue);
    for (const Kept& kept : kMoments) add(parameter, kept);
  }
  for (const bool expert : {false, true}) {
    const FlatParameters& flat = flat_of(parameters, expert);
    if (!flat.in_pieces) continue;
    for_each_trained(parameters, expert, [&](const Parameter& parameter, const Share& place) {
      for (const Kept& kept : kMoments) {
        wanted[parameter.name + kept.suffix] = in_pieces(flat.*kept.all, flat, parameter, place);
      }
    });
  }
  return wanted;
}

}  // namespace coe
