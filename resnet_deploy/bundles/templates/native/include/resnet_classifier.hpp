// SPDX-License-Identifier: Apache-2.0
// The classifier of this bundle: RGB pixels in, the best classes out.
//
//   resnet::Classifier classifier("path/of/the/bundle");
//   std::array<resnet::Prediction, 5> top;
//   const std::size_t found =
//       classifier.classify({rgb, size, width, height}, top.data(), top.size());
//
// Header-only C++17; needs a runtime of contract.hpp. Everything throws resnet::Error with a
// sentence that says what is wrong and what to do.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "resnet/contract.hpp"
#include "resnet/files.hpp"
#include "resnet/network.hpp"
#include "resnet/preprocess.hpp"
#include "resnet/runtime.hpp"
#include "resnet/types.hpp"

namespace resnet {

/// The bytes of a bundle's files, for an app that has no folder.
struct Files {
  std::string_view model;
  std::string_view labels;
};

/// One output of the network for one picture: `size` values in C order, the last dimension's side
/// by side.
struct Array {
  const char *name;
  const std::int64_t *shape;  ///< `rank` dimensions, without the batch
  std::size_t rank;
  const float *values;
  std::size_t size;
};

/// Any number of threads may call one classifier at once. After the first call of a thread at a
/// picture's size and number, a call allocates nothing outside the runtime.
class Classifier {
 public:
  /// Opens the bundle in `folder`, which holds the model, and labels.txt where it has classes.
  ///
  /// Throws Error: a file is missing or damaged, or no runtime of the bundle is here, new enough,
  /// and takes the model.
  explicit Classifier(const std::filesystem::path &folder, const Options &options = {})
      : Classifier(Bytes(folder, options.model), options) {}

  /// The same from memory, which may be freed afterwards. The model is told by its bytes.
  explicit Classifier(const Files &files, const Options &options = {})
      : Classifier(files, "the model", "the list of labels", options) {}

  Classifier(const Classifier &) = delete;
  Classifier &operator=(const Classifier &) = delete;

  /// Names the best classes, best first, in top[0] to top[returned - 1]: at most `k`, and no more
  /// than there are. Labels live as long as the classifier.
  ///
  /// Throws Error: the picture makes no sense, `k` is 0, or the runtime fails.
  std::size_t classify(const Picture &picture, Prediction *top, std::size_t k) {
    need_classes();
    if (top == nullptr || k == 0) throw Error(Code::bad_argument, "room for a class is needed");
    const CallMemoryPool::Lease lease(pool_);
    CallMemory &memory = *lease;
    run(picture, memory);
    return named(memory, 0, top, k);
  }

  /// The same for `count` pictures at once: faster than a call for each where the CPU has cores to
  /// fill. The classes of picture i are top[i * k] to top[i * k + returned - 1].
  ///
  /// Any count is fine: a few pictures run at a time, those of one size together where the graph
  /// itself resizes. The first call with a number of pictures may take a while, since a runtime may
  /// prepare itself for it.
  ///
  /// Throws Error, and then what `top` holds is undefined: the model file has a fixed batch, a
  /// picture (named by its index) makes no sense, `k` is 0, or the runtime fails.
  std::size_t classify(const Picture *pictures, std::size_t count, Prediction *top, std::size_t k) {
    if (pictures == nullptr && count > 0) {
      throw Error(Code::bad_argument, "the list of pictures is null");
    }
    return classify_every([pictures](std::size_t i) { return pictures[i]; }, count, top, k);
  }

  /// The same with memory of its own: the best `k` classes of each picture.
  std::vector<std::vector<Prediction>> classify(const std::vector<Picture> &pictures,
                                                std::size_t k) {
    k = std::min(k, labels_.size());
    std::vector<Prediction> top(pictures.size() * k);
    const std::size_t found = classify(pictures.data(), pictures.size(), top.data(), k);
    std::vector<std::vector<Prediction>> made;
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      made.emplace_back(&top[i * k], &top[i * k] + found);
    }
    return made;
  }

