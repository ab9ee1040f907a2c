// What a bundle's contract is made of. The numbers themselves are in contract.hpp, generated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "resnet_classifier.h"

namespace resnet {

enum class Interpolation { nearest, bilinear, bicubic, lanczos };

/// The input tensor of one picture: float32 planes, or bytes of pixels, of planes, or of blocks of
/// 2x2 pixels (space to depth).
enum class Format { float_nchw, uint8_nhwc, uint8_nchw, uint8_s2d };

enum class OutputKind { logits, softmax, top_k };

/// From a picture to the input: the shorter side becomes `resize`, the centre square of `crop`
/// pixels is kept, and floats become (x / 255 - mean) / deviation.
struct Preprocess {
  int resize;
  int crop;
  Interpolation interpolation;
  Format format;
  bool resize_in_graph;  ///< the graph does all of this, and takes the picture as it is
  std::array<float, 3> mean;
  std::array<float, 3> deviation;
};

/// One model file of the bundle; `tolerance` bounds max |difference| / max |score|.
struct Model {
  const char *file;
  const char *sha256;
  const char *precision;
  double tolerance;
};

/// What goes into the network and what comes out.
struct Contract {
  const char *name;
  Preprocess preprocess;
  const char *input_name;
  const char *const *output_names;
  std::size_t output_count;
  OutputKind output_kind;
  int batch;  ///< 0: any number of pictures
  int classes;
  int k;  ///< how many classes a top-K net names, else 0
  const char *labels_file;
  const Model *models;
  std::size_t model_count;
  const char *min_onnxruntime;
  std::uint32_t api_version;  ///< ONNX Runtime's C API of that release
};

/// One class that the network named; see the C interface.
using Prediction = resnet_prediction;

enum class Code {
  bad_argument = RESNET_BAD_ARGUMENT,
  bad_image = RESNET_BAD_IMAGE,
  bad_bundle = RESNET_BAD_BUNDLE,
  old_onnxruntime = RESNET_OLD_ONNXRUNTIME,
  onnxruntime = RESNET_ONNXRUNTIME,
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
