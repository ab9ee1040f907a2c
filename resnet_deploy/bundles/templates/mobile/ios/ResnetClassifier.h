// SPDX-License-Identifier: Apache-2.0
// Names what a picture shows. For Objective-C, and for Swift through the bridging header.
//
// Needs Xcode. Any number of threads may use one classifier at once.
#import <Foundation/Foundation.h>

NS_ASSUME_NONNULL_BEGIN

/// The domain of errors; their codes are those of resnet_classifier.h.
extern NSString *const ResnetClassifierErrorDomain;

/// How a classifier is opened. As it is made, it suits a phone.
@interface ResnetOptions : NSObject

/// The threads of one call; 0: as many as there are cores. 2 suit phones, whose fast cores are few.
@property(nonatomic) NSInteger threads;
/// Idle threads wait actively: faster, and it empties the battery. They sleep if unset.
@property(nonatomic) BOOL spin;
/// Asks for ONNX Runtime's XNNPACK provider; the notice says so where the library has none.
@property(nonatomic) BOOL xnnpack;

@end

/// The pixels of one picture, upright.
@interface ResnetPicture : NSObject

/// @param rgb width * height * 3 bytes: red, green, blue, row by row from the top left.
- (instancetype)initWithRGB:(NSData *)rgb
                      width:(NSInteger)width
                     height:(NSInteger)height NS_DESIGNATED_INITIALIZER;

- (instancetype)init NS_UNAVAILABLE;

@property(nonatomic, readonly, copy) NSData *rgb;
@property(nonatomic, readonly) NSInteger width;
@property(nonatomic, readonly) NSInteger height;

@end

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

/// One array that the network gives for a picture: a feature map, an embedding, or scores.
@interface ResnetOutput : NSObject

/// What the network calls it.
@property(nonatomic, readonly, copy) NSString *name;
/// Its dimensions, without the batch.
@property(nonatomic, readonly, copy) NSArray<NSNumber *> *shape;
/// float32 values, the last dimension running fastest.
@property(nonatomic, readonly) NSData *values;

- (instancetype)init NS_UNAVAILABLE;

@end

@interface ResnetClassifier : NSObject

/// Opens model.onnx or model.ort with labels.txt, as they lie in the app.
///
/// @param labels nil where the network names no classes.
- (nullable instancetype)initWithModel:(NSData *)model
                                labels:(nullable NSData *)labels
                               options:(ResnetOptions *)options
                                 error:(NSError **)error NS_DESIGNATED_INITIALIZER;

- (instancetype)init NS_UNAVAILABLE;

/// The runtime that this classifier runs on, such as "ONNX Runtime 1.22.0".
@property(nonatomic, readonly, copy) NSString *runtime;
/// What was asked for and is not there, such as XNNPACK, in one line; empty if all is.
@property(nonatomic, readonly, copy) NSString *notice;

/// Names the best classes of each picture, best first; a few pictures run at a time.
///
/// @param pictures of any sizes; more than one need a model file with a free batch.
/// @param count how many classes are wanted, at least 1.
- (nullable NSArray<NSArray<ResnetPrediction *> *> *)classifyPictures:
                                                         (NSArray<ResnetPicture *> *)pictures
                                                                count:(NSInteger)count
                                                                error:(NSError **)error;

/// Returns what the network gives for a picture: feature maps, an embedding, or scores.
- (nullable NSArray<ResnetOutput *> *)outputsOfPicture:(ResnetPicture *)picture
                                                 error:(NSError **)error
    NS_SWIFT_NAME(outputs(of:));

@end

NS_ASSUME_NONNULL_END
