// SPDX-License-Identifier: Apache-2.0
// PNG by libpng, which hands over plain samples: what they become is decided here, as in Pillow.
#pragma once

#include <algorithm>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <png.h>
#include <zlib.h>

#include "resnet/decoding.hpp"

namespace resnet {
namespace detail {

/// What the chunks around the pixels say of orientation, and of transparency.
struct PngFacts {
  Turned turned;
  std::string transparency;  ///< the content of tRNS
  std::uint64_t packed = 0;  ///< bytes of compressed pixels
};

/// Unpacks a zlib stream up to a limit; what comes before an error counts.
inline std::string unpacked(std::string_view packed) {
  constexpr std::size_t most = 1 << 20;  // as Python takes of a text
  std::string text(most, '\0');
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef *>(&text[0]);
  stream.avail_out = static_cast<uInt>(text.size());
  if (inflateInit(&stream) != Z_OK) return {};
  inflate(&stream, Z_FINISH);
  text.resize(text.size() - stream.avail_out);
  inflateEnd(&stream);
  return text;
}

/// The text in the content of a chunk tEXt, zTXt or iTXt.
inline std::string png_text(std::string_view name, std::string_view content) {
  const auto behind_zero = [&content] {
    const std::size_t end = content.find('\0');
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
  };
  behind_zero();  // the keyword
  if (name == "tEXt") return std::string(content);
  bool is_packed = true;
  if (name == "iTXt") {
    is_packed = content.substr(0, 1) == "\1";
    content.remove_prefix(std::min<std::size_t>(content.size(), 2));
    behind_zero();  // the language
    behind_zero();  // the keyword in it
  } else {
    content.remove_prefix(std::min<std::size_t>(content.size(), 1));
  }
  return is_packed ? unpacked(content) : std::string(content);
}

/// EXIF as ImageMagick writes it into text: three lines of header, then hexadecimal digits.
inline std::string raw_profile(const std::string &text) {
  std::string bytes;
  std::size_t at = 0;
  for (int line = 0; line < 3; ++line) {
    at = text.find('\n', at);
    if (at == std::string::npos) return bytes;
    ++at;
  }
  int high = -1;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) continue;
    if (high >= 0) bytes.push_back(static_cast<char>(high << 4 | digit));
    high = high < 0 ? digit : -1;
  }
  return bytes;
}

/// Walks over the chunks. Those before the pixels must have a right checksum, as Pillow has it.
inline PngFacts png_facts(std::string_view data, const std::string &where) {
  const std::string_view profile("Raw profile type exif\0", 22), xmp("XML:com.adobe.xmp\0", 18);
  PngFacts facts;
  // The last text of a keyword counts, and none but that is unpacked.
  std::pair<std::string_view, std::string_view> of_exif, of_xmp;
  const ByteReader bytes(data, where);
  bool before_pixels = true;
  for (std::size_t at = 8; data.size() - at >= 12;) {
    const std::size_t length = bytes.be32(at);
    const std::string_view name = data.substr(at + 4, 4);
    if (name == "IDAT") facts.packed += std::min(length, data.size() - at - 8);
    if (length > data.size() - at - 12) break;
    const std::string_view content = data.substr(at + 8, length);
    if (name == "IDAT") before_pixels = false;
    if (before_pixels) {
      const auto *start = reinterpret_cast<const Bytef *>(data.data() + at + 4);
      const uLong sum = crc32(0, start, static_cast<uInt>(length + 4));
      if (sum != bytes.be32(at + 8 + length)) is_damaged(where, "the checksum of its header");
    }
    if (name == "eXIf") facts.turned.exif = content;
    if (name == "tRNS" && before_pixels) facts.transparency = content;
    if (name == "tEXt" || name == "zTXt" || name == "iTXt") {
      if (content.substr(0, profile.size()) == profile) of_exif = {name, content};
      if (content.substr(0, xmp.size()) == xmp) of_xmp = {name, content};
    }
    if (name == "IEND") break;
    at += 12 + length;
  }
  if (facts.turned.exif.empty()) {
    facts.turned.exif = raw_profile(png_text(of_exif.first, of_exif.second));
  }
  facts.turned.xmp = png_text(of_xmp.first, of_xmp.second);
  return facts;
}

