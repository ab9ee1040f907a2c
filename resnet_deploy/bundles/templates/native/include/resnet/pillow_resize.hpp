// SPDX-License-Identifier: Apache-2.0
// Resizing as Pillow does it, to the last bit: antialiased, in fixed point.
//
// Pillow's filters are separable: across and then down, or the other way. Each pass rounds to whole
// grey levels, with weights of 22 fractional bits that are computed in double precision. Only what
// a crop keeps is computed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "resnet/types.hpp"

#ifdef __FAST_MATH__
#error "-ffast-math changes the weights of the resizing: build without it"
#endif
// A fused multiply-add would round once instead of twice. GCC needs -ffp-contract=off.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#endif

namespace resnet {

/// Rows of bytes, `channels` (3 or 1) of them a pixel, `stride` from one row to the next.
struct Pixels {
  const std::uint8_t *data;
  int width;
  int height;
  std::size_t stride;
  int channels;

  const std::uint8_t *row(int y) const { return data + static_cast<std::size_t>(y) * stride; }
  std::size_t bytes_of(int count) const {
    return static_cast<std::size_t>(count) * static_cast<std::size_t>(channels);
  }
};

/// `count` neighbours from `first` on, along one axis of the resized picture.
struct Range {
  int first;
  int count;
};

/// Which pixels of a line make up each pixel of the resized line, and with which weights.
struct Weights {
  int taps = 0;  ///< room for each pixel in `values`
  std::vector<Range> sources;
  std::vector<std::int32_t> values;
  std::vector<double> exact;
};

/// Memory that is kept from one picture to the next.
struct ResizeMemory {
  Weights across;
  Weights down;
  std::vector<std::uint8_t> lines;
  std::vector<std::int32_t> sums;
  std::vector<int> columns;
};

namespace detail {

constexpr int precision_bits = 32 - 8 - 2;

inline double filter_support(Interpolation kind) {
  switch (kind) {
    case Interpolation::nearest:
      break;
    case Interpolation::box:
      return 0.5;
    case Interpolation::bilinear:
      return 1.0;
    case Interpolation::bicubic:
      return 2.0;
    case Interpolation::lanczos:
      return 3.0;
  }
  return 0.0;
}

inline double sinc(double x) {
  if (x == 0.0) return 1.0;
  constexpr double pi = 3.14159265358979323846;
  const double angle = x * pi;
  return std::sin(angle) / angle;
}

inline double filter_value(Interpolation kind, double x) {
  const double distance = std::fabs(x);
  switch (kind) {
    case Interpolation::nearest:
      break;
    case Interpolation::box:
      return -0.5 < x && x <= 0.5 ? 1.0 : 0.0;
    case Interpolation::bilinear:
      return distance < 1.0 ? 1.0 - distance : 0.0;
    case Interpolation::bicubic: {
      constexpr double a = -0.5;
      if (distance < 1.0) {
        return ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1;
      }
      if (distance < 2.0) return (((distance - 5) * distance + 8) * distance - 4) * a;
      return 0.0;
    }
    case Interpolation::lanczos:
      return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
  }
  return 0.0;
}

/// Weights of the pixels `wanted` of a line of `from` pixels that is resized to `to`.
inline void find_weights(Interpolation kind, int from, int to, Range wanted, Weights &found) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double support = filter_support(kind) * stretch;
  const double shrink = 1.0 / stretch;
  found.taps = static_cast<int>(std::ceil(support)) * 2 + 1;
  const auto taps = static_cast<std::size_t>(found.taps);
  found.sources.resize(static_cast<std::size_t>(wanted.count));
  found.values.resize(found.sources.size() * taps);
  found.exact.resize(taps);
  for (int i = 0; i < wanted.count; ++i) {
    const double center = (wanted.first + i + 0.5) * scale;
    const int begin = std::max(static_cast<int>(center - support + 0.5), 0);
    const int end = std::min(static_cast<int>(center + support + 0.5), from);
    const int count = end - begin;
    double total = 0.0;
    for (int j = 0; j < count; ++j) {
      const double weight = filter_value(kind, (j + begin - center + 0.5) * shrink);
      found.exact[static_cast<std::size_t>(j)] = weight;
      total += weight;
    }
    std::int32_t *values = found.values.data() + static_cast<std::size_t>(i) * taps;
    for (int j = 0; j < count; ++j) {
      double weight = found.exact[static_cast<std::size_t>(j)];
      if (total != 0.0) weight /= total;
      const double scaled = weight * (1 << precision_bits);
      values[j] = static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    found.sources[static_cast<std::size_t>(i)] = Range{begin, count};
  }
}

inline std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> precision_bits, 0, 255));
}

inline void resize_grey_across(const std::uint8_t *from, const Weights &weights, std::uint8_t *to) {
  const std::int32_t *values = weights.values.data();
  for (const Range &source : weights.sources) {
    std::int32_t level = 1 << (precision_bits - 1);
    const std::uint8_t *pixel = from + source.first;
    for (int j = 0; j < source.count; ++j) level += pixel[j] * values[j];
    *to++ = to_byte(level);
    values += weights.taps;
  }
}

