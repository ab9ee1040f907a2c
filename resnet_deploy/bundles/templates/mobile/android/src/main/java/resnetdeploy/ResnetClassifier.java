// SPDX-License-Identifier: Apache-2.0
package resnetdeploy;

import java.io.File;
import java.io.IOException;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Names what a picture shows.
 *
 * <p>Any number of threads may use one classifier at once; {@link #close} waits for them. A picture
 * that can't be used throws IllegalArgumentException, a missing or damaged model IOException, and a
 * closed classifier or a failure of ONNX Runtime IllegalStateException.
 */
public final class ResnetClassifier implements AutoCloseable {
    private static final Charset UTF_8 = Charset.forName("UTF-8");

    // The codes of resnet_classifier.h that have an exception of their own.
    private static final int BAD_ARGUMENT = -1;
    private static final int BAD_IMAGE = -2;
    private static final int BAD_BUNDLE = -3;
    private static final int NO_MEMORY = -6;

    static {
        System.loadLibrary("resnet_classifier_jni");
    }

    private final ReadWriteLock lock = new ReentrantReadWriteLock();
    private final String[] labels;
    private long handle;

    private ResnetClassifier(long handle) {
        this.handle = handle;
        labels = new String[nativeClassCount(handle)];
    }

    private static ResnetClassifier of(long handle) {
        ResnetClassifier made = new ResnetClassifier(handle);
        try {
            for (int index = 0; index < made.labels.length; index++) {
                made.labels[index] = new String(nativeLabel(handle, index), UTF_8);
            }
        } catch (RuntimeException | Error failure) {
            made.close();
            throw failure;
        }
        return made;
    }

    /**
     * Opens a model from memory, as it comes out of an app's assets.
     *
     * @param model the bytes of model.onnx or model.ort
     * @param labels the bytes of labels.txt
     * @param threads of one call; 0: as many as there are cores
     * @throws IOException the bytes are not those of this bundle
     */
    public static ResnetClassifier open(byte[] model, byte[] labels, int threads)
            throws IOException {
        if (model == null || labels == null) {
            throw new IllegalArgumentException("a model and its labels are needed, not null");
        }
        long[] handle = new long[1];
        byte[][] message = new byte[1][];
        check(nativeOpenMemory(model, labels, threads, handle, message), message);
        return of(handle[0]);
    }

    /**
     * Opens a model file in a folder that holds labels.txt as well.
     *
     * @param model its name, such as model.ort; null: model.onnx
     * @param threads of one call; 0: as many as there are cores
     * @throws IOException a file is missing, damaged, or of another bundle
     */
    public static ResnetClassifier open(File folder, String model, int threads)
            throws IOException {
        long[] handle = new long[1];
        byte[][] message = new byte[1][];
        byte[] name = model == null ? null : cString(model);
        check(nativeOpen(cString(folder.getPath()), name, threads, handle, message), message);
        return of(handle[0]);
    }

    /**
     * Names the k best classes of a picture, best first.
     *
     * @param rgb width * height * 3 bytes: red, green, blue, row by row from the top left
     */
    public List<Prediction> classify(byte[] rgb, int width, int height, int k) throws IOException {
        if (rgb == null) {
            throw new IllegalArgumentException("a picture is needed, not null");
        }
        Best best = new Best(k);
        byte[][] message = new byte[1][];
        return withHandle(
                open ->
                        best.named(
                                nativeClassify(
                                        open, rgb, width, height, best.index, best.score,
                                        best.probability, message),
                                message));
    }

    /**
     * Names the k best classes of a picture, best first.
     *
     * @param argb width * height pixels as Bitmap.getPixels gives them; alpha is ignored
     * @param width of the picture as it is stored, before it is turned
     * @param height of the picture as it is stored, before it is turned
     * @param rotationDegrees how far to turn it clockwise until it is upright: 0, 90, 180 or 270,
     *     as CameraX and EXIF say
     */
    public List<Prediction> classifyArgb(
            int[] argb, int width, int height, int rotationDegrees, int k) throws IOException {
        if (argb == null || width < 1 || height < 1 || argb.length < (long) width * height) {
            throw new IllegalArgumentException(
                    "a picture of " + width + " x " + height + " pixels has "
                            + (argb == null ? "none" : argb.length)
                            + ": give width * height pixels, and at least one");
        }
        if (rotationDegrees < 0 || rotationDegrees > 270 || rotationDegrees % 90 != 0) {
            throw new IllegalArgumentException(
                    "a picture can't be turned by " + rotationDegrees
                            + " degrees: give 0, 90, 180 or 270");
        }
        Best best = new Best(k);
        byte[][] message = new byte[1][];
        return withHandle(
                open ->
                        best.named(
                                nativeClassifyArgb(
                                        open, argb, width, height, rotationDegrees, best.index,
                                        best.score, best.probability, message),
                                message));
    }

    /** The names of all classes, in their order. */
    public List<String> labels() {
        List<String> all = new ArrayList<String>(labels.length);
        Collections.addAll(all, labels);
        return all;
    }

    /** What runs the network, such as "ONNX Runtime 1.22.0". */
    public String runtime() throws IOException {
        return withHandle(open -> new String(nativeRuntime(open), UTF_8));
    }

    /** Why that is not the bundle's first choice; empty where it is. */
    public String notice() throws IOException {
        return withHandle(open -> new String(nativeNotice(open), UTF_8));
    }

    /** Frees the model; doing so twice is fine. */
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
    byte[] prepare(byte[] rgb, int width, int height) throws IOException {
        byte[][] tensor = new byte[1][];
        byte[][] message = new byte[1][];
        return withHandle(
                open -> {
                    check(nativePrepare(open, rgb, width, height, tensor, message), message);
                    return tensor[0];
                });
    }

    /** For the self-test: the values of the network's first output. */
    float[] scores(byte[] rgb, int width, int height) throws IOException {
        float[][] scores = new float[1][];
        byte[][] message = new byte[1][];
        return withHandle(
                open -> {
                    check(nativeScores(open, rgb, width, height, scores, message), message);
                    return scores[0];
                });
    }

    private interface Work<T> {
        T on(long open) throws IOException;
    }

    private <T> T withHandle(Work<T> work) throws IOException {
        Lock reading = lock.readLock();
        reading.lock();
        try {
            if (handle == 0) {
                throw new IllegalStateException("this classifier is closed");
            }
            return work.on(handle);
        } finally {
            reading.unlock();
        }
    }

    /** What the native code fills in. */
    private final class Best {
        final int[] index;
        final float[] score;
        final float[] probability;

        Best(int k) {
            if (k < 1) {
                throw new IllegalArgumentException("k is " + k + ": ask for one class or more");
            }
            int count = Math.min(k, labels.length);
            index = new int[count];
            score = new float[count];
            probability = new float[count];
        }

        List<Prediction> named(int found, byte[][] message) throws IOException {
            check(found, message);
            List<Prediction> all = new ArrayList<Prediction>(found);
            for (int i = 0; i < found; i++) {
                all.add(new Prediction(index[i], labels[index[i]], score[i], probability[i]));
            }
            return all;
        }
    }

    private static byte[] cString(String text) {
        if (text.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("a file name holds a NUL");
        }
        return (text + '\0').getBytes(UTF_8);
    }

    private static void check(int code, byte[][] message) throws IOException {
        if (code >= 0) {
            return;
        }
        String text = message[0] == null ? "error " + code : new String(message[0], UTF_8);
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
            byte[] folder, byte[] model, int threads, long[] handle, byte[][] message);

    private static native int nativeOpenMemory(
            byte[] model, byte[] labels, int threads, long[] handle, byte[][] message);

    private static native void nativeClose(long handle);

    private static native int nativeClassCount(long handle);

    private static native byte[] nativeLabel(long handle, int index);

    private static native byte[] nativeRuntime(long handle);

    private static native byte[] nativeNotice(long handle);

    private static native int nativeClassify(
            long handle, byte[] rgb, int width, int height, int[] index, float[] score,
            float[] probability, byte[][] message);

    private static native int nativeClassifyArgb(
            long handle, int[] argb, int width, int height, int degrees, int[] index,
            float[] score, float[] probability, byte[][] message);

    private static native int nativePrepare(
            long handle, byte[] rgb, int width, int height, byte[][] tensor, byte[][] message);

    private static native int nativeScores(
            long handle, byte[] rgb, int width, int height, float[][] scores, byte[][] message);
}