/// One file in libpng's hands. As with libjpeg, no C++ object may be unwound by its errors.
class PngDecoder {
 public:
  explicit PngDecoder(std::string_view data) : data_(data) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, [](png_structp,
                                                                         png_const_charp) {});
    info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
  }
  PngDecoder(const PngDecoder &) = delete;
  PngDecoder &operator=(const PngDecoder &) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }

  /// Reads all up to the pixels; false: see message().
  bool read_header() {
    if (info_ == nullptr) return false;
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, [](png_structp png, png_bytep to, png_size_t count) {
      auto *self = static_cast<PngDecoder *>(png_get_io_ptr(png));
      if (count > self->data_.size() - self->at_) {
        self->truncated_ = true;
        png_error(png, "it ends too early");
      }
      self->data_.copy(reinterpret_cast<char *>(to), count, self->at_);
      self->at_ += count;
    });
    // The size is checked by the caller. What is neither header, palette nor pixels is read by
    // png_facts(), or by nobody: libpng would unpack and keep it.
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    png_set_packing(png_);
    // Of 16 bits the upper eight count, except for grey ones, which are rounded.
    if (colour_type() != PNG_COLOR_TYPE_GRAY) png_set_strip_16(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  std::int64_t width() const { return png_get_image_width(png_, info_); }
  std::int64_t height() const { return png_get_image_height(png_, info_); }
  int bits() const { return bits_of_; }  ///< as the file has them
  int channels() const { return png_get_channels(png_, info_); }
  int colour_type() const { return png_get_color_type(png_, info_); }
  std::size_t line() const { return png_get_rowbytes(png_, info_); }

  /// Fills samples of one byte, or two of big-endian order; false: see message().
  bool read_rows(std::vector<std::uint8_t> &rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    const std::size_t bytes = line();
    const auto count = static_cast<std::size_t>(height());
    for (int pass = 0; pass < passes_; ++pass) {
      for (std::size_t y = 0; y < count; ++y) {
        png_read_row(png_, rows.data() + y * bytes, nullptr);
      }
    }
    return true;
  }

  /// The palette, and how many colours it has.
  std::pair<const png_color *, int> palette() const {
    png_colorp colours = nullptr;
    int count = 0;
    png_get_PLTE(png_, info_, &colours, &count);
    return {colours, count};
  }

  bool truncated() const { return truncated_; }
  const std::string &message() const { return message_; }
  void set_bits(int bits) { bits_of_ = bits; }

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto *self = static_cast<PngDecoder *>(png_get_error_ptr(png));
    self->message_ = message;
    png_longjmp(png, 1);
  }

  std::string_view data_;
  std::size_t at_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
  int bits_of_ = 8;
  bool truncated_ = false;
  std::string message_ = "there is no memory";
};

/// Grey of 1 to 8 bits or RGB of 8 bits. Pillow compares the low bytes of the transparent colour.
inline void opaque_samples(const std::vector<std::uint8_t> &rows, std::size_t samples,
                           const PngDecoder &decoder, const std::string &transparency,
                           const std::string &where, OwnedPicture &picture) {
  const bool grey = decoder.colour_type() == PNG_COLOR_TYPE_GRAY;
  const std::size_t count = grey ? 1 : 3;
  const std::size_t line = decoder.line(), width = samples;
  const unsigned factor = decoder.bits() < 8 ? 255U / ((1U << decoder.bits()) - 1U) : 1U;
  std::uint8_t clear[3] = {0, 0, 0};
  const bool has_clear = !transparency.empty();
  if (has_clear) {
    const ByteReader bytes(transparency, where);
    for (std::size_t k = 0; k < 3; ++k) {
      const std::uint32_t value = bytes.be16(grey ? 0 : 2 * k);
      const std::uint32_t level = decoder.bits() == 1 ? (value != 0 ? 255U : 0U) : value;
      clear[k] = static_cast<std::uint8_t>(level & 0xff);
    }
  }
  std::uint8_t *to = picture.rgb.data();
  for (std::size_t y = 0; y < static_cast<std::size_t>(picture.height); ++y) {
    const std::uint8_t *from = rows.data() + y * line;
    for (std::size_t x = 0; x < width; ++x, from += count, to += 3) {
      for (std::size_t k = 0; k < 3; ++k) {
        to[k] = static_cast<std::uint8_t>(from[grey ? 0 : k] * factor);
      }
      if (has_clear && to[0] == clear[0] && to[1] == clear[1] && to[2] == clear[2]) {
        to[0] = to[1] = to[2] = 255;
      }
    }
  }
}

