// SPDX-License-Identifier: Apache-2.0
package resnetdeploy;

import java.io.File;
import java.io.IOException;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Names what a picture shows, or gives what the network makes of it.
 *
 * <p>Any number of threads may use one classifier at once; {@link #close} waits for them. Its
 * memory is not the JVM's: one that is never closed is never freed. A picture or a setting that
 * can't be used throws IllegalArgumentException, a missing or damaged model IOException, a missing
 * or too old runtime IllegalStateException, as do a closed classifier and a failing runtime.
 */
public final class ResnetClassifier implements AutoCloseable {
    private static final Charset UTF_8 = Charset.forName("UTF-8");

    // The codes of resnet_classifier.h that have an exception of their own.
    private static final int BAD_ARGUMENT = -1;
    private static final int BAD_IMAGE = -2;
    private static final int BAD_BUNDLE = -3;
    private static final int NO_MEMORY = -6;

    // Native code holds all of them at once, and older releases of Android know 512 references.
    private static final int MOST_PICTURES = 256;

    static {
        System.loadLibrary("resnet_classifier_jni");
    }

    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private final String runtime;
    private final String notice;
    private String[] labels = {};
    private long handle;

    private ResnetClassifier(long handle) {
        this.handle = handle;
        try {
            runtime = text(nativeRuntime(handle));
            notice = text(nativeNotice(handle));
            labels = new String[nativeClassCount(handle)];
            for (int index = 0; index < labels.length; index++) {
                labels[index] = text(nativeLabel(handle, index));
            }
        } catch (RuntimeException | Error failure) {
            nativeClose(handle);
            throw failure;
        }
    }

    /**
     * Opens a model from memory, as it comes out of an app's assets.
     *
     * @param model the bytes of model.onnx or model.ort
     * @param labels the bytes of labels.txt; null where the network names no classes
     * @throws IOException the bytes are not those of this bundle
     */
    public static ResnetClassifier open(byte[] model, byte[] labels, Options options)
            throws IOException {
        need(model, "a model");
        need(options, "a set of options");
        long[] handle = new long[1];
        byte[][] message = new byte[1][];
        check(
                nativeOpenMemory(
                        model, labels == null ? new byte[0] : labels, options.threads,
                        options.spin, options.xnnpack, cString(options.runtime), handle, message),
                message);
        return new ResnetClassifier(handle[0]);
    }

    /**
     * Opens a model file in a folder that holds labels.txt as well, if there is one.
     *
     * @throws IOException a file is missing, damaged, or of another bundle
     */
    public static ResnetClassifier open(File folder, Options options) throws IOException {
        need(folder, "a folder");
        need(options, "a set of options");
        long[] handle = new long[1];
        byte[][] message = new byte[1][];
        check(
                nativeOpen(
                        cString(folder.getPath()), cString(options.model), options.threads,
                        options.spin, options.xnnpack, cString(options.runtime), handle, message),
                message);
        return new ResnetClassifier(handle[0]);
    }

    /** The runtime that this classifier runs on, such as "ONNX Runtime 1.22.0". */
    public String runtime() {
        return runtime;
    }

    /** What was asked for and is not there, such as XNNPACK, in one line; "" if all is. */
    public String notice() {
        return notice;
    }

    /** The names of all classes, in their order. */
    public List<String> labels() {
        return Collections.unmodifiableList(Arrays.asList(labels));
    }

    /** Names the k best classes of a picture, best first. */
    public List<Prediction> classify(Picture picture, int k) throws IOException {
        return classify(Collections.singletonList(picture), k).get(0);
    }

    /**
     * Names the k best classes of each picture, best first; a few pictures run at a time.
     *
     * @param pictures of any sizes, 256 at most; more than one need a model file with a free batch
     */
    public List<List<Prediction>> classify(List<Picture> pictures, int k) throws IOException {
        if (k < 1) {
            throw new IllegalArgumentException("k is " + k + ": ask for one class or more");
        }
        need(pictures, "a list of pictures");
        int count = pictures.size();
        if (count < 1 || count > MOST_PICTURES) {
            throw new IllegalArgumentException(
                    "a call takes 1 to " + MOST_PICTURES + " pictures, not " + count);
        }
        byte[][] rgb = new byte[count][];
        int[] width = new int[count];
        int[] height = new int[count];
        for (int i = 0; i < count; i++) {
            Picture picture = pictures.get(i);
            need(picture, "a picture");
            rgb[i] = picture.rgb;
            width[i] = picture.width;
            height[i] = picture.height;
        }
        int each = Math.min(k, labels.length);
        int[] index = new int[count * each];
        float[] score = new float[index.length];
        float[] probability = new float[index.length];
        byte[][] message = new byte[1][];
        long open = acquire();
        int found;
        try {
            found = nativeClassify(
                    open, rgb, width, height, each, index, score, probability, message);
        } finally {
            release();
        }
        check(found, message);
        List<List<Prediction>> all = new ArrayList<List<Prediction>>(count);
        for (int i = 0; i < count; i++) {
            List<Prediction> best = new ArrayList<Prediction>(found);
            for (int at = i * each; at < i * each + found; at++) {
                best.add(new Prediction(index[at], labels[index[at]], score[at], probability[at]));
            }
            all.add(best);
        }
        return all;
    }

    /** Returns what the network gives for a picture: feature maps, an embedding, or scores. */
    public List<Output> outputs(Picture picture) throws IOException {
        need(picture, "a picture");
        byte[][] message = new byte[1][];
        List<Output> all = new ArrayList<Output>();
        long open = acquire();
        try {
            float[][] values = new float[nativeOutputCount(open)][];
            for (int i = 0; i < values.length; i++) {
                long[] shape = nativeOutputShape(open, i);
                int size = 1;
                for (long length : shape) {
                    size *= (int) length;
                }
                values[i] = new float[size];
                all.add(new Output(text(nativeOutputName(open, i)), shape, values[i]));
            }
            check(
                    nativeOutputs(
                            open, picture.rgb, picture.width, picture.height, values, message),
                    message);
        } finally {
            release();
        }
        return all;
    }

    /** Frees the model, after the calls that run; doing so twice is fine. */
    @Override
    public void close() {
        lock.writeLock().lock();
        try {
            long open = handle;
            handle = 0;
            if (open != 0) {
                nativeClose(open);
            }
        } finally {
            lock.writeLock().unlock();
        }
    }

    /** For the self-test: the exact input that a picture becomes. */
    byte[] prepare(Picture picture) throws IOException {
        byte[][] tensor = new byte[1][];
        byte[][] message = new byte[1][];
        long open = acquire();
        try {
            check(
                    nativePrepare(
                            open, picture.rgb, picture.width, picture.height, tensor, message),
                    message);
        } finally {
            release();
        }
        return tensor[0];
    }

    /** Returns the handle, which stays valid until {@link #release}. */
    private long acquire() {
        lock.readLock().lock();
        if (handle == 0) {
            lock.readLock().unlock();
            throw new IllegalStateException("this classifier is closed");
        }
        return handle;
    }

    private void release() {
        lock.readLock().unlock();
    }

    private static void need(Object given, String what) {
        if (given == null) {
            throw new IllegalArgumentException(what + " is needed, not null");
        }
    }

    private static String text(byte[] utf8) {
        return new String(utf8, UTF_8);
    }

    /** Returns null for null. */
    private static byte[] cString(String text) {
        if (text == null) {
            return null;
        }
        if (text.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("a name holds a NUL");
        }
        return (text + '\0').getBytes(UTF_8);
    }

    private static void check(int code, byte[][] message) throws IOException {
        if (code >= 0) {
            return;
        }
        String text = message[0] == null ? "error " + code : text(message[0]);
        if (code == BAD_ARGUMENT || code == BAD_IMAGE) {
            throw new IllegalArgumentException(text);
        }
        if (code == BAD_BUNDLE) {
            throw new IOException(text);
        }
        if (code == NO_MEMORY) {
            throw new OutOfMemoryError(text);
        }
        throw new IllegalStateException(text);
    }

    private static native int nativeOpen(
            byte[] folder, byte[] model, int threads, boolean spin, boolean xnnpack,
            byte[] runtime, long[] handle, byte[][] message);

    private static native int nativeOpenMemory(
            byte[] model, byte[] labels, int threads, boolean spin, boolean xnnpack,
            byte[] runtime, long[] handle, byte[][] message);

    private static native void nativeClose(long handle);

    private static native int nativeClassCount(long handle);

    private static native byte[] nativeLabel(long handle, int index);

    private static native byte[] nativeRuntime(long handle);

    private static native byte[] nativeNotice(long handle);

    /** Fills rgb, of 3 * width * height bytes. */
    static native void nativeUpright(int[] argb, int width, int height, int degrees, byte[] rgb);

    /** Fills `each` places for each picture, and returns how many of these are filled. */
    private static native int nativeClassify(
            long handle, byte[][] rgb, int[] width, int[] height, int each, int[] index,
            float[] score, float[] probability, byte[][] message);

    private static native int nativePrepare(
            long handle, byte[] rgb, int width, int height, byte[][] tensor, byte[][] message);

    private static native int nativeOutputCount(long handle);

    private static native byte[] nativeOutputName(long handle, int index);

    private static native long[] nativeOutputShape(long handle, int index);

    /** Fills `values`, an array for each output, of the size that its shape says. */
    private static native int nativeOutputs(
            long handle, byte[] rgb, int width, int height, float[][] values, byte[][] message);
}
