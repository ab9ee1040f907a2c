// SPDX-License-Identifier: Apache-2.0
// From a picture of any size to the exact input tensor of the network.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
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
  std::vector<std::uint8_t> grey;    ///< the whole picture
  std::vector<std::uint8_t> pixels;  ///< what the network sees of it
};

/// The most pixels of a picture, in a file, handed in or resized, as in Python.
constexpr std::int64_t max_pixels = 178956970;

namespace detail {

/// Whether a picture of this size, each side of 32 bits, has more than max_pixels.
constexpr bool is_too_large(std::int64_t width, std::int64_t height) {
  return width > 0 && height > max_pixels / width;
}

inline std::string size_of(const Picture &picture) {
  return std::to_string(picture.width) + "x" + std::to_string(picture.height);
}

inline Pixels checked(const Picture &picture) {
  if (picture.rgb == nullptr) throw Error(Code::bad_argument, "the picture's pixels are null");
  if (picture.width < 1 || picture.height < 1) {
    throw Error(Code::bad_image, "a picture of " + size_of(picture) + " pixels has no content");
  }
  if (is_too_large(picture.width, picture.height)) {
    throw Error(Code::bad_image, "a picture of " + size_of(picture) + " has more than " +
                                     std::to_string(max_pixels) + " pixels: make it smaller");
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
  return Pixels{picture.rgb, picture.width, picture.height, stride, 3};
}

/// Half of an even or odd number, rounded to even: 1 / 2 is 0, 3 / 2 is 2.
inline int half_to_even(int number) {
  const int half = number / 2;
  return number % 2 == 0 ? half : half + half % 2;
}

/// The part of a resized axis that the input keeps, and where it begins there.
struct Kept {
  Range part;
  int offset;
};

/// An axis of `length` pixels is centred in black of at least `frame`, and `crop` of that are kept.
inline Kept kept_of(int length, int frame, int crop) {
  const int framed = std::max(length, frame);
  const int before = (framed - length) / 2;
  // The first of the input's pixels is this one of the axis; below 0 it is black.
  const int start = (framed < crop ? -((crop - framed) / 2) : half_to_even(framed - crop)) - before;
  const int first = std::max(start, 0);
  const int last = std::min(start + crop, length);
  return Kept{Range{first, std::max(last - first, 0)}, std::max(-start, 0)};
}

/// The nearest whole number to a quotient, at least 1; a half goes up.
inline std::int64_t rounded(std::int64_t numerator, std::int64_t denominator) {
  return std::max<std::int64_t>((2 * numerator + denominator) / (2 * denominator), 1);
}

struct Size {
  std::int64_t width;
  std::int64_t height;
};

/// The size that a picture is resized to, before what is too much is cut or what is missing black.
inline Size resized_size(std::int64_t width, std::int64_t height, const Preprocess &spec) {
  const std::int64_t rows = spec.rows, columns = spec.columns;
  const std::int64_t across = rows * width, down = columns * height;
  switch (spec.mode) {
    case ResizeMode::squash:
      break;
    case ResizeMode::crop:
      return across >= down ? Size{across / height, rows} : Size{columns, down / width};
    case ResizeMode::pad:
      return across <= down ? Size{rounded(across, height), rows}
                            : Size{columns, rounded(down, width)};
  }
  return Size{columns, rows};
}

/// Writes the `height` x `width` pixels that the network sees to memory.pixels.
inline void resize_and_crop(const Pixels &picture, const Preprocess &spec, PrepareMemory &memory) {
  const Size size = resized_size(picture.width, picture.height, spec);
  if (size.width * size.height > max_pixels) {
    throw Error(Code::bad_image, "a picture of " + std::to_string(picture.width) + "x" +
                                     std::to_string(picture.height) +
                                     " pixels is too elongated to be resized");
  }
  const int width = static_cast<int>(size.width), height = static_cast<int>(size.height);
  const bool framed = spec.mode == ResizeMode::pad;
  const Kept across = kept_of(width, framed ? spec.columns : 0, spec.width);
  const Kept down = kept_of(height, framed ? spec.rows : 0, spec.height);
  const std::size_t line = picture.bytes_of(spec.width);
  memory.pixels.resize(line * static_cast<std::size_t>(spec.height));
  if (across.part.count < spec.width || down.part.count < spec.height) {
    std::fill(memory.pixels.begin(), memory.pixels.end(), std::uint8_t{0});
  }
  if (across.part.count == 0 || down.part.count == 0) return;  // one pixel, beside the centre
  std::uint8_t *to = memory.pixels.data() + line * static_cast<std::size_t>(down.offset) +
                     picture.bytes_of(across.offset);
  if (width != picture.width || height != picture.height) {
    resize(picture, width, height, across.part, down.part, spec.interpolation, memory.resize, to,
           line);
    return;
  }
  for (int y = 0; y < down.part.count; ++y, to += line) {
    std::memcpy(to, picture.row(down.part.first + y) + picture.bytes_of(across.part.first),
                picture.bytes_of(across.part.count));
  }
}

/// One grey level a pixel, as Pillow's mode L: ITU-R 601-2 in fractions of 16 bits.
inline Pixels to_grey(const Pixels &picture, std::vector<std::uint8_t> &grey) {
  const auto width = static_cast<std::size_t>(picture.width);
  grey.resize(width * static_cast<std::size_t>(picture.height));
  std::uint8_t *to = grey.data();
  for (int y = 0; y < picture.height; ++y) {
    const std::uint8_t *pixel = picture.row(y);
    for (std::size_t x = 0; x < width; ++x, pixel += 3) {
      const std::uint32_t sum = pixel[0] * 19595U + pixel[1] * 38470U + pixel[2] * 7471U;
      *to++ = static_cast<std::uint8_t>((sum + 0x8000U) >> 16);
    }
  }
  return Pixels{grey.data(), picture.width, picture.height, width, 1};
}

/// Makes RGB pixels BGR ones.
inline void swap_channels(std::vector<std::uint8_t> &pixels) {
  for (std::size_t at = 0; at + 2 < pixels.size(); at += 3) std::swap(pixels[at], pixels[at + 2]);
}

}  // namespace detail

/// Prepares pictures as one network wants them. Threads may share it.
class Preprocessor {
 public:
  explicit Preprocessor(const Preprocess &spec) : spec_(spec) {
    const auto channels = static_cast<std::size_t>(spec.channels());
    for (std::size_t channel = 0; channel < channels; ++channel) {
      for (std::size_t level = 0; level < 256; ++level) {
        float value = static_cast<float>(level) / spec.divisor;
        value += spec.lowest;
        levels_[channel][level] = (value - spec.mean[channel]) / spec.deviation[channel];
      }
    }
  }

