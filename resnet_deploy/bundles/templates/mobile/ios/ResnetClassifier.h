// SPDX-License-Identifier: Apache-2.0
// Names what a picture shows. For Objective-C, and for Swift through the bridging header.
//
// Needs Xcode. Any number of threads may use one classifier at once.
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The domain of errors; their codes are those of resnet_classifier.h.
extern NSString *const ResnetClassifierErrorDomain;

/// One class that a picture may show.
@interface ResnetPrediction : NSObject

/// The number of the class, from 0.
@property(nonatomic, readonly) NSInteger index;
/// The name of the class.
@property(nonatomic, readonly, copy) NSString *label;
/// What the network says: a logit, or a probability.
@property(nonatomic, readonly) float score;
/// From 0 to 1, by softmax where the score is a logit.
@property(nonatomic, readonly) float probability;

- (instancetype)init NS_UNAVAILABLE;

@end

@interface ResnetClassifier : NSObject

/// Opens model.onnx or model.ort with labels.txt, as they lie in the app.
///
/// @param threads of one call; 0: as many as there are cores.
- (nullable instancetype)initWithModel:(NSData *)model
                                labels:(NSData *)labels
                               threads:(NSInteger)threads
                                 error:(NSError **)error NS_DESIGNATED_INITIALIZER;

- (instancetype)init NS_UNAVAILABLE;

/// Names the best classes of a picture, best first.
///
/// @param rgb width * height * 3 bytes: red, green, blue, row by row from the top left.
/// @param count how many classes are wanted, at least 1.
- (nullable NSArray<ResnetPrediction *> *)classifyRGB:(NSData *)rgb
                                                width:(NSInteger)width
                                               height:(NSInteger)height
                                                count:(NSInteger)count
                                                error:(NSError **)error;

@end

NS_ASSUME_NONNULL_END
