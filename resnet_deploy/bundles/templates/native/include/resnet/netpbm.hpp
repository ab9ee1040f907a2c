// SPDX-License-Identifier: Apache-2.0
// Pictures in the simplest file formats there are: binary PPM, PGM for grey ones, PBM for bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "resnet/preprocess.hpp"
#include "resnet/types.hpp"

namespace resnet {

/// A picture that owns its pixels.
struct OwnedPicture {
  std::vector<std::uint8_t> rgb;
  int width = 0;
  int height = 0;

  Picture view() const { return Picture{rgb.data(), rgb.size(), width, height}; }
};

namespace detail {

/// Takes one number of a header off `text`, with the space and comments in front of it.
inline int netpbm_number(std::string_view &text, const std::string &where) {
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && (is_space(text.front()) || text.front() == '#')) {
    const std::size_t end = text.front() == '#' ? text.find('\n') : 0;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  long long number = -1;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    number = (number < 0 ? 0 : number * 10) + (text.front() - '0');
    if (number > std::numeric_limits<int>::max()) break;
    text.remove_prefix(1);
  }
  if (number < 0 || number > std::numeric_limits<int>::max() || text.empty() ||
      !is_space(text.front())) {
    throw Error(Code::bad_image, where + " has no valid header of a PPM or PGM file");
  }
  return static_cast<int>(number);
}

/// A level in 8 bits. Grey ones of more are scaled to 16 bits first, as Pillow has them.
inline std::uint8_t netpbm_level(int value, int highest, bool colour) {
  if (highest == 255) return static_cast<std::uint8_t>(value);
  const double most = highest > 255 && !colour ? 65535.0 : 255.0;
  // To the nearest, a half to the even number, as Python's round().
  const double scaled = highest == 65535 && !colour
                            ? value
                            : std::min(most, std::nearbyint(static_cast<double>(value) / highest * most));
  if (most == 255.0) return static_cast<std::uint8_t>(scaled);
  return static_cast<std::uint8_t>((static_cast<int>(scaled) * 255LL + 32767) / 65535);
}

}  // namespace detail

/// Returns the picture in the bytes of a binary PPM (P6), PGM (P5) or PBM (P4) file; `where` is for
/// messages. Levels up to 65535 become those of 8 bits as Python rounds them.
///
/// Throws Error: it is something else, truncated or too large.
inline OwnedPicture read_netpbm(std::string_view data, const std::string &where) {
  const std::string_view magic = data.substr(0, 2);
  const bool colour = magic == "P6", bitmap = magic == "P4";
  if (!colour && !bitmap && magic != "P5") {
    throw Error(Code::bad_image, where + " is not a binary PPM, PGM or PBM file");
  }
  data.remove_prefix(2);
  OwnedPicture picture;
  picture.width = detail::netpbm_number(data, where);
  picture.height = detail::netpbm_number(data, where);
  const int highest = bitmap ? 1 : detail::netpbm_number(data, where);
  if (highest < 1 || highest > 65535) {
    throw Error(Code::bad_image, where + " has levels up to " + std::to_string(highest) +
                                     ": save it with 8 bits a channel");
  }
  data.remove_prefix(data.empty() ? 0 : 1);
  const auto width = static_cast<std::size_t>(picture.width);
  const auto height = static_cast<std::size_t>(picture.height);
  if (width == 0 || height == 0) throw Error(Code::bad_image, where + " has a size of zero");
  if (detail::is_too_large(picture.width, picture.height)) {
    throw Error(Code::bad_image, where + " has " + std::to_string(width) + "x" +
                                     std::to_string(height) + " pixels, more than the " +
                                     std::to_string(max_pixels) +
                                     " that are decoded: make it smaller");
  }
  const std::size_t channels = colour ? 3 : 1, bytes = highest > 255 ? 2 : 1;
  const std::size_t line = bitmap ? (width + 7) / 8 : width * channels * bytes;
  if (data.size() / line < height) {
    throw Error(Code::bad_image, where + " is truncated: " + std::to_string(data.size()) +
                                     " bytes for " + std::to_string(width) + "x" +
                                     std::to_string(height) + " pixels");
  }
  picture.rgb.reserve(width * height * 3);
  const auto byte = [data](std::size_t at) { return static_cast<std::uint8_t>(data[at]); };
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width * channels; ++x) {
      std::uint8_t level = 0;
      if (bitmap) {
        level = (byte(y * line + x / 8) >> (7 - x % 8) & 1) != 0 ? 0 : 255;
      } else {
        const std::size_t at = y * line + x * bytes;
        const int value = bytes == 1 ? byte(at) : byte(at) << 8 | byte(at + 1);
        level = detail::netpbm_level(value, highest, colour);
      }
      picture.rgb.insert(picture.rgb.end(), colour ? 1 : 3, level);
    }
  }
  return picture;
}

}  // namespace resnet
