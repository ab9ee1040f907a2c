// SPDX-License-Identifier: Apache-2.0
// Pictures in the simplest file format there is: binary PPM, and PGM for grey ones.
#pragma once

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
  if (number < 0 || number > std::numeric_limits<int>::max()) {
    throw Error(Code::bad_image, where + " has no valid header of a PPM or PGM file");
  }
  return static_cast<int>(number);
}

}  // namespace detail

/// Returns the picture in the bytes of a binary PPM (P6) or PGM (P5) file of 8 bits a channel;
/// `where` is for messages. Throws Error: it is something else, or truncated.
inline OwnedPicture read_netpbm(std::string_view data, const std::string &where) {
  const bool colour = data.substr(0, 2) == "P6";
  if (!colour && data.substr(0, 2) != "P5") {
    throw Error(Code::bad_image, where + " is no binary PPM or PGM file");
  }
  data.remove_prefix(2);
  OwnedPicture picture;
  picture.width = detail::netpbm_number(data, where);
  picture.height = detail::netpbm_number(data, where);
  if (detail::netpbm_number(data, where) != 255) {
    throw Error(Code::bad_image, where + " does not have 8 bits a channel");
  }
  data.remove_prefix(data.empty() ? 0 : 1);
  const std::size_t channels = colour ? 3 : 1;
  const auto width = static_cast<std::size_t>(picture.width);
  const auto height = static_cast<std::size_t>(picture.height);
  if (width == 0 || height == 0) throw Error(Code::bad_image, where + " has a size of zero");
  if (data.size() / channels / width < height) {
    throw Error(Code::bad_image, where + " is truncated: " + std::to_string(data.size()) +
                                     " bytes for " + std::to_string(width) + "x" +
                                     std::to_string(height) + " pixels");
  }
  picture.rgb.reserve(width * height * 3);
  for (const char byte : data.substr(0, width * height * channels)) {
    picture.rgb.insert(picture.rgb.end(), colour ? 1 : 3, static_cast<std::uint8_t>(byte));
  }
  return picture;
}

}  // namespace resnet
