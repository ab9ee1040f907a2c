// SPDX-License-Identifier: Apache-2.0
// The C interface: every call of the C++ class, with exceptions turned into numbers and words.
#include "resnet_classifier.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "resnet_classifier.hpp"

struct resnet_classifier {
  template <typename... Arguments>
  explicit resnet_classifier(Arguments &&...arguments)
      : classifier(std::forward<Arguments>(arguments)...) {}
  resnet::Classifier classifier;
};

namespace {

// No allocation: there may be no memory left.
thread_local char last_error[1024] = "";

std::int32_t fail(std::int32_t code, const char *message) noexcept {
  std::size_t length = std::strlen(message);
  if (length >= sizeof last_error) {
    length = sizeof last_error - 1;
    while ((message[length] & 0xC0) == 0x80) --length;  // not within a character
  }
  std::memcpy(last_error, message, length);
  last_error[length] = '\0';
  return code;
}

template <typename Work>
std::int32_t guarded(Work work) noexcept {
  last_error[0] = '\0';
  try {
    work();
    return RESNET_OK;
  } catch (const resnet::Error &error) {
    return fail(static_cast<std::int32_t>(error.code()), error.what());
  } catch (const std::bad_alloc &) {
    return fail(RESNET_NO_MEMORY, "there is not enough memory");
  } catch (const std::exception &error) {
    return fail(RESNET_INTERNAL, error.what());
  } catch (...) {
    return fail(RESNET_INTERNAL, "an unknown error");
  }
}

void need(std::initializer_list<const void *> pointers) {
  if (std::find(pointers.begin(), pointers.end(), nullptr) != pointers.end()) {
    throw resnet::Error(resnet::Code::bad_argument, "a pointer that is needed is null");
  }
}

std::filesystem::path path_of(const char *text) {
#ifdef _WIN32
  return std::filesystem::u8path(text);
#else
  return text;
#endif
}

resnet::Options options_of(const resnet_options *options) {
  resnet::Options made;
  if (options != nullptr) {
    made.threads = options->threads;
    made.spin = options->spin != 0;
    if (options->model != nullptr) made.model = options->model;
    if (options->runtime != nullptr) made.runtime = options->runtime;
    made.xnnpack = options->xnnpack != 0;
  }
  return made;
}

/// Copies `count` values where they fit.
void hand_over(const void *values, std::size_t count, std::size_t size, void *to,
               std::size_t capacity, std::size_t *needed) {
  *needed = count;
  if (capacity < count) {
    throw resnet::Error(resnet::Code::bad_argument,
                        "the buffer is too small: " + std::to_string(count) + " is needed");
  }
  if (count > 0) std::memcpy(to, values, count * size);
}

}  // namespace

const char *resnet_last_error(void) { return last_error; }

int32_t resnet_open(const char *folder, const resnet_options *options, resnet_classifier **made) {
  return guarded([&] {
    need({made});
    *made = nullptr;
    need({folder});
    *made = new resnet_classifier(path_of(folder), options_of(options));
  });
}

int32_t resnet_open_memory(const void *model, size_t model_size, const char *labels,
                           size_t labels_size, const resnet_options *options,
                           resnet_classifier **made) {
  return guarded([&] {
    need({made});
    *made = nullptr;
    need({model});
    if (resnet::bundle_contract.classes > 0) need({labels});
    const resnet::Files files{std::string_view(static_cast<const char *>(model), model_size),
                              std::string_view(labels, labels == nullptr ? 0 : labels_size)};
    *made = new resnet_classifier(files, options_of(options));
  });
}

void resnet_close(resnet_classifier *classifier) { delete classifier; }

int32_t resnet_classify(resnet_classifier *classifier, const uint8_t *rgb, size_t size,
                        int32_t width, int32_t height, size_t stride, int32_t k,
                        resnet_prediction *top, int32_t *found) {
  return guarded([&] {
    need({found});
    *found = 0;
    need({classifier, top});
    const resnet::Picture picture{rgb, size, width, height, stride};
    *found = static_cast<int32_t>(classifier->classifier.classify(
        picture, top, static_cast<std::size_t>(std::max(k, int32_t{0}))));
  });
}

