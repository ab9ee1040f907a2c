// The preprocessing of bundles with any specification, to be called from Python.
#include <cstdint>
#include <cstring>
#include <exception>

#include "resnet/preprocess.hpp"

/// Writes the input tensor of one picture to `made` and returns its bytes; -1: an error.
extern "C" long prepare(const std::uint8_t *rgb, long size, int width, int height, long stride,
                        int resize, int crop, int interpolation, int format, int resize_in_graph,
                        const float *mean, const float *deviation, void *made, long capacity) {
  try {
    const resnet::Preprocess spec{resize,
                                  crop,
                                  static_cast<resnet::Interpolation>(interpolation),
                                  static_cast<resnet::Format>(format),
                                  resize_in_graph != 0,
                                  {mean[0], mean[1], mean[2]},
                                  {deviation[0], deviation[1], deviation[2]}};
    resnet::PrepareMemory memory;
    resnet::Tensor tensor;
    resnet::Preprocessor(spec).prepare(
        {rgb, static_cast<std::size_t>(size), width, height, static_cast<std::size_t>(stride)},
        memory, tensor);
    const auto bytes = static_cast<long>(tensor.byte_count());
    if (bytes > capacity) return -1;
    std::memcpy(made, tensor.data(), tensor.byte_count());
    return bytes;
  } catch (const std::exception &) {
    return -1;
  }
}