  /// The same for pictures that are kept in another way: picture_at(i) returns the Picture i.
  template <typename PictureAt>
  std::size_t classify_every(PictureAt picture_at, std::size_t count, Prediction *top,
                             std::size_t k) {
    need_classes();
    if (bundle_contract.batch != 0) {
      throw Error(Code::bad_argument,
                  "this model file has a fixed batch of " + std::to_string(bundle_contract.batch) +
                      ": call classify() for each picture, or bundle a file that was exported "
                      "without --batch-size");
    }
    if (count == 0) return 0;
    if (top == nullptr || k == 0) throw Error(Code::bad_argument, "room for a class is needed");
    const CallMemoryPool::Lease lease(pool_);
    CallMemory &memory = *lease;
    std::size_t found = 0;
    for (std::size_t first = 0; first < count;) {
      const std::size_t places = chunk(picture_at, first, count);
      run_chunk(picture_at, first, places, memory);
      for (std::size_t place = 0; place < places; ++place) {
        found = named(memory, place, top + (first + place) * k, k);
      }
      first += places;
    }
    return found;
  }

  /// Calls use(array) with each of bundle_contract.outputs for a picture, in their order: feature
  /// maps, an embedding, or the scores of a classifier. The values are gone when `use` is over.
  ///
  /// Throws Error: the picture makes no sense, or the runtime fails.
  template <typename Use>
  void outputs(const Picture &picture, Use use) {
    const CallMemoryPool::Lease lease(pool_);
    run(picture, *lease);
    for (std::size_t i = 0; i < bundle_contract.output_count; ++i) {
      const OutputInfo &info = bundle_contract.outputs[i];
      use(Array{info.name, info.shape, info.rank, (*lease).values[i].data(), info.size});
    }
  }

  /// What runs the network, such as "OpenVINO 2026.1.0".
  const std::string &runtime() const { return network_.runtime(); }

  /// Why that is not the bundle's first choice; empty where it is.
  const std::string &notice() const { return network_.notice(); }

  const std::vector<std::string> &labels() const { return labels_; }

  /// For tests: calls use(tensor) with the exact input that a picture becomes, without its batch.
  template <typename Use>
  void prepare(const Picture &picture, Use use) {
    const CallMemoryPool::Lease lease(pool_);
    preprocessor_.prepare(picture, (*lease).prepare, (*lease).tensor);
    use(static_cast<const Tensor &>((*lease).tensor));
  }

 private:
  struct Bytes {
    Bytes(const std::filesystem::path &folder, const std::string &name)
        : model_path(folder / detail::model_named(bundle_contract, name).file),
          labels_path(folder / bundle_contract.labels_file),
          model(read_file(model_path)),
          labels(bundle_contract.classes > 0 ? read_file(labels_path) : std::string()) {}
    std::filesystem::path model_path, labels_path;
    std::string model, labels;
  };

  Classifier(const Bytes &bytes, const Options &options)
      : Classifier(Files{bytes.model, bytes.labels}, utf8(bytes.model_path),
                   utf8(bytes.labels_path), options) {}

  Classifier(const Files &files, const std::string &model_name, const std::string &labels_name,
             const Options &options)
      : labels_(detail::labels_of(bundle_contract, files.labels, labels_name)),
        preprocessor_(bundle_contract.preprocess),
        network_(bundle_contract, detail::model_of(bundle_contract, files.model, model_name),
                 files.model, options) {}

  static void need_classes() {
    if (bundle_contract.classes > 0) return;
    std::string names;
    for (std::size_t i = 0; i < bundle_contract.output_count; ++i) {
      names += (i == 0 ? "" : ", ") + std::string(bundle_contract.outputs[i].name);
    }
    const bool maps = bundle_contract.output_kind == OutputKind::features;
    throw Error(Code::bad_argument, std::string("this network gives ") +
                                        (maps ? "features (" : "an embedding (") + names +
                                        "), not classes: ask for its outputs");
  }

