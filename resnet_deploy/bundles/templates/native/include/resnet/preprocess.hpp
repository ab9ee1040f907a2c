// From a picture of any size to the exact input tensor of the network.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "resnet/pillow_resize.hpp"
#include "resnet/types.hpp"

namespace resnet {

/// A picture as the caller has it: `size` bytes, rows of width * 3 bytes (red, green, blue), the
/// top row first, `stride` bytes from one row to the next (0: width * 3).
struct Picture {
  const std::uint8_t *rgb;
  std::size_t size;
  int width;
  int height;
  std::size_t stride = 0;
};

/// An input tensor without its batch: `floats` or `bytes`, whichever the format asks for.
struct Tensor {
  std::vector<float> floats;
  std::vector<std::uint8_t> bytes;

  const void *data() const {
    return floats.empty() ? static_cast<const void *>(bytes.data()) : floats.data();
  }
  std::size_t byte_count() const { return floats.size() * sizeof(float) + bytes.size(); }
};

/// Memory that is kept from one picture to the next.
struct PrepareMemory {
  ResizeMemory resize;
  std::vector<std::uint8_t> square;
};

namespace detail {

/// Pillow takes a larger picture for an attack; only a very elongated one becomes so large.
constexpr std::int64_t max_pixels = 89478485;

inline std::string size_of(const Picture &picture) {
  return std::to_string(picture.width) + "x" + std::to_string(picture.height);
}

inline Pixels checked(const Picture &picture) {
  if (picture.rgb == nullptr) throw Error(Code::bad_argument, "the picture's pixels are null");
  if (picture.width < 1 || picture.height < 1) {
    throw Error(Code::bad_image, "a picture of " + size_of(picture) + " pixels has no content");
  }
  // Where addresses have 32 bits, three bytes for each pixel of a row may be too many.
  if (static_cast<std::size_t>(picture.width) > picture.size / 3) {
    throw Error(Code::bad_image, std::to_string(picture.size) + " bytes are too few for " +
                                     size_of(picture) + " RGB pixels: the picture is truncated");
  }
  const std::size_t line = static_cast<std::size_t>(picture.width) * 3;
  const std::size_t stride = picture.stride == 0 ? line : picture.stride;
  if (stride < line) {
    throw Error(Code::bad_image, "a row of " + std::to_string(picture.width) +
                                     " RGB pixels does not fit a stride of " +
                                     std::to_string(stride) + " bytes");
  }
  // Divided instead of multiplied, which could overflow.
  const auto gaps = static_cast<std::size_t>(picture.height - 1);
  if ((picture.size - line) / stride < gaps) {
    throw Error(Code::bad_image, std::to_string(picture.size) + " bytes are too few for " +
                                     size_of(picture) + " RGB pixels: the picture is truncated");
  }
  return Pixels{picture.rgb, picture.width, picture.height, stride};
}

/// Half of an even or odd number, rounded to even: 1 / 2 is 0, 3 / 2 is 2.
inline int half_to_even(int number) {
  const int half = number / 2;
  return number % 2 == 0 ? half : half + half % 2;
}

/// The part of a resized axis of `length` pixels that the crop keeps, and where it begins in it.
struct Kept {
  Range part;
  int offset;
};

inline Kept kept_of(int length, int crop) {
  if (length < crop) return Kept{Range{0, length}, (crop - length) / 2};
  return Kept{Range{half_to_even(length - crop), crop}, 0};
}

/// Writes the `crop` x `crop` RGB pixels that the network sees to memory.square.
inline void resize_and_crop(const Pixels &picture, const Preprocess &spec, PrepareMemory &memory) {
  const int shorter = std::min(picture.width, picture.height);
  const int longer = std::max(picture.width, picture.height);
  int width = picture.width, height = picture.height;
  if (shorter != spec.resize) {
    const std::int64_t new_longer = static_cast<std::int64_t>(spec.resize) * longer / shorter;
    if (spec.resize * new_longer > max_pixels) {
      throw Error(Code::bad_image, "a picture of " + std::to_string(width) + "x" +
                                       std::to_string(height) +
                                       " pixels is too elongated to be resized");
    }
    const bool upright = width <= height;
    width = upright ? spec.resize : static_cast<int>(new_longer);
    height = upright ? static_cast<int>(new_longer) : spec.resize;
  }
  const Kept across = kept_of(width, spec.crop), down = kept_of(height, spec.crop);
  const auto line = static_cast<std::size_t>(spec.crop) * 3;
  memory.square.resize(line * static_cast<std::size_t>(spec.crop));
  if (across.part.count < spec.crop || down.part.count < spec.crop) {
    std::fill(memory.square.begin(), memory.square.end(), std::uint8_t{0});
  }
  std::uint8_t *to = memory.square.data() + line * static_cast<std::size_t>(down.offset) +
                     static_cast<std::size_t>(across.offset) * 3;
  if (shorter != spec.resize) {
    resize(picture, width, height, across.part, down.part, spec.interpolation, memory.resize, to,
           line);
    return;
  }
  for (int y = 0; y < down.part.count; ++y, to += line) {
    std::memcpy(to,
                picture.row(down.part.first + y) + static_cast<std::size_t>(across.part.first) * 3,
                static_cast<std::size_t>(across.part.count) * 3);
  }
}

}  // namespace detail

/// Prepares pictures as one network wants them. Threads may share it.
class Preprocessor {
 public:
  explicit Preprocessor(const Preprocess &spec) : spec_(spec) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      for (std::size_t level = 0; level < 256; ++level) {
        const float scaled = static_cast<float>(level) / 255.0F;
        levels_[channel][level] = (scaled - spec.mean[channel]) / spec.deviation[channel];
      }
    }
  }

  /// Writes the input tensor of `picture`, without its batch, to `tensor`.
  ///
  /// Throws Error: the picture's size or number of bytes makes no sense.
  void prepare(const Picture &picture, PrepareMemory &memory, Tensor &tensor) const {
    const Pixels pixels = detail::checked(picture);
    if (spec_.resize_in_graph) {
      whole(pixels, tensor.bytes);
      return;
    }
    detail::resize_and_crop(pixels, spec_, memory);
    const std::vector<std::uint8_t> &square = memory.square;
    switch (spec_.format) {
      case Format::float_nchw:
        to_planes(square, tensor.floats, [this](std::size_t channel, std::uint8_t level) {
          return levels_[channel][level];
        });
        break;
      case Format::uint8_nhwc:
        tensor.bytes.assign(square.begin(), square.end());
        break;
      case Format::uint8_nchw:
        to_planes(square, tensor.bytes, [](std::size_t, std::uint8_t level) { return level; });
        break;
      case Format::uint8_s2d:
        to_blocks(square, static_cast<std::size_t>(spec_.crop), tensor.bytes);
        break;
    }
  }

 private:
  static void whole(const Pixels &picture, std::vector<std::uint8_t> &to) {
    const std::size_t line = static_cast<std::size_t>(picture.width) * 3;
    to.resize(line * static_cast<std::size_t>(picture.height));
    for (int y = 0; y < picture.height; ++y) {
      std::memcpy(to.data() + line * static_cast<std::size_t>(y), picture.row(y), line);
    }
  }

  template <typename Value, typename Convert>
  static void to_planes(const std::vector<std::uint8_t> &square, std::vector<Value> &to,
                        Convert convert) {
    to.resize(square.size());
    const std::size_t plane = square.size() / 3;
    for (std::size_t channel = 0; channel < 3; ++channel) {
      const std::uint8_t *from = square.data() + channel;
      Value *values = to.data() + channel * plane;
      for (std::size_t i = 0; i < plane; ++i) values[i] = convert(channel, from[3 * i]);
    }
  }

  /// Two pixels of one row, then the two below them, become the channels of one block.
  static void to_blocks(const std::vector<std::uint8_t> &square, std::size_t crop,
                        std::vector<std::uint8_t> &to) {
    constexpr std::size_t pair = 2 * 3;
    to.resize(square.size());
    for (std::size_t y = 0; y < crop; ++y) {
      for (std::size_t column = 0; column < crop / 2; ++column) {
        const std::size_t block = y / 2 * (crop / 2) + column;
        std::memcpy(to.data() + block * 2 * pair + y % 2 * pair,
                    square.data() + y * crop * 3 + column * pair, pair);
      }
    }
  }

  Preprocess spec_;
  std::array<std::array<float, 256>, 3> levels_{};
};

}  // namespace resnet
