// SPDX-License-Identifier: Apache-2.0
// What a bundle's contract is made of. The numbers themselves are in contract.hpp, generated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "resnet_classifier.h"

namespace resnet {

enum class Interpolation { nearest, box, bilinear, bicubic, lanczos };

/// How a picture of any shape gets the network's: it keeps its proportions and covers the area, is
/// squashed into it, or fits into it with black around.
enum class ResizeMode { crop, squash, pad };

/// Of the network's input; grey is one channel.
enum class ChannelOrder { rgb, bgr, grey };

/// The input tensor of one picture: float32 in planes or in pixels, or bytes of pixels, of planes,
/// or of blocks of 2x2 pixels (space to depth).
enum class Format { float_nchw, float_nhwc, uint8_nhwc, uint8_nchw, uint8_s2d };

constexpr bool is_float(Format format) {
  return format == Format::float_nchw || format == Format::float_nhwc;
}

enum class OutputKind { logits, softmax, top_k, embedding, features };

/// One float32 output of the network for one picture.
struct OutputInfo {
  const char *name;
  const std::int64_t *shape;  ///< without the batch; of a classifier {classes}
  std::size_t rank;
  std::size_t size;   ///< how many values it has
  std::size_t every;  ///< of so many of these, in C order, one is recorded in a golden case
};

/// From a picture to the input: it is resized to an area of `rows` x `columns` as `mode` says, the
/// `height` x `width` pixels in the centre are kept, and grey levels x become the floats
/// (x / divisor + lowest - mean) / deviation.
struct Preprocess {
  int height;
  int width;
  int rows;
  int columns;
  ResizeMode mode;
  Interpolation interpolation;
  ChannelOrder order;
  Format format;
  bool resize_in_graph;  ///< the graph resizes, and takes the pixels of a picture of any size
  float divisor;         ///< grey levels in one unit of the range
  float lowest;          ///< what black becomes
  std::array<float, 3> mean;  ///< by the channels of the input; of a grey one the first counts
  std::array<float, 3> deviation;

  constexpr int channels() const { return order == ChannelOrder::grey ? 1 : 3; }
};

enum class RuntimeKind { onnxruntime, openvino };

/// One option of a session, by the runtime's own name.
struct Setting {
  const char *key;
  const char *value;
};

/// A runtime that the bundle runs on, and how it opens a model.
struct RuntimeChoice {
  RuntimeKind kind;
  int threads;  ///< as tuned; 0: what the machine allows
  bool spin;    ///< as tuned: idle threads wait actively
  const Setting *settings;
  std::size_t setting_count;
  const char *min_version;
  std::uint32_t api_version;  ///< ONNX Runtime's C API of that release; 0 for others
};

/// One model file of the bundle; `tolerances`, for each of its runtimes, bound
/// max |difference| / max |score|. A negative one: the file does not run there.
struct Model {
  const char *file;
  const char *sha256;
  const char *precision;
  const double *tolerances;
};

/// What goes into the network and what comes out.
struct Contract {
  const char *name;
  Preprocess preprocess;
  const char *input_name;
  const OutputInfo *outputs;
  std::size_t output_count;
  const char *classes_name;  ///< of a top-K net's int64 output, else nullptr
  OutputKind output_kind;
  int batch;  ///< 0: any number of pictures
  int classes;  ///< 0: it gives features or an embedding
  int k;  ///< how many classes a top-K net names, else 0
  const char *labels_file;  ///< empty where there are no classes
  const Model *models;
  std::size_t model_count;
  const RuntimeChoice *runtimes;  ///< tried in this order
  std::size_t runtime_count;
};

/// One class that the network named; see the C interface.
using Prediction = resnet_prediction;

enum class Code {
  bad_argument = RESNET_BAD_ARGUMENT,
  bad_image = RESNET_BAD_IMAGE,
  bad_bundle = RESNET_BAD_BUNDLE,
  no_runtime = RESNET_NO_RUNTIME,
  runtime = RESNET_RUNTIME,
};

/// What is thrown here, besides std::bad_alloc.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string &message) : std::runtime_error(message), code_(code) {}
  Code code() const noexcept { return code_; }

 private:
  Code code_;
};

}  // namespace resnet
