// SPDX-License-Identifier: Apache-2.0
// The classifier of this bundle: RGB pixels in, the best classes out.
//
//   resnet::Classifier classifier("path/of/the/bundle");
//   std::array<resnet::Prediction, 5> top;
//   const std::size_t found =
//       classifier.classify({rgb, size, width, height}, top.data(), top.size());
//
// Header-only C++17; needs ONNX Runtime. Everything throws resnet::Error with a sentence that says
// what is wrong and what to do.
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
#include "resnet/onnxruntime.hpp"
#include "resnet/preprocess.hpp"
#include "resnet/types.hpp"

namespace resnet {

/// The bytes of a bundle's files, for an app that has no folder.
struct Files {
  std::string_view model;
  std::string_view labels;
};

/// Any number of threads may call one classifier at once. After the first call of a thread at a
/// picture's size, a call allocates nothing outside ONNX Runtime.
class Classifier {
 public:
  /// Opens the bundle in `folder`, which holds the model and labels.txt.
  ///
  /// Throws Error: a file is missing or damaged, ONNX Runtime is too old or refuses the model.
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
  /// Throws Error: the picture makes no sense, `k` is 0, or ONNX Runtime fails.
  std::size_t classify(const Picture &picture, Prediction *top, std::size_t k) {
    if (top == nullptr || k == 0) throw Error(Code::bad_argument, "room for a class is needed");
    const CallMemoryPool::Lease lease(pool_);
    CallMemory &memory = *lease;
    run(picture, memory);
    return bundle_contract.output_kind == OutputKind::top_k ? named(memory, top, k)
                                                            : best(memory, top, k);
  }

  const std::vector<std::string> &labels() const { return labels_; }

  /// For tests: calls use(tensor) with the exact input that a picture becomes, without its batch.
  template <typename Use>
  void prepare(const Picture &picture, Use use) {
    const CallMemoryPool::Lease lease(pool_);
    preprocessor_.prepare(picture, (*lease).prepare, (*lease).tensor);
    use(static_cast<const Tensor &>((*lease).tensor));
  }

  /// For tests: calls use(values, count) with the first output of the network for a picture.
  template <typename Use>
  void scores(const Picture &picture, Use use) {
    const CallMemoryPool::Lease lease(pool_);
    run(picture, *lease);
    use(static_cast<const float *>((*lease).scores.data()), network_.score_count());
  }

 private:
  struct Bytes {
    Bytes(const std::filesystem::path &folder, const std::string &name)
        : model_path(folder / detail::model_named(bundle_contract, name).file),
          labels_path(folder / bundle_contract.labels_file),
          model(read_file(model_path)),
          labels(read_file(labels_path)) {}
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
        network_(bundle_contract, checked(files.model, model_name), options) {}

  static std::string_view checked(std::string_view model, const std::string &name) {
    detail::check_model(bundle_contract, model, name);
    return model;
  }

  void run(const Picture &picture, CallMemory &memory) {
    preprocessor_.prepare(picture, memory.prepare, memory.tensor);
    network_.run(memory, picture.width, picture.height);
  }

  Prediction prediction(int index, float score, double probability) const {
    const std::string &label = labels_.at(static_cast<std::size_t>(index));
    return Prediction{index, score, static_cast<float>(probability), label.c_str()};
  }

  /// What a network says that sorts its classes itself.
  std::size_t named(const CallMemory &memory, Prediction *top, std::size_t k) const {
    const std::size_t count = std::min(k, network_.score_count());
    for (std::size_t i = 0; i < count; ++i) {
      if (memory.classes[i] < 0 ||
          memory.classes[i] >= static_cast<std::int64_t>(labels_.size())) {
        throw Error(Code::onnxruntime, "the network names a class that it does not have");
      }
      top[i] = prediction(static_cast<int>(memory.classes[i]), memory.scores[i], memory.scores[i]);
    }
    return count;
  }

  std::size_t best(CallMemory &memory, Prediction *top, std::size_t k) const {
    const float *scores = memory.scores.data();
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