int32_t resnet_classify_batch(resnet_classifier *classifier, const resnet_picture *pictures,
                              size_t count, int32_t k, resnet_prediction *top, int32_t *found) {
  return guarded([&] {
    need({found});
    *found = 0;
    need({classifier, pictures, top});
    const auto picture_at = [pictures](std::size_t i) {
      const resnet_picture &picture = pictures[i];
      return resnet::Picture{picture.rgb, picture.size, picture.width, picture.height,
                             picture.stride};
    };
    *found = static_cast<int32_t>(classifier->classifier.classify_every(
        picture_at, count, top, static_cast<std::size_t>(std::max(k, int32_t{0}))));
  });
}

const char *resnet_runtime(const resnet_classifier *classifier) {
  return classifier == nullptr ? nullptr : classifier->classifier.runtime().c_str();
}

const char *resnet_notice(const resnet_classifier *classifier) {
  return classifier == nullptr ? nullptr : classifier->classifier.notice().c_str();
}

int32_t resnet_output_count(const resnet_classifier *classifier) {
  return classifier == nullptr ? 0 : static_cast<int32_t>(resnet::bundle_contract.output_count);
}

const char *resnet_output_name(const resnet_classifier *classifier, int32_t index) {
  if (index < 0 || index >= resnet_output_count(classifier)) return nullptr;
  return resnet::bundle_contract.outputs[index].name;
}

int32_t resnet_output_shape(const resnet_classifier *classifier, int32_t index, int64_t *shape,
                            size_t capacity, size_t *rank) {
  return guarded([&] {
    need({classifier, shape, rank});
    *rank = 0;
    const int32_t count = resnet_output_count(classifier);
    if (index < 0 || index >= count) {
      throw resnet::Error(resnet::Code::bad_argument,
                          "there is no output " + std::to_string(index) + ": the network has " +
                              std::to_string(count));
    }
    const resnet::OutputInfo &info = resnet::bundle_contract.outputs[index];
    hand_over(info.shape, info.rank, sizeof(int64_t), shape, capacity, rank);
  });
}

int32_t resnet_outputs(resnet_classifier *classifier, const uint8_t *rgb, size_t size,
                       int32_t width, int32_t height, size_t stride, float *const *outputs,
                       const size_t *capacities, int32_t count) {
  return guarded([&] {
    need({classifier, outputs, capacities});
    const auto wanted = static_cast<int32_t>(resnet::bundle_contract.output_count);
    if (count != wanted) {
      throw resnet::Error(resnet::Code::bad_argument,
                          "room for " + std::to_string(count) + " outputs is given, there are " +
                              std::to_string(wanted));
    }
    for (int32_t i = 0; i < count; ++i) {
      need({outputs[i]});
      const resnet::OutputInfo &info = resnet::bundle_contract.outputs[i];
      if (capacities[i] < info.size) {
        throw resnet::Error(resnet::Code::bad_argument,
                            std::string("the buffer of ") + info.name + " is too small: " +
                                std::to_string(info.size) + " floats are needed");
      }
    }
    std::size_t next = 0;
    classifier->classifier.outputs(
        {rgb, size, width, height, stride}, [&](const resnet::Array &array) {
          std::memcpy(outputs[next++], array.values, array.size * sizeof(float));
        });
  });
}

int32_t resnet_class_count(const resnet_classifier *classifier) {
  return classifier == nullptr ? 0 : static_cast<int32_t>(classifier->classifier.labels().size());
}

const char *resnet_label(const resnet_classifier *classifier, int32_t index) {
  if (index < 0 || index >= resnet_class_count(classifier)) return nullptr;
  return classifier->classifier.labels()[static_cast<std::size_t>(index)].c_str();
}

int32_t resnet_prepare(resnet_classifier *classifier, const uint8_t *rgb, size_t size,
                       int32_t width, int32_t height, size_t stride, void *tensor, size_t capacity,
                       size_t *needed) {
  return guarded([&] {
    need({classifier, tensor, needed});
    classifier->classifier.prepare(
        {rgb, size, width, height, stride}, [&](const resnet::Tensor &made) {
          hand_over(made.data(), made.byte_count(), 1, tensor, capacity, needed);
        });
  });
}
