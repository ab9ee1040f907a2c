// SPDX-License-Identifier: Apache-2.0
// libresnet_openvino: OpenVINO's C++ API behind the plain functions of resnet/openvino_table.h.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <openvino/openvino.hpp>

#include "resnet/openvino_table.h"

namespace {

/// OpenVINO's errors begin with where in its sources they come from; the last line says what.
std::string last_line(const std::string &text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "an error without a message";
  const std::size_t line = text.rfind('\n', end);
  return text.substr(line == std::string::npos ? 0 : line + 1, end - line);
}

void say(resnet_openvino_message said, const std::string &text) noexcept {
  if (said.capacity == 0) return;
  const std::size_t length = std::min(text.size(), said.capacity - 1);
  std::memcpy(said.text, text.data(), length);
  said.text[length] = '\0';
}

/// Returns what `work` does, or a value that means failure.
template <typename Made, typename Work>
Made guarded(resnet_openvino_message said, Made failure, Work work) noexcept {
  try {
    return work();
  } catch (const std::bad_alloc &) {
    say(said, "there is not enough memory");
  } catch (const std::exception &error) {
    try {
      say(said, last_line(error.what()));
    } catch (...) {
      say(said, "there is not enough memory");
    }
  } catch (...) {
    say(said, "an unknown error");
  }
  return failure;
}

std::string plain_version() {
  const std::string build = ov::get_openvino_version().buildNumber;  // "2026.1.0-12345-abc"
  return build.substr(0, build.find('-'));
}

ov::element::Type type_of(std::int32_t element) {
  switch (element) {
    case RESNET_ELEMENT_FLOAT32:
      return ov::element::f32;
    case RESNET_ELEMENT_UINT8:
      return ov::element::u8;
    case RESNET_ELEMENT_INT64:
      return ov::element::i64;
    default:
      throw std::runtime_error("an unknown type of elements");
  }
}

}  // namespace

/// A model compiled for one batch size at a time, each kept: kernels are chosen for a shape, and
/// the classifier asks for few sizes.
struct resnet_openvino_model {
  static constexpr std::size_t max_batches = 8;

  resnet_openvino_model(const void *data, std::size_t size, const std::int64_t *shape,
                        ov::AnyMap properties)
      : properties_(std::move(properties)) {
    model_ = core_.read_model(std::string(static_cast<const char *>(data), size), ov::Tensor());
    if (model_->inputs().size() != 1) throw std::runtime_error("the model has several inputs");
    std::copy(shape, shape + 4, shape_.begin());
    compiled(shape_[0]);
  }

  ov::CompiledModel compiled(std::int64_t batch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = compiled_.find(batch);
    if (known != compiled_.end()) return known->second;
    if (compiled_.size() >= max_batches) compiled_.erase(std::prev(compiled_.end()));
    std::vector<ov::Dimension> sizes;
    for (const std::int64_t size : shape_) sizes.emplace_back(size);
    sizes[0] = batch;
    const std::shared_ptr<ov::Model> model = model_->clone();
    model->reshape(ov::PartialShape(sizes));
    return compiled_.emplace(batch, core_.compile_model(model, "CPU", properties_)).first->second;
  }

 private:
  ov::Core core_;
  ov::AnyMap properties_;
  std::array<std::int64_t, 4> shape_{};
  std::shared_ptr<ov::Model> model_;
  std::mutex mutex_;
  std::map<std::int64_t, ov::CompiledModel> compiled_;
};

/// A request for each batch size that its calls had.
struct resnet_openvino_request {
  explicit resnet_openvino_request(resnet_openvino_model &model) : model_(model) {}

  void run(const void *input, std::int32_t element, const std::int64_t *shape,
           const resnet_openvino_output *outputs, std::size_t count) {
    One &one = request_for(shape[0]);
    if (one.input != input || !std::equal(one.shape.begin(), one.shape.end(), shape)) {
      one.input = nullptr;
      // OpenVINO writes to no input, but takes no const pointer.
      const ov::Shape sizes(shape, shape + 4);
      one.handle.set_input_tensor(
          ov::Tensor(type_of(element), sizes, const_cast<void *>(input)));
      std::copy(shape, shape + 4, one.shape.begin());
      one.input = input;
    }
    one.handle.infer();
    for (std::size_t i = 0; i < count; ++i) copy(one, i, outputs[i]);
  }

 private:
  struct One {
    ov::CompiledModel model;
    ov::InferRequest handle;
    std::vector<ov::Output<const ov::Node>> outputs;  // in the order of the calls
    const void *input = nullptr;
    std::array<std::int64_t, 4> shape{};
  };

  One &request_for(std::int64_t batch) {
    const auto known = requests_.find(batch);
    if (known != requests_.end()) return known->second;
    if (requests_.size() >= resnet_openvino_model::max_batches) {
      requests_.erase(std::prev(requests_.end()));
    }
    One made;
    made.model = model_.compiled(batch);
    made.handle = made.model.create_infer_request();
    return requests_.emplace(batch, std::move(made)).first->second;
  }

  static void copy(One &one, std::size_t place, const resnet_openvino_output &output) {
    if (one.outputs.size() <= place) one.outputs.push_back(one.model.output(output.name));
    const ov::Tensor found = one.handle.get_tensor(one.outputs[place]);
    if (found.get_size() != output.count || found.get_element_type() != type_of(output.element)) {
      throw std::runtime_error(std::string("output ") + output.name + " has " +
                               std::to_string(found.get_size()) + " values, not " +
                               std::to_string(output.count) + ", or of another type");
    }
    const ov::Shape &shape = found.get_shape();
    const auto equal = [](std::size_t size, std::int64_t wanted) {
      return static_cast<std::int64_t>(size) == wanted;
    };
    if (output.shape != nullptr &&
        (shape.empty() || !std::equal(shape.begin() + 1, shape.end(), output.shape,
                                      output.shape + output.rank, equal))) {
      throw std::runtime_error(std::string("output ") + output.name + " has another shape");
    }
    std::memcpy(output.data, found.data(), found.get_byte_size());
  }

  resnet_openvino_model &model_;
  std::map<std::int64_t, One> requests_;
};

namespace {

resnet_openvino_model *open(const void *data, std::size_t size, const std::int64_t *shape,
                            const char *const *keys, const char *const *values,
                            std::size_t property_count, resnet_openvino_message said) {
  return guarded<resnet_openvino_model *>(said, nullptr, [&] {
    ov::AnyMap properties;
    for (std::size_t i = 0; i < property_count; ++i) properties[keys[i]] = std::string(values[i]);
    return new resnet_openvino_model(data, size, shape, std::move(properties));
  });
}

void close(resnet_openvino_model *model) { delete model; }

resnet_openvino_request *request(resnet_openvino_model *model, resnet_openvino_message said) {
  return guarded<resnet_openvino_request *>(said, nullptr,
                                            [&] { return new resnet_openvino_request(*model); });
}

void release(resnet_openvino_request *made) { delete made; }

std::int32_t run(resnet_openvino_request *made, const void *input, std::int32_t element,
                 const std::int64_t *shape, const resnet_openvino_output *outputs,
                 std::size_t count, resnet_openvino_message said) {
  return guarded<std::int32_t>(said, 1, [&] {
    made->run(input, element, shape, outputs, count);
    return 0;
  });
}

}  // namespace

const resnet_openvino_table *resnet_openvino(void) {
  static const std::string version = plain_version();
  static const resnet_openvino_table table{RESNET_OPENVINO_TABLE, version.c_str(), open, close,
                                           request,               release,         run};
  return &table;
}
