// SPDX-License-Identifier: Apache-2.0
// The first frame of a GIF: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
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

/// The bits of a chain of blocks, the lowest first.
class GifBits {
 public:
  GifBits(const ByteReader &bytes, std::size_t at) : bytes_(bytes), at_(at) {}

  std::uint32_t take(std::uint32_t count) {
    while (held_ < count) {
      while (left_ == 0) {
        left_ = bytes_.byte(at_++);
        if (left_ == 0) ended_ = true;
        if (ended_) return ~0U;
      }
      bits_ |= bytes_.byte(at_++) << held_;
      --left_;
      held_ += 8;
    }
    const std::uint32_t value = bits_ & ((1U << count) - 1);
    bits_ >>= count;
    held_ -= count;
    return value;
  }

 private:
  const ByteReader &bytes_;
  std::size_t at_;
  std::uint32_t bits_ = 0, held_ = 0, left_ = 0;
  bool ended_ = false;
};

/// Unpacks `count` indices (LZW, codes of at most 12 bits).
inline std::vector<std::uint8_t> gif_indices(const ByteReader &bytes, std::size_t at,
                                             std::size_t count, const std::string &where) {
  constexpr std::uint32_t most = 4096;
  const std::uint32_t bits = bytes.byte(at);
  if (bits < 1 || bits > 11) is_damaged(where, "the size of its codes");
  const std::uint32_t clear = 1U << bits, end = clear + 1;
  std::vector<std::uint8_t> indices;
  indices.reserve(count);
  std::array<std::uint16_t, most> before{};
  std::array<std::uint8_t, most> last{};
  std::vector<std::uint8_t> reversed;
  GifBits stream(bytes, at + 1);
  std::uint32_t size = bits + 1, next = clear + 2, previous = most;
  std::uint8_t first = 0;
  while (indices.size() < count) {
    const std::uint32_t code = stream.take(size);
    if (code == ~0U || code == end) is_truncated(where);
    if (code == clear) {
      size = bits + 1;
      next = clear + 2;
      previous = most;
      continue;
    }
    if (previous == most ? code >= clear : code > next) is_damaged(where, "a code");
    std::uint32_t at_code = code;
    reversed.clear();
    if (code == next) {
      reversed.push_back(first);
      at_code = previous;
    }
    for (; at_code >= clear; at_code = before[at_code]) reversed.push_back(last[at_code]);
    first = static_cast<std::uint8_t>(at_code);
    reversed.push_back(first);
    if (previous != most && next < most) {
      before[next] = static_cast<std::uint16_t>(previous);
      last[next] = first;
      ++next;
      if (next == 1U << size && size < 12) ++size;
    }
    previous = code;
    for (auto index = reversed.rbegin(); index != reversed.rend(); ++index) {
      if (indices.size() < count) indices.push_back(*index);
    }
  }
  return indices;
}

inline std::size_t gif_skip_blocks(const ByteReader &bytes, std::size_t at) {
  while (const std::uint32_t length = bytes.byte(at)) at += 1 + length;
  return at + 1;
}

inline OwnedPicture decode_gif(std::string_view data, const std::string &where) {
  const ByteReader bytes(data, where);
  std::int64_t width = bytes.le16(6), height = bytes.le16(8);
  std::uint32_t flags = bytes.byte(10);
  std::size_t palette = 0, colours = 0, at = 13;
  const auto take_palette = [&]() {
    palette = at;
    colours = std::size_t{2} << (flags & 7);
    at += 3 * colours;
  };
  if ((flags & 0x80) != 0) take_palette();
  int clear = -1;
  for (std::uint32_t kind = bytes.byte(at++); kind != ','; kind = bytes.byte(at++)) {
    if (kind == ';') bad_image(where, "is a GIF without a picture: replace it");
    if (kind != '!') continue;
    const std::uint32_t label = bytes.byte(at++);
    if (label == 0xf9 && bytes.byte(at) >= 4 && (bytes.byte(at + 1) & 1) != 0) {
      clear = static_cast<int>(bytes.byte(at + 4));
    }
    at = gif_skip_blocks(bytes, at);
  }
  const std::size_t left = bytes.le16(at), top = bytes.le16(at + 2);
  const std::size_t columns = bytes.le16(at + 4), rows = bytes.le16(at + 6);
  width = std::max(width, static_cast<std::int64_t>(left + columns));
  height = std::max(height, static_cast<std::int64_t>(top + rows));
  flags = bytes.byte(at + 8);
  at += 9;
  if ((flags & 0x80) != 0) take_palette();
  check_size(width, height, where);
  if (columns == 0 || rows == 0) bad_image(where, "has no pixels: replace it");
  const std::vector<std::uint8_t> indices = gif_indices(bytes, at, columns * rows, where);
  std::array<Colour, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto level = [&](std::size_t k) {
      return static_cast<std::uint8_t>(i < colours ? bytes.byte(palette + 3 * i + k) : 0);
    };
    table[i] = {level(0), level(1), level(2), 255};
    if (colours == 0) {  // as grey levels
      const auto grey = static_cast<std::uint8_t>(i);
      table[i] = {grey, grey, grey, 255};
    }
  }
  if (clear >= 0) table[static_cast<std::size_t>(clear)] = {255, 255, 255, 255};
  OwnedPicture picture = room_for(width, height);
  const auto put = [&](std::uint8_t *to, std::size_t index) {
    to[0] = table[index].red;
    to[1] = table[index].green;
    to[2] = table[index].blue;
  };
  const auto pitch = static_cast<std::size_t>(width) * 3;
  if (columns * rows < picture.rgb.size() / 3) {
    for (std::size_t i = 0; i < picture.rgb.size(); i += 3) {
      put(picture.rgb.data() + i, clear >= 0 ? static_cast<std::size_t>(clear) : 0);
    }
  }
  std::size_t row = 0, step = (flags & 0x40) != 0 ? 8 : 1, pass = 0;
  for (std::size_t y = 0; y < rows; ++y) {
    std::uint8_t *to = picture.rgb.data() + (top + row) * pitch + left * 3;
    for (std::size_t x = 0; x < columns; ++x, to += 3) put(to, indices[y * columns + x]);
    row += step;
    // Interlaced: every eighth row, those halfway between, and so on.
    while (row >= rows && (flags & 0x40) != 0 && pass < 3) {
      ++pass;
      row = std::size_t{8} >> pass;
      step = std::size_t{16} >> pass;
    }
  }
  return picture;
}

}  // namespace detail
}  // namespace resnet
