// SPDX-License-Identifier: Apache-2.0
// What the decoders of picture files share: bytes that are bounded, transparency, orientation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "resnet/netpbm.hpp"
#include "resnet/preprocess.hpp"
#include "resnet/types.hpp"

namespace resnet {
namespace detail {

[[noreturn]] inline void bad_image(const std::string &where, const std::string &what) {
  throw Error(Code::bad_image, where + " " + what);
}

[[noreturn]] inline void is_truncated(const std::string &where) {
  bad_image(where, "is truncated: copy it again");
}

[[noreturn]] inline void is_damaged(const std::string &where, const std::string &why) {
  bad_image(where, "is damaged (" + why + "): replace it");
}

/// Throws Error unless a picture of this size may be decoded; asked before any memory is taken.
inline void check_size(std::int64_t width, std::int64_t height, const std::string &where) {
  if (width < 1 || height < 1) bad_image(where, "has no pixels: replace it");
  if (is_too_large(width, height)) {
    bad_image(where, "has " + std::to_string(width) + "x" + std::to_string(height) +
                         " pixels, more than the " + std::to_string(max_pixels) +
                         " that are decoded: make it smaller");
  }
}

/// Bytes that are read in one order or the other; what is behind the end throws.
class ByteReader {
 public:
  ByteReader(std::string_view data, const std::string &where) : data_(data), where_(where) {}

  std::size_t size() const { return data_.size(); }
  std::uint32_t byte(std::size_t at) const {
    if (at >= data_.size()) is_truncated(where_);
    return static_cast<std::uint8_t>(data_[at]);
  }
  std::uint32_t le16(std::size_t at) const { return byte(at) | byte(at + 1) << 8; }
  std::uint32_t le32(std::size_t at) const { return le16(at) | le16(at + 2) << 16; }
  std::uint32_t be16(std::size_t at) const { return byte(at) << 8 | byte(at + 1); }
  std::uint32_t be32(std::size_t at) const { return be16(at) << 16 | be16(at + 2); }
  std::string_view part(std::size_t at, std::size_t count) const {
    if (at > data_.size() || count > data_.size() - at) is_truncated(where_);
    return data_.substr(at, count);
  }

 private:
  std::string_view data_;
  const std::string &where_;
};

/// A colour laid on white, in the fixed point of Pillow's alpha_composite.
inline std::uint8_t on_white(std::uint32_t level, std::uint32_t alpha) {
  const std::uint32_t sum = (level * alpha + 255 * (255 - alpha) + 0x80) << 7;
  return static_cast<std::uint8_t>(((sum >> 8) + sum) >> 8 >> 7);
}

/// Lays RGBA pixels on white.
inline void composite(const std::uint8_t *rgba, std::size_t pixels, std::uint8_t *rgb) {
  for (std::size_t i = 0; i < pixels; ++i, rgba += 4, rgb += 3) {
    for (int channel = 0; channel < 3; ++channel) rgb[channel] = on_white(rgba[channel], rgba[3]);
  }
}

/// A colour of a palette.
struct Colour {
  std::uint8_t red, green, blue, alpha;
};

/// Returns room for a picture; the size was checked.
inline OwnedPicture room_for(std::int64_t width, std::int64_t height) {
  OwnedPicture picture;
  picture.width = static_cast<int>(width);
  picture.height = static_cast<int>(height);
  picture.rgb.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  return picture;
}

/// The orientation in a TIFF directory (EXIF 2.32, section 4.6.4); 0 where none can be read.
inline int exif_orientation(std::string_view data) {
  while (data.substr(0, 6) == std::string_view("Exif\0\0", 6)) data.remove_prefix(6);
  const auto at = [data](std::size_t i) -> std::uint32_t {
    return static_cast<std::uint8_t>(data[i]);
  };
  if (data.size() < 8) return 0;
  const std::string_view order = data.substr(0, 4);
  const bool little = order == std::string_view("II*\0", 4);
  if (!little && order != std::string_view("MM\0*", 4)) return 0;
  const auto number = [&](std::size_t i, std::size_t bytes) {
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < bytes; ++k) value |= at(i + k) << 8 * (little ? k : bytes - 1 - k);
    return value;
  };
  std::size_t place = number(4, 4);
  if (place > data.size() - 2) return 0;
  int found = 0;
  const std::uint32_t entries = number(place, 2);
  place += 2;
  for (std::uint32_t i = 0; i < entries && data.size() - place >= 12; ++i, place += 12) {
    const std::uint32_t kind = number(place + 2, 2);
    if (number(place, 2) != 0x0112 || number(place + 4, 4) != 1) continue;
    if (kind == 3 || kind == 8) found = static_cast<int>(number(place + 8, 2));
    if (kind == 4 || kind == 9) found = static_cast<int>(number(place + 8, 4) & 0xffff);
  }
  return found;
}

/// The orientation in a packet of XMP; 0 where there is none.
inline int xmp_orientation(std::string_view text) {
  for (const std::string_view start : {"tiff:Orientation=\"", "tiff:Orientation>"}) {
    const std::size_t at = text.find(start);
    if (at == std::string_view::npos || at + start.size() >= text.size()) continue;
    const char digit = text[at + start.size()];
    if (digit >= '0' && digit <= '9') return digit - '0';
  }
  return 0;
}

/// What a file says beside its pixels of how they are turned.
struct Turned {
  std::string exif;
  std::string xmp;

  int orientation() const {
    const int found = exif_orientation(exif);
    return found != 0 ? found : xmp_orientation(xmp);
  }
};

/// Turns a picture upright: orientations 2 to 8 of EXIF; any other one is upright.
inline OwnedPicture upright(OwnedPicture picture, int orientation) {
  if (orientation < 2 || orientation > 8) return picture;
  const bool transposed = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 ||
                          orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 ||
                          orientation == 7;
  const auto width = static_cast<std::size_t>(picture.width);
  const auto height = static_cast<std::size_t>(picture.height);
  OwnedPicture turned = room_for(transposed ? picture.height : picture.width,
                                 transposed ? picture.width : picture.height);
  std::uint8_t *to = turned.rgb.data();
  for (std::size_t y = 0; y < static_cast<std::size_t>(turned.height); ++y) {
    for (std::size_t x = 0; x < static_cast<std::size_t>(turned.width); ++x, to += 3) {
      const std::size_t column = transposed ? y : x, row = transposed ? x : y;
      const std::size_t from = (from_below ? height - 1 - row : row) * width +
                               (from_right ? width - 1 - column : column);
      std::copy_n(picture.rgb.data() + 3 * from, 3, to);
    }
  }
  return turned;
}

}  // namespace detail
}  // namespace resnet
