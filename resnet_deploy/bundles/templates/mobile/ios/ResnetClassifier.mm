// SPDX-License-Identifier: Apache-2.0
// Nothing but a translation between Objective-C and the C interface. Needs Xcode, with ARC.
#import "ResnetClassifier.h"

#include <algorithm>
#include <cstdint>
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

static NSString *text(const char *utf8) { return [NSString stringWithUTF8String:utf8] ?: @""; }

static std::int32_t narrow(NSInteger value) {
  const NSInteger largest = std::numeric_limits<std::int32_t>::max();
  return static_cast<std::int32_t>(std::min(std::max(value, -largest), largest));
}

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

@implementation ResnetClassifier {
  resnet_classifier *_classifier;
}

- (nullable instancetype)initWithModel:(NSData *)model
                                labels:(NSData *)labels
                               threads:(NSInteger)threads
                                 error:(NSError **)error {
  if ((self = [super init])) {
    resnet_options options{};
    options.threads = narrow(threads);
    options.spin = 0;  // threads that wait actively would empty the battery
    const std::int32_t code =
        resnet_open_memory(model.bytes, model.length, static_cast<const char *>(labels.bytes),
                           labels.length, &options, &_classifier);
    if (code != RESNET_OK) {
      fail(code, text(resnet_last_error()), error);
      return nil;
    }
  }
  return self;
}

- (void)dealloc {
  resnet_close(_classifier);
}

- (nullable NSArray<ResnetPrediction *> *)classifyRGB:(NSData *)rgb
                                                width:(NSInteger)width
                                               height:(NSInteger)height
                                                count:(NSInteger)count
                                                error:(NSError **)error {
  const NSInteger classes = resnet_class_count(_classifier);
  if (count < 1) {
    fail(RESNET_BAD_ARGUMENT, @"count is below 1: ask for one class or more", error);
    return nil;
  }
  std::vector<resnet_prediction> top(static_cast<std::size_t>(std::min(count, classes)));
  std::int32_t found = 0;
  const std::int32_t code = resnet_classify(
      _classifier, static_cast<const std::uint8_t *>(rgb.bytes), rgb.length, narrow(width),
      narrow(height), 0, narrow(static_cast<NSInteger>(top.size())), top.data(), &found);
  if (code != RESNET_OK) {
    fail(code, text(resnet_last_error()), error);
    return nil;
  }
  NSMutableArray<ResnetPrediction *> *predictions = [NSMutableArray array];
  for (std::int32_t place = 0; place < found; ++place) {
    const resnet_prediction &prediction = top[static_cast<std::size_t>(place)];
    [predictions addObject:[[ResnetPrediction alloc] initWithIndex:prediction.index
                                                             label:text(prediction.label)
                                                             score:prediction.score
                                                       probability:prediction.probability]];
  }
  return predictions;
}

@end