/// The pixels as they are stored.
inline OwnedPicture png_pixels(std::string_view data, const PngFacts &facts,
                               const std::string &where) {
  const ByteReader bytes(data, where);
  check_size(bytes.be32(16), bytes.be32(20), where);
  PngDecoder decoder(data);
  decoder.set_bits(static_cast<int>(bytes.byte(24)));
  const auto fail = [&]() {
    if (decoder.truncated()) is_truncated(where);
    is_damaged(where, decoder.message());
  };
  if (!decoder.read_header()) fail();
  check_size(decoder.width(), decoder.height(), where);
  // No byte unpacks to more than 1032: two bits to 258 (RFC 1951, section 3.2.5).
  const std::uint64_t bits = static_cast<std::uint64_t>(decoder.width() * decoder.height()) *
                             static_cast<std::uint64_t>(decoder.channels() * decoder.bits());
  if (bits / 8 > facts.packed * 1032) is_truncated(where);
  OwnedPicture picture = room_for(decoder.width(), decoder.height());
  const std::size_t line = decoder.line();
  std::vector<std::uint8_t> rows(line * static_cast<std::size_t>(picture.height));
  if (!decoder.read_rows(rows)) fail();
  const auto width = static_cast<std::size_t>(picture.width);
  const std::size_t pixels = picture.rgb.size() / 3;
  std::uint8_t *to = picture.rgb.data();
  switch (decoder.colour_type()) {
    case PNG_COLOR_TYPE_PALETTE: {
      const auto [colours, count] = decoder.palette();
      if (facts.transparency.size() > 256) is_damaged(where, "its transparency is too long");
      for (std::size_t i = 0; i < pixels; ++i, to += 3) {
        const std::uint8_t index = rows[i];
        const std::uint8_t alpha =
            index < facts.transparency.size() ? static_cast<std::uint8_t>(facts.transparency[index])
                                              : std::uint8_t{255};
        // A colour that the palette lacks is black.
        const png_color colour = index < count ? colours[index] : png_color{0, 0, 0};
        to[0] = on_white(colour.red, alpha);
        to[1] = on_white(colour.green, alpha);
        to[2] = on_white(colour.blue, alpha);
      }
      break;
    }
    case PNG_COLOR_TYPE_GRAY_ALPHA:
    case PNG_COLOR_TYPE_RGB_ALPHA: {
      const bool grey = decoder.colour_type() == PNG_COLOR_TYPE_GRAY_ALPHA;
      const std::size_t count = grey ? 2 : 4;
      const std::uint8_t *from = rows.data();
      for (std::size_t i = 0; i < pixels; ++i, from += count, to += 3) {
        const std::uint8_t alpha = from[count - 1];
        for (std::size_t k = 0; k < 3; ++k) to[k] = on_white(from[grey ? 0 : k], alpha);
      }
      break;
    }
    case PNG_COLOR_TYPE_GRAY:
      if (decoder.bits() == 16) {
        for (std::size_t i = 0; i < pixels; ++i, to += 3) {
          const std::uint32_t value = static_cast<std::uint32_t>(rows[2 * i]) << 8 |
                                      rows[2 * i + 1];
          to[0] = to[1] = to[2] = static_cast<std::uint8_t>((value * 255 + 32767) / 65535);
        }
        break;
      }
      [[fallthrough]];
    default:
      opaque_samples(rows, width, decoder, facts.transparency, where, picture);
  }
  return picture;
}

/// The decoder's memory is given back before a second picture is made.
inline OwnedPicture decode_png(std::string_view data, const std::string &where) {
  const PngFacts facts = png_facts(data, where);
  return upright(png_pixels(data, facts, where), facts.turned.orientation());
}

}  // namespace detail
}  // namespace resnet