  /// Writes the input tensor of `picture`, without its batch, to `tensor`.
  ///
  /// Throws Error: the picture's size or number of bytes makes no sense.
  void prepare(const Picture &picture, PrepareMemory &memory, Tensor &tensor) const {
    Pixels pixels = detail::checked(picture);
    if (spec_.order == ChannelOrder::grey) pixels = detail::to_grey(pixels, memory.grey);
    if (spec_.resize_in_graph) {
      whole(pixels, tensor.bytes);
      if (spec_.order == ChannelOrder::bgr) detail::swap_channels(tensor.bytes);
      return;
    }
    detail::resize_and_crop(pixels, spec_, memory);
    if (spec_.order == ChannelOrder::bgr) detail::swap_channels(memory.pixels);
    if (spec_.order == ChannelOrder::grey) {
      encode<1>(memory.pixels, tensor);
    } else {
      encode<3>(memory.pixels, tensor);
    }
  }

 private:
  template <std::size_t channels>
  void encode(const std::vector<std::uint8_t> &pixels, Tensor &tensor) const {
    switch (spec_.format) {
      case Format::float_nchw:
        to_planes<channels>(pixels, tensor.floats, [this](std::size_t channel, std::uint8_t level) {
          return levels_[channel][level];
        });
        break;
      case Format::float_nhwc:
        to_floats<channels>(pixels, tensor.floats);
        break;
      case Format::uint8_nhwc:
        tensor.bytes.assign(pixels.begin(), pixels.end());
        break;
      case Format::uint8_nchw:
        to_planes<channels>(pixels, tensor.bytes,
                            [](std::size_t, std::uint8_t level) { return level; });
        break;
      case Format::uint8_s2d:
        to_blocks<channels>(pixels, tensor.bytes);
        break;
    }
  }

  static void whole(const Pixels &picture, std::vector<std::uint8_t> &to) {
    const std::size_t line = picture.bytes_of(picture.width);
    to.resize(line * static_cast<std::size_t>(picture.height));
    for (int y = 0; y < picture.height; ++y) {
      std::memcpy(to.data() + line * static_cast<std::size_t>(y), picture.row(y), line);
    }
  }

  template <std::size_t channels, typename Value, typename Convert>
  static void to_planes(const std::vector<std::uint8_t> &pixels, std::vector<Value> &to,
                        Convert convert) {
    to.resize(pixels.size());
    const std::size_t plane = pixels.size() / channels;
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const std::uint8_t *from = pixels.data() + channel;
      Value *values = to.data() + channel * plane;
      for (std::size_t i = 0; i < plane; ++i) values[i] = convert(channel, from[channels * i]);
    }
  }

  template <std::size_t channels>
  void to_floats(const std::vector<std::uint8_t> &pixels, std::vector<float> &to) const {
    to.resize(pixels.size());
    for (std::size_t at = 0; at < pixels.size(); at += channels) {
      for (std::size_t channel = 0; channel < channels; ++channel) {
        to[at + channel] = levels_[channel][pixels[at + channel]];
      }
    }
  }

  /// Two pixels of one row, then the two below them, become the channels of one block.
  template <std::size_t channels>
  void to_blocks(const std::vector<std::uint8_t> &pixels, std::vector<std::uint8_t> &to) const {
    constexpr std::size_t pair = 2 * channels;
    const auto height = static_cast<std::size_t>(spec_.height);
    const auto columns = static_cast<std::size_t>(spec_.width) / 2;
    to.resize(pixels.size());
    const std::uint8_t *from = pixels.data();
    for (std::size_t y = 0; y < height; ++y) {
      for (std::size_t column = 0; column < columns; ++column, from += pair) {
        const std::size_t block = y / 2 * columns + column;
        std::memcpy(to.data() + block * 2 * pair + y % 2 * pair, from, pair);
      }
    }
  }

  Preprocess spec_;
  std::array<std::array<float, 256>, 3> levels_{};
};

}  // namespace resnet
