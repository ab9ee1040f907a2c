// The preprocessing of bundles with any specification, to be called from Python.
#include <cstdint>
#include <cstring>
#include <exception>

#include "resnet/preprocess.hpp"

/// Writes the input tensor of one picture to `made` and returns its bytes; -1: an error.
///
/// `numbers` are the fields of Preprocess up to resize_in_graph, `values` those behind it.
extern "C" long prepare(const std::uint8_t *rgb, long size, int width, int height, long stride,
                        const int *numbers, const float *values, void *made, long capacity) {
  try {
    const resnet::Preprocess spec{numbers[0],
                                  numbers[1],
                                  numbers[2],
                                  numbers[3],
                                  static_cast<resnet::ResizeMode>(numbers[4]),
                                  static_cast<resnet::Interpolation>(numbers[5]),
                                  static_cast<resnet::ChannelOrder>(numbers[6]),
                                  static_cast<resnet::Format>(numbers[7]),
                                  numbers[8] != 0,
                                  values[0],
                                  values[1],
                                  {values[2], values[3], values[4]},
                                  {values[5], values[6], values[7]}};
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
