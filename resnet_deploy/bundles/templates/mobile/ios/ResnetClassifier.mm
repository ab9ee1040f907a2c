// SPDX-License-Identifier: Apache-2.0
// Nothing but a translation between Objective-C and the C interface. Needs Xcode, with ARC.
#import "ResnetClassifier.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include "resnet_classifier.h"

NSString *const ResnetClassifierErrorDomain = @"ResnetClassifier";

static void fail(std::int32_t code, NSString *reason, NSError **error) {
  if (error != nullptr) {
    *error = [NSError errorWithDomain:ResnetClassifierErrorDomain
                                 code:code
                             userInfo:@{NSLocalizedDescriptionKey : reason}];
  }
}

static NSString *text(const char *utf8) {
  NSString *made = utf8 != nullptr ? [NSString stringWithUTF8String:utf8] : nil;
  return made != nil ? made : @"";
}

static std::int32_t narrow(NSInteger value) {
  const NSInteger largest = std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(std::min(std::max(value, -largest), largest));
}

@implementation ResnetOptions
@end

@implementation ResnetPicture

- (instancetype)initWithRGB:(NSData *)rgb width:(NSInteger)width height:(NSInteger)height {
  if ((self = [super init])) {
    _rgb = [rgb copy];
    _width = width;
    _height = height;
  }
  return self;
}

@end

@implementation ResnetPrediction

- (instancetype)initWithIndex:(NSInteger)index
                        label:(NSString *)label
                        score:(float)score
                  probability:(float)probability {
  if ((self = [super init])) {
    _index = index;
    _label = [label copy];
    _score = score;
    _probability = probability;
  }
  return self;
}

@end

@implementation ResnetOutput

- (instancetype)initWithName:(NSString *)name
                       shape:(NSArray<NSNumber *> *)shape
                      values:(NSData *)values {
  if ((self = [super init])) {
    _name = [name copy];
    _shape = [shape copy];
    _values = values;
  }
  return self;
}

@end

@implementation ResnetClassifier {
  resnet_classifier *_classifier;
}

- (nullable instancetype)initWithModel:(NSData *)model
                                labels:(nullable NSData *)labels
                               options:(ResnetOptions *)options
                                 error:(NSError **)error {
  if ((self = [super init])) {
    resnet_options chosen{};
    chosen.threads = narrow(options.threads);
    chosen.spin = options.spin ? 1 : 0;
    chosen.xnnpack = options.xnnpack ? 1 : 0;
    const void *lines = labels.bytes != nullptr ? labels.bytes : "";
    const std::int32_t code =
        resnet_open_memory(model.bytes, model.length, static_cast<const char *>(lines),
                           labels.length, &chosen, &_classifier);
    if (code != RESNET_OK) {
      fail(code, text(resnet_last_error()), error);
      return nil;
    }
    _runtime = text(resnet_runtime(_classifier));
    _notice = text(resnet_notice(_classifier));
  }
  return self;
}

- (void)dealloc {
  resnet_close(_classifier);
}

- (nullable NSArray<NSArray<ResnetPrediction *> *> *)classifyPictures:
                                                         (NSArray<ResnetPicture *> *)pictures
                                                                count:(NSInteger)count
                                                                error:(NSError **)error {
  if (count < 1 || pictures.count < 1) {
    fail(RESNET_BAD_ARGUMENT, @"give one picture or more, and ask for one class or more", error);
    return nil;
  }
  const std::int32_t k = std::min(narrow(count), resnet_class_count(_classifier));
  std::vector<resnet_picture> given;
  for (ResnetPicture *picture in pictures) {
    given.push_back({static_cast<const std::uint8_t *>(picture.rgb.bytes), picture.rgb.length,
                     narrow(picture.width), narrow(picture.height), 0});
  }
  std::vector<resnet_prediction> top(given.size() * static_cast<std::size_t>(k));
  std::int32_t found = 0;
  // A file whose batch is fixed takes one picture, but no list of them.
  const std::int32_t code =
      given.size() == 1
          ? resnet_classify(_classifier, given[0].rgb, given[0].size, given[0].width,
                            given[0].height, 0, k, top.data(), &found)
          : resnet_classify_batch(_classifier, given.data(), given.size(), k, top.data(), &found);
  if (code != RESNET_OK) {
    fail(code, text(resnet_last_error()), error);
    return nil;
  }
  NSMutableArray<NSArray<ResnetPrediction *> *> *all = [NSMutableArray array];
  for (std::size_t i = 0; i < given.size(); ++i) {
    NSMutableArray<ResnetPrediction *> *best = [NSMutableArray array];
    for (std::int32_t place = 0; place < found; ++place) {
      const resnet_prediction &prediction =
          top[i * static_cast<std::size_t>(k) + static_cast<std::size_t>(place)];
      [best addObject:[[ResnetPrediction alloc] initWithIndex:prediction.index
                                                        label:text(prediction.label)
                                                        score:prediction.score
                                                  probability:prediction.probability]];
    }
    [all addObject:best];
  }
  return all;
}

- (nullable NSArray<ResnetOutput *> *)outputsOfPicture:(ResnetPicture *)picture
                                                 error:(NSError **)error {
  NSMutableArray<ResnetOutput *> *all = [NSMutableArray array];
  std::vector<float *> places;
  std::vector<std::size_t> sizes;
  for (std::int32_t i = 0; i < resnet_output_count(_classifier); ++i) {
    std::int64_t lengths[8];  // feature maps have three dimensions
    std::size_t rank = 0;
    std::int32_t code =
        resnet_output_shape(_classifier, i, lengths, std::size(lengths), &rank);
    if (code != RESNET_OK) {
      fail(code, text(resnet_last_error()), error);
      return nil;
    }
    NSMutableArray<NSNumber *> *shape = [NSMutableArray array];
    std::size_t size = 1;
    for (std::size_t axis = 0; axis < rank; ++axis) {
      size *= static_cast<std::size_t>(lengths[axis]);
      [shape addObject:[NSNumber numberWithLongLong:lengths[axis]]];
    }
    NSMutableData *values = [NSMutableData dataWithLength:size * sizeof(float)];
    if (values == nil) {
      fail(RESNET_NO_MEMORY, @"there is not enough memory", error);
      return nil;
    }
    places.push_back(static_cast<float *>(values.mutableBytes));
    sizes.push_back(size);
    [all addObject:[[ResnetOutput alloc] initWithName:text(resnet_output_name(_classifier, i))
                                                shape:shape
                                               values:values]];
  }
  const std::int32_t code = resnet_outputs(
      _classifier, static_cast<const std::uint8_t *>(picture.rgb.bytes), picture.rgb.length,
      narrow(picture.width), narrow(picture.height), 0, places.data(), sizes.data(),
      static_cast<std::int32_t>(places.size()));
  if (code != RESNET_OK) {
    fail(code, text(resnet_last_error()), error);
    return nil;
  }
  return all;
}

@end
