// SPDX-License-Identifier: Apache-2.0
// Windows bitmaps, uncompressed: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "resnet/decoding.hpp"

namespace resnet {
namespace detail {

/// The place of red, green, blue and alpha in a pixel of 24 or 32 bits; alpha -1: there is none.
struct BmpLayout {
  std::array<int, 4> place;
};

/// Header of a bitmap, read and checked.
struct BmpHeader {
  std::int64_t width = 0, height = 0;
  bool upwards = true;
  std::uint32_t bits = 0, compression = 0, colours = 0, entry = 4;
  std::size_t pixels = 0;   ///< where they begin
  std::size_t palette = 0;  ///< where it begins
  bool is_565 = false;
  BmpLayout layout{ {2, 1, 0, -1} };
};

/// Fills in what masks of colours say. Throws Error where Pillow knows no such layout.
inline void read_masks(const ByteReader &bytes, std::size_t at, bool has_alpha, BmpHeader &header,
                       const std::string &where) {
  const std::uint32_t red = bytes.le32(at), green = bytes.le32(at + 4), blue = bytes.le32(at + 8);
  const std::uint32_t alpha = has_alpha ? bytes.le32(at + 12) : 0;
  struct Known {
    std::uint32_t red, green, blue, alpha;
    BmpLayout layout;
  };
  static constexpr Known known[] = {
      {0xff0000, 0xff00, 0xff, 0, { {2, 1, 0, -1} }},
      {0xff000000, 0xff0000, 0xff00, 0, { {3, 2, 1, -1} }},
      {0xff000000, 0xff00, 0xff, 0, { {3, 1, 0, -1} }},
      {0xff000000, 0xff0000, 0xff00, 0xff, { {3, 2, 1, 0} }},
      {0xff, 0xff00, 0xff0000, 0xff000000, { {0, 1, 2, 3} }},
      {0xff0000, 0xff00, 0xff, 0xff000000, { {2, 1, 0, 3} }},
      {0xff000000, 0xff00, 0xff, 0xff0000, { {3, 1, 0, 2} }},
      {0, 0, 0, 0, { {2, 1, 0, 3} }},
  };
  if (header.bits == 32) {
    for (const Known &one : known) {
      if (red == one.red && green == one.green && blue == one.blue && alpha == one.alpha) {
        header.layout = one.layout;
        return;
      }
    }
  }
  if (header.bits == 24 && red == 0xff0000 && green == 0xff00 && blue == 0xff) return;
  if (header.bits == 16 && red == 0xf800 && green == 0x7e0 && blue == 0x1f) {
    header.is_565 = true;
    return;
  }
  if (header.bits == 16 && red == 0x7c00 && green == 0x3e0 && blue == 0x1f) return;
  bad_image(where, "is a BMP whose bits are in a rare order: save it as PNG");
}

inline BmpHeader bmp_header(const ByteReader &bytes, const std::string &where) {
  BmpHeader header;
  const std::size_t length = bytes.le32(14);
  bytes.part(14, length < 4 ? 4 : length);
  std::size_t behind = 14 + length;
  if (length == 12) {
    header.width = bytes.le16(18);
    header.height = bytes.le16(20);
    header.bits = bytes.le16(24);
    header.entry = 3;
  } else if (length == 40 || length == 52 || length == 56 || length == 64 || length == 108 ||
             length == 124) {
    header.upwards = bytes.byte(25) != 0xff;
    header.width = bytes.le32(18);
    header.height = bytes.le32(22);
    if (!header.upwards) header.height = (std::int64_t{1} << 32) - header.height;
    header.bits = bytes.le16(28);
    header.compression = bytes.le32(30);
    header.colours = bytes.le32(46);
  } else {
    bad_image(where, "is a BMP of a rare kind: save it as PNG");
  }
  check_size(header.width, header.height, where);
  if (header.bits == 0 || header.bits > 32) is_damaged(where, "its number of bits");
  if (header.colours == 0 && header.bits <= 8) header.colours = 1U << header.bits;
  header.pixels = bytes.le32(10);
  if (header.compression == 3) {
    const bool in_header = length >= 52;
    read_masks(bytes, 54, length >= 56, header, where);
    if (!in_header) behind += 12;
  } else if (header.compression != 0) {
    bad_image(where, "is a compressed BMP: save it as PNG");
  }
  header.palette = behind;
  if (header.bits <= 8) {
    behind += static_cast<std::size_t>(header.colours) * header.entry;
  }
  if (header.pixels == 0 || (header.bits <= 8 && header.pixels == 14 + length)) {
    header.pixels = behind;
  }
  return header;
}

/// The palette of a bitmap, 256 colours; those that it lacks are black.
inline std::vector<Colour> bmp_palette(const ByteReader &bytes, const BmpHeader &header,
                                       const std::string &where) {
  if (header.colours > 256) is_damaged(where, "the size of its palette");
  std::vector<Colour> colours;
  bool grey = true;
  for (std::uint32_t i = 0; i < header.colours; ++i) {
    const std::size_t at = header.palette + static_cast<std::size_t>(i) * header.entry;
    const auto level = [&](std::size_t k) { return static_cast<std::uint8_t>(bytes.byte(at + k)); };
    colours.push_back({level(2), level(1), level(0), 255});
    const std::uint32_t wanted = header.colours == 2 ? 255 * i : i;
    grey = grey && level(0) == wanted && level(1) == wanted && level(2) == wanted;
  }
  // Pillow then takes the indices for levels, and reads them by another number of bits.
  if (grey && header.bits != (header.colours <= 2 ? 1U : 8U)) {
    bad_image(where, "is a BMP whose palette is of no use: save it as PNG");
  }
  colours.resize(256, Colour{0, 0, 0, 255});
  return colours;
}

inline OwnedPicture decode_bmp(std::string_view data, const std::string &where) {
  const ByteReader bytes(data, where);
  const BmpHeader header = bmp_header(bytes, where);
  const auto width = static_cast<std::size_t>(header.width);
  const auto height = static_cast<std::size_t>(header.height);
  const std::uint32_t bits = header.bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
    bad_image(where, "is a BMP of " + std::to_string(bits) + " bits a pixel: save it as PNG");
  }
  const std::size_t line = (width * bits + 7) / 8, stride = (width * bits + 31) / 32 * 4;
  if (header.pixels > data.size() || (data.size() - header.pixels) / stride < height - 1 ||
      data.size() - header.pixels - (height - 1) * stride < line) {
    is_truncated(where);
  }
  const std::vector<Colour> colours =
      bits <= 8 ? bmp_palette(bytes, header, where) : std::vector<Colour>();
  OwnedPicture picture = room_for(header.width, header.height);
  std::uint8_t *to = picture.rgb.data();
  for (std::size_t y = 0; y < height; ++y) {
    const std::size_t row = header.upwards ? height - 1 - y : y;
    const auto *from =
        reinterpret_cast<const std::uint8_t *>(data.data()) + header.pixels + row * stride;
    for (std::size_t x = 0; x < width; ++x, to += 3) {
      if (bits <= 8) {
        const std::size_t per_byte = 8 / bits;
        const std::size_t shift = 8 - bits * (x % per_byte + 1);
        const std::size_t index = from[x / per_byte] >> shift & ((1U << bits) - 1);
        to[0] = colours[index].red;
        to[1] = colours[index].green;
        to[2] = colours[index].blue;
      } else if (bits == 16) {
        const unsigned pixel = from[2 * x] | static_cast<unsigned>(from[2 * x + 1]) << 8;
        const unsigned green = header.is_565 ? (pixel >> 5 & 63) * 255 / 63
                                             : (pixel >> 5 & 31) * 255 / 31;
        to[0] = static_cast<std::uint8_t>((pixel >> (header.is_565 ? 11 : 10) & 31) * 255 / 31);
        to[1] = static_cast<std::uint8_t>(green);
        to[2] = static_cast<std::uint8_t>((pixel & 31) * 255 / 31);
      } else {
        const std::uint8_t *pixel = from + x * (bits / 8);
        const auto &place = header.layout.place;
        const std::uint8_t alpha = place[3] < 0 ? std::uint8_t{255} : pixel[place[3]];
        for (std::size_t k = 0; k < 3; ++k) to[k] = on_white(pixel[place[k]], alpha);
      }
    }
  }
  return picture;
}

}  // namespace detail
}  // namespace resnet