inline void resize_across(const std::uint8_t *from, int channels, const Weights &weights,
                          std::uint8_t *to) {
  if (channels == 1) {
    resize_grey_across(from, weights, to);
    return;
  }
  const std::int32_t *values = weights.values.data();
  for (const Range &source : weights.sources) {
    std::int32_t red = 1 << (precision_bits - 1), green = red, blue = red;
    const std::uint8_t *pixel = from + static_cast<std::size_t>(source.first) * 3;
    for (int j = 0; j < source.count; ++j, pixel += 3) {
      red += pixel[0] * values[j];
      green += pixel[1] * values[j];
      blue += pixel[2] * values[j];
    }
    to[0] = to_byte(red);
    to[1] = to_byte(green);
    to[2] = to_byte(blue);
    to += 3;
    values += weights.taps;
  }
}

/// Mixes `count` lines of `bytes` bytes, `stride` apart, into one.
inline void resize_down(const std::uint8_t *from, std::size_t stride, int count,
                        const std::int32_t *values, std::size_t bytes,
                        std::vector<std::int32_t> &sums, std::uint8_t *to) {
  sums.assign(bytes, 1 << (precision_bits - 1));
  for (int j = 0; j < count; ++j, from += stride) {
    const std::int32_t weight = values[j];
    for (std::size_t i = 0; i < bytes; ++i) sums[i] += from[i] * weight;
  }
  std::transform(sums.begin(), sums.end(), to, to_byte);
}

/// The usual order: all lines that are needed get their new width, then they are mixed.
inline void resize_across_first(const Pixels &from, Range columns, ResizeMemory &memory,
                                std::uint8_t *to, std::size_t to_stride) {
  const std::size_t bytes = from.bytes_of(columns.count);
  const int top = memory.down.sources.front().first;
  const Range last = memory.down.sources.back();
  const int lines = last.first + last.count - top;
  memory.lines.resize(bytes * static_cast<std::size_t>(lines));
  for (int y = 0; y < lines; ++y) {
    resize_across(from.row(top + y), from.channels, memory.across,
                  memory.lines.data() + bytes * static_cast<std::size_t>(y));
  }
  const std::int32_t *values = memory.down.values.data();
  for (const Range &source : memory.down.sources) {
    const auto line = static_cast<std::size_t>(source.first - top);
    resize_down(memory.lines.data() + bytes * line, bytes, source.count, values, bytes, memory.sums,
                to);
    values += memory.down.taps;
    to += to_stride;
  }
}

inline void resize_down_first(const Pixels &from, ResizeMemory &memory, std::uint8_t *to,
                              std::size_t to_stride) {
  const std::size_t bytes = from.bytes_of(from.width);
  memory.lines.resize(bytes);
  const std::int32_t *values = memory.down.values.data();
  for (const Range &source : memory.down.sources) {
    resize_down(from.row(source.first), from.stride, source.count, values, bytes, memory.sums,
                memory.lines.data());
    resize_across(memory.lines.data(), from.channels, memory.across, to);
    values += memory.down.taps;
    to += to_stride;
  }
}

/// The nearest pixel, by repeated addition: Pillow's rounding errors are part of its answer.
inline void nearest_sources(int from, int to, Range wanted, std::vector<int> &found) {
  const double scale = static_cast<double>(from) / to;
  double position = scale * 0.5;
  for (int i = 0; i < wanted.first; ++i) position += scale;
  found.resize(static_cast<std::size_t>(wanted.count));
  for (int &source : found) {
    source = static_cast<int>(position);
    position += scale;
  }
}

inline void resize_nearest(const Pixels &from, int width, int height, Range columns, Range rows,
                           ResizeMemory &memory, std::uint8_t *to, std::size_t to_stride) {
  nearest_sources(from.width, width, columns, memory.columns);
  const double scale = static_cast<double>(from.height) / height;
  double position = scale * 0.5;
  for (int y = 0; y < rows.first; ++y) position += scale;
  for (int y = 0; y < rows.count; ++y, position += scale, to += to_stride) {
    const int source_y = static_cast<int>(position);
    std::uint8_t *pixel = to;
    for (const int source_x : memory.columns) {
      // Rounding may lead one past the end, which is black.
      const bool inside = source_x < from.width && source_y < from.height;
      const std::uint8_t *source =
          inside ? from.row(source_y) + from.bytes_of(source_x) : nullptr;
      for (int channel = 0; channel < from.channels; ++channel) {
        *pixel++ = inside ? source[channel] : 0;
      }
    }
  }
}

}  // namespace detail

/// Writes the part `columns` x `rows` of `from`, resized to `width` x `height`, to `to`.
inline void resize(const Pixels &from, int width, int height, Range columns, Range rows,
                   Interpolation kind, ResizeMemory &memory, std::uint8_t *to,
                   std::size_t to_stride) {
  if (kind == Interpolation::nearest) {
    detail::resize_nearest(from, width, height, columns, rows, memory, to, to_stride);
    return;
  }
  detail::find_weights(kind, from.width, width, columns, memory.across);
  detail::find_weights(kind, from.height, height, rows, memory.down);
  const auto lost_lines = static_cast<std::int64_t>(from.height) - height;
  const auto lost_columns = static_cast<std::int64_t>(from.width) - width;
  // As Pillow does since its release 13. The order shows: each pass rounds.
  if (lost_lines > 0 && lost_lines > lost_columns * 2) {
    detail::resize_down_first(from, memory, to, to_stride);
  } else {
    detail::resize_across_first(from, columns, memory, to, to_stride);
  }
}

}  // namespace resnet