  void run(const Picture &picture, CallMemory &memory) {
    preprocessor_.prepare(picture, memory.prepare, memory.tensor);
    network_.run(memory, picture.width, picture.height);
  }

  /// How many pictures from `first` on run together: a power of two, so that a runtime that
  /// prepares itself for each number meets few.
  template <typename PictureAt>
  static std::size_t chunk(PictureAt &picture_at, std::size_t first, std::size_t count) {
    std::size_t together = std::min(count - first, Network::max_batch);
    if (bundle_contract.preprocess.resize_in_graph) {
      const Picture one = picture_at(first);
      const auto alike = [&](std::size_t i) {
        const Picture other = picture_at(first + i);
        return other.width == one.width && other.height == one.height;
      };
      std::size_t same = 1;
      while (same < together && alike(same)) ++same;
      together = same;
    }
    std::size_t power = 1;
    while (power * 2 <= together) power *= 2;
    return power;
  }

  template <typename PictureAt>
  void run_chunk(PictureAt &picture_at, std::size_t first, std::size_t places, CallMemory &memory) {
    int width = 0, height = 0;
    for (std::size_t place = 0; place < places; ++place) {
      const Picture picture = picture_at(first + place);
      try {
        preprocessor_.prepare(picture, memory.prepare, memory.tensor);
      } catch (const Error &error) {
        throw Error(error.code(),
                    "picture " + std::to_string(first + place) + ": " + error.what());
      }
      if (places > 1) network_.put(memory, place, places);
      width = picture.width;
      height = picture.height;
    }
    network_.run_batch(memory, width, height, places, first);
  }

  Prediction prediction(int index, float score, double probability) const {
    const std::string &label = labels_.at(static_cast<std::size_t>(index));
    return Prediction{index, score, static_cast<float>(probability), label.c_str()};
  }

  /// The best classes of the picture at `place` of the last run.
  std::size_t named(CallMemory &memory, std::size_t place, Prediction *top, std::size_t k) const {
    const std::size_t values = network_.score_count();
    const float *scores = memory.values[0].data() + place * values;
    return bundle_contract.output_kind == OutputKind::top_k
               ? sorted(memory.classes.data() + place * values, scores, top, std::min(k, values))
               : best(memory, scores, top, k);
  }

  /// What a network says that sorts its classes itself.
  std::size_t sorted(const std::int64_t *classes, const float *scores, Prediction *top,
                     std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
      if (classes[i] < 0 || classes[i] >= static_cast<std::int64_t>(labels_.size())) {
        throw Error(Code::runtime, "the network names a class that it does not have");
      }
      top[i] = prediction(static_cast<int>(classes[i]), scores[i], scores[i]);
    }
    return count;
  }

  std::size_t best(CallMemory &memory, const float *scores, Prediction *top, std::size_t k) const {
    const std::size_t classes = network_.score_count();
    const std::size_t count = std::min(k, classes);
    memory.order.resize(classes);
    std::iota(memory.order.begin(), memory.order.end(), 0);
    const auto middle = memory.order.begin() + static_cast<std::ptrdiff_t>(count);
    std::partial_sort(memory.order.begin(), middle, memory.order.end(), [scores](int a, int b) {
      return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
    });
    const double highest = scores[memory.order[0]];
    double total = 1.0;
    if (bundle_contract.output_kind == OutputKind::logits) {
      total = std::accumulate(scores, scores + classes, 0.0, [highest](double sum, float score) {
        return sum + std::exp(score - highest);
      });
    }
    for (std::size_t i = 0; i < count; ++i) {
      const int index = memory.order[i];
      const float score = scores[index];
      const bool is_logit = bundle_contract.output_kind == OutputKind::logits;
      top[i] = prediction(index, score, is_logit ? std::exp(score - highest) / total : score);
    }
    return count;
  }

  std::vector<std::string> labels_;
  Preprocessor preprocessor_;
  Network network_;
  CallMemoryPool pool_;
};

}  // namespace resnet
